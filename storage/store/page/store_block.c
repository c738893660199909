/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Life of part of a page: the slot's page pinned -> unpacked -> changed -> packed and published, if
 *   the slot still holds what was pinned; else anew
 */
#include "storage/store/page/store_block.h"

#include <string.h>

#include "base/check.h"
#include "base/crc32c.h"
#include "storage/area/area_pin.h"
#include "storage/area/area_stand.h"
#include "storage/store/store_internal.h"

/* The checksum of a page of zeros. */
static uint32_t zeros_crc(uint32_t page_bytes)
{
    static const struct {
        uint32_t page_bytes, crc;
    } known[] = {{4 << 10, 0x98f94189}, {16 << 10, 0x94640b85}, {64 << 10, 0x72c0c4a4}};
    size_t i = 0;
    while (i < FP_COUNT_OF(known) && known[i].page_bytes != page_bytes) i++;
    fp_assert(i < FP_COUNT_OF(known));
    return known[i].crc;
}

static bool is_zeros(struct zname name)
{
    return name.what == ZVALUE && entry_value_word(name.value) == 0;
}

enum fp_status store_block_read(struct store *store, struct store_scratch *scratch,
                                struct page_place place, uint8_t *out, bool *zeros)
{
    struct area *area = place.area;
    struct rooms rooms = {.plain = {out, area->page_bytes},
                          .packed = {scratch->packed, ZPOOL_OBJECT_BYTES_MAX}};
    struct fetched fetched = {0};
    uint32_t crc;
    *zeros = false;
    if (place.slot >= area->slot_count) return FP_RANGE;
    enum fp_status status = store_page_fetch(store, scratch, place, &rooms, &fetched);
    bool as_word = status == FP_OK && is_zeros(fetched.name) &&
                   entry_value_matches(fetched.name.value, zeros_crc(area->page_bytes));
    *zeros = status == FP_ABSENT || as_word;
    if (*zeros) return FP_OK;
    if (status != FP_OK) return status;
    status = store_unpack(store, scratch, &fetched, rooms.plain, &crc);
    if (status == FP_CORRUPT) store_count(&area->counters.corrupt, 1);
    return status;
}

/* --- writing ---------------------------------------------------------------------------------- */

static bool all_zeros(const uint8_t *page, uint32_t page_bytes)
{
    uint64_t word;
    return plain_is_same_filled((struct plain){page, page_bytes}, &word) && word == 0;
}

static struct fresh fresh_of(struct page_place place, const uint8_t *page)
{
    uint32_t size = place.area->page_bytes;
    return (struct fresh){.area = place.area, .known = {{page, size}, crc32c(page, size)}};
}

enum fp_status store_block_write(struct store *store, struct store_scratch *scratch,
                                 struct page_place place, const uint8_t *page)
{
    uint64_t slot = place.slot;
    if (slot >= place.area->slot_count) return FP_RANGE;
    if (all_zeros(page, place.area->page_bytes)) {
        enum fp_status status =
            store_page_invalidate_some(store, scratch, place.area, &slot, slot + 1);
        return status == FP_OK && slot == place.slot ? FP_FROZEN : status;
    }
    struct fresh fresh = fresh_of(place, page);
    return store_page_put(store, scratch, place, &fresh, NULL);
}

enum fp_status store_block_zero(struct store *store, struct store_scratch *scratch,
                                struct page_place place)
{
    static const uint8_t word[PACKED_WORD_BYTES];
    struct page_packed page = {.kind = {.format = PACKED_WORD},
                               .bytes = {.bytes = word, .size_bytes = sizeof word},
                               .crc = zeros_crc(place.area->page_bytes)};
    struct fresh fresh = {.area = place.area, .packed = &page};
    if (place.slot >= place.area->slot_count) return FP_RANGE;
    return store_page_put(store, scratch, place, &fresh, NULL);
}

/* --- writing part of a page ------------------------------------------------------------------- */

static enum fp_status unpack_pinned(struct store *store, struct store_scratch *scratch,
                                    const struct area_pin *pin, struct space room)
{
    struct mapped mapped = {.name = pin->name, .map = pin->map};
    if (pin->name.what != ZNOTHING) return store_unpack_mapped(store, scratch, &mapped, room);
    memset(room.bytes, 0, room.capacity_bytes);
    return FP_OK;
}

static enum fp_status clear_pinned(struct store *store, struct store_scratch *scratch,
                                   struct area *area, const struct area_pin *pin)
{
    struct zname ended;
    enum fp_status status = area_clear_pinned(area, pin, &ended);
    store_name_ended(store, scratch, ended);
    store_count(&area->counters.invalidations, status == FP_OK);
    return status;
}

struct change {
    const struct block_part *part;
    uint8_t *room; /* page_bytes */
};

static enum fp_status change_pinned(struct store *store, struct store_scratch *scratch,
                                    const struct area_pin *pin, struct page_place place,
                                    const struct change *change)
{
    struct space room = {change->room, place.area->page_bytes};
    const struct block_part *part = change->part;
    enum fp_status status = unpack_pinned(store, scratch, pin, room);
    if (status == FP_CORRUPT) store_count(&place.area->counters.corrupt, 1);
    if (status != FP_OK) return status;
    if (part->bytes != NULL) memcpy(room.bytes + part->offset, part->bytes, part->size_bytes);
    else memset(room.bytes + part->offset, 0, part->size_bytes);
    if (all_zeros(room.bytes, place.area->page_bytes))
        return clear_pinned(store, scratch, place.area, pin);
    struct fresh fresh = fresh_of(place, room.bytes);
    return store_page_put(store, scratch, place, &fresh, pin);
}

enum fp_status store_block_write_part(struct store *store, struct store_scratch *scratch,
                                      struct page_place place, const struct block_part *part,
                                      uint8_t *room)
{
    struct area *area = place.area;
    struct area_pin *pin;
    enum fp_status status;
    lock_assert_none();
    if (place.slot >= area->slot_count) return FP_RANGE;
    do {
        do status = area_pin_acquire(area, place.slot, AREA_PIN_COMPARES, &pin);
        while (store_may_retry(store, scratch, status));
        if (status != FP_OK) break;
        struct change change = {part, room};
        status = change_pinned(store, scratch, pin, place, &change);
        store_name_ended(store, scratch, area_pin_release(area, &pin, AREA_PIN_COMPARES));
    } while (status == FP_EXISTS);
    return status;
}

/* --- looking ---------------------------------------------------------------------------------- */

enum { SKIP_COSTS_ROWS = 8 }; /* looking for the next row in use takes as long */

static enum block_kind kind_locked(const struct store *store, const struct area *area,
                                   uint64_t slot)
{
    struct zname name = zpool_look(store->zpool, area_handle_locked(area, slot));
    if (name.what == ZNOTHING) return BLOCK_ABSENT;
    return is_zeros(name) ? BLOCK_ZEROS : BLOCK_DATA;
}

/* Goes on with a run within the row of its end. False: another kind begins there. */
static bool look_row(const struct store *store, struct area *area, uint64_t end, bool begun,
                     struct block_run *run)
{
    uint64_t stop = (run->end / AREA_ROW_SLOTS + 1) * AREA_ROW_SLOTS;
    bool alike = true;
    uint64_t first = run->end;
    if (stop > end) stop = end;
    area_slot_take(area, first);
    if (!begun) run->kind = kind_locked(store, area, first);
    while (run->end < stop && alike) {
        alike = kind_locked(store, area, run->end) == run->kind;
        run->end += alike;
    }
    area_slot_drop(area, first);
    return alike;
}

struct block_run store_block_look(struct store *store, struct area *area, uint64_t slot,
                                  uint64_t end, uint32_t *rows)
{
    struct block_run run = {.end = slot, .kind = BLOCK_ABSENT};
    fp_assert(slot < end && end <= area->slot_count);
    while (run.end < end && *rows > 0) {
        bool begun = run.end > slot;
        uint64_t next = area_skip_unused(area, run.end);
        --*rows;
        if (next == run.end) {
            if (!look_row(store, area, end, begun, &run)) break;
            continue;
        }
        if (begun && run.kind != BLOCK_ABSENT) break;
        run.end = next < end ? next : end;
        *rows -= *rows < SKIP_COSTS_ROWS ? *rows : SKIP_COSTS_ROWS;
    }
    return run;
}
