/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Life of an item that is mapped: in the order of use -(first map)-> out of it, so that eviction
 * cannot see it; pieces pinned -(last map ends)-> the newest in that order, or gone, if it was set,
 * deleted or has died meanwhile
 */
#include "storage/store/map/store_map_internal.h"
#include "storage/store/store_internal.h"

static struct keydir_shard *shard_of(struct store *store, const struct item *item)
{
    return keydir_shard(&store->keydir, item->hash);
}

/* --- making ----------------------------------------------------------------------------------- */

/* The live item, with one reference and one map more. */
static enum fp_status take(struct store *store, struct store_scratch *scratch, struct slice key,
                           bool writes, struct item **out)
{
    store_flush_if_due(store, scratch);
    uint64_t hash = keydir_hash(&store->keydir, key);
    struct keydir_shard *shard = keydir_shard(&store->keydir, hash);
    enum fp_status status = FP_ABSENT;
    struct item *dead;
    lock_take(&shard->lock);
    struct item *item = store_find_locked(store, scratch, key, hash, &dead);
    bool spilled = item != NULL && item->queue == ITEM_QUEUE_SPILLED;
    if (item != NULL) status = spilled ? FP_SPILLED : keydir_map_locked(shard, item, writes);
    if (status == FP_OK) {
        item->fetched = true;
        item_acquire(item);
        *out = item;
    }
    lock_drop(&shard->lock);
    if (dead != NULL) store_item_release(store, scratch, &dead);
    return status;
}

static void let_go(struct store *store, struct store_scratch *scratch, struct item **item,
                   bool writes)
{
    struct keydir_shard *shard = shard_of(store, *item);
    lock_take(&shard->lock);
    keydir_unmap_locked(shard, *item, writes, scratch->now_ms);
    lock_drop(&shard->lock);
    store_item_release(store, scratch, item);
}

static bool is_lent(struct store *store, const struct item *item)
{
    for (uint32_t i = 0; i < item_piece_count(item); i++)
        if (!store_lends(zpool_look(store->zpool, item->pieces[i]))) return false;
    return true;
}

static void unpin(struct store_map *map)
{
    for (uint32_t i = 0; i < map->piece_count; i++)
        if (map->pieces[i].mapped.map.bytes != NULL)
            zpool_unmap(map->store->zpool, &map->pieces[i].mapped.map);
}

static enum fp_status pin(struct store_map *map, const struct item *item)
{
    struct zpool *pool = map->store->zpool;
    for (uint32_t i = 0; i < map->piece_count; i++) {
        struct mapped *mapped = &map->pieces[i].mapped;
        mapped->name = zpool_look(pool, item->pieces[i]);
        if (mapped->name.what == ZVALUE) continue;
        if (zpool_map(pool, item->pieces[i], ZACCESS_READ, &mapped->map) != FP_OK) {
            store_count(&map->store->counters.corrupt, 1);
            unpin(map);
            return FP_CORRUPT;
        }
    }
    return FP_OK;
}

static enum fp_status make(struct store *store, struct store_scratch *scratch,
                           const struct map_wish *wish, struct item *item, struct store_map **out)
{
    struct map_shape shape = {.mode = wish->mode,
                              .size_bytes = item->value_bytes,
                              .piece_bytes = ITEM_PIECE_BYTES,
                              .copy = map_writes(wish->mode) || !is_lent(store, item)};
    struct store_map *map;
    if (item->value_bytes > wish->bytes_max) return FP_TOO_BIG;
    enum fp_status status = store_map_create(store, scratch, &shape, &map);
    if (status != FP_OK) return status;
    status = pin(map, item);
    if (status != FP_OK) {
        store_map_destroy(&map);
        return status;
    }
    map->item = item;
    map->item_cas = item_cas(item);
    *out = map;
    return FP_OK;
}

enum fp_status store_map_item(struct store *store, struct store_scratch *scratch, struct slice key,
                              const struct map_wish *wish, struct store_map **map)
{
    lock_assert_none();
    struct item *item;
    bool writes = map_writes(wish->mode);
    enum fp_status status = take(store, scratch, key, writes, &item);
    if (status != FP_OK) return status;
    status = make(store, scratch, wish, item, map);
    if (status != FP_OK) let_go(store, scratch, &item, writes);
    return status;
}

void store_map_let_go_item(struct store_map *map, struct store_scratch *scratch)
{
    unpin(map); /* first: with its last reference the item ends */
    let_go(map->store, scratch, &map->item, map_writes(map->mode));
}

/* --- publishing ------------------------------------------------------------------------------- */

bool store_map_still_item(struct store_map *map, struct store_scratch *scratch)
{
    struct store *store = map->store;
    struct item *item = map->item;
    store_flush_if_due(store, scratch);
    struct keydir_shard *shard = shard_of(store, item);
    lock_take(&shard->lock);
    bool still = keydir_find_locked(shard, item->hash, item_key(item)) == item &&
                 item_cas(item) == map->item_cas && !store_item_dead(store, scratch, item);
    lock_drop(&shard->lock);
    return still;
}

enum fp_status store_map_publish_item(struct store_map *map, struct store_scratch *scratch,
                                      struct slice bytes)
{
    struct rewrite rewrite = {.item = map->item, .item_cas = map->item_cas, .value = bytes};
    enum fp_status status = store_item_rewrite(map->store, scratch, &rewrite);
    if (status == FP_NO_MEMORY) store_count(&map->store->counters.no_memory, 1);
    return status;
}
