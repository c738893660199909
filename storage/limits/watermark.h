/* SPDX-License-Identifier: BSD-3-Clause
 * watermark - how full is full: when room is made ahead of need, and when pages are taken in again.
 *
 *   total held   |..........low..........high......limit|
 *   reclaiming   from high on, until low            (what gives way does so before anybody waits)
 *   full         from the limit on, until accept    (zswap's accept threshold: new pages wait
 *                                                    meanwhile for who makes room, and do not try
 *                                                    for each byte that became free)
 *
 * All levels are percent of the limit. An accept level of 100 means that nothing waits that would
 * fit.
 *
 * Knows no clock and takes no memory. What it is told of totals and limits may be a moment old.
 * Threads: any; lock-free. Blocks: never.
 */
#ifndef FARPAGE_STORAGE_WATERMARK_H
#define FARPAGE_STORAGE_WATERMARK_H
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/attrs.h"

struct watermark_levels { /* percent of the limit, 1 to 100; low <= high */
    uint32_t high, low, accept;
};

struct watermarks { /* all zeros and watermarks_set: nothing is held */
    _Atomic uint32_t high, low, accept;
    _Atomic bool reclaiming, full;
};

void watermarks_set(struct watermarks *watermarks, struct watermark_levels levels) FP_NONNULL(1);
struct watermark_levels watermarks_levels(const struct watermarks *watermarks) FP_NONNULL(1);

static inline uint64_t watermark_bytes(uint64_t limit_bytes, uint32_t percent)
{
    return limit_bytes / 100 * percent + limit_bytes % 100 * percent / 100;
}

/* How much has to give way to come down to the low mark; 0: the high one was not reached since that
 * was so. */
uint64_t watermarks_excess(struct watermarks *watermarks, uint64_t total_bytes,
                           uint64_t limit_bytes) FP_NONNULL(1);

/* A page met the limit and has to wait. True: it is the first since pages were taken in. */
bool watermarks_hit(struct watermarks *watermarks) FP_NONNULL(1);
/* Somebody waits since a hit. */
static inline bool watermarks_full(const struct watermarks *watermarks)
{
    return atomic_load_explicit(&watermarks->full, memory_order_relaxed);
}
/* Whether pages are taken in. False from a hit on, until the total is at the accept mark. */
bool watermarks_accept(struct watermarks *watermarks, uint64_t total_bytes, uint64_t limit_bytes)
    FP_NONNULL(1);
/* Nobody makes room any more: what fits is taken in. */
void watermarks_forget(struct watermarks *watermarks) FP_NONNULL(1);

#endif
