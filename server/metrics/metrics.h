/* SPDX-License-Identifier: BSD-3-Clause
 * metrics - every number for machines, in Prometheus' names, each from one row of a table:
 * /metrics, /api/v1/stats and the section `stats metrics` are three ways to write the same.
 *
 * Counters count from the start of the server, whatever `stats reset` did; their names end in
 * _total. Bytes and seconds are in the names. Rows about areas, exports and seats are limited
 * (METRICS_*_MAX): what is beyond an area's or export's limit is in the sums only.
 * docs/metrics.md has a row for each name; a test compares.
 *
 * Threads: any. Blocks: for short locks. FP_NO_MEMORY: what was written is not whole.
 */
#ifndef FARPAGE_SERVER_METRICS_METRICS_H
#define FARPAGE_SERVER_METRICS_METRICS_H
#include "server/peer/output.h"
#include "server/shared.h"

enum { METRICS_AREAS_MAX = 100, METRICS_EXPORTS_MAX = 100, METRICS_SEATS_MAX = 32 };

enum metrics_form {
    METRICS_PROMETHEUS, /* text format 0.0.4 */
    METRICS_JSON, /* {NAME: number, NAME: [{LABEL: text, ..., "value": number}, ...]} */
};

enum fp_status metrics_write(struct shared *shared, enum metrics_form form, struct output *output)
    FP_MUST_CHECK FP_NONNULL(1, 3);

/* Calls `each` with "NAME{label=\"text\"}" and the value. */
enum fp_status metrics_each(struct shared *shared,
                            void (*each)(void *context, const char *name, const char *value),
                            void *context) FP_MUST_CHECK FP_NONNULL(1, 2);

#endif
