/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Life of a block: none -(no block has room)-> new -(objects placed, removed)-> partly filled
 *                  -(last object removed, or moved away)-> none, its pages back at the OS
 *
 * Placing an object, dearest last: behind the last one; in a gap; after sliding the others
 * together, which needs that nobody has the block pinned; in another block; in a new one.
 */
#include <string.h>

#include "base/arith.h"
#include "base/check.h"
#include "storage/alloc/blocks.h"

enum {
    CANDIDATES_MAX = 16, /* blocks looked at before a new one is made */
    NARROW_MAX = 8,      /* of which in the first bucket, where some are too full by a few bytes */
    INSERTION_MAX = 32,  /* more objects than this are sorted by digits */
    DIGIT_BITS = 8,
    DIGITS = 1 << DIGIT_BITS,
    ENTRY_BITS = 10, /* of a place in a layout; the offset is above */
};

/* --- buckets: blocks by how much is free in them ---------------------------------------------- */

static unsigned bucket_of(const struct block *block, uint32_t units)
{
    unsigned bucket = units * (BLOCKS_BUCKETS - 1) / tier_units(block->tier);
    return bucket < BLOCKS_BUCKETS ? bucket : BLOCKS_BUCKETS - 1;
}

static void bucket_add_locked(struct blocks *blocks, struct blocks_shard *shard, uint32_t id)
{
    struct block *block = block_of(blocks, id);
    unsigned bucket = bucket_of(block, block->free_units);
    block->prev = BLOCKS_NONE;
    block->next = shard->buckets[bucket];
    if (block->next != BLOCKS_NONE) block_of(blocks, block->next)->prev = id;
    shard->buckets[bucket] = id;
    shard->nonempty[bucket / 64] |= 1ull << bucket % 64;
}

static void bucket_remove_locked(struct blocks *blocks, struct blocks_shard *shard, uint32_t id)
{
    struct block *block = block_of(blocks, id);
    unsigned bucket = bucket_of(block, block->free_units);
    if (block->prev == BLOCKS_NONE) shard->buckets[bucket] = block->next;
    else block_of(blocks, block->prev)->next = block->next;
    if (block->next != BLOCKS_NONE) block_of(blocks, block->next)->prev = block->prev;
    if (shard->buckets[bucket] == BLOCKS_NONE)
        shard->nonempty[bucket / 64] &= ~(1ull << bucket % 64);
}

static void set_bucket_locked(struct blocks *blocks, struct blocks_shard *shard, uint32_t id,
                              uint32_t free_units)
{
    struct block *block = block_of(blocks, id);
    bool same = bucket_of(block, free_units) == bucket_of(block, block->free_units);
    if (!same) bucket_remove_locked(blocks, shard, id);
    block->free_units = (uint16_t)free_units;
    if (!same) bucket_add_locked(blocks, shard, id);
}

static void set_free_locked(struct blocks *blocks, struct blocks_shard *shard, uint32_t id,
                            uint32_t free_units)
{
    struct block *block = block_of(blocks, id);
    shard->free_units += free_units - (uint64_t)block->free_units;
    shard->fullness[fullness_of(block)]--;
    set_bucket_locked(blocks, shard, id, free_units);
    shard->fullness[fullness_of(block)]++;
}

/* The first bucket from `bucket` on that has a block; BLOCKS_BUCKETS: none. */
static unsigned next_bucket(const struct blocks_shard *shard, unsigned bucket)
{
    for (unsigned word = bucket / 64; word < BLOCKS_BUCKETS / 64; word++) {
        uint64_t bits = shard->nonempty[word];
        if (word == bucket / 64) bits &= ~0ull << bucket % 64;
        if (bits != 0) return word * 64 + (unsigned)__builtin_ctzll(bits);
    }
    return BLOCKS_BUCKETS;
}

/* --- one block -------------------------------------------------------------------------------- */

bool block_close(struct block *block)
{
    uint32_t none = 0;
    return atomic_compare_exchange_strong_explicit(&block->pins, &none, BLOCKS_CLOSED,
                                                   memory_order_acquire, memory_order_relaxed);
}

void block_open(struct block *block)
{
    /* Others may have counted themselves in and be about to count themselves out again. */
    atomic_fetch_and_explicit(&block->pins, ~BLOCKS_CLOSED, memory_order_release);
}

struct layout { /* a block's objects in the order they lie in */
    uint32_t places[BLOCKS_ENTRIES_MAX]; /* offset_units << ENTRY_BITS | entry */
    unsigned count;
};
_Static_assert(BLOCKS_ENTRIES_MAX == 1 << ENTRY_BITS, "a place holds any entry");

static struct block_entry *entry_at(const struct blocks *blocks, const struct block *block,
                                    uint32_t place)
{
    return block_entry(blocks, block, place % BLOCKS_ENTRIES_MAX);
}

/* By insertion: a dozen objects, nearly sorted. */
static void sort_few(struct layout *layout)
{
    for (unsigned i = 1; i < layout->count; i++) {
        uint32_t place = layout->places[i];
        unsigned at = i;
        for (; at > 0 && layout->places[at - 1] > place; at--)
            layout->places[at] = layout->places[at - 1];
        layout->places[at] = place;
    }
}

/* One pass of a radix sort. */
static void sort_by_digit(const uint32_t *from, uint32_t *to, unsigned count, unsigned shift)
{
    unsigned starts[DIGITS + 1] = {0};
    for (unsigned i = 0; i < count; i++) starts[(from[i] >> shift) % DIGITS + 1]++;
    for (unsigned digit = 1; digit <= DIGITS; digit++) starts[digit] += starts[digit - 1];
    for (unsigned i = 0; i < count; i++) to[starts[(from[i] >> shift) % DIGITS]++] = from[i];
}

/* Small items: their entries are used again in any order, and a thousand squared is a stall. */
static void sort_many(struct layout *layout)
{
    uint32_t half_sorted[BLOCKS_ENTRIES_MAX];
    sort_by_digit(layout->places, half_sorted, layout->count, ENTRY_BITS);
    sort_by_digit(half_sorted, layout->places, layout->count, ENTRY_BITS + DIGIT_BITS);
}

static void read_layout(const struct blocks *blocks, const struct block *block,
                        struct layout *layout)
{
    layout->count = 0;
    for (uint32_t i = 0; i < block->entry_count; i++) {
        const struct block_entry *entry = block_entry(blocks, block, i);
        if (entry->owner != 0)
            layout->places[layout->count++] = (uint32_t)entry->offset_units << ENTRY_BITS | i;
    }
    if (layout->count <= INSERTION_MAX) sort_few(layout);
    else sort_many(layout);
}

/* A gap of at least size_units between the objects; the smallest, or UINT32_MAX. */
static uint32_t find_gap(const struct blocks *blocks, const struct block *block,
                         uint32_t size_units)
{
    struct layout layout;
    read_layout(blocks, block, &layout);
    uint32_t best = UINT32_MAX, best_size = UINT32_MAX, at = 0;
    for (unsigned i = 0; i < layout.count; i++) {
        const struct block_entry *entry = entry_at(blocks, block, layout.places[i]);
        uint32_t gap = entry->offset_units - at;
        if (gap >= size_units && gap < best_size) {
            best = at;
            best_size = gap;
        }
        at = entry->offset_units + entry_units(entry);
    }
    return best;
}

/* Slides all objects to the front. The block must be closed. */
static void slide(struct blocks *blocks, struct blocks_shard *shard, struct block *block)
{
    struct layout layout;
    uint8_t *base = block_base(blocks, block);
    read_layout(blocks, block, &layout);
    uint32_t at = 0;
    for (unsigned i = 0; i < layout.count; i++) {
        struct block_entry *entry = entry_at(blocks, block, layout.places[i]);
        size_t bytes = (size_t)entry_units(entry) * BLOCKS_UNIT_BYTES;
        if (entry->offset_units != at) {
            memmove(base + (size_t)at * BLOCKS_UNIT_BYTES,
                    base + (size_t)entry->offset_units * BLOCKS_UNIT_BYTES, bytes);
            entry->offset_units = at & 0x7fff; /* fits; the compiler wants to see it */
            shard->slid_bytes += bytes;
        }
        at += entry_units(entry);
    }
    block->tail_units = (uint16_t)at;
}

/* A free entry's number; entry_count where the directory must grow for it. */
static uint32_t free_entry(const struct blocks *blocks, const struct block *block)
{
    if (block->used_count == block->entry_count) return block->entry_count;
    uint32_t index = 0;
    while (block_entry(blocks, block, index)->owner != 0) index++;
    return index;
}

/* Tries to place an object in this block. True: *index is its entry, filled in but the owner. */
static bool place_locked(struct blocks *blocks, struct blocks_shard *shard, uint32_t id,
                         uint32_t size_bytes, uint32_t *index)
{
    uint32_t size_units = (uint32_t)div_up_u64(size_bytes, BLOCKS_UNIT_BYTES);
    struct block *block = block_of(blocks, id);
    uint32_t entry = free_entry(blocks, block);
    uint32_t grow = entry == block->entry_count;
    if (block->free_units < size_units + grow || entry == BLOCKS_ENTRIES_MAX) return false;
    uint32_t directory = block->entry_count + grow, total = tier_units(block->tier);
    uint32_t at = UINT32_MAX;
    if (block->tail_units + size_units + directory <= total) at = block->tail_units;
    else if (block->tail_units + directory <= total) at = find_gap(blocks, block, size_units);
    if (at == UINT32_MAX) {
        if (!block_close(block)) return false;
        slide(blocks, shard, block);
        block_open(block);
        at = block->tail_units;
    }
    block->entry_count = (uint16_t)directory;
    shard->directory_units += grow;
    *block_entry(blocks, block, entry) = (struct block_entry){
        .offset_units = at & 0x7fff, .size_less_one = (size_bytes - 1) & 0xffff};
    block->used_count++;
    if (at + size_units > block->tail_units) block->tail_units = (uint16_t)(at + size_units);
    set_free_locked(blocks, shard, id, block->free_units - size_units - grow);
    *index = entry;
    return true;
}

/* --- finding a block -------------------------------------------------------------------------- */

static enum fp_status block_create_locked(struct blocks *blocks, struct blocks_shard *shard,
                                          unsigned tier, uint32_t *id)
{
    struct page_run run;
    if (!idpool_take(&blocks->descriptors, id)) return FP_NO_MEMORY;
    enum fp_status status = arena_take(blocks->pool.arena, tier_pages(tier), &run);
    if (status != FP_OK) {
        idpool_give(&blocks->descriptors, *id);
        return status;
    }
    struct block *block = block_of(blocks, *id);
    block->first_page = run.first_page;
    block->tier = (uint8_t)tier;
    block->shard = (uint8_t)((shard - blocks->shards) % BLOCKS_SHARDS);
    block->entry_count = block->used_count = block->tail_units = 0;
    block->free_units = (uint16_t)tier_units(tier);
    shard->block_count++;
    shard->free_units += block->free_units;
    shard->fullness[fullness_of(block)]++;
    bucket_add_locked(blocks, shard, *id);
    return FP_OK;
}

enum fp_status blocks_find_room_locked(struct blocks *blocks, struct blocks_shard *shard,
                                       struct blocks_place *place, uint32_t size_bytes,
                                       uint32_t not_this)
{
    lock_assert_held(&shard->lock);
    unsigned tier = (unsigned)(shard - blocks->shards) / BLOCKS_SHARDS;
    struct block any = {.tier = (uint8_t)tier};
    unsigned looked = 0;
    unsigned first = bucket_of(&any, (uint32_t)div_up_u64(size_bytes, BLOCKS_UNIT_BYTES));
    for (unsigned bucket = next_bucket(shard, first);
         bucket < BLOCKS_BUCKETS && looked < CANDIDATES_MAX;
         bucket = next_bucket(shard, bucket + 1)) {
        uint32_t id = shard->buckets[bucket];
        unsigned looked_max = bucket == first ? NARROW_MAX : CANDIDATES_MAX;
        for (; id != BLOCKS_NONE && looked < looked_max; looked++) {
            uint32_t next = block_of(blocks, id)->next;
            place->number = id;
            if (id != not_this && place_locked(blocks, shard, id, size_bytes, &place->detail))
                return FP_OK;
            id = next;
        }
    }
    if (not_this != BLOCKS_NONE) return FP_NO_MEMORY;
    enum fp_status status = block_create_locked(blocks, shard, tier, &place->number);
    if (status != FP_OK) return status;
    fp_assert(place_locked(blocks, shard, place->number, size_bytes, &place->detail));
    return FP_OK;
}

/* The end of the last object, after one was taken out. */
static uint32_t find_tail(const struct blocks *blocks, const struct block *block)
{
    uint32_t tail = 0;
    for (unsigned i = 0; i < block->entry_count; i++) {
        const struct block_entry *entry = block_entry(blocks, block, i);
        uint32_t end = entry->offset_units + entry_units(entry);
        if (entry->owner != 0 && end > tail) tail = end;
    }
    return tail;
}

bool blocks_remove_locked(struct blocks *blocks, struct blocks_shard *shard, uint32_t id,
                          uint32_t index)
{
    lock_assert_held(&shard->lock);
    struct block *block = block_of(blocks, id);
    struct block_entry *entry = block_entry(blocks, block, index);
    uint32_t freed = entry_units(entry);
    bool last = entry->offset_units + freed == block->tail_units;
    entry->owner = 0;
    block->used_count--;
    while (block->entry_count > 0 &&
           block_entry(blocks, block, block->entry_count - 1u)->owner == 0) {
        block->entry_count--;
        shard->directory_units--;
        freed++;
    }
    if (last) block->tail_units = (uint16_t)find_tail(blocks, block);
    set_free_locked(blocks, shard, id, block->free_units + freed);
    if (block->used_count > 0) return false;
    bucket_remove_locked(blocks, shard, id);
    shard->block_count--;
    shard->free_units -= block->free_units;
    shard->fullness[fullness_of(block)]--;
    return true;
}

void blocks_give_back(struct blocks *blocks, uint32_t id)
{
    struct block *block = block_of(blocks, id);
    struct page_run run = {.first_page = block->first_page};
    arena_give(blocks->pool.arena, tier_pages(block->tier), run);
    idpool_give(&blocks->descriptors, id);
}
