/* SPDX-License-Identifier: BSD-3-Clause
 * stats_internal - how the files of stats emit a line. Seen by stats*.c only. */
#ifndef FARPAGE_SERVER_STATS_INTERNAL_H
#define FARPAGE_SERVER_STATS_INTERNAL_H
#include "server/stats/stats.h"

struct stats_sink {
    stats_emit *emit;
    void *context;
    const char *prefix; /* "swap:" before each name, or "" */
};

void stats_text(const struct stats_sink *sink, const char *name, const char *value);
void stats_number(const struct stats_sink *sink, const char *name, uint64_t value);
/* What a counter has counted since the last reset. */
void stats_since(const struct stats_sink *sink, const char *name, const _Atomic uint64_t *counter,
                 const _Atomic uint64_t *before);
void stats_ratio(const struct stats_sink *sink, const char *name, uint64_t over, uint64_t under);

void stats_general(struct shared *shared, const struct stats_sink *sink);
void stats_settings(struct shared *shared, const struct stats_sink *sink);
void stats_conns(struct shared *shared, const struct stats_sink *sink);
void stats_maps(struct shared *shared, const struct stats_sink *sink);
void stats_memory(struct shared *shared, const struct stats_sink *sink);
void stats_exports(struct shared *shared, const struct stats_sink *sink);
void stats_areas(struct shared *shared, const struct stats_sink *sink);
void stats_sessions(struct shared *shared, const struct stats_sink *sink);
void stats_zpool(struct shared *shared, const struct stats_sink *sink);
void stats_classes(struct shared *shared, const struct stats_sink *sink);
void stats_items(struct shared *shared, const struct stats_sink *sink);
void stats_slabs(struct shared *shared, const struct stats_sink *sink);
void stats_sizes(struct shared *shared, const struct stats_sink *sink);
void stats_sizes_status(struct shared *shared, const struct stats_sink *sink);
void stats_shrink(struct shared *shared, const struct stats_sink *sink);
void stats_pressure(struct shared *shared, const struct stats_sink *sink);
void stats_tenants(struct shared *shared, const struct stats_sink *sink);
void stats_spill(struct shared *shared, const struct stats_sink *sink);
void stats_zswap(struct shared *shared, const struct stats_sink *sink);
void stats_compaction(struct shared *shared, const struct stats_sink *sink);
void stats_recompress(struct shared *shared, const struct stats_sink *sink);
void stats_scrub(struct shared *shared, const struct stats_sink *sink);
void stats_compressors(struct shared *shared, const struct stats_sink *sink);
void stats_latency(struct shared *shared, const struct stats_sink *sink);
void stats_metrics(struct shared *shared, const struct stats_sink *sink);
void stats_dictionaries(struct shared *shared, const struct stats_sink *sink);

#endif
