/* SPDX-License-Identifier: BSD-3-Clause */
#include "storage/store/store_scrub.h"

#include <stdlib.h>

#include "storage/store/page/store_page_walk.h"
#include "storage/store/spill/store_spill_internal.h"
#include "storage/store/store_walk.h"

struct store_scrub {
    struct store *store;
    struct scrub_caller caller;
    uint8_t *plain; /* ZPOOL_OBJECT_BYTES_MAX */
    struct store_page_walk pages;
    struct store_walk items;
    bool items_begun;
    /* Of the step under way: */
    struct store_scratch *scratch;
    struct scrub_counts *counts;
};

enum fp_status store_scrub_create(struct store *store, const struct scrub_caller *caller,
                                  struct store_scrub **out)
{
    struct store_scrub *scrub = calloc(1, sizeof *scrub);
    if (scrub == NULL) return FP_NO_MEMORY;
    scrub->store = store;
    scrub->caller = *caller;
    scrub->plain = malloc(ZPOOL_OBJECT_BYTES_MAX);
    if (scrub->plain == NULL) {
        free(scrub);
        return FP_NO_MEMORY;
    }
    *out = scrub;
    return FP_OK;
}

void store_scrub_destroy(struct store_scrub **scrub)
{
    if (*scrub == NULL) return;
    free((*scrub)->plain);
    free(*scrub);
    *scrub = NULL;
}

uint64_t store_scrub_begin(struct store_scrub *scrub)
{
    scrub->pages = (struct store_page_walk){.slot = 0};
    scrub->items.position = 0;
    scrub->items_begun = false;
    return store_page_count(scrub->store) + keydir_item_count(&scrub->store->keydir);
}

/* --- a page ----------------------------------------------------------------------------------- */

static void page_is_damaged(struct store_scrub *scrub, struct page_place place)
{
    struct scrub_found found = {.area = place.area, .slot = place.slot};
    scrub->counts->damaged_pages++;
    scrub->caller.found(scrub->caller.context, &found);
}

static bool names_still(struct store_scrub *scrub, const struct store_read *read)
{
    struct page_place place = read->place;
    area_slot_take(place.area, place.slot);
    struct zhandle handle = area_handle_locked(place.area, place.slot);
    bool same = handle.number != 0 && zpool_says(scrub->store->zpool, handle) == read->said;
    area_slot_drop(place.area, place.slot);
    return same;
}

/* Its record has a checksum over the object as it was in memory. */
static void scrub_spilled(struct store_scrub *scrub, struct page_place place)
{
    struct store_read read;
    if (store_read_begin(scrub->store, NULL, place, &read) != FP_OK) return;
    store_read_run(scrub->store, &read);
    scrub->counts->pages++;
    scrub->counts->spilled_pages++;
    scrub->counts->plain_bytes += read.read.size_bytes;
    if (read.status == FP_CORRUPT && names_still(scrub, &read)) page_is_damaged(scrub, place);
    scrub->counts->unread_pages += read.status == FP_IO || read.status == FP_NO_MEMORY;
    store_read_end(scrub->store, scrub->scratch, &read);
}

static void scrub_page(struct store_scrub *scrub, struct page_place place)
{
    struct area *area = place.area;
    struct space space = {.bytes = scrub->plain, .capacity_bytes = area->page_bytes};
    struct fetched fetched = {0};
    uint32_t crc;
    area_slot_take(area, place.slot);
    struct zhandle handle = area_handle_locked(area, place.slot);
    enum fp_status status =
        store_fetch(scrub->store, scrub->scratch, handle, space, &fetched);
    area_slot_drop(area, place.slot); /* not touched: nobody asked for it */
    if (status == FP_SPILLED) scrub_spilled(scrub, place);
    if (status != FP_OK && status != FP_CORRUPT) return;
    if (status == FP_OK)
        status = store_unpack(scrub->store, scrub->scratch, &fetched, space, &crc);
    scrub->counts->pages++;
    scrub->counts->plain_bytes += area->page_bytes;
    if (status == FP_CORRUPT) page_is_damaged(scrub, place);
}

/* --- items ------------------------------------------------------------------------------------ */

static void scrub_item(struct store_scrub *scrub, struct item *item)
{
    enum fp_status status = FP_OK;
    scrub->counts->items++;
    for (uint32_t i = 0; i < item_piece_count(item) && status == FP_OK; i++) {
        if (!scrub->caller.go_on(scrub->caller.context)) return;
        status = store_item_read_piece_waiting(scrub->store, scrub->scratch, item, i, scrub->plain);
        scrub->counts->plain_bytes += item_piece_bytes(item, i);
    }
    scrub->counts->unread_items += status == FP_IO || status == FP_NO_MEMORY;
    if (status != FP_CORRUPT) return;
    struct scrub_found found = {.key = item_key(item)};
    scrub->counts->damaged_items++;
    scrub->caller.found(scrub->caller.context, &found);
}

/* True: those were the last. */
static bool step_items(struct store_scrub *scrub)
{
    struct store_walk *walk = &scrub->items;
    store_walk_step(scrub->store, scrub->scratch, walk);
    for (unsigned i = 0; i < walk->count; i++) scrub_item(scrub, walk->items[i].item);
    store_walk_release(scrub->store, scrub->scratch, walk);
    return walk->position == 0;
}

bool store_scrub_step(struct store_scrub *scrub, struct store_scratch *scratch, unsigned looks,
                      struct scrub_counts *counts)
{
    struct page_place place;
    lock_assert_none();
    scrub->scratch = scratch;
    scrub->counts = counts;
    for (; looks > 0 && !scrub->items_begun; looks--) {
        enum store_page_walked met =
            store_page_walk_next(scrub->store, &scrub->pages, false, &place);
        if (met == PAGE_WALK_PLACE) scrub_page(scrub, place);
        scrub->items_begun = met == PAGE_WALK_DONE;
    }
    store_page_walk_pause(&scrub->pages);
    return scrub->items_begun && looks > 0 && step_items(scrub);
}
