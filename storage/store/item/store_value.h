/* SPDX-License-Identifier: BSD-3-Clause
 * store_value - a value on its way in: packed piece by piece as it comes, found by nobody.
 *
 * Life: begin -> add, as often as store_value_next_bytes says there is more -> given to
 * store_item_put as `whole`, which takes it -> an item. Or end: its pieces are freed and nothing
 * has changed.
 *
 * Its record and its pieces are charged as they come. What all values on their way have packed is
 * at most half of the memory limit: so much of what can be evicted stays for others, and a value
 * that packs to more is refused.
 *
 * Threads: any, one at a time for one value. Blocks: never, but for short locks.
 * Locks:   enter holding none.
 */
#ifndef FARPAGE_STORAGE_STORE_VALUE_H
#define FARPAGE_STORAGE_STORE_VALUE_H
#include "storage/store/store.h"

struct store_value;

/* value_bytes: what will come in all, at most 4 GiB less one. FP_NO_MEMORY. FP_LATER:
 * as of store_item_put; so of the next. */
enum fp_status store_value_begin(struct store *store, struct store_scratch *scratch,
                                 uint64_t value_bytes, struct store_value **value)
    FP_MUST_CHECK FP_NONNULL(1, 2, 4);

/* How many bytes the next store_value_add takes: ITEM_PIECE_BYTES, less for the last; 0: it is
 * whole. */
size_t store_value_next_bytes(const struct store_value *value) FP_NONNULL(1);

/* Packs the next piece; items give way where memory is short. FP_NO_MEMORY: that was not enough;
 * what came before is still there. */
enum fp_status store_value_add(struct store *store, struct store_scratch *scratch,
                               struct store_value *value, const uint8_t *bytes)
    FP_MUST_CHECK FP_NONNULL(1, 2, 3, 4);

uint64_t store_value_bytes(const struct store_value *value) FP_NONNULL(1); /* when it is whole */

/* Unpacks a piece that was added: item_piece_bytes_of() bytes. FP_CORRUPT: out is not to be shown
 * to anybody. */
enum fp_status store_value_read(struct store *store, struct store_scratch *scratch,
                                const struct store_value *value, uint32_t piece, uint8_t *out)
    FP_MUST_CHECK FP_NONNULL(1, 2, 3, 5);

/* NULL: nothing happens. */
void store_value_end(struct store *store, struct store_scratch *scratch,
                     struct store_value **value) FP_NONNULL(1, 2, 3);

/* Packed bytes of all values on their way, and the most they may be. */
uint64_t store_values_packed_bytes(const struct store *store) FP_NONNULL(1);
uint64_t store_values_packed_bytes_max(const struct store *store) FP_NONNULL(1);

/* --- joining (store_join.c): append and prepend where the result is long ---------------------- */

struct store_join;

/* Gives up what store_item_put has begun and not finished (put.join). NULL: nothing happens. */
void store_join_end(struct store *store, struct store_scratch *scratch, struct store_join **join)
    FP_NONNULL(1, 2, 3);

#endif
