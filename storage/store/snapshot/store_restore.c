/* SPDX-License-Identifier: BSD-3-Clause */
#include "storage/store/snapshot/store_restore.h"

#include <stdlib.h>

#include "base/arith.h"
#include "storage/area/area_stand.h"
#include "storage/store/item/store_value_internal.h"
#include "storage/store/page/store_area.h"
#include "storage/store/spill/store_spill.h"
#include "storage/store/store_again.h"
#include "storage/store/store_dictionary.h"
#include "storage/store/store_tenant.h"

enum {
    SLOT_BYTES = 8,
    SPILL_LOOKS = 4096,
    OBJECT_COST_BYTES = 10, /* beside an object's bytes, in its block */
    ITEM_COST_BYTES = 48 + 16 + 9,
};

struct store_restore {
    struct store *store;
    struct store_scratch *scratch; /* of the call under way */
    const char *problem;
    struct store_restored done;
    uint64_t flush_unix_s;
    uint32_t area_count;
    struct area *areas[SNAPSHOT_AREAS_MAX]; /* a use of each */
    struct { uint64_t pages, bytes; } quotas[SNAPSHOT_AREAS_MAX];
    uint32_t tenant_count;
    uint8_t tenants[SNAPSHOT_TENANTS_MAX];
    uint32_t dictionary_count;
    struct dictionary *dictionaries[SNAPSHOT_DICTIONARIES_MAX];
    uint32_t seat_count;
    struct compressor *seats[SNAPSHOT_SEATS_MAX];
    struct item *item; /* the one whose pieces come; NULL: it is left out, or there is none */
    struct snapshot_item about;
    uint32_t piece; /* the next of its pieces */
    uint64_t value_bytes;
};

enum fp_status store_restore_begin(struct store *store, struct store_restore **out)
{
    struct store_restore *restore = calloc(1, sizeof *restore);
    if (restore == NULL) return FP_NO_MEMORY;
    fp_assert(store->area_places == 0 && keydir_item_count(&store->keydir) == 0);
    restore->store = store;
    *out = restore;
    return FP_OK;
}

void store_restore_end(struct store_restore **restore_ptr, struct store_scratch *scratch)
{
    struct store_restore *restore = *restore_ptr;
    if (restore == NULL) return;
    *restore_ptr = NULL;
    if (restore->item != NULL) store_item_release(restore->store, scratch, &restore->item);
    for (uint32_t i = 0; i < restore->seat_count; i++)
        compressor_release(&restore->seats[i], scratch->codec);
    for (uint32_t i = 0; i < restore->area_count; i++) area_release(&restore->areas[i]);
    for (uint32_t i = 0; i < restore->dictionary_count; i++)
        dictionary_release(&restore->dictionaries[i]);
    free(restore);
}

struct store_restored store_restored(const struct store_restore *restore)
{
    return restore->done;
}

uint64_t store_restore_needs(const struct snapshot_totals *totals)
{
    uint64_t objects = totals->pages - min_u64(totals->same_filled, totals->pages);
    return totals->packed_bytes + totals->value_packed_bytes + totals->pages * SLOT_BYTES +
           (objects + totals->items) * OBJECT_COST_BYTES + totals->key_bytes +
           totals->items * ITEM_COST_BYTES;
}

static enum fp_status refuse(struct store_restore *restore, enum fp_status status,
                             const char *problem)
{
    restore->problem = problem;
    return status;
}

/* --- what packed, and what was packed --------------------------------------------------------- */

static enum fp_status take_dictionary(struct store_restore *restore,
                                      const struct snapshot_dictionary *record)
{
    const char *reason;
    struct dictionary *dictionary;
    enum fp_status status = dictionary_create(record->bytes, &dictionary, &reason);
    if (status == FP_INVALID) return refuse(restore, FP_CORRUPT, reason);
    if (status != FP_OK) return status;
    dictionary_set_owner(dictionary, record->owner);
    restore->dictionaries[restore->dictionary_count++] = dictionary;
    return FP_OK;
}

static struct dictionary *dictionary_of(const struct store_restore *restore, uint32_t number)
{
    fp_assert(number <= restore->dictionary_count);
    return number == 0 ? NULL : restore->dictionaries[number - 1];
}

static enum fp_status take_seat(struct store_restore *restore, const struct snapshot_seat *record)
{
    char algorithm[SNAPSHOT_ALGORITHM_BYTES_MAX + 1] = "";
    struct compressor_config config = {.algorithm = algorithm,
                                       .level = record->level,
                                       .dictionary = dictionary_of(restore, record->dictionary)};
    memcpy(algorithm, record->algorithm.bytes, record->algorithm.size_bytes);
    struct compressor *seat;
    enum fp_status status = compressor_acquire_config(restore->store->compressors, &config,
                                                      restore->scratch->codec, &seat);
    if (status == FP_INVALID)
        return refuse(restore, status, "it is packed with an algorithm or a level that this "
                                       "program does not know");
    if (status == FP_BUSY)
        return refuse(restore, status, "it is packed in more ways than there are seats for");
    if (status == FP_OK) restore->seats[restore->seat_count++] = seat;
    return status;
}

static enum fp_status keep(struct store_restore *restore, const struct snapshot_entry *entry,
                           struct stored *stored)
{
    struct again again = {.crc = entry->check, .bytes = entry->bytes};
    switch (entry->form) {
    case SNAPSHOT_PACKED:
        again.form = AGAIN_PACKED;
        again.compressor = restore->seats[entry->seat];
        break;
    case SNAPSHOT_PLAIN:
        again.form = AGAIN_PLAIN;
        break;
    case SNAPSHOT_WORD:
        again.form = AGAIN_WORD;
        break;
    case SNAPSHOT_CORRUPT:
    case SNAPSHOT_FORMS:
        again.form = AGAIN_CORRUPT;
        break;
    }
    enum fp_status status = store_keep_again(restore->store, restore->scratch, &again, stored);
    if (status == FP_TOO_BIG)
        return refuse(restore, FP_INVALID, "storage.allocator has no objects as large as some of "
                                           "it; use the one that it was written with");
    return status;
}

/* --- whose it is ------------------------------------------------------------------------------ */

/* Without limits; the configuration says those of the tenants that it names. */
static enum fp_status take_tenant(struct store_restore *restore, struct slice name)
{
    struct tenant_limits none = {0};
    struct tenants *tenants = &restore->store->tenants;
    uint8_t *number = &restore->tenants[restore->tenant_count];
    enum fp_status status = FP_OK;
    if (!tenants_find(tenants, name, number)) {
        status = tenants_define(tenants, name, &none, number);
        if (status == FP_OK) tenants_dismiss(tenants, *number);
    }
    if (status != FP_OK) *number = TENANT_DEFAULT;
    restore->tenant_count++;
    return FP_OK;
}

static uint8_t tenant_of(const struct store_restore *restore, uint32_t number)
{
    fp_assert(number <= restore->tenant_count);
    return number == 0 ? TENANT_DEFAULT : restore->tenants[number - 1];
}

/* --- areas and their pages -------------------------------------------------------------------- */

static enum area_lifetime lifetime_of(enum snapshot_lifetime lifetime)
{
    return lifetime == SNAPSHOT_TRANSIENT ? AREA_TRANSIENT : AREA_STAYS;
}

static enum fp_status make_area(struct store_restore *restore, const struct snapshot_area *record,
                                struct area **area)
{
    struct area_options options = {.name = record->name,
                                   .slot_count = record->slots,
                                   .page_bytes = record->page_bytes,
                                   .generation = record->generation,
                                   .lifetime = lifetime_of(record->lifetime),
                                   .tenant = tenant_of(restore, record->tenant),
                                   .as_they_are = record->as_they_are};
    return store_area_create(restore->store, &options, area);
}

static enum fp_status take_area(struct store_restore *restore, const struct snapshot_area *record)
{
    struct area *area;
    struct store *store = restore->store;
    enum fp_status status = make_area(restore, record, &area);
    if (status != FP_OK) return status;
    restore->quotas[restore->area_count].pages = record->quota_pages;
    restore->quotas[restore->area_count].bytes = record->quota_bytes;
    restore->areas[restore->area_count++] = area;
    struct dictionary *dictionary = dictionary_of(restore, record->dictionary);
    if (dictionary != NULL) status = store_dictionary_keep(store, area, dictionary);
    if (status == FP_BUSY)
        return refuse(restore, FP_INVALID, "it has more dictionaries than there are seats for, or "
                                           "two that have the same id");
    if (status != FP_OK || !record->moved) return status;
    fp_assert(area_freeze(area) && store_area_move(store, area, record->forward));
    return FP_OK;
}

/* True: something has given way, an item or pages that were written to the file below memory. */
static bool makes_room(struct store_restore *restore, enum fp_status status)
{
    enum { TURNS = 3 }; /* what was born touched is cold at the second */
    struct store *store = restore->store;
    if (store_may_retry(store, restore->scratch, status)) return true;
    if (status != FP_NO_MEMORY || store_spill_file(store) == NULL) return false;
    for (uint64_t looked = 0, all = TURNS * restore->done.pages; looked <= all;) {
        struct spill_limits limits = {.bytes = SPILL_EXTENT_BYTES, .looks = SPILL_LOOKS};
        struct spill_step done = {0};
        if (store_spill_step(store, restore->scratch, limits, &done) != FP_OK) return false;
        if (done.pages + done.items > 0) return true;
        looked += done.looked + 1;
    }
    return false;
}

static enum fp_status take_page(struct store_restore *restore, struct area *area, uint64_t slot,
                                const struct snapshot_entry *entry)
{
    struct stored stored;
    struct zname old;
    struct store *store = restore->store;
    enum fp_status status;
    do status = keep(restore, entry, &stored);
    while (makes_room(restore, status));
    if (status != FP_OK) return status;
    do status = area_put(area, slot, &stored, &old);
    while (makes_room(restore, status));
    if (status != FP_OK) store_handle_end(store, restore->scratch, stored.handle);
    if (status == FP_QUOTA)
        return refuse(restore, FP_INVALID, "an area's tenant may hold less now than it has there; "
                                           "raise its quota, or lower what others are guaranteed");
    if (status != FP_OK) return status;
    store_name_ended(store, restore->scratch, old);
    if (old.what != ZNOTHING) return refuse(restore, FP_CORRUPT, "a slot comes twice");
    restore->done.pages++;
    return FP_OK;
}

static enum fp_status take_pages(struct store_restore *restore,
                                 const struct snapshot_pages *record)
{
    struct slice rest = record->entries;
    struct snapshot_entry entry;
    enum fp_status status = FP_OK;
    struct area *area = restore->areas[record->area];
    while (status == FP_OK && snapshot_entry_next(&rest, &entry))
        status = take_page(restore, area, record->first + entry.place, &entry);
    return status;
}

/* --- items ------------------------------------------------------------------------------------ */

/* Nobody else writes back yet. True: try again; once nothing can be written items give way. To keep
 * a piece anew makes nobody give way by itself, so it is asked for here. */
static bool makes_room_for_item(struct store_restore *restore, enum fp_status status)
{
    struct store_scratch *scratch = restore->scratch;
    struct spill_limits limits = {.bytes = SPILL_EXTENT_BYTES, .looks = SPILL_LOOKS};
    struct spill_step done;
    if (status != FP_NO_MEMORY) return false;
    if (!scratch->later && store_may_retry(restore->store, scratch, status)) return true;
    if (!scratch->later) return false;
    scratch->later = false;
    (void)!store_spill_step(restore->store, scratch, limits, &done);
    return true;
}

/* What it says of time, in store time. */
static void take_times(const struct store_restore *restore, struct item *item)
{
    const struct snapshot_item *about = &restore->about;
    const struct store_scratch *scratch = restore->scratch;
    uint64_t ahead_s = about->expires_unix_s - scratch->unix_s, now_s = scratch->now_ms / 1000;
    uint64_t idle_ms = min_u64(about->idle_s * UINT64_C(1000), scratch->now_ms);
    if (about->expires_unix_s != 0)
        item->expires_s = (uint32_t)min_u64(now_s + min_u64(ahead_s, UINT32_MAX), UINT32_MAX);
    item_used(item, scratch->now_ms - idle_ms);
}

static void take_marks(const struct store_restore *restore, struct item *item)
{
    item->fetched = restore->about.fetched;
    item->stale = restore->about.stale;
    item->won = restore->about.won;
    item->marks = restore->about.wanted;
}

/* An item that came before, under the same key, is the older one. */
static enum fp_status publish_locked(struct store_restore *restore, struct keydir_shard *shard,
                                     struct item **gone)
{
    struct store *store = restore->store;
    struct item *item = restore->item;
    uint64_t cas = restore->about.cas;
    enum fp_status status = keydir_reserve_locked(shard, item->tenant);
    if (status != FP_OK) return status;
    *gone = keydir_find_locked(shard, item->hash, item_key(item));
    store_item_charge_anyway_locked(store, item, *gone);
    store_item_enter_locked(store, restore->scratch, *gone, item, &cas);
    take_times(restore, item);
    take_marks(restore, item);
    return FP_OK;
}

static enum fp_status publish(struct store_restore *restore)
{
    struct store *store = restore->store;
    struct keydir_shard *shard = keydir_shard(&store->keydir, restore->item->hash);
    enum fp_status status;
    do {
        struct item *gone = NULL;
        lock_take(&shard->lock);
        status = publish_locked(restore, shard, &gone);
        lock_drop(&shard->lock);
        if (gone != NULL) store_item_release(store, restore->scratch, &gone);
    } while (makes_room_for_item(restore, status) ||
             (status == FP_NO_MEMORY && store_evict_one(store, restore->scratch)));
    if (status == FP_OK) {
        restore->done.items++;
        restore->item = NULL; /* the directory's */
    }
    return status;
}

/* A cache may forget: where it does so by itself. */
static enum fp_status give_way(struct store_restore *restore, enum fp_status status)
{
    if (status != FP_NO_MEMORY || !store_evicts(restore->store)) return status;
    if (restore->item != NULL)
        store_item_release(restore->store, restore->scratch, &restore->item);
    restore->done.given_way++;
    return FP_OK;
}

static enum fp_status take_pieces(struct store_restore *restore, struct slice entries)
{
    struct snapshot_entry entry;
    struct item *item = restore->item;
    enum fp_status status = FP_OK;
    if (item == NULL) return FP_OK;
    while (status == FP_OK && snapshot_entry_next(&entries, &entry)) {
        struct stored stored;
        do status = keep(restore, &entry, &stored);
        while (makes_room_for_item(restore, status));
        if (status != FP_OK) break;
        item->pieces[restore->piece++] = stored.handle;
        item->packed_bytes += entry_packed_bytes(stored.name);
    }
    if (status == FP_OK && restore->piece == item_piece_count(item)) status = publish(restore);
    return give_way(restore, status);
}

static enum fp_status take_item(struct store_restore *restore, const struct snapshot_item *record)
{
    struct store *store = restore->store;
    restore->about = *record;
    restore->piece = 0;
    fp_assert(restore->item == NULL);
    if (record->expires_unix_s != 0 && record->expires_unix_s <= restore->scratch->unix_s) {
        restore->done.expired++;
        return FP_OK;
    }
    restore->scratch->tenant = tenant_of(restore, record->tenant);
    enum fp_status status;
    do status = store_item_begin(store, restore->scratch, record->key, record->value_bytes,
                                 &restore->item);
    while (makes_room_for_item(restore, status));
    if (status != FP_OK) return give_way(restore, status);
    restore->item->flags = record->flags;
    restore->item->key_binary = record->key_binary;
    return take_pieces(restore, record->entries);
}

/* --- all of it -------------------------------------------------------------------------------- */

static void take_head(struct store_restore *restore, const struct snapshot_head *record)
{
    restore->store->last_generation = record->last_generation;
    restore->flush_unix_s = record->flush_unix_s;
}

static void take_end(struct store_restore *restore, const struct snapshot_end *record)
{
    for (uint32_t i = 0; i < restore->area_count; i++) {
        restore->areas[i]->quota_pages = restore->quotas[i].pages;
        restore->areas[i]->quota_bytes = restore->quotas[i].bytes;
    }
    atomic_store(&restore->store->last_cas, record->last_cas);
    if (restore->flush_unix_s != 0)
        store_flush(restore->store, restore->scratch,
                    (int64_t)min_u64(restore->flush_unix_s, INT64_MAX));
    restore->done.complete = true;
}

static enum fp_status take(struct store_restore *restore, const struct snapshot_record *record)
{
    switch (record->type) {
    case SNAPSHOT_HEAD:
        take_head(restore, &record->as.head);
        return FP_OK;
    case SNAPSHOT_DICTIONARY:
        return take_dictionary(restore, &record->as.dictionary);
    case SNAPSHOT_AREA:
        return take_area(restore, &record->as.area);
    case SNAPSHOT_SEAT:
        return take_seat(restore, &record->as.seat);
    case SNAPSHOT_PAGES:
        return take_pages(restore, &record->as.pages);
    case SNAPSHOT_TENANT:
        return take_tenant(restore, record->as.tenant);
    case SNAPSHOT_ITEM:
        return take_item(restore, &record->as.item);
    case SNAPSHOT_PIECES:
        return take_pieces(restore, record->as.pieces.entries);
    case SNAPSHOT_END:
        take_end(restore, &record->as.end);
        return FP_OK;
    case SNAPSHOT_EXPORT: /* its server's business */
    case SNAPSHOT_TYPES:
        break;
    }
    return FP_OK;
}

enum fp_status store_restore_take(struct store_restore *restore, struct store_scratch *scratch,
                                  const struct snapshot_record *record, const char **problem)
{
    lock_assert_none();
    restore->scratch = scratch;
    restore->problem = NULL;
    scratch->may_wait = record->type == SNAPSHOT_PAGES || record->type == SNAPSHOT_ITEM ||
                        record->type == SNAPSHOT_PIECES;
    scratch->later = false;
    enum fp_status status = take(restore, record);
    scratch->may_wait = false;
    *problem = restore->problem;
    return status;
}
