/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The histograms: how long operations take, and what things are packed to. */
#include <stdio.h>

#include "server/measure/latency.h"
#include "server/metrics/metrics_group.h"
#include "storage/compress/compressor_sizes.h"

/* --- operations ------------------------------------------------------------------------------- */

/* 1 us to 1 s, in powers of two of nanoseconds: the buckets of latency.h go into them whole. */
enum { POWER_LEAST = 10, POWER_MOST = 30 };
_Static_assert(POWER_MOST - POWER_LEAST < METRIC_BOUNDS_MAX, "they must fit");

struct operation_item {
    struct metric_labels labels;
    struct metric_histogram seconds;
};

static const struct metric operation_rows[] = {
    {"farpage_operation_duration_seconds", METRIC_HISTOGRAM, METRIC_NANOSECONDS,
     "How long the server works on a request until its answer is written.",
     offsetof(struct operation_item, seconds)},
};

static void fill_seconds(const struct latency_sum *sum, struct metric_histogram *seconds)
{
    unsigned bucket = 0;
    uint64_t below = 0;
    for (unsigned power = POWER_LEAST; power <= POWER_MOST; power++) {
        uint64_t bound = (uint64_t)1 << power;
        while (latency_bucket_end(bucket) <= bound) below += sum->counts[bucket++];
        seconds->bounds[power - POWER_LEAST] = bound;
        seconds->counts[power - POWER_LEAST] = below;
    }
    seconds->bound_count = POWER_MOST - POWER_LEAST + 1;
    seconds->count = sum->count;
    seconds->sum = sum->sum_ns;
}

static size_t fill_operations(struct shared *shared, void *items)
{
    struct operation_item *item = items;
    for (int i = OPERATION_NONE + 1; i < OPERATIONS_COUNT; i++, item++) {
        struct latency_sum sum;
        latencies_sum(shared->latencies, shared->worker_count, (enum operation)i, &sum);
        snprintf(item->labels.texts[0], METRIC_LABEL_BYTES, "%s",
                 operation_name((enum operation)i));
        fill_seconds(&sum, &item->seconds);
    }
    return OPERATIONS_COUNT - OPERATION_NONE - 1;
}

const struct metric_group metrics_of_operations = {
    .metrics = operation_rows, .metric_count = FP_COUNT_OF(operation_rows),
    .labels = {"operation"}, .item_bytes = sizeof(struct operation_item),
    .items_max = OPERATIONS_COUNT, .fill = fill_operations};

/* --- sizes ------------------------------------------------------------------------------------ */

_Static_assert((int)PACKED_SIZES <= (int)METRIC_BOUNDS_MAX, "they must fit");

struct size_item {
    struct metric_labels labels;
    struct metric_histogram bytes;
};

static const struct metric size_rows[] = {
    {"farpage_packed_size_bytes", METRIC_HISTOGRAM, METRIC_PLAIN,
     "What pages and pieces of values were packed to; those that did not shrink are not in it.",
     offsetof(struct size_item, bytes)},
};

static size_t fill_sizes(struct shared *shared, void *items)
{
    struct metric_histogram *bytes = &((struct size_item *)items)->bytes;
    struct packed_sizes sizes;
    compressor_sizes(store_compressors(shared->store), &sizes);
    for (unsigned i = 0; i <= PACKED_SIZES; i++) {
        bytes->count += sizes.counts[i];
        if (i == PACKED_SIZES) break;
        bytes->bounds[i] = packed_size_bytes[i];
        bytes->counts[i] = bytes->count;
    }
    bytes->bound_count = PACKED_SIZES;
    bytes->sum = sizes.sum_bytes;
    return 1;
}

const struct metric_group metrics_of_sizes = {
    .metrics = size_rows, .metric_count = FP_COUNT_OF(size_rows),
    .item_bytes = sizeof(struct size_item), .items_max = 1, .fill = fill_sizes};
