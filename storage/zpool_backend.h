/* SPDX-License-Identifier: BSD-3-Clause
 * zpool_backend - what a backend of zpool.h fills in. Seen by zpool.c and the backends only.
 *
 * Each function has the contract of the zpool_* call of its name. A backend embeds struct zpool as
 * its first member. */
#ifndef FARPAGE_STORAGE_ZPOOL_BACKEND_H
#define FARPAGE_STORAGE_ZPOOL_BACKEND_H
#include "storage/zpool.h"

struct zpool_backend {
    struct zpool_properties properties;
    enum fp_status (*create)(const struct zpool_options *options, struct zpool **pool);
    void (*destroy)(struct zpool *pool);
    enum fp_status (*alloc)(struct zpool *pool, size_t size_bytes, struct zhandle *handle);
    void (*free)(struct zpool *pool, struct zhandle handle);
    enum fp_status (*map)(struct zpool *pool, struct zhandle handle, enum zaccess access,
                          struct zmap *map);
    void (*unmap)(struct zpool *pool, const struct zmap *map);
    size_t (*cost_bytes)(const struct zpool *pool, size_t size_bytes);
    struct zpool_step (*compact)(struct zpool *pool, uint32_t moves_max); /* NULL: not movable */
    uint64_t (*freeable_pages)(struct zpool *pool);                       /* NULL: 0 */
    enum fp_status (*reclaim)(struct zpool *pool, const struct zpool_reclaimer *reclaimer);
                                                                          /* NULL: FP_INVALID */
    void (*fill)(struct zpool *pool, struct zpool_fill *fill);
    unsigned (*class_count)(const struct zpool *pool);
    void (*class_row)(struct zpool *pool, unsigned index, struct zpool_class *row);
    void (*check)(struct zpool *pool);
};

struct zpool {
    const struct zpool_backend *backend;
    struct arena *arena; /* set by zpool_create */
};

extern const struct zpool_backend zsmalloc_backend, blocks_backend, zbud_backend;

#endif
