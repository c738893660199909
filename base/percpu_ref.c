/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The word of a ref:
 *
 *   LIVE | SPLIT | MIDDLE + part     live: threads count in their slots; `part` of the count, which
 *                                    may be below zero, is here. The sum is part + all slots.
 *          SPLIT | MIDDLE + part     killed: threads that see it count here, others still in slots
 *                          count     switched: the slots were added in and hold zero
 *
 * Each change is one atomic operation on the word, and every count here is right in every state.
 * So whoever does not count in a slot needs to know nothing; and since the sum below SPLIT is far
 * from zero, nobody takes a ref for unused whose slots nobody has looked at.
 *
 * Where a ref stands (enum phase, under the lock):
 *
 *   LIVING -kill-> KILLED -fence-> GRACE -no thread within-> SWITCHED -zero-> RELEASED
 *    ^ ^             |               |                        |                  |
 *    | '-------------'- resurrect ---'------------------------'                  |
 *    '--------------------------------------- reinit ----------------------------'
 *
 * A reap takes each of the three steps between KILLED and RELEASED that it finds possible.
 *
 * Counting in a slot (`add_own`) is a section: the thread says "within", looks at the word, counts,
 * says "out". Store and then load is the one order that processors do not keep by themselves, so
 * the reap that begins a grace period makes all threads pass a fence (`fence_all`). For a thread
 * this means: either its "within" is seen after the fence, or its look at the word comes after the
 * fence and finds it killed. A grace period ends when each thread that was within has been out.
 * Without membarrier(2) the four accesses of these two are seq_cst instead (`fences`).
 */
#include "base/percpu_ref.h"

#include <linux/membarrier.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/check.h"
#include "base/lock.h"

#define LIVE (UINT64_C(1) << 63)
#define SPLIT (UINT64_C(1) << 62)
#define COUNT_BITS (SPLIT - 1)
#define MIDDLE (UINT64_C(1) << 61)

enum { LINES_BYTES = 128 }; /* processors fetch lines of 64 in pairs */
enum phase { UNUSED, LIVING, KILLED, GRACE, SWITCHED, RELEASED };
enum counted { COUNTED, NOT_LIVE, FULL };

struct percpu_thread {
    _Atomic uint64_t section; /* odd: within. Written by the thread alone */
    bool fences;              /* the kernel cannot do it for us */
    struct percpu_refs *refs;
    uint64_t seen_section; /* of a grace period; from here to slots: under refs->lock */
    struct percpu_thread *next;
    /* Written by the thread alone while within and the ref is LIVE, else under refs->lock. */
    _Alignas(LINES_BYTES) _Atomic int32_t slots[];
};

struct place {
    struct percpu_ref *ref;
    enum phase phase;
};

struct percpu_refs {
    struct lock lock;
    bool fences;
    bool in_grace; /* some thread's seen_section is yet to be left */
    uint32_t refs_max;
    uint32_t dead_count; /* == places that are KILLED, GRACE or SWITCHED */
    struct percpu_thread *threads;
    struct place places[];
};

/* --- counting --------------------------------------------------------------------------------- */

/* Out of line: it keeps get and put on a live ref at two dozen instructions. */
#define SLOW __attribute__((noinline))

static inline uint64_t section_enter(struct percpu_thread *thread)
{
    uint64_t section = atomic_load_explicit(&thread->section, memory_order_relaxed);
    if (thread->fences) {
        atomic_store_explicit(&thread->section, section + 1, memory_order_seq_cst);
    } else {
        atomic_store_explicit(&thread->section, section + 1, memory_order_relaxed);
        atomic_signal_fence(memory_order_seq_cst); /* fence_all is the other half */
    }
    return section + 1;
}

/* Not read again: a store that is read at once is what this would cost most. */
static inline void section_leave(struct percpu_thread *thread, uint64_t section)
{
    atomic_store_explicit(&thread->section, section + 1, memory_order_release);
}

/* Adds `delta` > 0 to the shared part where the word has all `needed` bits and counts something. */
static SLOW bool add_shared(struct percpu_ref *ref, uint64_t delta, uint64_t needed)
{
    uint64_t word = atomic_load_explicit(&ref->word, memory_order_relaxed);
    do {
        uint64_t limit = PERCPU_REF_COUNT_MAX + ((word & SPLIT) != 0 ? MIDDLE : 0);
        if ((word & needed) != needed || (word & COUNT_BITS) == 0) return false;
        if ((word & COUNT_BITS) > limit - delta) return false;
    } while (!atomic_compare_exchange_weak_explicit(&ref->word, &word, word + delta,
                                                    memory_order_acquire, memory_order_relaxed));
    return true;
}

/* Nobody is told of a zero: the next reap looks. */
static SLOW void subtract_shared(struct percpu_ref *ref, uint64_t delta)
{
    uint64_t word = atomic_fetch_sub_explicit(&ref->word, delta, memory_order_release);
    fp_assert((word & COUNT_BITS) >= delta);
}

/* The slot's count moves to the shared part, or not, where that is full too. */
static SLOW enum counted add_full_slot(struct percpu_ref *ref, _Atomic int32_t *slot, int delta)
{
    int32_t own = atomic_load_explicit(slot, memory_order_relaxed);
    if (own < 0)
        subtract_shared(ref, (uint64_t)-(int64_t)own);
    else if (!add_shared(ref, (uint64_t)own, 0))
        return FULL;
    atomic_store_explicit(slot, delta, memory_order_relaxed);
    return COUNTED;
}

static inline enum counted add_slot(struct percpu_ref *ref, _Atomic int32_t *slot, int delta)
{
    int32_t sum;
    if (__builtin_add_overflow(atomic_load_explicit(slot, memory_order_relaxed), delta, &sum))
        return add_full_slot(ref, slot, delta);
    atomic_store_explicit(slot, sum, memory_order_relaxed);
    return COUNTED;
}

static inline enum counted add_own(struct percpu_ref *ref, struct percpu_thread *thread, int delta)
{
    enum counted counted = NOT_LIVE;
    uint64_t section = section_enter(thread);
    if (__builtin_expect((atomic_load_explicit(&ref->word, memory_order_seq_cst) & LIVE) != 0, 1))
        counted = add_slot(ref, &thread->slots[ref->index], delta);
    section_leave(thread, section);
    return counted;
}

bool percpu_ref_get(struct percpu_ref *ref, struct percpu_thread *thread)
{
    bool got = percpu_ref_tryget(ref, thread);
    if (__builtin_expect(!got, 0)) fp_assert(!percpu_ref_is_zero(ref));
    return got;
}

bool percpu_ref_tryget(struct percpu_ref *ref, struct percpu_thread *thread)
{
    enum counted counted = thread != NULL ? add_own(ref, thread, 1) : NOT_LIVE;
    return counted == NOT_LIVE ? add_shared(ref, 1, 0) : counted == COUNTED;
}

bool percpu_ref_tryget_live(struct percpu_ref *ref, struct percpu_thread *thread)
{
    return thread != NULL ? add_own(ref, thread, 1) == COUNTED : add_shared(ref, 1, LIVE);
}

void percpu_ref_put(struct percpu_ref *ref, struct percpu_thread *thread)
{
    if (thread == NULL || add_own(ref, thread, -1) != COUNTED) subtract_shared(ref, 1);
}

bool percpu_ref_is_zero(const struct percpu_ref *ref)
{
    return atomic_load_explicit(&ref->word, memory_order_acquire) == 0;
}

/* --- changing --------------------------------------------------------------------------------- */

static struct place *place_of(const struct percpu_ref *ref)
{
    lock_assert_held(&ref->refs->lock);
    struct place *place = &ref->refs->places[ref->index];
    fp_assert(place->ref == ref);
    return place;
}

static bool is_dead(enum phase phase)
{
    return phase == KILLED || phase == GRACE || phase == SWITCHED;
}

static void set_phase_locked(struct percpu_refs *refs, struct place *place, enum phase phase)
{
    refs->dead_count += is_dead(phase);
    refs->dead_count -= is_dead(place->phase);
    place->phase = phase;
}

bool percpu_ref_kill(struct percpu_ref *ref)
{
    struct percpu_refs *refs = ref->refs;
    lock_take(&refs->lock);
    struct place *place = place_of(ref);
    bool live = place->phase == LIVING;
    if (live) {
        atomic_fetch_sub_explicit(&ref->word, LIVE, memory_order_seq_cst);
        set_phase_locked(refs, place, KILLED);
    }
    lock_drop(&refs->lock);
    return live;
}

/* No grace period is needed this way: both ways of counting are right while SPLIT. */
static void revive_locked(struct percpu_ref *ref, struct place *place)
{
    bool split = place->phase == KILLED || place->phase == GRACE;
    uint64_t change = split ? LIVE : LIVE + SPLIT + MIDDLE;
    atomic_fetch_add_explicit(&ref->word, change, memory_order_acq_rel);
    set_phase_locked(ref->refs, place, LIVING);
}

bool percpu_ref_resurrect(struct percpu_ref *ref)
{
    struct percpu_refs *refs = ref->refs;
    lock_take(&refs->lock);
    struct place *place = place_of(ref);
    if (is_dead(place->phase)) revive_locked(ref, place);
    bool live = place->phase == LIVING;
    lock_drop(&refs->lock);
    return live;
}

void percpu_ref_reinit(struct percpu_ref *ref)
{
    struct percpu_refs *refs = ref->refs;
    lock_take(&refs->lock);
    struct place *place = place_of(ref);
    fp_assert(place->phase == RELEASED);
    revive_locked(ref, place);
    lock_drop(&refs->lock);
}

/* --- sums ------------------------------------------------------------------------------------- */

static int64_t slots_sum_locked(const struct percpu_refs *refs, uint32_t index)
{
    int64_t sum = 0;
    for (struct percpu_thread *thread = refs->threads; thread != NULL; thread = thread->next)
        sum += atomic_load_explicit(&thread->slots[index], memory_order_relaxed);
    return sum;
}

static int64_t count_locked(const struct percpu_ref *ref)
{
    uint64_t word = atomic_load_explicit(&ref->word, memory_order_acquire);
    int64_t shared = (int64_t)(word & COUNT_BITS) - ((word & SPLIT) != 0 ? (int64_t)MIDDLE : 0);
    return shared + slots_sum_locked(ref->refs, ref->index);
}

uint64_t percpu_ref_count(const struct percpu_ref *ref)
{
    lock_take(&ref->refs->lock);
    int64_t count = count_locked(ref);
    lock_drop(&ref->refs->lock);
    return count > 0 ? (uint64_t)count : 0; /* a put seen and its get not yet */
}

static void clear_slots_locked(struct percpu_refs *refs, uint32_t index)
{
    for (struct percpu_thread *thread = refs->threads; thread != NULL; thread = thread->next)
        atomic_store_explicit(&thread->slots[index], 0, memory_order_relaxed);
}

/* --- reaping ---------------------------------------------------------------------------------- */

static bool membarrier_do(int command)
{
    return syscall(SYS_membarrier, command, 0, 0) == 0;
}

/* False: not now (the kernel had no memory); the next reap tries again. */
static bool fence_all(const struct percpu_refs *refs)
{
    return refs->fences || membarrier_do(MEMBARRIER_CMD_PRIVATE_EXPEDITED);
}

static uint32_t move_all_locked(struct percpu_refs *refs, enum phase from, enum phase to)
{
    uint32_t moved = 0;
    for (uint32_t i = 0; i < refs->refs_max; i++) {
        if (refs->places[i].phase != from) continue;
        refs->places[i].phase = to;
        moved++;
    }
    return moved;
}

static void begin_grace_locked(struct percpu_refs *refs)
{
    if (move_all_locked(refs, KILLED, GRACE) == 0) return;
    refs->in_grace = fence_all(refs);
    if (!refs->in_grace) (void)move_all_locked(refs, GRACE, KILLED);
    for (struct percpu_thread *thread = refs->threads; thread != NULL; thread = thread->next)
        thread->seen_section = atomic_load_explicit(&thread->section, memory_order_seq_cst);
}

static bool has_left(const struct percpu_thread *thread)
{
    if (thread->seen_section % 2 == 0) return true;
    uint64_t section = atomic_load_explicit(&thread->section, memory_order_acquire);
    return section != thread->seen_section;
}

static bool all_have_left_locked(const struct percpu_refs *refs)
{
    for (struct percpu_thread *thread = refs->threads; thread != NULL; thread = thread->next)
        if (!has_left(thread)) return false;
    return true;
}

/* The slots belong to us now: no thread counts in them before the word is LIVE again. */
static void switch_locked(struct percpu_ref *ref)
{
    int64_t sum = slots_sum_locked(ref->refs, ref->index);
    clear_slots_locked(ref->refs, ref->index);
    uint64_t change = (uint64_t)sum - SPLIT - MIDDLE;
    uint64_t word = atomic_fetch_add_explicit(&ref->word, change, memory_order_acq_rel);
    fp_assert((word & LIVE) == 0 && (word + change) <= COUNT_BITS); /* no put without a get */
}

static void end_grace_locked(struct percpu_refs *refs)
{
    if (!all_have_left_locked(refs)) return;
    for (uint32_t i = 0; i < refs->refs_max; i++)
        if (refs->places[i].phase == GRACE) switch_locked(refs->places[i].ref);
    (void)move_all_locked(refs, GRACE, SWITCHED);
    refs->in_grace = false;
}

/* The next ref whose release is due, from *at on, made RELEASED; or NULL. */
static struct percpu_ref *claim(struct percpu_refs *refs, uint32_t *at)
{
    struct percpu_ref *claimed = NULL;
    lock_take(&refs->lock);
    if (refs->dead_count == 0) *at = refs->refs_max;
    for (; *at < refs->refs_max && claimed == NULL; ++*at) {
        struct place *place = &refs->places[*at];
        if (place->phase != SWITCHED || !percpu_ref_is_zero(place->ref)) continue;
        claimed = place->ref;
        set_phase_locked(refs, place, RELEASED);
    }
    lock_drop(&refs->lock);
    return claimed;
}

uint32_t percpu_refs_reap(struct percpu_refs *refs)
{
    lock_take(&refs->lock);
    if (!refs->in_grace && refs->dead_count > 0) begin_grace_locked(refs);
    if (refs->in_grace) end_grace_locked(refs);
    lock_drop(&refs->lock);
    uint32_t at = 0, released = 0;
    for (struct percpu_ref *ref; (ref = claim(refs, &at)) != NULL; released++)
        ref->release(ref, ref->context);
    return released;
}

/* --- making and unmaking ---------------------------------------------------------------------- */

enum fp_status percpu_refs_create(uint32_t refs_max, struct percpu_refs **out)
{
    struct percpu_refs *refs = calloc(1, sizeof *refs + refs_max * sizeof *refs->places);
    if (refs == NULL) return FP_NO_MEMORY;
    lock_init(&refs->lock, RANK_PERCPU_REFS);
    refs->refs_max = refs_max;
    refs->fences = !membarrier_do(MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED);
    *out = refs;
    return FP_OK;
}

void percpu_refs_destroy(struct percpu_refs **refs_ptr)
{
    struct percpu_refs *refs = *refs_ptr;
    if (refs == NULL) return;
    fp_assert(refs->threads == NULL);
    for (uint32_t i = 0; i < refs->refs_max; i++) fp_assert(refs->places[i].phase == UNUSED);
    lock_fini(&refs->lock);
    free(refs);
    *refs_ptr = NULL;
}

enum fp_status percpu_thread_create(struct percpu_refs *refs, struct percpu_thread **out)
{
    size_t size = sizeof(struct percpu_thread) + refs->refs_max * sizeof(int32_t);
    size = (size + LINES_BYTES - 1) / LINES_BYTES * LINES_BYTES;
    struct percpu_thread *thread = aligned_alloc(LINES_BYTES, size);
    if (thread == NULL) return FP_NO_MEMORY;
    atomic_init(&thread->section, 0);
    for (uint32_t i = 0; i < refs->refs_max; i++) atomic_init(&thread->slots[i], 0);
    thread->refs = refs;
    thread->fences = refs->fences;
    thread->seen_section = 0; /* a grace period under way need not wait for it */
    lock_take(&refs->lock);
    thread->next = refs->threads;
    refs->threads = thread;
    lock_drop(&refs->lock);
    *out = thread;
    return FP_OK;
}

/* What is in the slots of a ref that is SPLIT goes to its shared part; other slots hold zero. */
static void fold_locked(struct percpu_refs *refs, const struct percpu_thread *thread)
{
    for (uint32_t i = 0; i < refs->refs_max; i++) {
        int64_t own = atomic_load_explicit(&thread->slots[i], memory_order_relaxed);
        if (own == 0) continue;
        struct percpu_ref *ref = refs->places[i].ref;
        atomic_fetch_add_explicit(&ref->word, (uint64_t)own, memory_order_acq_rel);
    }
}

void percpu_thread_destroy(struct percpu_thread **thread_ptr)
{
    struct percpu_thread *thread = *thread_ptr;
    if (thread == NULL) return;
    struct percpu_refs *refs = thread->refs;
    lock_take(&refs->lock);
    fp_assert(atomic_load_explicit(&thread->section, memory_order_relaxed) % 2 == 0);
    fold_locked(refs, thread);
    struct percpu_thread **link = &refs->threads;
    while (*link != thread) link = &(*link)->next;
    *link = thread->next;
    lock_drop(&refs->lock);
    free(thread);
    *thread_ptr = NULL;
}

enum fp_status percpu_ref_init(struct percpu_ref *ref, struct percpu_refs *refs,
                               percpu_ref_release *release, void *context)
{
    ref->refs = refs;
    ref->release = release;
    ref->context = context;
    atomic_init(&ref->word, LIVE + SPLIT + MIDDLE);
    lock_take(&refs->lock);
    uint32_t index = 0;
    while (index < refs->refs_max && refs->places[index].phase != UNUSED) index++;
    bool room = index < refs->refs_max;
    if (room) refs->places[index] = (struct place){.ref = ref, .phase = LIVING};
    ref->index = index;
    lock_drop(&refs->lock);
    return room ? FP_OK : FP_RANGE;
}

void percpu_ref_fini(struct percpu_ref *ref)
{
    struct percpu_refs *refs = ref->refs;
    lock_take(&refs->lock);
    struct place *place = place_of(ref);
    fp_assert(count_locked(ref) == 0);
    clear_slots_locked(refs, ref->index);
    set_phase_locked(refs, place, UNUSED);
    place->ref = NULL;
    lock_drop(&refs->lock);
}
