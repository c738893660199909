/* SPDX-License-Identifier: BSD-3-Clause
 * worker - a thread with an event loop, and the connections that are its own.
 *
 * Life: create -> start (the thread runs) -> take_over for each new connection -> stop (replies on
 * their way are sent, then every connection is closed and the loop ends) -> join -> destroy.
 *
 * Threads: take_over and stop: any. The rest: whoever owns the worker. What struct worker shows
 *          below is for its own thread (conn.c).
 * Locks:   RANK_WORKER_INBOX.
 */
#ifndef FARPAGE_SERVER_WORKER_H
#define FARPAGE_SERVER_WORKER_H
#include <event2/event.h>
#include <pthread.h>

#include "base/lock.h"
#include "base/status.h"
#include "server/dispatch/dispatch.h"
#include "server/peer/output.h"
#include "server/peer/queue.h"
#include "server/peer/turns.h"
#include "server/shared.h"

enum {
    WORKER_INPUT_BYTES = 64 << 10, /* read at once; idle connections keep no buffer */
    WORKER_INBOX_MAX = 1024,
    WORKER_SWEEP_MS = 250, /* its loop turns at least so often */
};

struct conn;
struct nbd_conn;

struct arrival { /* an accepted connection on its way to its worker */
    int fd;
    bool tls;   /* it must be spoken */
    bool login; /* wanted, where there are users */
    bool local; /* it came by a unix socket: */
    uint32_t uid; /* whose it is */
    enum config_protocol protocol;
    char peer[CONN_ADDRESS_BYTES];
    char listener[CONN_ADDRESS_BYTES]; /* a copy: it may outlive its listener */
};

struct worker_round { /* of its loop: what was ready at once, one after the other */
    struct timeval number;      /* tells rounds apart */
    uint64_t began_ns, seen_ns; /* the worker was last seen at work */
    uint64_t before_ns;         /* how long it was at work in the round before */
};

struct worker {
    struct shared *shared;
    struct dispatcher dispatcher;
    struct event_base *base;
    uint8_t *input;      /* WORKER_INPUT_BYTES, of whichever connection is being read */
    struct output_desk desk; /* of whichever is being answered */
    struct queue handshakes, behind;
    struct spill_desk desk_of_spilled;
    struct conn *conns;  /* its connections */
    struct nbd_conn *nbd_conns; /* and those of block devices */
    uint64_t now_ns;     /* monotonic; set at each callback */
    struct turns turns;  /* whose connections go first */
    struct worker_round round;
    bool stopping;
    /* private to worker.c */
    pthread_t thread;
    bool started;
    int wake_fd, sweep_fd;
    struct event *wake, *sweep;
    struct lock inbox_lock; /* guards the three below */
    struct arrival *inbox;
    uint32_t inbox_count;
    bool stop_asked;
    _Atomic uint32_t conn_count;
};

enum fp_status worker_create(struct shared *shared, uint32_t index, struct worker **worker)
    FP_MUST_CHECK FP_NONNULL(1, 3);
enum fp_status worker_start(struct worker *worker) FP_MUST_CHECK FP_NONNULL(1);

/* Hands a connection over, counted in by conns_admit. False: the worker's inbox is full. */
bool worker_take_over(struct worker *worker, const struct arrival *arrival)
    FP_MUST_CHECK FP_NONNULL(1, 2);
uint32_t worker_conn_count(const struct worker *worker) FP_NONNULL(1);

/* Any thread: when its loop last went through its connections; UINT64_MAX of one that ended as
 * asked. */
uint64_t worker_turned_ns(const struct worker *worker) FP_NONNULL(1);

void worker_stop(struct worker *worker) FP_NONNULL(1);
/* Waits for the thread, which closes what is left at shared->stop_deadline_ns. */
void worker_join(struct worker *worker) FP_NONNULL(1);
void worker_destroy(struct worker **worker) FP_NONNULL(1);

/* For connections: writes into the row, zero until now, who came, and links it in the register. */
void worker_register(struct worker *worker, const struct arrival *arrival, struct conn_row *row)
    FP_NONNULL(1, 2, 3);
/* For conn.c: reads the clock once for a callback. */
void worker_tick(struct worker *worker) FP_NONNULL(1);
/* How long what is read now may have waited in its socket while the worker was at work, at most. */
uint64_t worker_queued_ns(const struct worker *worker) FP_NONNULL(1);

#endif
