/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Empties the sparsest block of a shard into the others, best fit again, so that its pages go back
 * to the OS. A step holds the shard's lock for a few moves at a time, closes only the block it
 * empties, and walks past what is pinned. One shard after the other; done when a round of all of
 * them gained nothing.
 */
#include <string.h>

#include "base/check.h"
#include "storage/alloc/blocks.h"

enum {
    MOVES_PER_LOCK = 8,
    SOURCES_MAX = 256, /* pinned blocks walked past in one look */
};

static struct blocks *blocks_from(struct zpool *pool)
{
    return (struct blocks *)pool;
}

/* Whole blocks that the free space of a shard adds up to, but for one it needs to work with. */
static uint64_t freeable_blocks(const struct blocks_shard *shard, unsigned tier)
{
    uint64_t blocks = shard->free_units / tier_units(tier);
    return blocks > 1 ? blocks - 1 : 0;
}

uint64_t blocks_freeable_pages(struct zpool *pool)
{
    struct blocks *blocks = blocks_from(pool);
    uint64_t pages = 0;
    for (unsigned i = 0; i < BLOCKS_SHARDS_ALL; i++) {
        struct blocks_shard *shard = &blocks->shards[i];
        lock_take(&shard->lock);
        pages += freeable_blocks(shard, i / BLOCKS_SHARDS) * tier_pages(i / BLOCKS_SHARDS);
        lock_drop(&shard->lock);
    }
    return pages;
}

/* The block with the most free space that nobody has pinned, closed; BLOCKS_NONE. */
static uint32_t take_source_locked(struct blocks *blocks, struct blocks_shard *shard,
                                   struct zpool_step *step)
{
    unsigned looked = 0;
    for (unsigned bucket = BLOCKS_BUCKETS; bucket-- > 0;) {
        for (uint32_t id = shard->buckets[bucket]; id != BLOCKS_NONE;
             id = block_of(blocks, id)->next) {
            if (block_close(block_of(blocks, id))) return id;
            step->skipped_pinned_count += block_of(blocks, id)->used_count;
            if (++looked == SOURCES_MAX) return BLOCKS_NONE;
        }
    }
    return BLOCKS_NONE;
}

/* Moves one object of the source into another block. False: none has room. */
static bool move_one_locked(struct blocks *blocks, struct blocks_shard *shard, uint32_t source,
                            uint32_t index)
{
    struct block *from = block_of(blocks, source);
    struct block_entry entry = *block_entry(blocks, from, index);
    struct blocks_place place = {.direct = false};
    if (blocks_find_room_locked(blocks, shard, &place, entry.size_less_one + 1u, source) != FP_OK)
        return false;
    struct block *to = block_of(blocks, place.number);
    struct block_entry *target = block_entry(blocks, to, place.detail);
    memcpy(block_base(blocks, to) + (size_t)target->offset_units * BLOCKS_UNIT_BYTES,
           block_base(blocks, from) + (size_t)entry.offset_units * BLOCKS_UNIT_BYTES,
           entry.size_less_one + 1u);
    target->owner = entry.owner;
    uint64_t cell = cells_load(&blocks->pool.cells, entry.owner);
    cells_store(&blocks->pool.cells, entry.owner, cell_moved(cell, blocks_place_bits(place)));
    return true;
}

/* True: something was gained or may be, come again. */
static bool step_locked(struct blocks *blocks, struct blocks_shard *shard, uint32_t *emptied,
                        struct zpool_step *step)
{
    uint32_t source = take_source_locked(blocks, shard, step);
    if (source == BLOCKS_NONE) return false;
    struct block *block = block_of(blocks, source);
    bool moved = true;
    for (int i = 0; i < MOVES_PER_LOCK && moved && block->used_count > 0; i++) {
        uint32_t index = block->entry_count - 1u; /* never free: removal trims the directory */
        moved = move_one_locked(blocks, shard, source, index);
        if (!moved) break;
        step->moved_count++;
        if (blocks_remove_locked(blocks, shard, source, index)) *emptied = source;
    }
    block_open(block);
    return moved;
}

static bool compact_shard(struct blocks *blocks, unsigned at, struct zpool_step *step)
{
    unsigned tier = at / BLOCKS_SHARDS;
    struct blocks_shard *shard = &blocks->shards[at];
    uint32_t emptied = BLOCKS_NONE;
    lock_take(&shard->lock);
    bool more = freeable_blocks(shard, tier) > 0 && step_locked(blocks, shard, &emptied, step);
    lock_drop(&shard->lock);
    if (emptied != BLOCKS_NONE) {
        blocks_give_back(blocks, emptied);
        step->freed_pages += tier_pages(tier);
    }
    return more;
}

struct zpool_step blocks_compact(struct zpool *pool, uint32_t moves_max)
{
    struct blocks *blocks = blocks_from(pool);
    struct zpool_step step = {0};
    unsigned at = atomic_load(&blocks->compact_at);
    unsigned idle = 0;
    while (step.moved_count < moves_max && idle < BLOCKS_SHARDS_ALL) {
        if (compact_shard(blocks, at, &step)) {
            idle = 0;
            continue;
        }
        idle++;
        at = (at + 1) % (BLOCKS_SHARDS_ALL);
    }
    atomic_store(&blocks->compact_at, at);
    step.done = idle == BLOCKS_SHARDS_ALL;
    return step;
}
