/* SPDX-License-Identifier: BSD-3-Clause
 *
 * A page that is mapped is held by the slot's pin (area_pin.h), which all who map it share. */
#include "base/crc32c.h"
#include "storage/area/area_pin.h"
#include "storage/store/map/store_map_internal.h"

static enum area_pin_use use_of(enum map_mode mode)
{
    if (mode == MAP_OVERWRITE) return AREA_PIN_OVERWRITES;
    return mode == MAP_READ_WRITE ? AREA_PIN_WRITES : AREA_PIN_READS;
}

static void let_go(struct store *store, struct store_scratch *scratch, struct area *area,
                   struct area_pin **pin, enum map_mode mode)
{
    store_name_ended(store, scratch, area_pin_release(area, pin, use_of(mode)));
}

static struct map_shape shape_of(const struct area *area, const struct area_pin *pin,
                                 enum map_mode mode)
{
    return (struct map_shape){.mode = mode,
                              .size_bytes = area->page_bytes,
                              .piece_bytes = area->page_bytes,
                              .copy = map_writes(mode) || !store_lends(pin->name),
                              .extra_bytes = AREA_PIN_BYTES};
}

enum fp_status store_map_page(struct store *store, struct store_scratch *scratch,
                              struct page_place place, const struct map_wish *wish,
                              struct store_map **map)
{
    lock_assert_none();
    if (place.slot >= place.area->slot_count) return FP_RANGE;
    if (place.area->page_bytes > wish->bytes_max) return FP_TOO_BIG;
    struct area_pin *pin;
    enum fp_status status;
    do status = area_pin_acquire(place.area, place.slot, use_of(wish->mode), &pin);
    while (store_may_retry(store, scratch, status));
    if (status == FP_CORRUPT) store_count(&store->counters.corrupt, 1);
    if (status != FP_OK) return status;
    struct map_shape shape = shape_of(place.area, pin, wish->mode);
    status = store_map_create(store, scratch, &shape, map);
    if (status != FP_OK) {
        let_go(store, scratch, place.area, &pin, wish->mode);
        return status;
    }
    (*map)->pieces[0].mapped = (struct mapped){.name = pin->name, .map = pin->map};
    area_acquire(place.area);
    (*map)->place = place;
    (*map)->pin = pin;
    return FP_OK;
}

void store_map_let_go_page(struct store_map *map, struct store_scratch *scratch)
{
    let_go(map->store, scratch, map->place.area, &map->pin, map->mode);
    area_release(&map->place.area);
}

bool store_map_still_page(struct store_map *map)
{
    struct area *area = map->place.area;
    area_slot_take(area, map->place.slot);
    bool still = area_pin_current_locked(area, map->pin);
    area_slot_drop(area, map->place.slot);
    return still;
}

enum fp_status store_map_publish_page(struct store_map *map, struct store_scratch *scratch,
                                      struct slice bytes)
{
    struct known known = {.plain = {.bytes = bytes.bytes, .size_bytes = bytes.size_bytes},
                          .crc = crc32c(bytes.bytes, bytes.size_bytes)};
    struct fresh fresh = {.area = map->place.area, .known = known};
    return store_page_put(map->store, scratch, map->place, &fresh, map->pin);
}
