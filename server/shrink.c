/* SPDX-License-Identifier: BSD-3-Clause */
#include "server/shrink.h"

#include <sched.h>

#include "base/clock.h"

enum {
    EVICTIONS_PER_LOOK = 64,
    MOVES_PER_LOOK = 64,
    WORTH_A_LINE_BYTES = 1 << 20, /* connections come and go by less */
};

static uint64_t evictions_of(struct shared *shared)
{
    const struct store_counters *counters = store_counters(shared->store);
    return atomic_load(&counters->item_evictions) + atomic_load(&counters->item_reclaims);
}

/* --- what is told ----------------------------------------------------------------------------- */

static bool is_worth_a_line(const struct shrink *shrink)
{
    return shrink->from_bytes > shrink->wanted_bytes + WORTH_A_LINE_BYTES;
}

static void begin(struct shrink *shrink, struct shared *shared)
{
    struct budget *budget = store_budget(shared->store);
    *shrink = (struct shrink){.state = SHRINK_WORKING,
                              .wanted_bytes = budget_wanted(budget),
                              .from_bytes = budget_total(budget),
                              .begun_ns = clock_monotonic_ns(),
                              .evictions = evictions_of(shared)};
}

static void end(struct shrink *shrink, struct shared *shared)
{
    bool tell = shrink->state != SHRINK_IDLE && is_worth_a_line(shrink);
    shrink->state = SHRINK_IDLE;
    if (!tell) return;
    log_event(shared->log, LOG_INFO, "memory was given back",
              log_number("limit_bytes", shrink->wanted_bytes),
              log_number("from_bytes", shrink->from_bytes),
              log_number("items_gone", evictions_of(shared) - shrink->evictions),
              log_number("ms", (clock_monotonic_ns() - shrink->begun_ns) / 1000000));
}

static void stick(struct shrink *shrink, struct shared *shared)
{
    struct budget *budget = store_budget(shared->store);
    budget_set_limit(budget, shrink->wanted_bytes); /* nothing new, until it fits */
    if (shrink->state == SHRINK_STUCK) return;
    shrink->state = SHRINK_STUCK;
    if (!is_worth_a_line(shrink)) return;
    uint64_t held = budget_total(budget);
    log_event(shared->log, LOG_WARN, "the memory limit cannot be kept: nothing more gives way",
              log_number("limit_bytes", shrink->wanted_bytes), log_number("held_bytes", held),
              log_number("items", store_item_count(shared->store)),
              log_text("evictions", store_evicts(shared->store) ? "on" : "off"));
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
    if (!store_evicts(shared->store)) return false;
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

void shrink_step(struct shrink *shrink, struct shared *shared, struct store_scratch *scratch,
                 uint64_t ends_ns, const _Atomic bool *stopping)
{
    struct budget *budget = store_budget(shared->store);
    struct arena *arena = zpool_arena(store_zpool(shared->store));
    while (!budget_settle(budget)) {
        if (shrink->state == SHRINK_IDLE || shrink->wanted_bytes != budget_wanted(budget))
            begin(shrink, shared);
        bool more = work(shared, scratch);
        if (arena_cached_pages(arena) > 0) arena_trim(arena);
        if (!more && !budget_settle(budget)) {
            stick(shrink, shared);
            return;
        }
        if (clock_monotonic_ns() >= ends_ns || atomic_load(stopping)) return;
        sched_yield();
    }
    end(shrink, shared);
}
