/* SPDX-License-Identifier: BSD-3-Clause */
#include "storage/store/page/store_page_walk.h"

#include "storage/area/area_stand.h"
#include "storage/store/page/store_area.h"

/* Areas come and go between steps: goes on in the one it was in, or in the next there is. */
static void enter_area(struct store *store, struct store_page_walk *walk)
{
    struct area *area = store_area_from(store, walk->area);
    if (area != NULL && (area->index != walk->area || area->generation != walk->generation)) {
        walk->area = area->index;
        walk->generation = area->generation;
        walk->slot = 0;
    }
    walk->within = area;
    walk->done = area == NULL;
}

enum store_page_walked store_page_walk_next(struct store *store, struct store_page_walk *walk,
                                            bool packed, struct page_place *place)
{
    if (walk->within == NULL && !walk->done) enter_area(store, walk);
    struct area *area = walk->within;
    if (area == NULL) return PAGE_WALK_DONE;
    if (packed && area->as_they_are) walk->slot = area->slot_count;
    if (walk->slot % AREA_ROW_SLOTS == 0) walk->slot = area_skip_unused(area, walk->slot);
    if (walk->slot < area->slot_count && area_stand(area) < AREA_MOVED) {
        *place = (struct page_place){.area = area, .slot = walk->slot++};
        return PAGE_WALK_PLACE;
    }
    walk->area++;
    area_release(&walk->within);
    return PAGE_WALK_ON;
}

void store_page_walk_pause(struct store_page_walk *walk)
{
    area_release(&walk->within);
}

uint64_t store_page_count(struct store *store)
{
    uint64_t pages = 0;
    struct area *area = NULL;
    while ((area = store_area_next(store, area)) != NULL)
        pages += atomic_load_explicit(&area->counters.stored, memory_order_relaxed);
    return pages;
}
