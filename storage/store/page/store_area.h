/* SPDX-License-Identifier: BSD-3-Clause
 * store_area - the register of areas: they are made, found by name, walked, and deleted.
 *
 * Whoever is given an area has a use of it and releases it (area_release). An area that is deleted
 * is out of the register at once and stays readable in memory for as long as anybody has a use.
 *
 * Threads: any. Blocks: never, but for a short lock and the system's memory map.
 * Locks:   RANK_AREAS; enter store_area_reap_step holding none.
 */
#ifndef FARPAGE_STORAGE_STORE_AREA_H
#define FARPAGE_STORAGE_STORE_AREA_H
#include "storage/store/store.h"

/* Makes an area, and gives the caller a use of it. page_bytes 0: the store's; generation and budget
 * are the store's business, too. FP_EXISTS: there is one of that name. FP_TOO_BIG: STORE_AREAS_MAX,
 * those that are being emptied included. FP_NO_MEMORY: see store_may_retry. */
enum fp_status store_area_create(struct store *store, const struct area_options *options,
                                 struct area **area) FP_MUST_CHECK FP_NONNULL(1, 2, 3);
/* A use of the area of that name. FP_ABSENT. */
enum fp_status store_area_acquire(struct store *store, struct slice name, struct area **area)
    FP_MUST_CHECK FP_NONNULL(1, 3);
/* Either: slots 0 acquires; else makes one of the store's page size, or acquires what has as many
 * slots. FP_EXISTS: it has not. */
enum fp_status store_area_open(struct store *store, struct slice name, uint64_t slots,
                               struct area **area) FP_MUST_CHECK FP_NONNULL(1, 4);

/* What it holds is that tenant's from here on; before anybody else uses it. */
void store_area_give(struct store *store, struct area *area, uint8_t tenant) FP_NONNULL(1, 2);

/* All areas, one after the other: gives up the use of `area` (NULL: at the beginning) and takes one
 * of the next; NULL behind the last. Whoever leaves the loop earlier releases what he has. */
struct area *store_area_next(struct store *store, struct area *area) FP_NONNULL(1);
/* A use of the first one whose index is at least `index`; NULL. */
struct area *store_area_from(struct store *store, unsigned index) FP_NONNULL(1);

/* The name is free at once, nothing can be stored any more (FP_LOST), loads find nothing (FP_LOST).
 * False: it was deleted before. */
bool store_area_delete(struct store *store, struct area *area) FP_MUST_CHECK FP_NONNULL(1, 2);
/* What was frozen (area_freeze) is elsewhere from here on; area_move. It is emptied by and by. */
bool store_area_move(struct store *store, struct area *area, struct slice forward)
    FP_MUST_CHECK FP_NONNULL(1, 2);
/* One bounded step of emptying what was deleted or moved, and of ending what was deleted; *ended is
 * how many pages went. False: there is nothing to do for now. */
bool store_area_reap_step(struct store *store, struct store_scratch *scratch, uint64_t *ended)
    FP_NONNULL(1, 2, 3);
unsigned store_areas_dying(const struct store *store) FP_NONNULL(1); /* deleted, not yet gone */

#endif
