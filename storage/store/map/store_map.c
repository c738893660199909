/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Life of the bytes of a map, piece by piece (a page is one piece):
 *   reader, plain or whole:  pinned -(first read: checked)-> lent where they lie
 *   reader, packed or a word, and writer:  pinned -(first use: unpacked, checked)-> in the copy
 *   overwriter:  zeros in the copy from the start
 */
#include "storage/store/map/store_map.h"

#include <stdlib.h>

#include "base/arith.h"
#include "storage/store/map/store_map_internal.h"

/* --- beginning and end ------------------------------------------------------------------------ */

static uint64_t cost_of(const struct map_shape *shape, uint32_t piece_count)
{
    return sizeof(struct store_map) + piece_count * sizeof(struct map_piece) +
           (shape->copy ? shape->size_bytes : 0) + shape->extra_bytes;
}

static bool take_memory(struct store_map *map, bool copy)
{
    map->pieces = calloc(map->piece_count + 1u, sizeof *map->pieces);
    if (map->pieces == NULL) return false;
    if (!copy) return true;
    /* Zeros are what an overwriter begins with, and pages that nobody touches. */
    map->copy = calloc(1, map->size_bytes + 1u);
    return map->copy != NULL;
}

enum fp_status store_map_create(struct store *store, struct store_scratch *scratch,
                                const struct map_shape *shape, struct store_map **out)
{
    uint32_t pieces = (uint32_t)div_up_u64(shape->size_bytes, shape->piece_bytes);
    uint64_t cost = cost_of(shape, pieces);
    if (!store_charge(store, scratch, BUDGET_MAPS, cost)) return FP_NO_MEMORY;
    struct store_map *map = calloc(1, sizeof *map);
    if (map == NULL) {
        budget_return(&store->budget, BUDGET_MAPS, cost);
        return FP_NO_MEMORY;
    }
    map->store = store;
    map->charged_bytes = cost;
    map->mode = shape->mode;
    map->size_bytes = shape->size_bytes;
    map->piece_bytes = shape->piece_bytes;
    map->piece_count = pieces;
    if (!take_memory(map, shape->copy)) {
        store_map_destroy(&map);
        return FP_NO_MEMORY;
    }
    *out = map;
    return FP_OK;
}

void store_map_destroy(struct store_map **map_ptr)
{
    struct store_map *map = *map_ptr;
    *map_ptr = NULL;
    budget_return(&map->store->budget, BUDGET_MAPS, map->charged_bytes);
    free(map->copy);
    free(map->pieces);
    free(map);
}

void store_map_end(struct store_map **map, struct store_scratch *scratch)
{
    if (*map == NULL) return;
    lock_assert_none();
    if ((*map)->item != NULL) store_map_let_go_item(*map, scratch);
    else store_map_let_go_page(*map, scratch);
    store_map_destroy(map);
}

/* --- pieces ----------------------------------------------------------------------------------- */

static uint32_t bytes_of_piece(const struct store_map *map, uint32_t index)
{
    uint32_t start = index * map->piece_bytes;
    return (uint32_t)min_u64(map->size_bytes - start, map->piece_bytes);
}

static enum fp_status unpack_piece(struct store_map *map, struct store_scratch *scratch,
                                   uint32_t index)
{
    struct map_piece *piece = &map->pieces[index];
    struct space space = {.bytes = map->copy + (size_t)index * map->piece_bytes,
                          .capacity_bytes = bytes_of_piece(map, index)};
    if (piece->unpacked || map->mode == MAP_OVERWRITE) return FP_OK;
    enum fp_status status = store_unpack_mapped(map->store, scratch, &piece->mapped, space);
    piece->unpacked = status == FP_OK;
    return status;
}

/* The plain bytes of a piece, unpacked or found where they lie by whoever wants them first. */
static enum fp_status read_piece(struct store_map *map, struct store_scratch *scratch,
                                 uint32_t index, struct slice *bytes)
{
    struct map_piece *piece = &map->pieces[index];
    uint32_t size = bytes_of_piece(map, index);
    if (!map_writes(map->mode) && store_lends(piece->mapped.name)) {
        enum fp_status status = FP_OK;
        if (piece->lent.bytes == NULL)
            status = store_lend(map->store, &piece->mapped, size, &piece->lent);
        if (status != FP_OK) piece->lent = slice_of(NULL, 0);
        *bytes = piece->lent;
        return status;
    }
    *bytes = slice_of(map->copy + (size_t)index * map->piece_bytes, size);
    return unpack_piece(map, scratch, index);
}

static bool is_within(const struct store_map *map, uint64_t offset, uint64_t size_bytes)
{
    return offset <= map->size_bytes && size_bytes <= map->size_bytes - offset;
}

/* --- reading, writing, publishing ------------------------------------------------------------- */

enum fp_status store_map_read(struct store_map *map, struct store_scratch *scratch,
                              uint64_t offset, uint64_t size_bytes, struct lent *lent)
{
    if (map->mode == MAP_OVERWRITE) return FP_INVALID;
    if (!is_within(map, offset, size_bytes)) return FP_RANGE;
    *lent = (struct lent){.steady = !map_writes(map->mode)};
    if (size_bytes == 0) return FP_OK;
    uint32_t index = (uint32_t)(offset / map->piece_bytes);
    size_t within = offset % map->piece_bytes;
    enum fp_status status = read_piece(map, scratch, index, &lent->bytes);
    if (status != FP_OK) return status;
    size_t size = min_u64(size_bytes, lent->bytes.size_bytes - within);
    lent->bytes = slice_of(lent->bytes.bytes + within, size);
    return FP_OK;
}

enum fp_status store_map_may_write(const struct store_map *map, uint64_t offset,
                                   uint64_t size_bytes)
{
    if (!map_writes(map->mode)) return FP_INVALID;
    return is_within(map, offset, size_bytes) ? FP_OK : FP_RANGE;
}

enum fp_status store_map_write(struct store_map *map, struct store_scratch *scratch,
                               uint64_t offset, struct slice bytes)
{
    enum fp_status may = store_map_may_write(map, offset, bytes.size_bytes);
    if (may != FP_OK) return may;
    if (bytes.size_bytes == 0) return FP_OK;
    uint32_t last = (uint32_t)((offset + bytes.size_bytes - 1) / map->piece_bytes);
    for (uint32_t i = (uint32_t)(offset / map->piece_bytes); i <= last; i++) {
        enum fp_status status = unpack_piece(map, scratch, i);
        if (status != FP_OK) return status;
    }
    memcpy(map->copy + offset, bytes.bytes, bytes.size_bytes);
    map->written = true;
    return FP_OK;
}

enum fp_status store_map_publish(struct store_map *map, struct store_scratch *scratch)
{
    lock_assert_none();
    if (!map_writes(map->mode)) return FP_OK;
    bool still = map->item != NULL ? store_map_still_item(map, scratch)
                                   : store_map_still_page(map);
    if (!still) return FP_EXISTS;
    if (!map->written) return FP_OK;
    for (uint32_t i = 0; i < map->piece_count; i++) {
        enum fp_status status = unpack_piece(map, scratch, i);
        if (status != FP_OK) return status;
    }
    struct slice bytes = slice_of(map->copy, map->size_bytes);
    return map->item != NULL ? store_map_publish_item(map, scratch, bytes)
                             : store_map_publish_page(map, scratch, bytes);
}
