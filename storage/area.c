/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Life of a row: none -(first page put)-> taken from the allocator -(last page taken out)-> none
 */
#include "storage/area.h"

#include <stdlib.h>
#include <string.h>

#include "base/arith.h"
#include "storage/area_pin.h"
#include "storage/pages.h"

static struct area_row *row_of(const struct area *area, uint64_t slot)
{
    return &area->rows[slot / AREA_ROW_SLOTS];
}

/* Read without the stripe's lock it is a hint. */
static uint32_t used_of(const struct area_row *row)
{
    return atomic_load_explicit(&row->used_slots, memory_order_relaxed);
}

static struct lock *stripe_of(struct area *area, uint64_t slot)
{
    return &area->stripes[area_stripe(slot)];
}

uint32_t area_row_used(const struct area *area, uint64_t row)
{
    return used_of(&area->rows[row]);
}

enum fp_status area_create(struct zpool *zpool, const struct area_options *options,
                           struct area **out)
{
    fp_assert(options->slot_count > 0 && options->name.size_bytes < AREA_NAME_CAPACITY);
    /* Beyond 48 bits there is no address space anyway, and no product below wraps. */
    if (options->slot_count >> 48 != 0) return FP_NO_MEMORY;
    struct area *area = calloc(1, sizeof *area);
    if (area == NULL) return FP_NO_MEMORY;
    memcpy(area->name, options->name.bytes, options->name.size_bytes);
    area->slot_count = options->slot_count;
    area->page_bytes = options->page_bytes;
    area->generation = options->generation;
    area->zpool = zpool;
    area->row_count = div_up_u64(area->slot_count, AREA_ROW_SLOTS);
    area->rows = pages_reserve(area->row_count * sizeof *area->rows);
    if (area->rows == NULL) {
        free(area);
        return FP_NO_MEMORY;
    }
    for (unsigned i = 0; i < AREA_STRIPES; i++) lock_init(&area->stripes[i], RANK_SLOTS);
    *out = area;
    return FP_OK;
}

void area_destroy(struct area **area_ptr)
{
    struct area *area = *area_ptr;
    if (area == NULL) return;
    fp_assert(atomic_load(&area->counters.stored) == 0);
    fp_assert(area->dictionary.kept == NULL);
    for (unsigned i = 0; i < AREA_STRIPES; i++) {
        fp_assert(area->pins[i] == NULL);
        lock_fini(&area->stripes[i]);
    }
    pages_release(area->rows, area->row_count * sizeof *area->rows);
    free(area);
    *area_ptr = NULL;
}

void area_slot_take(struct area *area, uint64_t slot)
{
    fp_assert(slot < area->slot_count);
    lock_take(stripe_of(area, slot));
}

void area_slot_drop(struct area *area, uint64_t slot)
{
    lock_drop(stripe_of(area, slot));
}

struct zhandle area_handle_locked(const struct area *area, uint64_t slot)
{
    const struct area_row *row = row_of(area, slot);
    if (used_of(row) == 0) return (struct zhandle){0};
    uint32_t first = atomic_load_explicit(&row->first, memory_order_relaxed);
    return (struct zhandle){first + (uint32_t)(slot % AREA_ROW_SLOTS)};
}

/* --- changes ---------------------------------------------------------------------------------- */

/* Adds what a slot names to the counters, or takes it off again. */
static void count_name(struct area *area, struct zname name, uint64_t sign)
{
    struct area_counters *counters = &area->counters;
    if (name.what == ZNOTHING) return;
    atomic_fetch_add_explicit(&counters->stored, sign, memory_order_relaxed);
    if (entry_same_filled(name))
        atomic_fetch_add_explicit(&counters->same_filled, sign, memory_order_relaxed);
    if (entry_incompressible(name))
        atomic_fetch_add_explicit(&counters->incompressible, sign, memory_order_relaxed);
    atomic_fetch_add_explicit(&counters->packed_bytes, sign * entry_packed_bytes(name),
                              memory_order_relaxed);
}

static enum fp_status row_prepare_locked(struct area *area, struct area_row *row)
{
    struct zhandle first;
    if (used_of(row) > 0) return FP_OK;
    enum fp_status status = zpool_row_take(area->zpool, &first);
    if (status == FP_OK)
        atomic_store_explicit(&row->first, first.number, memory_order_relaxed);
    return status;
}

static void row_changed_locked(struct area_row *row)
{
    atomic_fetch_add_explicit(&row->changes, 1, memory_order_relaxed);
}

static void row_count_locked(struct area *area, struct area_row *row, uint32_t change)
{
    uint32_t used = used_of(row) + change;
    atomic_store_explicit(&row->used_slots, used, memory_order_relaxed);
    if (used > 0) return;
    struct zhandle first = {atomic_load_explicit(&row->first, memory_order_relaxed)};
    zpool_row_give(area->zpool, &first);
}

static enum fp_status put_locked(struct area *area, uint64_t slot, struct stored *next,
                                 struct zname *old)
{
    struct area_row *row = row_of(area, slot);
    enum fp_status status = row_prepare_locked(area, row);
    if (status != FP_OK) return status;
    uint32_t first = atomic_load_explicit(&row->first, memory_order_relaxed);
    struct zhandle handle = {first + (uint32_t)(slot % AREA_ROW_SLOTS)};
    struct zname named;
    bool mapped = area_pin_hand_over_locked(area, slot, &named);
    *old = zpool_replace(area->zpool, handle, &next->handle);
    if (!mapped) named = *old;
    count_name(area, next->name, 1);
    count_name(area, named, (uint64_t)-1);
    row_count_locked(area, row, named.what == ZNOTHING);
    row_changed_locked(row);
    return FP_OK;
}

enum fp_status area_put(struct area *area, uint64_t slot, struct stored *next, struct zname *old)
{
    area_slot_take(area, slot);
    enum fp_status status = put_locked(area, slot, next, old);
    area_slot_drop(area, slot);
    return status;
}

enum fp_status area_put_pinned(struct area *area, const struct area_pin *pin, struct stored *next,
                               struct zname *old)
{
    area_slot_take(area, pin->slot);
    enum fp_status status = FP_EXISTS;
    if (area_pin_current_locked(area, pin)) status = put_locked(area, pin->slot, next, old);
    area_slot_drop(area, pin->slot);
    return status;
}

struct zname area_replace_locked(struct area *area, uint64_t slot, struct stored *next)
{
    struct lock *stripe = stripe_of(area, slot);
    lock_assert_held(stripe);
    fp_assert(!area_pinned_locked(area, slot));
    struct zhandle handle = area_handle_locked(area, slot);
    bool touched = zpool_touched(area->zpool, handle);
    struct zname old = zpool_replace(area->zpool, handle, &next->handle);
    fp_assert(old.what != ZNOTHING);
    if (!touched) zpool_untouch(area->zpool, handle);
    count_name(area, next->name, 1);
    count_name(area, old, (uint64_t)-1);
    return old;
}

/* Moves *slot over rows that hold nothing. True: the caller has to come back, or it is the end.
 * What is stored there while this looks is stored after the clearing, in the order of things. */
static bool skip_unused(const struct area *area, uint64_t *slot, uint64_t end)
{
    if (atomic_load(&area->counters.stored) == 0) {
        *slot = end;
        return true;
    }
    for (unsigned i = 0; i < AREA_SKIP_ROWS && *slot < end; i++) {
        if (used_of(row_of(area, *slot)) != 0) return false;
        *slot = min_u64((*slot / AREA_ROW_SLOTS + 1) * AREA_ROW_SLOTS, end);
    }
    return true;
}

uint64_t area_skip_unused(const struct area *area, uint64_t slot)
{
    if (slot < area->slot_count) (void)skip_unused(area, &slot, area->slot_count);
    return slot;
}

/* False: it was empty. */
static bool clear_slot_locked(struct area *area, uint64_t slot, struct zname *ended)
{
    struct zhandle handle = area_handle_locked(area, slot);
    struct zname named = zpool_look(area->zpool, handle);
    if (named.what == ZNOTHING) return false;
    bool mapped = area_pin_hand_over_locked(area, slot, &named);
    *ended = zpool_clear(area->zpool, handle);
    if (!mapped) named = *ended;
    count_name(area, named, (uint64_t)-1);
    row_count_locked(area, row_of(area, slot), (uint32_t)-1);
    row_changed_locked(row_of(area, slot));
    return true;
}

unsigned area_clear_some(struct area *area, uint64_t *slot, uint64_t end, struct zname *ended,
                         unsigned max)
{
    fp_assert(*slot < end && end <= area->slot_count);
    if (skip_unused(area, slot, end)) return 0;
    const struct area_row *row = row_of(area, *slot);
    uint64_t stop = min_u64((*slot / AREA_ROW_SLOTS + 1) * AREA_ROW_SLOTS, end);
    unsigned count = 0;
    struct lock *stripe = stripe_of(area, *slot);
    lock_take(stripe);
    while (*slot < stop && count < max) {
        if (used_of(row) == 0) {
            *slot = stop;
            break;
        }
        count += clear_slot_locked(area, *slot, &ended[count]);
        ++*slot;
    }
    lock_drop(stripe);
    return count;
}

/* --- looking at rows -------------------------------------------------------------------------- */

static void look_locked(const struct area *area, uint64_t index, struct area_row_look *look)
{
    const struct area_row *row = &area->rows[index];
    uint64_t end = min_u64((index + 1) * AREA_ROW_SLOTS, area->slot_count);
    *look = (struct area_row_look){
        .first = index * AREA_ROW_SLOTS,
        .changes = atomic_load_explicit(&row->changes, memory_order_relaxed),
        .used_slots = used_of(row)};
    for (uint64_t slot = look->first; slot < end && look->used_slots > 0; slot++) {
        uint64_t at = slot - look->first;
        struct zname name = zpool_look(area->zpool, area_handle_locked(area, slot));
        if (name.what != ZNOTHING) look->used[at / 8] |= (uint8_t)(1u << at % 8);
    }
}

bool area_look_row(struct area *area, uint64_t *slot, struct area_row_look *look)
{
    if (*slot >= area->slot_count) return false;
    uint64_t index = *slot / AREA_ROW_SLOTS;
    uint64_t stop = min_u64(index + AREA_SKIP_ROWS, area->row_count);
    while (index < stop &&
           atomic_load_explicit(&area->rows[index].changes, memory_order_relaxed) == 0)
        index++;
    *slot = min_u64(index * AREA_ROW_SLOTS, area->slot_count);
    if (index == stop) return false;
    area_slot_take(area, *slot);
    look_locked(area, index, look);
    area_slot_drop(area, *slot);
    *slot = min_u64((index + 1) * AREA_ROW_SLOTS, area->slot_count);
    return true;
}

/* --- checks ----------------------------------------------------------------------------------- */

static struct zname name_with_size(const struct area *area, struct zhandle handle)
{
    struct zname name = zpool_look(area->zpool, handle);
    struct zmap map;
    if (name.what != ZOBJECT) return name;
    fp_assert(zpool_map(area->zpool, handle, ZACCESS_READ, &map) == FP_OK);
    name.size_bytes = map.size_bytes;
    zpool_unmap(area->zpool, &map);
    return name;
}

/* Adds up what the slots of one row name. */
static void tally_row_locked(const struct area *area, uint64_t index, struct area_counters *sum)
{
    uint64_t first = index * AREA_ROW_SLOTS, before = sum->stored;
    uint64_t end = min_u64(first + AREA_ROW_SLOTS, area->slot_count);
    uint32_t used = used_of(&area->rows[index]);
    for (uint64_t slot = first; slot < end && used > 0; slot++) {
        struct zname name = name_with_size(area, area_handle_locked(area, slot));
        sum->stored += name.what != ZNOTHING;
        sum->same_filled += entry_same_filled(name);
        sum->incompressible += entry_incompressible(name);
        sum->packed_bytes += entry_packed_bytes(name);
    }
    fp_assert(sum->stored - before == used);
}

void area_check(struct area *area)
{
    struct area_counters sum = {0};
    for (uint64_t index = 0; index < area->row_count; index++) {
        area_slot_take(area, index * AREA_ROW_SLOTS);
        tally_row_locked(area, index, &sum);
        area_slot_drop(area, index * AREA_ROW_SLOTS);
    }
    fp_assert(sum.stored == atomic_load(&area->counters.stored));
    fp_assert(sum.same_filled == atomic_load(&area->counters.same_filled));
    fp_assert(sum.incompressible == atomic_load(&area->counters.incompressible));
    fp_assert(sum.packed_bytes == atomic_load(&area->counters.packed_bytes));
}
