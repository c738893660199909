/* SPDX-License-Identifier: BSD-3-Clause
 * store_map - a page or an item that somebody has mapped: its bytes as they were then, and a
 * writer's as they will be.
 *
 * What is mapped is pinned: not moved, evicted or packed anew. Others may store to the slot, set,
 * delete or flush the key meanwhile: whoever has it mapped keeps the old bytes. Any number may read
 * and one may write. What a writer writes is seen by nobody until it is published, whole, and only
 * if the slot or key still holds what was mapped.
 *
 * A reader is lent plain bytes where they lie; packed ones are unpacked when they are first read
 * and kept. A writer has a copy of its own. All of that memory is taken and charged (BUDGET_MAPS)
 * when the map is made, so nothing that comes after can fail for want of it, but publishing.
 *
 * Life:  made -(read, write)*-(publish)?-> ended
 *
 * Threads: a map is used by one thread at a time, with that thread's scratch. Others may do with
 *          the store what they like.
 * Locks:   enter holding none. Blocks: as the rest of the store.
 */
#ifndef FARPAGE_STORAGE_STORE_MAP_H
#define FARPAGE_STORAGE_STORE_MAP_H
#include "storage/store/store.h"

enum map_mode {
    MAP_READ = 1,
    MAP_READ_WRITE,
    MAP_OVERWRITE, /* begins as zeros and cannot be read; for a page of a slot that may be empty */
};

struct area_pin;
struct map_piece;

struct store_map { /* to be looked at by its owner; written by store_map*.c */
    enum map_mode mode;
    uint32_t size_bytes;
    uint64_t charged_bytes;
    struct item *item;       /* NULL: it is the page of */
    uint64_t item_cas;       /* when it was mapped */
    struct page_place place;
    /* private to store_map*.c */
    struct store *store;
    struct area_pin *pin;
    uint8_t *copy;        /* size_bytes; NULL: all is lent */
    uint32_t piece_bytes; /* the last is shorter */
    uint32_t piece_count;
    bool written;
    struct map_piece *pieces;
};

struct map_wish {
    enum map_mode mode;
    uint64_t bytes_max; /* of what is mapped */
};

/* FP_ABSENT. FP_BUSY: somebody else writes. FP_TOO_BIG: for bytes_max; nothing was charged.
 * FP_CORRUPT. FP_NO_MEMORY: and no items left that could give way. FP_RANGE: no such slot.
 * FP_LOST, FP_MOVED: so the area is, which otherwise the map keeps a use of. */
enum fp_status store_map_item(struct store *store, struct store_scratch *scratch, struct slice key,
                              const struct map_wish *wish, struct store_map **map)
    FP_MUST_CHECK FP_NONNULL(1, 2, 4, 5);
enum fp_status store_map_page(struct store *store, struct store_scratch *scratch,
                              struct page_place place, const struct map_wish *wish,
                              struct store_map **map) FP_MUST_CHECK FP_NONNULL(1, 2, 4, 5);

/* Ends it; what was written and not published is gone. Clears *map. */
void store_map_end(struct store_map **map, struct store_scratch *scratch) FP_NONNULL(1, 2);

struct lent {
    struct slice bytes;
    bool steady; /* they stay as they are until the map ends */
};
/* Bytes from `offset` on, as many of size_bytes as lie together, at least one (none of none).
 * FP_RANGE: they are not all within. FP_INVALID: not in this mode. FP_CORRUPT. */
enum fp_status store_map_read(struct store_map *map, struct store_scratch *scratch,
                              uint64_t offset, uint64_t size_bytes, struct lent *lent)
    FP_MUST_CHECK FP_NONNULL(1, 2, 5);

/* Whether so many bytes could be written there: FP_RANGE, FP_INVALID. */
enum fp_status store_map_may_write(const struct store_map *map, uint64_t offset,
                                   uint64_t size_bytes) FP_MUST_CHECK FP_NONNULL(1);
/* FP_RANGE, FP_INVALID, FP_CORRUPT: what was not overwritten could not be unpacked. */
enum fp_status store_map_write(struct store_map *map, struct store_scratch *scratch,
                               uint64_t offset, struct slice bytes) FP_MUST_CHECK FP_NONNULL(1, 2);

/* Lets the slot or key have what was written, if it still holds what was mapped: else FP_EXISTS,
 * also where nothing was written. FP_NO_MEMORY, FP_CORRUPT, and for a page FP_QUOTA, FP_FROZEN,
 * FP_LOST, FP_MOVED: nothing has changed, and the map is as good as before. A reader has nothing to
 * publish: FP_OK. */
enum fp_status store_map_publish(struct store_map *map, struct store_scratch *scratch)
    FP_MUST_CHECK FP_NONNULL(1, 2);

#endif
