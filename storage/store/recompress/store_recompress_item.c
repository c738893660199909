/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Life of an item that is rewritten: found in its shard's table and held by a reference -> a new
 * record with all its pieces packed anew, no lock held -> put in the old one's place, in the table
 * and in the order of use, if that is still this very item -> the old one ends with its last reader
 *
 * It is no set: all but the value's bytes are the old one's, as they are at that moment. Readers of
 * the old record keep it, pieces and pins included.
 */
#include <stdlib.h>

#include "storage/keydir/keydir_walk.h"
#include "storage/store/recompress/store_recompress_internal.h"

enum {
    ITEMS_PER_LOCK = 16,
    REFERENCES_OF_NOBODY = 2, /* the directory's and ours */
};

static bool is_touched(const struct recompress *walk, const struct item *item)
{
    return walk->plan.cold == NULL ||
           item_idle_ms(item, walk->scratch->now_ms) < walk->plan.idle_ms;
}

/* One piece that has to go takes the others along. */
static struct recompress_want want_item(const struct recompress *walk, const struct item *item,
                                        bool touched)
{
    struct recompress_want want = {NULL, false};
    for (uint32_t i = 0; i < item_piece_count(item); i++) {
        struct zname name = zpool_look(walk->store->zpool, item->pieces[i]);
        if (name.what < ZOBJECT) continue;
        struct recompress_want piece = name.what == ZOBJECT
                                           ? recompress_want(walk, name.note, touched)
                                           : recompress_want_spilled(walk, name.note);
        if (piece.target == NULL) continue;
        want.target = piece.target;
        want.leave |= piece.leave;
    }
    return want;
}

struct item_work {
    struct item *old, *next;
    struct recompress_want want;
    uint64_t old_cost, new_cost;
    bool spilled;
};

static enum fp_status repack_piece(struct recompress *walk, struct item_work *work, unsigned i)
{
    size_t size = item_piece_bytes(work->old, i);
    struct space space = {.bytes = walk->plain, .capacity_bytes = size};
    struct known known = {.plain = {.bytes = walk->plain, .size_bytes = size}};
    struct repack repack = {work->want.target, UINT64_MAX};
    struct fetched fetched;
    struct stored stored;
    enum fp_status status =
        store_fetch(walk->store, walk->scratch, work->old->pieces[i], space, &fetched);
    work->spilled |= status == FP_SPILLED;
    if (status == FP_SPILLED)
        status = recompress_fetch_piece(walk, work->old, i, space, &fetched);
    if (status != FP_OK) return status == FP_NO_MEMORY ? status : FP_CORRUPT;
    work->old_cost += recompress_cost(walk, &fetched, size);
    status = store_unpack(walk->store, walk->scratch, &fetched, space, &known.crc);
    if (status == FP_OK)
        status = store_repack(walk->store, walk->scratch, &repack, known, &stored);
    if (status != FP_OK) return status;
    work->next->pieces[i] = stored.handle;
    work->next->packed_bytes += entry_packed_bytes(stored.name);
    if (stored.name.size_bytes > 0)
        work->new_cost += zpool_cost_bytes(walk->store->zpool, stored.name.size_bytes);
    return FP_OK;
}

static bool may_go_on(const struct recompress *walk)
{
    return walk->left.go_on == NULL || walk->left.go_on(walk->left.context);
}

/* FP_TOO_BIG: it would not become cheaper, and need not. FP_BUSY: it is given up. */
static enum fp_status build(struct recompress *walk, struct item_work *work)
{
    struct store *store = walk->store;
    const struct item *old = work->old;
    if (!budget_charge(&store->budget, BUDGET_ITEMS, store_item_cost(old))) return FP_NO_MEMORY;
    work->next = item_create(item_key(old), old->hash, old->value_bytes);
    if (work->next == NULL) {
        budget_return(&store->budget, BUDGET_ITEMS, store_item_cost(old));
        return FP_NO_MEMORY;
    }
    work->next->flags = old->flags;
    enum fp_status status = FP_OK;
    for (uint32_t i = 0; i < item_piece_count(old) && status == FP_OK; i++)
        status = may_go_on(walk) ? repack_piece(walk, work, i) : FP_BUSY;
    if (status == FP_OK && !work->spilled && work->new_cost >= work->old_cost) {
        if (!work->want.leave) status = FP_TOO_BIG;
        else if (!recompress_room(walk)) status = FP_NO_MEMORY;
    }
    if (status != FP_OK) store_item_release(store, walk->scratch, &work->next);
    return status;
}

static bool publish_locked(struct recompress *walk, struct keydir_shard *shard,
                           struct item_work *work)
{
    struct item *old = work->old, *next = work->next;
    if (keydir_find_locked(shard, old->hash, item_key(old)) != old || old->mapped ||
        store_item_dead(walk->store, walk->scratch, old) ||
        keydir_reserve_locked(shard, old->tenant) != FP_OK)
        return false;
    store_item_twin_locked(walk->store, shard, old, next);
    return true;
}

static void publish(struct recompress *walk, struct item_work *work)
{
    struct keydir_shard *shard = keydir_shard(&walk->store->keydir, work->old->hash);
    lock_take(&shard->lock);
    bool published = publish_locked(walk, shard, work);
    lock_drop(&shard->lock);
    /* The directory has one of the two, and what it does not have ends. */
    struct item *gone = published ? work->old : work->next;
    store_item_release(walk->store, walk->scratch, &gone);
    if (published) recompress_published(walk, work->old_cost, work->new_cost);
    else walk->counts->skipped_changed++;
}

static void step_item(struct recompress *walk, struct item *item, bool touched)
{
    struct item_work work = {.old = item, .want = want_item(walk, item, touched)};
    if (work.want.target == NULL) return;
    if (atomic_load(&item->refs) > REFERENCES_OF_NOBODY) {
        walk->counts->skipped_in_use++;
        return;
    }
    walk->left.tries -= walk->left.tries > 0;
    enum fp_status status = build(walk, &work);
    recompress_between(walk);
    if (status == FP_OK) publish(walk, &work);
    walk->counts->not_smaller += status == FP_TOO_BIG;
    walk->counts->skipped_no_memory += status == FP_NO_MEMORY;
    walk->counts->corrupt += status == FP_CORRUPT;
}

bool recompress_items(struct recompress *walk)
{
    struct keydir_shard *shard = &walk->store->keydir.shards[walk->shard];
    struct item *found[ITEMS_PER_LOCK];
    bool touched[ITEMS_PER_LOCK];
    unsigned count = 0;
    unsigned wanted = walk->left.looks < ITEMS_PER_LOCK ? walk->left.looks : ITEMS_PER_LOCK;
    if (wanted > walk->left.tries) wanted = walk->left.tries;
    if (wanted == 0) return false;
    lock_take(&shard->lock);
    unsigned met = keydir_walk_locked(shard, &walk->position, found, wanted);
    for (unsigned i = 0; i < met; i++) {
        struct item *item = found[i];
        if (store_item_dead(walk->store, walk->scratch, item)) continue;
        item_acquire(item);
        touched[count] = is_touched(walk, item);
        found[count++] = item;
    }
    lock_drop(&shard->lock);
    walk->left.looks -= met;
    walk->counts->looked += count;
    for (unsigned i = 0; i < count; i++) {
        step_item(walk, found[i], touched[i]);
        store_item_release(walk->store, walk->scratch, &found[i]);
    }
    return keydir_walk_shard(walk->position) != walk->shard;
}
