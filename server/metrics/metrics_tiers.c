/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Around memory: the file below it, who has how much of it, and what makes it less. */
#include <stdio.h>

#include "server/metrics/metrics_group.h"
#include "storage/store/page/store_area.h"
#include "storage/store/spill/store_spill.h"

/* --- the file below, and limits --------------------------------------------------------------- */

struct tier_item {
    struct metric_labels labels;
    struct spill_file_fill file;
#define X(name, text) uint64_t name;
    SPILL_COUNTERS(X)
#undef X
    uint64_t pages, pages_bytes, items, items_bytes, throttled_ns;
    uint64_t full, limit_hits, shrink_runs, configured_bytes, lowered, raised;
    uint64_t stalled; /* thousand millionths */
};

#define TIER_METRICS(X)                                                                            \
    X("farpage_spill_pages", GAUGE, PLAIN, "Pages in the file below memory.", pages)               \
    X("farpage_spill_pages_bytes", GAUGE, PLAIN, "Their objects.", pages_bytes)                    \
    X("farpage_spill_items", GAUGE, PLAIN, "Items in the file below memory.", items)               \
    X("farpage_spill_items_bytes", GAUGE, PLAIN, "Their objects.", items_bytes)                    \
    X("farpage_spill_file_size_bytes", GAUGE, PLAIN, "Size of the file; 0: there is none.",        \
      file.size_bytes)                                                                             \
    X("farpage_spill_file_used_bytes", GAUGE, PLAIN, "Of it, extents in use.", file.used_bytes)    \
    X("farpage_spill_file_live_bytes", GAUGE, PLAIN, "Of these, what somebody needs.",             \
      file.live_bytes)                                                                             \
    X("farpage_spill_file_disk_bytes", GAUGE, PLAIN, "What it takes of the disk, at most.",        \
      file.disk_bytes)                                                                             \
    X("farpage_spill_given_back_bytes_total", COUNTER, PLAIN,                                      \
      "Of free extents, given back to the file system.", file.given_back_bytes)                    \
    X("farpage_spill_written_bytes_total", COUNTER, PLAIN, "Written to it.", file.written_bytes)   \
    X("farpage_spill_read_bytes_total", COUNTER, PLAIN, "Read from it.", file.read_bytes)          \
    X("farpage_spill_write_errors_total", COUNTER, PLAIN, "Writes that failed.",                   \
      file.write_errors)                                                                           \
    X("farpage_spill_read_errors_total", COUNTER, PLAIN, "Reads that failed.", file.read_errors)   \
    X("farpage_spill_bad_records_total", COUNTER, PLAIN, "Reads that were not what was written.",  \
      file.corrupt)                                                                                \
    X("farpage_spill_pages_written_total", COUNTER, PLAIN, "Pages that went there.",               \
      spilled_total)                                                                               \
    X("farpage_spill_not_written_total", COUNTER, PLAIN,                                           \
      "Pages written in vain: touched, changed or mapped meanwhile.", not_spilled)                 \
    X("farpage_spill_loads_total", COUNTER, PLAIN, "Loads answered from there.", spilled_loads)    \
    X("farpage_spill_promotions_total", COUNTER, PLAIN, "Pages brought back into memory.",         \
      promotions)                                                                                  \
    X("farpage_spill_failed_loads_total", COUNTER, PLAIN,                                          \
      "Loads of pages that could not be read, or were not what was written.", failed_loads)        \
    X("farpage_spill_moved_pages_total", COUNTER, PLAIN, "Pages moved to free sparse extents.",    \
      moved_pages)                                                                                 \
    X("farpage_spill_items_written_total", COUNTER, PLAIN, "Items that went there.",               \
      items_spilled)                                                                               \
    X("farpage_spill_items_not_written_total", COUNTER, PLAIN,                                     \
      "Items written in vain: used, replaced or ended meanwhile.", items_not_spilled)              \
    X("farpage_spill_item_reads_total", COUNTER, PLAIN, "Times an item was answered from there.",  \
      item_reads)                                                                                  \
    X("farpage_spill_item_promotions_total", COUNTER, PLAIN, "Items brought back into memory.",    \
      item_promotions)                                                                             \
    X("farpage_spill_item_failed_reads_total", COUNTER, PLAIN,                                     \
      "Items that could not be read: they were misses, and ended.", item_failed_reads)             \
    X("farpage_spill_items_ended_total", COUNTER, PLAIN,                                           \
      "Items there that ended to make room, the coldest first.", items_ended)                      \
    X("farpage_spill_moved_pieces_total", COUNTER, PLAIN,                                          \
      "Pieces of items moved to free sparse extents.", moved_pieces)                               \
    X("farpage_spill_file_full_total", COUNTER, PLAIN,                                             \
      "Times nothing could be written for want of room.", file_full)                               \
    X("farpage_spill_throttled_seconds_total", COUNTER, NANOSECONDS,                               \
      "Time that writing waited for its throttle.", throttled_ns)                                  \
    X("farpage_memory_configured_limit_bytes", GAUGE, PLAIN,                                       \
      "The limit where the host is not short of memory.", configured_bytes)                        \
    X("farpage_memory_full", GAUGE, PLAIN, "1 while pages are refused until less is held.", full)  \
    X("farpage_memory_limit_hits_total", COUNTER, PLAIN, "Times the limit was reached.",           \
      limit_hits)                                                                                  \
    X("farpage_memory_shrink_runs_total", COUNTER, PLAIN, "Times a lower limit was approached.",   \
      shrink_runs)                                                                                 \
    X("farpage_pressure_stalled_ratio", GAUGE, NANOSECONDS,                                        \
      "Of lately, the part in which the host waited for memory.", stalled)                         \
    X("farpage_pressure_lowered_total", COUNTER, PLAIN, "Times the limit gave way for it.",        \
      lowered)                                                                                     \
    X("farpage_pressure_raised_total", COUNTER, PLAIN, "Times it came back.", raised)

static const struct metric tier_rows[] = {
#define X(name, kind, unit, help, member) METRIC_ROW(tier_item, name, kind, unit, help, member)
    TIER_METRICS(X)
#undef X
};

static void sum_spilled(struct shared *shared, struct tier_item *item)
{
    struct area *area = NULL;
    while ((area = store_area_next(shared->store, area)) != NULL) {
        item->pages += atomic_load(&area->counters.spilled);
        item->pages_bytes += atomic_load(&area->counters.spilled_bytes);
    }
}

static size_t fill_tiers(struct shared *shared, void *items)
{
    struct tier_item *item = items;
    struct spill_file *file = store_spill_file(shared->store);
    const struct spill_counters *counters = store_spill_counters(shared->store);
    if (file != NULL) item->file = spill_file_fill(file);
#define X(name, text) item->name = atomic_load(&counters->name);
    SPILL_COUNTERS(X)
#undef X
    sum_spilled(shared, item);
    struct spilled_items items_there = store_spill_items(shared->store);
    item->items = items_there.items;
    item->items_bytes = items_there.object_bytes;
    item->throttled_ns = atomic_load(&shared->spill.throttled_ns);
    item->full = atomic_load(&store_watermarks(shared->store)->full);
    item->limit_hits = atomic_load(&store_counters(shared->store)->pool_limit_hit);
    item->shrink_runs = atomic_load(&shared->shrinking.runs);
    item->configured_bytes = atomic_load(&shared->limit_bytes);
    item->lowered = atomic_load(&shared->pressure.lowered);
    item->raised = atomic_load(&shared->pressure.raised);
    item->stalled = atomic_load(&shared->pressure.stalled_percent) * (uint64_t)10000000;
    return 1;
}

const struct metric_group metrics_of_tiers = {
    .metrics = tier_rows, .metric_count = FP_COUNT_OF(tier_rows),
    .item_bytes = sizeof(struct tier_item), .items_max = 1, .fill = fill_tiers};

/* --- tenants ---------------------------------------------------------------------------------- */

struct tenant_item {
    struct metric_labels labels;
    uint64_t bytes, items, pages, quota_bytes, quota_pages, evictions, over_quota, over_reserve,
        written_back;
};

#define TENANT_METRICS(X)                                                                          \
    X("farpage_tenant_bytes", GAUGE, PLAIN, "What it holds, packed.", bytes)                       \
    X("farpage_tenant_items", GAUGE, PLAIN, "Its items.", items)                                   \
    X("farpage_tenant_pages", GAUGE, PLAIN, "Its pages.", pages)                                   \
    X("farpage_tenant_quota_bytes", GAUGE, PLAIN, "Its quota; 0: none.", quota_bytes)              \
    X("farpage_tenant_quota_pages", GAUGE, PLAIN, "Its quota of pages; 0: none.", quota_pages)     \
    X("farpage_tenant_evictions_total", COUNTER, PLAIN, "Its items that gave way.", evictions)     \
    X("farpage_tenant_over_quota_total", COUNTER, PLAIN, "Stores refused because of its quota.",   \
      over_quota)                                                                                  \
    X("farpage_tenant_over_reserve_total", COUNTER, PLAIN,                                         \
      "Stores refused because the rest is reserved for others.", over_reserve)                     \
    X("farpage_tenant_written_back_pages_total", COUNTER, PLAIN, "Its pages gone to the file.",    \
      written_back)

static const struct metric tenant_rows[] = {
#define X(name, kind, unit, help, member) METRIC_ROW(tenant_item, name, kind, unit, help, member)
    TENANT_METRICS(X)
#undef X
};

static size_t fill_tenants(struct shared *shared, void *items)
{
    struct tenant_item *item = items;
    const struct tenants *tenants = store_tenants(shared->store);
    uint32_t count = atomic_load(&tenants->count);
    for (uint32_t i = 0; i < count; i++, item++) {
        const struct tenant *tenant = &tenants->of[i];
        snprintf(item->labels.texts[0], METRIC_LABEL_BYTES, "%s", tenant->name);
        item->bytes = atomic_load(&tenant->bytes);
        item->items = atomic_load(&tenant->items);
        item->pages = atomic_load(&tenant->pages);
        item->quota_bytes = atomic_load(&tenant->quota_bytes);
        item->quota_pages = atomic_load(&tenant->quota_pages);
        item->evictions = atomic_load(&tenant->evictions);
        item->over_quota = atomic_load(&tenant->over_quota);
        item->over_reserve = atomic_load(&tenant->over_reserve);
        item->written_back = atomic_load(&tenant->written_back_pages);
    }
    return count;
}

const struct metric_group metrics_of_tenants = {
    .metrics = tenant_rows, .metric_count = FP_COUNT_OF(tenant_rows), .labels = {"tenant"},
    .item_bytes = sizeof(struct tenant_item), .items_max = TENANTS_MAX, .fill = fill_tenants};
