/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Life of a read of an item: found spilled, and held by a reference -> each of its pieces read by a
 * thread that may wait -> the request again: the item brought back, as one that has its place and
 * all else, or answered from what was read -> let go of
 *
 * While somebody has a reference its pieces name what they named, so no lock is needed to look.
 */
#include <stdlib.h>

#include "base/check.h"
#include "storage/store/spill/store_spill_internal.h"

/* --- what was read for the request under way -------------------------------------------------- */

static const struct store_read *find_piece(const struct store_scratch *scratch,
                                           struct zhandle piece)
{
    const struct store_read *read = scratch->arrived;
    while (read != NULL &&
           (read->item == NULL || read->item->pieces[read->piece].number != piece.number))
        read = read->next;
    return read;
}

/* The item's first read from `from` on in its list; or NULL. */
static const struct store_read *find_item(const struct store_read *from, const struct item *item)
{
    while (from != NULL && from->item != item) from = from->next;
    return from;
}

bool store_item_comes_again_locked(const struct store_scratch *scratch, const struct item *item)
{
    return item->queue == ITEM_QUEUE_SPILLED && find_item(scratch->arrived, item) == NULL;
}

bool store_piece_is_due(struct store *store, const struct store_scratch *scratch,
                        const struct item *item, uint32_t piece)
{
    struct zhandle handle = item->pieces[piece];
    return zpool_look(store->zpool, handle).what == ZSPILLED &&
           find_piece(scratch, handle) == NULL;
}

bool store_item_is_due(struct store *store, const struct store_scratch *scratch,
                       const struct item *item)
{
    if (store->spill == NULL) return false;
    for (uint32_t i = 0; i < item_piece_count(item); i++)
        if (store_piece_is_due(store, scratch, item, i)) return true;
    return false;
}

/* --- reading ---------------------------------------------------------------------------------- */

enum fp_status store_item_read_begin(struct store *store, const struct store_scratch *scratch,
                                     struct item *item, uint32_t piece, struct store_read *read)
{
    struct zhandle handle = item->pieces[piece];
    struct zname name = zpool_look(store->zpool, handle);
    if (name.what != ZSPILLED) return FP_ABSENT;
    if (scratch != NULL && find_piece(scratch, handle) != NULL) return FP_ABSENT;
    *read = (struct store_read){
        .item = item,
        .piece = piece,
        .said = zpool_says(store->zpool, handle),
        .read = {.place = name.value, .size_bytes = name.size_bytes}};
    spill_read_hold(store->spill->file, &read->read);
    item_acquire(item);
    return FP_OK;
}

bool spill_is_of_item(const struct store_read *read)
{
    const struct spill_record *record = &read->read.record;
    return record->area == SPILL_OF_ITEM && record->generation == read->item->hash &&
           record->slot == read->piece;
}

enum fp_status store_piece_arrived(struct store *store, struct store_scratch *scratch,
                                   struct zhandle piece, const struct rooms *rooms,
                                   struct fetched *fetched)
{
    const struct store_read *read = find_piece(scratch, piece);
    if (read == NULL) return FP_SPILLED;
    if (read->status != FP_OK) return FP_CORRUPT;
    struct zmap map = {.bytes = (uint8_t *)(uintptr_t)read->read.bytes,
                       .size_bytes = read->read.size_bytes,
                       .note = read->read.record.note};
    return store_fetch_from(store, scratch, &map, rooms, fetched);
}

/* --- bringing back ---------------------------------------------------------------------------- */

/* A piece of the twin's; what it is packed with has one object more until the old one ends. */
static enum fp_status copy_piece(struct store *store, struct store_scratch *scratch,
                                 struct zhandle piece, bool always, struct stored *stored)
{
    struct zname name = zpool_look(store->zpool, piece);
    if (name.what == ZVALUE) {
        *stored = (struct stored){.name = name};
        return zpool_alloc_value(store->zpool, name.value, &stored->handle);
    }
    const struct store_read *read = find_piece(scratch, piece);
    if (read == NULL || name.what != ZSPILLED) return FP_BUSY; /* not all of it was read */
    enum fp_status status = spill_copy_object(store, scratch, read, always, stored);
    if (status != FP_OK || entry_form(name.note) != ENTRY_PACKED) return status;
    struct compressor *seat =
        compressor_acquire_id(store->compressors, entry_seat(name.note), scratch->codec);
    bool born = seat != NULL && compressor_object_born(seat, scratch->codec);
    if (seat != NULL) compressor_release_id(&seat, scratch->codec);
    if (born) return FP_OK;
    (void)zpool_free(store->zpool, &stored->handle);
    return FP_NO_MEMORY;
}

static enum fp_status build_twin(struct store *store, struct store_scratch *scratch,
                                 const struct item *old, bool always, struct item **twin)
{
    uint64_t bytes = store_item_cost(old);
    bool charged = always ? store_charge(store, scratch, BUDGET_ITEMS, bytes)
                          : budget_charge(&store->budget, BUDGET_ITEMS, bytes);
    if (!charged) return FP_NO_MEMORY;
    struct item *next = item_create(item_key(old), old->hash, old->value_bytes);
    if (next == NULL) {
        budget_return(&store->budget, BUDGET_ITEMS, bytes);
        return FP_NO_MEMORY;
    }
    next->flags = old->flags;
    enum fp_status status = FP_OK;
    for (uint32_t i = 0; i < item_piece_count(old) && status == FP_OK; i++) {
        struct stored stored;
        status = copy_piece(store, scratch, old->pieces[i], always, &stored);
        if (status != FP_OK) break;
        next->pieces[i] = stored.handle;
        next->packed_bytes += entry_packed_bytes(stored.name);
    }
    if (status != FP_OK) store_item_release(store, scratch, &next);
    *twin = next;
    return status;
}

static bool is_there_locked(struct store *store, struct store_scratch *scratch,
                            struct keydir_shard *shard, const struct item *item)
{
    return item->queue == ITEM_QUEUE_SPILLED && !store_item_dead(store, scratch, item) &&
           keydir_find_locked(shard, item->hash, item_key(item)) == item;
}

static void publish(struct store *store, struct store_scratch *scratch, struct item *old,
                    struct item *twin)
{
    struct keydir_shard *shard = keydir_shard(&store->keydir, old->hash);
    struct item *gone = twin;
    lock_take(&shard->lock);
    bool there = is_there_locked(store, scratch, shard, old);
    if (there && keydir_reserve_locked(shard, twin->tenant) == FP_OK) {
        store_item_twin_locked(store, shard, old, twin);
        gone = old;
    }
    lock_drop(&shard->lock);
    store_count(&store->spill->counters.item_promotions, gone == old);
    store_item_release(store, scratch, &gone); /* the directory's, or the only one */
}

/* It is an entry of a cache: who asks is told that there is none, and stores it anew. */
static void end_unreadable(struct store *store, struct store_scratch *scratch, struct item *item)
{
    struct keydir_shard *shard = keydir_shard(&store->keydir, item->hash);
    lock_take(&shard->lock);
    bool there = is_there_locked(store, scratch, shard, item);
    if (there) store_unlink_locked(store, shard, item);
    lock_drop(&shard->lock);
    if (there) store_item_release(store, scratch, &item);
}

/* Whether it was used since it was spilled; or, *there false, it is spilled no more. */
static bool was_used(struct store *store, struct store_scratch *scratch, const struct item *item,
                     bool *there)
{
    struct keydir_shard *shard = keydir_shard(&store->keydir, item->hash);
    lock_take(&shard->lock);
    *there = is_there_locked(store, scratch, shard, item);
    bool used = item->marks > 0;
    lock_drop(&shard->lock);
    return used;
}

struct arrival { /* of all pieces that were read */
    bool bad;
    uint64_t bytes;
};

static struct arrival arrival_of(const struct store_scratch *scratch, const struct item *item)
{
    struct arrival arrival = {false, 0};
    const struct store_read *read = find_item(scratch->arrived, item);
    for (; read != NULL; read = find_item(read->next, item)) {
        arrival.bad |= read->status != FP_OK;
        arrival.bytes += read->read.size_bytes;
    }
    return arrival;
}

enum fp_status store_item_promote(struct store *store, struct store_scratch *scratch,
                                  const struct store_read *first, enum store_promote how)
{
    struct item *item = first->item, *twin;
    bool there, always = how == PROMOTE_ALWAYS;
    lock_assert_none();
    struct arrival arrival = arrival_of(scratch, item);
    if (arrival.bad) {
        end_unreadable(store, scratch, item);
        store_count(&store->spill->counters.item_failed_reads, 1);
        return FP_OK;
    }
    bool used = was_used(store, scratch, item, &there);
    bool comes_back = there && (always || used || spill_has_room(store, arrival.bytes));
    scratch->later = false;
    enum fp_status status = comes_back ? build_twin(store, scratch, item, always, &twin) : FP_BUSY;
    if (status == FP_OK) publish(store, scratch, item, twin);
    if (status == FP_NO_MEMORY && always && scratch->later) return FP_LATER;
    store_count(&store->spill->counters.item_reads, 1);
    return FP_OK;
}

/* --- for who may wait ------------------------------------------------------------------------- */

enum fp_status spill_piece_run(struct store *store, struct item *item, uint32_t piece,
                               struct store_read *read)
{
    enum fp_status status = store_item_read_begin(store, NULL, item, piece, read);
    if (status != FP_OK) return status;
    store_read_run(store, read);
    return read->status;
}

enum fp_status store_item_read_piece_waiting(struct store *store, struct store_scratch *scratch,
                                             struct item *item, uint32_t piece, uint8_t *out)
{
    struct store_read read;
    const struct store_read *before = scratch->arrived;
    enum fp_status begun = store_item_read_begin(store, NULL, item, piece, &read);
    if (begun != FP_OK) return store_item_read_piece(store, scratch, item, piece, out);
    store_read_run(store, &read);
    scratch->arrived = &read;
    enum fp_status status = read.status == FP_OK
                                ? store_item_read_piece(store, scratch, item, piece, out)
                                : read.status;
    scratch->arrived = before;
    store_read_end(store, scratch, &read);
    return status;
}
