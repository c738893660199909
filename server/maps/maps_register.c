/* SPDX-License-Identifier: BSD-3-Clause */
#include "server/maps/maps_register.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/check.h"

void maps_register_init(struct maps_register *maps)
{
    *maps = (struct maps_register){0};
    lock_init(&maps->lock, RANK_MAPS);
}

void maps_register_fini(struct maps_register *maps)
{
    fp_assert(maps->oldest == NULL && maps->count == 0 && atomic_load(&maps->bytes) == 0);
    lock_fini(&maps->lock);
}

bool maps_register_reserve(struct maps_register *maps, uint64_t bytes, uint64_t max)
{
    uint64_t held = atomic_load(&maps->bytes);
    do {
        if (held > max || bytes > max - held) return false;
    } while (!atomic_compare_exchange_weak(&maps->bytes, &held, held + bytes));
    return true;
}

void maps_register_unreserve(struct maps_register *maps, uint64_t bytes)
{
    fp_assert(atomic_fetch_sub(&maps->bytes, bytes) >= bytes);
}

void maps_register_link(struct maps_register *maps, struct maps_row *row)
{
    lock_take(&maps->lock);
    row->number = ++maps->last_number;
    row->newer = NULL;
    row->older = maps->newest;
    if (row->older != NULL) row->older->newer = row;
    else maps->oldest = row;
    maps->newest = row;
    maps->count++;
    lock_drop(&maps->lock);
}

void maps_register_unlink(struct maps_register *maps, struct maps_row *row)
{
    lock_take(&maps->lock);
    if (row->older != NULL) row->older->newer = row->newer;
    else maps->oldest = row->newer;
    if (row->newer != NULL) row->newer->older = row->older;
    else maps->newest = row->older;
    maps->count--;
    lock_drop(&maps->lock);
}

uint64_t maps_register_count(struct maps_register *maps)
{
    lock_take(&maps->lock);
    uint64_t count = maps->count;
    lock_drop(&maps->lock);
    return count;
}

uint64_t maps_register_each(struct maps_register *maps, uint64_t max,
                            void (*each)(void *context, const struct maps_row *row), void *context)
{
    lock_take(&maps->lock);
    uint64_t count = maps->count;
    for (const struct maps_row *row = maps->oldest; row != NULL && max > 0; row = row->newer) {
        each(context, row);
        max--;
    }
    lock_drop(&maps->lock);
    return count;
}

static bool writes(const struct maps_row *row, struct page_place place)
{
    const struct store_map *map = row->map;
    return map->item == NULL && map->place.area == place.area && map->place.slot == place.slot &&
           map->mode != MAP_READ;
}

/* The newest: an older one may hold a page that the slot does not hold any more. */
bool maps_register_writer(struct maps_register *maps, struct page_place place, uint64_t now_ms,
                          struct maps_writer_text *text)
{
    lock_take(&maps->lock);
    const struct maps_row *row = maps->newest;
    while (row != NULL && !writes(row, place)) row = row->older;
    bool found = row != NULL;
    if (found) {
        uint64_t since_ms = now_ms > row->made_ms ? now_ms - row->made_ms : 0;
        snprintf(text->bytes, sizeof text->bytes, "%s writes it for %" PRIu64 " s now",
                 row->conn->peer, since_ms / 1000);
    }
    lock_drop(&maps->lock);
    return found;
}
