/* SPDX-License-Identifier: BSD-3-Clause
 *
 * A block has one place in the table, by its number's hash, and whoever comes to that place later
 * takes it: so blocks are forgotten at random, after as many others as there are places. */
#include "client/uffd/nearby.h"

#include <string.h>

enum {
    FAULTS_WANTED = 2,
    LEARNING_PART = 32,  /* of the last so many watched pages the worth is */
    WORTH_MIN = NEARBY_WORTH / 5,
    WORTH_AT_FIRST = NEARBY_WORTH / 2
};

void nearby_init(struct nearby *nearby)
{
    memset(nearby, 0, sizeof *nearby);
    nearby->worth = WORTH_AT_FIRST;
    nearby->dice = 1;
}

/* --- what the watched pages tell --- */

static void was_used(struct nearby *nearby, struct nearby_block *block)
{
    nearby->worth += (NEARBY_WORTH - nearby->worth) / LEARNING_PART;
    nearby->used += block->fetched;
    block->watched = NEARBY_PAGES;
}

static void was_not_used(struct nearby *nearby, struct nearby_block *block)
{
    if (block->number == 0 || block->watched == NEARBY_PAGES) return;
    nearby->worth -= nearby->worth / LEARNING_PART;
    nearby->wasted += block->fetched;
    block->watched = NEARBY_PAGES;
}

/* --- blocks --- */

static struct nearby_block *place_of(struct nearby *nearby, uint64_t number)
{
    return &nearby->blocks[(number * 0x9e3779b97f4a7c15u) >> 32 & (NEARBY_BLOCKS - 1)];
}

static struct nearby_block *block_of(struct nearby *nearby, uint64_t page)
{
    uint64_t number = page / NEARBY_PAGES + 1;
    struct nearby_block *block = place_of(nearby, number);
    if (block->number == number) return block;
    was_not_used(nearby, block);
    *block = (struct nearby_block){.number = number, .watched = NEARBY_PAGES};
    return block;
}

bool nearby_fault(struct nearby *nearby, uint64_t page)
{
    struct nearby_block *block = block_of(nearby, page);
    unsigned place = page % NEARBY_PAGES;
    if (block->watched == place) was_used(nearby, block);
    block->faulted |= (uint16_t)(1u << place);
    return __builtin_popcount(block->faulted) >= FAULTS_WANTED;
}

/* One of the bits of `pages`, which are not none. */
static unsigned pick(struct nearby *nearby, uint16_t pages)
{
    nearby->dice = nearby->dice * 1664525u + 1013904223u;
    unsigned skip = (nearby->dice >> 16) % (unsigned)__builtin_popcount(pages);
    for (; skip > 0; skip--) pages &= (uint16_t)(pages - 1);
    return (unsigned)__builtin_ctz(pages);
}

uint16_t nearby_choose(struct nearby *nearby, uint64_t page, uint16_t away)
{
    struct nearby_block *block = block_of(nearby, page);
    was_not_used(nearby, block); /* the block is used, and the watched page was not */
    block->faulted = 0;
    if (away == 0) return 0;
    block->watched = (uint8_t)pick(nearby, away);
    uint16_t rest = away & (uint16_t)~(1u << block->watched);
    if (nearby->worth < WORTH_MIN) rest = 0;
    block->fetched = (uint8_t)__builtin_popcount(rest);
    return rest;
}
