/* SPDX-License-Identifier: BSD-3-Clause
 * latency - how long operations take, by kind, and where the time of a slow one went.
 *
 * What is timed is the server's own part: from when the bytes of a request were read (or its turn
 * had come) until its answer is written, in all the steps it takes; not what it waits for others or
 * for its reader. Each worker writes its own histograms and nobody else's; readers add them up.
 *
 * A bucket is never wider than an eighth of its value. 1.6 KiB for each operation.
 *
 * Threads: the worker's, but latencies_sum: any. Blocks: never, but to log a slow one.
 */
#ifndef FARPAGE_SERVER_LATENCY_H
#define FARPAGE_SERVER_LATENCY_H
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/attrs.h"
#include "base/lock.h"
#include "storage/compress/compressor_sizes.h"
#include "storage/store/store.h"

#define OPERATIONS(X)                                                                              \
    X(OPERATION_NONE, "none", "nothing was carried out")                                           \
    X(OPERATION_GET, "get", "get, gets, gat, gats, mg")                                            \
    X(OPERATION_SET, "set", "set, add, replace, append, prepend, cas, ms")                         \
    X(OPERATION_DELETE, "delete", "delete, md")                                                    \
    X(OPERATION_ARITHMETIC, "arithmetic", "incr, decr, ma")                                        \
    X(OPERATION_TOUCH, "touch", "touch")                                                           \
    X(OPERATION_MAP, "map", "map, mread, mwrite, unmap of items and pages")                        \
    X(OPERATION_PAGE_STORE, "page_store", "a page stored")                                         \
    X(OPERATION_PAGE_LOAD, "page_load", "a page loaded")                                           \
    X(OPERATION_PAGE_INVALIDATE, "page_invalidate", "slots forgotten")                             \
    X(OPERATION_STORE_BATCH, "store_batch", "up to 256 pages stored")                              \
    X(OPERATION_LOAD_BATCH, "load_batch", "up to 256 pages loaded")                                \
    X(OPERATION_INVALIDATE_BATCH, "invalidate_batch", "up to 256 pages forgotten")                 \
    X(OPERATION_NBD_READ, "nbd_read", "a read of a block device")                                  \
    X(OPERATION_NBD_WRITE, "nbd_write", "a write")                                                 \
    X(OPERATION_NBD_TRIM, "nbd_trim", "what a trim or write-zeroes does before it goes on beside") \
    X(OPERATION_OTHER, "other", "all else: stats, operators' commands, flushes")

enum operation {
#define X(operation, name, meaning) operation,
    OPERATIONS(X)
#undef X
    OPERATIONS_COUNT
};

enum {
    LATENCY_POWER_LEAST = 8, /* below 256 ns there is one bucket */
    LATENCY_POWER_MOST = 35, /* from 34 s on, too */
    LATENCY_PARTS = 8,       /* of each power of two between */
    LATENCY_BUCKETS = 1 + (LATENCY_POWER_MOST - LATENCY_POWER_LEAST) * LATENCY_PARTS + 1,
};

struct latency {
    _Atomic uint64_t counts[LATENCY_BUCKETS], sum_ns, highest_ns;
};

struct latencies { /* of a worker */
    struct latency of[OPERATIONS_COUNT];
};

static inline unsigned latency_bucket(uint64_t ns)
{
    if (ns < (uint64_t)1 << LATENCY_POWER_LEAST) return 0;
    unsigned power = 63 - (unsigned)__builtin_clzll(ns);
    if (power >= LATENCY_POWER_MOST) return LATENCY_BUCKETS - 1;
    unsigned part = (unsigned)(ns >> (power - 3)) & (LATENCY_PARTS - 1);
    return 1 + (power - LATENCY_POWER_LEAST) * LATENCY_PARTS + part;
}

static inline void latency_count(_Atomic uint64_t *value, uint64_t delta)
{
    uint64_t now = atomic_load_explicit(value, memory_order_relaxed);
    atomic_store_explicit(value, now + delta, memory_order_relaxed);
}

static inline void latency_add(struct latency *latency, uint64_t ns)
{
    latency_count(&latency->counts[latency_bucket(ns)], 1);
    latency_count(&latency->sum_ns, ns);
    if (ns > atomic_load_explicit(&latency->highest_ns, memory_order_relaxed))
        atomic_store_explicit(&latency->highest_ns, ns, memory_order_relaxed);
}

/* --- one operation ---------------------------------------------------------------------------- */

struct latency_parts {
    uint64_t lock_ns, pack_ns, evict_ns; /* waiting for locks; the other two are estimated */
};

struct latency_timing { /* of a connection: the operation under way, if there is one */
    enum operation operation;
    uint64_t begun_ns, spent_ns; /* its first step; in all its steps */
    uint64_t queued_ns;          /* before that, at most */
    struct latency_parts parts;
};

static inline struct latency_parts latency_parts_now(const struct store_scratch *scratch)
{
    return (struct latency_parts){lock_waited_ns(), codec_scratch_packing_ns(scratch->codec),
                                  scratch->evicting.ns};
}

struct latency_arrival { /* of what a connection read last */
    uint64_t read_ns;
    uint64_t queued_ns; /* before, in its socket, at most */
};

struct latency_step { /* of an operation, before it */
    uint64_t began_ns, queued_ns;
    struct latency_parts before;
};

/* A step of `operation` is over. */
void latency_step_over(struct latency_timing *timing, enum operation operation,
                       const struct latency_step *step, const struct store_scratch *scratch,
                       uint64_t now_ns) FP_NONNULL(1, 3, 4);

/* --- all of them ------------------------------------------------------------------------------ */

struct latency_sum {
    uint64_t counts[LATENCY_BUCKETS], count, sum_ns, highest_ns;
};
/* Of so many workers. */
void latencies_sum(const struct latencies *latencies, uint32_t workers, enum operation operation,
                   struct latency_sum *sum) FP_NONNULL(1, 4);
/* The value that `quantile` (0 to 1) of all do not exceed, an eighth above at most; 0: none. */
uint64_t latency_quantile(const struct latency_sum *sum, double quantile) FP_NONNULL(1);

/* The first value beyond a bucket; of the last one it means nothing. */
uint64_t latency_bucket_end(unsigned bucket);

const char *operation_name(enum operation operation);

#endif
