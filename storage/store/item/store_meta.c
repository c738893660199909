/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Marks of an item:
 *   fresh -(its time runs low)-> won -(stored anew)-> fresh
 *   fresh or won -(invalidated)-> stale -(got)-> stale, won -(stored anew)-> fresh
 * An empty item that is made for who found none begins as won.
 *
 * What may need a new item builds it first, unlocked, and looks again under the lock: what is there
 * then decides, and an item that is not needed after all ends unseen. */
#include "storage/store/item/store_meta.h"

#include "storage/keydir/item_class.h"
#include "storage/store/store_internal.h"
#include "storage/store/store_tenant.h"

static struct keydir_shard *shard_of(struct store *store, struct slice key, uint64_t *hash)
{
    *hash = keydir_hash(&store->keydir, key);
    return keydir_shard(&store->keydir, *hash);
}

static enum fp_status build_empty(struct store *store, struct store_scratch *scratch,
                                  struct slice key, bool key_binary, struct item **item)
{
    enum fp_status status = store_item_build(store, scratch, key, slice_of("", 0), item);
    if (status == FP_OK) (*item)->key_binary = key_binary;
    else store_count(&store->counters.no_memory, 1);
    return status;
}

/* --- getting ---------------------------------------------------------------------------------- */

static bool runs_low(const struct store_scratch *scratch, const struct item_look *look,
                     uint32_t expires_s)
{
    if (look->recache == NULL || expires_s == 0) return false;
    return expires_s < store_expiry(scratch, *look->recache);
}

static void see_locked(struct store *store, struct store_scratch *scratch, struct item *item,
                       const struct item_look *look, struct item_seen *seen)
{
    bool created = seen->created;
    uint64_t now_ms = scratch->now_ms;
    uint32_t before_s = created ? 0 : item->expires_s;
    *seen = (struct item_seen){
        .cas = item_cas(item),
        .ttls = store_item_ttls(scratch, before_s, &look->times),
        .idle_s = item_idle_ms(item, now_ms) / 1000,
        .fetched = item->fetched,
        .created = created,
        .stale = item->stale,
        .taken = item->won,
        .won = created,
        .spilled = false,
    };
    if (look->times.touch != NULL && !created)
        item->expires_s = store_expiry(scratch, *look->times.touch);
    uint32_t left_s = look->recache_touched ? item->expires_s : before_s;
    if (!seen->taken && (item->stale || runs_low(scratch, look, left_s))) seen->won = true;
    item->won |= seen->won;
    if (look->unseen) return;
    keydir_use_locked(keydir_shard(&store->keydir, item->hash), item, now_ms);
    item->fetched = true;
}

struct getting {
    const struct item_look *look;
    struct item *fresh; /* goes into the directory where there is nothing, and is NULL then */
    struct item *found, *dead;
};

/* FP_ABSENT: nothing was found, and there is no fresh one. */
static enum fp_status get_locked(struct store *store, struct store_scratch *scratch,
                                 struct getting *getting)
{
    uint64_t hash;
    const struct item_look *look = getting->look;
    struct keydir_shard *shard = shard_of(store, look->key, &hash);
    struct item *fresh = getting->fresh;
    getting->found = store_find_locked(store, scratch, look->key, hash, &getting->dead);
    if (getting->found != NULL) return FP_OK;
    if (fresh == NULL) return FP_ABSENT;
    enum fp_status status = keydir_reserve_locked(shard, fresh->tenant);
    if (status == FP_OK) status = store_item_charge_locked(store, scratch, fresh, NULL);
    if (status != FP_OK) return status;
    getting->found = fresh;
    getting->fresh = NULL;
    fresh->expires_s = store_expiry(scratch, store_created_exptime(&look->times));
    store_item_enter_locked(store, scratch, NULL, fresh, look->new_cas);
    return FP_OK;
}

static enum fp_status get(struct store *store, struct store_scratch *scratch,
                          struct getting *getting, struct item_seen *seen)
{
    uint64_t hash;
    struct keydir_shard *shard = shard_of(store, getting->look->key, &hash);
    struct item *offered = getting->fresh;
    lock_take(&shard->lock);
    enum fp_status status = get_locked(store, scratch, getting);
    if (status == FP_OK) {
        item_acquire(getting->found);
        seen->created = getting->found == offered;
        seen->spilled = getting->look->value &&
                        store_item_comes_again_locked(scratch, getting->found);
        if (!seen->spilled) see_locked(store, scratch, getting->found, getting->look, seen);
    }
    lock_drop(&shard->lock);
    if (getting->dead != NULL) store_item_release(store, scratch, &getting->dead);
    return status;
}

struct item *store_meta_get(struct store *store, struct store_scratch *scratch,
                            const struct item_look *look, struct item_seen *seen)
{
    struct getting getting = {.look = look};
    store_flush_if_due(store, scratch);
    enum fp_status status = get(store, scratch, &getting, seen);
    if (status == FP_OK || !look->creates) return getting.found;
    if (build_empty(store, scratch, look->key, look->key_binary, &getting.fresh) != FP_OK)
        return NULL;
    do status = get(store, scratch, &getting, seen);
    while (store_make_way(store, scratch, status)); /* for room in the directory */
    if (status == FP_NO_MEMORY) store_count(&store->counters.no_memory, 1);
    if (getting.fresh != NULL) store_count_over_quota(store, getting.fresh, status);
    if (getting.fresh != NULL) store_item_release(store, scratch, &getting.fresh);
    return getting.found;
}

/* --- ending ----------------------------------------------------------------------------------- */

static void invalidate_locked(struct store *store, struct store_scratch *scratch,
                              struct item *item, const struct item_end *end)
{
    if (end->exptime != NULL) item->expires_s = store_expiry(scratch, *end->exptime);
    item->stale = true;
    item->won = false; /* so that the next who gets it does */
    item_set_cas(item, end->new_cas != NULL ? *end->new_cas : store_next_cas(store));
}

/* `empty` takes the place of the item; there is room for it. */
static void empty_locked(struct store *store, struct store_scratch *scratch, struct item *empty,
                         struct item *old, const struct item_end *end)
{
    uint64_t old_cas = item_cas(old);
    empty->flags = end->flags;
    empty->expires_s = end->exptime != NULL ? store_expiry(scratch, *end->exptime) : 0;
    store_item_enter_locked(store, scratch, old, empty,
                            end->new_cas != NULL ? end->new_cas : &old_cas);
}

/* What has left the directory comes back in *gone, for release: unlocked. */
static enum fp_status end_locked(struct store *store, struct store_scratch *scratch,
                                 const struct item_end *end, struct item **empty,
                                 struct item *gone[2])
{
    uint64_t hash;
    struct keydir_shard *shard = shard_of(store, end->key, &hash);
    struct item *item = store_find_locked(store, scratch, end->key, hash, &gone[1]);
    if (item == NULL) return FP_ABSENT;
    if (end->cas != NULL && item_cas(item) != *end->cas) return FP_EXISTS;
    if (end->empties) {
        enum fp_status status = keydir_reserve_locked(shard, (*empty)->tenant);
        if (status == FP_OK) status = store_item_charge_locked(store, scratch, *empty, item);
        if (status != FP_OK) return status;
        empty_locked(store, scratch, *empty, item, end);
        gone[0] = item;
        item = *empty;
        *empty = NULL;
    } else if (!end->invalidates) {
        store_unlink_locked(store, shard, item);
        gone[0] = item;
    }
    if (end->invalidates) invalidate_locked(store, scratch, item, end);
    return FP_OK;
}

enum fp_status store_meta_end(struct store *store, struct store_scratch *scratch,
                              const struct item_end *end)
{
    uint64_t hash;
    struct keydir_shard *shard = shard_of(store, end->key, &hash);
    struct item *empty = NULL;
    enum fp_status status;
    store_flush_if_due(store, scratch);
    if (end->empties &&
        build_empty(store, scratch, end->key, end->key_binary, &empty) != FP_OK)
        return FP_NO_MEMORY;
    do {
        struct item *gone[2] = {NULL, NULL};
        lock_take(&shard->lock);
        status = end_locked(store, scratch, end, &empty, gone);
        lock_drop(&shard->lock);
        for (int i = 0; i < 2; i++)
            if (gone[i] != NULL) store_item_release(store, scratch, &gone[i]);
    } while (store_make_way(store, scratch, status));
    if (empty != NULL) store_count_over_quota(store, empty, status);
    if (empty != NULL) store_item_release(store, scratch, &empty);
    return status;
}

/* --- looking ---------------------------------------------------------------------------------- */

enum fp_status store_meta_describe(struct store *store, struct store_scratch *scratch,
                                   struct slice key, struct item_details *details)
{
    static const struct item_times none = {NULL};
    struct item *item = store_item_hold(store, scratch, key);
    if (item == NULL) return FP_ABSENT;
    struct keydir_shard *shard = keydir_shard(&store->keydir, item->hash);
    lock_take(&shard->lock);
    uint64_t now_ms = scratch->now_ms;
    *details = (struct item_details){
        .ttl_s = store_item_ttls(scratch, item->expires_s, &none).before,
        .idle_s = item_idle_ms(item, now_ms) / 1000,
        .cas = item_cas(item),
        .fetched = item->fetched,
        .key_binary = item->key_binary,
        .stale = item->stale,
        .won = item->won,
        .class_number = item_class_of(item_memory_bytes(item)),
        .value_bytes = item->value_bytes,
        .size_bytes = store_item_cost(item) + item->value_bytes,
        .packed_bytes = item->packed_bytes,
        .maps = item->mapped ? item->maps : 0,
    };
    lock_drop(&shard->lock);
    store_item_codec(store, item, details->codec);
    store_item_release(store, scratch, &item);
    return FP_OK;
}
