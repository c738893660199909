/* SPDX-License-Identifier: BSD-3-Clause
 * area_pin - the page of a slot while somebody has it mapped: pinned where it is, and kept for the
 * mappers when the slot is stored to or emptied.
 *
 * All maps of one page share one pin. It is found by its slot as long as the slot still holds that
 * page; after that only its maps know it, and the next who maps the slot begins another.
 *
 * Life:  none -(first acquire)-> current -(the slot is stored to or emptied: the object gets the
 *        pin's own handle, which it has from the start, so this cannot fail)-> kept -(last
 *        release)-> none.  Without a change it goes from current to none.
 *
 * Threads: any. What changes is guarded by the slot's stripe; slot, name and map never do.
 * Locks:   acquire and release take RANK_SLOTS, and the allocator's within.
 */
#ifndef FARPAGE_STORAGE_AREA_PIN_H
#define FARPAGE_STORAGE_AREA_PIN_H
#include "storage/area/area.h"

struct area_pin {
    uint64_t slot;
    struct zname name; /* what the slot held: a value, an object or nothing; without the size */
    struct zmap map;   /* of an object */
    /* private to area_pin.c */
    struct zhandle own; /* names nothing until the slot holds another page */
    uint32_t maps;
    bool writer; /* one of them */
    bool current;
};

enum area_pin_use {
    AREA_PIN_READS,
    AREA_PIN_WRITES,
    AREA_PIN_OVERWRITES, /* and does not mind that the slot holds nothing */
    AREA_PIN_COMPARES,   /* reads, and does not mind either; there may be a writer besides */
    AREA_PIN_KEEPS,      /* the same, what is spilled too: then nothing is mapped */
};

/* Room that malloc takes for a pin and for its place in the search tree. */
enum { AREA_PIN_BYTES = 192 };

/* Pins the slot's page for one more map. FP_ABSENT. FP_BUSY: there is a writer already.
 * FP_CORRUPT: the cell leads to no object. FP_SPILLED: promote it first. FP_NO_MEMORY. */
enum fp_status area_pin_acquire(struct area *area, uint64_t slot, enum area_pin_use use,
                                struct area_pin **pin) FP_MUST_CHECK FP_NONNULL(1, 4);
/* AREA_PIN_KEEPS, however the area stands, right before the slot gets another page or none: enter
 * holding the stripe. */
enum fp_status area_pin_keep_locked(struct area *area, uint64_t slot, struct area_pin **pin)
    FP_MUST_CHECK FP_NONNULL(1, 3);
/* One map ends, and the pin with the last one. Returns what ended with it (ZNOTHING mostly), for
 * store_name_ended. */
struct zname area_pin_release(struct area *area, struct area_pin **pin, enum area_pin_use use)
    FP_MUST_CHECK FP_NONNULL(1, 2);

/* Whether the slot still holds the page; good as long as the stripe's lock is held. */
bool area_pin_current_locked(const struct area *area, const struct area_pin *pin) FP_NONNULL(1, 2);

/* Whether a slot is mapped; costs one look where nothing nearby is. Enter holding its stripe. */
bool area_pinned_locked(const struct area *area, uint64_t slot) FP_NONNULL(1);

/* Before a slot gets another page or none. True: its object is its pin's now; *name is what it is,
 * with its size. Enter holding the stripe. */
bool area_pin_hand_over_locked(struct area *area, uint64_t slot, struct zname *name)
    FP_MUST_CHECK FP_NONNULL(1, 3);

#endif
