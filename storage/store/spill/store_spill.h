/* SPDX-License-Identifier: BSD-3-Clause
 * store_spill - pages and items that are colder than memory, in a file below it: written back,
 * read, promoted (docs/spill.md says how and why).
 *
 * Without a file nothing here does anything. Loads answer FP_SPILLED for what is in the file; who
 * can wait for the disk does so by the calls under Reading, or by store_page_load_waiting.
 *
 * Threads: any, each with a scratch of its own; but store_spill_step and store_spill_gaps are one
 *          thread's, and open is called before there are others.
 * Locks:   enter holding none.
 * Blocks:  what says so waits for the disk; nothing else does.
 */
#ifndef FARPAGE_STORAGE_STORE_SPILL_H
#define FARPAGE_STORAGE_STORE_SPILL_H
#include "storage/spill/spill_file.h"
#include "storage/store/page/store_packed.h"
#include "storage/store/store.h"

#define SPILL_COUNTERS(X)                                                                          \
    X(spilled_total, "pages that were written back and let go of memory")                          \
    X(spilled_object_bytes, "bytes of their objects")                                              \
    X(not_spilled, "pages written in vain: touched, changed or mapped meanwhile")                  \
    X(spilled_loads, "loads answered from the file")                                               \
    X(promotions, "pages brought back into memory")                                                \
    X(failed_loads, "loads of pages that could not be read, or were not what was written")         \
    X(moved_pages, "pages moved to other extents, to free sparse ones")                            \
    X(items_spilled, "items that were written back and let go of memory")                          \
    X(items_spilled_bytes, "bytes of their objects")                                               \
    X(items_not_spilled, "items written in vain: used, replaced or ended meanwhile")               \
    X(item_reads, "times an item was answered from the file")                                      \
    X(item_promotions, "items brought back into memory")                                           \
    X(item_failed_reads, "reads of items that failed: they were misses")                           \
    X(items_ended, "items in the file that ended to make room, the coldest first")                 \
    X(moved_pieces, "pieces of items moved to other extents, to free sparse ones")                 \
    X(file_full, "times nothing could be written for want of a free extent or room on the disk")

struct spill_counters {
#define X(name, text) _Atomic uint64_t name;
    SPILL_COUNTERS(X)
#undef X
};

/* As spill_file_open, and `why` says what is wrong in any case; charges the extent that is being
 * filled and the one that is being emptied. */
enum fp_status store_spill_open(struct store *store, const struct spill_file_options *options,
                                char why[SPILL_WHY_BYTES]) FP_MUST_CHECK FP_NONNULL(1, 2, 3);
/* NULL: there is none. */
struct spill_file *store_spill_file(struct store *store) FP_NONNULL(1);
const struct spill_counters *store_spill_counters(const struct store *store) FP_NONNULL(1);

/* Items of so many packed bytes or more go, too; 0: none does, as from the start. What is there
 * stays. */
void store_spill_set_items(struct store *store, uint32_t item_bytes_min) FP_NONNULL(1);
/* Whether any do; and whether they do as things are, so that who wants memory may wait for it. */
bool store_spill_has_items(const struct store *store) FP_NONNULL(1);
bool store_spill_takes_items(const struct store *store) FP_NONNULL(1);

struct spilled_items { /* that are in the file now */
    uint64_t items, object_bytes, value_bytes;
};
struct spilled_items store_spill_items(const struct store *store) FP_NONNULL(1);

/* --- writing back (store_spill.c) ------------------------------------------------------------- */

struct spill_limits {
    uint64_t bytes; /* of objects, about; an extent at most */
    uint32_t looks; /* at slots, cold or not */
};
struct spill_step { /* what one step did */
    uint32_t looked;
    uint32_t pages, items; /* that are in the file now and not in memory */
    uint64_t bytes;        /* of their objects */
    uint64_t file_bytes;   /* written, for the throttle */
};
/* One bounded step: looks for cold pages, writes an extent of them, and lets go of what is still
 * cold then. FP_OK: also where it found too few, for now. FP_ABSENT: there is nothing that could be
 * written, as things are. FP_TOO_BIG: the file or its disk is full. FP_IO, FP_NO_MEMORY. Blocks. */
enum fp_status store_spill_step(struct store *store, struct store_scratch *scratch,
                                struct spill_limits limits, struct spill_step *done)
    FP_MUST_CHECK FP_NONNULL(1, 2, 4);

/* Whether write-back gets on, as the last step said: then who met the limit may wait for it. */
bool store_spill_makes_room(const struct store *store) FP_NONNULL(1);

/* One bounded step of emptying sparse extents: moves what is in one, where fewer than one in eight
 * are free and as much of it is dead as pays. *done counts what was written. FP_ABSENT: nothing to
 * do. Else as store_spill_step. Blocks. */
enum fp_status store_spill_gaps(struct store *store, struct store_scratch *scratch,
                                struct spill_step *done) FP_MUST_CHECK FP_NONNULL(1, 2, 3);

/* --- reading (store_spill_read.c) ------------------------------------------------------------- */

/* A spilled page, or piece of an item, on its way: begin -> run, by any one thread -> the request
 * again, with scratch->arrived -> end. What is done meanwhile to the slot or key is seen by the
 * request. */
struct store_read {
    struct page_place place; /* with a use of the area; of an item's piece no area */
    struct item *item;       /* NULL: a page; else with a reference, and which piece */
    uint32_t piece;
    struct store_read *next; /* in scratch->arrived, or in a list of who has it */
    uint64_t said;           /* of the slot's handle (zpool_says) */
    struct spill_read read;
    enum fp_status status;   /* FP_OK: its bytes are there. FP_IO, FP_CORRUPT, FP_NO_MEMORY */
};

/* FP_ABSENT: the slot holds nothing that would have to be read, or scratch->arrived (of a scratch
 * that may be NULL) has it already. FP_RANGE. */
enum fp_status store_read_begin(struct store *store, const struct store_scratch *scratch,
                                struct page_place place, struct store_read *read)
    FP_MUST_CHECK FP_NONNULL(1, 4);
void store_read_run(struct store *store, struct store_read *read) FP_NONNULL(1, 2); /* blocks */

enum store_promote { PROMOTE_BY_POLICY, PROMOTE_ALWAYS };
/* Brings what was read back into memory, if the slot still names it: always, or where it was
 * touched before or there is room below the low mark. FP_OK: it is there, or need not be, or the
 * slot names something else by now. FP_NO_MEMORY, FP_LATER: as a store. FP_CORRUPT: it could not
 * be read. */
enum fp_status store_read_promote(struct store *store, struct store_scratch *scratch,
                                  const struct store_read *read, enum store_promote how)
    FP_MUST_CHECK FP_NONNULL(1, 2, 3);
void store_read_end(struct store *store, struct store_scratch *scratch, struct store_read *read)
    FP_NONNULL(1, 2, 3);

/* --- reading items (store_spill_item_read.c) -------------------------------------------------- */

/* Whether pieces of the item, to which the caller has a reference, have to be read before it can:
 * those that are in the file, and not in scratch->arrived. */
bool store_item_is_due(struct store *store, const struct store_scratch *scratch,
                       const struct item *item) FP_NONNULL(1, 2, 3);
bool store_piece_is_due(struct store *store, const struct store_scratch *scratch,
                        const struct item *item, uint32_t piece) FP_NONNULL(1, 2, 3);
/* As store_read_begin, of a piece. */
enum fp_status store_item_read_begin(struct store *store, const struct store_scratch *scratch,
                                     struct item *item, uint32_t piece, struct store_read *read)
    FP_MUST_CHECK FP_NONNULL(1, 3, 5);
/* As store_read_promote, once for an item whose reads are in scratch->arrived, `first` among them.
 * An item that could not be read ends, and is a miss for the request. FP_OK, FP_LATER. */
enum fp_status store_item_promote(struct store *store, struct store_scratch *scratch,
                                  const struct store_read *first, enum store_promote how)
    FP_MUST_CHECK FP_NONNULL(1, 2, 3);
/* As store_item_read_piece, of what is spilled too. FP_IO: it cannot be read. Blocks. */
enum fp_status store_item_read_piece_waiting(struct store *store, struct store_scratch *scratch,
                                             struct item *item, uint32_t piece, uint8_t *out)
    FP_MUST_CHECK FP_NONNULL(1, 2, 3, 5);

/* As store_page_load_packed, of what is spilled too. Blocks. */
enum fp_status store_page_load_waiting(struct store *store, struct store_scratch *scratch,
                                       struct page_place place, const struct page_wish *wish,
                                       struct page_packed *page)
    FP_MUST_CHECK FP_NONNULL(1, 2, 4, 5);

#endif
