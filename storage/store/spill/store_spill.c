/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Life of a writing:
 *   the hand goes round -> cold objects are copied into an extent, each under its slot's lock
 *   -> the extent is written, with no lock -> the slots' locks again: does each still name these
 *   very bytes, untouched and unmapped? -> it names the record and the object ends; or the record
 *   is dead
 *
 * As in recompression the last question is asked of the object itself, store_recompress.c says why.
 * A record that is moved from another extent is told by its cell: no two records have one place.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/arith.h"
#include "storage/area/area_pin.h"
#include "storage/area/area_stand.h"
#include "storage/store/page/store_area.h"
#include "storage/store/spill/store_spill_internal.h"

enum {
    TURN_LOOKS = 4096, /* of one area's hand, before the next area's moves */
    VAIN_ROUNDS = 2,   /* of the hand: the first takes marks, the second finds what was marked */
    VAIN_LOOKS_MIN = 64,
};

/* --- beginning and end ------------------------------------------------------------------------ */

enum fp_status store_spill_open(struct store *store, const struct spill_file_options *options,
                                char why[SPILL_WHY_BYTES])
{
    fp_assert(store->spill == NULL);
    struct spill_file_options wanted = *options;
    wanted.budget = &store->budget;
    (void)snprintf(why, SPILL_WHY_BYTES, "%.120s: no memory", options->path);
    struct store_spill *spill = calloc(1, sizeof *spill);
    if (spill == NULL) return FP_NO_MEMORY;
    enum fp_status status = spill_file_open(&wanted, &spill->file, why);
    if (status == FP_OK) {
        spill->extent_bytes = spill_file_extent_bytes(spill->file);
        spill->filling = aligned_alloc(SPILL_ALIGN_BYTES, spill->extent_bytes);
        spill->emptying = aligned_alloc(SPILL_ALIGN_BYTES, spill->extent_bytes);
        if (spill->filling == NULL || spill->emptying == NULL) status = FP_NO_MEMORY;
    }
    store->spill = spill;
    if (status != FP_OK) {
        store_spill_close(store);
        return status;
    }
    budget_charge_anyway(&store->budget, BUDGET_SPILL, sizeof *spill + 2ull * spill->extent_bytes);
    atomic_store(&spill->gets_on, SPILL_GETS_ON);
    atomic_store(&store->tenants.pages_give_way, true);
    return FP_OK;
}

void store_spill_close(struct store *store)
{
    struct store_spill *spill = store->spill;
    if (spill == NULL) return;
    store->spill = NULL;
    if (spill->filling != NULL && spill->emptying != NULL)
        budget_return(&store->budget, BUDGET_SPILL, sizeof *spill + 2ull * spill->extent_bytes);
    spill_file_close(&spill->file);
    free(spill->filling);
    free(spill->emptying);
    free(spill);
}

struct spill_file *store_spill_file(struct store *store)
{
    return store->spill != NULL ? store->spill->file : NULL;
}

const struct spill_counters *store_spill_counters(const struct store *store)
{
    static const struct spill_counters none;
    return store->spill != NULL ? &store->spill->counters : &none;
}

bool store_spill_makes_room(const struct store *store)
{
    if (store->spill == NULL) return false;
    int gets_on = atomic_load_explicit(&store->spill->gets_on, memory_order_relaxed);
    if (gets_on != SPILL_IF_EXTENTS_ARE_FREE) return gets_on == SPILL_GETS_ON;
    return spill_file_has_free(store->spill->file);
}

void store_spill_forget(struct store *store, struct zname name)
{
    fp_assert(name.what == ZSPILLED);
    spill_record_died(store->spill->file, name.value, name.size_bytes);
}

/* --- filling an extent ------------------------------------------------------------------------ */

enum fp_status spill_filling_begin(struct store_spill *spill, enum spill_which which)
{
    spill->filled_bytes = 0;
    spill->record_count = 0;
    return spill_extent_take(spill->file, which, &spill->extent);
}

enum fp_status spill_filling_begin_room(struct store *store, struct store_scratch *scratch)
{
    struct store_spill *spill = store->spill;
    enum fp_status status = spill_filling_begin(spill, SPILL_NOT_LAST);
    if (status == FP_TOO_BIG && spill_end_coldest(store, scratch))
        status = spill_filling_begin(spill, SPILL_NOT_LAST);
    spill->no_extent = status != FP_OK;
    if (status == FP_OK) return FP_OK;
    atomic_store_explicit(&spill->gets_on, SPILL_IF_EXTENTS_ARE_FREE, memory_order_relaxed);
    store_count(&spill->counters.file_full, 1);
    return status;
}

bool spill_filling_is_empty(const struct store_spill *spill)
{
    return spill->record_count == 0;
}

uint8_t *spill_filling_add(struct store_spill *spill, struct spill_record record, uint64_t said)
{
    uint32_t span = spill_record_span(record.size_bytes), at = spill->filled_bytes;
    if (spill->record_count == SPILL_RECORDS_MAX || span > spill->extent_bytes - at) return NULL;
    record.sequence = spill->extent.sequence;
    memset(spill->filling + at, 0, span);
    memcpy(spill->filling + at, &record, sizeof record);
    spill->said[spill->record_count++] = said;
    spill->filled_bytes = at + span;
    return spill->filling + at + SPILL_RECORD_BYTES;
}

/* The checksums, with no lock held, and zeros up to where the disk's blocks end. */
static size_t seal(struct store_spill *spill)
{
    for (uint32_t at = 0; at < spill->filled_bytes;) {
        struct spill_record record;
        memcpy(&record, spill->filling + at, sizeof record);
        spill_record_write(record, spill->filling + at);
        at += spill_record_span(record.size_bytes);
    }
    size_t size = div_up_u64(spill->filled_bytes, SPILL_ALIGN_BYTES) * SPILL_ALIGN_BYTES;
    memset(spill->filling + spill->filled_bytes, 0, size - spill->filled_bytes);
    return size;
}

static bool is_still_locked(struct store *store, struct area *area,
                            const struct spill_record *record, const uint8_t *bytes)
{
    struct zhandle handle = area_handle_locked(area, record->slot);
    struct zname name = zpool_look(store->zpool, handle);
    struct zmap map;
    if (handle.number != record->owner || name.what != ZOBJECT || name.note != record->note)
        return false;
    if (zpool_touched(store->zpool, handle) || area_pinned_locked(area, record->slot)) return false;
    if (zpool_map(store->zpool, handle, ZACCESS_READ, &map) != FP_OK) return false;
    bool same = map.size_bytes == record->size_bytes &&
                memcmp(map.bytes, bytes, record->size_bytes) == 0;
    zpool_unmap(store->zpool, &map);
    return same;
}

/* One record, now that it is on the disk. True: its slot names it. */
static bool publish_locked(struct store *store, struct area *area,
                           const struct spill_record *record, uint32_t index, uint32_t offset)
{
    struct store_spill *spill = store->spill;
    const uint8_t *bytes = spill->filling + offset + SPILL_RECORD_BYTES;
    uint64_t place = spill_extent_place(spill->file, &spill->extent, offset);
    uint64_t said = spill->said[index];
    struct zhandle handle = area_handle_locked(area, record->slot);
    bool moved = said != 0 && handle.number == record->owner &&
                 zpool_says(store->zpool, handle) == said;
    if (said != 0 ? !moved : !is_still_locked(store, area, record, bytes)) return false;
    spill_record_born(spill->file, place, record->size_bytes);
    struct zname old = area_spill_locked(area, record->slot, place);
    if (moved) store_spill_forget(store, old);
    return true;
}

static void count_spilled(struct store *store, const struct area *area, uint32_t size_bytes,
                          struct spill_step *done)
{
    store_count(&store->spill->counters.spilled_total, 1);
    store_count(&store->spill->counters.spilled_object_bytes, size_bytes);
    store_count(&store->counters.written_back_pages, 1);
    store_count(&store->tenants.of[area->tenant].written_back_pages, 1);
    done->pages++;
    done->bytes += size_bytes;
}

/* Areas may have ended meanwhile: then so have the slots. */
static struct area *enter_area(struct store *store, struct area *area,
                               const struct spill_record *record)
{
    if (area != NULL && area->generation == record->generation) return area;
    area_release(&area);
    area = store_area_from(store, record->area);
    if (area != NULL && area->generation != record->generation) area_release(&area);
    return area;
}

static void move_piece(struct store *store, const struct spill_record *record, uint32_t index,
                       uint32_t offset)
{
    struct store_spill *spill = store->spill;
    uint64_t to = spill_extent_place(spill->file, &spill->extent, offset);
    bool moved = spill_item_moves(store, record, spill->said[index], to);
    store_count(&spill->counters.moved_pieces, moved);
}

static void publish(struct store *store, struct spill_step *done)
{
    struct store_spill *spill = store->spill;
    struct area *area = NULL;
    uint32_t at = 0;
    for (uint32_t i = 0; i < spill->record_count; i++) {
        struct spill_record record;
        uint32_t begin = at;
        memcpy(&record, spill->filling + at, sizeof record);
        bool published = false, item = record.area == SPILL_OF_ITEM;
        if (item && spill->said[i] != 0) move_piece(store, &record, i, at);
        at += spill_record_span(record.size_bytes);
        if (item) continue;
        area = enter_area(store, area, &record);
        if (area != NULL) {
            area_slot_take(area, record.slot);
            published = publish_locked(store, area, &record, i, begin);
            area_slot_drop(area, record.slot);
        }
        if (spill->said[i] != 0) store_count(&spill->counters.moved_pages, published);
        else if (published) count_spilled(store, area, record.size_bytes, done);
        else store_count(&spill->counters.not_spilled, 1);
    }
    area_release(&area);
}

enum fp_status spill_filling_end(struct store *store, struct store_scratch *scratch,
                                 struct spill_step *done)
{
    struct store_spill *spill = store->spill;
    enum fp_status status = FP_OK;
    lock_assert_none();
    if (spill->record_count > 0) {
        size_t size = seal(spill);
        status = spill_extent_write(spill->file, &spill->extent, spill->filling, size);
        if (status == FP_OK) done->file_bytes += size;
    }
    if (status == FP_OK) publish(store, done);
    spill_publish_items(store, scratch, status == FP_OK, done);
    spill_extent_done(spill->file, &spill->extent);
    if (status == FP_TOO_BIG) store_count(&spill->counters.file_full, 1);
    return status;
}

/* --- the hand --------------------------------------------------------------------------------- */

enum pick { PICK_NEXT, PICK_FULL };

/* Looks at one slot: a mark is taken, what has none is copied into the extent. */
static enum pick pick_locked(struct store *store, struct area *area, uint64_t slot)
{
    struct store_spill *spill = store->spill;
    struct zhandle handle = area_handle_locked(area, slot);
    struct zname name = zpool_look(store->zpool, handle);
    struct zmap map;
    if (name.what != ZOBJECT || entry_form(name.note) == ENTRY_WORD) return PICK_NEXT;
    spill->vain_looks++;
    if (zpool_touched(store->zpool, handle)) {
        zpool_untouch(store->zpool, handle);
        return PICK_NEXT;
    }
    if (area_pinned_locked(area, slot)) return PICK_NEXT;
    if (zpool_map(store->zpool, handle, ZACCESS_READ, &map) != FP_OK) return PICK_NEXT;
    struct spill_record record = {.generation = area->generation,
                                  .slot = slot,
                                  .area = area->index,
                                  .owner = handle.number,
                                  .size_bytes = map.size_bytes,
                                  .note = name.note};
    uint8_t *room = spill_filling_add(spill, record, 0);
    if (room != NULL) memcpy(room, map.bytes, map.size_bytes);
    zpool_unmap(store->zpool, &map);
    if (room == NULL) return PICK_FULL;
    spill->vain_looks = 0;
    return PICK_NEXT;
}

/* Moves an area's hand by one slot, or over what is not used. */
static enum pick step_hand(struct store *store, struct area *area)
{
    uint64_t slot = area->spill_hand;
    if (slot % AREA_ROW_SLOTS == 0) slot = area_skip_unused(area, slot);
    if (slot >= area->slot_count) {
        area->spill_hand = 0;
        return PICK_NEXT;
    }
    area_slot_take(area, slot);
    enum pick pick = pick_locked(store, area, slot);
    area_slot_drop(area, slot);
    area->spill_hand = slot + (pick == PICK_NEXT);
    return pick;
}

/* A use of the area whose turn it is, or NULL where there is none. */
static struct area *take_turn(struct store *store)
{
    struct store_spill *spill = store->spill;
    struct area *area = store_area_from(store, spill->area);
    if (area == NULL && spill->area > 0) area = store_area_from(store, 0);
    if (area == NULL) return NULL;
    if (area->index != spill->area || area->generation != spill->generation) spill->turn_looks = 0;
    spill->area = area->index;
    spill->generation = area->generation;
    return area;
}

static bool has_objects(const struct area *area)
{
    const struct area_counters *counters = &area->counters;
    return area_stand(area) < AREA_MOVED &&
           atomic_load(&counters->stored) > atomic_load(&counters->same_filled) +
                                                atomic_load(&counters->spilled);
}

static uint64_t objects_of(const struct area *area)
{
    const struct area_counters *counters = &area->counters;
    return atomic_load(&counters->stored) - atomic_load(&counters->same_filled) -
           atomic_load(&counters->spilled);
}

/* Objects that the hand could pick, and whose turn it is: the tenant's that has borrowed most of
 * those who have any. Where all that he has is in use, everybody's. */
static uint64_t candidates(struct store *store)
{
    struct store_spill *spill = store->spill;
    uint64_t sum = 0, of[TENANTS_MAX] = {0}, limit = budget_wanted(&store->budget), most = 0;
    struct area *area = NULL;
    while ((area = store_area_next(store, area)) != NULL) {
        if (!has_objects(area)) continue;
        of[area->tenant] += objects_of(area);
        sum += objects_of(area);
    }
    spill->any_tenant = true;
    for (uint32_t i = 0; i < TENANTS_MAX && !spill->vain; i++) {
        uint64_t borrowed = tenants_borrowed(&store->tenants, (uint8_t)i, limit);
        if (of[i] == 0 || borrowed <= most) continue;
        most = borrowed;
        spill->any_tenant = of[i] == sum;
        spill->tenant = (uint8_t)i;
    }
    return spill->any_tenant ? sum : of[spill->tenant];
}

static bool is_his_turn(const struct store *store, const struct area *area)
{
    const struct store_spill *spill = store->spill;
    return has_objects(area) && (spill->any_tenant || area->tenant == spill->tenant);
}

/* Until the extent is full, enough was picked, or enough looked at. */
static void pick_some(struct store *store, struct spill_limits limits, struct spill_step *done)
{
    struct store_spill *spill = store->spill;
    enum pick pick = PICK_NEXT;
    while (pick == PICK_NEXT && done->looked < limits.looks &&
           spill->filled_bytes < limits.bytes) {
        struct area *area = take_turn(store);
        if (area == NULL) return;
        bool goes = is_his_turn(store, area);
        while (goes && pick == PICK_NEXT && done->looked < limits.looks &&
               spill->filled_bytes < limits.bytes && spill->turn_looks < TURN_LOOKS) {
            pick = step_hand(store, area);
            spill->turn_looks++;
            done->looked++;
        }
        if (!goes || spill->turn_looks >= TURN_LOOKS) {
            spill->area++;
            spill->turn_looks = 0;
            done->looked++; /* so that it ends where no area has anything */
        }
        area_release(&area);
    }
}

static void gets_on(struct store_spill *spill, bool it_does)
{
    atomic_store_explicit(&spill->gets_on, it_does ? SPILL_GETS_ON : SPILL_STANDS_STILL,
                          memory_order_relaxed);
}

static enum fp_status step_pages(struct store *store, struct store_scratch *scratch,
                                 struct spill_limits limits, struct spill_step *done)
{
    struct store_spill *spill = store->spill;
    uint64_t there = candidates(store);
    if (there == 0) return FP_ABSENT;
    enum fp_status status = spill_filling_begin_room(store, scratch);
    if (status != FP_OK) return status;
    pick_some(store, limits, done);
    bool vain = spill->record_count == 0 &&
                spill->vain_looks > VAIN_ROUNDS * there + VAIN_LOOKS_MIN;
    bool last = vain && spill->any_tenant;
    status = spill_filling_end(store, scratch, done);
    if (vain) spill->vain_looks = 0;
    spill->vain = vain && !last;
    return status == FP_OK && last ? FP_ABSENT : status;
}

/* By what both hold in memory. */
static bool is_items_turn(struct store *store)
{
    struct store_spill *spill = store->spill;
    uint64_t all = budget_held(&store->budget, BUDGET_PAYLOAD);
    if (!store_spill_has_items(store)) return false;
    spill->owed_bytes += atomic_load(&store->counters.item_packed_bytes);
    if (spill->owed_bytes < all) return false;
    spill->owed_bytes = all > 0 ? spill->owed_bytes % all : 0;
    return true;
}

static enum fp_status step(struct store *store, struct store_scratch *scratch,
                           struct spill_limits limits, struct spill_step *done)
{
    bool items = is_items_turn(store);
    store->spill->no_extent = false;
    enum fp_status status = items ? spill_step_items(store, scratch, limits, done)
                                  : step_pages(store, scratch, limits, done);
    if (status == FP_ABSENT && items)
        status = step_pages(store, scratch, limits, done);
    else if (status == FP_ABSENT && store_spill_has_items(store))
        status = spill_step_items(store, scratch, limits, done);
    if (!store->spill->no_extent) gets_on(store->spill, status == FP_OK);
    return status;
}

enum fp_status store_spill_step(struct store *store, struct store_scratch *scratch,
                                struct spill_limits limits, struct spill_step *done)
{
    *done = (struct spill_step){0};
    if (store->spill == NULL) return FP_ABSENT;
    enum fp_status status = step(store, scratch, limits, done);
    atomic_store(&store->tenants.pages_give_way, store_spill_makes_room(store));
    return status;
}
