/* SPDX-License-Identifier: BSD-3-Clause
 * stats - every number that is shown, by section, as name and value. The same report serves the
 * text protocol, the page protocol and the command.
 *
 * Plain `stats` carries memcached's names, so that its monitors work unchanged, and ours with the
 * prefix farpage_. docs/statistics.md has a row for each name; a test compares.
 *
 * Threads: any. Blocks: for short locks; `conns` and `classes` for one each a row.
 */
#ifndef FARPAGE_SERVER_STATS_H
#define FARPAGE_SERVER_STATS_H
#include "base/slice.h"
#include "server/shared.h"

typedef void stats_emit(void *context, const char *name, const char *value);

/* Emits each line of `section` (empty: the general ones). False: no such section. */
bool stats_report(struct shared *shared, struct slice section, stats_emit *emit, void *context)
    FP_MUST_CHECK FP_NONNULL(1, 3);

/* What `stats reset` does: what is counted in plain `stats`, by class of items and by prefix reads
 * 0 from now on. */
void stats_reset(struct shared *shared) FP_NONNULL(1);

/* The names of the sections, blank separated, for a message. */
const char *stats_sections(void);

/* What all areas hold together. */
struct stats_pages {
    uint64_t areas, stored, stored_bytes, same_filled, incompressible, packed_bytes;
};
struct stats_pages stats_sum_pages(struct shared *shared) FP_NONNULL(1);

#endif
