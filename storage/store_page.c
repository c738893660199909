/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Life of a slot: absent -(store)-> stored -(store)-> stored -(invalidate)-> absent
 *
 * A load copies the packed bytes out under the slot's lock and unpacks them after; so the entry may
 * be replaced meanwhile, and the loader sees either the old page or the new one, never a mixture.
 */
#include <string.h>

#include "storage/store_internal.h"

enum fp_status store_page_store(struct store *store, struct store_scratch *scratch,
                                struct page_place place, const uint8_t *page, uint32_t crc)
{
    struct area *area = place.area;
    if (place.slot >= area->slot_count) return FP_RANGE;
    struct plain plain = {.bytes = page, .size_bytes = area->page_bytes};
    struct entry next, old;
    store_count(&area->counters.stores, 1);
    enum fp_status status = store_pack(store, scratch, plain, crc, &next);
    if (status == FP_OK) {
        status = area_put(area, place.slot, next, &old);
        /* A chunk of the slot table is memory too: items give way for it as for an object. */
        while (status == FP_NO_MEMORY && store_evict_one(store, scratch))
            status = area_put(area, place.slot, next, &old);
        store_entry_end(store, status == FP_OK ? old : next);
    }
    if (status != FP_OK) {
        store_count(&area->counters.refused, 1);
        store_count(&store->counters.no_memory, 1);
    }
    return status;
}

enum fp_status store_page_load(struct store *store, struct store_scratch *scratch,
                               struct page_place place, uint8_t *out, uint32_t *crc)
{
    struct area *area = place.area;
    if (place.slot >= area->slot_count) return FP_RANGE;
    struct space space = {.bytes = out, .capacity_bytes = area->page_bytes};
    struct fetched fetched = {0};
    store_count(&area->counters.loads, 1);

    area_slot_take(area, place.slot);
    struct entry entry = area_get_locked(area, place.slot);
    enum fp_status status = FP_ABSENT;
    if (entry_kind(entry) != ENTRY_ABSENT)
        status = store_fetch(store, scratch, entry, space, &fetched);
    area_slot_drop(area, place.slot);

    if (status == FP_CORRUPT) store_count(&store->counters.corrupt, 1);
    if (status == FP_OK) status = store_unpack(store, scratch, &fetched, space, crc);
    if (status == FP_ABSENT) store_count(&area->counters.absent, 1);
    if (status == FP_CORRUPT) store_count(&area->counters.corrupt, 1);
    return status;
}

void store_page_invalidate_some(struct store *store, struct area *area, uint64_t *slot,
                                uint64_t end)
{
    enum { BATCH = 64, ROUNDS = 16 };
    struct entry entries[BATCH];
    for (int round = 0; round < ROUNDS && *slot < end; round++) {
        unsigned count = area_clear_some(area, slot, end, entries, BATCH);
        for (unsigned i = 0; i < count; i++) store_entry_end(store, entries[i]);
        store_count(&area->counters.invalidations, count);
    }
}

#if FARPAGE_DEBUG_HOOKS
static void damage_entry(struct store *store, struct entry *entry)
{
    struct zmap map;
    if (!entry_has_object(*entry)) {
        entry->word ^= 1u << 5;
        return;
    }
    fp_assert(zpool_map(store->zpool, entry_handle(*entry), ZACCESS_WRITE, &map) == FP_OK);
    map.bytes[entry_size_bytes(*entry) / 2] ^= 1u << 5;
    zpool_unmap(store->zpool, &map);
}

enum fp_status store_damage_page(struct store *store, struct area *area, uint64_t slot)
{
    if (slot >= area->slot_count) return FP_RANGE;
    area_slot_take(area, slot);
    struct entry entry = area_get_locked(area, slot);
    area_slot_drop(area, slot);
    if (entry_kind(entry) == ENTRY_ABSENT) return FP_ABSENT;
    damage_entry(store, &entry);
    struct entry old;
    return area_put(area, slot, entry, &old);
}

enum fp_status store_damage_item(struct store *store, struct store_scratch *scratch,
                                 struct slice key)
{
    struct item *item = store_item_acquire(store, scratch, key, NULL);
    if (item == NULL) return FP_ABSENT;
    if (item->piece_count > 0) damage_entry(store, &item->pieces[item->piece_count / 2]);
    store_item_release(store, &item);
    return FP_OK;
}
#endif
