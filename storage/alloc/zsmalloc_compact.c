/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Empties the sparsest zspage of a class into the fullest ones that have room, so that its pages go
 * back to the OS. The class's lock is held for a few moves at a time; the zspage that is being
 * emptied is closed meanwhile, so a map that finds it closed yields and follows its object. What is
 * pinned is walked past: only what is being emptied must not be pinned, its objects' new home may.
 *
 * It always ends well: where the free slots of a class add up to a zspage, all the objects of any
 * one zspage fit into the others. An object with a zspage of its own never moves.
 */
#include <string.h>

#include "base/check.h"
#include "storage/alloc/zsmalloc.h"

enum {
    MOVES_PER_LOCK = 8,
    MOVED_BYTES_PER_LOCK = 32 << 10, /* the same for large ones */
    SOURCES_MAX = 256,               /* pinned zspages walked past in one look */
};

static struct zsmalloc *zs_from(struct zpool *pool)
{
    return (struct zsmalloc *)pool;
}

/* Whole zspages that the free slots of a class add up to. */
static uint64_t freeable_zspages(const struct zs_class *class)
{
    return (class->zspage_count * class->slots - class->object_count) / class->slots;
}

uint64_t zs_freeable_pages(struct zpool *pool)
{
    struct zsmalloc *zs = zs_from(pool);
    uint64_t pages = 0;
    for (unsigned i = 0; i < zs->class_count; i++) {
        struct zs_class *class = &zs->classes[i];
        lock_take(&class->lock);
        pages += freeable_zspages(class) * class->pages;
        lock_drop(&class->lock);
    }
    return pages;
}

static bool zspage_close(struct zspage *zspage)
{
    uint32_t none = 0;
    return atomic_compare_exchange_strong_explicit(&zspage->pins, &none, ZS_CLOSED,
                                                   memory_order_acquire, memory_order_relaxed);
}

static void zspage_open(struct zspage *zspage)
{
    /* Others may have counted themselves in and be about to count themselves out again. */
    atomic_fetch_and_explicit(&zspage->pins, ~ZS_CLOSED, memory_order_release);
}

/* The sparsest zspage that nobody has pinned, closed; ZS_NONE. A full one too, where all that is
 * free is in pinned ones: that is where its objects go. */
static uint32_t take_source_locked(struct zsmalloc *zs, struct zs_class *class,
                                   struct zpool_step *step)
{
    unsigned looked = 0;
    for (unsigned group = 0; group < ZS_GROUPS; group++) {
        for (uint32_t id = class->groups[group]; id != ZS_NONE; id = zs_zspage(zs, id)->next) {
            if (zspage_close(zs_zspage(zs, id))) return id;
            step->skipped_pinned_count += zs_zspage(zs, id)->used_slots;
            if (++looked == SOURCES_MAX) return ZS_NONE;
        }
    }
    return ZS_NONE;
}

/* The fullest zspage with room that is not the source; ZS_NONE. */
static uint32_t find_target_locked(struct zsmalloc *zs, struct zs_class *class, uint32_t source)
{
    for (unsigned group = ZS_GROUPS - 1; group-- > 0;) {
        uint32_t id = class->groups[group];
        if (id == source) id = zs_zspage(zs, id)->next;
        if (id != ZS_NONE) return id;
    }
    return ZS_NONE;
}

static void move_locked(struct zsmalloc *zs, struct zs_class *class, struct zs_place from,
                        uint32_t target)
{
    uint8_t *old = zs_slot_address(zs, zs_zspage(zs, from.zspage), from.slot);
    struct zs_head head = zs_head(zs, zs_zspage(zs, from.zspage), from.slot);
    struct zs_place to = zs_place_locked(zs, class, target, head);
    uint8_t *new = zs_slot_address(zs, zs_zspage(zs, to.zspage), to.slot);
    memcpy(new + ZS_HEAD_BYTES, old + ZS_HEAD_BYTES, head.size_bytes);
    uint64_t cell = cells_load(&zs->pool.cells, head.owner);
    cells_store(&zs->pool.cells, head.owner, cell_moved(cell, zs_place_bits(to)));
}

/* Moves a few objects. True: something was gained or may be, come again. */
static bool step_locked(struct zsmalloc *zs, struct zs_class *class, uint32_t *emptied,
                        struct zpool_step *step)
{
    uint32_t source = take_source_locked(zs, class, step);
    if (source == ZS_NONE) return false;
    struct zspage *zspage = zs_zspage(zs, source);
    unsigned moves = 0;
    for (uint32_t slot = 0; moves < MOVES_PER_LOCK && *emptied == ZS_NONE; slot++) {
        uint32_t handle = zs_head(zs, zspage, slot).owner;
        if (handle == 0) continue;
        uint32_t target = find_target_locked(zs, class, source);
        if (target == ZS_NONE) break;
        struct zs_place from = {.zspage = source, .slot = slot};
        move_locked(zs, class, from, target);
        moves++;
        if (zs_remove_locked(zs, class, from, handle)) *emptied = source;
        if (moves * class->slot_bytes >= MOVED_BYTES_PER_LOCK) break;
    }
    zspage_open(zspage);
    step->moved_count += moves;
    return moves > 0;
}

static bool compact_class(struct zsmalloc *zs, struct zs_class *class, struct zpool_step *step)
{
    uint32_t emptied = ZS_NONE;
    lock_take(&class->lock);
    bool more = freeable_zspages(class) > 0 && step_locked(zs, class, &emptied, step);
    lock_drop(&class->lock);
    if (emptied != ZS_NONE) {
        zs_give_back(zs, class, emptied);
        step->freed_pages += class->pages;
    }
    return more;
}

struct zpool_step zs_compact(struct zpool *pool, uint32_t moves_max)
{
    struct zsmalloc *zs = zs_from(pool);
    struct zpool_step step = {0};
    unsigned at = atomic_load(&zs->compact_at);
    unsigned idle = 0;
    while (step.moved_count < moves_max && idle < zs->class_count) {
        if (compact_class(zs, &zs->classes[at], &step)) {
            idle = 0;
            continue;
        }
        idle++;
        at = (at + 1) % zs->class_count;
    }
    atomic_store(&zs->compact_at, at);
    step.done = idle == zs->class_count;
    return step;
}
