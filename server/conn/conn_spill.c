/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Life of a parked LOAD: parked -(its page has come)-> given again -> answered, gone
 *                                                        \-(spilled anew meanwhile)-> parked
 * What is stored to its slot before it is given again is what it finds: requests on the way are
 * carried out in any order (docs/protocol.md, Order). */
#include "server/conn/conn_spill.h"

#include <stdlib.h>

#include "base/clock.h"
#include "server/conn/conn_parts.h"
#include "server/measure/slow.h"

struct parked {
    struct conn *conn;
    struct parked *next, *prev;
    struct spill_wait wait;
    struct frame frame;
    uint64_t parked_ns; /* since when */
    const struct area *area; /* its reads have a use of it; the number may mean another by then */
};

static void unpark(struct parked *parked)
{
    struct conn_parked *list = &parked->conn->parked;
    if (parked->prev != NULL) parked->prev->next = parked->next;
    else list->first = parked->next;
    if (parked->next != NULL) parked->next->prev = parked->prev;
    list->count--;
    budget_return(store_budget(parked->conn->worker->shared->store), BUDGET_CONNECTIONS,
                  sizeof *parked);
    free(parked);
}

static void wait_again(struct parked *parked)
{
    struct worker *worker = parked->conn->worker;
    spill_wait_begin(&parked->wait, &worker->dispatcher.asked, &worker->desk_of_spilled,
                     worker->shared->spill_reads);
}

/* Gives it again. True: it is answered. */
static bool give(struct parked *parked)
{
    struct conn *conn = parked->conn;
    struct dispatcher *dispatcher = &conn->worker->dispatcher;
    struct store *store = dispatcher->shared->store;
    const struct area *area = session_area(&conn->session, parked->frame.area);
    if (area != parked->area) {
        spill_wait_drop(&parked->wait, store, dispatcher->scratch);
        dispatch_frame_status(&parked->frame, FRAME_NO_AREA, &conn->output);
        return true;
    }
    /* By policy: never later. */
    (void)!spill_wait_arrive(&parked->wait, store, dispatcher->scratch);
    enum dispatch result = dispatch_frame(dispatcher, &conn->session, &parked->frame,
                                          slice_of(NULL, 0), &conn->output);
    spill_wait_end(&parked->wait, store, dispatcher->scratch);
    if (result != DISPATCH_WAIT) return true;
    wait_again(parked);
    return false;
}

/* How long it took counts with the wait for the disk. */
static void time_it(struct parked *parked)
{
    struct conn *conn = parked->conn;
    uint64_t now_ns = clock_monotonic_ns();
    struct latency_timing timing = {.operation = OPERATION_PAGE_LOAD,
                                    .begun_ns = parked->parked_ns,
                                    .spent_ns = now_ns - parked->parked_ns};
    operation_over(&conn->worker->dispatcher, &conn->row, &timing, now_ns);
}

static void on_arrived(void *opaque)
{
    struct parked *parked = opaque;
    struct conn *conn = parked->conn;
    worker_tick(conn->worker);
    if (!give(parked)) return;
    time_it(parked);
    unpark(parked);
    conn_answered(conn);
}

bool conn_park(struct conn *conn, const struct frame *frame)
{
    if (conn->parked.count == CONN_PARKED_MAX) return false;
    struct parked *parked = calloc(1, sizeof *parked);
    if (parked == NULL) return false;
    budget_charge_anyway(store_budget(conn->worker->shared->store), BUDGET_CONNECTIONS,
                         sizeof *parked);
    *parked = (struct parked){.conn = conn,
                              .next = conn->parked.first,
                              .wait = {.arrived = on_arrived, .owner = parked},
                              .frame = *frame,
                              .parked_ns = conn->worker->now_ns,
                              .area = session_area(&conn->session, frame->area)};
    if (parked->next != NULL) parked->next->prev = parked;
    conn->parked.first = parked;
    conn->parked.count++;
    conn->worker->dispatcher.operation = OPERATION_NONE; /* it is timed when it is answered */
    wait_again(parked);
    return true;
}

void conn_parked_drop(struct conn *conn)
{
    struct store *store = conn->worker->shared->store;
    struct store_scratch *scratch = conn->worker->dispatcher.scratch;
    while (conn->parked.first != NULL) {
        spill_wait_drop(&conn->parked.first->wait, store, scratch);
        unpark(conn->parked.first);
    }
    spill_wait_drop(&conn->spill, store, scratch);
}

void conn_await(struct conn *conn)
{
    struct worker *worker = conn->worker;
    spill_wait_keep(worker->dispatcher.scratch);
    conn->spill.arrived = conn_arrived;
    conn->spill.owner = conn;
    spill_wait_begin(&conn->spill, &worker->dispatcher.asked, &worker->desk_of_spilled,
                     worker->shared->spill_reads);
}
