/* SPDX-License-Identifier: BSD-3-Clause
 * zpool - keeps many small packed objects in few pages: the one allocator interface.
 *
 * Callers hold handles, never addresses: a handle stays good while a backend moves the object under
 * it. An address exists only between zpool_map and zpool_unmap, which pin the object in place.
 *
 * Life of an object:  none -(alloc)-> movable -(map)-> pinned -(unmap)-> movable -(free)-> none
 *
 * A handle names an object, a value (a number of the owner's, which needs no object), an object
 * that its owner keeps elsewhere (spilled: then it is nothing of the pool's), or nothing.
 * Behind it is a cell of 8 bytes. Tables of thousands of handles take them in rows: a row is a run
 * of handles in order, so that its table is the cells themselves and nothing else.
 *
 * What a backend can do is in its properties. Whoever maps while `sleep_mapped` is false must copy
 * out, unmap and go on: no lock, no I/O, no packing in between.
 *
 * Units:   *_bytes are bytes, *_pages are PAGES_BYTES each, *_count are things.
 * Threads: every call is safe from any thread, but create and destroy, which the owner calls alone,
 *          and what ends or replaces what a handle names: the owner keeps that from meeting any
 *          other use of the same handle, maps included.
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
#include "storage/alloc/handle.h"
#include "storage/alloc/pages.h"
#include "storage/alloc/zpool_fill.h"

enum { ZPOOL_OBJECT_BYTES_MAX = 64 << 10 };

struct zpool;
enum zaccess { ZACCESS_READ, ZACCESS_WRITE };
struct zmap { /* lent by zpool_map until zpool_unmap */
    uint8_t *bytes;
    uint32_t size_bytes; /* what was asked of alloc */
    uint32_t note;       /* as given to alloc */
    uint32_t pinned;     /* the backend's own */
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
 * map and free whatever it likes, in this pool too. Others may end or replace the object until
 * `give` has taken it out of its owner's tables: so it looks there first, under the owner's lock,
 * whether the handle still says what it `said` (zpool_says). The bytes stay readable during the
 * call. Any answer but FP_OK refuses, and the object stays. */
enum zpool_reclaim_way {
    ZPOOL_EVICT, /* it writes the object elsewhere and ends it within the call */
    ZPOOL_UNUSE, /* it gives the object back to its owner, who ends it, within the call or later */
};
struct zpool_offer {
    struct zhandle handle;
    uint64_t said;
    const uint8_t *bytes;
    uint32_t size_bytes;
};
struct zpool_reclaimer {
    enum zpool_reclaim_way way;
    unsigned pages_max; /* to be tried until one is freed, 1 or more */
    void *owner;        /* passed on */
    enum fp_status (*give)(void *owner, const struct zpool_offer *offer);
};

/* Makes an empty pool of the backend `name`. FP_INVALID: no such backend. */
enum fp_status zpool_create(const char *name, const struct zpool_options *options,
                            struct zpool **pool) FP_MUST_CHECK FP_NONNULL(1, 2, 3);
/* Gives every page back and clears *pool. It must hold no object: a leak stops the program. */
void zpool_destroy(struct zpool **pool) FP_NONNULL(1);
struct arena *zpool_arena(const struct zpool *pool) FP_NONNULL(1); /* the one it was made with */
const struct zpool_properties *zpool_properties(const struct zpool *pool) FP_NONNULL(1);

/* Reserves room for size_bytes (1 .. object_bytes_max); its bytes are undefined. `note` (below
 * 2^ZPOOL_NOTE_BITS) is kept with the handle. The caller owns *handle. FP_NO_MEMORY: the budget
 * refuses; reclaim something, then retry. */
enum fp_status zpool_alloc(struct zpool *pool, size_t size_bytes, uint32_t note,
                           struct zhandle *handle) FP_MUST_CHECK FP_NONNULL(1, 4);

/* A handle that names a value (below 2^ZPOOL_VALUE_BITS); else as zpool_alloc. */
enum fp_status zpool_alloc_value(struct zpool *pool, uint64_t value, struct zhandle *handle)
    FP_MUST_CHECK FP_NONNULL(1, 3);

/* Ends what the handle names, gives the handle back and clears it. It must be one by itself, not
 * one of a row, and its object must not be mapped. Returns what it named. */
struct zname zpool_free(struct zpool *pool, struct zhandle *handle) FP_NONNULL(1, 2);

/* A handle that names nothing, for zpool_move to bring it something. FP_NO_MEMORY: the budget. */
enum fp_status zpool_handle_take(struct zpool *pool, struct zhandle *handle)
    FP_MUST_CHECK FP_NONNULL(1, 2);
/* Gives back a handle that names nothing, one by itself, and clears it. */
void zpool_handle_give(struct zpool *pool, struct zhandle *handle) FP_NONNULL(1, 2);

/* Takes ZPOOL_ROW_HANDLES handles that name nothing: *first and those that follow. Charged as
 * BUDGET_SLOTS. FP_NO_MEMORY: the budget refuses. */
enum fp_status zpool_row_take(struct zpool *pool, struct zhandle *first)
    FP_MUST_CHECK FP_NONNULL(1, 2);
/* Gives a row back, and its memory; each of its handles must name nothing. */
void zpool_row_give(struct zpool *pool, struct zhandle *first) FP_NONNULL(1, 2);

/* Ends what the handle names and leaves it naming nothing. Returns what it named. */
struct zname zpool_clear(struct zpool *pool, struct zhandle handle) FP_NONNULL(1);
/* Ends what `handle` names and lets it name what *from does; *from is given back and cleared.
 * Cannot fail. Returns what `handle` named. */
struct zname zpool_replace(struct zpool *pool, struct zhandle handle, struct zhandle *from)
    FP_NONNULL(1, 3);

/* Lets `to`, which names nothing, name what `from` does, which then names nothing. The object may
 * be mapped: it stays where it is, and its maps stay good. Cannot fail. */
void zpool_move(struct zpool *pool, struct zhandle from, struct zhandle to) FP_NONNULL(1);

/* What the handle names (size_bytes 0). ZNOTHING also for numbers that were never given out. */
struct zname zpool_look(const struct zpool *pool, struct zhandle handle) FP_NONNULL(1);
/* The same in one word, to be compared with what was said before. */
uint64_t zpool_says(const struct zpool *pool, struct zhandle handle) FP_NONNULL(1);

/* Ends the object that the handle names, which its owner has put elsewhere, or has moved there:
 * from here on it names `place` (below 2^ZPOOL_SPILLED_PLACE_BITS), untouched. Of the note the
 * lowest bits are kept, and the size. Cannot fail. Returns what it named. */
struct zname zpool_spill(struct zpool *pool, struct zhandle handle, uint64_t place) FP_NONNULL(1);

/* Whether an object, spilled or not, was used: set at its birth and by touch, cleared by untouch
 * and as it is spilled; of anything else, never. A hint, which a move at the same moment may lose
 * or bring back. The handle is one that was given out. */
void zpool_touch(struct zpool *pool, struct zhandle handle) FP_NONNULL(1);
void zpool_untouch(struct zpool *pool, struct zhandle handle) FP_NONNULL(1);
bool zpool_touched(const struct zpool *pool, struct zhandle handle) FP_NONNULL(1);

/* Pins the object and lends its bytes; pins count, so readers may share. FP_CORRUPT: the handle
 * names no object; where it should, memory is damaged. */
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

/* Exact per class; across them it is when nobody changes anything. */
struct zpool_fill zpool_fill(struct zpool *pool) FP_NONNULL(1);
unsigned zpool_class_count(const struct zpool *pool) FP_NONNULL(1);
void zpool_class(struct zpool *pool, unsigned index, struct zpool_class *row) FP_NONNULL(1, 3);
void zpool_check(struct zpool *pool) FP_NONNULL(1); /* walks all, asserts each invariant: slow */

#endif
