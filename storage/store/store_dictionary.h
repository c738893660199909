/* SPDX-License-Identifier: BSD-3-Clause
 * store_dictionary - a dictionary that one area has, and the pages to learn one from.
 *
 * A dictionary belongs to the area whose pages it was trained from, never to another. The area
 * holds a use of it and of a seat: the current algorithm and level with this dictionary. Its stores
 * pack there; its loads need nothing, since objects name their seat. Dropped or replaced, the area
 * lets go of both, and the dictionary ends when the last object packed with it has died.
 *
 * Life:  none -(keep)-> kept -(keep another)-> kept -(drop)-> none
 *        while kept, a swap of the compressor: the area packs with the current seat until the next
 *        compressor_pool_upkeep(), which makes the seat of the new algorithm and level.
 *
 * Threads: any; keep and drop of one area by one at a time. Blocks: keep prepares a dictionary for
 *          milliseconds, under no lock.
 * Locks:   RANK_DICTIONARIES, RANK_COMPRESSOR_SWAP.
 */
#ifndef FARPAGE_STORAGE_STORE_DICTIONARY_H
#define FARPAGE_STORAGE_STORE_DICTIONARY_H
#include "storage/store/store.h"

struct store_dictionary { /* what an area has, for people */
    uint32_t id;          /* 0: no dictionary */
    uint64_t bytes;
    bool packs; /* stores are packed with it now; false: the algorithm has no use for one, or a
                   seat could not be had */
};

/* Gives the area this dictionary; takes a use of its own. FP_BUSY: every seat still has objects.
 * FP_NO_MEMORY. Unless FP_OK the area has what it had. */
enum fp_status store_dictionary_keep(struct store *store, struct area *area,
                                     struct dictionary *dictionary)
    FP_MUST_CHECK FP_NONNULL(1, 2, 3);

/* False: the area had none. */
bool store_dictionary_drop(struct store *store, struct area *area) FP_NONNULL(1, 2);

void store_dictionary_look(struct store *store, struct area *area, struct store_dictionary *look)
    FP_NONNULL(1, 2, 3);

/* What the area's next store is packed with (NULL: an item's), with one use for the caller. Takes
 * no lock. NULL: as compressor_acquire. */
struct compressor *store_compressor_acquire(struct store *store, struct store_scratch *scratch,
                                            const struct area *area) FP_NONNULL(1, 2);

/* --- learning --------------------------------------------------------------------------------- */

/* Takes up to `wanted` pages from all over the area, in runs of neighbours, without those that are
 * same-filled. What it does counts nowhere as a load. */
struct store_sampler {
    struct area *area;
    uint8_t *pages; /* the caller's, room for wanted; page after page, by row */
    size_t wanted, count;
    /* private */
    uint64_t row;
    double credit; /* pages that the rows up to here should have given and have not */
};

/* One row's worth at most, some hundred microseconds. True: there are no more rows, or `count` is
 * `wanted`. */
bool store_sampler_step(struct store *store, struct store_scratch *scratch,
                        struct store_sampler *sampler) FP_MUST_CHECK FP_NONNULL(1, 2, 3);

#endif
