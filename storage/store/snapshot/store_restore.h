/* SPDX-License-Identifier: BSD-3-Clause
 * store_restore - an empty store gets what a snapshot has, record by record.
 *
 * Areas keep their generations, items their cas; what was configured is no more than made (the
 * server says again what is). Objects stay packed as they were: the first of a compressor that is
 * not the present one brings back a seat for it. Nothing is unpacked; what does not match its
 * check is found out when it is read, as ever.
 *
 * A snapshot is restored as a whole: whoever is told of a problem, or has no END record in the end,
 * gives up the store with it. Items are a cache: where memory is out they give way as they do
 * otherwise, and one that has expired meanwhile is left out. Pages never are.
 *
 * Life: begin -> take, for each record of a reader (snapshot/reader.h) -> end.
 * Threads: one; nobody else uses the store yet. Blocks: as stores do, and for dictionaries.
 */
#ifndef FARPAGE_STORAGE_STORE_RESTORE_H
#define FARPAGE_STORAGE_STORE_RESTORE_H
#include "snapshot/reader.h"
#include "storage/store/store.h"

struct store_restore;

enum fp_status store_restore_begin(struct store *store, struct store_restore **restore)
    FP_MUST_CHECK FP_NONNULL(1, 2);
/* FP_CORRUPT: it cannot be, and *problem says why in a sentence's worth of words. FP_NO_MEMORY: the
 * limit is too low. FP_INVALID: this program or its configuration cannot have it: *problem. */
enum fp_status store_restore_take(struct store_restore *restore, struct store_scratch *scratch,
                                  const struct snapshot_record *record, const char **problem)
    FP_MUST_CHECK FP_NONNULL(1, 2, 3, 4);
void store_restore_end(struct store_restore **restore, struct store_scratch *scratch)
    FP_NONNULL(1, 2);

struct store_restored { /* so far */
    uint64_t pages, items;
    uint64_t expired; /* items that were left out */
    uint64_t given_way; /* items for which there was no memory */
    bool complete;
};
struct store_restored store_restored(const struct store_restore *restore) FP_NONNULL(1);

/* What memory a snapshot needs at least, as far as its totals tell: objects and tables. */
uint64_t store_restore_needs(const struct snapshot_totals *totals) FP_NONNULL(1);

#endif
