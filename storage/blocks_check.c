/* SPDX-License-Identifier: BSD-3-Clause
 *
 * What must be true of a blocks pool at rest, recomputed from the blocks themselves, and the counts
 * that people are shown: a class is a tier; the last one is the objects with runs of their own. */
#include "base/check.h"
#include "storage/blocks.h"

static struct blocks *blocks_from(const struct zpool *pool)
{
    return (struct blocks *)(uintptr_t)pool;
}

/* Objects lie within the block, before the directory, none over another; each owner's cell points
 * back; what is neither object nor directory is free. */
static void check_block(struct blocks *blocks, uint32_t id, uint64_t *objects)
{
    const struct block *block = block_of(blocks, id);
    uint32_t total = tier_units(block->tier), used = 0, units = 0, tail = 0;
    for (uint32_t i = 0; i < block->entry_count; i++) {
        const struct block_entry *entry = block_entry(blocks, block, i);
        if (entry->owner == 0) continue;
        uint32_t end = entry->offset_units + entry_units(entry);
        struct blocks_place place = {.direct = false, .number = id, .detail = i};
        uint64_t cell = cells_load(&blocks->pool.cells, entry->owner);
        fp_assert(cell_what(cell) == ZOBJECT && cell_place(cell) == blocks_place_bits(place));
        fp_assert(end + block->entry_count <= total);
        for (uint32_t j = 0; j < i; j++) {
            const struct block_entry *other = block_entry(blocks, block, j);
            fp_assert(other->owner == 0 || end <= other->offset_units ||
                      other->offset_units + entry_units(other) <= entry->offset_units);
        }
        used++;
        units += entry_units(entry);
        if (end > tail) tail = end;
    }
    fp_assert(used == block->used_count && used > 0 && tail == block->tail_units);
    fp_assert(block->free_units == total - units - block->entry_count);
    *objects += used;
}

static uint64_t check_shard(struct blocks *blocks, struct blocks_shard *shard)
{
    uint64_t count = 0, objects = 0, free_units = 0;
    lock_take(&shard->lock);
    for (unsigned bucket = 0; bucket < BLOCKS_BUCKETS; bucket++) {
        bool marked = (shard->nonempty[bucket / 64] >> bucket % 64 & 1) != 0;
        fp_assert(marked == (shard->buckets[bucket] != BLOCKS_NONE));
        for (uint32_t id = shard->buckets[bucket]; id != BLOCKS_NONE;
             id = block_of(blocks, id)->next) {
            fp_assert(shard_of(blocks, block_of(blocks, id)) == shard);
            check_block(blocks, id, &objects);
            free_units += block_of(blocks, id)->free_units;
            count++;
        }
    }
    fp_assert(count == shard->block_count && objects == shard->object_count);
    fp_assert(free_units == shard->free_units);
    lock_drop(&shard->lock);
    return count;
}

void blocks_check(struct zpool *pool)
{
    struct blocks *blocks = blocks_from(pool);
    uint64_t pages = atomic_load(&blocks->direct_pages);
    for (unsigned i = 0; i < BLOCKS_SHARDS_ALL; i++)
        pages += check_shard(blocks, &blocks->shards[i]) * tier_pages(i / BLOCKS_SHARDS);
    fp_assert(pages == arena_held_pages(blocks->pool.arena));
    arena_check(blocks->pool.arena);
}

unsigned blocks_class_count(const struct zpool *pool)
{
    (void)pool;
    return BLOCKS_TIERS + 1;
}

/* Runs have different lengths: they are counted in pages, so that the rows add up. */
static struct zpool_class direct_row(struct blocks *blocks)
{
    uint64_t count = atomic_load(&blocks->direct_count);
    return (struct zpool_class){.slot_bytes = PAGES_BYTES,
                                .slots_per_zspage = 1,
                                .pages_per_zspage = 1,
                                .object_count = count,
                                .slot_count = count,
                                .zspage_count = atomic_load(&blocks->direct_pages)};
}

void blocks_class_row(struct zpool *pool, unsigned index, struct zpool_class *row)
{
    struct blocks *blocks = blocks_from(pool);
    if (index == BLOCKS_TIERS) {
        *row = direct_row(blocks);
        return;
    }
    *row = (struct zpool_class){.slot_bytes = BLOCKS_UNIT_BYTES,
                                .slots_per_zspage = tier_units(index),
                                .pages_per_zspage = tier_pages(index)};
    uint64_t free_units = 0;
    for (unsigned i = 0; i < BLOCKS_SHARDS; i++) {
        struct blocks_shard *shard = &blocks->shards[index * BLOCKS_SHARDS + i];
        lock_take(&shard->lock);
        row->object_count += shard->object_count;
        row->zspage_count += shard->block_count;
        free_units += shard->free_units;
        lock_drop(&shard->lock);
    }
    row->slot_count = row->zspage_count * row->slots_per_zspage;
    row->freeable_pages = free_units / row->slots_per_zspage * row->pages_per_zspage;
}

void blocks_fill(struct zpool *pool, struct zpool_fill *fill)
{
    struct blocks *blocks = blocks_from(pool);
    *fill = (struct zpool_fill){.held_pages = arena_held_pages(blocks->pool.arena),
                                .table_bytes = cells_held_bytes(&blocks->pool.cells) +
                                               idpool_held_bytes(&blocks->descriptors),
                                .object_count = atomic_load(&blocks->direct_count),
                                .pinned_count = atomic_load(&blocks->direct_pins),
                                .zspage_count = atomic_load(&blocks->direct_pages),
                                .slot_bytes = atomic_load(&blocks->direct_pages) * PAGES_BYTES};
    for (unsigned i = 0; i < BLOCKS_SHARDS_ALL; i++) {
        struct blocks_shard *shard = &blocks->shards[i];
        lock_take(&shard->lock);
        uint64_t units = shard->block_count * tier_units(i / BLOCKS_SHARDS) - shard->free_units;
        fill->slot_bytes += units * BLOCKS_UNIT_BYTES;
        fill->object_count += shard->object_count;
        fill->zspage_count += shard->block_count;
        lock_drop(&shard->lock);
    }
    uint32_t descriptors = atomic_load(&blocks->descriptors.fresh);
    for (uint32_t id = 0; id < descriptors; id++) {
        uint32_t pins = atomic_load_explicit(&block_of(blocks, id)->pins, memory_order_relaxed);
        fill->pinned_count += pins & ~BLOCKS_CLOSED;
    }
}
