/* SPDX-License-Identifier: BSD-3-Clause
 * percpu_ref - a count of references whose get and put write only to the calling thread's lines.
 *
 * While a ref is live, each thread counts in a slot of its own and nobody knows the sum. Killing it
 * begins the switch to one shared count, after which it can be seen to reach zero. The idea and
 * the names are those of the Linux kernel's percpu_ref (lib/percpu-refcount.c).
 *
 *   struct percpu_refs     what belongs together: some refs, some threads, and their slots
 *   struct percpu_thread   one thread's slots, side by side: [thread][ref]
 *   struct percpu_ref      one count, embedded in what it counts references to
 *
 * Life: init -> LIVE -(kill)-> DRAINING -(zero, seen by a reap)-> RELEASED -(reinit)-> LIVE
 *                 ^--(resurrect)--'
 * A live ref needs no first reference: being live is what keeps it, and kill takes nobody's.
 *
 * Guarantees
 *  1. get, tryget, tryget_live and put take no lock, never block and call nobody. With a thread and
 *     a live ref they write to that thread's cache lines only and execute no fence.
 *  2. A reference that was got is counted until it is put, by whichever thread, through any kills
 *     and resurrections between; release never runs while there is one.
 *  3. A tryget_live that begins after kill returned fails; one that runs beside kill may do either.
 *     After that only `get` (by somebody who has a reference anyway) and `tryget` add to the count.
 *  4. Release runs exactly once for a kill that is not undone, in a percpu_refs_reap that begins
 *     after the last put; never in a put, a get or a kill. Two reaps with every thread out of the
 *     calls of 1 are enough. It runs with no lock of ours held and may block, take any lock, call
 *     all that is below, and free the memory of the ref.
 *  5. What a thread did before its put is seen by the release, and what was done before init,
 *     resurrect or reinit is seen by whoever gets a reference after.
 *  6. resurrect and reap decide under one lock: where resurrect answers true, no release runs for
 *     that kill; where false, it has begun or will.
 *  7. The count saturates. A get or tryget past PERCPU_REF_COUNT_MAX fails and counts nothing;
 *     while live the limit is met within 2^31 for each thread. Nothing ever wraps.
 *
 * The grace period: kill changes the ref's word, and a thread in the midst of a get may not have
 * seen it. The next reap makes every running thread pass a full fence, from outside (membarrier(2),
 * expedited: microseconds), and then looks at each: a thread seen out of its get or put, if only
 * once, has seen the change. Nobody waits: a thread that was suspended within leaves the rest to
 * the next reap. One fence serves all refs killed since the last. Where the kernel has no
 * membarrier, get and put execute a fence of their own, and 1 lacks its end.
 * Why not liburcu: Debian 12's (0.13) has no grace period that can be polled, so a reaper would
 * block in synchronize_rcu() or keep a helper thread; its qsbr flavour further wants every thread
 * to report before it sleeps in epoll.
 *
 * Memory: 40 bytes a ref, which should not share a cache line with what is often written; a thread
 * 128 bytes and 4 for each ref there may be (rounded up to 128); 16 in the register for each.
 *
 * Two counts in a row, as for a seat with users and objects, where users make objects:
 *   acquire  tryget_live(users)     release  put(users)
 *   birth    get(objects), by a user        death    put(objects)
 *   reading an object   get(objects) .. put(objects); it must exist during the get
 *   swap-out  kill(users); users' release: kill(objects); objects' release: the seat is empty
 *   swap-in   resurrect(users), or if that answers false: resurrect(objects), then reinit(users)
 * all under the caller's lock, which the releases take too and look under it whether the seat is
 * still to be drained: a swap-in may have come between.
 */
#ifndef FARPAGE_BASE_PERCPU_REF_H
#define FARPAGE_BASE_PERCPU_REF_H
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/attrs.h"
#include "base/status.h"

#define PERCPU_REF_COUNT_MAX (UINT64_C(1) << 60)

struct percpu_refs;
struct percpu_thread;
struct percpu_ref;

typedef void percpu_ref_release(struct percpu_ref *ref, void *context);

struct percpu_ref { /* private */
    _Atomic uint64_t word; /* LIVE, SPLIT and the shared part of the count */
    struct percpu_refs *refs;
    percpu_ref_release *release;
    void *context;
    uint32_t index; /* of its slot in every thread, and in the register */
};

/* Room for `refs_max` refs. FP_NO_MEMORY leaves *refs untouched. */
enum fp_status percpu_refs_create(uint32_t refs_max, struct percpu_refs **refs)
    FP_MUST_CHECK FP_NONNULL(2);
void percpu_refs_destroy(struct percpu_refs **refs) FP_NONNULL(1); /* no ref and no thread left */

/* Ends grace periods and runs the releases that are due; how many ran. Call it now and then, from
 * a thread that may block for as long as the releases do. Takes RANK_PERCPU_REFS, for microseconds:
 * hold nothing of it or above, nor what a release takes. */
uint32_t percpu_refs_reap(struct percpu_refs *refs) FP_NONNULL(1);

/* For the calls of one thread; whoever makes it may hand it to another. FP_NO_MEMORY leaves *thread
 * untouched. destroy adds its counts to the shared ones: no reference is lost with a thread. */
enum fp_status percpu_thread_create(struct percpu_refs *refs, struct percpu_thread **thread)
    FP_MUST_CHECK FP_NONNULL(1, 2);
void percpu_thread_destroy(struct percpu_thread **thread) FP_NONNULL(1);

/* A live ref without references, which stays where it is until fini. FP_RANGE: there are refs_max
 * already. */
enum fp_status percpu_ref_init(struct percpu_ref *ref, struct percpu_refs *refs,
                               percpu_ref_release *release, void *context)
    FP_MUST_CHECK FP_NONNULL(1, 2, 3);
/* In any state, with no reference left, nobody in or before a call on it; it may be the release
 * that calls. A release that was due is not run. */
void percpu_ref_fini(struct percpu_ref *ref) FP_NONNULL(1);

/* --- counting: any thread; `thread` is the caller's own, or NULL: right, but slower --- */

/* The caller knows that there is a reference, or that the ref is live. False: saturated. */
bool percpu_ref_get(struct percpu_ref *ref, struct percpu_thread *thread)
    FP_MUST_CHECK FP_NONNULL(1);
/* False: dead and without references, or saturated. */
bool percpu_ref_tryget(struct percpu_ref *ref, struct percpu_thread *thread)
    FP_MUST_CHECK FP_NONNULL(1);
/* False: dead, or saturated. */
bool percpu_ref_tryget_live(struct percpu_ref *ref, struct percpu_thread *thread)
    FP_MUST_CHECK FP_NONNULL(1);
void percpu_ref_put(struct percpu_ref *ref, struct percpu_thread *thread) FP_NONNULL(1);

/* --- changing: any thread; each takes RANK_PERCPU_REFS, none waits for a grace period --- */

bool percpu_ref_kill(struct percpu_ref *ref) FP_NONNULL(1); /* false: it was not live */
/* Undoes kill, if there was one: whatever references there are stay. False: its release has begun
 * or is about to (see 6). */
bool percpu_ref_resurrect(struct percpu_ref *ref) FP_MUST_CHECK FP_NONNULL(1);
void percpu_ref_reinit(struct percpu_ref *ref) FP_NONNULL(1); /* in its release, or after it */

/* Dead, switched, and no reference. Any thread, no lock. */
bool percpu_ref_is_zero(const struct percpu_ref *ref) FP_NONNULL(1);
/* The references there are, exact at rest; for statistics. Takes RANK_PERCPU_REFS. */
uint64_t percpu_ref_count(const struct percpu_ref *ref) FP_NONNULL(1);

#endif
