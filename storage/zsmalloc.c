/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Life of a zspage:  none -(its class has no free slot)-> new -(slots taken, freed)-> partly filled
 *                    -(last slot taken)-> full -(a slot freed)-> partly filled
 *                    -(last object freed, or moved away)-> none, its pages back at the OS
 *
 * A new object goes to the fullest zspage that has room, so that the sparse ones empty themselves.
 * Where that is too slow, zsmalloc_compact.c moves the objects of the sparsest ones.
 */
#include "storage/zsmalloc.h"

#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include "base/arith.h"
#include "base/check.h"

static struct zsmalloc *zs_from(const struct zpool *pool)
{
    return (struct zsmalloc *)(uintptr_t)pool;
}

struct zspage *zs_zspage(const struct zsmalloc *zs, uint32_t id)
{
    return idpool_cell(&zs->zspages, id);
}

uint8_t *zs_slot_address(const struct zsmalloc *zs, const struct zspage *zspage, uint32_t slot)
{
    const struct zs_class *class = &zs->classes[zs_class_index(zspage)];
    struct page_run run = {.first_page = zspage->first_page};
    return arena_address(zs->arena, run) + (uint64_t)slot * class->slot_bytes;
}

static unsigned class_of_size(const struct zsmalloc *zs, size_t size_bytes)
{
    return zs->class_of_size[(size_bytes + ZS_SIZE_STEP - 1) / ZS_SIZE_STEP];
}

static void list_add_locked(struct zsmalloc *zs, struct zs_class *class, uint32_t id)
{
    struct zspage *zspage = zs_zspage(zs, id);
    uint32_t *head = &class->groups[zs_group_of(class, zspage->used_slots)];
    zspage->prev = ZS_NONE;
    zspage->next = *head;
    if (*head != ZS_NONE) zs_zspage(zs, *head)->prev = id;
    *head = id;
}

static void list_remove_locked(struct zsmalloc *zs, struct zs_class *class, uint32_t id)
{
    struct zspage *zspage = zs_zspage(zs, id);
    if (zspage->prev == ZS_NONE)
        class->groups[zs_group_of(class, zspage->used_slots)] = zspage->next;
    else
        zs_zspage(zs, zspage->prev)->next = zspage->next;
    if (zspage->next != ZS_NONE) zs_zspage(zs, zspage->next)->prev = zspage->prev;
}

/* Changes the count of used slots, and the list with it where the group changes. */
static void set_used_locked(struct zsmalloc *zs, struct zs_class *class, uint32_t id, unsigned used)
{
    struct zspage *zspage = zs_zspage(zs, id);
    if (zs_group_of(class, used) == zs_group_of(class, zspage->used_slots)) {
        zspage->used_slots = (uint16_t)used;
        return;
    }
    list_remove_locked(zs, class, id);
    zspage->used_slots = (uint16_t)used;
    list_add_locked(zs, class, id);
}

static enum fp_status zspage_create_locked(struct zsmalloc *zs, struct zs_class *class,
                                           uint32_t *id)
{
    struct page_run run;
    if (!idpool_take(&zs->zspages, id)) return FP_NO_MEMORY;
    enum fp_status status = arena_take(zs->arena, class->pages, &run);
    if (status != FP_OK) {
        idpool_give(&zs->zspages, *id);
        return status;
    }
    struct zspage *zspage = zs_zspage(zs, *id);
    zspage->first_page = run.first_page;
    atomic_store_explicit(&zspage->class_index, (uint16_t)(class - zs->classes),
                          memory_order_relaxed);
    zspage->used_slots = zspage->fresh_slots = zspage->free_slot = 0;
    zspage->direct_owner = 0;
    class->zspage_count++;
    list_add_locked(zs, class, *id);
    return FP_OK;
}

/* The fullest zspage with a free slot, or a new one. */
static enum fp_status find_room_locked(struct zsmalloc *zs, struct zs_class *class, uint32_t *id)
{
    for (unsigned group = ZS_GROUPS - 1; group-- > 0;) {
        *id = class->groups[group];
        if (*id != ZS_NONE) return FP_OK;
    }
    return zspage_create_locked(zs, class, id);
}

static uint32_t load_u32(const uint8_t *at)
{
    uint32_t value;
    memcpy(&value, at, sizeof value);
    return value;
}

static void store_u32(uint8_t *at, uint32_t value)
{
    memcpy(at, &value, sizeof value);
}

uint32_t zs_slot_owner(const struct zsmalloc *zs, const struct zspage *zspage, uint32_t slot)
{
    if (zs->classes[zs_class_index(zspage)].direct) return zspage->direct_owner;
    return load_u32(zs_slot_address(zs, zspage, slot));
}

static uint32_t slot_take_locked(struct zsmalloc *zs, struct zspage *zspage, uint32_t owner)
{
    if (zs->classes[zs_class_index(zspage)].direct) {
        zspage->direct_owner = owner;
        zspage->fresh_slots = 1;
        return 0;
    }
    uint32_t slot;
    if (zspage->free_slot != 0) {
        slot = zspage->free_slot - 1u;
        zspage->free_slot = (uint16_t)load_u32(zs_slot_address(zs, zspage, slot) + ZS_OWNER_BYTES);
    } else {
        slot = zspage->fresh_slots++;
    }
    store_u32(zs_slot_address(zs, zspage, slot), owner);
    return slot;
}

static void slot_give_locked(struct zsmalloc *zs, struct zspage *zspage, struct zs_place place,
                             uint32_t owner)
{
    if (zs->classes[zs_class_index(zspage)].direct) {
        fp_assert(zspage->direct_owner == owner);
        zspage->direct_owner = 0;
        return;
    }
    uint8_t *at = zs_slot_address(zs, zspage, place.slot);
    fp_assert(load_u32(at) == owner);
    store_u32(at, 0);
    store_u32(at + ZS_OWNER_BYTES, zspage->free_slot);
    zspage->free_slot = (uint16_t)(place.slot + 1);
}

struct zs_place zs_place_locked(struct zsmalloc *zs, struct zs_class *class, uint32_t id,
                                uint32_t handle)
{
    lock_assert_held(&class->lock);
    struct zspage *zspage = zs_zspage(zs, id);
    struct zs_place place = {.zspage = id, .slot = slot_take_locked(zs, zspage, handle)};
    set_used_locked(zs, class, id, zspage->used_slots + 1u);
    return place;
}

bool zs_remove_locked(struct zsmalloc *zs, struct zs_class *class, struct zs_place place,
                      uint32_t handle)
{
    lock_assert_held(&class->lock);
    struct zspage *zspage = zs_zspage(zs, place.zspage);
    slot_give_locked(zs, zspage, place, handle);
    set_used_locked(zs, class, place.zspage, zspage->used_slots - 1u);
    if (zspage->used_slots > 0) return false;
    list_remove_locked(zs, class, place.zspage);
    class->zspage_count--;
    return true;
}

/* On no list: nobody else can find it. */
void zs_give_back(struct zsmalloc *zs, const struct zs_class *class, uint32_t id)
{
    struct page_run run = {.first_page = zs_zspage(zs, id)->first_page};
    arena_give(zs->arena, class->pages, run);
    idpool_give(&zs->zspages, id);
}

static enum fp_status zs_alloc(struct zpool *pool, size_t size_bytes, struct zhandle *handle)
{
    struct zsmalloc *zs = zs_from(pool);
    struct zs_class *class = &zs->classes[class_of_size(zs, size_bytes)];
    uint32_t cell_id, zspage;
    if (!idpool_take(&zs->cells, &cell_id)) return FP_NO_MEMORY;

    lock_take(&class->lock);
    enum fp_status status = find_room_locked(zs, class, &zspage);
    if (status == FP_OK) {
        struct zs_place place = zs_place_locked(zs, class, zspage, cell_id + 1);
        class->object_count++;
        /* Within the lock: compaction must not meet an object whose cell does not say so. */
        atomic_store_explicit(zs_cell_of(zs, cell_id + 1), zs_cell(place), memory_order_release);
    }
    lock_drop(&class->lock);

    if (status != FP_OK) {
        idpool_give(&zs->cells, cell_id);
        return status;
    }
    handle->bits = (uint64_t)cell_id + 1;
    return FP_OK;
}

/* True: the object is gone. False: it was moved before its class was locked; look again. */
static bool free_at(struct zsmalloc *zs, uint32_t handle, uint64_t cell)
{
    struct zs_place place = zs_place(cell);
    struct zs_class *class = &zs->classes[zs_class_index(zs_zspage(zs, place.zspage))];
    bool empty = false;
    lock_take(&class->lock);
    bool same = atomic_load_explicit(zs_cell_of(zs, handle), memory_order_acquire) == cell;
    if (same) {
        empty = zs_remove_locked(zs, class, place, handle);
        class->object_count--;
    }
    lock_drop(&class->lock);
    if (empty) zs_give_back(zs, class, place.zspage);
    return same;
}

static void zs_free(struct zpool *pool, struct zhandle handle)
{
    struct zsmalloc *zs = zs_from(pool);
    uint32_t number = (uint32_t)handle.bits;
    uint64_t cell;
    do {
        cell = atomic_load_explicit(zs_cell_of(zs, number), memory_order_acquire);
        fp_assert((cell & ZS_LIVE) != 0); /* freed twice */
    } while (!free_at(zs, number, cell));
    idpool_give(&zs->cells, number - 1);
}

/* Pins the zspage that the handle's object is in: NULL where the cell names none. A zspage that is
 * closed opens within microseconds; an object that was moved meanwhile is followed. */
static struct zspage *pin(const struct zsmalloc *zs, uint32_t handle, struct zs_place *place)
{
    const _Atomic uint64_t *cell = zs_cell_of(zs, handle);
    for (;;) {
        uint64_t before = atomic_load_explicit(cell, memory_order_acquire);
        *place = zs_place(before);
        if ((before & ZS_LIVE) == 0 || place->zspage >= atomic_load(&zs->zspages.fresh))
            return NULL;
        struct zspage *zspage = zs_zspage(zs, place->zspage);
        uint32_t pins = atomic_fetch_add_explicit(&zspage->pins, 1, memory_order_acq_rel);
        bool open = (pins & ZS_CLOSED) == 0;
        if (open && atomic_load_explicit(cell, memory_order_acquire) == before) return zspage;
        atomic_fetch_sub_explicit(&zspage->pins, 1, memory_order_release);
        if (!open) sched_yield();
    }
}

static enum fp_status zs_map(struct zpool *pool, struct zhandle handle, enum zaccess access,
                             struct zmap *map)
{
    (void)access; /* both are plain memory here */
    struct zsmalloc *zs = zs_from(pool);
    if (handle.bits == 0 || handle.bits > atomic_load(&zs->cells.fresh)) return FP_CORRUPT;
    struct zs_place place;
    struct zspage *zspage = pin(zs, (uint32_t)handle.bits, &place);
    if (zspage == NULL) return FP_CORRUPT;
    const struct zs_class *class = &zs->classes[zs_class_index(zspage)];
    /* Only the slot knows whose it is: a damaged cell may lead to somebody else's. */
    if (place.slot >= class->slots || zs_slot_owner(zs, zspage, place.slot) != handle.bits) {
        atomic_fetch_sub_explicit(&zspage->pins, 1, memory_order_release);
        return FP_CORRUPT;
    }
    size_t owner_bytes = class->direct ? 0 : ZS_OWNER_BYTES;
    map->bytes = zs_slot_address(zs, zspage, place.slot) + owner_bytes;
    map->capacity_bytes = class->slot_bytes - owner_bytes;
    map->pinned = place.zspage;
    return FP_OK;
}

static void zs_unmap(struct zpool *pool, const struct zmap *map)
{
    struct zspage *zspage = zs_zspage(zs_from(pool), map->pinned);
    fp_assert(atomic_fetch_sub_explicit(&zspage->pins, 1, memory_order_release) > 0);
}

static size_t zs_cost_bytes(const struct zpool *pool, size_t size_bytes)
{
    const struct zsmalloc *zs = zs_from(pool);
    const struct zs_class *class = &zs->classes[class_of_size(zs, size_bytes)];
    return (size_t)class->pages * PAGES_BYTES / class->slots;
}

static void zs_destroy(struct zpool *pool)
{
    struct zsmalloc *zs = zs_from(pool);
    for (unsigned i = 0; i < zs->class_count; i++) fp_assert(zs->classes[i].object_count == 0);
    zs_classes_fini(zs);
    idpool_fini(&zs->cells);
    idpool_fini(&zs->zspages);
    free(zs);
}

static enum fp_status zs_create(const struct zpool_options *options, struct zpool **pool)
{
    struct zsmalloc *zs = aligned_alloc(64, (sizeof *zs + 63) / 64 * 64);
    if (zs == NULL) return FP_NO_MEMORY;
    memset(zs, 0, sizeof *zs);
    zs->pool.backend = &zsmalloc_backend;
    zs->arena = options->arena;
    uint64_t zspages = min_u64(arena_size_pages(zs->arena), UINT32_MAX - 1);
    uint64_t cells = min_u64(zspages * PAGES_BYTES / ZS_SLOT_BYTES_MIN, UINT32_MAX - 1);
    if (!idpool_init(&zs->cells, options->budget, sizeof(uint64_t), (uint32_t)cells)) goto no_cells;
    if (!idpool_init(&zs->zspages, options->budget, sizeof(struct zspage), (uint32_t)zspages))
        goto no_zspages;
    zs_classes_init(zs);
    *pool = &zs->pool;
    return FP_OK;
no_zspages:
    idpool_fini(&zs->cells);
no_cells:
    free(zs);
    return FP_NO_MEMORY;
}

_Static_assert(sizeof(struct zspage) % 8 == 0, "an idpool cell");

const struct zpool_backend zsmalloc_backend = {
    .properties = {.name = "zsmalloc",
                   .object_bytes_max = ZPOOL_OBJECT_BYTES_MAX,
                   .sleep_mapped = true,
                   .movable = true},
    .create = zs_create,
    .destroy = zs_destroy,
    .alloc = zs_alloc,
    .free = zs_free,
    .map = zs_map,
    .unmap = zs_unmap,
    .cost_bytes = zs_cost_bytes,
    .compact = zs_compact,
    .freeable_pages = zs_freeable_pages,
    .fill = zs_fill,
    .class_count = zs_class_count,
    .class_row = zs_class_row,
    .check = zs_check,
};
