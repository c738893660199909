/* SPDX-License-Identifier: BSD-3-Clause */
#include "server/stats/stats_internal.h"
#include "storage/store/page/store_area.h"
#include "storage/store/spill/store_spill.h"

static const char *const stands[] = {
#define X(name, text) text,
    SPILL_STANDS(X)
#undef X
};

static void emit_what(struct shared *shared, const struct stats_sink *sink)
{
    uint64_t pages = 0, bytes = 0;
    struct area *area = NULL;
    while ((area = store_area_next(shared->store, area)) != NULL) {
        pages += atomic_load(&area->counters.spilled);
        bytes += atomic_load(&area->counters.spilled_bytes);
    }
    stats_number(sink, "pages", pages);
    stats_number(sink, "packed_bytes", bytes);
    struct spilled_items items = store_spill_items(shared->store);
    stats_number(sink, "items", items.items);
    stats_number(sink, "item_packed_bytes", items.object_bytes);
    stats_number(sink, "item_value_bytes", items.value_bytes);
}

static void emit_file(struct spill_file *file, const struct stats_sink *sink)
{
    struct spill_file_fill fill = {0};
    if (file != NULL) fill = spill_file_fill(file);
    stats_text(sink, "kind", file == NULL ? "none" : fill.device ? "device" : "file");
    stats_text(sink, "past_page_cache", fill.direct ? "yes" : "no");
    stats_number(sink, "size_bytes", fill.size_bytes);
    stats_number(sink, "extent_used_bytes", fill.used_bytes);
    stats_number(sink, "live_bytes", fill.live_bytes);
    stats_number(sink, "disk_bytes", fill.disk_bytes);
    stats_number(sink, "given_back_bytes", fill.given_back_bytes);
    stats_number(sink, "written_bytes", fill.written_bytes);
    stats_number(sink, "read_bytes", fill.read_bytes);
    stats_number(sink, "write_errors", fill.write_errors);
    stats_number(sink, "read_errors", fill.read_errors);
    stats_number(sink, "bad_records", fill.corrupt);
}

void stats_spill(struct shared *shared, const struct stats_sink *sink)
{
    const struct spill_counters *counters = store_spill_counters(shared->store);
    stats_text(sink, "state", stands[atomic_load(&shared->spill.stand)]);
    emit_what(shared, sink);
    emit_file(store_spill_file(shared->store), sink);
#define X(name, text) stats_number(sink, #name, atomic_load(&counters->name));
    SPILL_COUNTERS(X)
#undef X
    stats_number(sink, "throttle_bytes", setting(&shared->settings.spill_throttle_bytes));
    stats_number(sink, "throttled_ms", atomic_load(&shared->spill.throttled_ns) / 1000000);
}
