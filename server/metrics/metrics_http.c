/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The door for monitors itself. */
#include <stdio.h>

#include "server/metrics/metrics_group.h"

struct http_item {
    struct metric_labels labels;
    uint64_t count;
};

enum { CLOSED_UNANSWERED = 2 };

static const struct metric http_rows[] = {
    {"farpage_http_requests_total", METRIC_COUNTER, METRIC_PLAIN,
     "Requests of monitors by status; too_slow: closed without an answer.",
     offsetof(struct http_item, count)},
};

static size_t fill_http(struct shared *shared, void *items)
{
    struct http_item *item = items;
    const struct http_counts *counts = &shared->http;
    for (int i = 0; i < HTTP_STATUSES_COUNT; i++, item++) {
        snprintf(item->labels.texts[0], METRIC_LABEL_BYTES, "%u",
                 http_status_number((enum http_status)i));
        item->count = atomic_load(&counts->answered[i]);
    }
    snprintf(item->labels.texts[0], METRIC_LABEL_BYTES, "too_slow");
    item++->count = atomic_load(&counts->too_slow);
    snprintf(item->labels.texts[0], METRIC_LABEL_BYTES, "turned_away");
    item->count = atomic_load(&counts->turned_away);
    return HTTP_STATUSES_COUNT + CLOSED_UNANSWERED;
}

const struct metric_group metrics_of_http = {
    .metrics = http_rows, .metric_count = FP_COUNT_OF(http_rows), .labels = {"status"},
    .item_bytes = sizeof(struct http_item), .items_max = HTTP_STATUSES_COUNT + CLOSED_UNANSWERED,
    .fill = fill_http};
