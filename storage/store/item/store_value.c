/* SPDX-License-Identifier: BSD-3-Clause */
#include "storage/store/item/store_value.h"

#include <stdlib.h>

#include "base/arith.h"
#include "base/crc32c.h"
#include "storage/store/store_internal.h"
#include "storage/store/item/store_value_internal.h"
#include "storage/store/store_tenant.h"

enum {
    ROOM_PIECES_MIN = 64, /* a client that announces much and sends nothing costs no more */
    MALLOC_BYTES = 16,    /* its header, rounded up */
};

struct store_value {
    uint64_t value_bytes;   /* in all */
    uint64_t packed_bytes;  /* of the pieces there are */
    uint64_t charged_bytes; /* this and the table below */
    uint64_t tenant_bytes;  /* of packed_bytes, what is counted as the tenant's */
    uint8_t tenant;         /* whose it is from its beginning */
    uint32_t count, room;
    struct zhandle *pieces; /* `count` of them in room for `room` */
};

static uint64_t table_bytes(uint32_t room)
{
    return (uint64_t)room * sizeof(struct zhandle) + MALLOC_BYTES;
}

static bool make_room(struct store *store, struct store_scratch *scratch,
                      struct store_value *value)
{
    if (value->count < value->room) return true;
    uint64_t wanted = max_u64(2 * (uint64_t)value->room, ROOM_PIECES_MIN);
    uint32_t room = (uint32_t)min_u64(wanted, item_pieces_of(value->value_bytes));
    uint64_t more = table_bytes(room) - (value->room > 0 ? table_bytes(value->room) : 0);
    if (!store_charge(store, scratch, BUDGET_ITEMS, more)) return false;
    struct zhandle *pieces = realloc(value->pieces, room * sizeof *pieces);
    if (pieces == NULL) {
        budget_return(&store->budget, BUDGET_ITEMS, more);
        return false;
    }
    value->pieces = pieces;
    value->room = room;
    value->charged_bytes += more;
    return true;
}

enum fp_status store_value_begin(struct store *store, struct store_scratch *scratch,
                                 uint64_t value_bytes, struct store_value **out)
{
    fp_assert(value_bytes <= UINT32_MAX);
    uint64_t bytes = sizeof(struct store_value) + MALLOC_BYTES;
    if (store_waits_for_room(store, scratch)) return FP_LATER;
    scratch->later = false;
    if (!store_charge(store, scratch, BUDGET_ITEMS, bytes)) return FP_NO_MEMORY;
    struct store_value *value = calloc(1, sizeof *value);
    if (value == NULL) {
        budget_return(&store->budget, BUDGET_ITEMS, bytes);
        return FP_NO_MEMORY;
    }
    value->value_bytes = value_bytes;
    value->charged_bytes = bytes;
    value->tenant = scratch->tenant;
    *out = value;
    return FP_OK;
}

size_t store_value_next_bytes(const struct store_value *value)
{
    if (value->count == item_pieces_of(value->value_bytes)) return 0;
    return item_piece_bytes_of(value->value_bytes, value->count);
}

enum fp_status store_value_add(struct store *store, struct store_scratch *scratch,
                               struct store_value *value, const uint8_t *bytes)
{
    struct plain plain = {.bytes = bytes, .size_bytes = store_value_next_bytes(value)};
    struct stored stored;
    fp_assert(plain.size_bytes > 0);
    scratch->later = false;
    if (store_values_packed_bytes(store) + plain.size_bytes >
        store_values_packed_bytes_max(store))
        return FP_NO_MEMORY;
    if (!make_room(store, scratch, value)) return scratch->later ? FP_LATER : FP_NO_MEMORY;
    uint32_t crc = crc32c(plain.bytes, plain.size_bytes);
    enum fp_status status = store_pack(store, scratch, plain, crc, &stored);
    if (status == FP_NO_MEMORY && scratch->later) return FP_LATER;
    if (status != FP_OK) return status;
    uint32_t packed_bytes = entry_packed_bytes(stored.name);
    status = store_tenant_take(store, scratch, (struct tenant_need){.bytes = packed_bytes});
    if (status != FP_OK) {
        store_handle_end(store, scratch, stored.handle);
        return status;
    }
    value->tenant_bytes += packed_bytes;
    value->pieces[value->count++] = stored.handle;
    value->packed_bytes += packed_bytes;
    store_count(&store->arriving_bytes, packed_bytes);
    return FP_OK;
}

uint64_t store_value_bytes(const struct store_value *value)
{
    return value->value_bytes;
}

enum fp_status store_value_read(struct store *store, struct store_scratch *scratch,
                                const struct store_value *value, uint32_t piece, uint8_t *out)
{
    fp_assert(piece < value->count);
    struct space space = {.bytes = out,
                          .capacity_bytes = item_piece_bytes_of(value->value_bytes, piece)};
    return store_piece_read(store, scratch, value->pieces[piece], space);
}

/* As the value's: an item that has its pieces is counted by itself. */
static void set_tenant_bytes(struct store *store, struct store_value *value, uint64_t bytes)
{
    tenant_change(&store->tenants.of[value->tenant], bytes - value->tenant_bytes, 0);
    value->tenant_bytes = bytes;
}

void store_value_end(struct store *store, struct store_scratch *scratch,
                     struct store_value **value_ptr)
{
    struct store_value *value = *value_ptr;
    if (value == NULL) return;
    *value_ptr = NULL;
    store_count(&store->arriving_bytes, -value->packed_bytes);
    set_tenant_bytes(store, value, 0);
    store_end_pieces(store, scratch,
                     &(struct ending_pieces){.pieces = value->pieces,
                                             .count = value->count,
                                             .charged_bytes = value->charged_bytes,
                                             .record = value,
                                             .table = value->pieces});
}

enum fp_status store_value_lend(struct store *store, struct store_scratch *scratch,
                                struct slice key, struct store_value *value, struct item **item)
{
    fp_assert(store_value_next_bytes(value) == 0);
    enum fp_status status = store_item_begin(store, scratch, key, value->value_bytes, item);
    if (status != FP_OK) return status;
    if (value->count > 0)
        memcpy((*item)->pieces, value->pieces, value->count * sizeof *value->pieces);
    (*item)->packed_bytes = (uint32_t)value->packed_bytes;
    (*item)->tenant = value->tenant & ITEM_TENANT_MASK;
    set_tenant_bytes(store, value, 0);
    return FP_OK;
}

void store_value_give(struct store *store, struct store_scratch *scratch,
                      struct store_value **value)
{
    (*value)->count = 0; /* they are the item's */
    store_value_end(store, scratch, value);
}

void store_value_take_back(struct store *store, struct store_scratch *scratch,
                           struct store_value *value, struct item **item)
{
    set_tenant_bytes(store, value, value->packed_bytes);
    memset((*item)->pieces, 0, item_piece_count(*item) * sizeof *(*item)->pieces);
    store_item_release(store, scratch, item);
}

enum fp_status store_value_to_item(struct store *store, struct store_scratch *scratch,
                                   struct slice key, struct store_value **value,
                                   struct item **item)
{
    enum fp_status status = store_value_lend(store, scratch, key, *value, item);
    if (status == FP_OK) store_value_give(store, scratch, value);
    return status;
}

uint64_t store_values_packed_bytes(const struct store *store)
{
    return atomic_load_explicit(&store->arriving_bytes, memory_order_relaxed);
}

uint64_t store_values_packed_bytes_max(const struct store *store)
{
    return budget_limit(&store->budget) / 2;
}
