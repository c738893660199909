/* SPDX-License-Identifier: BSD-3-Clause */
#include "client/uffd/pagetable.h"

#include <stdlib.h>

#include "base/arith.h"

enum { FAN = PAGETABLE_LEAF_PAGES };

bool pagetable_init(struct pagetable *table)
{
    *table = (struct pagetable){.last_number = UINT64_MAX};
    table->root = calloc(FAN, sizeof *table->root);
    table->bytes = FAN * sizeof *table->root;
    return table->root != NULL;
}

void pagetable_fini(struct pagetable *table)
{
    for (size_t i = 0; table->root != NULL && i < FAN; i++) {
        for (size_t j = 0; table->root[i] != NULL && j < FAN; j++) free(table->root[i][j]);
        free(table->root[i]);
    }
    free(table->root);
    table->root = NULL;
}

static struct pagetable_leaf *leaf_of(struct pagetable *table, uint64_t number)
{
    if (number == table->last_number) return table->last;
    struct pagetable_leaf **leaves = table->root[number >> PAGETABLE_BITS];
    struct pagetable_leaf *leaf = leaves != NULL ? leaves[number % FAN] : NULL;
    if (leaf != NULL) {
        table->last = leaf;
        table->last_number = number;
    }
    return leaf;
}

struct page *pagetable_find(struct pagetable *table, uint64_t number)
{
    if (number >= PAGETABLE_PAGES) return NULL;
    struct pagetable_leaf *leaf = leaf_of(table, number >> PAGETABLE_BITS);
    return leaf != NULL ? &leaf->pages[number % FAN] : NULL;
}

static void *made(struct pagetable *table, void *place, size_t bytes)
{
    if (place != NULL) return place;
    place = calloc(1, bytes);
    if (place != NULL) table->bytes += bytes;
    return place;
}

struct page *pagetable_make(struct pagetable *table, uint64_t number)
{
    struct page *page = pagetable_find(table, number);
    if (page != NULL || number >= PAGETABLE_PAGES) return page;
    uint64_t leaf = number >> PAGETABLE_BITS;
    struct pagetable_leaf ***leaves = &table->root[leaf >> PAGETABLE_BITS];
    *leaves = made(table, *leaves, FAN * sizeof **leaves);
    if (*leaves == NULL) return NULL;
    (*leaves)[leaf % FAN] = made(table, (*leaves)[leaf % FAN], sizeof ***leaves);
    return pagetable_find(table, number);
}

void pagetable_each(struct pagetable *table, uint64_t first, uint64_t end,
                    void (*each)(void *context, uint64_t number, struct page *page), void *context)
{
    end = min_u64(end, PAGETABLE_PAGES);
    while (first < end) {
        uint64_t leaf = first >> PAGETABLE_BITS;
        if (table->root[leaf >> PAGETABLE_BITS] == NULL) {
            first = ((leaf >> PAGETABLE_BITS) + 1) << (2 * PAGETABLE_BITS);
            continue;
        }
        struct pagetable_leaf *found = leaf_of(table, leaf);
        uint64_t stop = min_u64((leaf + 1) << PAGETABLE_BITS, end);
        for (; found != NULL && first < stop; first++)
            each(context, first, &found->pages[first % FAN]);
        first = stop;
    }
}
