/* SPDX-License-Identifier: BSD-3-Clause */
#include "storage/store/store_walk.h"

#include "storage/keydir/keydir_walk.h"
#include "storage/store/store_internal.h"

static void take_locked(struct store_walk *walk, struct item *item, uint64_t now_ms)
{
    item_acquire(item);
    walk->items[walk->count++] =
        (struct store_walk_item){.item = item,
                                 .accessed_ms = now_ms - item_idle_ms(item, now_ms),
                                 .expires_s = item->expires_s,
                                 .fetched = item->fetched,
                                 .stale = item->stale,
                                 .won = item->won,
                                 .wanted = item->marks > 0 || item->queue == ITEM_QUEUE_MAIN};
}

void store_walk_step(struct store *store, struct store_scratch *scratch, struct store_walk *walk)
{
    struct item *found[STORE_WALK_ITEMS_MAX];
    fp_assert(walk->count == 0);
    store_flush_if_due(store, scratch);
    struct keydir_shard *shard = &store->keydir.shards[keydir_walk_shard(walk->position)];
    lock_take(&shard->lock);
    uint64_t now_ms = scratch->now_ms;
    unsigned count = keydir_walk_locked(shard, &walk->position, found, STORE_WALK_ITEMS_MAX);
    for (unsigned i = 0; i < count; i++)
        if (!store_item_dead(store, scratch, found[i])) take_locked(walk, found[i], now_ms);
    lock_drop(&shard->lock);
}

void store_walk_release(struct store *store, struct store_scratch *scratch,
                        struct store_walk *walk)
{
    while (walk->count > 0)
        store_item_release(store, scratch, &walk->items[--walk->count].item);
}
