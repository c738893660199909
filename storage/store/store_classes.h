/* SPDX-License-Identifier: BSD-3-Clause
 * store_classes - what the items of each size class (item_class.h) come to, over all shards.
 *
 * Threads: any. Blocks: for each shard's lock in turn, shortly.
 */
#ifndef FARPAGE_STORAGE_STORE_CLASSES_H
#define FARPAGE_STORAGE_STORE_CLASSES_H
#include "storage/keydir/item_class.h"
#include "storage/store/store.h"

enum { STORE_CLASSES_LOOKS_MAX = 16384 }; /* places that are looked at for idle_ms */

struct store_class {
    struct item_class_count count;
    uint64_t idle_ms; /* since the use of the one not used for longest, among those looked at */
};

/* Fills rows[1] to rows[ITEM_CLASSES_MAX]. The counts are exact for each shard; idle_ms, up to
 * now_ms, comes from all items where their tables have few places, from a part of each else. */
void store_classes(struct store *store, uint64_t now_ms,
                   struct store_class rows[ITEM_CLASSES_MAX + 1]) FP_NONNULL(1, 3);

/* All that was counted and is not true now begins at 0 again. */
void store_classes_reset(struct store *store) FP_NONNULL(1);

/* The items of one class. */
uint64_t store_class_items(struct store *store, unsigned number) FP_NONNULL(1);

#endif
