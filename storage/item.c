/* SPDX-License-Identifier: BSD-3-Clause */
#include "storage/item.h"

#include <stdlib.h>

#include "base/arith.h"
#include "base/check.h"

static size_t piece_count_of(size_t value_bytes)
{
    return div_up_u64(value_bytes, ITEM_PIECE_BYTES);
}

size_t item_size_bytes(size_t key_bytes, size_t value_bytes)
{
    return offsetof(struct item, pieces) + piece_count_of(value_bytes) * sizeof(struct zhandle) +
           key_bytes;
}

uint64_t item_record_bytes(size_t key_bytes, size_t value_bytes)
{
    return (item_size_bytes(key_bytes, value_bytes) + 8 + 15) / 16 * 16;
}

struct item *item_create(struct slice key, uint64_t hash, size_t value_bytes)
{
    fp_assert(key.size_bytes <= UINT8_MAX && piece_count_of(value_bytes) <= UINT16_MAX);
    struct item *item = calloc(1, item_size_bytes(key.size_bytes, value_bytes));
    if (item == NULL) return NULL;
    atomic_init(&item->refs, 1);
    item->hash = hash;
    item->value_bytes = (uint32_t)value_bytes;
    item->piece_count = (uint16_t)piece_count_of(value_bytes);
    item->key_bytes = (uint8_t)key.size_bytes;
    memcpy(&item->pieces[item->piece_count], key.bytes, key.size_bytes);
    return item;
}

struct slice item_key(const struct item *item)
{
    return slice_of(&item->pieces[item->piece_count], item->key_bytes);
}

size_t item_piece_bytes(const struct item *item, unsigned piece)
{
    fp_assert(piece < item->piece_count);
    return min_u64(item->value_bytes - (size_t)piece * ITEM_PIECE_BYTES, ITEM_PIECE_BYTES);
}

void item_acquire(struct item *item)
{
    /* A count that wrapped would free an item in use; 2^31 readers are our mistake, not weather. */
    fp_assert(atomic_fetch_add_explicit(&item->refs, 1, memory_order_relaxed) < INT32_MAX);
}

bool item_release(struct item *item)
{
    uint32_t before = atomic_fetch_sub_explicit(&item->refs, 1, memory_order_acq_rel);
    fp_assert(before > 0);
    return before == 1;
}
