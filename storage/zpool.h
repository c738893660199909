/* SPDX-License-Identifier: BSD-3-Clause
 * zpool - keeps many small packed objects in few pages: the one allocator interface.
 *
 * Callers hold handles, never addresses: a handle stays good while a backend moves the object under
 * it. An address exists only between zpool_map and zpool_unmap, which pin the object in place.
 *
 * Life of an object:  none -(alloc)-> movable -(map)-> pinned -(unmap)-> movable -(free)-> none
 *
 * What a backend can do is in its properties. Whoever maps while `sleep_mapped` is false must copy
 * out, unmap and go on: no lock, no I/O, no packing in between.
 *
 * Units:   *_bytes are bytes, *_pages are PAGES_BYTES each, *_count are things.
 * Threads: every call is safe from any thread, but create and destroy, which the owner calls alone,
 *          and free, which must not meet a map of the same object.
 * Locks:   takes RANK_ZSCLASS, then RANK_PAGES; enter holding nothing of those ranks or above.
 * Blocks:  never on I/O and never on a pin.
 */
#ifndef FARPAGE_STORAGE_ZPOOL_H
#define FARPAGE_STORAGE_ZPOOL_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attrs.h"
#include "base/budget.h"
#include "base/status.h"
#include "storage/pages.h"

enum { ZPOOL_HANDLE_BITS = 39, ZPOOL_OBJECT_BYTES_MAX = 64 << 10 };

struct zpool;
struct zhandle { /* 0 is no object; wrapped so that no integer passes for one */
    uint64_t bits;
};
enum zaccess { ZACCESS_READ, ZACCESS_WRITE };
struct zmap { /* lent by zpool_map until zpool_unmap */
    uint8_t *bytes;
    size_t capacity_bytes; /* at least what was asked of alloc; the rest is not the caller's */
    uint32_t pinned;       /* the backend's own */
};

struct zpool_options {
    struct arena *arena;   /* outlives the pool */
    struct budget *budget; /* for the backend's own tables; outlives the pool */
};
struct zpool_properties {
    const char *name;
    size_t object_bytes_max;
    bool sleep_mapped; /* a map may be held while sleeping */
    bool movable;      /* objects can move while they are not mapped */
    bool reclaimable;  /* zpool_reclaim can empty pages */
};
struct zpool_step { /* what one step of compaction did */
    uint32_t moved_count, skipped_pinned_count;
    uint32_t freed_pages;
    bool done; /* nothing more to gain for now */
};
/* How a page is emptied: `give` is called with each object of it, with no lock held. It may alloc,
 * map and free whatever it likes, in this pool too. Others may free the object until `give` has
 * taken it out of its owner's tables: so it looks there first, and only then reads the bytes. They
 * stay readable during the call, and the handle is not given out again, even if it was freed.
 * Any answer but FP_OK refuses, and the object stays. */
enum zpool_reclaim_way {
    ZPOOL_EVICT, /* it takes the object from its owner and writes it elsewhere; we free it then */
    ZPOOL_UNUSE, /* it gives the object back to its owner, who frees it, within the call or later */
};
struct zpool_reclaimer {
    enum zpool_reclaim_way way;
    unsigned pages_max; /* to be tried until one is freed, 1 or more */
    void *owner;        /* passed on */
    enum fp_status (*give)(void *owner, struct zhandle handle, const uint8_t *bytes,
                           size_t capacity_bytes);
};
struct zpool_fill {
    uint64_t object_count;
    uint64_t zspage_count;
    uint64_t held_pages;
    uint64_t slot_bytes;  /* of the slots that hold objects: what the objects cost */
    uint64_t table_bytes; /* handles and descriptors */
    uint64_t pinned_count;
};
struct zpool_class { /* one row of `stats classes` */
    uint32_t slot_bytes;
    uint32_t slots_per_zspage;
    uint32_t pages_per_zspage;
    uint64_t object_count;
    uint64_t slot_count;
    uint64_t zspage_count;
    uint64_t freeable_pages; /* what compaction could win at most, from the counts alone */
};

/* Makes an empty pool of the backend `name`. FP_INVALID: no such backend. */
enum fp_status zpool_create(const char *name, const struct zpool_options *options,
                            struct zpool **pool) FP_MUST_CHECK FP_NONNULL(1, 2, 3);
/* Gives every page back and clears *pool. It must hold no object: a leak stops the program. */
void zpool_destroy(struct zpool **pool) FP_NONNULL(1);
struct arena *zpool_arena(const struct zpool *pool) FP_NONNULL(1); /* the one it was made with */
const struct zpool_properties *zpool_properties(const struct zpool *pool) FP_NONNULL(1);

/* Reserves room for size_bytes (1 .. object_bytes_max); its bytes are undefined. The caller owns
 * *handle. FP_NO_MEMORY: the budget refuses; reclaim something, then retry. */
enum fp_status zpool_alloc(struct zpool *pool, size_t size_bytes, struct zhandle *handle)
    FP_MUST_CHECK FP_NONNULL(1, 3);

/* Ends the object and clears *handle. The object must not be mapped. */
void zpool_free(struct zpool *pool, struct zhandle *handle) FP_NONNULL(1, 2);

/* Pins the object and lends its bytes; pins count, so readers may share. FP_CORRUPT: the handle
 * names no object, which only damaged memory can bring about. */
enum fp_status zpool_map(struct zpool *pool, struct zhandle handle, enum zaccess access,
                         struct zmap *map) FP_MUST_CHECK FP_NONNULL(1, 4);
void zpool_unmap(struct zpool *pool, struct zmap *map) FP_NONNULL(1, 2);

/* What an object of size_bytes costs in pages, rounding and unusable rest included: two sizes with
 * the same cost are equally dear. */
size_t zpool_cost_bytes(const struct zpool *pool, size_t size_bytes) FP_MUST_CHECK FP_NONNULL(1);

/* One step of moving objects out of sparse zspages so that whole ones go back to the OS: at most
 * about moves_max objects, so that the caller sets the pace. Pinned objects are walked past. One
 * caller at a time; everybody else goes on meanwhile. Backends whose objects cannot move are done
 * at once. */
struct zpool_step zpool_compact(struct zpool *pool, uint32_t moves_max) FP_NONNULL(1);

/* What compaction could win at most, from the counts alone: cheap, and never too low by much. */
uint64_t zpool_freeable_pages(struct zpool *pool) FP_NONNULL(1);

/* Empties the page that was placed into longest ago, and gives it back to the OS. It is held by a
 * reference meanwhile, never by a lock; a page that is mapped is walked past, one whose objects
 * were refused becomes the youngest. Any number of callers at a time, and from within `give` too.
 * FP_OK: a page was freed, here or by who freed its last object while it was held here. FP_BUSY:
 * pages_max were tried, or all others are mapped. FP_ABSENT: no page is left that could be tried.
 * FP_INVALID: this backend cannot. */
enum fp_status zpool_reclaim(struct zpool *pool, const struct zpool_reclaimer *reclaimer)
    FP_MUST_CHECK FP_NONNULL(1, 2);

struct zpool_fill zpool_fill(struct zpool *pool) FP_NONNULL(1); /* exact per class, not across */
unsigned zpool_class_count(const struct zpool *pool) FP_NONNULL(1);
void zpool_class(struct zpool *pool, unsigned index, struct zpool_class *row) FP_NONNULL(1, 3);
void zpool_check(struct zpool *pool) FP_NONNULL(1); /* walks all, asserts each invariant: slow */

#endif
