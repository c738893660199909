/* SPDX-License-Identifier: BSD-3-Clause
 * nearby - which pages to fetch besides one that is demanded and that no walk explains (trend.h).
 *
 * Who jumps about in an array, a heap or a tree touches no page twice in a row, and yet most of a
 * block of neighbours within a while: a gather, a sort by an index, the nodes that were allocated
 * together. So a second fault in a block of 64 KiB, while its first is remembered, has the rest of
 * the block fetched.
 *
 *     fault -> its block is remembered --another page of it--> the rest is fetched, but one page
 *                                                                   |            |
 *                              it faults: the others were worth it -'            |
 *                              it is forgotten first: they were not  ------------'
 *
 * Nobody tells whether what was fetched is used. So of each block one page, picked at random, stays
 * away and is watched for: it stands for the others. What is worth less than a fifth is not
 * fetched; the watching goes on, so that it is noticed when that changes.
 *
 * Pages are numbers, address / 4096. One for each space: 8 KiB, no heap. Threads: the caller's.
 * Blocks: never.
 */
#ifndef FARPAGE_CLIENT_UFFD_NEARBY_H
#define FARPAGE_CLIENT_UFFD_NEARBY_H
#include <stdbool.h>
#include <stdint.h>

#include "base/attrs.h"

enum {
    NEARBY_PAGES = 16,     /* of a block, which lies at a multiple of it */
    NEARBY_BLOCKS = 512,   /* remembered at once */
    NEARBY_WORTH = 1 << 16 /* all that is fetched is used */
};

struct nearby_block {
    uint64_t number;  /* page / NEARBY_PAGES + 1; 0: none is here */
    uint16_t faulted; /* a bit a page, since the rest was fetched last */
    uint8_t watched;  /* its place in the block, or NEARBY_PAGES: none is */
    uint8_t fetched;  /* pages it stands for */
};

struct nearby {
    struct nearby_block blocks[NEARBY_BLOCKS];
    uint32_t worth;        /* of what is fetched, NEARBY_WORTH at most */
    uint32_t dice;
    uint64_t used, wasted; /* pages, as the watched ones tell */
};

void nearby_init(struct nearby *nearby) FP_NONNULL(1);

/* `page` was demanded. True: nearby_choose should be asked. */
bool nearby_fault(struct nearby *nearby, uint64_t page) FP_MUST_CHECK FP_NONNULL(1);

/* Of the block of the same page, those of `away` (bit i: page i of the block, not the demanded one)
 * that are to be fetched; 0: none. */
uint16_t nearby_choose(struct nearby *nearby, uint64_t page, uint16_t away) FP_MUST_CHECK
    FP_NONNULL(1);

#endif
