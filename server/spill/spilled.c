/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The pool has one queue, first come, first read, and a few threads, so that a disk is asked
 * several things at once. Threads that wait for pread are as good here as io_uring: there are few
 * of them, and the sandbox keeps io_uring shut.
 */
#include "server/spill/spilled.h"

#include <pthread.h>
#include <semaphore.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "protocol/key_text.h"

struct spilled {
    struct store_read read;
    enum store_promote how;
    bool leads; /* it is the first of an item's, which is promoted with it */
    struct spill_wait *wait; /* NULL: nobody any more */
    struct spill_desk *desk;
    struct spilled *next; /* of whatever list it is in */
    struct spilled *of_wait; /* the next of the same wait */
};

struct spill_reads {
    struct shared *shared;
    sem_t there; /* as many as are in the queue, and one for each thread that is to end */
    struct lock lock;
    struct spilled *first, **last;
    unsigned started;
    pthread_t threads[SPILL_READERS];
};

/* --- the pool --------------------------------------------------------------------------------- */

static struct spilled *take(struct spill_reads *reads)
{
    while (sem_wait(&reads->there) != 0) {} /* a signal */
    lock_take(&reads->lock);
    struct spilled *spilled = reads->first;
    if (spilled != NULL) {
        reads->first = spilled->next;
        if (reads->first == NULL) reads->last = &reads->first;
    }
    lock_drop(&reads->lock);
    return spilled;
}

static void tell_failure(struct spill_reads *reads, const struct store_read *read)
{
    static const struct log_pace pace = {10, 10000000000};
    struct shared *shared = reads->shared;
    uint64_t skipped;
    if (read->status != FP_IO && read->status != FP_CORRUPT) return;
    if (!log_gate_pass(&shared->gates[GATE_SPILL], pace, clock_monotonic_ns(), &skipped)) return;
    if (read->item != NULL) {
        char key[KEY_URI_BYTES_MAX + 1];
        key[key_uri(item_key(read->item), key)] = '\0';
        log_event(shared->log, LOG_ERROR, "a spilled item cannot be read, and ends",
                  log_text("key", key), log_text("reason", fp_status_text(read->status)),
                  log_number("not_shown", skipped));
        return;
    }
    log_event(shared->log, LOG_ERROR, "a spilled page cannot be read",
              log_text("area", read->place.area->name), log_number("slot", read->place.slot),
              log_text("reason", fp_status_text(read->status)),
              log_number("not_shown", skipped));
}

static void put_on_desk(struct spilled *spilled)
{
    struct spill_desk *desk = spilled->desk;
    uint64_t one = 1;
    lock_take(&desk->lock);
    spilled->next = desk->done;
    desk->done = spilled;
    lock_drop(&desk->lock);
    ssize_t done = write(desk->wake_fd, &one, sizeof one);
    (void)done; /* cannot fail but when it is awake already */
}

static void *run(void *opaque)
{
    struct spill_reads *reads = opaque;
    struct spilled *spilled;
    while ((spilled = take(reads)) != NULL) {
        store_read_run(reads->shared->store, &spilled->read);
        tell_failure(reads, &spilled->read);
        put_on_desk(spilled);
    }
    return NULL;
}

enum fp_status spill_reads_create(struct shared *shared, struct spill_reads **out)
{
    struct spill_reads *reads = calloc(1, sizeof *reads);
    if (reads == NULL) return FP_NO_MEMORY;
    reads->shared = shared;
    reads->last = &reads->first;
    lock_init(&reads->lock, RANK_SPILL_READS);
    fp_assert(sem_init(&reads->there, 0, 0) == 0);
    *out = reads;
    return FP_OK;
}

enum fp_status spill_reads_start(struct spill_reads *reads)
{
    for (; reads->started < SPILL_READERS; reads->started++)
        if (pthread_create(&reads->threads[reads->started], NULL, run, reads) != 0)
            return FP_NO_MEMORY;
    return FP_OK;
}

void spill_reads_stop(struct spill_reads *reads)
{
    for (unsigned i = 0; i < reads->started; i++) fp_assert(sem_post(&reads->there) == 0);
    while (reads->started > 0)
        fp_assert(pthread_join(reads->threads[--reads->started], NULL) == 0);
}

void spill_reads_destroy(struct spill_reads **reads_ptr)
{
    struct spill_reads *reads = *reads_ptr;
    if (reads == NULL) return;
    fp_assert(reads->started == 0 && reads->first == NULL);
    sem_destroy(&reads->there);
    lock_fini(&reads->lock);
    free(reads);
    *reads_ptr = NULL;
}

/* --- desks ------------------------------------------------------------------------------------ */

static void end_one(struct spilled *spilled, struct store *store, struct store_scratch *scratch)
{
    store_read_end(store, scratch, &spilled->read);
    free(spilled);
    budget_return(store_budget(store), BUDGET_SPILL, sizeof *spilled);
}

static struct spilled *take_done(struct spill_desk *desk)
{
    lock_take(&desk->lock);
    struct spilled *done = desk->done;
    desk->done = NULL;
    lock_drop(&desk->lock);
    return done;
}

void spill_desk_init(struct spill_desk *desk, int wake_fd)
{
    *desk = (struct spill_desk){.wake_fd = wake_fd};
    lock_init(&desk->lock, RANK_SPILL_READS);
}

/* The pool has stopped, and nobody waits. */
void spill_desk_fini(struct spill_desk *desk, struct store *store, struct store_scratch *scratch)
{
    struct spilled *next;
    for (struct spilled *spilled = take_done(desk); spilled != NULL; spilled = next) {
        next = spilled->next;
        fp_assert(spilled->wait == NULL);
        end_one(spilled, store, scratch);
    }
    lock_fini(&desk->lock);
}

/* Whoever is called may drop others that wait; so each is looked at when its turn has come. */
void spill_desk_deliver(struct spill_desk *desk, struct store *store,
                        struct store_scratch *scratch)
{
    struct spilled *next;
    for (struct spilled *spilled = take_done(desk); spilled != NULL; spilled = next) {
        next = spilled->next;
        spilled->next = NULL;
        spilled->desk = NULL; /* it has come */
        struct spill_wait *wait = spilled->wait;
        if (wait == NULL) end_one(spilled, store, scratch);
        else if (--wait->pending == 0) wait->arrived(wait->owner);
    }
}

/* --- asking ----------------------------------------------------------------------------------- */

static void put_among(struct spill_asked *asked, struct store *store, struct spilled *spilled)
{
    budget_charge_anyway(store_budget(store), BUDGET_SPILL, sizeof *spilled);
    spilled->of_wait = asked->first;
    asked->first = spilled;
    asked->count++;
}

bool spill_ask(struct spill_asked *asked, struct store *store, const struct store_scratch *scratch,
               struct page_place place, enum store_promote how)
{
    if (atomic_load_explicit(&place.area->counters.spilled, memory_order_relaxed) == 0)
        return false;
#if FARPAGE_DEBUG_HOOKS
    if (asked->unseen > 0) {
        asked->unseen--;
        return false;
    }
#endif
    struct spilled *spilled = calloc(1, sizeof *spilled);
    if (spilled == NULL) return false;
    if (store_read_begin(store, scratch, place, &spilled->read) != FP_OK) {
        free(spilled);
        return false;
    }
    spilled->how = how;
    put_among(asked, store, spilled);
    return true;
}

enum spill_item spill_ask_item(struct spill_asked *asked, struct store *store,
                               const struct store_scratch *scratch, struct item *item,
                               const struct spill_wish *wish)
{
    uint32_t before = asked->count;
    for (uint32_t i = wish->piece; i < item_piece_count(item); i++) {
        if (asked->count - before == wish->pieces_max) break;
        if (!store_piece_is_due(store, scratch, item, i)) continue;
        struct spilled *spilled = calloc(1, sizeof *spilled);
        if (spilled == NULL) return asked->count > before ? SPILL_ITEM_ASKED : SPILL_ITEM_NO_MEMORY;
        fp_assert(store_item_read_begin(store, scratch, item, i, &spilled->read) == FP_OK);
        spilled->how = wish->how;
        spilled->leads = asked->count == before;
        put_among(asked, store, spilled);
    }
    return asked->count > before ? SPILL_ITEM_ASKED : SPILL_ITEM_READY;
}

bool spill_ask_some(struct spill_asked *asked, struct store *store,
                    const struct store_scratch *scratch, struct page_place place, uint64_t end)
{
    bool any = false;
    for (; place.slot < end && asked->count < SPILL_ASKED_MAX; place.slot++)
        any |= spill_ask(asked, store, scratch, place, PROMOTE_BY_POLICY);
    return any;
}

bool spill_asks_items(const struct spill_asked *asked)
{
    return asked->first != NULL && asked->first->read.item != NULL;
}

void spill_asked_drop(struct spill_asked *asked, struct store *store,
                      struct store_scratch *scratch)
{
    while (asked->first != NULL) {
        struct spilled *spilled = asked->first;
        asked->first = spilled->of_wait;
        end_one(spilled, store, scratch);
    }
    asked->count = 0;
}

/* --- waiting ---------------------------------------------------------------------------------- */

void spill_wait_begin(struct spill_wait *wait, struct spill_asked *asked, struct spill_desk *desk,
                      struct spill_reads *reads)
{
    fp_assert(wait->pending == 0 && asked->first != NULL);
    struct spilled *come = wait->first, **of_wait = &asked->first;
    struct spilled *list = NULL, **last = &list;
    unsigned count = asked->count;
    for (; *of_wait != NULL; of_wait = &(*of_wait)->of_wait) {
        struct spilled *spilled = *of_wait;
        spilled->wait = wait;
        spilled->desk = desk;
        spilled->next = NULL;
        *last = spilled;
        last = &spilled->next;
    }
    *of_wait = come;
    wait->first = asked->first;
    wait->pending = count;
    *asked = (struct spill_asked){0};
    lock_take(&reads->lock);
    *reads->last = list;
    reads->last = last;
    lock_drop(&reads->lock);
    for (; count > 0; count--) fp_assert(sem_post(&reads->there) == 0);
}

static enum fp_status promote(struct spilled *spilled, struct store *store,
                              struct store_scratch *scratch)
{
    if (spilled->read.item == NULL)
        return store_read_promote(store, scratch, &spilled->read, spilled->how);
    return spilled->leads ? store_item_promote(store, scratch, &spilled->read, spilled->how)
                          : FP_OK;
}

enum fp_status spill_wait_arrive(struct spill_wait *wait, struct store *store,
                                 struct store_scratch *scratch)
{
    fp_assert(wait->pending == 0);
    scratch->arrived = NULL;
    for (struct spilled *spilled = wait->first; spilled != NULL; spilled = spilled->of_wait) {
        spilled->read.next = (struct store_read *)(uintptr_t)scratch->arrived;
        scratch->arrived = &spilled->read;
    }
    bool may_wait = scratch->may_wait;
    enum fp_status status = FP_OK;
    scratch->may_wait = true;
    for (struct spilled *spilled = wait->first; spilled != NULL && status != FP_LATER;
         spilled = spilled->of_wait)
        status = promote(spilled, store, scratch);
    scratch->may_wait = may_wait;
    if (status != FP_LATER) return FP_OK;
    scratch->arrived = NULL;
    return FP_LATER;
}

void spill_wait_keep(struct store_scratch *scratch)
{
    scratch->arrived = NULL;
}

void spill_wait_end(struct spill_wait *wait, struct store *store, struct store_scratch *scratch)
{
    scratch->arrived = NULL;
    spill_wait_drop(wait, store, scratch);
}

void spill_wait_drop(struct spill_wait *wait, struct store *store, struct store_scratch *scratch)
{
    struct spilled *next;
    for (struct spilled *spilled = wait->first; spilled != NULL; spilled = next) {
        next = spilled->of_wait;
        if (spilled->desk == NULL) end_one(spilled, store, scratch);
        else spilled->wait = NULL; /* the desk ends it */
    }
    wait->first = NULL;
    wait->pending = 0;
}
