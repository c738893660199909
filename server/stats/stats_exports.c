/* SPDX-License-Identifier: BSD-3-Clause
 *
 * stats exports: the block devices, who uses them and how. */
#include <stdio.h>

#include "server/stats/stats_internal.h"

struct exports_context {
    const struct stats_sink *sink;
    struct exports *exports;
};

static const char *state_of(const struct export *export, const struct export_about *about)
{
    if (about->lost) return "lost";
    if (export->connections > 0) return "used";
    return export->rule->lifetime == CONFIG_CONNECTION ? "waits" : "idle";
}

static void emit_export(void *opaque, const struct export *export)
{
    static const char *const counters[] = {
#define X(name, meaning) #name,
        EXPORT_COUNTERS(X)
#undef X
    };
    const struct exports_context *context = opaque;
    struct export_about about;
    char prefix[sizeof export->name + 1];
    exports_about(context->exports, export, &about);
    (void)snprintf(prefix, sizeof prefix, "%s:", export->name);
    struct stats_sink sink = {context->sink->emit, context->sink->context, prefix};
    stats_text(&sink, "area", export->area->name);
    stats_text(&sink, "identity", about.identity);
    stats_text(&sink, "state", state_of(export, &about));
    stats_number(&sink, "size_bytes", about.size_bytes);
    stats_number(&sink, "page_bytes", about.page_bytes);
    stats_text(&sink, "read_only", about.read_only ? "yes" : "no");
    stats_number(&sink, "connections", export->connections);
    stats_number(&sink, "stored", atomic_load(&export->area->counters.stored));
    for (int i = 0; i < EXPORT_COUNTERS_COUNT; i++)
        stats_number(&sink, counters[i], atomic_load(&export->counters[i]));
}

void stats_exports(struct shared *shared, const struct stats_sink *sink)
{
    struct exports_context context = {sink, &shared->exports};
    exports_each(&shared->exports, emit_export, &context);
}
