/* SPDX-License-Identifier: BSD-3-Clause
 *
 * How items end that nobody deletes. When a request wants memory that is not there, the one whose
 * turn it is gives way. And the crawler looks at all of them in turn, a few places of one shard's
 * table at a time, and ends those that have died.
 */
#include "base/arith.h"
#include "storage/store_internal.h"

enum {
    REAP_PLACES_PER_STEP = 512, /* some 50 us under the shard's lock where none is in the cache */
    REAP_ITEMS_PER_STEP = 128,
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

/* --- giving way ------------------------------------------------------------------------------- */

/* NULL: see keydir_victim_locked. */
static struct item *take_victim(struct store *store, struct store_scratch *scratch,
                                const struct keydir_turn *turn, bool force)
{
    struct keydir_shard *shard = turn->shard;
    lock_take(&shard->lock);
    struct item *item = keydir_victim_locked(turn, force);
    if (item != NULL) {
        bool dead = store_item_dead(store, scratch, item);
        store_count(dead ? &store->counters.item_reclaims : &store->counters.item_evictions, 1);
        if (dead) keydir_count_dead_locked(shard, item);
        else keydir_count_evicted_locked(shard, item, scratch->now_ms);
        store_unlink_locked(store, shard, item);
        if (shard->item_count < shard->capacity / TABLE_PART_MIN) keydir_fit_locked(shard);
    }
    lock_drop(&shard->lock);
    return item;
}

bool store_drop_one(struct store *store, struct store_scratch *scratch)
{
    lock_assert_none();
    struct keydir_turn turn;
    for (unsigned turns = 0; keydir_turn(&store->keydir, &turn); turns++) {
        struct item *item = take_victim(store, scratch, &turn, turns >= TURNS_BEFORE_FORCE);
        if (item == NULL) continue;
        store_item_release(store, scratch, &item);
        return true;
    }
    return false;
}

static bool drop_dead_ones(struct store *store, struct store_scratch *scratch)
{
    uint64_t before = atomic_load(&store->counters.crawler_reclaimed);
    for (int i = 0; i < REAP_STEPS_FOR_ROOM; i++) store_reap_step(store, scratch);
    return atomic_load(&store->counters.crawler_reclaimed) != before;
}

bool store_evict_one(struct store *store, struct store_scratch *scratch)
{
    bool gone = store_evicts(store) ? store_drop_one(store, scratch)
                                    : drop_dead_ones(store, scratch);
    if (gone) store_count(&store->counters.direct_reclaims, 1);
    return gone;
}

/* --- the crawler ------------------------------------------------------------------------------ */

struct look { /* at some places of a shard */
    struct item *dead[REAP_ITEMS_PER_STEP];
    unsigned dead_count;
    uint64_t checked;
};

/* A table that grew or shrank meanwhile makes the walk miss places this time round, no more. */
static uint64_t look_locked(struct store *store, struct store_scratch *scratch,
                            struct keydir_shard *shard, uint64_t place, struct look *look)
{
    uint64_t end = min_u64(place + REAP_PLACES_PER_STEP, shard->capacity);
    while (place < end && look->dead_count < REAP_ITEMS_PER_STEP) {
        struct item *item = shard->table[place];
        look->checked += item != NULL;
        if (item == NULL || !store_item_dead(store, scratch, item)) {
            place++;
            continue;
        }
        keydir_count_dead_locked(shard, item);
        store_unlink_locked(store, shard, item); /* may move another item to this place */
        look->dead[look->dead_count++] = item;
    }
    return place;
}

static void end_of_pass(struct store *store)
{
    store_count(&store->counters.crawler_passes, 1);
    atomic_store(&store->reap_pass_places, atomic_exchange(&store->reap_places, 0));
}

void store_reap_step(struct store *store, struct store_scratch *scratch)
{
    store_flush_if_due(store, scratch);
    struct look look = {.dead_count = 0};
    uint64_t position = atomic_load(&store->reap_position);
    uint64_t index = position % KEYDIR_SHARDS, place = position / KEYDIR_SHARDS;
    struct keydir_shard *shard = &store->keydir.shards[index];

    lock_take(&shard->lock);
    uint64_t next = look_locked(store, scratch, shard, place, &look);
    bool finished = next >= shard->capacity;
    if (finished) keydir_fit_locked(shard);
    lock_drop(&shard->lock);

    store_count(&store->reap_places, next - place + 1);
    bool over = finished && index == KEYDIR_SHARDS - 1;
    uint64_t onwards = finished ? (index + 1) % KEYDIR_SHARDS : next * KEYDIR_SHARDS + index;
    /* Whoever asked for a pass from the start meanwhile has it. */
    if (!atomic_compare_exchange_strong(&store->reap_position, &position, onwards)) over = false;
    if (over) end_of_pass(store);
    store_count(&store->counters.item_reclaims, look.dead_count);
    store_count(&store->counters.crawler_items_checked, look.checked);
    store_count(&store->counters.crawler_reclaimed, look.dead_count);
    for (unsigned i = 0; i < look.dead_count; i++)
        store_item_release(store, scratch, &look.dead[i]);
}

uint64_t store_reap_again(struct store *store)
{
    atomic_store(&store->reap_position, 0);
    atomic_store(&store->reap_places, 0);
    return atomic_load(&store->counters.crawler_passes) + 1;
}

uint64_t store_reap_steps(const struct store *store)
{
    uint64_t places = atomic_load_explicit(&store->reap_pass_places, memory_order_relaxed);
    return places / REAP_PLACES_PER_STEP + KEYDIR_SHARDS;
}
