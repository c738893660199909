/* SPDX-License-Identifier: BSD-3-Clause */
#include "server/stats/stats.h"

#include <inttypes.h>
#include <stdio.h>

#include "server/metrics/metrics.h"
#include "server/stats/stats_internal.h"
#include "storage/store/store_classes.h"

static const struct section {
    const char *name;
    void (*report)(struct shared *shared, const struct stats_sink *sink);
} sections[] = {
    {"", stats_general},         {"settings", stats_settings}, {"memory", stats_memory},
    {"areas", stats_areas},      {"zpool", stats_zpool},       {"classes", stats_classes},
    {"slabs", stats_slabs},      {"items", stats_items},     {"compressors", stats_compressors},
    {"conns", stats_conns},      {"sessions", stats_sessions}, {"compaction", stats_compaction},
    {"dictionaries", stats_dictionaries}, {"exports", stats_exports},
    {"zswap", stats_zswap},      {"recompress", stats_recompress},
    {"scrub", stats_scrub},
    {"tenants", stats_tenants},  {"shrink", stats_shrink},
    {"pressure", stats_pressure},
    {"spill", stats_spill},
    {"maps", stats_maps},        {"sizes", stats_sizes},       {"metrics", stats_metrics},
    {"latency", stats_latency},
    {"sizes_enable", stats_sizes_status}, {"sizes_disable", stats_sizes_status},
};

/* Where memory is out the rest is missing: who reads it sees that by the names. */
void stats_metrics(struct shared *shared, const struct stats_sink *sink)
{
    (void)!metrics_each(shared, sink->emit, sink->context);
}

bool stats_report(struct shared *shared, struct slice section, stats_emit *emit, void *context)
{
    const struct stats_sink sink = {.emit = emit, .context = context, .prefix = ""};
    for (size_t i = 0; i < FP_COUNT_OF(sections); i++) {
        if (!slice_is(section, sections[i].name)) continue;
        sections[i].report(shared, &sink);
        return true;
    }
    return false;
}

const char *stats_sections(void)
{
    return "settings memory areas zpool classes slabs items sizes compressors dictionaries "
           "zswap compaction recompress scrub exports conns sessions maps latency metrics tenants "
           "shrink pressure reset";
}

void stats_reset(struct shared *shared)
{
    struct shared_before *before = &shared->before;
    const struct store_counters *store = store_counters(shared->store);
    for (int i = 0; i < WORKER_COUNTERS_COUNT; i++)
        atomic_store(&before->workers[i], shared_counted(shared, (enum worker_counter)i));
#define X(name, text) atomic_store(&before->store.name, atomic_load(&store->name));
    STORE_COUNTERS(X)
#undef X
    atomic_store(&before->rejected, atomic_load(&shared->conns.rejected));
    atomic_store(&before->listen_pauses, atomic_load(&shared->listen_pauses));
    atomic_store(&before->lines_sent, atomic_load(&shared->watchers.sent));
    atomic_store(&before->lines_skipped, atomic_load(&shared->watchers.skipped));
    store_classes_reset(shared->store);
    prefixes_forget(&shared->prefixes);
}

void stats_text(const struct stats_sink *sink, const char *name, const char *value)
{
    char full[192];
    snprintf(full, sizeof full, "%s%s", sink->prefix, name);
    sink->emit(sink->context, full, value);
}

void stats_since(const struct stats_sink *sink, const char *name, const _Atomic uint64_t *counter,
                 const _Atomic uint64_t *before)
{
    stats_number(sink, name, shared_since(atomic_load(counter), before));
}

void stats_number(const struct stats_sink *sink, const char *name, uint64_t value)
{
    char text[24];
    snprintf(text, sizeof text, "%" PRIu64, value);
    stats_text(sink, name, text);
}

void stats_ratio(const struct stats_sink *sink, const char *name, uint64_t over, uint64_t under)
{
    char text[32];
    snprintf(text, sizeof text, "%.3f", under == 0 ? 0.0 : (double)over / (double)under);
    stats_text(sink, name, text);
}
