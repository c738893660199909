/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Life of a read of what is spilled:
 *   under way -(nothing of it is answered yet)-> parked: other requests go on -> its pages have
 *   come -> under way again, when no other read is -> answered
 * One that is answered in part already waits where it is, and the connection with it; so does what
 * changes part of a page. */
#include <stdlib.h>

#include "server/nbd/nbd_internal.h"

struct nbd_parked {
    struct nbd_conn *conn;
    struct nbd_parked *next, *prev; /* of the list it is in */
    struct spill_wait wait;
    struct nbd_read read;
};

bool nbd_ask(struct nbd_conn *conn, uint64_t at, uint64_t end, enum store_promote how)
{
    struct dispatcher *dispatcher = &conn->worker->dispatcher;
    struct area *area = conn->export->area;
    struct page_place place = {area, at / area->page_bytes};
    uint64_t end_slot = (end - 1) / area->page_bytes + 1;
    if (how == PROMOTE_ALWAYS)
        return spill_ask(&dispatcher->asked, dispatcher->shared->store, dispatcher->scratch, place,
                         how);
    return spill_ask_some(&dispatcher->asked, dispatcher->shared->store, dispatcher->scratch,
                          place, end_slot);
}

static void begin(struct nbd_conn *conn, struct spill_wait *wait)
{
    struct worker *worker = conn->worker;
    spill_wait_begin(wait, &worker->dispatcher.asked, &worker->desk_of_spilled,
                     worker->shared->spill_reads);
}

static struct budget *budget_of(const struct nbd_conn *conn)
{
    return store_budget(conn->worker->shared->store);
}

/* --- parked ----------------------------------------------------------------------------------- */

static void link_to(struct nbd_parked **list, struct nbd_parked *parked)
{
    parked->prev = NULL;
    parked->next = *list;
    if (parked->next != NULL) parked->next->prev = parked;
    *list = parked;
}

static void unlink_from(struct nbd_parked **list, struct nbd_parked *parked)
{
    if (parked->prev != NULL) parked->prev->next = parked->next;
    else *list = parked->next;
    if (parked->next != NULL) parked->next->prev = parked->prev;
}

static void end(struct nbd_parked *parked)
{
    budget_return(budget_of(parked->conn), BUDGET_CONNECTIONS, sizeof *parked);
    free(parked);
}

static void on_come(void *opaque)
{
    struct nbd_parked *parked = opaque;
    struct nbd_conn *conn = parked->conn;
    unlink_from(&conn->parked, parked);
    link_to(&conn->come, parked);
    nbd_go_on(conn);
}

bool nbd_park(struct nbd_conn *conn)
{
    if (!conn->read.active || conn->read.begun || conn->parked_count == NBD_PARKED_MAX)
        return false;
    struct nbd_parked *parked = calloc(1, sizeof *parked);
    if (parked == NULL) return false;
    budget_charge_anyway(budget_of(conn), BUDGET_CONNECTIONS, sizeof *parked);
    parked->conn = conn;
    parked->read = conn->read;
    parked->wait.first = conn->spill.first; /* what has come already */
    conn->spill.first = NULL;
    parked->wait.arrived = on_come;
    parked->wait.owner = parked;
    link_to(&conn->parked, parked);
    conn->parked_count++;
    conn->read.active = false;
    conn->worker->dispatcher.operation = OPERATION_NONE; /* it is timed when it is answered */
    begin(conn, &parked->wait);
    return true;
}

void nbd_unpark(struct nbd_conn *conn)
{
    struct nbd_parked *parked = conn->come;
    if (parked == NULL || conn->read.active || conn->spill.first != NULL) return;
    unlink_from(&conn->come, parked);
    conn->parked_count--;
    conn->read = parked->read;
    conn->spill = parked->wait; /* nothing points to it any more */
    end(parked);
}

/* --- where it is ------------------------------------------------------------------------------ */

static void on_arrived(void *opaque)
{
    nbd_go_on(opaque);
}

void nbd_await(struct nbd_conn *conn)
{
    conn->spill.arrived = on_arrived;
    conn->spill.owner = conn;
    begin(conn, &conn->spill);
}

static void on_page(void *opaque)
{
    (void)opaque;
}

void nbd_job_await(struct nbd_conn *conn, struct spill_wait *wait)
{
    wait->arrived = on_page;
    wait->owner = conn;
    begin(conn, wait);
}

static void drop_list(struct nbd_conn *conn, struct nbd_parked **list)
{
    while (*list != NULL) {
        struct nbd_parked *parked = *list;
        unlink_from(list, parked);
        spill_wait_drop(&parked->wait, conn->worker->shared->store,
                        conn->worker->dispatcher.scratch);
        end(parked);
        conn->parked_count--;
    }
}

void nbd_parked_drop(struct nbd_conn *conn)
{
    struct store *store = conn->worker->shared->store;
    struct store_scratch *scratch = conn->worker->dispatcher.scratch;
    drop_list(conn, &conn->parked);
    drop_list(conn, &conn->come);
    spill_wait_drop(&conn->spill, store, scratch);
    for (int i = 0; i < NBD_JOBS_MAX; i++) spill_wait_drop(&conn->jobs[i].wait, store, scratch);
}
