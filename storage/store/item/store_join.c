/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Life of a value that is appended or prepended to a long one, or is long itself:
 *   the old item held by a reference -> the pieces of both, in their order, unpacked one by one,
 *   poured together and packed anew -> published if the old item is still there, else begun again
 *
 * A step takes a few pieces and then lets others go first. Only two pieces are ever plain.
 */
#include <stdlib.h>

#include "base/arith.h"
#include "storage/store/item/store_value_internal.h"

enum { PIECES_PER_STEP = 16 };

struct store_join {
    struct item *old; /* a reference */
    uint64_t old_cas;
    struct store_value *sum;
    uint32_t taken;      /* pieces of both together, in their order */
    size_t poured_bytes; /* in `next` */
    uint8_t next[ITEM_PIECE_BYTES];  /* of the sum */
    uint8_t piece[ITEM_PIECE_BYTES]; /* of one of both */
};

void store_join_end(struct store *store, struct store_scratch *scratch, struct store_join **join)
{
    if (*join == NULL) return;
    if ((*join)->old != NULL) store_item_release(store, scratch, &(*join)->old);
    store_value_end(store, scratch, &(*join)->sum);
    budget_return(&store->budget, BUDGET_ITEMS, sizeof **join);
    free(*join);
    *join = NULL;
}

/* --- beginning -------------------------------------------------------------------------------- */

/* From what the key holds now; where that is nothing, FP_OK: it was the first. FP_INVALID: it has
 * not the cas that was asked for. FP_EXISTS: somebody else was quicker again. */
static enum fp_status begin_again(struct store *store, struct store_scratch *scratch,
                                  const struct item_put *put, uint64_t value_bytes_max,
                                  struct store_join *join)
{
    if (join->old != NULL) store_item_release(store, scratch, &join->old);
    store_value_end(store, scratch, &join->sum);
    join->taken = 0;
    join->poured_bytes = 0;
    join->old = store_item_hold(store, scratch, put->key);
    if (join->old == NULL) return store_item_put_first(store, scratch, put);
    join->old_cas = item_cas(join->old);
    if (put->cas != 0 && join->old_cas != put->cas) return FP_INVALID;
    uint64_t size = join->old->value_bytes + store_put_bytes(put);
    if (size > value_bytes_max) return FP_TOO_BIG;
    return store_value_begin(store, scratch, size, &join->sum);
}

static enum fp_status begin(struct store *store, struct store_scratch *scratch,
                            struct store_join **join)
{
    if (!store_charge(store, scratch, BUDGET_ITEMS, sizeof **join)) return FP_NO_MEMORY;
    *join = malloc(sizeof **join);
    if (*join == NULL) {
        budget_return(&store->budget, BUDGET_ITEMS, sizeof **join);
        return FP_NO_MEMORY;
    }
    (*join)->old = NULL;
    (*join)->sum = NULL;
    return FP_OK;
}

/* --- pouring ---------------------------------------------------------------------------------- */

static enum fp_status pour(struct store *store, struct store_scratch *scratch,
                           struct store_join *join, struct slice bytes)
{
    while (bytes.size_bytes > 0) {
        size_t wanted = store_value_next_bytes(join->sum) - join->poured_bytes;
        size_t now = min_u64(wanted, bytes.size_bytes);
        memcpy(join->next + join->poured_bytes, bytes.bytes, now);
        bytes = slice_of(bytes.bytes + now, bytes.size_bytes - now);
        join->poured_bytes += now;
        if (now < wanted) return FP_OK;
        enum fp_status status = store_value_add(store, scratch, join->sum, join->next);
        if (status == FP_LATER) status = FP_NO_MEMORY; /* it is half poured, and cannot wait */
        if (status != FP_OK) return status;
        join->poured_bytes = 0;
    }
    return FP_OK;
}

static enum fp_status read_old(struct store *store, struct store_scratch *scratch,
                               struct store_join *join, uint32_t i, struct slice *bytes)
{
    *bytes = slice_of(join->piece, item_piece_bytes(join->old, i));
    enum fp_status status = store_item_read_piece(store, scratch, join->old, i, join->piece);
    return status == FP_SPILLED ? FP_NO_MEMORY : status; /* there was none to bring it back to */
}

static enum fp_status read_added(struct store *store, struct store_scratch *scratch,
                                 struct store_join *join, const struct item_put *put, uint32_t i)
{
    size_t size = item_piece_bytes_of(store_put_bytes(put), i);
    enum fp_status status = FP_OK;
    const uint8_t *bytes = join->piece;
    if (put->whole != NULL) status = store_value_read(store, scratch, *put->whole, i, join->piece);
    else bytes = put->value.bytes + (size_t)i * ITEM_PIECE_BYTES;
    return status == FP_OK ? pour(store, scratch, join, slice_of(bytes, size)) : status;
}

static enum fp_status take_one(struct store *store, struct store_scratch *scratch,
                               const struct item_put *put, struct store_join *join)
{
    bool append = put->mode == ITEM_APPEND;
    uint32_t first = append ? item_piece_count(join->old) : item_pieces_of(store_put_bytes(put));
    bool of_first = join->taken < first;
    uint32_t i = of_first ? join->taken : join->taken - first;
    join->taken++;
    if (of_first != append) return read_added(store, scratch, join, put, i);
    struct slice bytes;
    enum fp_status status = read_old(store, scratch, join, i, &bytes);
    return status == FP_OK ? pour(store, scratch, join, bytes) : status;
}

static enum fp_status publish(struct store *store, struct store_scratch *scratch,
                              const struct item_put *put, struct store_join *join)
{
    struct item *next;
    enum fp_status status = store_value_to_item(store, scratch, put->key, &join->sum, &next);
    if (status != FP_OK) return status;
    struct rewrite rewrite = {.item = join->old,
                              .item_cas = join->old_cas,
                              .cas = put->new_cas,
                              .stored = put->stored};
    return store_item_publish_rewrite(store, scratch, next, &rewrite);
}

/* FP_OK with *published false: there is more to do. */
static enum fp_status go_on(struct store *store, struct store_scratch *scratch,
                            const struct item_put *put, struct store_join *join, bool *published)
{
    uint32_t all = item_piece_count(join->old) + item_pieces_of(store_put_bytes(put));
    uint32_t end = (uint32_t)min_u64(join->taken + PIECES_PER_STEP, all);
    enum fp_status status = FP_OK;
    while (status == FP_OK && join->taken < end) status = take_one(store, scratch, put, join);
    *published = join->taken == all && status == FP_OK;
    return *published ? publish(store, scratch, put, join) : status;
}

enum fp_status store_join_step(struct store *store, struct store_scratch *scratch,
                               const struct item_put *put, uint64_t value_bytes_max,
                               struct store_join **join)
{
    enum fp_status status = FP_EXISTS; /* so that it begins */
    bool published = false;
    if (*join == NULL) {
        enum fp_status begun = begin(store, scratch, join);
        if (begun != FP_OK) return begun;
    } else {
        status = go_on(store, scratch, put, *join, &published);
    }
    while (status == FP_EXISTS) {
        status = begin_again(store, scratch, put, value_bytes_max, *join);
        published = (*join)->old == NULL; /* it was the first */
    }
    if (status == FP_OK && !published) return FP_OK;
    store_join_end(store, scratch, join);
    return status == FP_INVALID ? FP_EXISTS : status;
}
