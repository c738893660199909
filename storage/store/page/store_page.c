/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Life of a slot: absent -(store)-> stored -(store)-> stored -(invalidate)-> absent
 *
 * A load copies the packed bytes out under the slot's lock and unpacks them after; so the slot may
 * name another meanwhile, and the loader sees either the old page or the new one, never a mixture.
 */
#include <string.h>

#include "storage/area/area_pin.h"
#include "storage/area/area_stand.h"
#include "storage/store/spill/store_spill_internal.h"
#include "storage/store/store_tenant.h"

/* True: an item of the same tenant has given way to it. */
static bool item_gives_way(struct store *store, struct store_scratch *scratch,
                           enum fp_status status, const struct stored *next)
{
    if (status != FP_QUOTA || next->quota != QUOTA_OF_TENANT_BYTES) return false;
    scratch->refused = (struct tenant_need){.bytes = next->name.size_bytes};
    return store_make_way(store, scratch, status);
}

/* Why a page was refused, in zswap's words; NULL: it was not even packed. */
static void count_refusal(struct store *store, const struct store_scratch *scratch,
                          struct area *area, enum fp_status status,
                          const struct stored *packed)
{
    struct store_counters *counters = &store->counters;
    struct tenant *tenant = &store->tenants.of[area->tenant];
    bool poor = status == FP_TOO_BIG || (status == FP_NO_MEMORY && scratch->poor);
    if (poor) store_count(&counters->reject_compress_poor, 1);
    if (status == FP_QUOTA) {
        store_count(&area->counters.over_quota, 1);
        store_count(&counters->reject_quota, 1);
        if (packed->quota == QUOTA_RESERVED) store_count(&tenant->over_reserve, 1);
        else if (packed->quota != QUOTA_OF_AREA) store_count(&tenant->over_quota, 1);
    }
    if (status != FP_NO_MEMORY) return;
    store_count(&area->counters.refused, 1);
    if (poor) return;
    store_count(&counters->no_memory, 1);
    if (scratch->unpackable) store_count(&counters->reject_compress_fail, 1);
    else if (scratch->met_limit) store_count(&counters->reject_reclaim_fail, 1);
    else if (packed == NULL) store_count(&counters->reject_alloc_fail, 1);
    else store_count(&counters->reject_kmemcache_fail, 1);
}

/* Else the last of the memory would be had from items by who cannot wait: buffers, new areas. */
static bool leaves_room_for_others(struct store *store, const struct store_scratch *scratch)
{
    bool any = atomic_load_explicit(&store->counters.item_packed_bytes, memory_order_relaxed) > 0;
    return any && store_waits_for_room(store, scratch);
}

/* Since the limit was met nothing has come down to the accept mark: who can wait does so without
 * trying, as long as write-back gets on. */
static bool waits(struct store *store, const struct store_scratch *scratch,
                  const struct fresh *fresh)
{
    uint64_t word;
    struct watermarks *marks = &store->watermarks;
    uint64_t limit = budget_wanted(&store->budget);
    bool full = watermarks_full(marks) &&
                !watermarks_accept(marks, store_settled_bytes(store), limit);
    if (!full && !leaves_room_for_others(store, scratch)) return false;
    bool small = fresh->packed == NULL && plain_is_same_filled(fresh->known.plain, &word);
    if (!scratch->may_wait || small) return false;
    if (store_spill_makes_room(store)) return true;
    watermarks_forget(marks);
    return false;
}

enum fp_status store_page_put(struct store *store, struct store_scratch *scratch,
                              struct page_place place, const struct fresh *fresh,
                              const struct area_pin *pin)
{
    struct area *area = place.area;
    struct stored next;
    struct zname old;
    if (waits(store, scratch, fresh)) return FP_LATER;
    scratch->met_limit = scratch->unpackable = scratch->poor = scratch->later = false;
    uint8_t client = scratch->tenant;
    scratch->tenant = area->tenant; /* its owner's: he gives way, or is given way to */
    enum fp_status status = store_pack_page(store, scratch, fresh, &next);
    bool packed = status == FP_OK;
    if (packed) {
        /* A row of the slot table is memory too: items give way for it as for an object. */
        do status = pin == NULL ? area_put(area, place.slot, &next, &old)
                                : area_put_pinned(area, pin, &next, &old);
        while (store_may_retry(store, scratch, status) ||
               item_gives_way(store, scratch, status, &next));
        if (status == FP_OK) store_name_ended(store, scratch, old);
        else store_handle_end(store, scratch, next.handle);
    }
    scratch->tenant = client;
    bool later = status == FP_NO_MEMORY && scratch->met_limit && scratch->may_wait;
    if (later && (scratch->later || store_spill_makes_room(store))) {
        store_count(&store->counters.pool_limit_hit, watermarks_hit(&store->watermarks));
        return FP_LATER;
    }
    store_count(&area->counters.stores, 1);
    if (scratch->met_limit) store_count(&store->counters.pool_limit_hit, 1);
    if (status != FP_OK) count_refusal(store, scratch, area, status, packed ? &next : NULL);
    return status;
}

void store_set_refuses_poor(struct store *store, bool on)
{
    atomic_store(&store->refuses_poor, on);
}

enum fp_status store_page_store(struct store *store, struct store_scratch *scratch,
                                struct page_place place, const uint8_t *page, uint32_t crc)
{
    struct fresh fresh = {.area = place.area, .known = {{page, place.area->page_bytes}, crc}};
    if (place.slot >= place.area->slot_count) return FP_RANGE;
    return store_page_put(store, scratch, place, &fresh, NULL);
}

enum fp_status store_page_sample(struct store *store, struct store_scratch *scratch,
                                 struct page_place place, uint8_t *out)
{
    uint32_t crc;
    struct space space = {.bytes = out, .capacity_bytes = place.area->page_bytes};
    struct fetched fetched = {0};
    area_slot_take(place.area, place.slot);
    struct zhandle handle = area_handle_locked(place.area, place.slot);
    enum fp_status status = store_fetch(store, scratch, handle, space, &fetched);
    area_slot_drop(place.area, place.slot); /* not touched: nobody asked for it */
    if (status == FP_OK && entry_same_filled(fetched.name)) return FP_ABSENT;
    return status == FP_OK ? store_unpack(store, scratch, &fetched, space, &crc) : status;
}

/* From what was read for the request, if the slot still names that. */
static enum fp_status fetch_arrived_locked(struct store *store, struct store_scratch *scratch,
                                           struct page_place place, const struct rooms *rooms,
                                           struct fetched *fetched)
{
    struct zhandle handle = area_handle_locked(place.area, place.slot);
    const struct store_read *read = store_read_find_locked(store, scratch, place, handle);
    if (read == NULL) return FP_SPILLED;
    if (read->status != FP_OK)
        return read->status == FP_NO_MEMORY ? FP_NO_MEMORY : FP_CORRUPT;
    struct zmap map = {.bytes = (uint8_t *)(uintptr_t)read->read.bytes,
                       .size_bytes = read->read.size_bytes,
                       .note = read->read.record.note};
    store_count(&store->spill->counters.spilled_loads, 1);
    return store_fetch_from(store, scratch, &map, rooms, fetched);
}

enum fp_status store_page_fetch(struct store *store, struct store_scratch *scratch,
                                struct page_place place, const struct rooms *rooms,
                                struct fetched *fetched)
{
    struct area *area = place.area;
    area_slot_take(area, place.slot);
    struct zhandle handle = area_handle_locked(area, place.slot);
    enum fp_status status = area_reads(area); /* what is being emptied is never absent */
    if (status == FP_OK) status = store_fetch_to(store, scratch, handle, rooms, fetched);
    if (status == FP_SPILLED)
        status = fetch_arrived_locked(store, scratch, place, rooms, fetched);
    if (fetched->name.what == ZOBJECT) zpool_touch(store->zpool, handle);
    area_slot_drop(area, place.slot);
    if (status == FP_SPILLED) return status; /* it comes again */
    store_count(&area->counters.loads, 1);
    if (status == FP_CORRUPT) store_count(&store->counters.corrupt, 1);
    if (status == FP_ABSENT) store_count(&area->counters.absent, 1);
    if (status == FP_CORRUPT) store_count(&area->counters.corrupt, 1);
    return status;
}

enum fp_status store_page_load(struct store *store, struct store_scratch *scratch,
                               struct page_place place, uint8_t *out, uint32_t *crc)
{
    struct area *area = place.area;
    if (place.slot >= area->slot_count) return FP_RANGE;
    struct rooms rooms = {.plain = {out, area->page_bytes},
                          .packed = {scratch->packed, ZPOOL_OBJECT_BYTES_MAX}};
    struct fetched fetched = {0};
    enum fp_status status = store_page_fetch(store, scratch, place, &rooms, &fetched);
    if (status != FP_OK) return status;
    status = store_unpack(store, scratch, &fetched, rooms.plain, crc);
    if (status == FP_CORRUPT) store_count(&area->counters.corrupt, 1);
    return status;
}

void store_page_empty_some(struct store *store, struct store_scratch *scratch, struct area *area,
                           uint64_t *slot, uint64_t end)
{
    enum { BATCH = 64, ROUNDS = 16 };
    struct zname ended[BATCH];
    for (int round = 0; round < ROUNDS && *slot < end; round++) {
        unsigned count = area_clear_some(area, slot, end, ended, BATCH);
        for (unsigned i = 0; i < count; i++) store_name_ended(store, scratch, ended[i]);
        store_count(&area->counters.invalidations, count);
    }
}

enum fp_status store_page_invalidate_some(struct store *store, struct store_scratch *scratch,
                                          struct area *area, uint64_t *slot, uint64_t end)
{
    enum fp_status status = area_writes(area);
    if (status != FP_OK) return status;
    store_page_empty_some(store, scratch, area, slot, end);
    return area_writes(area); /* moved meanwhile, it is to be done there, too */
}

#if FARPAGE_DEBUG_HOOKS
static enum fp_status damage(struct store *store, struct zhandle handle)
{
    struct zname name = zpool_look(store->zpool, handle);
    if (name.what == ZVALUE) {
        struct zhandle wrong;
        uint64_t value = name.value ^ 1ull << (ENTRY_CHECK_BITS + 5);
        enum fp_status status = zpool_alloc_value(store->zpool, value, &wrong);
        if (status == FP_OK) zpool_replace(store->zpool, handle, &wrong);
        return status;
    }
    struct zmap map;
    if (zpool_map(store->zpool, handle, ZACCESS_WRITE, &map) != FP_OK) return FP_ABSENT;
    /* Half of it: a bit or two may only lead the compressor to another match, as good. */
    for (uint32_t at = map.size_bytes / 2; at < map.size_bytes; at++) map.bytes[at] ^= 0xff;
    zpool_unmap(store->zpool, &map);
    return FP_OK;
}

enum fp_status store_damage_page(struct store *store, struct area *area, uint64_t slot)
{
    if (slot >= area->slot_count) return FP_RANGE;
    area_slot_take(area, slot);
    enum fp_status status = damage(store, area_handle_locked(area, slot));
    area_slot_drop(area, slot);
    return status;
}

enum fp_status store_damage_item(struct store *store, struct store_scratch *scratch,
                                 struct slice key)
{
    struct item *item = store_item_acquire(store, scratch, key, NULL);
    if (item == NULL) return FP_ABSENT;
    enum fp_status status = FP_OK;
    uint32_t count = item_piece_count(item);
    if (count > 0) status = damage(store, item->pieces[count / 2]);
    store_item_release(store, scratch, &item);
    return status;
}
#endif
