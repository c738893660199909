/* SPDX-License-Identifier: BSD-3-Clause */
#include "server/stats.h"

#include <inttypes.h>
#include <stdio.h>

#include "server/stats_internal.h"

static const struct section {
    const char *name;
    void (*report)(struct shared *shared, const struct stats_sink *sink);
} sections[] = {
    {"", stats_general},         {"settings", stats_settings}, {"memory", stats_memory},
    {"areas", stats_areas},      {"zpool", stats_zpool},       {"classes", stats_classes},
    {"slabs", stats_slabs},      {"items", stats_items},     {"compressors", stats_compressors},
    {"conns", stats_conns},      {"sessions", stats_sessions}, {"compaction", stats_compaction},
    {"dictionaries", stats_dictionaries}, {"exports", stats_exports},
    {"recompress", stats_recompress}, {"maps", stats_maps},    {"sizes", stats_sizes},
    {"sizes_enable", stats_sizes_status}, {"sizes_disable", stats_sizes_status},
};

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
           "compaction recompress exports conns sessions maps reset";
}

void stats_reset(struct shared *shared)
{
    for (int i = 0; i < WORKER_COUNTERS_COUNT; i++)
        atomic_fetch_add(&shared->baseline[i], shared_counter(shared, (enum worker_counter)i));
    prefixes_forget(&shared->prefixes);
}

void stats_text(const struct stats_sink *sink, const char *name, const char *value)
{
    char full[192];
    snprintf(full, sizeof full, "%s%s", sink->prefix, name);
    sink->emit(sink->context, full, value);
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
