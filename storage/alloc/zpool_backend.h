/* SPDX-License-Identifier: BSD-3-Clause
 * zpool_backend - what a backend of zpool.h fills in. Seen by zpool.c and the backends only.
 *
 * Each function has the contract of the zpool_* call of its name, or the one beside it. A backend
 * embeds struct zpool as its first member; zpool.c sets that up before create and owns handles.
 */
#ifndef FARPAGE_STORAGE_ZPOOL_BACKEND_H
#define FARPAGE_STORAGE_ZPOOL_BACKEND_H
#include "storage/alloc/cells.h"
#include "storage/alloc/zpool.h"

struct zpool {
    const struct zpool_backend *backend;
    struct arena *arena;
    struct cells cells;
};

struct zpool_backend {
    struct zpool_properties properties;
    size_t pool_bytes; /* of the struct that embeds struct zpool; it is zeros before create */
    enum fp_status (*create)(struct zpool *pool, const struct zpool_options *options);
    void (*destroy)(struct zpool *pool); /* frees what create made, not the pool */
    /* Places an object and writes the handle's cell, which names nothing yet. */
    enum fp_status (*alloc)(struct zpool *pool, size_t size_bytes, uint32_t note,
                            struct zhandle handle);
    /* Takes the object away and writes ZNOTHING to the cell. Returns the object's size. */
    uint32_t (*free)(struct zpool *pool, struct zhandle handle);
    /* Makes the object of `from` that of `to`, which names nothing; writes both cells. */
    void (*rename)(struct zpool *pool, struct zhandle from, struct zhandle to);
    /* The handle is one that was given out. */
    enum fp_status (*map)(struct zpool *pool, struct zhandle handle, enum zaccess access,
                          struct zmap *map);
    void (*unmap)(struct zpool *pool, const struct zmap *map);
    size_t (*cost_bytes)(const struct zpool *pool, size_t size_bytes);
    struct zpool_step (*compact)(struct zpool *pool, uint32_t moves_max); /* NULL: not movable */
    uint64_t (*freeable_pages)(struct zpool *pool);                       /* NULL: 0 */
    enum fp_status (*reclaim)(struct zpool *pool, const struct zpool_reclaimer *reclaimer);
                                                                          /* NULL: FP_INVALID */
    uint64_t (*descriptor_bytes)(const struct zpool *pool);
    uint64_t (*pinned_count)(const struct zpool *pool); /* walks the descriptors */
    unsigned (*class_count)(const struct zpool *pool);
    void (*class_row)(struct zpool *pool, unsigned index, struct zpool_class *row);
    void (*check)(struct zpool *pool);
};

extern const struct zpool_backend zsmalloc_backend, blocks_backend, zbud_backend;

#endif
