/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Each stripe of an area has a search tree of its current pins. It is empty nearly always: then its
 * root is NULL, and that is all that a store looks at. */
#include "storage/area/area_pin.h"
#include "storage/area/area_stand.h"

#include <search.h>
#include <stdlib.h>

#include "base/check.h"

_Static_assert(sizeof(struct area_pin) + 24 + 2 * 24 <= AREA_PIN_BYTES, "and malloc's headers");

static int by_slot(const void *a, const void *b)
{
    const struct area_pin *one = a, *other = b;
    return (one->slot > other->slot) - (one->slot < other->slot);
}

/* The root of the tree that the slot's pin is in; enter holding the slot's stripe. */
static void **tree_of(struct area *area, uint64_t slot)
{
    return &area->pins[area_stripe(slot)];
}

static struct area_pin *find_locked(const struct area *area, uint64_t slot)
{
    void *const *root = &area->pins[area_stripe(slot)];
    lock_assert_held(&area->stripes[area_stripe(slot)]);
    if (*root == NULL) return NULL;
    struct area_pin key = {.slot = slot};
    struct area_pin **found = tfind(&key, root, by_slot);
    return found == NULL ? NULL : *found;
}

/* The slot does not hold the page any more, or nobody maps it. */
static void forget_locked(struct area *area, struct area_pin *pin)
{
    (void)tdelete(pin, tree_of(area, pin->slot), by_slot);
    pin->current = false;
}

/* --- one more map ----------------------------------------------------------------------------- */

static enum fp_status pin_object(struct area *area, struct zhandle handle, struct area_pin *pin)
{
    if (pin->name.what != ZOBJECT) return FP_OK;
    return zpool_map(area->zpool, handle, ZACCESS_READ, &pin->map);
}

static enum fp_status begin_locked(struct area *area, struct zhandle handle, struct area_pin *pin)
{
    enum fp_status status = zpool_handle_take(area->zpool, &pin->own);
    if (status != FP_OK) return status;
    status = pin_object(area, handle, pin);
    if (status == FP_OK && tsearch(pin, tree_of(area, pin->slot), by_slot) == NULL) {
        if (pin->map.bytes != NULL) zpool_unmap(area->zpool, &pin->map);
        status = FP_NO_MEMORY;
    }
    if (status != FP_OK) zpool_handle_give(area->zpool, &pin->own);
    pin->current = status == FP_OK;
    return status;
}

static bool writes(enum area_pin_use use)
{
    return use == AREA_PIN_WRITES || use == AREA_PIN_OVERWRITES;
}

static bool takes_nothing(enum area_pin_use use)
{
    return use == AREA_PIN_OVERWRITES || use >= AREA_PIN_COMPARES;
}

static enum fp_status create_locked(struct area *area, uint64_t slot, enum area_pin_use use,
                                    struct area_pin **out)
{
    struct zhandle handle = area_handle_locked(area, slot);
    struct zname name = zpool_look(area->zpool, handle);
    if (name.what == ZNOTHING && !takes_nothing(use)) return FP_ABSENT;
    if (name.what == ZSPILLED && use != AREA_PIN_KEEPS) return FP_SPILLED;
    struct area_pin *pin = calloc(1, sizeof *pin);
    if (pin == NULL) return FP_NO_MEMORY;
    pin->slot = slot;
    pin->name = name;
    enum fp_status status = begin_locked(area, handle, pin);
    if (status == FP_OK) *out = pin;
    else free(pin);
    return status;
}

static enum fp_status join(const struct area_pin *pin, enum area_pin_use use)
{
    if (pin->name.what == ZNOTHING && !takes_nothing(use)) return FP_ABSENT;
    return writes(use) && pin->writer ? FP_BUSY : FP_OK;
}

enum fp_status area_pin_acquire(struct area *area, uint64_t slot, enum area_pin_use use,
                                struct area_pin **out)
{
    area_slot_take(area, slot);
    struct area_pin *pin = find_locked(area, slot);
    enum fp_status status = area_reads(area);
    if (status == FP_OK)
        status = pin != NULL ? join(pin, use) : create_locked(area, slot, use, &pin);
    if (status == FP_OK) {
        pin->maps++;
        pin->writer |= writes(use);
        *out = pin;
    }
    area_slot_drop(area, slot);
    return status;
}

enum fp_status area_pin_keep_locked(struct area *area, uint64_t slot, struct area_pin **out)
{
    struct area_pin *pin = find_locked(area, slot);
    enum fp_status status = FP_OK;
    if (pin == NULL) status = create_locked(area, slot, AREA_PIN_KEEPS, &pin);
    if (status != FP_OK) return status;
    pin->maps++;
    *out = pin;
    return FP_OK;
}

/* --- one less --------------------------------------------------------------------------------- */

static void end_locked(struct area *area, struct area_pin *pin)
{
    if (pin->map.bytes != NULL) zpool_unmap(area->zpool, &pin->map);
    if (pin->current) forget_locked(area, pin);
}

/* What was handed over ends with the pin, and the handle that kept it. */
static struct zname end_kept(struct area *area, struct area_pin *pin)
{
    struct zname ended = {.what = ZNOTHING};
    if (zpool_look(area->zpool, pin->own).what != ZNOTHING)
        ended = zpool_free(area->zpool, &pin->own);
    else
        zpool_handle_give(area->zpool, &pin->own);
    free(pin);
    return ended;
}

struct zname area_pin_release(struct area *area, struct area_pin **pin_ptr, enum area_pin_use use)
{
    struct area_pin *pin = *pin_ptr;
    uint64_t slot = pin->slot;
    *pin_ptr = NULL;
    area_slot_take(area, slot);
    fp_assert(pin->maps > 0 && (!writes(use) || pin->writer));
    if (writes(use)) pin->writer = false;
    bool last = --pin->maps == 0;
    if (last) end_locked(area, pin);
    area_slot_drop(area, slot);
    return last ? end_kept(area, pin) : (struct zname){.what = ZNOTHING};
}

/* --- for who changes slots -------------------------------------------------------------------- */

bool area_pin_current_locked(const struct area *area, const struct area_pin *pin)
{
    lock_assert_held(&area->stripes[area_stripe(pin->slot)]);
    return pin->current;
}

bool area_pinned_locked(const struct area *area, uint64_t slot)
{
    return find_locked(area, slot) != NULL;
}

bool area_pin_hand_over_locked(struct area *area, uint64_t slot, struct zname *name)
{
    struct area_pin *pin = find_locked(area, slot);
    if (pin == NULL) return false;
    forget_locked(area, pin);
    if (pin->name.what < ZOBJECT) return false; /* it knows a value by heart */
    zpool_move(area->zpool, area_handle_locked(area, slot), pin->own);
    *name = pin->name;
    if (name->what == ZOBJECT) name->size_bytes = pin->map.size_bytes;
    return true;
}
