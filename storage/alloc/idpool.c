/* SPDX-License-Identifier: BSD-3-Clause */
#include "storage/alloc/idpool.h"

#include "base/check.h"
#include "storage/alloc/pages.h"

static _Atomic uint64_t *link_of(const struct idpool *pool, uint32_t id)
{
    return (_Atomic uint64_t *)idpool_cell(pool, id);
}

bool idpool_init(struct idpool *pool, struct budget *budget, uint32_t cell_bytes,
                 uint32_t cell_count)
{
    fp_assert(cell_bytes >= 8 && cell_bytes % 8 == 0 && cell_count > 0);
    pool->cells = pages_reserve((uint64_t)cell_bytes * cell_count);
    if (pool->cells == NULL) return false;
    pool->cell_bytes = cell_bytes;
    pool->cell_count = cell_count;
    pool->budget = budget;
    atomic_init(&pool->free_head, 0);
    atomic_init(&pool->fresh, 0);
    return true;
}

void idpool_fini(struct idpool *pool)
{
    budget_return(pool->budget, BUDGET_ALLOCATOR, idpool_held_bytes(pool));
    pages_release(pool->cells, (uint64_t)pool->cell_bytes * pool->cell_count);
    pool->cells = NULL;
}

static bool pop(struct idpool *pool, uint32_t *id)
{
    uint64_t head = atomic_load(&pool->free_head);
    uint64_t next;
    do {
        if ((uint32_t)head == 0) return false;
        /* Stale where somebody else takes this cell now; then the exchange below fails. */
        uint64_t link = atomic_load(link_of(pool, (uint32_t)head - 1));
        next = ((head >> 32) + 1) << 32 | link >> 32;
    } while (!atomic_compare_exchange_weak(&pool->free_head, &head, next));
    *id = (uint32_t)head - 1;
    return true;
}

bool idpool_take(struct idpool *pool, uint32_t *id)
{
    if (pop(pool, id)) return true;
    if (!budget_charge(pool->budget, BUDGET_ALLOCATOR, pool->cell_bytes)) return false;
    uint32_t fresh = atomic_load(&pool->fresh);
    do {
        if (fresh == pool->cell_count) {
            budget_return(pool->budget, BUDGET_ALLOCATOR, pool->cell_bytes);
            return false;
        }
    } while (!atomic_compare_exchange_weak(&pool->fresh, &fresh, fresh + 1));
    *id = fresh;
    return true;
}

void idpool_give(struct idpool *pool, uint32_t id)
{
    fp_assert(id < atomic_load(&pool->fresh));
    uint64_t head = atomic_load(&pool->free_head);
    uint64_t next;
    do {
        atomic_store(link_of(pool, id), head << 32);
        next = ((head >> 32) + 1) << 32 | (id + 1);
    } while (!atomic_compare_exchange_weak(&pool->free_head, &head, next));
}

uint64_t idpool_held_bytes(const struct idpool *pool)
{
    return (uint64_t)atomic_load(&pool->fresh) * pool->cell_bytes;
}
