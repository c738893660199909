/* SPDX-License-Identifier: BSD-3-Clause */
#include "storage/alloc/zpool.h"

#include <stdlib.h>
#include <string.h>

#include "base/arith.h"
#include "base/check.h"
#include "storage/alloc/zpool_backend.h"

/* What the number of handles is reckoned with; address space only. */
enum { OBJECT_BYTES_USUAL_MIN = 16 };

static const struct zpool_backend *const backends[] = {&zsmalloc_backend, &blocks_backend,
                                                       &zbud_backend};

enum fp_status zpool_create(const char *name, const struct zpool_options *options,
                            struct zpool **out)
{
    const struct zpool_backend *backend = NULL;
    for (size_t i = 0; i < FP_COUNT_OF(backends); i++)
        if (strcmp(backends[i]->properties.name, name) == 0) backend = backends[i];
    if (backend == NULL) return FP_INVALID;
    size_t bytes = div_up_u64(backend->pool_bytes, 64) * 64;
    struct zpool *pool = aligned_alloc(64, bytes);
    if (pool == NULL) return FP_NO_MEMORY;
    memset(pool, 0, bytes);
    pool->backend = backend;
    pool->arena = options->arena;
    uint64_t cells = arena_size_pages(options->arena) * PAGES_BYTES / OBJECT_BYTES_USUAL_MIN;
    if (cells_init(&pool->cells, options->budget, cells) != FP_OK) goto no_cells;
    if (backend->create(pool, options) != FP_OK) goto no_backend;
    *out = pool;
    return FP_OK;
no_backend:
    cells_fini(&pool->cells);
no_cells:
    free(pool);
    return FP_NO_MEMORY;
}

void zpool_destroy(struct zpool **pool)
{
    if (*pool == NULL) return;
    (*pool)->backend->destroy(*pool);
    cells_fini(&(*pool)->cells);
    free(*pool);
    *pool = NULL;
}

struct arena *zpool_arena(const struct zpool *pool)
{
    return pool->arena;
}

const struct zpool_properties *zpool_properties(const struct zpool *pool)
{
    return &pool->backend->properties;
}

/* --- handles and what they name --------------------------------------------------------------- */

enum fp_status zpool_alloc(struct zpool *pool, size_t size_bytes, uint32_t note,
                           struct zhandle *out)
{
    struct zhandle handle;
    fp_assert(size_bytes > 0 && size_bytes <= pool->backend->properties.object_bytes_max);
    fp_assert(note >> ZPOOL_NOTE_BITS == 0);
    if (!cells_take(&pool->cells, &handle)) return FP_NO_MEMORY;
    enum fp_status status = pool->backend->alloc(pool, size_bytes, note, handle);
    if (status == FP_OK) *out = handle;
    else cells_give(&pool->cells, handle);
    return status;
}

enum fp_status zpool_alloc_value(struct zpool *pool, uint64_t value, struct zhandle *handle)
{
    fp_assert(value >> ZPOOL_VALUE_BITS == 0);
    if (!cells_take(&pool->cells, handle)) return FP_NO_MEMORY;
    cells_store(&pool->cells, handle->number, cell_value(value));
    return FP_OK;
}

uint64_t zpool_says(const struct zpool *pool, struct zhandle handle)
{
    if (!cells_has(&pool->cells, handle)) return 0;
    return cell_said(cells_load(&pool->cells, handle.number));
}

/* Written only where it changes something: a page that is read often costs its readers a look. */
void zpool_touch(struct zpool *pool, struct zhandle handle)
{
    uint64_t cell = cells_load(&pool->cells, handle.number);
    if (cell_has_hint(cell) && !cell_touched(cell))
        atomic_fetch_or_explicit(cells_at(&pool->cells, handle.number), CELL_TOUCHED,
                                 memory_order_relaxed);
}

void zpool_untouch(struct zpool *pool, struct zhandle handle)
{
    if (zpool_touched(pool, handle))
        atomic_fetch_and_explicit(cells_at(&pool->cells, handle.number), ~CELL_TOUCHED,
                                  memory_order_relaxed);
}

bool zpool_touched(const struct zpool *pool, struct zhandle handle)
{
    return cell_touched(cells_load(&pool->cells, handle.number));
}

static struct zname name_of(uint64_t cell)
{
    struct zname name = {.what = cell_what(cell)};
    if (name.what == ZSPILLED) return cell_spilled_name(cell);
    if (name.what == ZVALUE) name.value = cell >> CELL_WHAT_BITS;
    if (name.what == ZOBJECT) name.note = cell_note(cell);
    return name;
}

struct zname zpool_look(const struct zpool *pool, struct zhandle handle)
{
    return name_of(zpool_says(pool, handle));
}

struct zname zpool_clear(struct zpool *pool, struct zhandle handle)
{
    fp_assert(cells_has(&pool->cells, handle));
    struct zname name = zpool_look(pool, handle);
    if (name.what == ZOBJECT) name.size_bytes = pool->backend->free(pool, handle);
    else cells_store(&pool->cells, handle.number, ZNOTHING);
    return name;
}

struct zname zpool_free(struct zpool *pool, struct zhandle *handle)
{
    struct zname name = zpool_clear(pool, *handle);
    fp_assert(name.what != ZNOTHING); /* freed twice */
    cells_give(&pool->cells, *handle);
    handle->number = 0;
    return name;
}

enum fp_status zpool_handle_take(struct zpool *pool, struct zhandle *handle)
{
    return cells_take(&pool->cells, handle) ? FP_OK : FP_NO_MEMORY;
}

void zpool_handle_give(struct zpool *pool, struct zhandle *handle)
{
    fp_assert(zpool_says(pool, *handle) == ZNOTHING);
    cells_give(&pool->cells, *handle);
    handle->number = 0;
}

void zpool_move(struct zpool *pool, struct zhandle from, struct zhandle to)
{
    uint64_t cell = cells_load(&pool->cells, from.number);
    fp_assert(zpool_says(pool, to) == ZNOTHING);
    if (cell_what(cell) == ZOBJECT) {
        pool->backend->rename(pool, from, to);
    } else {
        cells_store(&pool->cells, to.number, cell);
        cells_store(&pool->cells, from.number, ZNOTHING);
    }
}

struct zname zpool_replace(struct zpool *pool, struct zhandle handle, struct zhandle *from)
{
    struct zname name = zpool_clear(pool, handle);
    zpool_move(pool, *from, handle);
    zpool_handle_give(pool, from);
    return name;
}

struct zname zpool_spill(struct zpool *pool, struct zhandle handle, uint64_t place)
{
    bool touched = zpool_look(pool, handle).what == ZSPILLED && zpool_touched(pool, handle);
    struct zname name = zpool_clear(pool, handle);
    fp_assert(name.what >= ZOBJECT && place >> ZPOOL_SPILLED_PLACE_BITS == 0);
    uint64_t cell = cell_spilled(name.note, name.size_bytes, place);
    cells_store(&pool->cells, handle.number, touched ? cell | CELL_TOUCHED : cell);
    return name;
}

enum fp_status zpool_row_take(struct zpool *pool, struct zhandle *first)
{
    return cells_row_take(&pool->cells, first) ? FP_OK : FP_NO_MEMORY;
}

void zpool_row_give(struct zpool *pool, struct zhandle *first)
{
    cells_row_give(&pool->cells, *first);
    first->number = 0;
}

/* --- the backend's ---------------------------------------------------------------------------- */

enum fp_status zpool_map(struct zpool *pool, struct zhandle handle, enum zaccess access,
                         struct zmap *map)
{
    if (!cells_has(&pool->cells, handle)) return FP_CORRUPT;
    return pool->backend->map(pool, handle, access, map);
}

void zpool_unmap(struct zpool *pool, struct zmap *map)
{
    fp_assert(map->bytes != NULL);
    pool->backend->unmap(pool, map);
    map->bytes = NULL;
}

size_t zpool_cost_bytes(const struct zpool *pool, size_t size_bytes)
{
    return pool->backend->cost_bytes(pool, size_bytes);
}

struct zpool_step zpool_compact(struct zpool *pool, uint32_t moves_max)
{
    if (pool->backend->compact == NULL) return (struct zpool_step){.done = true};
    return pool->backend->compact(pool, moves_max);
}

uint64_t zpool_freeable_pages(struct zpool *pool)
{
    return pool->backend->freeable_pages == NULL ? 0 : pool->backend->freeable_pages(pool);
}

enum fp_status zpool_reclaim(struct zpool *pool, const struct zpool_reclaimer *reclaimer)
{
    if (pool->backend->reclaim == NULL) return FP_INVALID;
    fp_assert(reclaimer->pages_max > 0);
    return pool->backend->reclaim(pool, reclaimer);
}

struct zpool_fill zpool_fill(struct zpool *pool)
{
    struct zpool_fill fill = {
        .table_bytes = cells_held_bytes(&pool->cells) + pool->backend->descriptor_bytes(pool),
        .pinned_count = pool->backend->pinned_count(pool)};
    for (unsigned i = 0; i < zpool_class_count(pool); i++) {
        struct zpool_class row;
        zpool_class(pool, i, &row);
        fill.object_count += row.object_count;
        fill.zspage_count += row.zspage_count;
        fill.held_pages += row.zspage_count * row.pages_per_zspage;
        fill.object_bytes += row.object_bytes;
        fill.rounding_bytes += row.rounding_bytes;
        fill.header_bytes += row.header_bytes;
        fill.free_bytes += row.free_bytes;
    }
    return fill;
}

unsigned zpool_class_count(const struct zpool *pool)
{
    return pool->backend->class_count(pool);
}

void zpool_class(struct zpool *pool, unsigned index, struct zpool_class *row)
{
    fp_assert(index < zpool_class_count(pool));
    pool->backend->class_row(pool, index, row);
}

void zpool_check(struct zpool *pool)
{
    pool->backend->check(pool);
}
