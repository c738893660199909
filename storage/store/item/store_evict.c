/* SPDX-License-Identifier: BSD-3-Clause
 *
 * How items end that nobody deletes. When a request wants memory that is not there, the one whose
 * turn it is gives way. And the crawler looks at all of them in turn, some of one shard at a
 * time, and ends those that have died.
 */
#include "base/arith.h"
#include "storage/keydir/keydir_walk.h"
#include "storage/store/spill/store_spill.h"
#include "storage/store/store_internal.h"
#include "storage/store/store_tenant.h"

enum {
    REAP_ITEMS_PER_STEP = 256, /* some 50 us under the shard's lock where none is in the cache */
    REAP_STEPS_FOR_ROOM = 4,    /* of a request that may evict nothing */
    TABLE_PART_MIN = 10,        /* less of it in use: it goes with the items */
    TURNS_BEFORE_FORCE = 16,    /* each a few items looked at: nobody waits longer for a victim */
};

void store_set_eviction(struct store *store, bool on)
{
    atomic_store(&store->keeps_items, !on);
}

bool store_evicts(const struct store *store)
{
    return !atomic_load_explicit(&store->keeps_items, memory_order_relaxed);
}

void store_on_eviction(struct store *store, store_evicted *evicted, void *context)
{
    store->on_eviction.tell = evicted;
    store->on_eviction.context = context;
}

/* --- giving way ------------------------------------------------------------------------------- */

struct store_victim store_end_victim_locked(struct store *store, struct store_scratch *scratch,
                                            struct keydir_shard *shard, struct item *item)
{
    bool dead = store_item_dead(store, scratch, item);
    store_count(dead ? &store->counters.item_reclaims : &store->counters.item_evictions, 1);
    if (dead) keydir_count_dead_locked(shard, item);
    else keydir_count_evicted_locked(shard, item, scratch->now_ms);
    if (!dead) store_count(&store->tenants.of[item->tenant].evictions, 1);
    store_unlink_locked(store, shard, item);
    if (shard->item_count < shard->capacity / TABLE_PART_MIN) keydir_fit_locked(shard);
    return (struct store_victim){.item = item, .dead = dead};
}

void store_end_victim(struct store *store, struct store_scratch *scratch,
                      struct store_victim *victim)
{
    if (victim->item == NULL) return;
    if (!victim->dead && store->on_eviction.tell != NULL)
        store->on_eviction.tell(store->on_eviction.context, victim->item, scratch->now_ms);
    store_item_release(store, scratch, &victim->item);
}

/* False: see keydir_victim_locked. */
static bool end_victim(struct store *store, struct store_scratch *scratch,
                       const struct keydir_turn *turn, bool force)
{
    struct store_victim gone = {.item = NULL};
    lock_take(&turn->shard->lock);
    struct item *item = keydir_victim_locked(turn, force);
    if (item != NULL) gone = store_end_victim_locked(store, scratch, turn->shard, item);
    lock_drop(&turn->shard->lock);
    store_end_victim(store, scratch, &gone);
    return item != NULL;
}

static bool drop_one_of(struct store *store, struct store_scratch *scratch, uint8_t tenant)
{
    struct keydir_turn turn;
    for (unsigned turns = 0; keydir_turn(&store->keydir, tenant, &turn); turns++)
        if (end_victim(store, scratch, &turn, turns >= TURNS_BEFORE_FORCE)) return true;
    return false;
}

static uint32_t count_tenants(const struct store *store)
{
    return atomic_load_explicit(&store->tenants.count, memory_order_relaxed);
}

bool store_drop_one(struct store *store, struct store_scratch *scratch)
{
    lock_assert_none();
    uint8_t first = TENANT_DEFAULT;
    if (store_end_step(store, scratch)) return true;
    (void)!tenants_next_in_need(&store->tenants, TENANT_ITEMS, budget_wanted(&store->budget),
                                &first);
    for (uint32_t i = 0, count = count_tenants(store); i < count; i++) /* all its are mapped? */
        if (drop_one_of(store, scratch, (uint8_t)((first + i) % count))) return true;
    return false;
}

/* Who borrows most gives way, whoever wants the memory; where nobody borrows, who wants it. */
static bool drop_one_for(struct store *store, struct store_scratch *scratch)
{
    lock_assert_none();
    uint8_t victim;
    if (count_tenants(store) == 1) return drop_one_of(store, scratch, TENANT_DEFAULT);
    bool found = tenants_most_borrowed(&store->tenants, TENANT_ITEMS,
                                       budget_wanted(&store->budget), &victim);
    if (found && drop_one_of(store, scratch, victim)) return true;
    return drop_one_of(store, scratch, scratch->tenant);
}

static bool drop_dead_ones(struct store *store, struct store_scratch *scratch)
{
    uint64_t before = atomic_load(&store->counters.crawler_reclaimed);
    for (int i = 0; i < REAP_STEPS_FOR_ROOM; i++) store_reap_step(store, scratch);
    return atomic_load(&store->counters.crawler_reclaimed) != before;
}

bool store_waits_for_room(const struct store *store, const struct store_scratch *scratch)
{
    if (!scratch->may_wait || !store_spill_takes_items(store)) return false;
    struct watermark_levels levels = watermarks_levels(&store->watermarks);
    uint32_t percent = levels.accept > levels.high ? levels.accept : levels.high;
    return budget_total(&store->budget) > watermark_bytes(budget_limit(&store->budget), percent);
}

bool store_evict_one(struct store *store, struct store_scratch *scratch)
{
    if (store_end_step(store, scratch)) return true;
    if (store_waits_for_room(store, scratch)) {
        scratch->later = true;
        return false;
    }
    struct sampling sampling = sampled_begin(&scratch->evicting, false);
    bool gone = store_evicts(store) ? drop_one_for(store, scratch)
                                    : drop_dead_ones(store, scratch);
    sampled_end(&scratch->evicting, sampling);
    if (gone) store_count(&store->counters.direct_reclaims, 1);
    return gone;
}

/* For what a quota of its own refused (scratch->refused), unless all its items would not do. */
static bool evict_own(struct store *store, struct store_scratch *scratch)
{
    const struct tenant *tenant = &store->tenants.of[scratch->tenant];
    uint64_t quota = atomic_load(&tenant->quota_bytes), items = atomic_load(&tenant->item_bytes);
    uint64_t held = atomic_load(&tenant->bytes), wanted = scratch->refused.bytes;
    if (scratch->refused.pages > 0) return false;
    if (quota == 0) return true; /* a reload took it away */
    if (wanted > quota || held - min_u64(held, items) > quota - wanted) return false;
    bool gone = store_evicts(store) ? drop_one_of(store, scratch, scratch->tenant)
                                    : drop_dead_ones(store, scratch);
    if (gone) store_count(&store->counters.direct_reclaims, 1);
    return gone;
}

bool store_make_way(struct store *store, struct store_scratch *scratch, enum fp_status status)
{
    if (status == FP_NO_MEMORY) return store_evict_one(store, scratch);
    return status == FP_QUOTA && evict_own(store, scratch);
}

enum fp_status store_tenant_take(struct store *store, struct store_scratch *scratch,
                                 struct tenant_need need)
{
    struct tenant *tenant = &store->tenants.of[scratch->tenant];
    while (!tenant_take(tenant, need)) {
        scratch->refused = need;
        if (store_make_way(store, scratch, FP_QUOTA)) continue;
        store_count(&tenant->over_quota, 1);
        return FP_QUOTA;
    }
    return FP_OK;
}

/* --- the crawler ------------------------------------------------------------------------------ */

/* The dead ones among the next items, unlinked. A pass meets every item that is there from its
 * start to its end (keydir_walk.h), whatever comes and goes meanwhile. */
static unsigned take_dead_locked(struct store *store, struct store_scratch *scratch,
                                 struct keydir_shard *shard, uint64_t *position,
                                 struct item *dead[REAP_ITEMS_PER_STEP])
{
    unsigned count = 0, met = keydir_walk_locked(shard, position, dead, REAP_ITEMS_PER_STEP);
    for (unsigned i = 0; i < met; i++) {
        struct item *item = dead[i];
        if (!store_item_dead(store, scratch, item)) continue;
        keydir_count_dead_locked(shard, item);
        store_unlink_locked(store, shard, item);
        dead[count++] = item;
    }
    store_count(&store->counters.crawler_items_checked, met);
    return count;
}

static void end_pass(struct store *store)
{
    store_count(&store->counters.crawler_passes, 1);
    atomic_store(&store->reap_pass_steps, atomic_exchange(&store->reap_steps, 0));
}

void store_reap_step(struct store *store, struct store_scratch *scratch)
{
    store_flush_if_due(store, scratch);
    struct item *dead[REAP_ITEMS_PER_STEP];
    uint64_t from = atomic_load(&store->reap_position), to = from;
    struct keydir_shard *shard = &store->keydir.shards[keydir_walk_shard(from)];

    lock_take(&shard->lock);
    unsigned count = take_dead_locked(store, scratch, shard, &to, dead);
    bool last = keydir_walk_shard(to) != keydir_walk_shard(from); /* of the shard */
    if (last) keydir_fit_locked(shard);
    lock_drop(&shard->lock);

    store_count(&store->reap_steps, 1);
    if (atomic_compare_exchange_strong(&store->reap_position, &from, to) && to == 0)
        end_pass(store);
    store_count(&store->counters.item_reclaims, count);
    store_count(&store->counters.crawler_reclaimed, count);
    for (unsigned i = 0; i < count; i++) store_item_release(store, scratch, &dead[i]);
}

/* Of a pass under way nobody knows what it has met. To begin anew would be quicker, and who asked
 * before would wait for ever if many ask. */
uint64_t store_reap_whole(const struct store *store)
{
    bool under_way = atomic_load(&store->reap_position) != 0;
    return atomic_load(&store->counters.crawler_passes) + (under_way ? 2 : 1);
}

uint64_t store_reap_steps(const struct store *store)
{
    return max_u64(atomic_load_explicit(&store->reap_pass_steps, memory_order_relaxed),
                   KEYDIR_SHARDS);
}
