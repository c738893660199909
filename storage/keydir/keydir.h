/* SPDX-License-Identifier: BSD-3-Clause
 * keydir - from key to item, sharded; each shard also keeps the order in which items give way.
 *
 * A shard is an open-addressing table (linear probing, backward shift on removal) with a lock of
 * its own, and its part of the queues of S3-FIFO (keydir_order.c, docs/eviction.md). Using an item
 * marks it and moves nothing. What is in the file below memory has a third queue. An item that is
 * mapped, or on its way to the file, is in none. Each tenant has queues of its
 * own: what one of them stores changes nobody else's order.
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
#include "storage/keydir/fifo.h"
#include "storage/keydir/item_class.h"
#include "storage/limits/tenant.h"

enum {
    KEYDIR_SHARDS = 64,
    KEYDIR_TABLE_MIN = 64,
    KEYDIR_TABLE_MAX = 1 << 26, /* of one shard; 3 thousand million items in all */
    KEYDIR_PLACE_BYTES = 9,     /* of a table: a pointer, and half a ghost */
};

struct keydir_queue {
    struct fifo fifo;       /* a word for each of its items, and for some that are gone */
    _Atomic uint64_t items; /* written under the shard's lock */
};

struct keydir_shard {
    struct lock lock;
    struct keydir *keydir;
    struct item **table; /* capacity entries, NULL is free; NULL until the first insert */
    uint16_t *ghosts;    /* behind it, half as many: keys that gave way lately; 0: none */
    uint64_t capacity;   /* a power of two; at most three quarters are in use */
    uint64_t item_count, mapped_count, leaving_count;
    struct keydir_queue queues[ITEM_QUEUES]; /* the default tenant's */
    /* The same of the others by number; NULL until the first item, then there until the end. */
    struct keydir_queue *_Atomic others[TENANTS_MAX];
    uint32_t other_count; /* of those that are there */
    struct fifo_spares spares;
    uint32_t tickets; /* ever given */
    struct item_class_count classes[ITEM_CLASSES_MAX + 1]; /* by number; none has the number 0 */
} __attribute__((aligned(64)));

struct keydir {
    struct budget *budget;
    uint64_t seed; /* of the hash: a secret of this run, against keys chosen to collide */
    _Atomic uint64_t queue_bytes[TENANTS_MAX][ITEM_QUEUES]; /* what items take, of all shards */
    _Atomic uint64_t spilled_bytes; /* of those queues, what is spilled */
    _Atomic uint32_t turn; /* where to look first the next time */
    struct keydir_shard shards[KEYDIR_SHARDS];
};

void keydir_init(struct keydir *keydir, struct budget *budget, uint64_t seed) FP_NONNULL(1, 2);
void keydir_fini(struct keydir *keydir) FP_NONNULL(1); /* must be empty */

uint64_t keydir_hash(const struct keydir *keydir, struct slice key) FP_NONNULL(1);
struct keydir_shard *keydir_shard(struct keydir *keydir, uint64_t hash) FP_NONNULL(1);

/* NULL where there is none. Expiry is the caller's business. */
struct item *keydir_find_locked(struct keydir_shard *shard, uint64_t hash, struct slice key)
    FP_NONNULL(1);

/* Calls `is_it` with items of that hash until it says so. NULL: none is. */
typedef bool keydir_is(void *context, const struct item *item);
struct item *keydir_find_by_hash_locked(struct keydir_shard *shard, uint64_t hash, keydir_is *is_it,
                                        void *context) FP_NONNULL(1, 3);

/* Makes sure that one insert of an item of the tenant will fit, or one in another's place.
 * FP_NO_MEMORY: nothing has changed. */
enum fp_status keydir_reserve_locked(struct keydir_shard *shard, uint8_t tenant)
    FP_MUST_CHECK FP_NONNULL(1);

/* Puts a new item in, as the newest. Its key must not be there, and room reserved. */
void keydir_insert_locked(struct keydir_shard *shard, struct item *item) FP_NONNULL(1, 2);
void keydir_remove_locked(struct keydir_shard *shard, struct item *item) FP_NONNULL(1, 2);

/* Puts `next` where `old` is, of the same key, in the table and in the order; at the start of its
 * tenant's where that is another. It must not be mapped. */
void keydir_replace_locked(struct keydir_shard *shard, struct item *old, struct item *next)
    FP_NONNULL(1, 2, 3);
/* The same where it is stored anew, which is a use. */
void keydir_overwrite_locked(struct keydir_shard *shard, struct item *old, struct item *next,
                             uint64_t now_ms) FP_NONNULL(1, 2, 3);

/* Makes a table smaller that has become far too large, and gives back what no item needs. */
void keydir_fit_locked(struct keydir_shard *shard) FP_NONNULL(1);

/* --- keydir_order.c --------------------------------------------------------------------------- */

/* Says that the item was used now. */
void keydir_use_locked(struct keydir_shard *shard, struct item *item, uint64_t now_ms)
    FP_NONNULL(1, 2);

/* One more map of an item that is in the directory: it leaves the order. FP_BUSY: this one writes,
 * and another does already. FP_NO_MEMORY: there is none for its coming back. */
enum fp_status keydir_map_locked(struct keydir_shard *shard, struct item *item, bool writes)
    FP_MUST_CHECK FP_NONNULL(1, 2);
/* One less; with the last it comes back as one that is wanted, if the directory still has it. */
void keydir_unmap_locked(struct keydir_shard *shard, struct item *item, bool writes,
                         uint64_t now_ms) FP_NONNULL(1, 2);

struct keydir_turn { /* whose it is to give something up; a hint: it may have changed */
    struct keydir_shard *shard;
    uint8_t tenant;
    enum item_queue queue;
};
/* False: no item of the tenant can give way. What is spilled does so where nothing else can, or
 * where records of what is spilled have become much of all memory. */
bool keydir_turn(struct keydir *keydir, uint8_t tenant, struct keydir_turn *turn)
    FP_MUST_CHECK FP_NONNULL(1, 3);
/* The same among what is in memory, or what is spilled. */
bool keydir_turn_resident(struct keydir *keydir, uint8_t tenant, struct keydir_turn *turn)
    FP_MUST_CHECK FP_NONNULL(1, 3);
bool keydir_turn_spilled(struct keydir *keydir, uint8_t tenant, struct keydir_turn *turn)
    FP_MUST_CHECK FP_NONNULL(1, 3);
/* Whether records of spilled items hold more than a quarter of the memory limit. */
bool keydir_much_spilled(const struct keydir *keydir) FP_NONNULL(1);

/* The item that gives way, for the caller to remove; it is in no queue any more. NULL: there was
 * none among the few that could be looked at; ask for the turn again. force: marks do not count,
 * however many have been looked at in vain. */
struct item *keydir_victim_locked(const struct keydir_turn *turn, bool force) FP_NONNULL(1);

/* A victim that is not removed, but leaves for the file. What becomes of it, if it is still there
 * and leaving: its value is in the file, and its record alone in memory; or it comes back. */
void keydir_leaves_locked(struct keydir_shard *shard, struct item *item) FP_NONNULL(1, 2);
void keydir_spilled_locked(struct keydir_shard *shard, struct item *item) FP_NONNULL(1, 2);
void keydir_return_locked(struct keydir_shard *shard, struct item *item) FP_NONNULL(1, 2);

/* Counts an item that is about to be removed, and why: it gives way, or (dead) was over anyway. */
void keydir_count_evicted_locked(struct keydir_shard *shard, const struct item *item,
                                 uint64_t now_ms) FP_NONNULL(1, 2);
void keydir_count_dead_locked(struct keydir_shard *shard, const struct item *item)
    FP_NONNULL(1, 2);

uint64_t keydir_item_count(struct keydir *keydir) FP_NONNULL(1);
void keydir_check(struct keydir *keydir) FP_NONNULL(1);

/* --- between keydir.c and keydir_order.c ------------------------------------------------------ */

/* Room in the tenant's queues for one item more, and one map. False: there is no memory. */
bool keydir_order_reserve(struct keydir_shard *shard, uint8_t tenant) FP_MUST_CHECK FP_NONNULL(1);
void keydir_order_enter(struct keydir_shard *shard, struct item *item) FP_NONNULL(1, 2);
void keydir_order_leave(struct keydir_shard *shard, struct item *item) FP_NONNULL(1, 2);
void keydir_order_replace(struct keydir_shard *shard, struct item *old, struct item *next)
    FP_NONNULL(1, 2, 3);
void keydir_order_spilled(struct keydir_shard *shard, struct item *item) FP_NONNULL(1, 2);
/* It leaves for the file no more. */
void keydir_order_stays(struct keydir_shard *shard, struct item *item) FP_NONNULL(1, 2);
/* All queues are empty, but for words of what is gone. */
void keydir_order_clear(struct keydir_shard *shard) FP_NONNULL(1);
void keydir_order_fini(struct keydir_shard *shard) FP_NONNULL(1);
void keydir_order_check(struct keydir_shard *shard) FP_NONNULL(1);
uint64_t keydir_order_bytes(struct keydir_shard *shard) FP_NONNULL(1);

#endif
