/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Life of what is stored:
 *   plain bytes -> one repeated word?            -> SAME_FILLED, no object
 *               -> packs to something cheaper?   -> PACKED, an object of the current seat
 *               -> else                          -> PLAIN, an object of the bytes as they are
 * "Cheaper" asks the allocator what both sizes really cost, so that there is no magic threshold.
 *
 * Order of a store: pack, allocate, copy, publish, then free the old one: whatever fails on the
 * way, the old content is still there. Packing and unpacking hold no lock.
 */
#include <string.h>

#include "base/crc32c.h"
#include "storage/store_internal.h"

/* Some of the largest zspages: where so much is free and an object is refused, memory is not what
 * is missing, and the store is refused rather than the cache emptied. */
enum { EVICTION_ENOUGH_BYTES = 256 << 10 };

static bool same_filled(struct plain plain, uint64_t *word)
{
    size_t size = plain.size_bytes;
    if (size < sizeof *word || size % sizeof *word != 0) return false;
    uint64_t last;
    memcpy(word, plain.bytes, sizeof *word);
    memcpy(&last, plain.bytes + size - sizeof last, sizeof last);
    /* The last word tells most pages apart from a repeated one at once. */
    return *word == last &&
           memcmp(plain.bytes, plain.bytes + sizeof *word, size - sizeof *word) == 0;
}

static bool has_free(const struct store *store, uint64_t bytes)
{
    return budget_total(&store->budget) + bytes <= budget_limit(&store->budget);
}

static enum fp_status alloc_object(struct store *store, struct store_scratch *scratch,
                                   size_t size_bytes, struct zhandle *handle)
{
    enum fp_status status = zpool_alloc(store->zpool, size_bytes, handle);
    while (status == FP_NO_MEMORY && !has_free(store, EVICTION_ENOUGH_BYTES) &&
           store_evict_one(store, scratch))
        status = zpool_alloc(store->zpool, size_bytes, handle);
    return status;
}

static enum fp_status keep_object(struct store *store, struct store_scratch *scratch,
                                  struct slice bytes, struct zhandle *handle)
{
    struct zmap map;
    enum fp_status status = alloc_object(store, scratch, bytes.size_bytes, handle);
    if (status != FP_OK) return status;
    fp_assert(zpool_map(store->zpool, *handle, ZACCESS_WRITE, &map) == FP_OK);
    memcpy(map.bytes, bytes.bytes, bytes.size_bytes);
    zpool_unmap(store->zpool, &map);
    return FP_OK;
}

/* Packs where that is worth it. False: keep the bytes plain. */
static bool pack_if_cheaper(struct store *store, struct store_scratch *scratch,
                            struct compressor *compressor, struct plain plain,
                            struct packed *packed)
{
    struct space space = {.bytes = scratch->packed, .capacity_bytes = plain.size_bytes - 1};
    if (space.capacity_bytes == 0) return false;
    if (compressor_pack(compressor, scratch->codec, plain, space, packed) != FP_OK) return false;
    return zpool_cost_bytes(store->zpool, packed->size_bytes) <
           zpool_cost_bytes(store->zpool, plain.size_bytes);
}

static enum fp_status keep_packed_or_plain(struct store *store, struct store_scratch *scratch,
                                           struct plain plain, struct entry *entry)
{
    struct compressor *compressor = compressor_acquire(store->compressors);
    struct packed packed;
    struct zhandle handle;
    bool pack = pack_if_cheaper(store, scratch, compressor, plain, &packed);
    struct slice bytes = pack ? slice_of(packed.bytes, packed.size_bytes)
                              : slice_of(plain.bytes, plain.size_bytes);
    enum fp_status status = keep_object(store, scratch, bytes, &handle);
    if (status == FP_OK) {
        uint8_t seat = pack ? compressor_id(compressor) : 0;
        *entry = entry_object(pack ? ENTRY_PACKED : ENTRY_PLAIN, handle, bytes.size_bytes, seat);
        if (pack) compressor_object_born(compressor);
    }
    compressor_release(&compressor);
    return status;
}

enum fp_status store_pack(struct store *store, struct store_scratch *scratch, struct plain plain,
                          uint32_t crc, struct entry *entry)
{
    lock_assert_none();
    fp_assert(plain.size_bytes > 0 && plain.size_bytes <= ZPOOL_OBJECT_BYTES_MAX);
    uint64_t word;
    if (same_filled(plain, &word)) {
        *entry = entry_same_filled(word, crc);
        return FP_OK;
    }
    enum fp_status status = keep_packed_or_plain(store, scratch, plain, entry);
    if (status == FP_OK) entry->meta = entry_meta(entry_kind(*entry), crc);
    return status;
}

void store_entry_end(struct store *store, struct entry entry)
{
    lock_assert_none();
    if (!entry_has_object(entry)) return;
    struct zhandle handle = entry_handle(entry);
    zpool_free(store->zpool, &handle);
    if (entry_kind(entry) == ENTRY_PACKED)
        compressor_object_died(store->compressors, entry_seat(entry));
}

enum fp_status store_fetch(struct store *store, struct store_scratch *scratch, struct entry entry,
                           struct space out, struct fetched *fetched)
{
    *fetched = (struct fetched){.entry = entry};
    if (!entry_has_object(entry)) return FP_OK;
    bool is_packed = entry_kind(entry) == ENTRY_PACKED;
    size_t size = entry_size_bytes(entry);
    if (is_packed ? size > ZPOOL_OBJECT_BYTES_MAX : size != out.capacity_bytes) return FP_CORRUPT;
    struct zmap map;
    if (zpool_map(store->zpool, entry_handle(entry), ZACCESS_READ, &map) != FP_OK)
        return FP_CORRUPT;
    if (size > map.capacity_bytes) {
        zpool_unmap(store->zpool, &map);
        return FP_CORRUPT;
    }
    memcpy(is_packed ? scratch->packed : out.bytes, map.bytes, size);
    zpool_unmap(store->zpool, &map);
    if (!is_packed) return FP_OK;
    fetched->packed = (struct packed){.bytes = scratch->packed, .size_bytes = size};
    fetched->compressor = compressor_acquire_id(store->compressors, entry_seat(entry));
    return fetched->compressor != NULL ? FP_OK : FP_CORRUPT;
}

static void fill_with_word(struct space out, uint64_t word)
{
    for (size_t at = 0; at + sizeof word <= out.capacity_bytes; at += sizeof word)
        memcpy(out.bytes + at, &word, sizeof word);
}

enum fp_status store_unpack(struct store *store, struct store_scratch *scratch,
                            struct fetched *fetched, struct space out, uint32_t *crc)
{
    lock_assert_none();
    enum fp_status status = FP_OK;
    if (entry_kind(fetched->entry) == ENTRY_SAME_FILLED)
        fill_with_word(out, fetched->entry.word);
    if (fetched->compressor != NULL) {
        status = compressor_unpack(fetched->compressor, scratch->codec, fetched->packed, out);
        compressor_release(&fetched->compressor);
    }
    if (status == FP_OK) {
        *crc = crc32c(out.bytes, out.capacity_bytes);
        if (!entry_crc_matches(fetched->entry, *crc)) status = FP_CORRUPT;
    }
    if (status != FP_OK) store_count(&store->counters.corrupt, 1);
    return status;
}
