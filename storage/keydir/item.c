/* SPDX-License-Identifier: BSD-3-Clause */
#include "storage/keydir/item.h"

#include <stdlib.h>

#include "base/check.h"

size_t item_size_bytes(size_t key_bytes, size_t value_bytes)
{
    return offsetof(struct item, pieces) + item_pieces_of(value_bytes) * sizeof(struct zhandle) +
           key_bytes;
}

uint64_t item_record_bytes(size_t key_bytes, size_t value_bytes)
{
    return (item_size_bytes(key_bytes, value_bytes) + 8 + 15) / 16 * 16;
}

struct item *item_create(struct slice key, uint64_t hash, size_t value_bytes)
{
    fp_assert(key.size_bytes <= UINT8_MAX && value_bytes <= UINT32_MAX);
    struct item *item = calloc(1, item_size_bytes(key.size_bytes, value_bytes));
    if (item == NULL) return NULL;
    atomic_init(&item->refs, 1);
    item->hash = hash;
    item->value_bytes = (uint32_t)value_bytes;
    item->key_bytes = (uint8_t)key.size_bytes;
    memcpy(&item->pieces[item_piece_count(item)], key.bytes, key.size_bytes);
    return item;
}

struct slice item_key(const struct item *item)
{
    return slice_of(&item->pieces[item_piece_count(item)], item->key_bytes);
}

size_t item_piece_bytes(const struct item *item, uint32_t piece)
{
    fp_assert(piece < item_piece_count(item));
    return item_piece_bytes_of(item->value_bytes, piece);
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
