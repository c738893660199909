/* SPDX-License-Identifier: BSD-3-Clause
 *
 * `stats latency`: how long operations take, for people. */
#include <stdio.h>

#include "server/measure/latency.h"
#include "server/stats/stats_internal.h"

void stats_latency(struct shared *shared, const struct stats_sink *sink)
{
    for (int i = OPERATION_NONE + 1; i < OPERATIONS_COUNT; i++) {
        struct latency_sum sum;
        char prefix[32];
        latencies_sum(shared->latencies, shared->worker_count, (enum operation)i, &sum);
        if (sum.count == 0) continue;
        snprintf(prefix, sizeof prefix, "%s:", operation_name((enum operation)i));
        struct stats_sink row = {sink->emit, sink->context, prefix};
        stats_number(&row, "count", sum.count);
        stats_number(&row, "mean_ns", sum.sum_ns / sum.count);
        stats_number(&row, "p50_ns", latency_quantile(&sum, 0.5));
        stats_number(&row, "p99_ns", latency_quantile(&sum, 0.99));
        stats_number(&row, "p999_ns", latency_quantile(&sum, 0.999));
        stats_number(&row, "highest_ns", sum.highest_ns);
    }
}
