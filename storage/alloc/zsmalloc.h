/* SPDX-License-Identifier: BSD-3-Clause
 * zsmalloc - a backend of zpool.h: zspages of equal slots, by size class. Seen by zsmalloc*.c only.
 *
 * After the kernel's mm/zsmalloc.c in idea and in words, without its physical pages: here a zspage
 * is contiguous in virtual memory, so no object straddles two mappings and map is an addition.
 *
 *   handle -> cell -> (zspage, slot) -> address
 *
 * A zspage of a regular class:  | head 6 | object ... | head 6 | object ... |  slots
 * A zspage of a direct class:   | object, up to the whole of its pages      |  one slot
 * A head is the handle of the slot's object, 4 bytes, and its size less one, 2 bytes. The handle is
 * 0 in a free slot, which holds in its next four bytes the number + 1 of the next free slot. A
 * direct zspage keeps its head in the descriptor: an incompressible page then costs exactly its
 * pages.
 *
 * Locks: a class's lock guards its zspages' descriptors, lists, owners and free slots, and the
 * cells of its objects. A map takes no lock: it pins the zspage, then looks whether the cell still
 * says the same. Pins are counts, not locks, and nobody waits for them: objects are moved out of a
 * zspage only while it is closed, which it can be only where it has no pin.
 */
#ifndef FARPAGE_STORAGE_ZSMALLOC_H
#define FARPAGE_STORAGE_ZSMALLOC_H
#include <stdatomic.h>

#include "base/lock.h"
#include "storage/alloc/zpool_backend.h"

enum {
    ZS_OWNER_BYTES = 4,
    ZS_HEAD_BYTES = 6,
    ZS_SLOT_BYTES_MIN = 32,
    ZS_SIZE_STEP = 16,          /* small sizes are told apart in steps of this */
    ZS_LARGE_STEP = 512,        /* sizes above a page in steps of this */
    ZS_CHAIN_PAGES = 8,         /* pages of a zspage of small slots, at most */
    ZS_LARGE_CHAIN_PAGES = 32,  /* and of larger ones */
    ZS_CLASSES_MAX = 512,
    ZS_GROUPS = ZPOOL_FULLNESS_GROUPS,
    ZS_SLOTS_END = 1 << 11,     /* slots of a zspage are fewer */
    ZS_ZSPAGES_MAX = 1 << 26,
};
#define ZS_NONE UINT32_MAX /* no int: an enum cannot hold it */
#define ZS_CLOSED 0x80000000u /* in pins: a mover is at work, for microseconds */

struct zspage {             /* one cell of zsmalloc.zspages */
    _Atomic uint64_t link;  /* idpool's, while free */
    _Atomic uint32_t pins;  /* maps of its objects that have not been unmapped, or ZS_CLOSED */
    uint32_t first_page;    /* its run in the arena */
    uint32_t next, prev;    /* list of its class and group */
    uint32_t direct_owner;  /* direct classes: the only slot's owner */
    _Atomic uint16_t class_index; /* read by who does not know yet which lock to take */
    uint16_t used_slots;    /* 1 .. slots */
    uint16_t fresh_slots;   /* slots from here on were never used */
    uint16_t free_slot;     /* first free slot + 1, below fresh_slots; 0: none */
    uint16_t direct_size_less_one;
    uint16_t padding;
};

struct zs_class {
    struct lock lock;
    uint32_t slot_bytes;
    uint16_t slots;          /* per zspage */
    uint16_t pages;          /* per zspage */
    bool direct;
    uint32_t groups[ZS_GROUPS]; /* heads of lists */
    uint64_t object_count, object_bytes, zspage_count;
    uint64_t group_counts[ZS_GROUPS];
} __attribute__((aligned(64)));

struct zsmalloc {
    struct zpool pool; /* first: the backend's base */
    struct idpool zspages; /* descriptors */
    _Atomic unsigned compact_at; /* the class compaction works on */
    unsigned class_count;
    struct zs_class classes[ZS_CLASSES_MAX];
    uint16_t class_of_size[ZPOOL_OBJECT_BYTES_MAX / ZS_SIZE_STEP + 1]; /* by size rounded up */
};

/* A cell's place: slot (11 bits), zspage (26 bits) << 11. */
struct zs_place {
    uint32_t zspage;
    uint32_t slot;
};
static inline uint64_t zs_place_bits(struct zs_place place)
{
    return (uint64_t)place.zspage << 11 | place.slot;
}
static inline struct zs_place zs_place_of(uint64_t cell)
{
    uint64_t bits = cell_place(cell);
    return (struct zs_place){.zspage = (uint32_t)(bits >> 11), .slot = (uint32_t)bits & 2047};
}

/* zsmalloc_class.c: fills classes and class_of_size. */
void zs_classes_init(struct zsmalloc *zs);
void zs_classes_fini(struct zsmalloc *zs);
/* The fullness group of a zspage with so many used slots. */
unsigned zs_group_of(const struct zs_class *class, unsigned used_slots);

/* zsmalloc.c, for the others */
struct zspage *zs_zspage(const struct zsmalloc *zs, uint32_t id);
static inline unsigned zs_class_index(const struct zspage *zspage)
{
    return atomic_load_explicit(&zspage->class_index, memory_order_relaxed);
}
uint8_t *zs_slot_address(const struct zsmalloc *zs, const struct zspage *zspage, uint32_t slot);
struct zs_head {
    uint32_t owner; /* 0: the slot is free */
    uint32_t size_bytes;
};
/* The object's owner may ask unlocked. */
struct zs_head zs_head(const struct zsmalloc *zs, const struct zspage *zspage, uint32_t slot);
/* Takes a free slot of the zspage for an object of this head. */
struct zs_place zs_place_locked(struct zsmalloc *zs, struct zs_class *class, uint32_t id,
                                struct zs_head head);
/* Takes the object out of its slot. True: the zspage is empty now and on no list. */
bool zs_remove_locked(struct zsmalloc *zs, struct zs_class *class, struct zs_place place,
                      uint32_t handle) FP_MUST_CHECK;
/* Gives an empty zspage's pages back. Enter holding no class's lock. */
void zs_give_back(struct zsmalloc *zs, const struct zs_class *class, uint32_t id);

/* zsmalloc_compact.c: the calls of their names. */
struct zpool_step zs_compact(struct zpool *pool, uint32_t moves_max);
uint64_t zs_freeable_pages(struct zpool *pool);

/* zsmalloc_check.c: the full check and the statistics. */
void zs_check(struct zpool *pool);
uint64_t zs_descriptor_bytes(const struct zpool *pool);
uint64_t zs_pinned_count(const struct zpool *pool);
unsigned zs_class_count(const struct zpool *pool);
void zs_class_row(struct zpool *pool, unsigned index, struct zpool_class *row);

#endif
