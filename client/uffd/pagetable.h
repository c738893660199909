/* SPDX-License-Identifier: BSD-3-Clause
 * pagetable - what the pager knows about each page of a space: 8 bytes, found by its number,
 * address / 4096. Sparse: a leaf of 4096 pages (32 KiB) is made when the first of them is.
 *
 * Threads: the pager's. Blocks: never.
 */
#ifndef FARPAGE_CLIENT_UFFD_PAGETABLE_H
#define FARPAGE_CLIENT_UFFD_PAGETABLE_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attrs.h"

enum page_state {
    PAGE_UNTOUCHED, /* `index` means nothing */
    PAGE_RESIDENT,  /* index: the slot that is kept for it, or SLOT_NONE */
    PAGE_TAKEN,     /* index: the leaver that is about to have it */
    PAGE_AWAY,      /* index: its slot, which knows where its bytes are */
    PAGE_LOADING,   /* index: the load */
    PAGE_LOST,
};

struct page {
    uint32_t index;
    uint8_t state;   /* enum page_state */
    uint8_t stamp;   /* of queue.h, when it was taken; while it is away */
    uint8_t pins;    /* it is not taken */
    bool queued : 1; /* it is in the queue, whatever became of it since */
    bool missed : 1; /* it was not there when it was to be taken */
    bool fixed : 1;  /* it could not be moved, and is protected where it is instead */
    bool shared : 1; /* a fork shares it; it is protected. While resident or taken by protecting */
    bool free : 1;   /* of these: not counted, another holder is */
};

enum { PAGETABLE_BITS = 12, PAGETABLE_LEAF_PAGES = 1 << PAGETABLE_BITS };
static const uint64_t PAGETABLE_PAGES = 1ull << (3 * PAGETABLE_BITS); /* 48 bits of address */

struct pagetable_leaf {
    struct page pages[PAGETABLE_LEAF_PAGES];
};

struct pagetable {
    struct pagetable_leaf ***root; /* of PAGETABLE_LEAF_PAGES tables of as many leaves */
    struct pagetable_leaf *last;   /* the leaf that was asked for last, */
    uint64_t last_number;          /* and which it is */
    uint64_t bytes;
};

/* False: no memory. */
bool pagetable_init(struct pagetable *table) FP_MUST_CHECK FP_NONNULL(1);
void pagetable_fini(struct pagetable *table) FP_NONNULL(1);

/* The entry of a page; NULL: it was never touched. Good until pagetable_fini. */
struct page *pagetable_find(struct pagetable *table, uint64_t number) FP_NONNULL(1);
/* The same, made where it is not there; NULL: no memory, or no such address. */
struct page *pagetable_make(struct pagetable *table, uint64_t number) FP_NONNULL(1);

/* Calls `each` for every entry in [first, end) that there is, in order, untouched ones too. */
void pagetable_each(struct pagetable *table, uint64_t first, uint64_t end,
                    void (*each)(void *context, uint64_t number, struct page *page),
                    void *context) FP_NONNULL(1, 4);

#endif
