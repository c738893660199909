/* SPDX-License-Identifier: BSD-3-Clause
 * store_page_walk - all slots that may hold a page, one after the other, while areas come and go.
 *
 *     struct store_page_walk walk = {.slot = 0};
 *     while ((met = store_page_walk_next(store, &walk, false, &place)) != PAGE_WALK_DONE)
 *         if (met == PAGE_WALK_PLACE) ... place ...
 *
 * A slot that holds a page from the first step to the last is met once. Areas that moved away or
 * were deleted are left out. It may be left between any two steps, paused.
 *
 * Threads: any, each with a walk of its own. Locks: RANK_AREAS.
 */
#ifndef FARPAGE_STORAGE_STORE_PAGE_WALK_H
#define FARPAGE_STORAGE_STORE_PAGE_WALK_H
#include "storage/store/store.h"

struct store_page_walk { /* all zeros: at the beginning */
    unsigned area;       /* by index */
    uint64_t generation; /* of that one: another may have come to its place meanwhile */
    uint64_t slot;
    bool done;
    struct area *within; /* a use of that area; NULL: not looked for since the last pause */
};

enum store_page_walked {
    PAGE_WALK_PLACE, /* *place is the next; its area is good until the next call or pause */
    PAGE_WALK_ON,    /* nothing for now: it went over slots that hold nothing */
    PAGE_WALK_DONE,
};

/* packed: areas whose pages are kept as they are, are left out. */
enum store_page_walked store_page_walk_next(struct store *store, struct store_page_walk *walk,
                                            bool packed, struct page_place *place)
    FP_MUST_CHECK FP_NONNULL(1, 2, 4);
/* Gives up its use of the area it is in. */
void store_page_walk_pause(struct store_page_walk *walk) FP_NONNULL(1);

/* Pages there are, for who tells how far it is. */
uint64_t store_page_count(struct store *store) FP_NONNULL(1);

#endif
