/* SPDX-License-Identifier: BSD-3-Clause
 * blocks - a backend of zpool.h: best fit by bytes in blocks of pages. Seen by blocks*.c only.
 *
 * Where zsmalloc rounds every object up to its class, a block takes objects of any size, 8 bytes
 * apart, and slides them together when a new one would fit but for the gaps:
 *
 *   | object | object | gap | object |   ... free ...   | entry 2 | entry 1 | entry 0 |
 *   0                                tail                                       block end
 *
 * An entry of the directory (8 bytes) says where an object lies and which handle owns it. A handle
 * names block and entry, so sliding changes no handle; only compaction, which empties whole blocks
 * into others, rewrites the cells of the handles it moves.
 *
 *   handle -> cell -> (block, entry) -> offset -> address
 *
 * Objects of up to 4, 16 and 64 KiB have blocks of 16, 64 and 256 KiB: three tiers. An object of
 * whole pages (an incompressible page, mostly) has a run of its own and no block: it costs just its
 * pages.
 *
 * Each tier is cut into shards with a lock each, so that allocating and freeing seldom meet. A map
 * takes no lock: it pins the block, and looks again whether the handle still says the same.
 *
 * Units: *_units are 8 bytes.
 * Locks: a shard's lock guards its buckets and its blocks' descriptors and directories, not pins.
 *        Objects are moved only while their block is closed: no pin, and none can come.
 */
#ifndef FARPAGE_STORAGE_BLOCKS_H
#define FARPAGE_STORAGE_BLOCKS_H
#include <stdatomic.h>

#include "base/lock.h"
#include "storage/alloc/zpool_backend.h"

enum {
    BLOCKS_UNIT_BYTES = 8,
    BLOCKS_TIERS = 3,
    BLOCKS_SHARDS = 4,      /* of each tier; a power of two */
    BLOCKS_SHARDS_ALL = BLOCKS_TIERS * BLOCKS_SHARDS,
    BLOCKS_BUCKETS = 512,   /* of a shard, by free units */
    BLOCKS_ENTRIES_MAX = 1024,
    BLOCKS_MAX = 1 << 26,
};
#define BLOCKS_NONE UINT32_MAX /* no int: an enum cannot hold it */
#define BLOCKS_CLOSED 0x80000000u /* in pins: a mover is at work, for microseconds */

struct block_entry {             /* in the block; owner 0: free */
    uint32_t owner;              /* handle */
    uint32_t offset_units : 15;
    uint32_t size_less_one : 16; /* bytes */
    uint32_t spare : 1;
};

struct block {              /* one cell of blocks.descriptors */
    _Atomic uint64_t link;  /* idpool's, while free */
    _Atomic uint32_t pins;  /* maps that have not been unmapped, or BLOCKS_CLOSED */
    uint32_t first_page;    /* its run in the arena; constant while it lives, as are the next two */
    _Atomic uint8_t tier, shard; /* read by who does not know yet which lock to take */
    uint16_t entry_count;   /* of the directory, free ones included */
    uint32_t next, prev;    /* list of its bucket */
    uint16_t used_count;    /* entries with an owner */
    uint16_t tail_units;    /* end of the last object */
    uint16_t free_units;    /* all that is not object or directory, gaps included */
    uint16_t padding;
};

struct blocks_shard {
    struct lock lock;
    uint64_t nonempty[BLOCKS_BUCKETS / 64]; /* bit b: bucket b has a block */
    uint32_t buckets[BLOCKS_BUCKETS];       /* heads of lists */
    uint64_t block_count, object_count, object_bytes;
    uint64_t free_units, directory_units, slid_bytes;
    uint64_t fullness[ZPOOL_FULLNESS_GROUPS];
} __attribute__((aligned(64)));

struct blocks {
    struct zpool pool; /* first: the backend's base */
    struct idpool descriptors; /* blocks */
    _Atomic uint64_t direct_count, direct_pages, direct_pins;
    _Atomic uint32_t compact_at; /* the shard compaction works on: tier * BLOCKS_SHARDS + shard */
    struct blocks_shard shards[BLOCKS_SHARDS_ALL]; /* a tier's are neighbours */
};

/* A cell's place: bit 0: direct. Else entry (10 bits) << 1, block (26 bits) << 11.
 * Direct: pages less one (4 bits) << 1, first page (32 bits) << 5. */
struct blocks_place {
    bool direct;
    uint32_t number; /* block, or first page */
    uint32_t detail; /* entry, or pages */
};
static inline uint64_t blocks_place_bits(struct blocks_place place)
{
    uint64_t detail = place.direct ? place.detail - 1 : place.detail;
    return (uint64_t)place.direct | detail << 1 |
           (uint64_t)place.number << (place.direct ? 5 : 11);
}
static inline struct blocks_place blocks_place_of(uint64_t cell)
{
    uint64_t bits = cell_place(cell);
    if ((bits & 1) != 0)
        return (struct blocks_place){.direct = true,
                                     .number = (uint32_t)(bits >> 5),
                                     .detail = ((uint32_t)(bits >> 1) & 15) + 1};
    return (struct blocks_place){.number = (uint32_t)(bits >> 11),
                                 .detail = (uint32_t)(bits >> 1) & 1023};
}
static inline uint32_t entry_units(const struct block_entry *entry)
{
    return (entry->size_less_one + 1u + BLOCKS_UNIT_BYTES - 1) / BLOCKS_UNIT_BYTES;
}

static inline unsigned tier_pages(unsigned tier)
{
    return 4u << 2 * tier; /* 16, 64, 256 KiB */
}
static inline uint32_t tier_units(unsigned tier)
{
    return tier_pages(tier) * PAGES_BYTES / BLOCKS_UNIT_BYTES;
}
static inline struct block *block_of(const struct blocks *blocks, uint32_t id)
{
    return idpool_cell(&blocks->descriptors, id);
}
static inline struct blocks_shard *shard_of(struct blocks *blocks, const struct block *block)
{
    unsigned tier = atomic_load_explicit(&block->tier, memory_order_relaxed);
    return &blocks->shards[tier * BLOCKS_SHARDS +
                           atomic_load_explicit(&block->shard, memory_order_relaxed)];
}
static inline uint8_t *block_base(const struct blocks *blocks, const struct block *block)
{
    return arena_address(blocks->pool.arena, (struct page_run){.first_page = block->first_page});
}
static inline struct block_entry *block_entry(const struct blocks *blocks,
                                              const struct block *block, uint32_t index)
{
    struct block_entry *end =
        (struct block_entry *)(block_base(blocks, block) + tier_pages(block->tier) * PAGES_BYTES);
    return end - 1 - index;
}
/* Of ZPOOL_FULLNESS_GROUPS. */
static inline unsigned fullness_of(const struct block *block)
{
    uint32_t total = tier_units(block->tier);
    return (total - block->free_units) * (ZPOOL_FULLNESS_GROUPS - 1) / total;
}

/* --- blocks_fit.c: one block, and finding one ------------------------------------------------- */

/* Where a new object of size_bytes goes: the block that fits best, slid together if need be, or a
 * new block. Writes block id and entry; the entry is filled in but for its owner. `not_this` (or
 * BLOCKS_NONE) is left out, and then no new block is made: FP_NO_MEMORY. */
enum fp_status blocks_find_room_locked(struct blocks *blocks, struct blocks_shard *shard,
                                       struct blocks_place *place, uint32_t size_bytes,
                                       uint32_t not_this) FP_MUST_CHECK;
/* Takes the entry's object out of the block. True: the block is empty now and on no list. */
bool blocks_remove_locked(struct blocks *blocks, struct blocks_shard *shard, uint32_t id,
                          uint32_t index) FP_MUST_CHECK;
/* Gives an empty block's pages back. Enter holding no shard's lock. */
void blocks_give_back(struct blocks *blocks, uint32_t id);
/* Closes a block to pins; false where it has one. */
bool block_close(struct block *block) FP_MUST_CHECK;
void block_open(struct block *block);

/* --- blocks_compact.c, blocks_check.c: the calls of their names ------------------------------- */
struct zpool_step blocks_compact(struct zpool *pool, uint32_t moves_max);
uint64_t blocks_freeable_pages(struct zpool *pool);
void blocks_check(struct zpool *pool);
uint64_t blocks_descriptor_bytes(const struct zpool *pool);
uint64_t blocks_pinned_count(const struct zpool *pool);
unsigned blocks_class_count(const struct zpool *pool);
void blocks_class_row(struct zpool *pool, unsigned index, struct zpool_class *row);

#endif
