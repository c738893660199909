/* SPDX-License-Identifier: BSD-3-Clause
 * metrics_group - rows of metrics that are about the same things: one group for the server as a
 * whole, one for areas, one for seats. A group fills an item for each thing, and each row says
 * where in the item its number stands. Seen by metrics*.c only. */
#ifndef FARPAGE_SERVER_METRICS_METRICS_GROUP_H
#define FARPAGE_SERVER_METRICS_METRICS_GROUP_H
#include <stddef.h>

#include "server/metrics/metrics.h"

enum { METRIC_LABELS_MAX = 4, METRIC_LABEL_BYTES = 72, METRIC_VALUE_BYTES = 40 };

enum metric_kind { METRIC_COUNTER, METRIC_GAUGE, METRIC_HISTOGRAM };
enum metric_unit { METRIC_PLAIN, METRIC_NANOSECONDS /* thousand millionths are shown as ones */ };

struct metric {
    const char *name;
    enum metric_kind kind;
    enum metric_unit unit;
    const char *help;
    size_t offset; /* in the group's item, of the uint64_t or struct metric_histogram */
};

enum { METRIC_BOUNDS_MAX = 24 };

struct metric_histogram {
    unsigned bound_count;
    uint64_t bounds[METRIC_BOUNDS_MAX], counts[METRIC_BOUNDS_MAX]; /* up to each, all below too */
    uint64_t count, sum;
};

/* What an item begins with: the texts of the group's labels, printable ASCII. */
struct metric_labels {
    char texts[METRIC_LABELS_MAX][METRIC_LABEL_BYTES];
};

struct metric_group {
    const struct metric *metrics;
    size_t metric_count;
    const char *labels[METRIC_LABELS_MAX]; /* names; NULL behind the last */
    size_t item_bytes, items_max;
    /* Fills zeroed items; returns how many. */
    size_t (*fill)(struct shared *shared, void *items);
};

/* Rows of a table X(name, kind, unit, help, member) about `struct item`. */
#define METRIC_ROW(item, name, kind, unit, help, member)                                           \
    {name, METRIC_##kind, METRIC_##unit, help, offsetof(struct item, member)},

extern const struct metric_group metrics_of_build, metrics_of_process, metrics_of_server,
    metrics_of_requests, metrics_of_connections, metrics_of_http, metrics_of_memory,
    metrics_of_pool,
    metrics_of_operations, metrics_of_sizes, metrics_of_seats, metrics_of_areas, metrics_of_exports,
    metrics_of_tiers, metrics_of_tenants, metrics_of_jobs;

#endif
