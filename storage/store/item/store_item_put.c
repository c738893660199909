/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Life of a new item: built (charged, its pieces packed, no lock held) -> its condition looked at
 * again under the shard's lock -> published, the old one unlinked -> the old one released.
 *
 * append, prepend, incr, decr (store_item_delta.c) and who has it mapped build from an old item
 * they hold a reference to, and publish only if that very item is still there, with the cas it had.
 * The first four start again if it is not. A long value comes packed already (store_value.c), and
 * is joined in steps (store_join.c).
 */
#include <stdlib.h>

#include "base/crc32c.h"
#include "storage/store/spill/store_spill.h"
#include "storage/store/item/store_value_internal.h"
#include "storage/store/store_tenant.h"

static enum fp_status pack_pieces(struct store *store, struct store_scratch *scratch,
                                  struct item *item, struct slice value)
{
    for (uint32_t i = 0; i < item_piece_count(item); i++) {
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

enum fp_status store_item_begin(struct store *store, struct store_scratch *scratch,
                                struct slice key, uint64_t value_bytes, struct item **item)
{
    uint64_t hash = keydir_hash(&store->keydir, key);
    uint64_t bytes = item_record_bytes(key.size_bytes, value_bytes);
    if (!store_charge(store, scratch, BUDGET_ITEMS, bytes)) return FP_NO_MEMORY;
    *item = item_create(key, hash, value_bytes);
    if (*item == NULL) {
        budget_return(&store->budget, BUDGET_ITEMS, bytes);
        return FP_NO_MEMORY;
    }
    fp_assert(store_item_cost(*item) == bytes);
    (*item)->tenant = scratch->tenant & ITEM_TENANT_MASK;
    return FP_OK;
}

enum fp_status store_item_build(struct store *store, struct store_scratch *scratch,
                                struct slice key, struct slice value, struct item **out)
{
    struct item *item;
    enum fp_status status = store_item_begin(store, scratch, key, value.size_bytes, &item);
    if (status != FP_OK) return status;
    status = pack_pieces(store, scratch, item, value);
    if (status != FP_OK)
        store_item_release(store, scratch, &item);
    else
        *out = item;
    return status;
}

/* What a client says it has seen; 0 is no number it can have seen, and never the right one. */
static bool cas_holds(const struct item_put *put, const struct item *current)
{
    uint64_t cas = item_cas(current);
    if (put->cas == 0) return false;
    return cas == put->cas || (put->may_be_stale && put->cas < cas);
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
        return cas_holds(put, current) ? FP_OK : FP_EXISTS;
    }
    return FP_INVALID;
}

/* What must be true of the present item for `next` to replace it: one of the two. */
struct expectation {
    const struct item_put *put;    /* its condition must hold */
    const struct rewrite *rewrite; /* it must be the very item that this was made from */
    struct item_stored *stored;    /* may be NULL */
};

static bool is_still(const struct rewrite *rewrite, const struct item *current)
{
    return current == rewrite->item && item_cas(current) == rewrite->item_cas;
}

/* A value that may be put over a newer one is as stale as that is, and lives no longer. */
static void inherit_staleness(struct item *next, const struct item *current)
{
    next->expires_s = current->expires_s;
    next->stale = true;
    next->won = current->won;
}

/* What goes over from the item that is replaced. Only under the lock: somebody may have touched it
 * while we built. */
static void inherit(struct store_scratch *scratch, struct item *next, const struct item *current,
                    struct expectation expected)
{
    const struct item_put *put = expected.put;
    const struct rewrite *rewrite = expected.rewrite;
    if (put != NULL) {
        if (put->mode == ITEM_CAS && item_cas(current) != put->cas)
            inherit_staleness(next, current);
        return;
    }
    next->expires_s = current->expires_s;
    if (rewrite->times != NULL) {
        *rewrite->ttls = store_item_ttls(scratch, current->expires_s, rewrite->times);
        const int64_t *touch = rewrite->times->touch;
        if (touch != NULL) next->expires_s = store_expiry(scratch, *touch);
    }
    if (!rewrite->keeps_marks) return;
    next->fetched = current->fetched;
    next->stale = current->stale;
    next->won = current->won;
}

static enum fp_status publish_locked(struct store *store, struct store_scratch *scratch,
                                     struct item *next, struct expectation expected,
                                     struct item *gone[2])
{
    struct keydir_shard *shard = keydir_shard(&store->keydir, next->hash);
    struct item *current = store_find_locked(store, scratch, item_key(next), next->hash, &gone[1]);
    enum fp_status status = FP_OK;
    if (expected.put != NULL) status = condition(expected.put, current);
    else if (current == NULL || !is_still(expected.rewrite, current)) status = FP_EXISTS;
    if (status == FP_OK) status = keydir_reserve_locked(shard, next->tenant);
    if (status == FP_OK) status = store_item_charge_locked(store, scratch, next, current);
    if (status != FP_OK) return status;
    if (current != NULL) inherit(scratch, next, current, expected);
    gone[0] = current;
    store_item_enter_locked(store, scratch, current, next,
                            expected.put != NULL ? expected.put->new_cas : expected.rewrite->cas);
    if (expected.stored != NULL) {
        expected.stored->cas = item_cas(next);
        expected.stored->value_bytes = next->value_bytes;
    }
    return FP_OK;
}

/* Publishes *next, which the directory then owns; or it is the caller's still. */
static enum fp_status try_to_publish(struct store *store, struct store_scratch *scratch,
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
    } while (store_make_way(store, scratch, status));
    store_count_over_quota(store, next, status);
    return status;
}

/* Or ends it. */
static enum fp_status publish(struct store *store, struct store_scratch *scratch,
                              struct item *next, struct expectation expected)
{
    enum fp_status status = try_to_publish(store, scratch, next, expected);
    if (status != FP_OK) store_item_release(store, scratch, &next);
    return status;
}

enum fp_status store_item_publish_rewrite(struct store *store, struct store_scratch *scratch,
                                          struct item *next, const struct rewrite *rewrite)
{
    next->flags = rewrite->item->flags;
    next->key_binary = rewrite->item->key_binary;
    return publish(store, scratch, next,
                   (struct expectation){.rewrite = rewrite, .stored = rewrite->stored});
}

enum fp_status store_item_look_ahead(struct store *store, struct store_scratch *scratch,
                                     const struct item_put *put)
{
    store_flush_if_due(store, scratch);
    if (put->mode == ITEM_SET || put->creates) return FP_OK;
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
                                  const struct rewrite *rewrite)
{
    struct item *next;
    const struct item *item = rewrite->item;
    enum fp_status status =
        store_item_build(store, scratch, item_key(item), rewrite->value, &next);
    if (status != FP_OK) return status;
    return store_item_publish_rewrite(store, scratch, next, rewrite);
}

/* The two values joined, packed and published in place of `old`. FP_INVALID: it has not the cas
 * that was asked for. FP_EXISTS: it has changed since it was acquired. */
static enum fp_status join(struct store *store, struct store_scratch *scratch,
                           const struct item_put *put, const struct item *old)
{
    uint64_t old_cas = item_cas(old);
    if (put->cas != 0 && old_cas != put->cas) return FP_INVALID;
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
    if (status == FP_OK) {
        struct rewrite rewrite = {.item = old,
                                  .item_cas = old_cas,
                                  .value = slice_of(bytes, size),
                                  .cas = put->new_cas,
                                  .stored = put->stored};
        status = store_item_rewrite(store, scratch, &rewrite);
    }
    free(bytes);
    budget_return(&store->budget, BUDGET_ITEMS, size);
    return status;
}

static enum fp_status put_whole(struct store *store, struct store_scratch *scratch,
                                const struct item_put *put)
{
    enum fp_status status = store_item_look_ahead(store, scratch, put);
    struct item *item;
    if (status == FP_OK && put->whole != NULL)
        status = store_value_lend(store, scratch, put->key, *put->whole, &item);
    else if (status == FP_OK)
        status = store_item_build(store, scratch, put->key, put->value, &item);
    if (status != FP_OK) return status;
    item->flags = put->flags;
    item->key_binary = put->key_binary;
    item->expires_s = store_expiry(scratch, put->exptime);
    struct expectation expected = {.put = put, .stored = put->stored};
    if (put->whole == NULL) return publish(store, scratch, item, expected);
    status = try_to_publish(store, scratch, item, expected);
    if (status == FP_OK) store_value_give(store, scratch, put->whole);
    else store_value_take_back(store, scratch, *put->whole, &item); /* a join goes on with it */
    return status;
}

enum fp_status store_item_put_first(struct store *store, struct store_scratch *scratch,
                                    const struct item_put *put)
{
    if (!put->creates) return FP_NOT_STORED;
    struct item_put first = *put;
    first.mode = ITEM_ADD;
    enum fp_status status = put_whole(store, scratch, &first);
    return status == FP_NOT_STORED ? FP_EXISTS : status;
}

/* In steps where the caller can wait for them, else all at once. */
static enum fp_status put_in_steps(struct store *store, struct store_scratch *scratch,
                                   const struct item_put *put, uint64_t value_bytes_max)
{
    struct store_join *own = NULL;
    if (put->join != NULL)
        return store_join_step(store, scratch, put, value_bytes_max, put->join);
    enum fp_status status;
    do status = store_join_step(store, scratch, put, value_bytes_max, &own);
    while (own != NULL);
    return status;
}

static bool is_joined_in_steps(const struct item_put *put, const struct item *old)
{
    if (put->whole != NULL) return true;
    return old != NULL && old->value_bytes + put->value.size_bytes > ITEM_WHOLE_BYTES_MAX;
}

static enum fp_status put_joined(struct store *store, struct store_scratch *scratch,
                                 const struct item_put *put, uint64_t value_bytes_max)
{
    enum fp_status status;
    if (put->join != NULL && *put->join != NULL)
        return put_in_steps(store, scratch, put, value_bytes_max);
    do {
        struct item *old = store_item_hold(store, scratch, put->key);
        bool in_steps = is_joined_in_steps(put, old);
        bool due = old != NULL && store_item_is_due(store, scratch, old);
        if (due)
            status = FP_SPILLED;
        else if (in_steps)
            status = FP_OK;
        else if (old == NULL)
            status = store_item_put_first(store, scratch, put);
        else if (old->value_bytes + put->value.size_bytes > value_bytes_max)
            status = FP_TOO_BIG;
        else
            status = join(store, scratch, put, old);
        if (old != NULL) store_item_release(store, scratch, &old);
        if (in_steps && !due) return put_in_steps(store, scratch, put, value_bytes_max);
    } while (status == FP_EXISTS);
    return status == FP_INVALID ? FP_EXISTS : status;
}

enum fp_status store_item_put(struct store *store, struct store_scratch *scratch,
                              const struct item_put *put, uint64_t value_bytes_max)
{
    store_flush_if_due(store, scratch);
    if (store_put_bytes(put) > value_bytes_max) { /* by now, where a join is under way */
        if (put->join != NULL) store_join_end(store, scratch, put->join);
        return FP_TOO_BIG;
    }
    if (store_waits_for_room(store, scratch)) return FP_LATER;
    scratch->later = false;
    bool joined = put->mode == ITEM_APPEND || put->mode == ITEM_PREPEND;
    enum fp_status status = joined ? put_joined(store, scratch, put, value_bytes_max)
                                   : put_whole(store, scratch, put);
    if (status == FP_NO_MEMORY && scratch->later) return FP_LATER;
    if (status == FP_NO_MEMORY) store_count(&store->counters.no_memory, 1);
    return status;
}
