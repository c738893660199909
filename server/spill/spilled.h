/* SPDX-License-Identifier: BSD-3-Clause
 * spilled - waiting for pages and items that are in the file below memory, without a worker that
 * waits.
 *
 *   a request finds pages spilled -(spill_ask)-> asked for -(spill_wait_begin)-> read by a thread
 *   of the pool -> on the worker's desk -(the worker's loop)-> `arrived` is called -> the request
 *   again, between spill_wait_arrive and spill_wait_end, during which loads find what was read
 *
 * A connection that ends drops its waits; what is read for nobody is thrown away.
 *
 * Threads: the pool's own; a desk, a wait and what was asked belong to their worker's.
 * Locks:   RANK_SPILL_READS.
 */
#ifndef FARPAGE_SERVER_SPILLED_H
#define FARPAGE_SERVER_SPILLED_H
#include "server/shared.h"
#include "storage/store/spill/store_spill.h"

enum {
    SPILL_READERS = 4,     /* threads of the pool: reads at once */
    SPILL_ASKED_MAX = 128, /* pages of one request; it asks for the others then */
};

struct spill_reads; /* the pool */
struct spilled;     /* a page on its way */

enum fp_status spill_reads_create(struct shared *shared, struct spill_reads **reads)
    FP_MUST_CHECK FP_NONNULL(1, 2);
enum fp_status spill_reads_start(struct spill_reads *reads) FP_MUST_CHECK FP_NONNULL(1);
void spill_reads_stop(struct spill_reads *reads) FP_NONNULL(1); /* all that was asked is read */
void spill_reads_destroy(struct spill_reads **reads) FP_NONNULL(1);

struct spill_desk { /* of a worker: what was read for it */
    struct lock lock;
    struct spilled *done;
    int wake_fd; /* of the worker, that looks then */
};
void spill_desk_init(struct spill_desk *desk, int wake_fd) FP_NONNULL(1);
void spill_desk_fini(struct spill_desk *desk, struct store *store, struct store_scratch *scratch)
    FP_NONNULL(1);
/* Calls `arrived` of those that have all they waited for. */
void spill_desk_deliver(struct spill_desk *desk, struct store *store,
                        struct store_scratch *scratch) FP_NONNULL(1, 2, 3);

struct spill_asked { /* of the request under way; zeros: nothing */
    struct spilled *first;
    uint32_t count;
#if FARPAGE_DEBUG_HOOKS
    uint32_t unseen; /* so many are asked for as if they had gone there right after the look */
#endif
};

/* Asks for a page if it would have to be read: true, and the request is to wait. False: it need not
 * be, was read already, or there is no memory to ask for it. It may go there right after: whoever
 * meets FP_SPILLED then asks again. */
bool spill_ask(struct spill_asked *asked, struct store *store, const struct store_scratch *scratch,
               struct page_place place, enum store_promote how) FP_NONNULL(1, 2, 3);
/* The same for slots [slot, end), by policy. True: some are to be waited for. */
bool spill_ask_some(struct spill_asked *asked, struct store *store,
                    const struct store_scratch *scratch, struct page_place place, uint64_t end)
    FP_NONNULL(1, 2, 3);
/* Whether it waits for items: they were answered as they came, so nothing that came is kept. */
bool spill_asks_items(const struct spill_asked *asked) FP_NONNULL(1);
void spill_asked_drop(struct spill_asked *asked, struct store *store,
                      struct store_scratch *scratch) FP_NONNULL(1, 2, 3);

enum spill_item { SPILL_ITEM_READY, SPILL_ITEM_ASKED, SPILL_ITEM_NO_MEMORY };
struct spill_wish {
    enum store_promote how;
    uint32_t piece, pieces_max; /* from which on, and how many; UINT32_MAX: all */
};
/* Asks for pieces of an item, to which the caller has a reference, that would have to be read.
 * SPILL_ITEM_READY: none would. SPILL_ITEM_NO_MEMORY: there is none to ask for any. */
enum spill_item spill_ask_item(struct spill_asked *asked, struct store *store,
                               const struct store_scratch *scratch, struct item *item,
                               const struct spill_wish *wish) FP_NONNULL(1, 2, 3, 4, 5);

struct spill_wait { /* zeros: for nothing */
    struct spilled *first;
    uint32_t pending; /* not on the desk yet */
    void (*arrived)(void *owner);
    void *owner;
};
/* What was asked becomes what is waited for; `wait`, whose arrived and owner are set, stays where
 * it is until that has come. What has come before stays with it: two pages of a request cannot send
 * each other away for ever. */
void spill_wait_begin(struct spill_wait *wait, struct spill_asked *asked, struct spill_desk *desk,
                      struct spill_reads *reads) FP_NONNULL(1, 2, 3, 4);
static inline bool spill_waits(const struct spill_wait *wait)
{
    return wait->pending > 0;
}
/* All has come: promotes it, and lends it to the scratch. FP_LATER: what must be promoted is to be
 * tried again. */
enum fp_status spill_wait_arrive(struct spill_wait *wait, struct store *store,
                                 struct store_scratch *scratch)
    FP_MUST_CHECK FP_NONNULL(1, 2, 3);
/* Given, and it has to wait again (spill_wait_begin). */
void spill_wait_keep(struct store_scratch *scratch) FP_NONNULL(1);
/* Given, and over. */
void spill_wait_end(struct spill_wait *wait, struct store *store, struct store_scratch *scratch)
    FP_NONNULL(1, 2, 3);
/* Nobody waits any more, come or not. */
void spill_wait_drop(struct spill_wait *wait, struct store *store, struct store_scratch *scratch)
    FP_NONNULL(1, 2);

#endif
