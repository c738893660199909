/* SPDX-License-Identifier: BSD-3-Clause
 * watch - lines about what the server does, for clients that asked to watch it.
 *
 * A watcher is a ring of lines that waits to be sent. Whoever has something to tell writes it into
 * the rings of those who want that kind, and never waits: a ring that is full loses the line, and
 * tells how many it lost before the next one that fits. While nobody watches, telling costs one
 * relaxed load.
 *
 * Threads: any may tell. A watcher belongs to its connection's worker.
 * Locks:   RANK_WATCHERS, for copies of at most a ring.
 */
#ifndef FARPAGE_SERVER_WATCH_H
#define FARPAGE_SERVER_WATCH_H
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/budget.h"
#include "base/lock.h"
#include "base/slice.h"
#include "base/status.h"
#include "server/peer/output.h"

enum {
    WATCHERS_MAX = 20,
    WATCHERS_ALWAYS = 2, /* also when memory is full: to see why */
    WATCHER_RING_BYTES = 256 << 10,
    WATCHER_TAKE_BYTES = 64 << 10, /* moved into the output at once */
    WATCH_LINE_BYTES_MAX = 1600,   /* a key of 250 bytes takes 750 */
};

/* X(kind, name, meaning): docs/protocol.md has a row for each. */
#define WATCH_KINDS(X)                                                                             \
    X(WATCH_FETCHERS, "fetchers", "keys that are read")                                            \
    X(WATCH_MUTATIONS, "mutations", "keys that are stored")                                        \
    X(WATCH_DELETIONS, "deletions", "keys that are deleted")                                       \
    X(WATCH_EVICTIONS, "evictions", "items that give way")                                         \
    X(WATCH_CONNEVENTS, "connevents", "connections that come and go")                              \
    X(WATCH_COMPACTION, "compaction", "runs of compaction")                                        \
    X(WATCH_SHRINK, "shrink", "memory that becomes less, while it does")                           \
    X(WATCH_SPILL, "spill", "pages that go to the file below memory")

enum watch_bit {
#define X(kind, name, meaning) kind##_BIT,
    WATCH_KINDS(X)
#undef X
};
enum watch_kind {
#define X(kind, name, meaning) kind = 1 << kind##_BIT,
    WATCH_KINDS(X)
#undef X
};

struct watcher;

struct watchers {
    _Atomic uint32_t wanted; /* kinds that anybody watches */
    struct lock lock;        /* guards the four below, and the rings */
    struct watcher *first;
    uint32_t count;
    uint64_t last_gid;
    struct budget *budget;
    _Atomic uint64_t sent, skipped; /* lines written into rings; lost because one was full */
};

/* The budget is to be set before the first use. */
void watchers_init(struct watchers *watchers) FP_NONNULL(1);
void watchers_fini(struct watchers *watchers) FP_NONNULL(1); /* none is left */
uint32_t watchers_count(struct watchers *watchers) FP_NONNULL(1);

/* The kinds of a name; 0: there is none of that name. */
uint32_t watch_kind_named(struct slice name);

/* --- telling ---------------------------------------------------------------------------------- */

static inline bool watched(const struct watchers *watchers, enum watch_kind kind)
{
    return (atomic_load_explicit(&watchers->wanted, memory_order_relaxed) & (uint32_t)kind) != 0;
}
/* "ts=... gid=... " and the text, one line; where watched() says so. */
void watch_tell(struct watchers *watchers, enum watch_kind kind, const char *format, ...)
    __attribute__((format(printf, 3, 4))) FP_NONNULL(1, 3);

/* --- a watcher -------------------------------------------------------------------------------- */

/* FP_BUSY: there are WATCHERS_MAX. FP_NO_MEMORY, FP_IO: the system has no descriptor. */
enum fp_status watcher_open(struct watchers *watchers, uint32_t kinds, struct watcher **watcher)
    FP_MUST_CHECK FP_NONNULL(1, 3);
void watcher_close(struct watchers *watchers, struct watcher **watcher) FP_NONNULL(1, 2);

/* A descriptor that is readable while lines wait that were not looked for; watcher_take looks. */
int watcher_fd(const struct watcher *watcher) FP_NONNULL(1);
/* Moves lines to the output, WATCHER_TAKE_BYTES at most; the descriptor is readable again where
 * more are there. */
void watcher_take(struct watchers *watchers, struct watcher *watcher, struct output *output)
    FP_NONNULL(1, 2, 3);

#endif
