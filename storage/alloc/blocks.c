/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Life of an object:
 *   none -(alloc)-> in a block -(slide: its block closed for a moment)-> in the block
 *                              -(compaction)-> in another block, its cell rewritten
 *                              -(map)-> pinned: its block can neither be slid nor emptied
 *                              -(free)-> none
 */
#include "storage/alloc/blocks.h"

#include <sched.h>
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

static enum fp_status alloc_direct(struct blocks *blocks, size_t size_bytes, uint32_t note,
                                   struct zhandle handle)
{
    struct page_run run;
    unsigned pages = (unsigned)(size_bytes / PAGES_BYTES);
    enum fp_status status = arena_take(blocks->pool.arena, pages, &run);
    if (status != FP_OK) return status;
    atomic_fetch_add(&blocks->direct_count, 1);
    atomic_fetch_add(&blocks->direct_pages, pages);
    struct blocks_place place = {.direct = true, .number = run.first_page, .detail = pages};
    cells_store(&blocks->pool.cells, handle.number, cell_object(note, blocks_place_bits(place)));
    return FP_OK;
}

static enum fp_status alloc_in_block(struct blocks *blocks, size_t size_bytes, uint32_t note,
                                     struct zhandle handle)
{
    /* Spreads threads over the shards: packed pages by their sizes, of which the lowest bits say
     * nothing, and items of one size by their handles. */
    unsigned spread = ((unsigned)size_bytes ^ handle.number) & (BLOCKS_SHARDS - 1);
    struct blocks_shard *shard = &blocks->shards[tier_for(size_bytes) * BLOCKS_SHARDS + spread];
    struct blocks_place place = {.direct = false};
    lock_take(&shard->lock);
    enum fp_status status =
        blocks_find_room_locked(blocks, shard, &place, (uint32_t)size_bytes, BLOCKS_NONE);
    if (status == FP_OK) {
        block_entry(blocks, block_of(blocks, place.number), place.detail)->owner = handle.number;
        shard->object_count++;
        shard->object_bytes += size_bytes;
        /* Within the lock: compaction must not meet an object whose cell does not say so. */
        cells_store(&blocks->pool.cells, handle.number,
                    cell_object(note, blocks_place_bits(place)));
    }
    lock_drop(&shard->lock);
    return status;
}

static enum fp_status blocks_alloc(struct zpool *pool, size_t size_bytes, uint32_t note,
                                   struct zhandle handle)
{
    struct blocks *blocks = blocks_from(pool);
    return is_direct(size_bytes) ? alloc_direct(blocks, size_bytes, note, handle)
                                 : alloc_in_block(blocks, size_bytes, note, handle);
}

/* Locks the shard of the block that the handle's object is in. It may be moved until then, so the
 * cell is looked at again. Returns the cell; *shard stays NULL for an object with a run of its
 * own. */
static uint64_t lock_object(struct blocks *blocks, struct zhandle handle,
                            struct blocks_shard **shard)
{
    *shard = NULL;
    for (;;) {
        uint64_t cell = cells_load(&blocks->pool.cells, handle.number);
        fp_assert(cell_what(cell) == ZOBJECT);
        struct blocks_place place = blocks_place_of(cell);
        if (place.direct) return cell;
        fp_assert(place.number < atomic_load(&blocks->descriptors.fresh)); /* else damaged */
        const struct block *block = block_of(blocks, place.number);
        *shard = shard_of(blocks, block);
        lock_take(&(*shard)->lock);
        /* The block may have gone and come back to another shard, with the object in it again. */
        if (shard_of(blocks, block) == *shard &&
            cells_load(&blocks->pool.cells, handle.number) == cell)
            return cell;
        lock_drop(&(*shard)->lock);
    }
}

static uint32_t free_direct(struct blocks *blocks, struct blocks_place place)
{
    arena_give(blocks->pool.arena, place.detail, (struct page_run){.first_page = place.number});
    atomic_fetch_sub(&blocks->direct_count, 1);
    atomic_fetch_sub(&blocks->direct_pages, place.detail);
    return place.detail * PAGES_BYTES;
}

static uint32_t blocks_free(struct zpool *pool, struct zhandle handle)
{
    struct blocks *blocks = blocks_from(pool);
    struct blocks_shard *shard;
    struct blocks_place place = blocks_place_of(lock_object(blocks, handle, &shard));
    if (shard == NULL) {
        cells_store(&pool->cells, handle.number, ZNOTHING);
        return free_direct(blocks, place);
    }
    const struct block_entry *entry =
        block_entry(blocks, block_of(blocks, place.number), place.detail);
    fp_assert(entry->owner == handle.number);
    uint32_t size_bytes = entry->size_less_one + 1u;
    bool empty = blocks_remove_locked(blocks, shard, place.number, place.detail);
    shard->object_count--;
    shard->object_bytes -= size_bytes;
    cells_store(&pool->cells, handle.number, ZNOTHING);
    lock_drop(&shard->lock);
    if (empty) blocks_give_back(blocks, place.number);
    return size_bytes;
}

static void blocks_rename(struct zpool *pool, struct zhandle from, struct zhandle to)
{
    struct blocks *blocks = blocks_from(pool);
    struct blocks_shard *shard;
    uint64_t cell = lock_object(blocks, from, &shard);
    struct blocks_place place = blocks_place_of(cell);
    if (shard != NULL)
        block_entry(blocks, block_of(blocks, place.number), place.detail)->owner = to.number;
    cells_store(&pool->cells, to.number, cell);
    cells_store(&pool->cells, from.number, ZNOTHING);
    if (shard != NULL) lock_drop(&shard->lock);
}

/* Pins the block that the handle's object is in, and says what the cell did. A block that is closed
 * opens within microseconds; an object that was moved meanwhile is followed. NULL: it is in no
 * block. */
static struct block *pin(const struct blocks *blocks, struct zhandle handle, uint64_t *cell)
{
    for (;;) {
        *cell = cells_load(&blocks->pool.cells, handle.number);
        struct blocks_place place = blocks_place_of(*cell);
        if (cell_what(*cell) != ZOBJECT || place.direct ||
            place.number >= atomic_load(&blocks->descriptors.fresh))
            return NULL;
        struct block *block = block_of(blocks, place.number);
        uint32_t pins = atomic_fetch_add_explicit(&block->pins, 1, memory_order_acq_rel);
        bool open = (pins & BLOCKS_CLOSED) == 0;
        if (open && cells_load(&blocks->pool.cells, handle.number) == *cell) return block;
        atomic_fetch_sub_explicit(&block->pins, 1, memory_order_release);
        if (!open) sched_yield();
    }
}

static enum fp_status map_direct(struct blocks *blocks, uint64_t cell, struct zmap *map)
{
    struct blocks_place place = blocks_place_of(cell);
    struct page_run run = {.first_page = place.number};
    if (cell_what(cell) != ZOBJECT || !place.direct ||
        (uint64_t)place.number + place.detail > arena_size_pages(blocks->pool.arena))
        return FP_CORRUPT;
    atomic_fetch_add_explicit(&blocks->direct_pins, 1, memory_order_relaxed); /* only shown */
    *map = (struct zmap){.bytes = arena_address(blocks->pool.arena, run),
                         .size_bytes = place.detail * PAGES_BYTES,
                         .note = cell_note(cell),
                         .pinned = BLOCKS_NONE};
    return FP_OK;
}

static enum fp_status blocks_map(struct zpool *pool, struct zhandle handle, enum zaccess access,
                                 struct zmap *map)
{
    (void)access; /* both are plain memory here */
    struct blocks *blocks = blocks_from(pool);
    uint64_t cell;
    struct block *block = pin(blocks, handle, &cell);
    if (block == NULL) return map_direct(blocks, cell, map);
    struct blocks_place place = blocks_place_of(cell);
    /* Only the entry knows whose it is: a damaged cell may lead to somebody else's, or to bytes of
     * an object, which say what a client likes. */
    const struct block_entry *entry = block_entry(blocks, block, place.detail);
    if (entry->owner != handle.number ||
        entry->offset_units + entry_units(entry) > tier_units(block->tier)) {
        atomic_fetch_sub_explicit(&block->pins, 1, memory_order_release);
        return FP_CORRUPT;
    }
    *map = (struct zmap){
        .bytes = block_base(blocks, block) + (size_t)entry->offset_units * BLOCKS_UNIT_BYTES,
        .size_bytes = entry->size_less_one + 1u,
        .note = cell_note(cell),
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
    idpool_fini(&blocks->descriptors);
}

static enum fp_status blocks_create(struct zpool *pool, const struct zpool_options *options)
{
    struct blocks *blocks = blocks_from(pool);
    uint64_t pages = arena_size_pages(pool->arena);
    uint64_t descriptors = min_u64(pages / tier_pages(0) + 1, BLOCKS_MAX);
    if (!idpool_init(&blocks->descriptors, options->budget, sizeof(struct block),
                     (uint32_t)descriptors))
        return FP_NO_MEMORY;
    for (unsigned i = 0; i < BLOCKS_SHARDS_ALL; i++) {
        struct blocks_shard *shard = &blocks->shards[i];
        lock_init(&shard->lock, RANK_ZSCLASS);
        memset(shard->buckets, 0xff, sizeof shard->buckets); /* BLOCKS_NONE */
    }
    return FP_OK;
}

_Static_assert(sizeof(struct block_entry) == BLOCKS_UNIT_BYTES, "an entry is one unit");
_Static_assert(ZPOOL_OBJECT_BYTES_MAX / PAGES_BYTES <= 16, "a run's pages have four bits");
_Static_assert(1 + 4 + 32 <= CELL_PLACE_BITS, "a run's place fits");
_Static_assert(BLOCKS_ENTRIES_MAX <= 1 << 10, "an entry has ten bits");
_Static_assert(BLOCKS_MAX <= 1ll << (CELL_PLACE_BITS - 1 - 10), "a block's number fits");
_Static_assert(sizeof(struct block) % 8 == 0, "an idpool cell");

const struct zpool_backend blocks_backend = {
    .properties = {.name = "blocks",
                   .object_bytes_max = ZPOOL_OBJECT_BYTES_MAX,
                   .sleep_mapped = true,
                   .movable = true},
    .pool_bytes = sizeof(struct blocks),
    .create = blocks_create,
    .destroy = blocks_destroy,
    .alloc = blocks_alloc,
    .free = blocks_free,
    .rename = blocks_rename,
    .map = blocks_map,
    .unmap = blocks_unmap,
    .cost_bytes = blocks_cost_bytes,
    .compact = blocks_compact,
    .freeable_pages = blocks_freeable_pages,
    .descriptor_bytes = blocks_descriptor_bytes,
    .pinned_count = blocks_pinned_count,
    .class_count = blocks_class_count,
    .class_row = blocks_class_row,
    .check = blocks_check,
};
