/* SPDX-License-Identifier: BSD-3-Clause
 * store_walk - all live items, a few at a time, while everybody goes on (keydir_walk.h says what is
 * met and what is not). Nothing counts as used for it.
 *
 *     struct store_walk walk = {.position = 0};
 *     do {
 *         store_walk_step(store, scratch, &walk);
 *         ... walk.items ...
 *         store_walk_release(store, scratch, &walk);
 *     } while (walk.position != 0);
 *
 * Threads: any, each with a walk of its own. Blocks: for one shard's lock, shortly.
 */
#ifndef FARPAGE_STORAGE_STORE_WALK_H
#define FARPAGE_STORAGE_STORE_WALK_H
#include "storage/store/store.h"

enum { STORE_WALK_ITEMS_MAX = 64 };

struct store_walk_item {
    struct item *item; /* with a reference */
    uint64_t accessed_ms; /* as it was under the lock, as are the next */
    uint32_t expires_s; /* store time; 0: never */
    bool fetched, stale, won;
    bool wanted; /* it was used again and again */
};

struct store_walk {
    uint64_t position; /* where the next step goes on; 0: at the start, and at the end again */
    unsigned count;
    struct store_walk_item items[STORE_WALK_ITEMS_MAX];
};

/* Takes the next items, maybe none; there must be none from before. */
void store_walk_step(struct store *store, struct store_scratch *scratch, struct store_walk *walk)
    FP_NONNULL(1, 2, 3);
void store_walk_release(struct store *store, struct store_scratch *scratch,
                        struct store_walk *walk) FP_NONNULL(1, 2, 3);

#endif
