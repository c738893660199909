/* SPDX-License-Identifier: BSD-3-Clause */
#include "server/worker.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "server/conn/conn.h"
#include "server/nbd/nbd_conn.h"
#include "server/peer/tenancy.h"

static const struct timespec sweep_every = {0, WORKER_SWEEP_MS * 1000000};

/* What came while the worker was at work is ready in the next round; what came while it waited, at
 * once. */
static void look_at_round(struct worker *worker)
{
    struct worker_round *round = &worker->round;
    struct timeval number;
    bool known = event_base_gettimeofday_cached(worker->base, &number) == 0;
    if (known && timercmp(&number, &round->number, !=)) {
        *round = (struct worker_round){.number = number,
                                       .began_ns = worker->now_ns,
                                       .before_ns = round->seen_ns - round->began_ns};
    }
    round->seen_ns = worker->now_ns;
}

uint64_t worker_queued_ns(const struct worker *worker)
{
    return worker->now_ns - worker->round.began_ns + worker->round.before_ns;
}

void worker_tick(struct worker *worker)
{
    worker->now_ns = clock_monotonic_ns();
    look_at_round(worker);
    dispatcher_tick(&worker->dispatcher, worker->now_ns);
}

/* The date is store time and a distance that seldom changes, so that one clock is read at a tick
 * and not two. */
static void learn_date(struct worker *worker)
{
    uint64_t now_ns = clock_monotonic_ns();
    worker->dispatcher.unix_ahead_ms =
        clock_unix_ns() / 1000000 - shared_true_ms(worker->shared, now_ns);
}

void worker_register(struct worker *worker, const struct arrival *arrival, struct conn_row *row)
{
    row->fd = arrival->fd;
    row->opened_ns = worker->now_ns;
    snprintf(row->peer, sizeof row->peer, "%s", arrival->peer);
    snprintf(row->listener, sizeof row->listener, "%s", arrival->listener);
    atomic_init(&row->active_ns, worker->now_ns);
    if (arrival->local) tenancy_of_uid(worker->shared, arrival->uid, &row->tenant);
    conns_link(&worker->shared->conns, row);
}

/* --- the worker's own thread ------------------------------------------------------------------ */

static void stop_conns(struct worker *worker, bool drain)
{
    for (struct conn *conn = worker->conns, *next; conn != NULL; conn = next) {
        next = conn_next(conn);
        conn_stop(conn, drain);
    }
    for (struct nbd_conn *conn = worker->nbd_conns, *next; conn != NULL; conn = next) {
        next = nbd_conn_next(conn);
        nbd_conn_stop(conn, drain);
    }
}

static void open_conn(struct worker *worker, const struct arrival *arrival)
{
    if (arrival->protocol == CONFIG_NBD) nbd_conn_open(worker, arrival);
    else conn_open(worker, arrival);
}

static bool has_conns(const struct worker *worker)
{
    return worker->conns != NULL || worker->nbd_conns != NULL;
}

static void sweep_conns(struct worker *worker)
{
    for (struct conn *conn = worker->conns, *next; conn != NULL; conn = next) {
        next = conn_next(conn);
        conn_sweep(conn);
    }
    for (struct nbd_conn *conn = worker->nbd_conns, *next; conn != NULL; conn = next) {
        next = nbd_conn_next(conn);
        nbd_conn_sweep(conn);
    }
}

static void on_wake(evutil_socket_t fd, short what, void *opaque)
{
    (void)what;
    struct worker *worker = opaque;
    struct arrival *arrivals = NULL;
    uint64_t ignored;
    ssize_t got = read((int)fd, &ignored, sizeof ignored);
    (void)got; /* only clears the event */
    worker_tick(worker);

    lock_take(&worker->inbox_lock);
    uint32_t count = worker->inbox_count;
    bool stop = worker->stop_asked;
    arrivals = worker->inbox;
    worker->inbox = NULL;
    worker->inbox_count = 0;
    lock_drop(&worker->inbox_lock);

    for (uint32_t i = 0; i < count; i++) open_conn(worker, &arrivals[i]);
    spill_desk_deliver(&worker->desk_of_spilled, worker->shared->store,
                       worker->dispatcher.scratch);
    free(arrivals);
    if (stop && !worker->stopping) {
        worker->stopping = true;
        stop_conns(worker, true);
    }
    if (worker->stopping && !has_conns(worker)) event_base_loopbreak(worker->base);
}

/* Looks for connections that are too slow, and (stopping) whether all have gone. */
static void on_sweep(evutil_socket_t fd, short what, void *opaque)
{
    (void)what;
    struct worker *worker = opaque;
    uint64_t ignored;
    ssize_t got = read((int)fd, &ignored, sizeof ignored);
    (void)got; /* only clears the event */
    learn_date(worker);
    worker_tick(worker);
    atomic_store_explicit(&worker->dispatcher.counters->beat_ns, worker->now_ns,
                          memory_order_relaxed);
    log_tell_held(worker->shared->log);
    sweep_conns(worker);
    if (!worker->stopping) return;
    struct shared *shared = worker->shared;
    if (worker->now_ns >= atomic_load(&shared->stop_deadline_ns)) stop_conns(worker, false);
    if (!has_conns(worker)) event_base_loopbreak(worker->base);
}

static void *run(void *opaque)
{
    struct worker *worker = opaque;
    event_base_dispatch(worker->base);
    /* It ended as asked, and hangs no more. */
    atomic_store(&worker->dispatcher.counters->beat_ns, UINT64_MAX);
    return NULL;
}

/* --- from other threads ----------------------------------------------------------------------- */

static bool wake(struct worker *worker)
{
    uint64_t one = 1;
    return write(worker->wake_fd, &one, sizeof one) == sizeof one;
}

bool worker_take_over(struct worker *worker, const struct arrival *arrival)
{
    bool taken = false;
    lock_take(&worker->inbox_lock);
    if (worker->inbox == NULL)
        worker->inbox = malloc(WORKER_INBOX_MAX * sizeof *worker->inbox);
    if (worker->inbox != NULL && worker->inbox_count < WORKER_INBOX_MAX) {
        worker->inbox[worker->inbox_count++] = *arrival;
        taken = true;
    }
    lock_drop(&worker->inbox_lock);
    if (taken) {
        atomic_fetch_add(&worker->conn_count, 1);
        (void)wake(worker); /* cannot fail but when it is already awake */
    }
    return taken;
}

uint32_t worker_conn_count(const struct worker *worker)
{
    return atomic_load_explicit(&worker->conn_count, memory_order_relaxed);
}

uint64_t worker_turned_ns(const struct worker *worker)
{
    return atomic_load_explicit(&worker->dispatcher.counters->beat_ns, memory_order_relaxed);
}

void worker_stop(struct worker *worker)
{
    lock_take(&worker->inbox_lock);
    worker->stop_asked = true;
    lock_drop(&worker->inbox_lock);
    (void)wake(worker);
}

/* The sweep is the kernel's timer, not the loop's: a loop with a timer of its own asks for it at
 * every wait, which is dear where waits are many and short. */
static bool create_events(struct worker *worker)
{
    const struct itimerspec sweeps = {sweep_every, sweep_every};
    worker->base = event_base_new();
    worker->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    worker->sweep_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
    if (worker->base == NULL || worker->wake_fd < 0 || worker->sweep_fd < 0) return false;
    worker->desk_of_spilled.wake_fd = worker->wake_fd;
    worker->wake = event_new(worker->base, worker->wake_fd, EV_READ | EV_PERSIST, on_wake, worker);
    worker->sweep =
        event_new(worker->base, worker->sweep_fd, EV_READ | EV_PERSIST, on_sweep, worker);
    return queue_init(&worker->handshakes, worker->base, TURN_NS_MAX) &&
           queue_init(&worker->behind, worker->base, TURN_AHEAD_NS_MAX) &&
           worker->wake != NULL && worker->sweep != NULL && event_add(worker->wake, NULL) == 0 &&
           event_add(worker->sweep, NULL) == 0 &&
           timerfd_settime(worker->sweep_fd, 0, &sweeps, NULL) == 0;
}

enum fp_status worker_create(struct shared *shared, uint32_t index, struct worker **out)
{
    struct worker *worker = calloc(1, sizeof *worker);
    if (worker == NULL) return FP_NO_MEMORY;
    lock_init(&worker->inbox_lock, RANK_WORKER_INBOX);
    spill_desk_init(&worker->desk_of_spilled, -1);
    worker->wake_fd = worker->sweep_fd = -1;
    worker->shared = shared;
    worker->dispatcher.shared = shared;
    worker->dispatcher.counters = &shared->counters[index];
    worker->dispatcher.latencies = &shared->latencies[index];
    worker->input = malloc(WORKER_INPUT_BYTES);
    worker->desk.bytes = malloc(OUTPUT_DESK_BYTES);
    if (worker->input == NULL || worker->desk.bytes == NULL ||
        store_scratch_create(worker->shared->store, &worker->dispatcher.scratch) != FP_OK ||
        !create_events(worker)) {
        worker_destroy(&worker);
        return FP_NO_MEMORY;
    }
    learn_date(worker);
    worker_tick(worker);
    atomic_init(&worker->dispatcher.counters->beat_ns, worker->now_ns);
    *out = worker;
    return FP_OK;
}

enum fp_status worker_start(struct worker *worker)
{
    if (pthread_create(&worker->thread, NULL, run, worker) != 0) return FP_NO_MEMORY;
    worker->started = true;
    return FP_OK;
}

void worker_join(struct worker *worker)
{
    if (!worker->started) return;
    fp_assert(pthread_join(worker->thread, NULL) == 0);
    worker->started = false;
}

void worker_destroy(struct worker **worker_ptr)
{
    struct worker *worker = *worker_ptr;
    if (worker == NULL) return;
    fp_assert(!worker->started && !has_conns(worker));
    for (uint32_t i = 0; i < worker->inbox_count; i++) {
        close(worker->inbox[i].fd);
        conns_dismiss(&worker->shared->conns);
    }
    free(worker->inbox);
    spill_desk_fini(&worker->desk_of_spilled, worker->shared->store,
                    worker->dispatcher.scratch);
    if (worker->wake != NULL) event_free(worker->wake);
    if (worker->sweep != NULL) event_free(worker->sweep);
    queue_fini(&worker->handshakes);
    queue_fini(&worker->behind);
    if (worker->base != NULL) event_base_free(worker->base);
    if (worker->wake_fd >= 0) close(worker->wake_fd);
    if (worker->sweep_fd >= 0) close(worker->sweep_fd);
    store_scratch_destroy(&worker->dispatcher.scratch);
    free(worker->input);
    free(worker->desk.bytes);
    lock_fini(&worker->inbox_lock);
    free(worker);
    *worker_ptr = NULL;
}
