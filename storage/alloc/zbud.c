/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Life of a page:  none -(no page has room)-> one buddy -(one more placed)-> two buddies
 *                  -(objects freed)-> no reference -> none, its memory back at the OS
 *                  -(reclaim: a reference, on no list)-> under reclaim -> as before, or none
 *
 * A new object goes to the page with the least room that is enough; a page it goes to is young
 * again. A freed buddy's place is taken by the next that fits; the other one stays where it is.
 */
#include "storage/alloc/zbud.h"

#include <string.h>

#include "base/arith.h"
#include "base/check.h"

static struct zbud *zbud_from(const struct zpool *pool)
{
    return (struct zbud *)(uintptr_t)pool;
}

uint8_t *zbud_address(const struct zbud *zbud, const struct zbud_page *page, unsigned side)
{
    struct page_run run = {.first_page = page->first_page};
    uint8_t *base = arena_address(zbud->pool.arena, run);
    if (side == ZBUD_FIRST) return base;
    return base + PAGES_BYTES - (size_t)page->chunks[ZBUD_LAST] * ZBUD_CHUNK_BYTES;
}

/* --- lists ------------------------------------------------------------------------------------ */

static unsigned free_chunks(const struct zbud_page *page)
{
    return ZBUD_CHUNKS - (unsigned)page->chunks[0] - page->chunks[1];
}

static void room_add_locked(struct zbud *zbud, uint32_t id)
{
    struct zbud_page *page = zbud_page(zbud, id);
    if (!zbud_has_room(page)) return;
    unsigned room = free_chunks(page);
    page->prev = ZBUD_NONE;
    page->next = zbud->unbuddied[room];
    if (page->next != ZBUD_NONE) zbud_page(zbud, page->next)->prev = id;
    zbud->unbuddied[room] = id;
    zbud->with_room |= 1ull << room;
}

static void room_remove_locked(struct zbud *zbud, uint32_t id)
{
    struct zbud_page *page = zbud_page(zbud, id);
    if (!zbud_has_room(page)) return;
    unsigned room = free_chunks(page);
    if (page->prev == ZBUD_NONE) zbud->unbuddied[room] = page->next;
    else zbud_page(zbud, page->prev)->next = page->next;
    if (page->next != ZBUD_NONE) zbud_page(zbud, page->next)->prev = page->prev;
    if (zbud->unbuddied[room] == ZBUD_NONE) zbud->with_room &= ~(1ull << room);
}

static void age_add_locked(struct zbud *zbud, uint32_t id)
{
    struct zbud_page *page = zbud_page(zbud, id);
    page->younger = ZBUD_NONE;
    page->older = zbud->youngest;
    if (page->older == ZBUD_NONE) zbud->oldest = id;
    else zbud_page(zbud, page->older)->younger = id;
    zbud->youngest = id;
}

static void age_remove_locked(struct zbud *zbud, uint32_t id)
{
    struct zbud_page *page = zbud_page(zbud, id);
    if (page->younger == ZBUD_NONE) zbud->youngest = page->older;
    else zbud_page(zbud, page->younger)->older = page->older;
    if (page->older == ZBUD_NONE) zbud->oldest = page->younger;
    else zbud_page(zbud, page->older)->younger = page->younger;
}

void zbud_list_locked(struct zbud *zbud, uint32_t id)
{
    age_add_locked(zbud, id);
    room_add_locked(zbud, id);
}

void zbud_unlist_locked(struct zbud *zbud, uint32_t id)
{
    age_remove_locked(zbud, id);
    room_remove_locked(zbud, id);
}

/* --- placing and freeing ---------------------------------------------------------------------- */

void zbud_set_chunks_locked(struct zbud *zbud, struct zbud_page *page, unsigned side,
                            unsigned chunks)
{
    lock_assert_held(&zbud->lock);
    zbud->chunks[page->pages > 1] += chunks - (uint64_t)page->chunks[side];
    if (page->pages == 1) zbud->fullness[zbud_fullness(page)]--;
    page->chunks[side] = (uint16_t)chunks;
    if (page->pages == 1) zbud->fullness[zbud_fullness(page)]++;
}

/* A new page on no list, without a reference. */
static enum fp_status page_create_locked(struct zbud *zbud, unsigned pages, uint32_t *id)
{
    struct page_run run;
    if (!idpool_take(&zbud->descriptors, id)) return FP_NO_MEMORY;
    enum fp_status status = arena_take(zbud->pool.arena, pages, &run);
    if (status != FP_OK) {
        idpool_give(&zbud->descriptors, *id);
        return status;
    }
    struct zbud_page *page = zbud_page(zbud, *id);
    page->first_page = run.first_page;
    page->pages = (uint16_t)pages;
    page->references = 0;
    page->under_reclaim = false;
    for (unsigned side = 0; side < 2; side++) {
        page->owner[side] = page->chunks[side] = 0;
        page->freed[side] = false;
    }
    zbud->page_count[pages > 1]++;
    if (pages > 1) zbud->run_pages += pages;
    else zbud->fullness[zbud_fullness(page)]++;
    return FP_OK;
}

/* The page with the least room that is enough, or a new one; on no list. */
static enum fp_status take_page_locked(struct zbud *zbud, unsigned chunks, uint32_t *id)
{
    uint64_t enough = chunks < ZBUD_CHUNKS ? zbud->with_room & ~0ull << chunks : 0;
    if (enough == 0)
        return page_create_locked(zbud, (unsigned)div_up_u64(chunks, ZBUD_CHUNKS), id);
    *id = zbud->unbuddied[__builtin_ctzll(enough)];
    zbud_unlist_locked(zbud, *id);
    return FP_OK;
}

static enum fp_status zbud_alloc(struct zpool *pool, size_t size_bytes, uint32_t note,
                                 struct zhandle handle)
{
    struct zbud *zbud = zbud_from(pool);
    unsigned chunks = (unsigned)div_up_u64(size_bytes, ZBUD_CHUNK_BYTES);
    struct zbud_place place = {.side = ZBUD_FIRST};
    lock_take(&zbud->lock);
    enum fp_status status = take_page_locked(zbud, chunks, &place.page);
    if (status == FP_OK) {
        struct zbud_page *page = zbud_page(zbud, place.page);
        if (page->owner[ZBUD_FIRST] != 0) place.side = ZBUD_LAST;
        page->owner[place.side] = handle.number;
        zbud_set_chunks_locked(zbud, page, place.side, chunks);
        page->size_less_one[place.side] = (uint16_t)(size_bytes - 1);
        page->references++;
        zbud_list_locked(zbud, place.page);
        zbud->object_count[page->pages > 1]++;
        zbud->object_bytes[page->pages > 1] += size_bytes;
        cells_store(&pool->cells, handle.number, cell_object(note, zbud_place_bits(place)));
    }
    lock_drop(&zbud->lock);
    return status;
}

bool zbud_release_locked(struct zbud *zbud, uint32_t id)
{
    struct zbud_page *page = zbud_page(zbud, id);
    lock_assert_held(&zbud->lock);
    fp_assert(page->references > 0);
    if (--page->references > 0) return false;
    zbud->page_count[page->pages > 1]--;
    if (page->pages > 1) zbud->run_pages -= page->pages;
    else zbud->fullness[zbud_fullness(page)]--;
    return true;
}

void zbud_give_back(struct zbud *zbud, uint32_t id)
{
    struct zbud_page *page = zbud_page(zbud, id);
    arena_give(zbud->pool.arena, page->pages, (struct page_run){.first_page = page->first_page});
    idpool_give(&zbud->descriptors, id);
}

/* The object of a page under reclaim: its bytes stay until that has ended. */
static void free_later_locked(struct zbud *zbud, struct zbud_place place)
{
    struct zbud_page *page = zbud_page(zbud, place.page);
    page->freed[place.side] = true;
    fp_assert(!zbud_release_locked(zbud, place.page)); /* reclaim has one */
}

/* True: that was the page's last object. */
static bool free_now_locked(struct zbud *zbud, struct zbud_place place)
{
    struct zbud_page *page = zbud_page(zbud, place.page);
    room_remove_locked(zbud, place.page);
    page->owner[place.side] = 0;
    zbud_set_chunks_locked(zbud, page, place.side, 0);
    bool last = zbud_release_locked(zbud, place.page);
    if (last) age_remove_locked(zbud, place.page);
    else room_add_locked(zbud, place.page); /* as old as before */
    return last;
}

static uint32_t zbud_free(struct zpool *pool, struct zhandle handle)
{
    struct zbud *zbud = zbud_from(pool);
    lock_take(&zbud->lock);
    uint64_t cell = cells_load(&pool->cells, handle.number);
    struct zbud_place place = zbud_place_of(cell);
    struct zbud_page *page = zbud_page(zbud, place.page);
    fp_assert(cell_what(cell) == ZOBJECT && page->owner[place.side] == handle.number);
    uint32_t size_bytes = page->size_less_one[place.side] + 1u;
    zbud->object_count[page->pages > 1]--;
    zbud->object_bytes[page->pages > 1] -= size_bytes;
    cells_store(&pool->cells, handle.number, ZNOTHING);
    bool empty = false;
    if (page->under_reclaim) free_later_locked(zbud, place);
    else empty = free_now_locked(zbud, place);
    lock_drop(&zbud->lock);
    if (empty) zbud_give_back(zbud, place.page);
    return size_bytes;
}

static void zbud_rename(struct zpool *pool, struct zhandle from, struct zhandle to)
{
    struct zbud *zbud = zbud_from(pool);
    lock_take(&zbud->lock);
    uint64_t cell = cells_load(&pool->cells, from.number);
    struct zbud_place place = zbud_place_of(cell);
    fp_assert(cell_what(cell) == ZOBJECT);
    zbud_page(zbud, place.page)->owner[place.side] = to.number;
    cells_store(&pool->cells, to.number, cell);
    cells_store(&pool->cells, from.number, ZNOTHING);
    lock_drop(&zbud->lock);
}

/* --- the rest of the interface ---------------------------------------------------------------- */

static enum fp_status zbud_map(struct zpool *pool, struct zhandle handle, enum zaccess access,
                               struct zmap *map)
{
    (void)access; /* both are plain memory here */
    struct zbud *zbud = zbud_from(pool);
    uint64_t cell = cells_load(&pool->cells, handle.number);
    struct zbud_place place = zbud_place_of(cell);
    if (cell_what(cell) != ZOBJECT || place.page >= atomic_load(&zbud->descriptors.fresh))
        return FP_CORRUPT;
    struct zbud_page *page = zbud_page(zbud, place.page);
    if (page->owner[place.side] != handle.number) return FP_CORRUPT; /* a damaged cell */
    atomic_fetch_add_explicit(&page->pins, 1, memory_order_relaxed);
    *map = (struct zmap){.bytes = zbud_address(zbud, page, place.side),
                         .size_bytes = page->size_less_one[place.side] + 1u,
                         .note = cell_note(cell),
                         .pinned = place.page};
    return FP_OK;
}

static void zbud_unmap(struct zpool *pool, const struct zmap *map)
{
    struct zbud_page *page = zbud_page(zbud_from(pool), map->pinned);
    fp_assert(atomic_fetch_sub_explicit(&page->pins, 1, memory_order_release) > 0);
}

/* At least half a page, because a page has at most two. */
static size_t zbud_cost_bytes(const struct zpool *pool, size_t size_bytes)
{
    (void)pool;
    size_t bytes = div_up_u64(size_bytes, ZBUD_CHUNK_BYTES) * ZBUD_CHUNK_BYTES;
    if (bytes >= PAGES_BYTES) return div_up_u64(bytes, PAGES_BYTES) * PAGES_BYTES;
    return bytes < PAGES_BYTES / 2 ? PAGES_BYTES / 2 : bytes;
}

static void zbud_destroy(struct zpool *pool)
{
    struct zbud *zbud = zbud_from(pool);
    fp_assert(zbud->object_count[0] + zbud->object_count[1] == 0);
    fp_assert(zbud->page_count[0] + zbud->page_count[1] == 0);
    lock_fini(&zbud->lock);
    idpool_fini(&zbud->descriptors);
}

static enum fp_status zbud_create(struct zpool *pool, const struct zpool_options *options)
{
    struct zbud *zbud = zbud_from(pool);
    uint64_t pages = min_u64(arena_size_pages(pool->arena), UINT32_MAX - 1);
    if (!idpool_init(&zbud->descriptors, options->budget, sizeof(struct zbud_page),
                     (uint32_t)pages))
        return FP_NO_MEMORY;
    lock_init(&zbud->lock, RANK_ZSCLASS);
    memset(zbud->unbuddied, 0xff, sizeof zbud->unbuddied); /* ZBUD_NONE */
    zbud->youngest = zbud->oldest = ZBUD_NONE;
    return FP_OK;
}

_Static_assert(sizeof(struct zbud_page) % 8 == 0, "an idpool cell");
_Static_assert(32 + 1 <= CELL_PLACE_BITS, "a page's number and a side fit");
_Static_assert(ZBUD_CHUNKS == 64, "with_room has a bit for each");

const struct zpool_backend zbud_backend = {
    .properties = {.name = "zbud",
                   .object_bytes_max = ZPOOL_OBJECT_BYTES_MAX,
                   .sleep_mapped = true,
                   .movable = false,
                   .reclaimable = true},
    .pool_bytes = sizeof(struct zbud),
    .create = zbud_create,
    .destroy = zbud_destroy,
    .alloc = zbud_alloc,
    .free = zbud_free,
    .rename = zbud_rename,
    .map = zbud_map,
    .unmap = zbud_unmap,
    .cost_bytes = zbud_cost_bytes,
    .reclaim = zbud_reclaim,
    .descriptor_bytes = zbud_descriptor_bytes,
    .pinned_count = zbud_pinned_count,
    .class_count = zbud_class_count,
    .class_row = zbud_class_row,
    .check = zbud_check,
};
