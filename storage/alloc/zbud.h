/* SPDX-License-Identifier: BSD-3-Clause
 * zbud - a backend of zpool.h: at most two objects a page. Seen by zbud*.c only.
 *
 * After the kernel's mm/zbud.c: less dense than the others, but what an object costs, and what is
 * freed when a page is emptied, is known beforehand; and it can be reclaimed, see zpool_reclaim.
 *
 *   | first buddy ->         ... free ...         <- last buddy |    in chunks of 64 bytes
 *
 *   handle -> cell -> (page, side) -> address
 *
 * What the kernel keeps in the page is out of line here, in a descriptor, so that an incompressible
 * page has a page of its own. An object of more than a page has a run of pages alone: in this file
 * a `page` is such a run too. Objects never move.
 *
 * Units: *_chunks are 64 bytes.
 * Locks: one lock guards the descriptors and the lists. A map takes none: as objects never move, a
 *        cell of a live handle does not change.
 */
#ifndef FARPAGE_STORAGE_ZBUD_H
#define FARPAGE_STORAGE_ZBUD_H
#include <stdatomic.h>

#include "base/lock.h"
#include "storage/alloc/zpool_backend.h"

enum {
    ZBUD_CHUNK_BYTES = 64,
    ZBUD_CHUNKS = PAGES_BYTES / ZBUD_CHUNK_BYTES, /* of a page */
    ZBUD_FIRST = 0,
    ZBUD_LAST = 1,
};
#define ZBUD_NONE UINT32_MAX

struct zbud_page {          /* one cell of zbud.descriptors */
    _Atomic uint64_t link;  /* idpool's, while free */
    _Atomic uint32_t pins;  /* maps that have not been unmapped: only shown, and walked past */
    uint32_t first_page;    /* its run in the arena */
    uint32_t owner[2];      /* handle of the first and the last buddy; 0: none */
    uint16_t chunks[2];     /* of each; a freed one of a page under reclaim keeps them */
    uint16_t size_less_one[2]; /* bytes of each */
    uint16_t pages;         /* of the run; more than one: the first buddy is alone */
    uint8_t references;     /* objects, and one more while under reclaim; at 0 the page goes */
    bool under_reclaim;     /* on no list: nothing is placed here */
    uint32_t younger, older;  /* list of all others, in the order they were last placed into */
    uint32_t next, prev;    /* list of pages with room, by free chunks */
    bool freed[2];          /* under reclaim: freed meanwhile, its bytes are still read */
    uint8_t padding[2];
};

struct zbud {
    struct zpool pool; /* first: the backend's base */
    struct idpool descriptors; /* struct zbud_page */
    struct lock lock;
    uint64_t with_room;               /* bit n: unbuddied[n] is not empty */
    uint32_t unbuddied[ZBUD_CHUNKS];  /* heads of lists, by free chunks */
    uint32_t youngest, oldest;
    uint64_t page_count[2];           /* of single pages, of runs of more */
    uint64_t object_count[2], object_bytes[2]; /* in them */
    uint64_t chunks[2];                  /* taken, by those being freed under reclaim too */
    uint64_t run_pages;                  /* of the runs of more */
    uint64_t fullness[ZPOOL_FULLNESS_GROUPS]; /* single pages by used tenths */
};

/* A cell's place: page << 1 | side. */
struct zbud_place {
    uint32_t page;
    unsigned side;
};
static inline uint64_t zbud_place_bits(struct zbud_place place)
{
    return (uint64_t)place.page << 1 | place.side;
}
static inline struct zbud_place zbud_place_of(uint64_t cell)
{
    uint64_t bits = cell_place(cell);
    return (struct zbud_place){.page = (uint32_t)(bits >> 1), .side = (unsigned)bits & 1u};
}
static inline struct zbud_page *zbud_page(const struct zbud *zbud, uint32_t id)
{
    return idpool_cell(&zbud->descriptors, id);
}
static inline bool zbud_has_room(const struct zbud_page *page)
{
    return page->pages == 1 && (page->owner[0] == 0) != (page->owner[1] == 0) &&
           page->chunks[0] + page->chunks[1] < ZBUD_CHUNKS;
}

/* Of ZPOOL_FULLNESS_GROUPS; a single page's. */
static inline unsigned zbud_fullness(const struct zbud_page *page)
{
    unsigned used = (unsigned)page->chunks[0] + page->chunks[1];
    return used * (ZPOOL_FULLNESS_GROUPS - 1) / ZBUD_CHUNKS;
}

/* --- zbud.c, for zbud_reclaim.c --------------------------------------------------------------- */

/* Puts a page on the lists it belongs to: the young end, and the one of its free chunks. */
void zbud_list_locked(struct zbud *zbud, uint32_t id);
void zbud_unlist_locked(struct zbud *zbud, uint32_t id);
/* What a buddy takes of its page, 0 when it has gone. */
void zbud_set_chunks_locked(struct zbud *zbud, struct zbud_page *page, unsigned side,
                            unsigned chunks);
/* Drops a reference. True: it was the last one; the page must be, or go, on no list. */
bool zbud_release_locked(struct zbud *zbud, uint32_t id) FP_MUST_CHECK;
/* Gives a page with no reference back. Enter not holding the lock. */
void zbud_give_back(struct zbud *zbud, uint32_t id);
uint8_t *zbud_address(const struct zbud *zbud, const struct zbud_page *page, unsigned side);

/* --- zbud_reclaim.c, zbud_check.c: the calls of their names ----------------------------------- */
enum fp_status zbud_reclaim(struct zpool *pool, const struct zpool_reclaimer *reclaimer);
void zbud_check(struct zpool *pool);
uint64_t zbud_descriptor_bytes(const struct zpool *pool);
uint64_t zbud_pinned_count(const struct zpool *pool);
unsigned zbud_class_count(const struct zpool *pool);
void zbud_class_row(struct zpool *pool, unsigned index, struct zpool_class *row);

#endif
