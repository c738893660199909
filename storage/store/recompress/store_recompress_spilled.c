/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Life of what is spilled and whose seat drains: read by the walk's own thread -> unpacked, and
 * packed with the current compressor -> in memory, in the place of the spilled one, if that is
 * still what is named. Write-back takes it from there where memory is short; so a seat empties as
 * fast as both may go, and no faster.
 */
#include "storage/area/area_pin.h"
#include "storage/area/area_stand.h"
#include "storage/store/recompress/store_recompress_internal.h"
#include "storage/store/spill/store_spill_internal.h"

struct recompress_want recompress_want_spilled(const struct recompress *walk, uint32_t note)
{
    struct recompress_want want = recompress_want(walk, note, true);
    return want.leave ? want : (struct recompress_want){NULL, false};
}

static enum fp_status fetch(struct recompress *walk, const struct store_read *read,
                            struct space plain, struct fetched *fetched)
{
    struct zmap map = {.bytes = (uint8_t *)(uintptr_t)read->read.bytes,
                       .size_bytes = read->read.size_bytes,
                       .note = read->read.record.note};
    struct rooms rooms = {.plain = plain,
                          .packed = {walk->scratch->packed, ZPOOL_OBJECT_BYTES_MAX}};
    return store_fetch_from(walk->store, walk->scratch, &map, &rooms, fetched);
}

enum fp_status recompress_fetch_piece(struct recompress *walk, struct item *item, uint32_t piece,
                                      struct space plain, struct fetched *fetched)
{
    struct store_read read;
    enum fp_status status = spill_piece_run(walk->store, item, piece, &read);
    if (status == FP_ABSENT) return FP_CORRUPT; /* it was spilled, and whoever holds it sees that */
    if (status == FP_OK) status = fetch(walk, &read, plain, fetched);
    store_read_end(walk->store, walk->scratch, &read);
    return status;
}

static bool replace(struct recompress *walk, const struct store_read *read, struct stored *next)
{
    struct area *area = read->place.area;
    struct zname old = {.what = ZNOTHING};
    area_slot_take(area, read->place.slot);
    struct zhandle handle = area_handle_locked(area, read->place.slot);
    bool same = zpool_says(walk->store->zpool, handle) == read->said &&
                area_reads(area) == FP_OK && !area_pinned_locked(area, read->place.slot);
    if (same) old = area_replace_locked(area, read->place.slot, next);
    area_slot_drop(area, read->place.slot);
    if (same) store_name_ended(walk->store, walk->scratch, old);
    else store_handle_end(walk->store, walk->scratch, next->handle);
    return same;
}

static enum fp_status rewrite(struct recompress *walk, const struct store_read *read)
{
    struct space space = {.bytes = walk->plain,
                          .capacity_bytes = read->place.area->page_bytes};
    struct known known = {.plain = {walk->plain, space.capacity_bytes}};
    struct recompress_want want = recompress_want_spilled(walk, read->read.record.note);
    struct repack repack = {want.target, UINT64_MAX};
    struct fetched fetched;
    struct stored next;
    if (want.target == NULL) return FP_BUSY; /* it is another by now */
    enum fp_status status = fetch(walk, read, space, &fetched);
    if (status == FP_OK)
        status = store_unpack(walk->store, walk->scratch, &fetched, space, &known.crc);
    if (status == FP_OK) status = store_repack(walk->store, walk->scratch, &repack, known, &next);
    recompress_between(walk);
    if (status != FP_OK) return status;
    return replace(walk, read, &next) ? FP_OK : FP_BUSY;
}

void recompress_spilled_page(struct recompress *walk, struct page_place place)
{
    struct store_read read;
    if (store_read_begin(walk->store, NULL, place, &read) != FP_OK) return;
    store_read_run(walk->store, &read);
    enum fp_status status = read.status == FP_OK ? rewrite(walk, &read) : read.status;
    walk->counts->rewritten += status == FP_OK;
    walk->counts->skipped_changed += status == FP_BUSY;
    walk->counts->skipped_no_memory += status == FP_NO_MEMORY;
    walk->counts->corrupt += status == FP_CORRUPT || status == FP_IO;
    store_read_end(walk->store, walk->scratch, &read);
}
