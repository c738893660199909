/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Life of a read:
 *   a load finds the slot spilled -> the record is held, under the slot's lock -> read and checked,
 *   by a thread that may wait -> promoted, or not -> the load again, from the slot or from what was
 *   read -> let go of
 *
 * Whoever changes the slot meanwhile waits for nobody: the load that follows looks at the slot
 * first, and what was read of what it is no more is thrown away.
 */
#include "base/check.h"
#include "storage/area/area_stand.h"
#include "storage/store/spill/store_spill_internal.h"

enum fp_status store_read_begin(struct store *store, const struct store_scratch *scratch,
                                struct page_place place, struct store_read *read)
{
    if (place.slot >= place.area->slot_count) return FP_RANGE;
    *read = (struct store_read){.place = place};
    if (atomic_load_explicit(&place.area->counters.spilled, memory_order_relaxed) == 0)
        return FP_ABSENT;
    area_slot_take(place.area, place.slot);
    struct zhandle handle = area_handle_locked(place.area, place.slot);
    struct zname name = zpool_look(store->zpool, handle);
    bool spilled = name.what == ZSPILLED && area_reads(place.area) == FP_OK;
    if (scratch != NULL && store_read_find_locked(store, scratch, place, handle) != NULL)
        spilled = false;
    if (spilled) {
        read->said = zpool_says(store->zpool, handle);
        read->read = (struct spill_read){.place = name.value, .size_bytes = name.size_bytes};
        spill_read_hold(store->spill->file, &read->read);
    }
    area_slot_drop(place.area, place.slot);
    if (!spilled) return FP_ABSENT;
    area_acquire(place.area);
    return FP_OK;
}

static bool is_of_slot(const struct store_read *read)
{
    if (read->item != NULL) return spill_is_of_item(read);
    const struct spill_record *record = &read->read.record;
    return record->generation == read->place.area->generation &&
           record->slot == read->place.slot;
}

void store_read_run(struct store *store, struct store_read *read)
{
    read->status = spill_read_run(store->spill->file, &read->read);
    if (read->status == FP_OK && !is_of_slot(read)) read->status = FP_CORRUPT;
    bool failed = read->status == FP_IO || read->status == FP_CORRUPT;
    store_count(&store->spill->counters.failed_loads, failed && read->item == NULL);
}

void store_read_end(struct store *store, struct store_scratch *scratch, struct store_read *read)
{
    spill_read_end(store->spill->file, &read->read);
    if (read->item != NULL) store_item_release(store, scratch, &read->item);
    struct area *area = read->place.area;
    if (area != NULL) area_release(&area);
    *read = (struct store_read){.status = FP_OK};
}

const struct store_read *store_read_find_locked(const struct store *store,
                                                const struct store_scratch *scratch,
                                                struct page_place place, struct zhandle handle)
{
    const struct store_read *read = scratch->arrived;
    uint64_t says = zpool_says(store->zpool, handle);
    while (read != NULL && (read->place.area != place.area || read->place.slot != place.slot ||
                            read->said != says))
        read = read->next;
    return read;
}

/* --- promotion -------------------------------------------------------------------------------- */

static bool is_same_locked(struct store *store, const struct store_read *read)
{
    struct zhandle handle = area_handle_locked(read->place.area, read->place.slot);
    return zpool_says(store->zpool, handle) == read->said;
}

/* Whether it is still there; and used more than this once. */
static bool look(struct store *store, const struct store_read *read, bool *touched)
{
    struct area *area = read->place.area;
    area_slot_take(area, read->place.slot);
    bool same = is_same_locked(store, read);
    *touched = same && zpool_touched(store->zpool, area_handle_locked(area, read->place.slot));
    area_slot_drop(area, read->place.slot);
    return same;
}

bool spill_has_room(struct store *store, uint64_t size_bytes)
{
    uint64_t limit = budget_limit(&store->budget);
    struct watermark_levels levels = watermarks_levels(&store->watermarks);
    return budget_total(&store->budget) + size_bytes <= watermark_bytes(limit, levels.low);
}

enum fp_status spill_copy_object(struct store *store, struct store_scratch *scratch,
                                 const struct store_read *read, bool gives_way,
                                 struct stored *stored)
{
    const struct spill_record *record = &read->read.record;
    struct zmap map;
    enum fp_status status;
    do status = zpool_alloc(store->zpool, record->size_bytes, record->note, &stored->handle);
    while (gives_way && store_may_retry(store, scratch, status));
    if (status != FP_OK) return status;
    fp_assert(zpool_map(store->zpool, stored->handle, ZACCESS_WRITE, &map) == FP_OK);
    memcpy(map.bytes, read->read.bytes, record->size_bytes);
    zpool_unmap(store->zpool, &map);
    stored->name = (struct zname){
        .what = ZOBJECT, .note = record->note, .size_bytes = record->size_bytes};
    return FP_OK;
}

/* The seat has the object all along: it was its own while it was spilled. */
static void put_back(struct store *store, const struct store_read *read, struct stored *next)
{
    struct area *area = read->place.area;
    struct zname old = {.what = ZNOTHING};
    area_slot_take(area, read->place.slot);
    bool same = is_same_locked(store, read) && area_reads(area) == FP_OK;
    if (same) old = area_replace_locked(area, read->place.slot, next);
    area_slot_drop(area, read->place.slot);
    if (same) {
        store_spill_forget(store, old);
        store_count(&store->spill->counters.promotions, 1);
    } else {
        (void)zpool_free(store->zpool, &next->handle);
    }
}

enum fp_status store_read_promote(struct store *store, struct store_scratch *scratch,
                                  const struct store_read *read, enum store_promote how)
{
    bool touched, always = how == PROMOTE_ALWAYS;
    struct stored next;
    lock_assert_none();
    if (!look(store, read, &touched)) return FP_OK;
    if (read->status != FP_OK) return read->status == FP_NO_MEMORY ? FP_NO_MEMORY : FP_CORRUPT;
    if (!always && !touched && !spill_has_room(store, read->read.size_bytes)) return FP_OK;
    enum fp_status status = spill_copy_object(store, scratch, read, always, &next);
    if (status == FP_OK) put_back(store, read, &next);
    if (status == FP_NO_MEMORY && always && scratch->may_wait && store_spill_makes_room(store))
        return FP_LATER;
    return always ? status : FP_OK;
}

/* --- for who may wait ------------------------------------------------------------------------- */

enum fp_status store_page_load_waiting(struct store *store, struct store_scratch *scratch,
                                       struct page_place place, const struct page_wish *wish,
                                       struct page_packed *page)
{
    enum fp_status status;
    while ((status = store_page_load_packed(store, scratch, place, wish, page)) == FP_SPILLED) {
        struct store_read read;
        enum fp_status begun = store_read_begin(store, NULL, place, &read);
        if (begun == FP_ABSENT) continue; /* it is somewhere else by now */
        if (begun != FP_OK) return begun;
        store_read_run(store, &read);
        scratch->arrived = &read;
        status = read.status == FP_NO_MEMORY
                     ? FP_NO_MEMORY
                     : store_page_load_packed(store, scratch, place, wish, page);
        scratch->arrived = NULL;
        store_read_end(store, scratch, &read);
        if (status != FP_SPILLED) break;
    }
    return status;
}
