/* SPDX-License-Identifier: BSD-3-Clause
 * store_map_internal - what the files of mapping share: what is done with a map in store_map.c, how
 * one is made and published in store_map_item.c and store_map_page.c. */
#ifndef FARPAGE_STORAGE_STORE_MAP_INTERNAL_H
#define FARPAGE_STORAGE_STORE_MAP_INTERNAL_H
#include "storage/store/map/store_map.h"
#include "storage/store/store_internal.h"

struct map_piece {
    struct mapped mapped;
    struct slice lent; /* where the plain bytes are, checked; NULL until then, or for good */
    bool unpacked;     /* into the copy */
};

struct map_shape {
    enum map_mode mode;
    uint32_t size_bytes, piece_bytes;
    bool copy;
    uint32_t extra_bytes; /* to be charged besides */
};

static inline bool map_writes(enum map_mode mode)
{
    return mode != MAP_READ;
}

/* A map with room for all it will need, charged, and nothing mapped yet. FP_NO_MEMORY. */
enum fp_status store_map_create(struct store *store, struct store_scratch *scratch,
                                const struct map_shape *shape, struct store_map **map)
    FP_MUST_CHECK;
void store_map_destroy(struct store_map **map); /* the mirror: memory and charge */

/* The parts of store_map_end and store_map_publish that differ; `bytes` is all of a writer's. */
void store_map_let_go_item(struct store_map *map, struct store_scratch *scratch);
void store_map_let_go_page(struct store_map *map, struct store_scratch *scratch);
enum fp_status store_map_publish_item(struct store_map *map, struct store_scratch *scratch,
                                      struct slice bytes) FP_MUST_CHECK;
enum fp_status store_map_publish_page(struct store_map *map, struct store_scratch *scratch,
                                      struct slice bytes) FP_MUST_CHECK;
/* Whether what was mapped is still there; may change at once. */
bool store_map_still_item(struct store_map *map, struct store_scratch *scratch);
bool store_map_still_page(struct store_map *map);

#endif
