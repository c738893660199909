/* SPDX-License-Identifier: BSD-3-Clause
 * zsmalloc - a backend of zpool.h: zspages of equal slots, by size class. Seen by zsmalloc*.c only.
 *
 * After the kernel's mm/zsmalloc.c in idea and in words, without its physical pages: here a zspage
 * is contiguous in virtual memory, so no object straddles two mappings and map is an addition.
 *
 *   handle -> cell -> (zspage, slot) -> address
 *
 * A zspage of a regular class:  | owner 4 | object ... | owner 4 | object ... |  slots
 * A zspage of a direct class:   | object, up to the whole of its pages        |  one slot
 * `owner` is the handle + 1 of the slot's object and 0 in a free slot, which holds in its next four
 * bytes the number + 1 of the next free slot. A direct zspage keeps its owner in the descriptor: an
 * incompressible page then costs exactly its pages.
 *
 * Locks: a class's lock guards its zspages' descriptors, lists, owners and free slots. A cell is
 * written by who owns the handle. Pins are counts, not locks, and nobody waits for them.
 */
#ifndef FARPAGE_STORAGE_ZSMALLOC_H
#define FARPAGE_STORAGE_ZSMALLOC_H
#include <stdatomic.h>

#include "base/lock.h"
#include "storage/idpool.h"
#include "storage/zpool_backend.h"

enum {
    ZS_OWNER_BYTES = 4,
    ZS_SLOT_BYTES_MIN = 32,
    ZS_SIZE_STEP = 16,          /* small sizes are told apart in steps of this */
    ZS_LARGE_STEP = 512,        /* sizes above a page in steps of this */
    ZS_CHAIN_PAGES = 8,         /* pages of a zspage of small slots, at most */
    ZS_LARGE_CHAIN_PAGES = 32,  /* and of larger ones */
    ZS_CLASSES_MAX = 512,
    ZS_GROUPS = 11,             /* fullness in tenths; the last one is full */
};
#define ZS_NONE UINT32_MAX /* no int: an enum cannot hold it */

struct zspage {             /* one cell of zsmalloc.zspages */
    _Atomic uint64_t link;  /* idpool's, while free */
    _Atomic uint32_t pins;  /* maps of its objects that have not been unmapped */
    uint32_t first_page;    /* its run in the arena */
    uint32_t next, prev;    /* list of its class and group */
    uint32_t direct_owner;  /* direct classes: the only slot's owner */
    uint16_t class_index;
    uint16_t used_slots;    /* 1 .. slots */
    uint16_t fresh_slots;   /* slots from here on were never used */
    uint16_t free_slot;     /* first free slot + 1, below fresh_slots; 0: none */
};

struct zs_class {
    struct lock lock;
    uint32_t slot_bytes;
    uint16_t slots;          /* per zspage */
    uint16_t pages;          /* per zspage */
    bool direct;
    uint32_t groups[ZS_GROUPS]; /* heads of lists */
    uint64_t object_count, zspage_count;
} __attribute__((aligned(64)));

struct zsmalloc {
    struct zpool pool; /* first: the backend's base */
    struct arena *arena;
    struct idpool cells;   /* handle - 1 -> where its object is */
    struct idpool zspages; /* descriptors */
    unsigned class_count;
    struct zs_class classes[ZS_CLASSES_MAX];
    uint16_t class_of_size[ZPOOL_OBJECT_BYTES_MAX / ZS_SIZE_STEP + 1]; /* by size rounded up */
};

/* A live cell: 1 | slot << 1 (12 bits) | zspage << 13 (32 bits). A free one holds idpool's link,
 * which may look like that: who does not own the handle must ask the slot for its owner. */
struct zs_place {
    uint32_t zspage;
    uint32_t slot;
};
static inline uint64_t zs_cell(struct zs_place place)
{
    return 1 | (uint64_t)place.slot << 1 | (uint64_t)place.zspage << 13;
}
static inline struct zs_place zs_place(uint64_t cell)
{
    return (struct zs_place){.zspage = (uint32_t)(cell >> 13),
                             .slot = (uint32_t)(cell >> 1) & 4095};
}

/* zsmalloc_class.c: fills classes and class_of_size. */
void zs_classes_init(struct zsmalloc *zs);
void zs_classes_fini(struct zsmalloc *zs);
/* The fullness group of a zspage with so many used slots. */
unsigned zs_group_of(const struct zs_class *class, unsigned used_slots);

/* zsmalloc.c, for zsmalloc_check.c */
struct zspage *zs_zspage(const struct zsmalloc *zs, uint32_t id);
uint8_t *zs_slot_address(const struct zsmalloc *zs, const struct zspage *zspage, uint32_t slot);
/* The handle of the slot's object; 0: free. The object's owner may ask unlocked. */
uint32_t zs_slot_owner(const struct zsmalloc *zs, const struct zspage *zspage, uint32_t slot);

/* zsmalloc_check.c: the full check and the statistics. */
void zs_check(struct zpool *pool);
void zs_fill(struct zpool *pool, struct zpool_fill *fill);
unsigned zs_class_count(const struct zpool *pool);
void zs_class_row(struct zpool *pool, unsigned index, struct zpool_class *row);

#endif
