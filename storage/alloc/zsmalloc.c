/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Life of a zspage:  none -(its class has no free slot)-> new -(slots taken, freed)-> partly filled
 *                    -(last slot taken)-> full -(a slot freed)-> partly filled
 *                    -(last object freed, or moved away)-> none, its pages back at the OS
 *
 * A new object goes to the fullest zspage that has room, so that the sparse ones empty themselves.
 * Where that is too slow, zsmalloc_compact.c moves the objects of the sparsest ones.
 */
#include "storage/alloc/zsmalloc.h"

#include <sched.h>
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
    return arena_address(zs->pool.arena, run) + (uint64_t)slot * class->slot_bytes;
}

static unsigned class_of_size(const struct zsmalloc *zs, size_t size_bytes)
{
    return zs->class_of_size[(size_bytes + ZS_SIZE_STEP - 1) / ZS_SIZE_STEP];
}

static void list_add_locked(struct zsmalloc *zs, struct zs_class *class, uint32_t id)
{
    struct zspage *zspage = zs_zspage(zs, id);
    unsigned group = zs_group_of(class, zspage->used_slots);
    uint32_t *head = &class->groups[group];
    class->group_counts[group]++;
    zspage->prev = ZS_NONE;
    zspage->next = *head;
    if (*head != ZS_NONE) zs_zspage(zs, *head)->prev = id;
    *head = id;
}

static void list_remove_locked(struct zsmalloc *zs, struct zs_class *class, uint32_t id)
{
    struct zspage *zspage = zs_zspage(zs, id);
    unsigned group = zs_group_of(class, zspage->used_slots);
    class->group_counts[group]--;
    if (zspage->prev == ZS_NONE)
        class->groups[group] = zspage->next;
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
    enum fp_status status = arena_take(zs->pool.arena, class->pages, &run);
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

struct zs_head zs_head(const struct zsmalloc *zs, const struct zspage *zspage, uint32_t slot)
{
    if (zs->classes[zs_class_index(zspage)].direct)
        return (struct zs_head){.owner = zspage->direct_owner,
                                .size_bytes = zspage->direct_size_less_one + 1u};
    uint16_t size_less_one;
    const uint8_t *at = zs_slot_address(zs, zspage, slot);
    memcpy(&size_less_one, at + ZS_OWNER_BYTES, sizeof size_less_one);
    return (struct zs_head){.owner = load_u32(at), .size_bytes = size_less_one + 1u};
}

static void set_owner(struct zsmalloc *zs, struct zspage *zspage, uint32_t slot, uint32_t owner)
{
    if (zs->classes[zs_class_index(zspage)].direct) zspage->direct_owner = owner;
    else store_u32(zs_slot_address(zs, zspage, slot), owner);
}

static uint32_t slot_take_locked(struct zsmalloc *zs, struct zspage *zspage, struct zs_head head)
{
    uint16_t size_less_one = (uint16_t)(head.size_bytes - 1);
    if (zs->classes[zs_class_index(zspage)].direct) {
        zspage->direct_owner = head.owner;
        zspage->direct_size_less_one = size_less_one;
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
    uint8_t *at = zs_slot_address(zs, zspage, slot);
    store_u32(at, head.owner);
    memcpy(at + ZS_OWNER_BYTES, &size_less_one, sizeof size_less_one);
    return slot;
}

static void slot_give_locked(struct zsmalloc *zs, struct zspage *zspage, struct zs_place place,
                             uint32_t owner)
{
    fp_assert(zs_head(zs, zspage, place.slot).owner == owner);
    set_owner(zs, zspage, place.slot, 0);
    if (zs->classes[zs_class_index(zspage)].direct) return;
    store_u32(zs_slot_address(zs, zspage, place.slot) + ZS_OWNER_BYTES, zspage->free_slot);
    zspage->free_slot = (uint16_t)(place.slot + 1);
}

struct zs_place zs_place_locked(struct zsmalloc *zs, struct zs_class *class, uint32_t id,
                                struct zs_head head)
{
    lock_assert_held(&class->lock);
    struct zspage *zspage = zs_zspage(zs, id);
    struct zs_place place = {.zspage = id, .slot = slot_take_locked(zs, zspage, head)};
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
    arena_give(zs->pool.arena, class->pages, run);
    idpool_give(&zs->zspages, id);
}

static enum fp_status zs_alloc(struct zpool *pool, size_t size_bytes, uint32_t note,
                               struct zhandle handle)
{
    struct zsmalloc *zs = zs_from(pool);
    struct zs_class *class = &zs->classes[class_of_size(zs, size_bytes)];
    struct zs_head head = {.owner = handle.number, .size_bytes = (uint32_t)size_bytes};
    uint32_t zspage;
    lock_take(&class->lock);
    enum fp_status status = find_room_locked(zs, class, &zspage);
    if (status == FP_OK) {
        struct zs_place place = zs_place_locked(zs, class, zspage, head);
        class->object_count++;
        class->object_bytes += size_bytes;
        /* Within the lock: compaction must not meet an object whose cell does not say so. */
        cells_store(&pool->cells, handle.number, cell_object(note, zs_place_bits(place)));
    }
    lock_drop(&class->lock);
    return status;
}

/* Locks the class of the handle's object, which may be moved until then: so the cell is looked at
 * again. Returns the cell. */
static uint64_t lock_object(struct zsmalloc *zs, struct zhandle handle, struct zs_class **class)
{
    for (;;) {
        uint64_t cell = cells_load(&zs->pool.cells, handle.number);
        fp_assert(cell_what(cell) == ZOBJECT);
        struct zs_place place = zs_place_of(cell);
        fp_assert(place.zspage < atomic_load(&zs->zspages.fresh)); /* else damaged */
        const struct zspage *zspage = zs_zspage(zs, place.zspage);
        *class = &zs->classes[zs_class_index(zspage)];
        lock_take(&(*class)->lock);
        /* The zspage may have gone and come back in another class, though not with this object:
         * its size is of one class. Still the lock must be the right one. */
        if (&zs->classes[zs_class_index(zspage)] == *class &&
            cells_load(&zs->pool.cells, handle.number) == cell)
            return cell;
        lock_drop(&(*class)->lock);
    }
}

static uint32_t zs_free(struct zpool *pool, struct zhandle handle)
{
    struct zsmalloc *zs = zs_from(pool);
    struct zs_class *class;
    struct zs_place place = zs_place_of(lock_object(zs, handle, &class));
    struct zs_head head = zs_head(zs, zs_zspage(zs, place.zspage), place.slot);
    bool empty = zs_remove_locked(zs, class, place, handle.number);
    class->object_count--;
    class->object_bytes -= head.size_bytes;
    cells_store(&pool->cells, handle.number, ZNOTHING);
    lock_drop(&class->lock);
    if (empty) zs_give_back(zs, class, place.zspage);
    return head.size_bytes;
}

static void zs_rename(struct zpool *pool, struct zhandle from, struct zhandle to)
{
    struct zsmalloc *zs = zs_from(pool);
    struct zs_class *class;
    uint64_t cell = lock_object(zs, from, &class);
    struct zs_place place = zs_place_of(cell);
    set_owner(zs, zs_zspage(zs, place.zspage), place.slot, to.number);
    cells_store(&pool->cells, to.number, cell);
    cells_store(&pool->cells, from.number, ZNOTHING);
    lock_drop(&class->lock);
}

/* Pins the zspage that the handle's object is in, and says what the cell did: NULL where it names
 * none. A zspage that is closed opens within microseconds; an object that was moved meanwhile is
 * followed. */
static struct zspage *pin(const struct zsmalloc *zs, struct zhandle handle, uint64_t *cell)
{
    for (;;) {
        *cell = cells_load(&zs->pool.cells, handle.number);
        struct zs_place place = zs_place_of(*cell);
        if (cell_what(*cell) != ZOBJECT || place.zspage >= atomic_load(&zs->zspages.fresh))
            return NULL;
        struct zspage *zspage = zs_zspage(zs, place.zspage);
        uint32_t pins = atomic_fetch_add_explicit(&zspage->pins, 1, memory_order_acq_rel);
        bool open = (pins & ZS_CLOSED) == 0;
        if (open && cells_load(&zs->pool.cells, handle.number) == *cell) return zspage;
        atomic_fetch_sub_explicit(&zspage->pins, 1, memory_order_release);
        if (!open) sched_yield();
    }
}

static enum fp_status zs_map(struct zpool *pool, struct zhandle handle, enum zaccess access,
                             struct zmap *map)
{
    (void)access; /* both are plain memory here */
    struct zsmalloc *zs = zs_from(pool);
    uint64_t cell;
    struct zspage *zspage = pin(zs, handle, &cell);
    if (zspage == NULL) return FP_CORRUPT;
    struct zs_place place = zs_place_of(cell);
    const struct zs_class *class = &zs->classes[zs_class_index(zspage)];
    struct zs_head head = {0};
    /* Only the slot knows whose it is: a damaged cell may lead to somebody else's. */
    if (place.slot < class->slots) head = zs_head(zs, zspage, place.slot);
    size_t head_bytes = class->direct ? 0 : ZS_HEAD_BYTES;
    if (head.owner != handle.number || head.size_bytes + head_bytes > class->slot_bytes) {
        atomic_fetch_sub_explicit(&zspage->pins, 1, memory_order_release);
        return FP_CORRUPT;
    }
    *map = (struct zmap){.bytes = zs_slot_address(zs, zspage, place.slot) + head_bytes,
                         .size_bytes = head.size_bytes,
                         .note = cell_note(cell),
                         .pinned = place.zspage};
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
    idpool_fini(&zs->zspages);
}

static enum fp_status zs_create(struct zpool *pool, const struct zpool_options *options)
{
    struct zsmalloc *zs = zs_from(pool);
    uint64_t zspages = min_u64(arena_size_pages(pool->arena), ZS_ZSPAGES_MAX);
    if (!idpool_init(&zs->zspages, options->budget, sizeof(struct zspage), (uint32_t)zspages))
        return FP_NO_MEMORY;
    zs_classes_init(zs);
    return FP_OK;
}

_Static_assert(sizeof(struct zspage) % 8 == 0, "an idpool cell");
_Static_assert(ZS_SLOTS_END <= 1 << 11, "a slot has eleven bits");
_Static_assert(ZS_ZSPAGES_MAX <= 1ll << (CELL_PLACE_BITS - 11), "a zspage's number fits");

const struct zpool_backend zsmalloc_backend = {
    .properties = {.name = "zsmalloc",
                   .object_bytes_max = ZPOOL_OBJECT_BYTES_MAX,
                   .sleep_mapped = true,
                   .movable = true},
    .pool_bytes = sizeof(struct zsmalloc),
    .create = zs_create,
    .destroy = zs_destroy,
    .alloc = zs_alloc,
    .free = zs_free,
    .rename = zs_rename,
    .map = zs_map,
    .unmap = zs_unmap,
    .cost_bytes = zs_cost_bytes,
    .compact = zs_compact,
    .freeable_pages = zs_freeable_pages,
    .descriptor_bytes = zs_descriptor_bytes,
    .pinned_count = zs_pinned_count,
    .class_count = zs_class_count,
    .class_row = zs_class_row,
    .check = zs_check,
};
