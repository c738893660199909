/* SPDX-License-Identifier: BSD-3-Clause
 *
 * What the memory holds: `stats memory`, `zpool`, `classes`, `compressors`. */
#include <inttypes.h>
#include <stdio.h>

#include "server/stats/stats_internal.h"
#include "storage/store/page/store_area.h"
#include "storage/store/spill/store_spill.h"

void stats_memory(struct shared *shared, const struct stats_sink *sink)
{
    struct budget *budget = store_budget(shared->store);
    char name[64];
    for (int use = 0; use < BUDGET_USES_COUNT; use++) {
        snprintf(name, sizeof name, "%s_bytes", budget_use_name((enum budget_use)use));
        stats_number(sink, name, budget_held(budget, (enum budget_use)use));
    }
    stats_number(sink, "total_bytes", budget_total(budget));
    uint64_t total = budget_total(budget), limit = budget_wanted(budget);
    stats_number(sink, "limit_bytes", limit);
    stats_number(sink, "over_limit_bytes", total > limit ? total - limit : 0);
}

struct stats_pages stats_sum_pages(struct shared *shared)
{
    struct stats_pages sum = {0};
    struct area *area = NULL;
    while ((area = store_area_next(shared->store, area)) != NULL) {
        uint64_t stored = atomic_load(&area->counters.stored);
        sum.areas++;
        sum.stored += stored;
        sum.stored_bytes += stored * area->page_bytes;
        sum.same_filled += atomic_load(&area->counters.same_filled);
        sum.incompressible += atomic_load(&area->counters.incompressible);
        sum.packed_bytes += atomic_load(&area->counters.packed_bytes);
    }
    return sum;
}

void stats_zpool(struct shared *shared, const struct stats_sink *sink)
{
    struct zpool *pool = store_zpool(shared->store);
    const struct zpool_properties *properties = zpool_properties(pool);
    struct zpool_fill fill = zpool_fill(pool);
    const struct store_counters *counters = store_counters(shared->store);
    struct stats_pages pages = stats_sum_pages(shared);
    uint64_t held_bytes = fill.held_pages * PAGES_BYTES;
    uint64_t stored_bytes = pages.stored_bytes + atomic_load(&counters->item_value_bytes);
    uint64_t compressed_bytes = pages.packed_bytes + atomic_load(&counters->item_packed_bytes) +
                                store_spill_items(shared->store).object_bytes;
    stats_text(sink, "allocator", properties->name);
    stats_number(sink, "object_bytes_max", properties->object_bytes_max);
    stats_text(sink, "sleep_mapped", properties->sleep_mapped ? "yes" : "no");
    stats_text(sink, "movable", properties->movable ? "yes" : "no");
    stats_number(sink, "stored_bytes", stored_bytes);
    stats_number(sink, "compressed_bytes", compressed_bytes);
    stats_number(sink, "objects", fill.object_count);
    stats_number(sink, "objects_bytes", fill.object_bytes);
    stats_number(sink, "rounding_bytes", fill.rounding_bytes);
    stats_number(sink, "headers_bytes", fill.header_bytes);
    stats_number(sink, "free_bytes", fill.free_bytes);
    stats_number(sink, "held_bytes", held_bytes);
    stats_number(sink, "held_pages", fill.held_pages);
    stats_number(sink, "zspages", fill.zspage_count);
    stats_number(sink, "table_bytes", fill.table_bytes);
    stats_number(sink, "pinned", fill.pinned_count);
    stats_number(sink, "pages_compacted", atomic_load(&shared->compaction.total.freed_pages));
    stats_ratio(sink, "density", compressed_bytes, held_bytes);
}

/* Calls `each` for the classes that hold anything, numbered from 1. */
static void each_class(struct shared *shared, const struct stats_sink *outer,
                       void (*each)(const struct stats_sink *sink, const struct zpool_class *row))
{
    struct zpool *pool = store_zpool(shared->store);
    for (unsigned i = 0; i < zpool_class_count(pool); i++) {
        struct zpool_class row;
        char prefix[16];
        zpool_class(pool, i, &row);
        if (row.zspage_count == 0) continue;
        snprintf(prefix, sizeof prefix, "%u:", i + 1);
        struct stats_sink sink = {outer->emit, outer->context, prefix};
        each(&sink, &row);
    }
}

/* Zspages that are used to less than 10 %, less than 20 %, ..., and full ones. */
static void emit_fullness(const struct stats_sink *sink, const struct zpool_class *row)
{
    char text[ZPOOL_FULLNESS_GROUPS * 21];
    size_t at = 0;
    for (unsigned i = 0; i < ZPOOL_FULLNESS_GROUPS; i++)
        at += (size_t)snprintf(text + at, sizeof text - at, "%s%" PRIu64, i == 0 ? "" : " ",
                               row->fullness[i]);
    stats_text(sink, "fullness", text);
}

static void emit_class(const struct stats_sink *sink, const struct zpool_class *row)
{
    stats_number(sink, "slot_bytes", row->slot_bytes);
    stats_number(sink, "objects", row->object_count);
    stats_number(sink, "slots", row->slot_count);
    stats_number(sink, "zspages", row->zspage_count);
    stats_number(sink, "pages", row->zspage_count * row->pages_per_zspage);
    stats_number(sink, "slots_per_zspage", row->slots_per_zspage);
    stats_number(sink, "pages_per_zspage", row->pages_per_zspage);
    stats_number(sink, "freeable_pages", row->freeable_pages);
    stats_number(sink, "objects_bytes", row->object_bytes);
    stats_number(sink, "rounding_bytes", row->rounding_bytes);
    stats_number(sink, "headers_bytes", row->header_bytes);
    stats_number(sink, "free_bytes", row->free_bytes);
    emit_fullness(sink, row);
}

void stats_classes(struct shared *shared, const struct stats_sink *sink)
{
    each_class(shared, sink, emit_class);
}

static void emit_compressor(const struct stats_sink *sink, const struct compressor_row *row)
{
    char level[16];
    snprintf(level, sizeof level, "%d", row->level);
    stats_text(sink, "algorithm", row->algorithm);
    stats_text(sink, "level", level);
    stats_text(sink, "state", row->state == COMPRESSOR_CURRENT ? "current" : "draining");
    stats_number(sink, "age_ms", row->age_ms);
    stats_number(sink, "state_age_ms", row->state_age_ms);
    stats_text(sink, "resurrected", row->resurrected ? "yes" : "no");
    stats_number(sink, "dictionary", row->dictionary_id);
    stats_number(sink, "dictionary_bytes", row->dictionary_bytes);
    stats_number(sink, "objects", row->objects);
    stats_number(sink, "users", row->users);
    stats_number(sink, "plain_bytes", row->plain_bytes);
    stats_number(sink, "packed_bytes", row->packed_bytes);
    stats_ratio(sink, "ratio", row->plain_bytes, row->packed_bytes);
    stats_number(sink, "packs", row->packs);
    stats_number(sink, "incompressible", row->incompressible);
    stats_number(sink, "unpacks", row->unpacks);
    stats_number(sink, "failures", row->failures);
}

void stats_compressors(struct shared *shared, const struct stats_sink *sink)
{
    struct compressor_pool *pool = store_compressors(shared->store);
    for (int id = 0; id < COMPRESSOR_SEATS; id++) {
        struct compressor_row row;
        char prefix[16];
        compressor_row(pool, (uint8_t)id, &row);
        if (row.state == COMPRESSOR_EMPTY) continue;
        snprintf(prefix, sizeof prefix, "%d:", id);
        struct stats_sink seat = {sink->emit, sink->context, prefix};
        emit_compressor(&seat, &row);
    }
    stats_number(sink, "swaps", compressor_swap_count(pool));
}

static void emit_job(const struct compaction *compaction, const struct stats_sink *sink)
{
    static const char *const states[] = {"none", "waiting", "running", "done"};
    const struct compaction_count *job = &compaction->job;
    enum compaction_state state = compaction_state(compaction);
    bool waits = state == COMPACTION_WAITING; /* the counts are still the last one's */
    stats_number(sink, "job", atomic_load(&compaction->asked));
    stats_text(sink, "job_state", states[state]);
    stats_number(sink, "job_moved_objects", waits ? 0 : atomic_load(&job->moved_objects));
    stats_number(sink, "job_freed_pages", waits ? 0 : atomic_load(&job->freed_pages));
    stats_number(sink, "job_skipped_pinned", waits ? 0 : atomic_load(&job->skipped_pinned));
    stats_number(sink, "job_us", waits ? 0 : atomic_load(&compaction->job_ns) / 1000);
}

void stats_compaction(struct shared *shared, const struct stats_sink *sink)
{
    static const char *const modes[] = {"auto", "manual", "off"};
    const struct compaction *compaction = &shared->compaction;
    enum compaction_state state = compaction_state(compaction);
    bool busy = state == COMPACTION_WAITING || state == COMPACTION_RUNNING;
    uint64_t freeable_pages = zpool_freeable_pages(store_zpool(shared->store));
    stats_text(sink, "mode", modes[atomic_load(&shared->settings.compaction) % 3]);
    stats_text(sink, "state", busy ? "running" : "idle");
    stats_number(sink, "moved_objects", atomic_load(&compaction->total.moved_objects));
    stats_number(sink, "freed_pages", atomic_load(&compaction->total.freed_pages));
    stats_number(sink, "skipped_pinned", atomic_load(&compaction->total.skipped_pinned));
    stats_number(sink, "freeable_pages", freeable_pages);
    stats_number(sink, "freeable_bytes", freeable_pages * PAGES_BYTES);
    stats_number(sink, "runs", atomic_load(&compaction->ended));
    stats_number(sink, "last_ms", atomic_load(&compaction->last_ns) / 1000000);
    emit_job(compaction, sink);
}
