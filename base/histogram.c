/* SPDX-License-Identifier: BSD-3-Clause */
#include "base/histogram.h"

#include <string.h>

#include "base/check.h"

/* Bucket of v >= 64: with e = floor(log2 v) >= 6, the five bits below the leading one choose one of
 * 32 buckets of width 2^(e-5). */
static unsigned bucket_of(uint64_t value)
{
    if (value < 64) return (unsigned)value;
    unsigned exponent = 63u - (unsigned)__builtin_clzll(value);
    unsigned fraction = (unsigned)(value >> (exponent - 5)) & 31u;
    return 64 + (exponent - 6) * 32 + fraction;
}

static uint64_t bucket_top(unsigned bucket)
{
    if (bucket < 64) return bucket;
    unsigned exponent = (bucket - 64) / 32 + 6;
    uint64_t fraction = (bucket - 64) % 32;
    return ((33 + fraction) << (exponent - 5)) - 1;
}

void histogram_init(struct histogram *histogram)
{
    memset(histogram, 0, sizeof *histogram);
}

void histogram_add(struct histogram *histogram, uint64_t value)
{
    unsigned bucket = bucket_of(value);
    fp_assert(bucket < HISTOGRAM_BUCKETS);
    histogram->counts[bucket]++;
    histogram->count++;
    histogram->sum += value;
    if (value > histogram->highest) histogram->highest = value;
}

void histogram_merge(struct histogram *into, const struct histogram *from)
{
    for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++) into->counts[i] += from->counts[i];
    into->count += from->count;
    into->sum += from->sum;
    if (from->highest > into->highest) into->highest = from->highest;
}

uint64_t histogram_quantile(const struct histogram *histogram, double quantile)
{
    fp_assert(quantile >= 0.0 && quantile <= 1.0);
    if (histogram->count == 0) return 0;
    uint64_t wanted = (uint64_t)((double)histogram->count * quantile + 0.5);
    if (wanted == 0) wanted = 1;
    if (wanted > histogram->count) wanted = histogram->count;
    uint64_t seen = 0;
    unsigned bucket = 0;
    while ((seen += histogram->counts[bucket]) < wanted) bucket++;
    uint64_t top = bucket_top(bucket);
    return top < histogram->highest ? top : histogram->highest;
}
