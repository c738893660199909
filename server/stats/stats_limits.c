/* SPDX-License-Identifier: BSD-3-Clause
 *
 * `stats zswap`: what the kernel's zswap counts, by its names; `stats tenants`: what each holds;
 * `stats shrink`: how far memory is with becoming less; `stats pressure`: what the host takes. */
#include <stdio.h>

#include "base/arith.h"
#include "server/jobs/process.h"
#include "server/stats/stats_internal.h"
#include "storage/store/page/store_area.h"
#include "storage/store/spill/store_spill.h"

/* Areas that are no more have left theirs behind. */
static uint64_t sum_duplicates(struct shared *shared)
{
    uint64_t sum = atomic_load(&store_counters(shared->store)->ended_duplicates);
    struct area *area = NULL;
    while ((area = store_area_next(shared->store, area)) != NULL)
        sum += atomic_load(&area->counters.duplicates);
    return sum;
}

static void emit_marks(struct shared *shared, const struct stats_sink *sink)
{
    const struct watermarks *marks = store_watermarks(shared->store);
    struct watermark_levels levels = watermarks_levels(marks);
    uint64_t limit = budget_wanted(store_budget(shared->store));
    stats_number(sink, "limit_bytes", limit);
    stats_number(sink, "high_bytes", watermark_bytes(limit, levels.high));
    stats_number(sink, "low_bytes", watermark_bytes(limit, levels.low));
    stats_number(sink, "accept_bytes", watermark_bytes(limit, levels.accept));
    stats_text(sink, "full", atomic_load(&marks->full) ? "yes" : "no");
    stats_text(sink, "reclaiming", atomic_load(&marks->reclaiming) ? "yes" : "no");
}

void stats_zswap(struct shared *shared, const struct stats_sink *sink)
{
    const struct store_counters *counters = store_counters(shared->store);
    struct stats_pages pages = stats_sum_pages(shared);
    struct zpool_fill fill = zpool_fill(store_zpool(shared->store));
    stats_number(sink, "pool_total_size", fill.held_pages * PAGES_BYTES);
    stats_number(sink, "stored_pages", pages.stored);
    stats_number(sink, "same_filled_pages", pages.same_filled);
    stats_number(sink, "stored_incompressible_pages", pages.incompressible);
    stats_number(sink, "pool_limit_hit", atomic_load(&counters->pool_limit_hit));
    stats_number(sink, "written_back_pages", atomic_load(&counters->written_back_pages));
    stats_number(sink, "reject_reclaim_fail", atomic_load(&counters->reject_reclaim_fail));
    stats_number(sink, "reject_alloc_fail", atomic_load(&counters->reject_alloc_fail));
    stats_number(sink, "reject_kmemcache_fail", atomic_load(&counters->reject_kmemcache_fail));
    stats_number(sink, "reject_compress_fail", atomic_load(&counters->reject_compress_fail));
    stats_number(sink, "reject_compress_poor", atomic_load(&counters->reject_compress_poor));
    stats_number(sink, "decompress_fail", atomic_load(&counters->decompress_fail));
    stats_number(sink, "duplicate_entry", sum_duplicates(shared));
    stats_number(sink, "reject_quota", atomic_load(&counters->reject_quota));
    stats_number(sink, "unused_pages", atomic_load(&counters->unused_pages));
    emit_marks(shared, sink);
}

static void emit_tenant(struct shared *shared, uint8_t number, const struct stats_sink *outer)
{
    const struct tenants *tenants = store_tenants(shared->store);
    const struct tenant *tenant = &tenants->of[number];
    uint64_t limit = budget_wanted(store_budget(shared->store));
    char prefix[TENANT_NAME_CAPACITY + 1];
    snprintf(prefix, sizeof prefix, "%s:", tenant->name);
    struct stats_sink sink = {outer->emit, outer->context, prefix};
    stats_text(&sink, "configured", atomic_load(&tenant->configured) ? "yes" : "no");
    stats_number(&sink, "bytes", atomic_load(&tenant->bytes));
    stats_number(&sink, "item_bytes", atomic_load(&tenant->item_bytes));
    stats_number(&sink, "items", atomic_load(&tenant->items));
    stats_number(&sink, "pages", atomic_load(&tenant->pages));
    stats_number(&sink, "quota_bytes", atomic_load(&tenant->quota_bytes));
    stats_number(&sink, "quota_pages", atomic_load(&tenant->quota_pages));
    stats_number(&sink, "guaranteed_bytes", tenants_guaranteed(tenants, number, limit));
    stats_number(&sink, "borrowed_bytes", tenants_borrowed(tenants, number, limit));
    stats_number(&sink, "evictions", atomic_load(&tenant->evictions));
    stats_number(&sink, "over_quota", atomic_load(&tenant->over_quota));
    stats_number(&sink, "over_reserve", atomic_load(&tenant->over_reserve));
    stats_number(&sink, "written_back_pages", atomic_load(&tenant->written_back_pages));
}

void stats_tenants(struct shared *shared, const struct stats_sink *sink)
{
    uint32_t count = atomic_load(&store_tenants(shared->store)->count);
    for (uint32_t i = 0; i < count; i++) emit_tenant(shared, (uint8_t)i, sink);
}

/* --- shrinking -------------------------------------------------------------------------------- */

struct held { /* of memory now, by what it takes for it to give way */
    uint64_t items, pages; /* packed bytes */
    uint64_t gaps;         /* whole pages that closing gaps would give */
};

static struct held look_at_held(struct shared *shared)
{
    const struct tenants *tenants = store_tenants(shared->store);
    struct held held = {
        .gaps = zpool_freeable_pages(store_zpool(shared->store)) * (uint64_t)PAGES_BYTES};
    for (uint32_t i = 0; i < atomic_load(&tenants->count); i++)
        held.items += atomic_load(&tenants->of[i].item_bytes);
    struct area *area = NULL;
    while ((area = store_area_next(shared->store, area)) != NULL) {
        uint64_t packed = atomic_load(&area->counters.packed_bytes);
        uint64_t spilled = atomic_load(&area->counters.spilled_bytes);
        held.pages += packed > spilled ? packed - spilled : 0;
    }
    return held;
}

/* What of it could give way, as things are set, and at most. */
static uint64_t gives_way(struct shared *shared, const struct held *held)
{
    struct spill_file *file = store_spill_file(shared->store);
    uint64_t sum = store_evicts(shared->store) ? held->items : 0;
    if (atomic_load(&shared->settings.compaction) != CONFIG_COMPACTION_OFF) sum += held->gaps;
    if (file == NULL || !store_spill_makes_room(shared->store)) return sum;
    struct spill_file_fill fill = spill_file_fill(file);
    return sum + min_u64(held->pages, fill.size_bytes - fill.live_bytes);
}

/* What memory holds, and what of it stays whatever is done. */
static void emit_kept(struct shared *shared, uint64_t held_bytes, const struct stats_sink *sink)
{
    const struct budget *budget = store_budget(shared->store);
    static const enum budget_use uses[] = {BUDGET_FIXED, BUDGET_CONNECTIONS, BUDGET_MAPS,
                                           BUDGET_SLOTS};
    char name[64];
    struct held held = look_at_held(shared);
    uint64_t goes = gives_way(shared, &held);
    stats_number(sink, "stays_bytes", held_bytes > goes ? held_bytes - goes : 0);
    stats_number(sink, "kept_items_bytes", held.items);
    stats_number(sink, "kept_pages_bytes", held.pages);
    stats_number(sink, "kept_gaps_bytes", held.gaps);
    for (size_t i = 0; i < FP_COUNT_OF(uses); i++) {
        snprintf(name, sizeof name, "kept_%s_bytes", budget_use_name(uses[i]));
        stats_number(sink, name, budget_held(budget, uses[i]));
    }
}

/* Until it fits, as it goes now; "-" where it does not go. */
static void emit_seconds_left(const struct shrinking *shrinking, uint64_t left_bytes,
                              const struct stats_sink *sink)
{
    uint64_t per_s = atomic_load(&shrinking->bytes_per_s);
    bool works = atomic_load(&shrinking->state) == SHRINK_WORKING;
    if (left_bytes > 0 && (per_s == 0 || !works)) stats_text(sink, "seconds_left", "-");
    else stats_number(sink, "seconds_left", left_bytes > 0 ? div_up_u64(left_bytes, per_s) : 0);
}

void stats_shrink(struct shared *shared, const struct stats_sink *sink)
{
    const struct shrinking *shrinking = &shared->shrinking;
    uint64_t held = budget_total(store_budget(shared->store));
    uint64_t limit = budget_wanted(store_budget(shared->store));
    uint64_t left = held > limit ? held - limit : 0;
    stats_text(sink, "state", shrink_state_name(atomic_load(&shrinking->state)));
    stats_number(sink, "limit_bytes", limit);
    stats_number(sink, "held_bytes", held);
    stats_number(sink, "over_limit_bytes", left);
    stats_number(sink, "bytes_per_s", left > 0 ? atomic_load(&shrinking->bytes_per_s) : 0);
    emit_seconds_left(shrinking, left, sink);
    stats_number(sink, "resident_bytes", process_resident_bytes());
    stats_number(sink, "runs", atomic_load(&shrinking->runs));
    stats_number(sink, "run_limit_bytes", atomic_load(&shrinking->limit_bytes));
    stats_number(sink, "run_from_bytes", atomic_load(&shrinking->from_bytes));
    stats_number(sink, "run_percent", shrinking_percent(shrinking, held));
    stats_number(sink, "run_ms", atomic_load(&shrinking->took_ns) / 1000000);
    stats_number(sink, "items_gone", atomic_load(&shrinking->items_gone));
    stats_number(sink, "pages_written_back", atomic_load(&shrinking->pages_written_back));
    stats_number(sink, "pages_compacted", atomic_load(&shrinking->pages_compacted));
    stats_text(sink, "reason", shrink_reason_text(atomic_load(&shrinking->reason)));
    emit_kept(shared, held, sink);
}

void stats_pressure(struct shared *shared, const struct stats_sink *sink)
{
    const struct pressure *pressure = &shared->pressure;
    const struct settings *settings = &shared->settings;
    bool on = atomic_load(&settings->pressure) == CONFIG_SWITCH_ON;
    bool watching = atomic_load(&pressure->watching);
    bool lower = atomic_load(&pressure->limit_bytes) != UINT64_MAX;
    uint64_t limit = atomic_load(&shared->limit_bytes);
    const char *state = !on ? "off" : !watching ? "unknown" : lower ? "lowered" : "none";
    stats_text(sink, "state", state);
    stats_number(sink, "configured_limit_bytes", limit);
    stats_number(sink, "limit_bytes", budget_wanted(store_budget(shared->store)));
    stats_number(sink, "floor_bytes",
                 limit / 100 * atomic_load(&settings->pressure_floor_percent));
    stats_number(sink, "stalled_percent", atomic_load(&pressure->stalled_percent));
    stats_number(sink, "threshold_percent", atomic_load(&settings->pressure_stall_percent));
    stats_number(sink, "lowered", atomic_load(&pressure->lowered));
    stats_number(sink, "raised", atomic_load(&pressure->raised));
}
