/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Life of a new item: built (charged, its pieces packed, no lock held) -> its condition looked at
 * again under the shard's lock -> published, the old one unlinked -> the old one released.
 *
 * append, prepend, incr, decr and who has it mapped build from an old item they hold a reference
 * to, and publish only if that very item is still there. The first four start again if it is not.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/crc32c.h"
#include "base/number.h"
#include "storage/store_internal.h"

enum { NUMBER_DIGITS_MAX = 20 };

static enum fp_status pack_pieces(struct store *store, struct store_scratch *scratch,
                                  struct item *item, struct slice value)
{
    for (unsigned i = 0; i < item->piece_count; i++) {
        struct plain plain = {.bytes = value.bytes + (size_t)i * ITEM_PIECE_BYTES,
                              .size_bytes = item_piece_bytes(item, i)};
        uint32_t crc = crc32c(plain.bytes, plain.size_bytes);
        struct stored stored;
        enum fp_status status = store_pack(store, scratch, plain, crc, &stored);
        if (status != FP_OK) return status;
        item->pieces[i] = stored.handle;
        item->packed_bytes += entry_packed_bytes(stored.name);
    }
    return FP_OK;
}

static enum fp_status build_item(struct store *store, struct store_scratch *scratch,
                                 struct slice key, struct slice value, struct item **out)
{
    uint64_t hash = keydir_hash(&store->keydir, key);
    uint64_t bytes = item_record_bytes(key.size_bytes, value.size_bytes);
    if (!store_charge(store, scratch, BUDGET_ITEMS, bytes)) return FP_NO_MEMORY;
    struct item *item = item_create(key, hash, value.size_bytes);
    if (item == NULL) {
        budget_return(&store->budget, BUDGET_ITEMS, bytes);
        return FP_NO_MEMORY;
    }
    fp_assert(store_item_cost(item) == bytes);
    enum fp_status status = pack_pieces(store, scratch, item, value);
    if (status != FP_OK)
        store_item_release(store, scratch, &item);
    else
        *out = item;
    return status;
}

static enum fp_status condition(const struct item_put *put, const struct item *current)
{
    switch (put->mode) {
    case ITEM_SET:
        return FP_OK;
    case ITEM_ADD:
        return current == NULL ? FP_OK : FP_NOT_STORED;
    case ITEM_REPLACE:
    case ITEM_APPEND:
    case ITEM_PREPEND:
        return current != NULL ? FP_OK : FP_NOT_STORED;
    case ITEM_CAS:
        if (current == NULL) return FP_ABSENT;
        return current->cas == put->cas ? FP_OK : FP_EXISTS;
    }
    return FP_INVALID;
}

/* What must be true of the present item for `next` to replace it. */
struct expectation {
    const struct item_put *put;  /* its condition must hold; or */
    const struct item *identity; /* it must be this very item */
};

static enum fp_status publish_locked(struct store *store, struct store_scratch *scratch,
                                     struct item *next, struct expectation expected,
                                     struct item *gone[2])
{
    struct keydir_shard *shard = keydir_shard(&store->keydir, next->hash);
    struct item *current = store_find_locked(store, scratch, item_key(next), next->hash, &gone[1]);
    enum fp_status status = FP_OK;
    if (expected.put != NULL) status = condition(expected.put, current);
    else if (current != expected.identity) status = FP_EXISTS;
    if (status == FP_OK) status = keydir_reserve_locked(&store->keydir, shard);
    if (status != FP_OK) return status;
    if (current != NULL) {
        store_unlink_locked(store, shard, current);
        gone[0] = current;
    }
    /* Only here: somebody may have touched it while we built. */
    if (expected.identity != NULL) next->expires_s = current->expires_s;
    next->cas = atomic_fetch_add(&store->last_cas, 1) + 1;
    next->accessed_ms = scratch->now_ms;
    store_link_locked(store, shard, next);
    store_count(&store->counters.items_total, 1);
    return FP_OK;
}

/* Publishes *next, which the directory then owns, or ends it. */
static enum fp_status publish(struct store *store, struct store_scratch *scratch,
                              struct item *next, struct expectation expected)
{
    struct keydir_shard *shard = keydir_shard(&store->keydir, next->hash);
    enum fp_status status;
    do {
        struct item *gone[2] = {NULL, NULL};
        lock_take(&shard->lock);
        status = publish_locked(store, scratch, next, expected, gone);
        lock_drop(&shard->lock);
        for (int i = 0; i < 2; i++)
            if (gone[i] != NULL) store_item_release(store, scratch, &gone[i]);
    } while (status == FP_NO_MEMORY && store_evict_one(store, scratch));
    if (status != FP_OK) store_item_release(store, scratch, &next);
    return status;
}

/* Before packing for nothing: what can be told without the new item. */
static enum fp_status look_ahead(struct store *store, struct store_scratch *scratch,
                                 const struct item_put *put)
{
    if (put->mode == ITEM_SET) return FP_OK;
    uint64_t hash = keydir_hash(&store->keydir, put->key);
    struct keydir_shard *shard = keydir_shard(&store->keydir, hash);
    struct item *dead;
    lock_take(&shard->lock);
    struct item *current = store_find_locked(store, scratch, put->key, hash, &dead);
    enum fp_status status = condition(put, current);
    lock_drop(&shard->lock);
    if (dead != NULL) store_item_release(store, scratch, &dead);
    return status;
}

enum fp_status store_item_rewrite(struct store *store, struct store_scratch *scratch,
                                  const struct item *item, struct slice value)
{
    struct item *next;
    enum fp_status status = build_item(store, scratch, item_key(item), value, &next);
    if (status != FP_OK) return status;
    next->flags = item->flags;
    return publish(store, scratch, next, (struct expectation){.identity = item});
}

/* The two values joined, packed and published in place of `old`. */
static enum fp_status join(struct store *store, struct store_scratch *scratch,
                           const struct item_put *put, const struct item *old)
{
    size_t size = old->value_bytes + put->value.size_bytes;
    if (!store_charge(store, scratch, BUDGET_ITEMS, size)) return FP_NO_MEMORY;
    uint8_t *bytes = malloc(size + 1); /* both may be empty */
    enum fp_status status = FP_NO_MEMORY;
    if (bytes != NULL) {
        bool append = put->mode == ITEM_APPEND;
        size_t added = put->value.size_bytes;
        status = store_item_read(store, scratch, old, append ? bytes : bytes + added);
        if (added > 0) /* nothing may come from nowhere: NULL is no source */
            memcpy(append ? bytes + old->value_bytes : bytes, put->value.bytes, added);
    }
    if (status == FP_OK) status = store_item_rewrite(store, scratch, old, slice_of(bytes, size));
    free(bytes);
    budget_return(&store->budget, BUDGET_ITEMS, size);
    return status;
}

static enum fp_status put_joined(struct store *store, struct store_scratch *scratch,
                                 const struct item_put *put, uint64_t value_bytes_max)
{
    enum fp_status status;
    do {
        struct item *old = store_item_acquire(store, scratch, put->key, NULL);
        if (old == NULL) return FP_NOT_STORED;
        if (old->value_bytes + put->value.size_bytes > value_bytes_max)
            status = FP_TOO_BIG;
        else
            status = join(store, scratch, put, old);
        store_item_release(store, scratch, &old);
    } while (status == FP_EXISTS);
    return status;
}

static enum fp_status put_whole(struct store *store, struct store_scratch *scratch,
                                const struct item_put *put)
{
    enum fp_status status = look_ahead(store, scratch, put);
    struct item *item;
    if (status == FP_OK) status = build_item(store, scratch, put->key, put->value, &item);
    if (status != FP_OK) return status;
    item->flags = put->flags;
    item->expires_s = store_expiry(scratch, put->exptime);
    return publish(store, scratch, item, (struct expectation){.put = put});
}

enum fp_status store_item_put(struct store *store, struct store_scratch *scratch,
                              const struct item_put *put, uint64_t value_bytes_max)
{
    store_flush_if_due(store, scratch);
    if (put->value.size_bytes > value_bytes_max) return FP_TOO_BIG;
    bool joined = put->mode == ITEM_APPEND || put->mode == ITEM_PREPEND;
    enum fp_status status = joined ? put_joined(store, scratch, put, value_bytes_max)
                                   : put_whole(store, scratch, put);
    if (status == FP_NO_MEMORY) store_count(&store->counters.no_memory, 1);
    return status;
}

/* Digits, then perhaps the blanks that an earlier decr left. */
static bool read_number(struct slice text, uint64_t *number)
{
    while (text.size_bytes > 0 && text.bytes[text.size_bytes - 1] == ' ') text.size_bytes--;
    return number_wire_u64(text, number);
}

static enum fp_status delta_once(struct store *store, struct store_scratch *scratch,
                                 const struct item_delta *change, struct item *old,
                                 uint64_t *result)
{
    uint8_t text[NUMBER_DIGITS_MAX + 4] = {0};
    uint64_t number;
    if (old->value_bytes > NUMBER_DIGITS_MAX) return FP_NOT_A_NUMBER;
    enum fp_status status = store_item_read(store, scratch, old, text);
    if (status != FP_OK) return status;
    if (!read_number(slice_of(text, old->value_bytes), &number)) return FP_NOT_A_NUMBER;
    if (!change->down) number += change->delta;
    else number = number > change->delta ? number - change->delta : 0;

    /* A shorter number keeps the old length: memcached pads with blanks. */
    int size = snprintf((char *)text, sizeof text, "%-*" PRIu64, (int)old->value_bytes, number);
    *result = number;
    return store_item_rewrite(store, scratch, old, slice_of(text, (size_t)size));
}

enum fp_status store_item_delta(struct store *store, struct store_scratch *scratch,
                                const struct item_delta *change, uint64_t *result)
{
    enum fp_status status;
    do {
        struct item *old = store_item_acquire(store, scratch, change->key, NULL);
        if (old == NULL) return FP_ABSENT;
        status = delta_once(store, scratch, change, old, result);
        store_item_release(store, scratch, &old);
    } while (status == FP_EXISTS);
    if (status == FP_NO_MEMORY) store_count(&store->counters.no_memory, 1);
    return status;
}
