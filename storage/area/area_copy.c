/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The bits of a row are made when one of its slots is first changed, and found through a search
 * tree of each stripe, as pins are. They go when the walk has passed the row. */
#include "storage/area/area_copy.h"

#include <search.h>
#include <stdlib.h>

#include "base/arith.h"
#include "base/check.h"
#include "storage/area/area_pin.h"

enum {
    MALLOC_BYTES = 16,
    TREE_NODE_BYTES = 48,
};

struct copy_row {
    uint64_t index;
    uint8_t kept[AREA_ROW_SLOTS / 8];
};
#define ROW_COST_BYTES (sizeof(struct copy_row) + MALLOC_BYTES + TREE_NODE_BYTES)
#define KEPT_COST_BYTES (AREA_PIN_BYTES + sizeof(struct area_kept) + MALLOC_BYTES)

static int by_index(const void *a, const void *b)
{
    const struct copy_row *one = a, *other = b;
    return (one->index > other->index) - (one->index < other->index);
}

static void **tree_of(struct area *area, uint64_t slot)
{
    lock_assert_held(&area->stripes[area_stripe(slot)]);
    return &area->copy_rows[area_stripe(slot)];
}

static struct copy_row *find_locked(struct area *area, uint64_t slot)
{
    void **root = tree_of(area, slot);
    struct copy_row key = {.index = slot / AREA_ROW_SLOTS};
    struct copy_row **found = *root == NULL ? NULL : tfind(&key, root, by_index);
    return found == NULL ? NULL : *found;
}

/* NULL: there is no memory. */
static struct copy_row *make_locked(struct area *area, uint64_t slot)
{
    if (!budget_charge(area->budget, BUDGET_SNAPSHOT, ROW_COST_BYTES)) return NULL;
    struct copy_row *row = calloc(1, sizeof *row);
    if (row != NULL) row->index = slot / AREA_ROW_SLOTS;
    if (row != NULL && tsearch(row, tree_of(area, slot), by_index) != NULL) return row;
    free(row);
    budget_return(area->budget, BUDGET_SNAPSHOT, ROW_COST_BYTES);
    return NULL;
}

static void drop_row_locked(struct area *area, uint64_t slot)
{
    struct copy_row *row = find_locked(area, slot);
    if (row == NULL) return;
    (void)tdelete(row, tree_of(area, slot), by_index);
    free(row);
    budget_return(area->budget, BUDGET_SNAPSHOT, ROW_COST_BYTES);
}

/* True: the slot was kept before, or is from here on. */
static bool mark_locked(struct area *area, uint64_t slot, bool *before)
{
    struct copy_row *row = find_locked(area, slot);
    if (row == NULL) row = make_locked(area, slot);
    if (row == NULL) return false;
    uint8_t *byte = &row->kept[slot % AREA_ROW_SLOTS / 8], bit = (uint8_t)(1u << slot % 8);
    *before = (*byte & bit) != 0;
    *byte |= bit;
    return true;
}

static bool is_marked_locked(struct area *area, uint64_t slot)
{
    const struct copy_row *row = find_locked(area, slot);
    return row != NULL && (row->kept[slot % AREA_ROW_SLOTS / 8] >> slot % 8 & 1) != 0;
}

static void push(struct area_copies *copies, struct area_kept *kept)
{
    kept->next = atomic_load(&copies->kept);
    while (!atomic_compare_exchange_weak(&copies->kept, &kept->next, kept)) {}
}

/* False: there is no memory, or enough was kept. */
static bool keep_page_locked(struct area *area, uint64_t slot)
{
    struct area_copies *copies = area->copies;
    if (atomic_load(&copies->kept_bytes) > copies->kept_bytes_max) return false;
    if (!budget_charge(area->budget, BUDGET_SNAPSHOT, KEPT_COST_BYTES)) return false;
    struct area_kept *kept = malloc(sizeof *kept);
    struct area_pin *pin;
    if (kept == NULL || area_pin_keep_locked(area, slot, &pin) != FP_OK) {
        free(kept);
        budget_return(area->budget, BUDGET_SNAPSHOT, KEPT_COST_BYTES);
        return false;
    }
    *kept = (struct area_kept){.area = area, .pin = pin};
    atomic_fetch_add(&copies->kept_bytes, pin->map.size_bytes + KEPT_COST_BYTES);
    push(copies, kept);
    return true;
}

void area_copy_keep_locked(struct area *area, uint64_t slot)
{
    bool before = false;
    if (atomic_load(&area->copies->broken)) return;
    bool good = mark_locked(area, slot, &before);
    struct zname name = zpool_look(area->zpool, area_handle_locked(area, slot));
    if (good && !before && name.what != ZNOTHING) good = keep_page_locked(area, slot);
    if (!good) atomic_store(&area->copies->broken, true);
}

struct area_kept *area_copy_collect(struct area_copies *copies)
{
    return atomic_exchange(&copies->kept, NULL);
}

struct zname area_kept_end(struct area_kept **kept_ptr)
{
    struct area_kept *kept = *kept_ptr;
    struct area *area = kept->area;
    *kept_ptr = NULL;
    uint64_t bytes = kept->pin->map.size_bytes + KEPT_COST_BYTES;
    struct zname ended = area_pin_release(area, &kept->pin, AREA_PIN_KEEPS);
    free(kept);
    budget_return(area->budget, BUDGET_SNAPSHOT, KEPT_COST_BYTES);
    atomic_fetch_sub(&area->copies->kept_bytes, bytes);
    return ended;
}

/* --- the walk --------------------------------------------------------------------------------- */

bool area_copy_some(struct area *area, area_copy_take *take, void *context)
{
    uint64_t slot = atomic_load(&area->uncopied);
    if (slot % AREA_ROW_SLOTS == 0) slot = area_skip_unused(area, slot);
    if (slot >= area->slot_count) {
        atomic_store(&area->uncopied, UINT64_MAX);
        return true;
    }
    uint64_t first = slot, end = min_u64((slot / AREA_ROW_SLOTS + 1) * AREA_ROW_SLOTS,
                                         area->slot_count);
    area_slot_take(area, first);
    for (; slot < end; slot++) {
        struct zhandle handle = area_handle_locked(area, slot);
        if (handle.number == 0 || is_marked_locked(area, slot)) continue;
        if (zpool_look(area->zpool, handle).what == ZNOTHING) continue;
        if (!take(context, slot, handle)) break;
    }
    if (slot == end) drop_row_locked(area, first);
    atomic_store(&area->uncopied, slot < area->slot_count ? slot : UINT64_MAX);
    area_slot_drop(area, first);
    return slot >= area->slot_count;
}

void area_copy_end(struct area *area)
{
    atomic_store(&area->uncopied, UINT64_MAX);
    for (uint64_t stripe = 0; stripe < AREA_STRIPES; stripe++) {
        lock_take(&area->stripes[stripe]);
        while (area->copy_rows[stripe] != NULL) {
            const struct copy_row *row = *(struct copy_row **)area->copy_rows[stripe];
            drop_row_locked(area, row->index * AREA_ROW_SLOTS);
        }
        lock_drop(&area->stripes[stripe]);
    }
}
