/* SPDX-License-Identifier: BSD-3-Clause
 *
 * What must be true of a blocks pool at rest, recomputed from the blocks themselves, and the counts
 * that people are shown: a class is a tier; the last one is the objects with runs of their own. */
#include <string.h>

#include "base/check.h"
#include "storage/alloc/blocks.h"

static struct blocks *blocks_from(const struct zpool *pool)
{
    return (struct blocks *)(uintptr_t)pool;
}

struct tally { /* of a shard, recounted */
    uint64_t blocks, objects, object_bytes, free_units, directory_units;
    uint64_t fullness[ZPOOL_FULLNESS_GROUPS];
};

/* Objects lie within the block, before the directory, none over another; each owner's cell points
 * back; what is neither object nor directory is free. */
static void check_block(struct blocks *blocks, uint32_t id, struct tally *tally)
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
        tally->object_bytes += entry->size_less_one + 1u;
        if (end > tail) tail = end;
    }
    fp_assert(used == block->used_count && used > 0 && tail == block->tail_units);
    fp_assert(block->free_units == total - units - block->entry_count);
    tally->objects += used;
    tally->directory_units += block->entry_count;
    tally->free_units += block->free_units;
    tally->fullness[fullness_of(block)]++;
    tally->blocks++;
}

static uint64_t check_shard(struct blocks *blocks, struct blocks_shard *shard)
{
    struct tally tally = {0};
    lock_take(&shard->lock);
    for (unsigned bucket = 0; bucket < BLOCKS_BUCKETS; bucket++) {
        bool marked = (shard->nonempty[bucket / 64] >> bucket % 64 & 1) != 0;
        fp_assert(marked == (shard->buckets[bucket] != BLOCKS_NONE));
        for (uint32_t id = shard->buckets[bucket]; id != BLOCKS_NONE;
             id = block_of(blocks, id)->next) {
            fp_assert(shard_of(blocks, block_of(blocks, id)) == shard);
            check_block(blocks, id, &tally);
        }
    }
    fp_assert(tally.blocks == shard->block_count && tally.objects == shard->object_count);
    fp_assert(tally.object_bytes == shard->object_bytes);
    fp_assert(tally.free_units == shard->free_units);
    fp_assert(tally.directory_units == shard->directory_units);
    fp_assert(memcmp(tally.fullness, shard->fullness, sizeof tally.fullness) == 0);
    lock_drop(&shard->lock);
    return tally.blocks;
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
    uint64_t pages = atomic_load(&blocks->direct_pages);
    return (struct zpool_class){.slot_bytes = PAGES_BYTES,
                                .slots_per_zspage = 1,
                                .pages_per_zspage = 1,
                                .object_count = count,
                                .slot_count = pages,
                                .zspage_count = pages,
                                .object_bytes = pages * PAGES_BYTES,
                                .fullness[ZPOOL_FULLNESS_GROUPS - 1] = pages};
}

static void add_shard(struct blocks_shard *shard, struct zpool_class *row)
{
    lock_take(&shard->lock);
    row->object_count += shard->object_count;
    row->object_bytes += shard->object_bytes;
    row->zspage_count += shard->block_count;
    row->header_bytes += shard->directory_units * BLOCKS_UNIT_BYTES;
    row->free_bytes += shard->free_units * BLOCKS_UNIT_BYTES;
    for (unsigned i = 0; i < ZPOOL_FULLNESS_GROUPS; i++) row->fullness[i] += shard->fullness[i];
    lock_drop(&shard->lock);
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
    for (unsigned i = 0; i < BLOCKS_SHARDS; i++)
        add_shard(&blocks->shards[index * BLOCKS_SHARDS + i], row);
    row->slot_count = row->zspage_count * row->slots_per_zspage;
    row->rounding_bytes = row->slot_count * BLOCKS_UNIT_BYTES - row->object_bytes -
                          row->header_bytes - row->free_bytes;
    row->freeable_pages = row->free_bytes / BLOCKS_UNIT_BYTES / row->slots_per_zspage *
                          row->pages_per_zspage;
}

uint64_t blocks_descriptor_bytes(const struct zpool *pool)
{
    return idpool_held_bytes(&blocks_from(pool)->descriptors);
}

uint64_t blocks_pinned_count(const struct zpool *pool)
{
    const struct blocks *blocks = blocks_from(pool);
    uint64_t count = atomic_load(&blocks->direct_pins);
    uint32_t descriptors = atomic_load(&blocks->descriptors.fresh);
    for (uint32_t id = 0; id < descriptors; id++) {
        uint32_t pins = atomic_load_explicit(&block_of(blocks, id)->pins, memory_order_relaxed);
        count += pins & ~BLOCKS_CLOSED;
    }
    return count;
}
