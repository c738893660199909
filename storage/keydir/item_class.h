/* SPDX-License-Identifier: BSD-3-Clause
 * item_class - memcached speaks of items by size class; this is what stands for it here.
 *
 * An item's class says how much memory it takes: its record and its packed bytes. The allocator
 * knows nothing of it: items of all classes share its blocks. Classes are numbered from 1, as
 * memcached's tools expect, and each is about a third larger than the one before.
 *
 * Pure; any thread.
 */
#ifndef FARPAGE_STORAGE_ITEM_CLASS_H
#define FARPAGE_STORAGE_ITEM_CLASS_H
#include <stdint.h>

#include "storage/keydir/item.h"

enum { ITEM_CLASSES_MAX = 63 }; /* memcdump asks for no class above */

/* The class of an item that takes so many bytes. */
unsigned item_class_of(uint64_t memory_bytes);
/* The most that an item of the class takes; what is larger still is in the last one. */
uint64_t item_class_bytes(unsigned number);

/* What an item takes: its record as malloc gives it, and the objects that hold its value. */
uint64_t item_memory_bytes(const struct item *item) FP_NONNULL(1);

/* What a shard of the directory counts of each class. */
struct item_class_count {
    uint64_t items, memory_bytes; /* now */
    uint64_t stored;              /* ever put in */
    uint64_t evicted, evicted_unfetched, evicted_with_time; /* gave way while valid; of those, never
                                                             * read; would have expired later */
    uint64_t evicted_idle_ms;     /* the last of them had not been used for so long */
    uint64_t reclaimed;           /* ended after they had expired or were flushed */
};

#endif
