/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Life of an item that is spilled:
 *   at the end of its queue, unmarked -> out of the order, with a reference of ours -> its pieces
 *   copied into the extent, with no lock: they are what they are while somebody has a reference
 *   -> the extent is written -> its shard's lock: is it there still, unmarked, and held by nobody
 *   else? -> its pieces name the records, and it is in the spilled queue; or it comes back
 *
 * Its record stays in memory, with its key: whoever ends, replaces or touches it reads nothing.
 * All its pieces are in the file, but those of one repeated word, which have no object; or none is.
 */
#include "base/arith.h"
#include "storage/store/spill/store_spill_internal.h"
#include "storage/store/store_tenant.h"

enum {
    LOOKS_OF_TURN = 16,      /* what asking for a victim once costs, about */
    TURNS_BEFORE_FORCE = 16, /* as for a request that wants memory */
    ITEM_PART_MAX = 2,       /* of an extent: what is left of it when one does not fit is lost */
    END_EXTENTS = 2,         /* so much of the file is freed at a time, when it is full */
    END_ITEMS_MAX = 4096,    /* in one step */
};

void store_spill_set_items(struct store *store, uint32_t item_bytes_min)
{
    if (store->spill != NULL) atomic_store(&store->spill->item_bytes_min, item_bytes_min);
}

bool store_spill_has_items(const struct store *store)
{
    return store->spill != NULL &&
           atomic_load_explicit(&store->spill->item_bytes_min, memory_order_relaxed) > 0;
}

bool store_spill_takes_items(const struct store *store)
{
    return store_spill_has_items(store) && store_spill_makes_room(store);
}

struct spilled_items store_spill_items(const struct store *store)
{
    const struct store_spill *spill = store->spill;
    if (spill == NULL) return (struct spilled_items){0};
    return (struct spilled_items){.items = atomic_load(&spill->items),
                                  .object_bytes = atomic_load(&spill->item_object_bytes),
                                  .value_bytes = atomic_load(&spill->item_value_bytes)};
}

/* --- what is counted -------------------------------------------------------------------------- */

static uint64_t object_bytes(const struct store *store, const struct item *item)
{
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < item_piece_count(item); i++) {
        struct zname name = zpool_look(store->zpool, item->pieces[i]);
        if (name.what == ZSPILLED) bytes += name.size_bytes;
    }
    return bytes;
}

static void count_items(struct store *store, const struct item *item, uint64_t change)
{
    struct store_spill *spill = store->spill;
    store_count(&spill->items, change);
    store_count(&spill->item_object_bytes, change * object_bytes(store, item));
    store_count(&spill->item_value_bytes, change * item->value_bytes);
}

void store_spill_item_leaves_locked(struct store *store, const struct item *item)
{
    if (item->queue == ITEM_QUEUE_SPILLED) count_items(store, item, (uint64_t)-1);
}

/* --- who goes --------------------------------------------------------------------------------- */

typedef bool turn_of(struct keydir *keydir, uint8_t tenant, struct keydir_turn *turn);

/* Of the tenant's that is furthest beyond what it can count on; where it has none, the next one's.
 * False: nobody has any. */
static bool whose_turn(struct store *store, turn_of *next, struct keydir_turn *turn)
{
    uint8_t first = TENANT_DEFAULT;
    uint32_t count = atomic_load_explicit(&store->tenants.count, memory_order_relaxed);
    (void)!tenants_next_in_need(&store->tenants, TENANT_ITEMS, budget_wanted(&store->budget),
                                &first);
    for (uint32_t i = 0; i < count; i++)
        if (next(&store->keydir, (uint8_t)((first + i) % count), turn)) return true;
    return false;
}

static bool is_worth_it(const struct store_spill *spill, const struct item *item)
{
    return item->packed_bytes >= atomic_load(&spill->item_bytes_min) &&
           item->packed_bytes <= spill->extent_bytes / ITEM_PART_MAX &&
           item_piece_count(item) <= SPILL_ITEM_PIECES_MAX;
}

/* What is to be written, with a reference. NULL: it was not worth it, and has ended; or it is in
 * use, or kept, and stays. */
static struct item *pick_locked(struct store *store, struct store_scratch *scratch,
                                const struct keydir_turn *turn, struct item *victim,
                                struct store_victim *gone)
{
    bool dead = store_item_dead(store, scratch, victim);
    bool goes = !dead && is_worth_it(store->spill, victim);
    if (dead || (!goes && store_evicts(store))) {
        *gone = store_end_victim_locked(store, scratch, turn->shard, victim);
        return NULL;
    }
    keydir_leaves_locked(turn->shard, victim);
    if (goes && atomic_load(&victim->refs) == 1) {
        item_acquire(victim);
        return victim;
    }
    keydir_return_locked(turn->shard, victim);
    return NULL;
}

static struct item *pick(struct store *store, struct store_scratch *scratch,
                         const struct keydir_turn *turn, bool force, bool *ended)
{
    struct store_victim gone = {.item = NULL};
    struct item *picked = NULL;
    lock_take(&turn->shard->lock);
    struct item *victim = keydir_victim_locked(turn, force);
    if (victim != NULL) picked = pick_locked(store, scratch, turn, victim, &gone);
    lock_drop(&turn->shard->lock);
    *ended = gone.item != NULL;
    store_end_victim(store, scratch, &gone);
    return picked;
}

/* Copies its pieces into the extent. False: they do not fit any more. */
static bool add_pieces(struct store *store, const struct item *item)
{
    struct store_spill *spill = store->spill;
    uint32_t filled_bytes = spill->filled_bytes, record_count = spill->record_count;
    for (uint32_t i = 0; i < item_piece_count(item); i++) {
        struct zhandle handle = item->pieces[i];
        struct zmap map;
        if (zpool_look(store->zpool, handle).what != ZOBJECT) continue;
        uint8_t *room = NULL;
        if (zpool_map(store->zpool, handle, ZACCESS_READ, &map) == FP_OK) {
            struct spill_record record = {.generation = item->hash,
                                          .slot = i,
                                          .area = SPILL_OF_ITEM,
                                          .owner = handle.number,
                                          .size_bytes = map.size_bytes,
                                          .note = map.note};
            room = spill_filling_add(spill, record, 0);
            if (room != NULL) memcpy(room, map.bytes, map.size_bytes);
            zpool_unmap(store->zpool, &map);
        }
        if (room != NULL) continue;
        spill->filled_bytes = filled_bytes; /* or it is damaged, and whoever reads it is told */
        spill->record_count = record_count;
        return false;
    }
    return true;
}

static void comes_back(struct store *store, struct store_scratch *scratch, struct item *item)
{
    struct keydir_shard *shard = keydir_shard(&store->keydir, item->hash);
    lock_take(&shard->lock);
    if (item->leaving) keydir_return_locked(shard, item);
    lock_drop(&shard->lock);
    store_item_release(store, scratch, &item);
}

/* Until the extent is full or enough looked at. How many were ended. */
static uint32_t pick_some(struct store *store, struct store_scratch *scratch,
                          struct spill_limits limits, struct spill_step *done)
{
    struct store_spill *spill = store->spill;
    struct keydir_turn turn;
    uint32_t ended = 0, turns = 0;
    while (done->looked < limits.looks && spill->filled_bytes < limits.bytes &&
           spill->leaver_count < SPILL_LEAVERS_MAX &&
           whose_turn(store, keydir_turn_resident, &turn)) {
        bool gone;
        struct item *item = pick(store, scratch, &turn, turns >= TURNS_BEFORE_FORCE, &gone);
        turns = item == NULL && !gone ? turns + 1 : 0;
        done->looked += LOOKS_OF_TURN;
        ended += gone;
        if (item == NULL) continue;
        uint32_t at = spill->filled_bytes;
        if (!add_pieces(store, item)) {
            comes_back(store, scratch, item);
            break;
        }
        spill->leavers[spill->leaver_count++] = (struct spill_leaver){.item = item, .at = at};
    }
    return ended;
}

/* --- letting go of memory --------------------------------------------------------------------- */

/* Its pieces name their records, one behind the other from `at` on. */
static void let_go_locked(struct store *store, struct keydir_shard *shard, struct item *item,
                          uint32_t at)
{
    struct store_spill *spill = store->spill;
    uint64_t packed_bytes = item->packed_bytes;
    for (uint32_t i = 0; i < item_piece_count(item); i++) {
        struct spill_record record;
        if (zpool_look(store->zpool, item->pieces[i]).what != ZOBJECT) continue;
        memcpy(&record, spill->filling + at, sizeof record);
        fp_assert(record.owner == item->pieces[i].number);
        uint64_t place = spill_extent_place(spill->file, &spill->extent, at);
        spill_record_born(spill->file, place, record.size_bytes);
        (void)zpool_spill(store->zpool, item->pieces[i], place);
        at += spill_record_span(record.size_bytes);
    }
    keydir_spilled_locked(shard, item);
    count_items(store, item, 1);
    store_count(&store->counters.item_packed_bytes, -packed_bytes);
    store_item_recharge(store, item, -packed_bytes);
}

/* True: it is in the file now. */
static bool publish_one(struct store *store, const struct spill_leaver *leaver, bool written)
{
    enum { REFERENCES_OF_NOBODY = 2 }; /* the directory's and ours */
    struct item *item = leaver->item;
    struct keydir_shard *shard = keydir_shard(&store->keydir, item->hash);
    lock_take(&shard->lock);
    bool goes = written && item->leaving && item->marks == 0 &&
                atomic_load(&item->refs) == REFERENCES_OF_NOBODY;
    if (goes) let_go_locked(store, shard, item, leaver->at);
    else if (item->leaving) keydir_return_locked(shard, item);
    lock_drop(&shard->lock);
    return goes;
}

void spill_publish_items(struct store *store, struct store_scratch *scratch, bool written,
                         struct spill_step *done)
{
    struct store_spill *spill = store->spill;
    for (uint32_t i = 0; i < spill->leaver_count; i++) {
        struct spill_leaver *leaver = &spill->leavers[i];
        if (publish_one(store, leaver, written)) {
            uint64_t bytes = object_bytes(store, leaver->item);
            store_count(&spill->counters.items_spilled, 1);
            store_count(&spill->counters.items_spilled_bytes, bytes);
            done->items++;
            done->bytes += bytes;
        } else {
            store_count(&spill->counters.items_not_spilled, written);
        }
        store_item_release(store, scratch, &leaver->item);
    }
    spill->leaver_count = 0;
}

/* --- ending ----------------------------------------------------------------------------------- */

/* Ends spilled items, the coldest first, until so much of the file is free of them. */
static uint32_t end_some(struct store *store, struct store_scratch *scratch, uint64_t bytes)
{
    struct keydir_turn turn;
    uint64_t freed = 0;
    uint32_t ended = 0;
    for (uint32_t turns = 0; freed < bytes && ended < END_ITEMS_MAX && store_evicts(store) &&
                             whose_turn(store, keydir_turn_spilled, &turn);) {
        struct store_victim gone = {.item = NULL};
        lock_take(&turn.shard->lock);
        struct item *item = keydir_victim_locked(&turn, turns >= TURNS_BEFORE_FORCE);
        if (item != NULL) gone = store_end_victim_locked(store, scratch, turn.shard, item);
        lock_drop(&turn.shard->lock);
        turns = item == NULL ? turns + 1 : 0;
        if (item == NULL) continue;
        freed += object_bytes(store, item) + SPILL_RECORD_BYTES;
        ended++;
        store_end_victim(store, scratch, &gone);
    }
    store_count(&store->spill->counters.items_ended, ended);
    return ended;
}

bool spill_end_coldest(struct store *store, struct store_scratch *scratch)
{
    return end_some(store, scratch, END_EXTENTS * (uint64_t)store->spill->extent_bytes) > 0;
}

/* --- a step ----------------------------------------------------------------------------------- */

enum fp_status spill_step_items(struct store *store, struct store_scratch *scratch,
                                struct spill_limits limits, struct spill_step *done)
{
    if (keydir_much_spilled(&store->keydir) && spill_end_coldest(store, scratch)) return FP_OK;
    enum fp_status status = spill_filling_begin_room(store, scratch);
    if (status != FP_OK) return status;
    uint32_t ended = pick_some(store, scratch, limits, done);
    bool none = spill_filling_is_empty(store->spill) && ended == 0;
    status = spill_filling_end(store, scratch, done);
    return status == FP_OK && none ? FP_ABSENT : status;
}

/* --- moving ----------------------------------------------------------------------------------- */

struct wanted { /* the item of a record */
    const struct store *store;
    const struct spill_record *record;
    uint64_t place; /* where it is; or, unless 0, what its handle says: */
    uint64_t said;
};

static bool is_wanted(void *context, const struct item *item)
{
    const struct wanted *wanted = context;
    const struct zpool *pool = wanted->store->zpool;
    if (wanted->record->slot >= item_piece_count(item)) return false;
    struct zhandle handle = item->pieces[wanted->record->slot];
    if (wanted->said != 0) return zpool_says(pool, handle) == wanted->said;
    struct zname name = zpool_look(pool, handle);
    return name.what == ZSPILLED && name.value == wanted->place;
}

static struct item *find_locked(struct keydir_shard *shard, struct wanted wanted)
{
    return keydir_find_by_hash_locked(shard, wanted.record->generation, is_wanted, &wanted);
}

uint64_t spill_item_still_said(struct store *store, const struct spill_record *record,
                               uint64_t place)
{
    struct keydir_shard *shard = keydir_shard(&store->keydir, record->generation);
    struct wanted wanted = {.store = store, .record = record, .place = place};
    lock_take(&shard->lock);
    const struct item *item = find_locked(shard, wanted);
    uint64_t said = item != NULL ? zpool_says(store->zpool, item->pieces[record->slot]) : 0;
    lock_drop(&shard->lock);
    return said;
}

bool spill_item_moves(struct store *store, const struct spill_record *record, uint64_t said,
                      uint64_t place)
{
    struct keydir_shard *shard = keydir_shard(&store->keydir, record->generation);
    struct wanted wanted = {.store = store, .record = record, .said = said};
    lock_take(&shard->lock);
    struct item *item = find_locked(shard, wanted);
    bool moves = item != NULL && atomic_load(&item->refs) == 1;
    if (moves) {
        spill_record_born(store->spill->file, place, record->size_bytes);
        store_spill_forget(store, zpool_spill(store->zpool, item->pieces[record->slot], place));
    }
    lock_drop(&shard->lock);
    return moves;
}
