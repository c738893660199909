/* SPDX-License-Identifier: BSD-3-Clause
 * area_copy - the pages of all areas as they were at one moment, while everybody goes on.
 *
 * Who copies walks over the areas, slot by slot. Whoever changes a slot that the walk has not come
 * to keeps what it held at that moment: a pin of the old page, which the walk collects, and a bit
 * that says that the slot is not to be copied any more. So a change costs a pin at most once for
 * each slot, nothing behind the walk, and where nobody copies one look at a number.
 *
 *   moment    `on` is set while each area's `uncopied` is 0: a change that looked before is in it,
 *             one that looks after is not, in all areas alike
 *   memory    pins and bits are charged (BUDGET_SNAPSHOT); the old pages are counted. Where there
 *             is none, or more than kept_bytes_max were kept, the copy is broken and the change
 *             goes on as if there were none: nobody who stores is refused for it.
 *
 * Threads: any change; one copies. Locks: RANK_SLOTS; what it says.
 */
#ifndef FARPAGE_STORAGE_AREA_COPY_H
#define FARPAGE_STORAGE_AREA_COPY_H
#include "storage/area/area.h"

struct area_kept {
    struct area_kept *next;
    struct area *area;
    struct area_pin *pin; /* one use */
};

struct area_copies { /* all areas of a store have the same; zeroed at the start */
    _Atomic bool on;
    _Atomic bool broken;
    _Atomic uint64_t kept_bytes;
    uint64_t kept_bytes_max;       /* set before it is on */
    struct area_kept *_Atomic kept; /* newest first */
};

static inline bool area_copies_on(const struct area *area)
{
    return area->copies != NULL && atomic_load(&area->copies->on);
}
/* Whether something of the area is still to be copied. */
static inline bool area_copy_waits(const struct area *area)
{
    return area_copies_on(area) && atomic_load(&area->uncopied) != UINT64_MAX;
}

void area_copy_keep_locked(struct area *area, uint64_t slot) FP_NONNULL(1);
/* Before a slot gets another page or none; enter holding its lock. */
static inline void area_copy_before_locked(struct area *area, uint64_t slot)
{
    if (slot >= atomic_load_explicit(&area->uncopied, memory_order_seq_cst) &&
        area_copies_on(area))
        area_copy_keep_locked(area, slot);
}

/* --- for who copies --------------------------------------------------------------------------- */

/* Called with the slot's lock held, for each page that is to be copied. False: no more fits, and
 * this one was not taken. */
typedef bool area_copy_take(void *context, uint64_t slot, struct zhandle handle);

/* Goes on from area->uncopied within one row, or over rows that hold nothing. True: the area is
 * done. Takes and drops a slot's lock. */
bool area_copy_some(struct area *area, area_copy_take *take, void *context)
    FP_MUST_CHECK FP_NONNULL(1, 2);

/* What was kept since the last call, newest first; the caller's, and each of them to be ended. */
struct area_kept *area_copy_collect(struct area_copies *copies) FP_NONNULL(1);
/* Ends one that was collected, and its pin. What ended with it is for store_name_ended. */
struct zname area_kept_end(struct area_kept **kept) FP_NONNULL(1);

/* Forgets what the copy knows of an area, which it is done with or gives up. */
void area_copy_end(struct area *area) FP_NONNULL(1);

#endif
