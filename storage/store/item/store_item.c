/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Reading, ending and ageing items. An item that has expired or was flushed is dead: it is not
 * found any more, and whoever meets it takes it out.
 */
#include <stdlib.h>

#include "base/arith.h"
#include "storage/keydir/item_class.h"
#include "storage/store/item/store_value_internal.h"
#include "storage/store/store_tenant.h"

enum {
    EXPTIME_RELATIVE_MAX_S = 60 * 60 * 24 * 30, /* memcached: above this it is a date */
    EXPIRED_LONG_AGO_S = 1,                     /* store time starts later */
};

bool store_item_dead(const struct store *store, const struct store_scratch *scratch,
                     const struct item *item)
{
    if (item->expires_s != 0 && item->expires_s <= scratch->now_ms / 1000) return true;
    return item->era != atomic_load_explicit(&store->era, memory_order_relaxed);
}

uint32_t store_expiry(const struct store_scratch *scratch, int64_t exptime)
{
    if (exptime == 0) return 0;
    if (exptime < 0) return EXPIRED_LONG_AGO_S;
    uint64_t ahead_s = (uint64_t)exptime;
    if (exptime > EXPTIME_RELATIVE_MAX_S) {
        if (ahead_s <= scratch->unix_s) return EXPIRED_LONG_AGO_S;
        ahead_s -= scratch->unix_s;
    }
    return (uint32_t)min_u64(scratch->now_ms / 1000 + ahead_s, UINT32_MAX);
}

static int64_t ttl_of(const struct store_scratch *scratch, uint32_t expires_s)
{
    uint64_t now_s = scratch->now_ms / 1000;
    if (expires_s == 0) return ITEM_TTL_NEVER;
    return expires_s > now_s ? (int64_t)(expires_s - now_s) : 0;
}

static int64_t ttl_with(const struct store_scratch *scratch, const int64_t *exptime)
{
    return exptime == NULL ? ITEM_TTL_NEVER : ttl_of(scratch, store_expiry(scratch, *exptime));
}

struct item_ttls store_item_ttls(const struct store_scratch *scratch, uint32_t expires_s,
                                 const struct item_times *times)
{
    return (struct item_ttls){.before = ttl_of(scratch, expires_s),
                              .touched = ttl_with(scratch, times->touch),
                              .created = ttl_with(scratch, times->create)};
}

int64_t store_created_exptime(const struct item_times *times)
{
    bool touch = times->touch != NULL && (times->create == NULL || times->touch_created);
    if (touch) return *times->touch;
    return times->create != NULL ? *times->create : 0;
}

void store_flush_if_due(struct store *store, const struct store_scratch *scratch)
{
    uint64_t due = atomic_load(&store->flush_due);
    if (due == 0 || (due >> 32) * 1000 > scratch->now_ms) return;
    /* Which era begins was settled when the flush was asked for. So however many carry it out, and
     * however late, what was stored by one who saw it done stays. And it is done before it is said
     * to be. */
    uint32_t next = (uint32_t)due, era = next - 1;
    (void)atomic_compare_exchange_strong(&store->era, &era, next);
    (void)atomic_compare_exchange_strong(&store->flush_due, &due, 0);
}

/* A date before store time began. */
static bool is_before_start(const struct store_scratch *scratch, int64_t exptime)
{
    return exptime > EXPTIME_RELATIVE_MAX_S &&
           (uint64_t)exptime + scratch->now_ms / 1000 <= scratch->unix_s;
}

void store_flush(struct store *store, struct store_scratch *scratch, int64_t exptime)
{
    uint64_t at_s = exptime > 0 ? store_expiry(scratch, exptime) : 0;
    if (at_s * 1000 > scratch->now_ms) {
        uint32_t era;
        do {
            era = atomic_load(&store->era);
            atomic_store(&store->flush_due, at_s << 32 | (uint32_t)(era + 1));
        } while (atomic_load(&store->era) != era); /* somebody flushed: that is over already */
        return;
    }
    /* memcached: nothing is older than that, so nothing goes. */
    if (!is_before_start(scratch, exptime)) atomic_fetch_add(&store->era, 1);
    atomic_store(&store->flush_due, 0);
}

static void count_out(struct store *store, const struct item *item)
{
    store_count(&store->counters.item_value_bytes, -(uint64_t)item->value_bytes);
    store_count(&store->counters.item_packed_bytes, -(uint64_t)item->packed_bytes);
}

static void discharge(struct store *store, const struct item *item)
{
    struct tenant *tenant = &store->tenants.of[item->tenant];
    uint64_t bytes = item_memory_bytes(item);
    tenant_change(tenant, -bytes, 0);
    tenant_change_items(tenant, -bytes, (uint64_t)-1);
}

void store_item_recharge(struct store *store, const struct item *item, uint64_t more_bytes)
{
    struct tenant *tenant = &store->tenants.of[item->tenant];
    tenant_change(tenant, more_bytes, 0);
    tenant_change_items(tenant, more_bytes, 0);
}

struct charge { /* of an item in the place of another */
    struct tenant *tenant;
    bool same;           /* the tenant's is the old one, too */
    uint64_t more, less; /* bytes than it had */
};

static struct charge charge_of(struct store *store, const struct item *next,
                               const struct item *old)
{
    uint64_t bytes = item_memory_bytes(next);
    bool same = old != NULL && old->tenant == next->tenant;
    uint64_t had = same ? item_memory_bytes(old) : 0;
    return (struct charge){.tenant = &store->tenants.of[next->tenant],
                           .same = same,
                           .more = bytes > had ? bytes - had : 0,
                           .less = bytes < had ? had - bytes : 0};
}

/* `more` is counted already. */
static void settle_charge(struct store *store, const struct charge *charge,
                          const struct item *old)
{
    tenant_change(charge->tenant, -charge->less, 0);
    tenant_change_items(charge->tenant, charge->more - charge->less, !charge->same);
    if (old != NULL && !charge->same) discharge(store, old);
}

enum fp_status store_item_charge_locked(struct store *store, struct store_scratch *scratch,
                                        const struct item *next, const struct item *old)
{
    struct charge charge = charge_of(store, next, old);
    struct tenant_need need = {.bytes = charge.more};
    if (!tenant_take(charge.tenant, need)) {
        scratch->refused = need;
        return FP_QUOTA;
    }
    settle_charge(store, &charge, old);
    return FP_OK;
}

void store_item_charge_anyway_locked(struct store *store, const struct item *next,
                                     const struct item *old)
{
    struct charge charge = charge_of(store, next, old);
    tenant_change(charge.tenant, charge.more, 0);
    settle_charge(store, &charge, old);
}

void store_count_over_quota(struct store *store, const struct item *item, enum fp_status status)
{
    if (status == FP_QUOTA) store_count(&store->tenants.of[item->tenant].over_quota, 1);
}

void store_unlink_locked(struct store *store, struct keydir_shard *shard, struct item *item)
{
    store_spill_item_leaves_locked(store, item);
    keydir_remove_locked(shard, item);
    count_out(store, item);
    discharge(store, item);
}

static void link_locked(struct store *store, const struct store_scratch *scratch, struct item *old,
                        struct item *next)
{
    struct keydir_shard *shard = keydir_shard(&store->keydir, next->hash);
    item_used(next, scratch->now_ms);
    if (old != NULL) store_spill_item_leaves_locked(store, old);
    if (old != NULL && old->mapped) {
        keydir_remove_locked(shard, old);
        count_out(store, old);
        old = NULL;
    }
    if (old == NULL) {
        keydir_insert_locked(shard, next);
    } else {
        keydir_overwrite_locked(shard, old, next, scratch->now_ms);
        count_out(store, old);
    }
    store_count(&store->counters.item_value_bytes, next->value_bytes);
    store_count(&store->counters.item_packed_bytes, next->packed_bytes);
}

void store_item_twin_locked(struct store *store, struct keydir_shard *shard, struct item *old,
                            struct item *next)
{
    uint64_t more_bytes = (uint64_t)next->packed_bytes - old->packed_bytes;
    item_set_cas(next, item_cas(old));
    next->era = old->era;
    next->expires_s = old->expires_s;
    next->accessed = old->accessed;
    next->fetched = old->fetched;
    next->stale = old->stale;
    next->won = old->won;
    next->key_binary = old->key_binary;
    next->tenant = old->tenant;
    store_spill_item_leaves_locked(store, old);
    keydir_replace_locked(shard, old, next);
    store_count(&store->counters.item_packed_bytes, more_bytes);
    store_item_recharge(store, next, more_bytes);
}

uint64_t store_next_cas(struct store *store)
{
    return atomic_fetch_add(&store->last_cas, 1) + 1;
}

void store_item_enter_locked(struct store *store, const struct store_scratch *scratch,
                             struct item *old, struct item *item, const uint64_t *cas)
{
    item_set_cas(item, cas != NULL ? *cas : store_next_cas(store));
    item->era = atomic_load(&store->era);
    link_locked(store, scratch, old, item);
    store_count(&store->counters.items_total, 1);
}

uint64_t store_item_cost(const struct item *item)
{
    return item_record_bytes(item->key_bytes, item->value_bytes);
}

void store_item_release(struct store *store, struct store_scratch *scratch,
                        struct item **item_ptr)
{
    struct item *item = *item_ptr;
    *item_ptr = NULL;
    if (!item_release(item)) return;
    store_end_pieces(store, scratch,
                     &(struct ending_pieces){.pieces = item->pieces,
                                             .count = item_piece_count(item),
                                             .charged_bytes = store_item_cost(item),
                                             .record = item});
}

struct item *store_find_locked(struct store *store, const struct store_scratch *scratch,
                               struct slice key, uint64_t hash, struct item **dead)
{
    struct keydir_shard *shard = keydir_shard(&store->keydir, hash);
    struct item *item = keydir_find_locked(shard, hash, key);
    *dead = NULL;
    if (item == NULL || !store_item_dead(store, scratch, item)) return item;
    keydir_count_dead_locked(shard, item);
    store_unlink_locked(store, shard, item);
    store_count(&store->counters.item_reclaims, 1);
    *dead = item;
    return NULL;
}

struct item *store_item_acquire(struct store *store, struct store_scratch *scratch,
                                struct slice key, const int64_t *touch)
{
    store_flush_if_due(store, scratch);
    uint64_t hash = keydir_hash(&store->keydir, key);
    struct keydir_shard *shard = keydir_shard(&store->keydir, hash);
    struct item *dead;
    lock_take(&shard->lock);
    struct item *item = store_find_locked(store, scratch, key, hash, &dead);
    if (item != NULL) {
        if (!store_item_comes_again_locked(scratch, item)) {
            keydir_use_locked(shard, item, scratch->now_ms);
            item->fetched = true;
        }
        if (touch != NULL) item->expires_s = store_expiry(scratch, *touch);
        item_acquire(item);
    }
    lock_drop(&shard->lock);
    if (dead != NULL) store_item_release(store, scratch, &dead);
    return item;
}

struct item *store_item_hold(struct store *store, struct store_scratch *scratch, struct slice key)
{
    store_flush_if_due(store, scratch);
    uint64_t hash = keydir_hash(&store->keydir, key);
    struct keydir_shard *shard = keydir_shard(&store->keydir, hash);
    struct item *dead;
    lock_take(&shard->lock);
    struct item *item = store_find_locked(store, scratch, key, hash, &dead);
    if (item != NULL) item_acquire(item);
    lock_drop(&shard->lock);
    if (dead != NULL) store_item_release(store, scratch, &dead);
    return item;
}

enum fp_status store_piece_read(struct store *store, struct store_scratch *scratch,
                                struct zhandle piece, struct space out)
{
    struct fetched fetched;
    uint32_t crc;
    struct rooms rooms = {.plain = out, .packed = {scratch->packed, ZPOOL_OBJECT_BYTES_MAX}};
    enum fp_status status = store_fetch_to(store, scratch, piece, &rooms, &fetched);
    if (status == FP_SPILLED)
        status = store_piece_arrived(store, scratch, piece, &rooms, &fetched);
    if (status == FP_SPILLED) return status; /* it comes again */
    if (status == FP_ABSENT) status = FP_CORRUPT; /* a piece names something from the start */
    if (status == FP_OK) return store_unpack(store, scratch, &fetched, out, &crc);
    store_count(&store->counters.corrupt, 1);
    return status;
}

enum fp_status store_item_read_piece(struct store *store, struct store_scratch *scratch,
                                     const struct item *item, uint32_t piece, uint8_t *out)
{
    struct space space = {.bytes = out, .capacity_bytes = item_piece_bytes(item, piece)};
    return store_piece_read(store, scratch, item->pieces[piece], space);
}

enum fp_status store_item_read(struct store *store, struct store_scratch *scratch,
                               const struct item *item, uint8_t *out)
{
    for (uint32_t i = 0; i < item_piece_count(item); i++) {
        uint8_t *at = out + (size_t)i * ITEM_PIECE_BYTES;
        enum fp_status status = store_item_read_piece(store, scratch, item, i, at);
        if (status != FP_OK) return status;
    }
    return FP_OK;
}

enum fp_status store_item_delete(struct store *store, struct store_scratch *scratch,
                                 struct slice key)
{
    store_flush_if_due(store, scratch);
    uint64_t hash = keydir_hash(&store->keydir, key);
    struct keydir_shard *shard = keydir_shard(&store->keydir, hash);
    struct item *dead;
    lock_take(&shard->lock);
    struct item *item = store_find_locked(store, scratch, key, hash, &dead);
    if (item != NULL) store_unlink_locked(store, shard, item);
    lock_drop(&shard->lock);
    enum fp_status status = item != NULL ? FP_OK : FP_ABSENT;
    if (item != NULL) store_item_release(store, scratch, &item);
    if (dead != NULL) store_item_release(store, scratch, &dead);
    return status;
}
