/* SPDX-License-Identifier: BSD-3-Clause */
#include "storage/zpool.h"

#include <string.h>

#include "base/check.h"
#include "storage/zpool_backend.h"

static const struct zpool_backend *const backends[] = {&zsmalloc_backend, &blocks_backend,
                                                       &zbud_backend};

enum fp_status zpool_create(const char *name, const struct zpool_options *options,
                            struct zpool **pool)
{
    for (size_t i = 0; i < FP_COUNT_OF(backends); i++)
        if (strcmp(backends[i]->properties.name, name) == 0) {
            enum fp_status status = backends[i]->create(options, pool);
            if (status == FP_OK) (*pool)->arena = options->arena;
            return status;
        }
    return FP_INVALID;
}

void zpool_destroy(struct zpool **pool)
{
    if (*pool == NULL) return;
    (*pool)->backend->destroy(*pool);
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

enum fp_status zpool_alloc(struct zpool *pool, size_t size_bytes, struct zhandle *handle)
{
    fp_assert(size_bytes > 0 && size_bytes <= pool->backend->properties.object_bytes_max);
    return pool->backend->alloc(pool, size_bytes, handle);
}

void zpool_free(struct zpool *pool, struct zhandle *handle)
{
    fp_assert(handle->bits != 0);
    pool->backend->free(pool, *handle);
    handle->bits = 0;
}

enum fp_status zpool_map(struct zpool *pool, struct zhandle handle, enum zaccess access,
                         struct zmap *map)
{
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
    struct zpool_fill fill;
    pool->backend->fill(pool, &fill);
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
