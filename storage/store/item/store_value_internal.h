/* SPDX-License-Identifier: BSD-3-Clause
 * store_value_internal - what the files that make items share: store_item_put, store_value,
 * store_join. */
#ifndef FARPAGE_STORAGE_STORE_VALUE_INTERNAL_H
#define FARPAGE_STORAGE_STORE_VALUE_INTERNAL_H
#include "storage/store/item/store_value.h"
#include "storage/store/store_internal.h"

/* A charged item with no piece yet and one reference, which store_item_release gives up. */
enum fp_status store_item_begin(struct store *store, struct store_scratch *scratch,
                                struct slice key, uint64_t value_bytes, struct item **item)
    FP_MUST_CHECK;

/* An item that nobody can find, of a whole value's pieces. Then one of two: it was published, and
 * they are its own (give; *value is NULL then); or it was not, and ends without them. */
enum fp_status store_value_lend(struct store *store, struct store_scratch *scratch,
                                struct slice key, struct store_value *value, struct item **item)
    FP_MUST_CHECK;
void store_value_give(struct store *store, struct store_scratch *scratch,
                      struct store_value **value);
void store_value_take_back(struct store *store, struct store_scratch *scratch,
                           struct store_value *value, struct item **item);

/* A whole value becomes an item that nobody can find; *value is NULL then. FP_NO_MEMORY: it is the
 * caller's still. */
enum fp_status store_value_to_item(struct store *store, struct store_scratch *scratch,
                                   struct slice key, struct store_value **value,
                                   struct item **item) FP_MUST_CHECK;

/* Publishes *next, a rewrite (flags and key as they are) of rewrite->item, or ends it; its value is
 * in next. FP_EXISTS: not the item any more, or not with that cas. FP_NO_MEMORY. */
enum fp_status store_item_publish_rewrite(struct store *store, struct store_scratch *scratch,
                                          struct item *next, const struct rewrite *rewrite)
    FP_MUST_CHECK;

/* There is nothing to join it with: it is the first, unless that is not wanted (FP_NOT_STORED) or
 * somebody else was quicker (FP_EXISTS). */
enum fp_status store_item_put_first(struct store *store, struct store_scratch *scratch,
                                    const struct item_put *put) FP_MUST_CHECK;

static inline uint64_t store_put_bytes(const struct item_put *put)
{
    return put->whole != NULL ? store_value_bytes(*put->whole) : put->value.size_bytes;
}

/* One step of a join: some pieces. *join is not NULL afterwards: it is not done; call it again with
 * the same put. */
enum fp_status store_join_step(struct store *store, struct store_scratch *scratch,
                               const struct item_put *put, uint64_t value_bytes_max,
                               struct store_join **join) FP_MUST_CHECK;

/* What is over: its pieces, and what they were kept in, to be freed with them. */
struct ending_pieces {
    struct zhandle *pieces;
    uint32_t count;
    uint64_t charged_bytes; /* BUDGET_ITEMS */
    void *record, *table;   /* for free(); NULL: nothing */
};
/* Ends them: few at once, many by and by (store_end_step). */
void store_end_pieces(struct store *store, struct store_scratch *scratch,
                      const struct ending_pieces *pieces);

/* Unpacks one piece and checks it. FP_CORRUPT. */
enum fp_status store_piece_read(struct store *store, struct store_scratch *scratch,
                                struct zhandle piece, struct space out) FP_MUST_CHECK;

#endif
