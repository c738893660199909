/* SPDX-License-Identifier: BSD-3-Clause
 * area - a named, sized array of slots, each of which names a stored page or nothing.
 *
 * A slot is a handle, and AREA_ROW_SLOTS of them are a row of the allocator's: so the slot table is
 * the allocator's cells, 8 bytes each. A row whose last page goes is given back. What tells rows
 * apart is a table of its own, 12 bytes a row, whose pages are charged as they are first written
 * and stay until the area ends. An area of a terabyte costs sizeof(struct area) until it is used.
 *
 * Life: made by the store -> open to all who have a use of it -> deleted: nothing is stored in it
 * any more -> emptied -> destroyed, when the store's own use is the last (store_area.c). On the way
 * it may be frozen, for who copies it, and moved: then it is emptied, but its name stays.
 *
 * Invariants: used_slots of a row == its slots that name something; the sum over rows ==
 * counters.stored. Unless recompression made what is there larger: stored <= quota_pages and
 * packed_bytes <= quota_bytes, where they are not 0; and the same of its tenant.
 * Threads: any. A slot's lock (one of AREA_STRIPES, by row) guards what its handle names.
 * Locks:   takes RANK_SLOTS, or says that it must be held; within it the allocator's.
 */
#ifndef FARPAGE_STORAGE_AREA_H
#define FARPAGE_STORAGE_AREA_H
#include <stdatomic.h>

#include "base/budget.h"
#include "base/lock.h"
#include "base/slice.h"
#include "storage/area/area_counters.h"
#include "storage/area/entry.h"
#include "storage/compress/compressor.h"
#include "storage/limits/tenant.h"

enum {
    AREA_ROW_SLOTS = ZPOOL_ROW_HANDLES,
    AREA_STRIPES = 64,
    AREA_NAME_CAPACITY = 65,
    AREA_SKIP_ROWS = 1 << 16,
    AREA_TABLE_ROWS = 341, /* in a page of the table */
    AREA_TABLE_BYTES = 4096,
};

struct area_row { /* written under its stripe */
    _Atomic uint32_t first; /* handle of its first slot; meaningless where none is used */
    _Atomic uint32_t used_slots;
    _Atomic uint32_t changes; /* slots of it stored or emptied, ever; it wraps */
};

struct area_table_page {
    struct area_row rows[AREA_TABLE_ROWS];
    _Atomic uint32_t charged; /* 0: none of its rows was ever used */
};
_Static_assert(sizeof(struct area_table_page) == AREA_TABLE_BYTES, "no row lies on two pages");

enum area_stand { /* it goes on in this order, and from frozen back to serving */
    AREA_SERVES,
    AREA_FROZEN,  /* nothing is stored or forgotten; loads go on */
    AREA_MOVED,   /* its pages are elsewhere; here they are emptied */
    AREA_DELETED, /* nothing is stored in it any more */
};

/* Where a moved area is, in its server's words. */
enum { AREA_FORWARD_BYTES_MAX = 320 };
struct area_forward {
    uint8_t bytes[AREA_FORWARD_BYTES_MAX];
    uint32_t size_bytes;
};

/* The dictionary that packs its pages; all of it is store_dictionary.c's. */
struct area_dictionary {
    struct compressor_dictionary seat;
    struct dictionary *kept; /* for people: a use of what `seat` has; under RANK_DICTIONARIES */
};

struct opener;
struct area_copies;

enum area_lifetime { /* of no meaning here: for its server and for people */
    AREA_STAYS,      /* until a client deletes it */
    AREA_TRANSIENT,  /* until nobody has it open */
    AREA_CONFIGURED, /* as long as the server runs */
};

struct area {
    char name[AREA_NAME_CAPACITY];
    uint64_t slot_count;
    uint32_t page_bytes;
    uint64_t generation; /* never the same for two areas of one run of the server */
    struct area_counters counters;
    uint64_t quota_pages, quota_bytes; /* 0: none; bytes are packed_bytes */
    enum area_lifetime lifetime;
    bool as_they_are; /* the store packs none of its pages: see store_pack.c */
    uint8_t tenant;   /* who owns it, whoever stores in it */
    struct area_dictionary dictionary;
    struct opener *openers; /* who has it open: its server's, under a lock of its own */
    unsigned index;        /* its place in the register, which no other has while it lives */
    _Atomic uint32_t uses; /* the register's among them */
    _Atomic int stand;           /* enum area_stand */
    struct area_forward forward; /* once it is moved; then it does not change */
    _Atomic uint64_t reaped_slot; /* how far it is emptied; this and the next are store_area.c's */
    bool leaving; /* moved and not emptied; under RANK_AREAS */
    uint64_t spill_hand; /* the slot that is looked at next for being cold; store_spill.c's */
    /* private to area.c */
    struct zpool *zpool;
    struct budget *budget;
    struct tenants *tenants;
    uint64_t row_count;
    struct area_table_page *table; /* a reservation */
    _Atomic uint64_t table_bytes;  /* charged */
    struct lock stripes[AREA_STRIPES];
    void *pins[AREA_STRIPES]; /* of mapped slots, area_pin.c's */
    /* area_copy.c's */
    struct area_copies *copies;
    _Atomic uint64_t uncopied; /* slots from here on are still to be copied; UINT64_MAX: none */
    void *copy_rows[AREA_STRIPES];
};

struct area_options {
    struct slice name;
    uint64_t slot_count;
    uint32_t page_bytes;
    uint64_t generation;
    uint64_t quota_pages, quota_bytes; /* 0: none */
    enum area_lifetime lifetime;
    bool as_they_are; /* nothing in it is packed */
    uint8_t tenant;
    struct tenants *tenants; /* of whom it is one; outlives the area */
    struct budget *budget; /* is charged for it, as BUDGET_SLOTS */
    struct area_copies *copies; /* outlives it; NULL: it is never copied (area_copy.h) */
};

/* Makes an area with one use. FP_NO_MEMORY: the budget, or no address space or heap for it. The
 * pool outlives the area. */
enum fp_status area_create(struct zpool *zpool, const struct area_options *options,
                           struct area **area) FP_MUST_CHECK FP_NONNULL(1, 2, 3);
/* Every slot must be empty, and no dictionary kept. */
void area_destroy(struct area **area) FP_NONNULL(1);

/* One use more, by who has one. */
void area_acquire(struct area *area) FP_NONNULL(1);
void area_release(struct area **area) FP_NONNULL(1); /* NULL inside is fine */

/* From here on nothing can be stored: what is put under a slot's lock before is there to be seen by
 * who takes that lock now. False: it was deleted before. */
bool area_delete(struct area *area) FP_MUST_CHECK FP_NONNULL(1);
/* What it is charged for, besides rows and objects. */
uint64_t area_held_bytes(const struct area *area) FP_NONNULL(1);

void area_slot_take(struct area *area, uint64_t slot) FP_NONNULL(1); /* its stripe's lock */
void area_slot_drop(struct area *area, uint64_t slot) FP_NONNULL(1);

/* The slot's handle, which may name nothing, or 0 where no slot nearby is used; enter holding its
 * lock. */
struct zhandle area_handle_locked(const struct area *area, uint64_t slot) FP_NONNULL(1);

static inline unsigned area_stripe(uint64_t slot)
{
    return (unsigned)(slot / AREA_ROW_SLOTS % AREA_STRIPES);
}
struct area_pin;

/* Lets the slot name what *next does, and clears its handle; *old is what ended: what it named
 * before, or nothing where that is mapped (area_pin.h). FP_NO_MEMORY: the table cannot grow.
 * FP_QUOTA: it would become more than the area or its tenant may hold, and more than it is, or be
 * borrowed where others count on the memory. FP_LOST, FP_MOVED,
 * FP_FROZEN: area_writes. Then nothing has changed. Takes and drops the slot's lock. */
enum fp_status area_put(struct area *area, uint64_t slot, struct stored *next, struct zname *old)
    FP_MUST_CHECK FP_NONNULL(1, 3, 4);
/* The same for the slot of a pin, if it still holds what was pinned: else FP_EXISTS. */
enum fp_status area_put_pinned(struct area *area, const struct area_pin *pin, struct stored *next,
                               struct zname *old) FP_MUST_CHECK FP_NONNULL(1, 2, 3, 4);

/* Empties the slot of a pin on the same condition; *ended is what ended with it, or nothing. */
enum fp_status area_clear_pinned(struct area *area, const struct area_pin *pin,
                                 struct zname *ended) FP_MUST_CHECK FP_NONNULL(1, 2, 3);

/* As area_put for a slot that names something and is not mapped, with its lock held by the caller:
 * so it cannot fail. The object stays as touched as the one before it. Returns what the slot named.
 */
struct zname area_replace_locked(struct area *area, uint64_t slot, struct stored *next)
    FP_NONNULL(1, 3);

/* The slot's object is at `place` of the file below memory now, in which it may have been before.
 * It is not mapped; enter holding the slot's lock. Returns what the slot named. */
struct zname area_spill_locked(struct area *area, uint64_t slot, uint64_t place) FP_NONNULL(1);

/* The next slot from `slot` on whose row holds something, or slot_count, or where this stopped
 * after AREA_SKIP_ROWS rows. A hint: looks under no lock. */
uint64_t area_skip_unused(const struct area *area, uint64_t slot) FP_MUST_CHECK FP_NONNULL(1);

/* Empties up to `max` slots of [*slot, end), unless the area is frozen; writes what ended with each
 * to `ended`, and moves *slot behind what was looked at. Returns how many. Done when *slot == end.
 * Looks at the slots of one row at most, and skips AREA_SKIP_ROWS unused ones, so that a caller can
 * bound its time. */
unsigned area_clear_some(struct area *area, uint64_t *slot, uint64_t end, struct zname *ended,
                         unsigned max) FP_NONNULL(1, 2, 4);

/* Slots of a row that name something; a hint. */
uint32_t area_row_used(const struct area *area, uint64_t row) FP_NONNULL(1);

void area_check(struct area *area) FP_NONNULL(1); /* recomputes the counts: slow */

#endif
