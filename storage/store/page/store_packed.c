/* SPDX-License-Identifier: BSD-3-Clause
 *
 * What a client packed is kept with the client's checksum of the plain page. Whether it unpacks to
 * that is found out where the page is read: by a client, or here for those that want it plain. */
#include "storage/store/page/store_packed.h"

#include "base/check.h"
#include "storage/store/store_internal.h"

enum fp_status store_page_store_packed(struct store *store, struct store_scratch *scratch,
                                       struct page_place place, const struct page_packed *page)
{
    struct fresh fresh = {.area = place.area, .packed = page};
    fp_assert(page->kind.format != PACKED_PLAIN && page->kind.format < PACKED_FORMATS);
    if (place.slot >= place.area->slot_count) return FP_RANGE;
    return store_page_put(store, scratch, place, &fresh, NULL);
}

static bool is_welcome(const struct page_wish *wish, enum packed_format format)
{
    return (wish->formats >> format & 1) != 0;
}

static void give_word(const struct page_wish *wish, const struct fetched *fetched,
                      struct page_packed *page)
{
    uint8_t *at = wish->out + wish->packed_at;
    memcpy(at, &fetched->word, sizeof fetched->word);
    page->kind = (struct packed_kind){.format = PACKED_WORD};
    page->bytes = (struct packed){.bytes = at, .size_bytes = sizeof fetched->word};
    page->crc = fetched->name.what == ZVALUE
                    ? entry_value_crc(fetched->name.value)
                    : entry_note_crc(fetched->name.note, fetched->head);
}

/* True: what was fetched is given as it is. Its seat is let go of: what it is was asked before. */
static bool give_packed(struct store_scratch *scratch, const struct page_wish *wish,
                        struct fetched *fetched, struct page_packed *page)
{
    if (entry_same_filled(fetched->name) && is_welcome(wish, PACKED_WORD)) {
        give_word(wish, fetched, page);
        return true;
    }
    if (fetched->compressor == NULL) return false;
    page->kind = compressor_kind(fetched->compressor);
    if (!is_welcome(wish, page->kind.format)) return false;
    compressor_release_id(&fetched->compressor, scratch->codec);
    page->bytes = fetched->packed;
    page->crc = entry_note_crc(fetched->name.note, fetched->head);
    return true;
}

/* What was copied next to where the plain page goes is put aside before it is unpacked. */
static enum fp_status give_plain(struct store *store, struct store_scratch *scratch,
                                 struct fetched *fetched, struct space out,
                                 struct page_packed *page)
{
    if (fetched->compressor != NULL && fetched->packed.bytes != scratch->packed) {
        memcpy(scratch->packed, fetched->packed.bytes, fetched->packed.size_bytes);
        fetched->packed.bytes = scratch->packed;
    }
    page->kind = (struct packed_kind){.format = PACKED_PLAIN};
    page->bytes = (struct packed){.bytes = out.bytes, .size_bytes = out.capacity_bytes};
    return store_unpack(store, scratch, fetched, out, &page->crc);
}

enum fp_status store_page_load_packed(struct store *store, struct store_scratch *scratch,
                                      struct page_place place, const struct page_wish *wish,
                                      struct page_packed *page)
{
    struct area *area = place.area;
    struct rooms rooms = {.plain = {wish->out, area->page_bytes},
                          .packed = {wish->out + wish->packed_at, area->page_bytes}};
    if (wish->formats == 0) rooms.packed = (struct space){scratch->packed, ZPOOL_OBJECT_BYTES_MAX};
    struct fetched fetched = {0};
    if (place.slot >= area->slot_count) return FP_RANGE;
    enum fp_status status = store_page_fetch(store, scratch, place, &rooms, &fetched);
    if (status == FP_OK && !give_packed(scratch, wish, &fetched, page)) {
        status = give_plain(store, scratch, &fetched, rooms.plain, page);
        if (status == FP_CORRUPT) store_count(&area->counters.corrupt, 1);
    }
    return status;
}

struct dictionary *store_page_dictionary(struct store *store, const struct area *area, uint32_t id)
{
    return compressor_dictionary_of(store->compressors, &area->dictionary.seat, id,
                                    area->generation);
}
