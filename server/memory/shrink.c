/* SPDX-License-Identifier: BSD-3-Clause */
#include "server/memory/shrink.h"

#include <sched.h>

#include "base/arith.h"
#include "base/clock.h"
#include "server/watch/watch_events.h"
#include "storage/store/spill/store_spill.h"

enum {
    EVICTIONS_PER_LOOK = 64,
    MOVES_PER_LOOK = 64,
    WORTH_A_LINE_BYTES = 1 << 20, /* connections come and go by less */
    TELL_EVERY_NS = 100000000,    /* watchers */
    RATE_EVERY_NS = 500000000,
};

/* --- what is told ----------------------------------------------------------------------------- */

const char *shrink_state_name(int state)
{
    static const char *const names[] = {"idle", "working", "stuck"};
    return names[state];
}

const char *shrink_reason_text(int reason)
{
    static const char *const texts[] = {
#define X(reason, text) text,
        SHRINK_REASONS(X)
#undef X
    };
    return texts[reason];
}

unsigned shrinking_percent(const struct shrinking *shrinking, uint64_t held_bytes)
{
    uint64_t from = atomic_load(&shrinking->from_bytes);
    uint64_t limit = atomic_load(&shrinking->limit_bytes);
    if (from <= limit || held_bytes <= limit) return 100;
    return held_bytes >= from ? 0 : (unsigned)((from - held_bytes) / ((from - limit) / 100 + 1));
}

static uint64_t items_gone(struct shared *shared)
{
    const struct store_counters *counters = store_counters(shared->store);
    return atomic_load(&counters->item_evictions) + atomic_load(&counters->item_reclaims);
}

static uint64_t written_back(struct shared *shared)
{
    return atomic_load(&store_counters(shared->store)->written_back_pages);
}

static uint64_t compacted(struct shared *shared)
{
    return atomic_load(&shared->compaction.total.freed_pages);
}

static bool is_worth_a_line(const struct shrinking *shrinking)
{
    return atomic_load(&shrinking->from_bytes) >
           atomic_load(&shrinking->limit_bytes) + WORTH_A_LINE_BYTES;
}

static void tell_watchers(struct shrink *shrink, struct shared *shared, bool now)
{
    uint64_t now_ns = clock_monotonic_ns();
    if (!watched(&shared->watchers, WATCH_SHRINK) || !is_worth_a_line(&shared->shrinking)) return;
    if (!now && now_ns < shrink->told_ns + TELL_EVERY_NS) return;
    shrink->told_ns = now_ns;
    watch_shrink(&shared->watchers, &shared->shrinking, budget_total(store_budget(shared->store)));
}

/* As it went since half a second ago, or since the beginning of a run that is shorter. */
static void rate(struct shrink *shrink, struct shared *shared)
{
    uint64_t now_ns = clock_monotonic_ns(), took_ns = now_ns - shrink->rated_ns;
    uint64_t held = budget_total(store_budget(shared->store));
    bool first = atomic_load(&shared->shrinking.bytes_per_s) == 0;
    if (took_ns < (first ? TELL_EVERY_NS : RATE_EVERY_NS)) return;
    double gone = shrink->rated_bytes > held ? (double)(shrink->rated_bytes - held) : 0;
    atomic_store(&shared->shrinking.bytes_per_s, (uint64_t)(gone * 1e9 / (double)took_ns));
    shrink->rated_ns = now_ns;
    shrink->rated_bytes = held;
}

static void note(struct shrink *shrink, struct shared *shared)
{
    struct shrinking *shrinking = &shared->shrinking;
    atomic_store(&shrinking->items_gone, items_gone(shared) - shrink->items_before);
    atomic_store(&shrinking->pages_written_back, written_back(shared) - shrink->written_before);
    atomic_store(&shrinking->pages_compacted, compacted(shared) - shrink->compacted_before);
    atomic_store(&shrinking->took_ns, clock_monotonic_ns() - atomic_load(&shrinking->begun_ns));
    rate(shrink, shared);
}

/* --- its life --------------------------------------------------------------------------------- */

static void begin(struct shrink *shrink, struct shared *shared)
{
    struct shrinking *shrinking = &shared->shrinking;
    struct budget *budget = store_budget(shared->store);
    *shrink = (struct shrink){.items_before = items_gone(shared),
                              .written_before = written_back(shared),
                              .compacted_before = compacted(shared),
                              .rated_ns = clock_monotonic_ns(),
                              .rated_bytes = budget_total(budget)};
    atomic_store(&shrinking->bytes_per_s, 0);
    atomic_store(&shrinking->limit_bytes, budget_wanted(budget));
    atomic_store(&shrinking->from_bytes, budget_total(budget));
    atomic_store(&shrinking->begun_ns, clock_monotonic_ns());
    atomic_store(&shrinking->reason, SHRINK_NOTHING);
    atomic_store(&shrinking->state, SHRINK_WORKING);
    atomic_fetch_add(&shrinking->runs, 1);
    note(shrink, shared);
    tell_watchers(shrink, shared, true);
}

static void end(struct shrink *shrink, struct shared *shared)
{
    struct shrinking *shrinking = &shared->shrinking;
    if (atomic_load(&shrinking->state) == SHRINK_IDLE) return;
    note(shrink, shared);
    atomic_store(&shrinking->state, SHRINK_IDLE);
    atomic_store(&shrinking->reason, SHRINK_NOTHING);
    atomic_store(&shrinking->bytes_per_s, 0);
    tell_watchers(shrink, shared, true);
    if (!is_worth_a_line(shrinking)) return;
    log_event(shared->log, LOG_INFO, "memory was given back",
              log_number("limit_bytes", atomic_load(&shrinking->limit_bytes)),
              log_number("from_bytes", atomic_load(&shrinking->from_bytes)),
              log_number("items_gone", atomic_load(&shrinking->items_gone)),
              log_number("pages_written_back", atomic_load(&shrinking->pages_written_back)),
              log_number("ms", atomic_load(&shrinking->took_ns) / 1000000));
}

static enum shrink_reason reason_of(struct shared *shared)
{
    struct store *store = shared->store;
    uint64_t pages = 0, items = 0, held = budget_held(store_budget(store), BUDGET_PAYLOAD);
    const struct tenants *tenants = store_tenants(store);
    for (uint32_t i = 0; i < atomic_load(&tenants->count); i++) {
        uint64_t of_items = atomic_load(&tenants->of[i].item_bytes);
        items += of_items;
        pages += atomic_load(&tenants->of[i].bytes) - of_items;
    }
    if (!store_evicts(store) && items > pages) return SHRINK_NO_EVICTION;
    if (pages > held / 2 && store_spill_file(store) == NULL) return SHRINK_NO_TIER;
    return store_spill_file(store) != NULL && pages > 0 ? SHRINK_TIER_FULL : SHRINK_PROGRAM;
}

static void stick(struct shrink *shrink, struct shared *shared)
{
    struct shrinking *shrinking = &shared->shrinking;
    struct budget *budget = store_budget(shared->store);
    budget_set_limit(budget, atomic_load(&shrinking->limit_bytes)); /* nothing new, until it fits */
    note(shrink, shared);
    if (atomic_load(&shrinking->state) == SHRINK_STUCK) return;
    enum shrink_reason reason = reason_of(shared);
    atomic_store(&shrinking->reason, (int)reason);
    atomic_store(&shrinking->state, SHRINK_STUCK);
    tell_watchers(shrink, shared, true);
    if (!is_worth_a_line(shrinking)) return;
    log_event(shared->log, LOG_WARN, "the memory limit cannot be kept: nothing more gives way",
              log_number("limit_bytes", atomic_load(&shrinking->limit_bytes)),
              log_number("held_bytes", budget_total(budget)),
              log_number("items", store_item_count(shared->store)),
              log_text("evictions", store_evicts(shared->store) ? "on" : "off"),
              log_text("reason", shrink_reason_text((int)reason)));
}

/* --- what is done ----------------------------------------------------------------------------- */

/* Whether closing gaps would be enough as things are. */
static bool has_gaps_enough(struct shared *shared)
{
    struct budget *budget = store_budget(shared->store);
    uint64_t total = budget_total(budget), wanted = budget_wanted(budget);
    if (atomic_load(&shared->settings.compaction) == CONFIG_COMPACTION_OFF) return false;
    uint64_t gaps = zpool_freeable_pages(store_zpool(shared->store)) * PAGES_BYTES;
    return total <= wanted || total - wanted <= gaps;
}

static bool evict_some(struct shared *shared, struct store_scratch *scratch)
{
    bool some = false;
    if (!store_evicts(shared->store) || store_spill_takes_items(shared->store)) return false;
    for (int i = 0; i < EVICTIONS_PER_LOOK; i++) {
        if (!store_drop_one(shared->store, scratch)) break;
        some = true;
    }
    return some;
}

/* False: there is nothing to gain. */
static bool close_gaps(struct shared *shared)
{
    if (atomic_load(&shared->settings.compaction) == CONFIG_COMPACTION_OFF) return false;
    struct zpool_step step = zpool_compact(store_zpool(shared->store), MOVES_PER_LOOK);
    compaction_note(&shared->compaction,
                    &(struct compaction_step){step.moved_count, step.freed_pages,
                                              step.skipped_pinned_count},
                    clock_monotonic_ns());
    return !step.done;
}

/* False: neither gives anything. */
static bool work(struct shared *shared, struct store_scratch *scratch)
{
    if (has_gaps_enough(shared) && close_gaps(shared)) return true;
    return evict_some(shared, scratch) || close_gaps(shared);
}

/* Cold pages may pack to less; once in a run, where a stronger compressor is configured. */
static bool repack(struct shrink *shrink, struct shared *shared)
{
    uint64_t stronger = setting(&shared->settings.recompress_stronger);
    bool off = (enum config_stronger)(stronger >> 32) == CONFIG_STRONGER_OFF;
    if (!shrink->repacks && !off)
        shrink->repacks = recompression_start(&shared->recompression) == RECOMPRESSION_OK;
    if (!shrink->repacks) return false;
    return atomic_load(&shared->recompression.running) || atomic_load(&shared->recompression.asked);
}

/* Other threads are at it: whoever asks again at the next tick finds less. */
static bool others_work(struct shrink *shrink, struct shared *shared)
{
    return store_spill_makes_room(shared->store) || repack(shrink, shared);
}

void shrink_step(struct shrink *shrink, struct shared *shared, struct store_scratch *scratch,
                 uint64_t ends_ns, const _Atomic bool *stopping)
{
    struct shrinking *shrinking = &shared->shrinking;
    struct budget *budget = store_budget(shared->store);
    struct arena *arena = zpool_arena(store_zpool(shared->store));
    while (!budget_settle(budget)) {
        bool another = atomic_load(&shrinking->limit_bytes) != budget_wanted(budget);
        if (atomic_load(&shrinking->state) == SHRINK_IDLE || another) begin(shrink, shared);
        bool more = work(shared, scratch);
        if (arena_cached_pages(arena) > 0) arena_trim(arena);
        if (!more && !budget_settle(budget)) {
            if (others_work(shrink, shared)) break;
            stick(shrink, shared);
            return;
        }
        if (clock_monotonic_ns() >= ends_ns || atomic_load(stopping)) break;
        sched_yield();
    }
    if (budget_settle(budget)) {
        end(shrink, shared);
        return;
    }
    atomic_store(&shrinking->state, SHRINK_WORKING);
    note(shrink, shared);
    tell_watchers(shrink, shared, false);
}
