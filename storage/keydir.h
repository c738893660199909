/* SPDX-License-Identifier: BSD-3-Clause
 * keydir - from key to item, sharded; each shard also keeps the order in which its items were used.
 *
 * A shard is an open-addressing table (linear probing, backward shift on removal) with a lock of
 * its own. Its items form a list from newest to oldest use; the oldest of all shards' oldest is
 * what goes when memory is short. An item that is mapped is not in that list.
 *
 * Threads: any. The *_locked calls want the shard's lock held by the caller.
 * Locks:   RANK_KEYDIR_SHARD; never two shards at once.
 */
#ifndef FARPAGE_STORAGE_KEYDIR_H
#define FARPAGE_STORAGE_KEYDIR_H
#include <stdbool.h>

#include "base/budget.h"
#include "base/lock.h"
#include "base/status.h"
#include "storage/item_class.h"

enum { KEYDIR_SHARDS = 64, KEYDIR_TABLE_MIN = 64 };

struct keydir_shard {
    struct lock lock;
    struct item **table; /* capacity entries, NULL is free; NULL until the first insert */
    uint64_t capacity;   /* a power of two; at most three quarters are in use */
    uint64_t item_count;
    struct item *newest, *oldest;
    _Atomic uint64_t oldest_ms; /* access time of `oldest`; UINT64_MAX: the shard is empty */
    struct item_class_count classes[ITEM_CLASSES_MAX + 1]; /* by number; none has the number 0 */
} __attribute__((aligned(64)));

struct keydir {
    struct budget *budget;
    uint64_t seed; /* of the hash: a secret of this run, against keys chosen to collide */
    struct keydir_shard shards[KEYDIR_SHARDS];
};

void keydir_init(struct keydir *keydir, struct budget *budget, uint64_t seed) FP_NONNULL(1, 2);
void keydir_fini(struct keydir *keydir) FP_NONNULL(1); /* must be empty */

uint64_t keydir_hash(const struct keydir *keydir, struct slice key) FP_NONNULL(1);
struct keydir_shard *keydir_shard(struct keydir *keydir, uint64_t hash) FP_NONNULL(1);

/* NULL where there is none. Expiry is the caller's business. */
struct item *keydir_find_locked(struct keydir_shard *shard, uint64_t hash, struct slice key)
    FP_NONNULL(1);

/* Makes sure that one insert will fit. FP_NO_MEMORY: nothing has changed. */
enum fp_status keydir_reserve_locked(struct keydir *keydir, struct keydir_shard *shard)
    FP_MUST_CHECK FP_NONNULL(1, 2);

/* Puts a new item in, as the newest. Its key must not be there, and room reserved. */
void keydir_insert_locked(struct keydir_shard *shard, struct item *item) FP_NONNULL(1, 2);
void keydir_remove_locked(struct keydir_shard *shard, struct item *item) FP_NONNULL(1, 2);

/* Puts `next` where `old` is, of the same key, in the table and in the order of use. It must not be
 * mapped. */
void keydir_replace_locked(struct keydir_shard *shard, struct item *old, struct item *next)
    FP_NONNULL(1, 2, 3);

/* Says that the item was used now: it becomes its shard's newest. */
void keydir_use_locked(struct keydir_shard *shard, struct item *item, uint64_t now_ms)
    FP_NONNULL(1, 2);

/* One more map of an item that is in the directory: it leaves the order of use. FP_BUSY: this one
 * writes, and another does already. */
enum fp_status keydir_map_locked(struct keydir_shard *shard, struct item *item, bool writes)
    FP_MUST_CHECK FP_NONNULL(1, 2);
/* One less; with the last it comes back as the newest, if the directory still has it. */
void keydir_unmap_locked(struct keydir_shard *shard, struct item *item, bool writes,
                         uint64_t now_ms) FP_NONNULL(1, 2);

/* Counts an item that is about to be removed, and why: it gives way, or (dead) was over anyway. */
void keydir_count_evicted_locked(struct keydir_shard *shard, const struct item *item,
                                 uint64_t now_ms) FP_NONNULL(1, 2);
void keydir_count_dead_locked(struct keydir_shard *shard, const struct item *item)
    FP_NONNULL(1, 2);

/* The shard whose oldest item is the oldest of all; NULL: no items. A hint: look again, locked. */
struct keydir_shard *keydir_oldest_shard(struct keydir *keydir) FP_NONNULL(1);

uint64_t keydir_item_count(struct keydir *keydir) FP_NONNULL(1);
void keydir_check(struct keydir *keydir) FP_NONNULL(1);

#endif
