/* SPDX-License-Identifier: BSD-3-Clause
 * histogram - counts of durations in buckets that are never wider than 1/32 of their value.
 *
 * Log-linear: below 64 every value has a bucket; above, each power of two has 32. A quantile is
 * therefore at most 3.2 % above the true one (it answers the upper end of the bucket). The idea is
 * that of HdrHistogram, which Debian does not package for C.
 *
 * Threads: one writer; merge what several threads gathered. 15 KiB each.
 */
#ifndef FARPAGE_BASE_HISTOGRAM_H
#define FARPAGE_BASE_HISTOGRAM_H
#include <stdint.h>

#include "base/attrs.h"

enum { HISTOGRAM_BUCKETS = 64 + 58 * 32 };

struct histogram {
    uint64_t counts[HISTOGRAM_BUCKETS];
    uint64_t count;   /* == sum of counts[] */
    uint64_t sum;     /* of all values, exact; wraps only after 584 years of nanoseconds */
    uint64_t highest; /* exact */
};

void histogram_init(struct histogram *histogram) FP_NONNULL(1);
void histogram_add(struct histogram *histogram, uint64_t value) FP_NONNULL(1);
void histogram_merge(struct histogram *into, const struct histogram *from) FP_NONNULL(1, 2);

/* The value that `quantile` (0.0 to 1.0) of all do not exceed; 0 where there are none. */
uint64_t histogram_quantile(const struct histogram *histogram, double quantile) FP_NONNULL(1);

#endif
