/* SPDX-License-Identifier: BSD-3-Clause
 * idpool - hands out small numbers, each naming one cell of an array that never moves or shrinks.
 *
 * The array lives in a reservation, so cells that were never named cost nothing. The first eight
 * bytes of a free cell hold the free list, in their upper half: the lower one is 0 then. A taken
 * cell is all the taker's, and its bytes are what they were left as. Cells are type-stable: reading
 * one that was given back meanwhile is never wild, only stale.
 *
 * Threads: any; lock-free (a Treiber stack whose head carries a count against ABA). Blocks: never.
 */
#ifndef FARPAGE_STORAGE_IDPOOL_H
#define FARPAGE_STORAGE_IDPOOL_H
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/attrs.h"
#include "base/budget.h"

struct idpool {
    uint8_t *cells;
    uint32_t cell_bytes; /* a multiple of 8 */
    uint32_t cell_count;
    struct budget *budget;       /* cell_bytes are charged when a cell is first taken, and kept */
    _Atomic uint64_t free_head;  /* count << 32 | (id + 1), 0 in the low half: none */
    _Atomic uint32_t fresh;      /* cells from here on were never taken */
};

/* False: no address space. A taken cell's first eight bytes must be accessed as
 * _Atomic uint64_t, because a thread that lost a race may still read them. */
bool idpool_init(struct idpool *pool, struct budget *budget, uint32_t cell_bytes,
                 uint32_t cell_count) FP_MUST_CHECK FP_NONNULL(1, 2);
void idpool_fini(struct idpool *pool) FP_NONNULL(1);

/* False: the budget refuses or every number is taken. A cell taken for the first time is zeros. */
bool idpool_take(struct idpool *pool, uint32_t *id) FP_MUST_CHECK FP_NONNULL(1, 2);
void idpool_give(struct idpool *pool, uint32_t id) FP_NONNULL(1);

uint64_t idpool_held_bytes(const struct idpool *pool) FP_NONNULL(1);

static inline void *idpool_cell(const struct idpool *pool, uint32_t id)
{
    return pool->cells + (uint64_t)id * pool->cell_bytes;
}

#endif
