/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Life of an object:
 *   none -(alloc)-> in a block -(slide: its block closed for a moment)-> in the block
 *                              -(compaction)-> in another block, its cell rewritten
 *                              -(map)-> pinned: its block can neither be slid nor emptied
 *                              -(free)-> none
 */
#include "storage/blocks.h"

#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include "base/arith.h"
#include "base/check.h"

static struct blocks *blocks_from(const struct zpool *pool)
{
    return (struct blocks *)(uintptr_t)pool;
}

static bool is_direct(size_t size_bytes)
{
    return size_bytes % PAGES_BYTES == 0;
}

/* Objects of up to a quarter of a block share it. */
static unsigned tier_for(size_t size_bytes)
{
    unsigned tier = 0;
    while (size_bytes * 4 > tier_pages(tier) * (size_t)PAGES_BYTES) tier++;
    fp_assert(tier < BLOCKS_TIERS);
    return tier;
}

static enum fp_status alloc_direct(struct blocks *blocks, size_t size_bytes,
                                   struct blocks_place *place)
{
    struct page_run run;
    unsigned pages = (unsigned)(size_bytes / PAGES_BYTES);
    enum fp_status status = arena_take(blocks->arena, pages, &run);
    if (status != FP_OK) return status;
    atomic_fetch_add(&blocks->direct_count, 1);
    atomic_fetch_add(&blocks->direct_pages, pages);
    *place = (struct blocks_place){.direct = true, .number = run.first_page, .detail = pages};
    return FP_OK;
}

static enum fp_status alloc_in_block(struct blocks *blocks, size_t size_bytes, uint32_t handle,
                                     struct blocks_place *place)
{
    /* Handles come in no order, so their low bits spread the threads over the shards. */
    unsigned tier = tier_for(size_bytes);
    struct blocks_shard *shard =
        &blocks->shards[tier * BLOCKS_SHARDS + (handle & (BLOCKS_SHARDS - 1))];
    uint32_t units = (uint32_t)div_up_u64(size_bytes, BLOCKS_UNIT_BYTES);
    *place = (struct blocks_place){.direct = false};
    lock_take(&shard->lock);
    enum fp_status status = blocks_find_room_locked(blocks, shard, place, units, BLOCKS_NONE);
    if (status == FP_OK) {
        struct block *block = block_of(blocks, place->number);
        block_entry(blocks, block, place->detail)->owner = handle;
        shard->object_count++;
        /* Within the lock: compaction must not meet an object whose cell does not say so. */
        atomic_store_explicit(blocks_cell_of(blocks, handle), blocks_cell(*place),
                              memory_order_release);
    }
    lock_drop(&shard->lock);
    return status;
}

static enum fp_status blocks_alloc(struct zpool *pool, size_t size_bytes, struct zhandle *handle)
{
    struct blocks *blocks = blocks_from(pool);
    struct blocks_place place;
    uint32_t cell_id;
    if (!idpool_take(&blocks->cells, &cell_id)) return FP_NO_MEMORY;
    bool direct = is_direct(size_bytes);
    enum fp_status status = direct ? alloc_direct(blocks, size_bytes, &place)
                                   : alloc_in_block(blocks, size_bytes, cell_id + 1, &place);
    if (status != FP_OK) {
        idpool_give(&blocks->cells, cell_id);
        return status;
    }
    if (direct)
        atomic_store_explicit(blocks_cell_of(blocks, cell_id + 1), blocks_cell(place),
                              memory_order_release);
    handle->bits = (uint64_t)cell_id + 1;
    return FP_OK;
}

static void free_direct(struct blocks *blocks, struct blocks_place place)
{
    arena_give(blocks->arena, place.detail, (struct page_run){.first_page = place.number});
    atomic_fetch_sub(&blocks->direct_count, 1);
    atomic_fetch_sub(&blocks->direct_pages, place.detail);
}

/* The handle's object may be moved until its shard is locked: look again then. */
static void free_in_block(struct blocks *blocks, uint32_t handle)
{
    for (;;) {
        _Atomic uint64_t *cell = blocks_cell_of(blocks, handle);
        uint64_t before = atomic_load_explicit(cell, memory_order_acquire);
        struct blocks_place place = blocks_place(before);
        struct block *block = block_of(blocks, place.number);
        struct blocks_shard *shard = shard_of(blocks, block);
        lock_take(&shard->lock);
        bool same = atomic_load_explicit(cell, memory_order_acquire) == before;
        bool empty = false;
        if (same) {
            fp_assert(block_entry(blocks, block, place.detail)->owner == handle);
            empty = blocks_remove_locked(blocks, shard, place.number, place.detail);
            shard->object_count--;
        }
        lock_drop(&shard->lock);
        if (empty) blocks_give_back(blocks, place.number);
        if (same) return;
    }
}

static void blocks_free(struct zpool *pool, struct zhandle handle)
{
    struct blocks *blocks = blocks_from(pool);
    uint32_t number = (uint32_t)handle.bits;
    uint64_t cell = atomic_load_explicit(blocks_cell_of(blocks, number), memory_order_acquire);
    struct blocks_place place = blocks_place(cell);
    fp_assert((cell & BLOCKS_LIVE) != 0); /* freed twice */
    if (place.direct) free_direct(blocks, place);
    else free_in_block(blocks, number);
    idpool_give(&blocks->cells, number - 1);
}

/* Pins the block that the handle's object is in. A block that is closed opens within microseconds;
 * a handle that was moved meanwhile is followed. */
static struct block *pin(const struct blocks *blocks, uint32_t handle, struct blocks_place *place)
{
    _Atomic uint64_t *cell = blocks_cell_of(blocks, handle);
    for (;;) {
        uint64_t before = atomic_load_explicit(cell, memory_order_acquire);
        *place = blocks_place(before);
        if ((before & BLOCKS_LIVE) == 0) place->direct = false;
        if ((before & BLOCKS_LIVE) == 0 || place->direct ||
            place->number >= atomic_load(&blocks->descriptors.fresh))
            return NULL;
        struct block *block = block_of(blocks, place->number);
        uint32_t pins = atomic_fetch_add_explicit(&block->pins, 1, memory_order_acq_rel);
        bool open = (pins & BLOCKS_CLOSED) == 0;
        if (open && atomic_load_explicit(cell, memory_order_acquire) == before) return block;
        atomic_fetch_sub_explicit(&block->pins, 1, memory_order_release);
        if (!open) sched_yield();
    }
}

static enum fp_status map_direct(struct blocks *blocks, struct blocks_place place,
                                 struct zmap *map)
{
    struct page_run run = {.first_page = place.number};
    if ((uint64_t)place.number + place.detail > arena_size_pages(blocks->arena)) return FP_CORRUPT;
    atomic_fetch_add_explicit(&blocks->direct_pins, 1, memory_order_relaxed); /* only shown */
    *map = (struct zmap){.bytes = arena_address(blocks->arena, run),
                         .capacity_bytes = (size_t)place.detail * PAGES_BYTES,
                         .pinned = BLOCKS_NONE};
    return FP_OK;
}

static enum fp_status blocks_map(struct zpool *pool, struct zhandle handle, enum zaccess access,
                                 struct zmap *map)
{
    (void)access; /* both are plain memory here */
    struct blocks *blocks = blocks_from(pool);
    if (handle.bits == 0 || handle.bits > atomic_load(&blocks->cells.fresh)) return FP_CORRUPT;
    struct blocks_place place;
    struct block *block = pin(blocks, (uint32_t)handle.bits, &place);
    if (block == NULL) return place.direct ? map_direct(blocks, place, map) : FP_CORRUPT;
    /* Only the entry knows whose it is: a damaged cell may lead to somebody else's. */
    if (place.detail >= tier_units(block->tier) ||
        block_entry(blocks, block, place.detail)->owner != handle.bits) {
        atomic_fetch_sub_explicit(&block->pins, 1, memory_order_release);
        return FP_CORRUPT;
    }
    const struct block_entry *entry = block_entry(blocks, block, place.detail);
    *map = (struct zmap){
        .bytes = block_base(blocks, block) + (size_t)entry->offset_units * BLOCKS_UNIT_BYTES,
        .capacity_bytes = (size_t)entry->size_units * BLOCKS_UNIT_BYTES,
        .pinned = place.number};
    return FP_OK;
}

static void blocks_unmap(struct zpool *pool, const struct zmap *map)
{
    struct blocks *blocks = blocks_from(pool);
    if (map->pinned == BLOCKS_NONE) {
        fp_assert(atomic_fetch_sub_explicit(&blocks->direct_pins, 1, memory_order_relaxed) > 0);
        return;
    }
    struct block *block = block_of(blocks, map->pinned);
    fp_assert(atomic_fetch_sub_explicit(&block->pins, 1, memory_order_release) > 0);
}

static size_t blocks_cost_bytes(const struct zpool *pool, size_t size_bytes)
{
    (void)pool;
    if (is_direct(size_bytes)) return size_bytes;
    return div_up_u64(size_bytes, BLOCKS_UNIT_BYTES) * BLOCKS_UNIT_BYTES +
           sizeof(struct block_entry);
}

static void blocks_destroy(struct zpool *pool)
{
    struct blocks *blocks = blocks_from(pool);
    fp_assert(atomic_load(&blocks->direct_count) == 0);
    for (unsigned i = 0; i < BLOCKS_SHARDS_ALL; i++) {
        fp_assert(blocks->shards[i].object_count == 0);
        lock_fini(&blocks->shards[i].lock);
    }
    idpool_fini(&blocks->cells);
    idpool_fini(&blocks->descriptors);
    free(blocks);
}

static enum fp_status blocks_create(const struct zpool_options *options, struct zpool **pool)
{
    struct blocks *blocks = aligned_alloc(64, div_up_u64(sizeof *blocks, 64) * 64);
    if (blocks == NULL) return FP_NO_MEMORY;
    memset(blocks, 0, sizeof *blocks);
    blocks->pool.backend = &blocks_backend;
    blocks->arena = options->arena;
    uint64_t pages = arena_size_pages(blocks->arena);
    uint64_t cells = min_u64(pages * PAGES_BYTES / 16, UINT32_MAX - 1);
    uint64_t descriptors = min_u64(pages / tier_pages(0) + 1, UINT32_MAX - 1);
    if (!idpool_init(&blocks->cells, options->budget, sizeof(uint64_t), (uint32_t)cells))
        goto no_cells;
    if (!idpool_init(&blocks->descriptors, options->budget, sizeof(struct block),
                     (uint32_t)descriptors))
        goto no_descriptors;
    for (unsigned i = 0; i < BLOCKS_SHARDS_ALL; i++) {
        struct blocks_shard *shard = &blocks->shards[i];
        lock_init(&shard->lock, RANK_ZSCLASS);
        memset(shard->buckets, 0xff, sizeof shard->buckets); /* BLOCKS_NONE */
    }
    *pool = &blocks->pool;
    return FP_OK;
no_descriptors:
    idpool_fini(&blocks->cells);
no_cells:
    free(blocks);
    return FP_NO_MEMORY;
}

_Static_assert(sizeof(struct block_entry) == BLOCKS_UNIT_BYTES, "an entry is one unit");
_Static_assert(sizeof(struct block) % 8 == 0, "an idpool cell");

const struct zpool_backend blocks_backend = {
    .properties = {.name = "blocks",
                   .object_bytes_max = ZPOOL_OBJECT_BYTES_MAX,
                   .sleep_mapped = true,
                   .movable = true},
    .create = blocks_create,
    .destroy = blocks_destroy,
    .alloc = blocks_alloc,
    .free = blocks_free,
    .map = blocks_map,
    .unmap = blocks_unmap,
    .cost_bytes = blocks_cost_bytes,
    .compact = blocks_compact,
    .freeable_pages = blocks_freeable_pages,
    .fill = blocks_fill,
    .class_count = blocks_class_count,
    .class_row = blocks_class_row,
    .check = blocks_check,
};
