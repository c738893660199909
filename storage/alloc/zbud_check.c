/* SPDX-License-Identifier: BSD-3-Clause
 *
 * What must be true of a zbud pool at rest (no reclaim under way), recomputed from its pages, and
 * the counts that people are shown: two classes, single pages and runs of more. */
#include <string.h>

#include "base/check.h"
#include "storage/alloc/zbud.h"

static struct zbud *zbud_from(const struct zpool *pool)
{
    return (struct zbud *)(uintptr_t)pool;
}

static void check_page(const struct zbud *zbud, uint32_t id)
{
    const struct zbud_page *page = zbud_page(zbud, id);
    unsigned objects = 0;
    fp_assert(!page->under_reclaim && page->pages >= 1);
    for (unsigned side = 0; side < 2; side++) {
        struct zbud_place place = {.page = id, .side = side};
        fp_assert(!page->freed[side] && (page->owner[side] == 0) == (page->chunks[side] == 0));
        if (page->owner[side] == 0) continue;
        uint64_t cell = cells_load(&zbud->pool.cells, page->owner[side]);
        fp_assert(cell_what(cell) == ZOBJECT && cell_place(cell) == zbud_place_bits(place));
        fp_assert(page->size_less_one[side] / ZBUD_CHUNK_BYTES + 1 == page->chunks[side]);
        objects++;
    }
    fp_assert(objects > 0 && page->references == objects);
    fp_assert((unsigned)page->chunks[0] + page->chunks[1] <= (unsigned)page->pages * ZBUD_CHUNKS);
    fp_assert(page->pages == 1 || page->owner[ZBUD_LAST] == 0);
}

struct count {
    uint64_t pages[2], objects[2], bytes[2], chunks[2], held_pages, with_room;
    uint64_t fullness[ZPOOL_FULLNESS_GROUPS];
};

static void count_page(const struct zbud_page *page, struct count *count)
{
    unsigned large = page->pages > 1;
    count->pages[large]++;
    count->held_pages += page->pages;
    count->objects[large] += page->references;
    count->chunks[large] += (uint64_t)page->chunks[0] + page->chunks[1];
    for (unsigned side = 0; side < 2; side++)
        if (page->owner[side] != 0) count->bytes[large] += page->size_less_one[side] + 1u;
    if (!large) count->fullness[zbud_fullness(page)]++;
    count->with_room += zbud_has_room(page);
}

static uint64_t check_rooms_locked(const struct zbud *zbud)
{
    uint64_t listed = 0;
    for (unsigned room = 0; room < ZBUD_CHUNKS; room++) {
        uint32_t id = zbud->unbuddied[room];
        fp_assert((zbud->with_room >> room & 1) == (id != ZBUD_NONE));
        for (; id != ZBUD_NONE; id = zbud_page(zbud, id)->next) {
            const struct zbud_page *page = zbud_page(zbud, id);
            fp_assert(zbud_has_room(page));
            fp_assert(page->chunks[0] + page->chunks[1] + room == ZBUD_CHUNKS);
            listed++;
        }
    }
    return listed;
}

void zbud_check(struct zpool *pool)
{
    struct zbud *zbud = zbud_from(pool);
    struct count count = {0};
    uint32_t before = ZBUD_NONE;
    lock_take(&zbud->lock);
    for (uint32_t id = zbud->oldest; id != ZBUD_NONE; id = zbud_page(zbud, id)->younger) {
        check_page(zbud, id);
        count_page(zbud_page(zbud, id), &count);
        fp_assert(zbud_page(zbud, id)->older == before);
        before = id;
    }
    fp_assert(zbud->youngest == before);
    fp_assert(check_rooms_locked(zbud) == count.with_room);
    for (unsigned large = 0; large < 2; large++) {
        fp_assert(count.pages[large] == zbud->page_count[large]);
        fp_assert(count.objects[large] == zbud->object_count[large]);
        fp_assert(count.bytes[large] == zbud->object_bytes[large]);
        fp_assert(count.chunks[large] == zbud->chunks[large]);
    }
    fp_assert(memcmp(count.fullness, zbud->fullness, sizeof count.fullness) == 0);
    fp_assert(count.held_pages == count.pages[0] + zbud->run_pages);
    lock_drop(&zbud->lock);
    fp_assert(count.held_pages == arena_held_pages(zbud->pool.arena));
    arena_check(zbud->pool.arena);
}

unsigned zbud_class_count(const struct zpool *pool)
{
    (void)pool;
    return 2;
}

/* Single pages have two slots each; a run has one, and is as long as its object needs: runs are
 * counted in pages, so that the rows add up. */
void zbud_class_row(struct zpool *pool, unsigned index, struct zpool_class *row)
{
    struct zbud *zbud = zbud_from(pool);
    bool large = index > 0;
    uint32_t slots = large ? 1 : 2;
    lock_take(&zbud->lock);
    *row = (struct zpool_class){.slot_bytes = PAGES_BYTES / slots,
                                .slots_per_zspage = slots,
                                .pages_per_zspage = 1,
                                .object_count = zbud->object_count[large],
                                .slot_count = zbud->page_count[large] * slots,
                                .zspage_count = zbud->page_count[large]};
    if (large) row->zspage_count = row->slot_count = zbud->run_pages;
    uint64_t page_bytes = row->zspage_count * PAGES_BYTES;
    uint64_t taken_bytes = large ? page_bytes : zbud->chunks[0] * ZBUD_CHUNK_BYTES;
    row->object_bytes = zbud->object_bytes[large];
    row->free_bytes = page_bytes - taken_bytes;
    row->rounding_bytes = taken_bytes - row->object_bytes;
    if (!large) memcpy(row->fullness, zbud->fullness, sizeof row->fullness);
    else row->fullness[ZPOOL_FULLNESS_GROUPS - 1] = zbud->run_pages;
    lock_drop(&zbud->lock);
}

uint64_t zbud_descriptor_bytes(const struct zpool *pool)
{
    return idpool_held_bytes(&zbud_from(pool)->descriptors);
}

uint64_t zbud_pinned_count(const struct zpool *pool)
{
    const struct zbud *zbud = zbud_from(pool);
    uint64_t count = 0;
    uint32_t descriptors = atomic_load(&zbud->descriptors.fresh);
    for (uint32_t id = 0; id < descriptors; id++)
        count += atomic_load_explicit(&zbud_page(zbud, id)->pins, memory_order_relaxed);
    return count;
}
