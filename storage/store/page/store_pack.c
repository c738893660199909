/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Life of what is stored:
 *   plain bytes -> one repeated word?            -> a value, or a WORD object
 *               -> packs to something cheaper?   -> a PACKED object of the current seat
 *               -> else                          -> a PLAIN or WHOLE object, the bytes as they are
 * "Cheaper" asks the allocator what both sizes really cost, so that there is no magic threshold.
 * In an area whose pages are kept as they are each is a PLAIN or WHOLE object, one of a repeated
 * word too: how long a store or load takes then tells nobody anything of what is in the page.
 *
 * Order of a store: pack, allocate, copy, publish, then free the old one: whatever fails on the
 * way, the old content is still there. Packing and unpacking hold no lock.
 */
#include <string.h>

#include "base/crc32c.h"
#include "storage/store/page/store_area.h"
#include "storage/store/store_again.h"
#include "storage/store/store_dictionary.h"
#include "storage/store/store_internal.h"

enum {
    /* Some of the largest zspages: where so much is free and an object is refused, memory is not
     * what is missing, and the store is refused rather than the cache emptied. */
    EVICTION_ENOUGH_BYTES = 256 << 10,
    REAP_STEPS_MAX = 8, /* of a deleted area that is nearly empty */
};

static bool has_free(const struct store *store, uint64_t bytes)
{
    return budget_total(&store->budget) + bytes <= budget_limit(&store->budget);
}

bool store_may_retry(struct store *store, struct store_scratch *scratch, enum fp_status status)
{
    if (status != FP_NO_MEMORY || has_free(store, EVICTION_ENOUGH_BYTES)) return false;
    scratch->met_limit = true;
    uint64_t ended = 0; /* what was deleted goes before what is still wanted */
    for (int i = 0; i < REAP_STEPS_MAX && ended == 0; i++)
        if (!store_area_reap_step(store, scratch, &ended)) break;
    return ended > 0 || store_evict_one(store, scratch);
}

bool store_charge(struct store *store, struct store_scratch *scratch, enum budget_use use,
                  uint64_t bytes)
{
    if (bytes > budget_limit(&store->budget)) return false; /* and all items would not help */
    while (!budget_charge(&store->budget, use, bytes))
        if (!store_evict_one(store, scratch)) return false;
    return true;
}

/* For whom something is kept: a client, for whom items give way where memory is short; or the store
 * itself, which keeps anew what it has already: then nothing gives way. */
struct keeper {
    struct store *store;
    struct store_scratch *scratch;
    bool gives_way;
};

static bool keeper_may_retry(const struct keeper *keeper, enum fp_status status)
{
    return keeper->gives_way && store_may_retry(keeper->store, keeper->scratch, status);
}

struct content { /* of an object: a head, where its form has one, and the bytes */
    uint32_t note;
    uint16_t head;
    struct slice bytes;
};

static struct content content_of(enum entry_form form, uint8_t seat, uint32_t crc,
                                 struct slice bytes)
{
    return (struct content){
        .note = entry_note(form, seat, crc), .head = entry_head(crc), .bytes = bytes};
}

static size_t object_bytes(const struct content *content)
{
    return entry_head_bytes(entry_form(content->note)) + content->bytes.size_bytes;
}

static enum fp_status keep_object(const struct keeper *keeper, const struct content *content,
                                  struct stored *stored)
{
    struct zmap map;
    struct zpool *pool = keeper->store->zpool;
    uint32_t head_bytes = entry_head_bytes(entry_form(content->note));
    size_t size_bytes = object_bytes(content);
    enum fp_status status;
    do status = zpool_alloc(pool, size_bytes, content->note, &stored->handle);
    while (keeper_may_retry(keeper, status));
    if (status != FP_OK) return status;
    fp_assert(zpool_map(pool, stored->handle, ZACCESS_WRITE, &map) == FP_OK);
    memcpy(map.bytes, &content->head, head_bytes);
    memcpy(map.bytes + head_bytes, content->bytes.bytes, content->bytes.size_bytes);
    zpool_unmap(pool, &map);
    stored->name = (struct zname){
        .what = ZOBJECT, .note = content->note, .size_bytes = (uint32_t)size_bytes};
    return FP_OK;
}

static enum fp_status keep_word(const struct keeper *keeper, uint64_t word, uint32_t crc,
                                struct stored *stored)
{
    if ((uint32_t)word != word >> 32) {
        struct content content =
            content_of(ENTRY_WORD, 0, crc, slice_of(&word, sizeof word));
        return keep_object(keeper, &content, stored);
    }
    uint64_t value = entry_value((uint32_t)word, crc);
    enum fp_status status;
    do status = zpool_alloc_value(keeper->store->zpool, value, &stored->handle);
    while (keeper_may_retry(keeper, status));
    stored->name = (struct zname){.what = ZVALUE, .value = value};
    return status;
}

static enum entry_form form_of_plain(size_t size_bytes)
{
    return size_bytes % PAGES_BYTES == 0 ? ENTRY_WHOLE : ENTRY_PLAIN;
}

/* Packs where that is worth it. FP_TOO_BIG: keep the bytes plain. FP_NO_MEMORY: refuse them. */
static enum fp_status pack_if_cheaper(struct store *store, struct store_scratch *scratch,
                                      struct compressor *compressor, struct plain plain,
                                      struct packed *packed)
{
    struct space space = {.bytes = scratch->packed, .capacity_bytes = plain.size_bytes - 1};
    if (space.capacity_bytes == 0) return FP_TOO_BIG;
    enum fp_status status = compressor_pack(compressor, scratch->codec, plain, space, packed);
    if (status != FP_OK) return status;
    uint32_t head_bytes = entry_head_bytes(form_of_plain(plain.size_bytes));
    bool cheaper = zpool_cost_bytes(store->zpool, packed->size_bytes + ENTRY_HEAD_BYTES) <
                   zpool_cost_bytes(store->zpool, plain.size_bytes + head_bytes);
    return cheaper ? FP_OK : FP_TOO_BIG;
}

/* What the bytes become, in scratch->packed or as they are. FP_NO_MEMORY. */
static enum fp_status pack_or_not(struct store *store, struct store_scratch *scratch,
                                  struct compressor *compressor, struct known known,
                                  struct content *content)
{
    struct packed packed;
    struct plain plain = known.plain;
    enum fp_status status = pack_if_cheaper(store, scratch, compressor, plain, &packed);
    if (status == FP_NO_MEMORY) return status;
    *content = status == FP_OK
                   ? content_of(ENTRY_PACKED, compressor_id(compressor), known.crc,
                                slice_of(packed.bytes, packed.size_bytes))
                   : content_of(form_of_plain(plain.size_bytes), 0, known.crc,
                                slice_of(plain.bytes, plain.size_bytes));
    return FP_OK;
}

static enum fp_status keep_content(const struct keeper *keeper, struct compressor *compressor,
                                   const struct content *content, struct stored *stored)
{
    enum fp_status status = keep_object(keeper, content, stored);
    bool packed = status == FP_OK && entry_form(content->note) == ENTRY_PACKED;
    if (packed && !compressor_object_born(compressor, keeper->scratch->codec)) {
        (void)zpool_free(keeper->store->zpool, &stored->handle);
        status = FP_NO_MEMORY;
    }
    return status;
}

static enum fp_status keep_packed_or_plain(struct store *store, struct store_scratch *scratch,
                                           const struct fresh *fresh, struct stored *stored)
{
    struct compressor *compressor = store_compressor_acquire(store, scratch, fresh->area);
    scratch->unpackable = compressor == NULL;
    if (compressor == NULL) return FP_NO_MEMORY;
    struct content content;
    struct keeper keeper = {store, scratch, true};
    enum fp_status status = pack_or_not(store, scratch, compressor, fresh->known, &content);
    scratch->unpackable = status != FP_OK;
    bool plain = status == FP_OK && entry_form(content.note) != ENTRY_PACKED;
    scratch->poor = plain && fresh->area != NULL &&
                    atomic_load_explicit(&store->refuses_poor, memory_order_relaxed);
    if (scratch->poor) status = FP_NO_MEMORY;
    if (status == FP_OK) status = keep_content(&keeper, compressor, &content, stored);
    compressor_release(&compressor, scratch->codec);
    return status;
}

static enum fp_status keep_as_plain(const struct keeper *keeper, struct known known,
                                    struct stored *stored)
{
    struct content content = content_of(form_of_plain(known.plain.size_bytes), 0, known.crc,
                                        slice_of(known.plain.bytes, known.plain.size_bytes));
    return keep_object(keeper, &content, stored);
}

static bool fits_a_page(const struct area *area, const struct page_packed *page)
{
    size_t size = page->bytes.size_bytes;
    if (page->kind.format == PACKED_WORD) return size == PACKED_WORD_BYTES;
    return size > 0 && size < area->page_bytes && size + ENTRY_HEAD_BYTES <= ZPOOL_OBJECT_BYTES_MAX;
}

/* The seat is that of its format and dictionary; nothing is unpacked. */
static enum fp_status keep_as_it_is(const struct keeper *keeper, struct area *area,
                                    const struct page_packed *page, struct stored *stored)
{
    struct compressor_pool *compressors = keeper->store->compressors;
    struct codec_scratch *codec = keeper->scratch->codec;
    uint8_t seat;
    if (!fits_a_page(area, page)) return FP_TOO_BIG;
    if (page->kind.format == PACKED_WORD) {
        uint64_t word;
        memcpy(&word, page->bytes.bytes, sizeof word);
        return page->kind.dictionary_id == 0 ? keep_word(keeper, word, page->crc, stored)
                                             : FP_ABSENT;
    }
    enum fp_status status =
        compressor_adopt(compressors, &area->dictionary.seat, page->kind, codec, &seat);
    if (status != FP_OK) return status;
    struct content content = content_of(ENTRY_PACKED, seat, page->crc,
                                        slice_of(page->bytes.bytes, page->bytes.size_bytes));
    status = keep_object(keeper, &content, stored);
    if (status != FP_OK) compressor_object_died(compressors, seat, codec);
    return status;
}

enum fp_status store_keep_again(struct store *store, struct store_scratch *scratch,
                                const struct again *again, struct stored *stored)
{
    static const uint8_t nothing = 0; /* no plain bytes are of that length with that checksum */
    struct keeper keeper = {store, scratch, true};
    struct content content;
    uint64_t word;
    lock_assert_none();
    if (again->bytes.size_bytes + ENTRY_HEAD_BYTES > ZPOOL_OBJECT_BYTES_MAX &&
        again->form != AGAIN_PLAIN)
        return FP_TOO_BIG;
    switch (again->form) {
    case AGAIN_WORD:
        memcpy(&word, again->bytes.bytes, sizeof word);
        return keep_word(&keeper, word, again->crc, stored);
    case AGAIN_PACKED:
        content = content_of(ENTRY_PACKED, compressor_id(again->compressor), again->crc,
                             again->bytes);
        break;
    case AGAIN_CORRUPT:
        content = content_of(ENTRY_PLAIN, 0, 0, slice_of(&nothing, sizeof nothing));
        break;
    case AGAIN_PLAIN:
    default:
        content = content_of(form_of_plain(again->bytes.size_bytes), 0, again->crc, again->bytes);
        break;
    }
    if (object_bytes(&content) > zpool_properties(store->zpool)->object_bytes_max)
        return FP_TOO_BIG;
    return keep_content(&keeper, again->compressor, &content, stored);
}

enum fp_status store_pack_page(struct store *store, struct store_scratch *scratch,
                               const struct fresh *fresh, struct stored *stored)
{
    struct plain plain = fresh->known.plain;
    struct keeper keeper = {store, scratch, true};
    lock_assert_none();
    if (fresh->packed != NULL) return keep_as_it_is(&keeper, fresh->area, fresh->packed, stored);
    fp_assert(plain.size_bytes > 0 && plain.size_bytes <= ZPOOL_OBJECT_BYTES_MAX);
    fp_assert(plain.size_bytes % PAGES_BYTES == 0 ||
              plain.size_bytes + ENTRY_HEAD_BYTES <= ZPOOL_OBJECT_BYTES_MAX);
    if (fresh->area != NULL && fresh->area->as_they_are)
        return keep_as_plain(&keeper, fresh->known, stored);
    uint64_t word;
    if (plain_is_same_filled(plain, &word))
        return keep_word(&keeper, word, fresh->known.crc, stored);
    return keep_packed_or_plain(store, scratch, fresh, stored);
}

enum fp_status store_repack(struct store *store, struct store_scratch *scratch,
                            const struct repack *repack, struct known known, struct stored *stored)
{
    lock_assert_none();
    uint64_t word;
    struct content content;
    struct keeper keeper = {store, scratch, false};
    if (plain_is_same_filled(known.plain, &word))
        return keep_word(&keeper, word, known.crc, stored);
    enum fp_status status = pack_or_not(store, scratch, repack->compressor, known, &content);
    if (status != FP_OK) return status;
    if (zpool_cost_bytes(store->zpool, object_bytes(&content)) >= repack->below_cost_bytes)
        return FP_TOO_BIG;
    return keep_content(&keeper, repack->compressor, &content, stored);
}

enum fp_status store_pack(struct store *store, struct store_scratch *scratch, struct plain plain,
                          uint32_t crc, struct stored *stored)
{
    struct fresh fresh = {.area = NULL, .known = {plain, crc}};
    return store_pack_page(store, scratch, &fresh, stored);
}

void store_name_ended(struct store *store, struct store_scratch *scratch, struct zname name)
{
    lock_assert_none();
    if (name.what == ZSPILLED) store_spill_forget(store, name);
    if (name.what >= ZOBJECT && entry_form(name.note) == ENTRY_PACKED)
        compressor_object_died(store->compressors, entry_seat(name.note), scratch->codec);
}

void store_handle_end(struct store *store, struct store_scratch *scratch, struct zhandle handle)
{
    lock_assert_none();
    if (handle.number != 0) store_name_ended(store, scratch, zpool_free(store->zpool, &handle));
}

/* --- reading ---------------------------------------------------------------------------------- */

/* What the bytes of an object are, where they are. */
static enum fp_status read_object(const struct zmap *map, size_t plain_bytes,
                                  struct fetched *fetched, struct slice *bytes)
{
    uint32_t head_bytes = entry_head_bytes(entry_form(map->note));
    if (map->size_bytes < head_bytes) return FP_CORRUPT;
    *bytes = slice_of(map->bytes + head_bytes, map->size_bytes - head_bytes);
    memcpy(&fetched->head, map->bytes, head_bytes);
    switch (entry_form(map->note)) {
    case ENTRY_PACKED:
        return bytes->size_bytes <= ZPOOL_OBJECT_BYTES_MAX ? FP_OK : FP_CORRUPT;
    case ENTRY_WORD:
        if (bytes->size_bytes != sizeof fetched->word) return FP_CORRUPT;
        memcpy(&fetched->word, bytes->bytes, sizeof fetched->word);
        return FP_OK;
    case ENTRY_PLAIN:
    case ENTRY_WHOLE:
        return bytes->size_bytes == plain_bytes ? FP_OK : FP_CORRUPT;
    }
    return FP_CORRUPT;
}

/* Packed bytes stay where they are where there is no room for them (NULL). */
static enum fp_status take_out(const struct zmap *map, const struct rooms *rooms,
                               struct fetched *fetched)
{
    struct slice bytes;
    enum fp_status status = read_object(map, rooms->plain.capacity_bytes, fetched, &bytes);
    if (status != FP_OK || entry_form(map->note) == ENTRY_WORD) return status;
    if (entry_form(map->note) != ENTRY_PACKED) {
        memcpy(rooms->plain.bytes, bytes.bytes, bytes.size_bytes);
        return FP_OK;
    }
    uint8_t *packed = rooms->packed.bytes;
    if (packed != NULL && bytes.size_bytes > rooms->packed.capacity_bytes) return FP_CORRUPT;
    if (packed != NULL) memcpy(packed, bytes.bytes, bytes.size_bytes);
    fetched->packed = (struct packed){.bytes = packed != NULL ? packed : bytes.bytes,
                                      .size_bytes = bytes.size_bytes};
    return FP_OK;
}

static enum fp_status take_compressor(struct store *store, struct store_scratch *scratch,
                                      struct fetched *fetched)
{
    if (entry_form(fetched->name.note) != ENTRY_PACKED) return FP_OK;
    fetched->compressor = compressor_acquire_id(store->compressors,
                                                entry_seat(fetched->name.note), scratch->codec);
    return fetched->compressor != NULL ? FP_OK : FP_CORRUPT;
}

enum fp_status store_fetch(struct store *store, struct store_scratch *scratch,
                           struct zhandle handle, struct space out, struct fetched *fetched)
{
    struct rooms rooms = {.plain = out, .packed = {scratch->packed, ZPOOL_OBJECT_BYTES_MAX}};
    return store_fetch_to(store, scratch, handle, &rooms, fetched);
}

enum fp_status store_fetch_to(struct store *store, struct store_scratch *scratch,
                              struct zhandle handle, const struct rooms *rooms,
                              struct fetched *fetched)
{
    struct zname name = zpool_look(store->zpool, handle);
    *fetched = (struct fetched){.name = name};
    if (name.what == ZNOTHING) return FP_ABSENT;
    if (name.what == ZVALUE) {
        fetched->word = entry_value_word(name.value);
        return FP_OK;
    }
    if (name.what == ZSPILLED) return FP_SPILLED;
    struct zmap map;
    if (zpool_map(store->zpool, handle, ZACCESS_READ, &map) != FP_OK) return FP_CORRUPT;
    enum fp_status status = take_out(&map, rooms, fetched);
    zpool_unmap(store->zpool, &map);
    return status == FP_OK ? take_compressor(store, scratch, fetched) : status;
}

enum fp_status store_fetch_from(struct store *store, struct store_scratch *scratch,
                                const struct zmap *map, const struct rooms *rooms,
                                struct fetched *fetched)
{
    *fetched = (struct fetched){.name = {.what = ZOBJECT, .note = map->note}};
    enum fp_status status = take_out(map, rooms, fetched);
    return status == FP_OK ? take_compressor(store, scratch, fetched) : status;
}

static bool check_matches(const struct fetched *fetched, uint32_t crc)
{
    if (fetched->name.what == ZVALUE) return entry_value_matches(fetched->name.value, crc);
    return entry_note_matches(fetched->name.note, fetched->head, crc);
}

enum fp_status store_unpack(struct store *store, struct store_scratch *scratch,
                            struct fetched *fetched, struct space out, uint32_t *crc)
{
    lock_assert_none();
    enum fp_status status = FP_OK;
    if (entry_same_filled(fetched->name)) plain_fill(out, fetched->word);
    if (fetched->compressor != NULL) {
        status = compressor_unpack(fetched->compressor, scratch->codec, fetched->packed, out);
        if (status != FP_OK) store_count(&store->counters.decompress_fail, 1);
        compressor_release_id(&fetched->compressor, scratch->codec);
    }
    if (status == FP_OK) {
        *crc = crc32c(out.bytes, out.capacity_bytes);
        if (!check_matches(fetched, *crc)) status = FP_CORRUPT;
    }
    if (status != FP_OK) store_count(&store->counters.corrupt, 1);
    return status;
}

/* --- reading what is mapped ------------------------------------------------------------------- */

bool store_lends(struct zname name)
{
    return name.what == ZOBJECT && entry_incompressible(name);
}

enum fp_status store_unpack_mapped(struct store *store, struct store_scratch *scratch,
                                   const struct mapped *mapped, struct space out)
{
    struct fetched fetched = {.name = mapped->name};
    struct rooms rooms = {.plain = out};
    uint32_t crc;
    enum fp_status status = FP_OK;
    if (mapped->name.what == ZVALUE) fetched.word = entry_value_word(mapped->name.value);
    else status = take_out(&mapped->map, &rooms, &fetched);
    if (status == FP_OK && mapped->name.what == ZOBJECT)
        status = take_compressor(store, scratch, &fetched);
    if (status == FP_OK) return store_unpack(store, scratch, &fetched, out, &crc);
    store_count(&store->counters.corrupt, 1);
    return status;
}

enum fp_status store_lend(struct store *store, const struct mapped *mapped, size_t size_bytes,
                          struct slice *bytes)
{
    struct fetched fetched = {.name = mapped->name};
    fp_assert(store_lends(mapped->name));
    enum fp_status status = read_object(&mapped->map, size_bytes, &fetched, bytes);
    if (status == FP_OK && !check_matches(&fetched, crc32c(bytes->bytes, bytes->size_bytes)))
        status = FP_CORRUPT;
    if (status != FP_OK) store_count(&store->counters.corrupt, 1);
    return status;
}
