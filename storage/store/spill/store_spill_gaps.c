/* SPDX-License-Identifier: BSD-3-Clause
 *
 * A sparse extent is read whole, and what is live in it goes into another as if it were written
 * back anew; then it has no record left, and is free. What a damaged record was is not known any
 * more: its extent stays as it is, for as long as its slots name it.
 */
#include "base/arith.h"
#include "storage/area/area_stand.h"
#include "storage/store/page/store_area.h"
#include "storage/store/spill/store_spill_internal.h"

enum {
    FREE_PART = 8,   /* of the file: with more free there is no haste */
    DEAD_PART = 8,   /* so much of an extent must be dead to be worth it */
    EXTENTS_PER_STEP = 16,
};

/* Whether a slot still names the record, and what its handle says then. */
static uint64_t still_said(struct store *store, const struct spill_record *record, uint64_t place)
{
    uint64_t said = 0;
    if (record->area == SPILL_OF_ITEM) return spill_item_still_said(store, record, place);
    struct area *area = store_area_from(store, record->area);
    if (area == NULL) return 0;
    if (area->generation == record->generation && record->slot < area->slot_count) {
        area_slot_take(area, record->slot);
        struct zhandle handle = area_handle_locked(area, record->slot);
        struct zname name = zpool_look(store->zpool, handle);
        if (name.what == ZSPILLED && name.value == place && name.size_bytes == record->size_bytes)
            said = zpool_says(store->zpool, handle);
        area_slot_drop(area, record->slot);
    }
    area_release(&area);
    return said;
}

/* Copies what is live. False: the extent that is being filled is full. */
static bool move_records(struct store *store, const struct spill_extent *from)
{
    struct store_spill *spill = store->spill;
    uint32_t at = 0;
    while (at + SPILL_RECORD_BYTES <= spill->extent_bytes) {
        struct spill_record record;
        memcpy(&record, spill->emptying + at, sizeof record);
        uint32_t room = spill->extent_bytes - at;
        bool fits = record.size_bytes > 0 && record.size_bytes <= SPILL_OBJECT_BYTES_MAX &&
                    record.size_bytes + (uint32_t)SPILL_RECORD_BYTES <= room;
        if (!fits || record.sequence != from->sequence) return true; /* behind the last */
        bool good = spill_record_read(spill->emptying + at, record.size_bytes, &record);
        uint64_t place = spill_extent_place(spill->file, from, at);
        uint64_t said = good ? still_said(store, &record, place) : 0;
        if (said != 0) {
            uint8_t *to = spill_filling_add(spill, record, said);
            if (to == NULL) return false;
            memcpy(to, spill->emptying + at + SPILL_RECORD_BYTES, record.size_bytes);
        }
        at += spill_record_span(record.size_bytes);
    }
    return true;
}

/* The better half: those with less than the others have on average. */
static uint32_t live_bytes_wanted(const struct store_spill *spill,
                                  const struct spill_file_fill *fill)
{
    uint32_t most = spill->extent_bytes - spill->extent_bytes / DEAD_PART;
    uint64_t extents = fill->used_bytes / spill->extent_bytes;
    return (uint32_t)min_u64(most, extents > 0 ? fill->live_bytes / extents : 0);
}

/* Until the extent that is filled is full, or a round of all is done. */
static enum fp_status empty_some(struct store *store, uint32_t live_bytes_max)
{
    struct store_spill *spill = store->spill;
    struct spill_extent from;
    enum fp_status status = FP_OK;
    bool room = true;
    for (unsigned i = 0; room && status == FP_OK && i < EXTENTS_PER_STEP; i++) {
        if (!spill_extent_sparse(spill->file, &spill->gaps_hand, live_bytes_max, &from)) break;
        status = spill_extent_read(spill->file, &from, spill->emptying);
        if (status == FP_OK) room = move_records(store, &from);
        spill_extent_let_go(spill->file, &from);
    }
    return status;
}

enum fp_status store_spill_gaps(struct store *store, struct store_scratch *scratch,
                                struct spill_step *done)
{
    struct store_spill *spill = store->spill;
    *done = (struct spill_step){0};
    if (spill == NULL) return FP_ABSENT;
    struct spill_file_fill fill = spill_file_fill(spill->file);
    uint64_t dead = fill.used_bytes - fill.live_bytes;
    bool haste = fill.size_bytes - fill.used_bytes <= fill.size_bytes / FREE_PART;
    if (!haste || dead < 2ull * spill->extent_bytes) return FP_ABSENT;
    enum fp_status status = spill_filling_begin(spill, SPILL_LAST_TOO);
    if (status != FP_OK) return status;
    status = empty_some(store, live_bytes_wanted(spill, &fill));
    bool none = spill->record_count == 0;
    enum fp_status ended = spill_filling_end(store, scratch, done);
    if (status == FP_OK) status = ended;
    return status == FP_OK && none ? FP_ABSENT : status;
}
