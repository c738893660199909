/* SPDX-License-Identifier: BSD-3-Clause */
#include "storage/alloc/cells.h"

#include "base/arith.h"
#include "base/check.h"
#include "storage/alloc/pages.h"

enum { ROW_BYTES = ZPOOL_ROW_HANDLES * sizeof(uint64_t) };
_Static_assert(ROW_BYTES % PAGES_BYTES == 0, "rows are given back in pages");

enum fp_status cells_init(struct cells *cells, struct budget *budget, uint64_t count)
{
    uint32_t singles = (uint32_t)min_u64(count, CELLS_SINGLES);
    uint32_t rows = (uint32_t)div_up_u64(singles, ZPOOL_ROW_HANDLES);
    cells->budget = budget;
    cells->row_bytes = (uint64_t)rows * ROW_BYTES;
    cells->row_cells = pages_reserve(cells->row_bytes);
    if (cells->row_cells == NULL) return FP_NO_MEMORY;
    if (!idpool_init(&cells->singles, budget, sizeof(uint64_t), singles)) goto no_singles;
    if (!idpool_init(&cells->rows, budget, sizeof(uint64_t), rows)) goto no_rows;
    return FP_OK;
no_rows:
    idpool_fini(&cells->singles);
no_singles:
    pages_release((void *)(uintptr_t)cells->row_cells, cells->row_bytes);
    return FP_NO_MEMORY;
}

void cells_fini(struct cells *cells)
{
    idpool_fini(&cells->rows);
    idpool_fini(&cells->singles);
    pages_release((void *)(uintptr_t)cells->row_cells, cells->row_bytes);
}

bool cells_take(struct cells *cells, struct zhandle *handle)
{
    uint32_t id;
    if (!idpool_take(&cells->singles, &id)) return false;
    handle->number = id + 1;
    cells_store(cells, handle->number, ZNOTHING); /* it may hold a link of the free list */
    return true;
}

void cells_give(struct cells *cells, struct zhandle handle)
{
    fp_assert(handle.number <= CELLS_SINGLES);
    idpool_give(&cells->singles, handle.number - 1);
}

bool cells_row_take(struct cells *cells, struct zhandle *first)
{
    uint32_t row;
    if (!budget_charge(cells->budget, BUDGET_SLOTS, ROW_BYTES)) return false;
    if (!idpool_take(&cells->rows, &row)) {
        budget_return(cells->budget, BUDGET_SLOTS, ROW_BYTES);
        return false;
    }
    first->number = CELLS_SINGLES + 1 + row * ZPOOL_ROW_HANDLES;
    return true;
}

void cells_row_give(struct cells *cells, struct zhandle first)
{
    uint32_t offset = first.number - CELLS_SINGLES - 1;
    fp_assert(first.number > CELLS_SINGLES && offset % ZPOOL_ROW_HANDLES == 0);
    for (uint32_t i = 0; i < ZPOOL_ROW_HANDLES; i++)
        fp_assert(cells_load(cells, first.number + i) == ZNOTHING);
    pages_discard((void *)(uintptr_t)&cells->row_cells[offset], ROW_BYTES);
    budget_return(cells->budget, BUDGET_SLOTS, ROW_BYTES);
    idpool_give(&cells->rows, offset / ZPOOL_ROW_HANDLES);
}

bool cells_has(const struct cells *cells, struct zhandle handle)
{
    if (handle.number > CELLS_SINGLES)
        return (handle.number - CELLS_SINGLES - 1) / ZPOOL_ROW_HANDLES <
               atomic_load(&cells->rows.fresh);
    return handle.number != 0 && handle.number <= atomic_load(&cells->singles.fresh);
}

uint64_t cells_held_bytes(const struct cells *cells)
{
    return idpool_held_bytes(&cells->singles) + idpool_held_bytes(&cells->rows);
}
