/* SPDX-License-Identifier: BSD-3-Clause
 *
 * What must be true of a zsmalloc pool at rest, recomputed from the zspages themselves, and the
 * counts that people are shown.
 */
#include "base/check.h"
#include "storage/alloc/zsmalloc.h"

#include <string.h>

static const struct zsmalloc *zs_from(const struct zpool *pool)
{
    return (const struct zsmalloc *)pool;
}

static void check_owner(const struct zsmalloc *zs, uint32_t owner, struct zs_place place)
{
    fp_assert(cells_has(&zs->pool.cells, (struct zhandle){owner}));
    uint64_t cell = cells_load(&zs->pool.cells, owner);
    fp_assert(cell_what(cell) == ZOBJECT && cell_place(cell) == zs_place_bits(place));
}

/* Used slots have an owner whose cell points back; the others are on the free list or fresh. */
static void check_zspage(const struct zsmalloc *zs, const struct zs_class *class, uint32_t id)
{
    const struct zspage *zspage = zs_zspage(zs, id);
    fp_assert(&zs->classes[zs_class_index(zspage)] == class);
    fp_assert(zspage->used_slots <= zspage->fresh_slots && zspage->fresh_slots <= class->slots);
    unsigned used = 0, listed = 0;
    for (uint32_t slot = 0; slot < zspage->fresh_slots; slot++) {
        uint32_t owner = zs_head(zs, zspage, slot).owner;
        if (owner == 0) continue;
        used++;
        fp_assert(zs_head(zs, zspage, slot).size_bytes <= class->slot_bytes);
        check_owner(zs, owner, (struct zs_place){.zspage = id, .slot = slot});
    }
    uint32_t next = zspage->free_slot;
    while (next != 0) {
        fp_assert(next <= zspage->fresh_slots && ++listed <= class->slots);
        memcpy(&next, zs_slot_address(zs, zspage, next - 1) + ZS_OWNER_BYTES, sizeof next);
    }
    fp_assert(used == zspage->used_slots && used > 0);
    fp_assert(class->direct || used + listed == zspage->fresh_slots);
}

void zs_check(struct zpool *pool)
{
    const struct zsmalloc *zs = zs_from(pool);
    uint64_t pages = 0;
    for (unsigned i = 0; i < zs->class_count; i++) {
        struct zs_class *class = (struct zs_class *)(uintptr_t)&zs->classes[i];
        uint64_t zspages = 0, objects = 0, listed;
        lock_take(&class->lock);
        for (unsigned group = 0; group < ZS_GROUPS; group++) {
            listed = zspages;
            for (uint32_t id = class->groups[group]; id != ZS_NONE; id = zs_zspage(zs, id)->next) {
                check_zspage(zs, class, id);
                fp_assert(zs_group_of(class, zs_zspage(zs, id)->used_slots) == group);
                zspages++;
                objects += zs_zspage(zs, id)->used_slots;
            }
            fp_assert(zspages - listed == class->group_counts[group]);
        }
        fp_assert(zspages == class->zspage_count && objects == class->object_count);
        pages += zspages * class->pages;
        lock_drop(&class->lock);
    }
    fp_assert(pages == arena_held_pages(zs->pool.arena));
    arena_check(zs->pool.arena);
}

unsigned zs_class_count(const struct zpool *pool)
{
    return zs_from(pool)->class_count;
}

void zs_class_row(struct zpool *pool, unsigned index, struct zpool_class *row)
{
    struct zs_class *class = (struct zs_class *)(uintptr_t)&zs_from(pool)->classes[index];
    lock_take(&class->lock);
    *row = (struct zpool_class){
        .slot_bytes = class->slot_bytes,
        .slots_per_zspage = class->slots,
        .pages_per_zspage = class->pages,
        .object_count = class->object_count,
        .slot_count = class->zspage_count * class->slots,
        .zspage_count = class->zspage_count,
    };
    row->object_bytes = class->object_bytes;
    memcpy(row->fullness, class->group_counts, sizeof row->fullness);
    lock_drop(&class->lock);
    uint64_t free_slots = row->slot_count - row->object_count;
    row->freeable_pages = free_slots / row->slots_per_zspage * row->pages_per_zspage;
    row->header_bytes = class->direct ? 0 : row->object_count * ZS_HEAD_BYTES;
    row->free_bytes = free_slots * row->slot_bytes;
    row->rounding_bytes = row->zspage_count * row->pages_per_zspage * PAGES_BYTES -
                          row->object_bytes - row->header_bytes - row->free_bytes;
}

uint64_t zs_descriptor_bytes(const struct zpool *pool)
{
    return idpool_held_bytes(&zs_from(pool)->zspages);
}

uint64_t zs_pinned_count(const struct zpool *pool)
{
    const struct zsmalloc *zs = zs_from(pool);
    uint64_t count = 0;
    uint32_t zspages = atomic_load(&zs->zspages.fresh);
    for (uint32_t id = 0; id < zspages; id++)
        count += ~ZS_CLOSED & atomic_load_explicit(&zs_zspage(zs, id)->pins, memory_order_relaxed);
    return count;
}
