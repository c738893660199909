/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Life of a connection: greeted -> options asked and answered -> an export is open, and requests
 *   are carried out as they arrive -> leaving: all that was asked is answered -> gone
 * Where the listener wants TLS: greeted -> STARTTLS, answered in the clear -> TLS -> options ...
 *
 * The bytes of a write are stored page by page as they come, and those of a read written page by
 * page, so that neither is ever kept whole. A trim goes on beside the requests that follow it, a
 * step a turn (nbd_serve.c). All memory that serving needs is taken when the export is opened.
 *
 *   what happened           read event   write event   turn event
 *   all input carried out   on           if pending    if a trim goes on
 *   output is full          off          on            -              -> resume when drained
 *   turn is over            off          on if pending on             -> resume
 *   closing                 off          on if pending -              -> gone when drained
 */
#include "server/nbd/nbd_conn.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/arith.h"
#include "base/clock.h"
#include "server/peer/patience.h"
#include "server/measure/slow.h"
#include "server/peer/closing.h"
#include "server/nbd/nbd_internal.h"
#include "server/peer/tenancy.h"
#include "server/watch/watch_events.h"

enum {
    EVICTIONS_PER_TURN = 64,
    HANDSHAKE_INPUT_BYTES = 1024, /* grows with a longer option */
};

static void on_read(evutil_socket_t fd, short what, void *opaque);
static void on_write(evutil_socket_t fd, short what, void *opaque);
static void on_turn(evutil_socket_t fd, short what, void *opaque);
static void on_behind(void *opaque);
static void settle(struct nbd_conn *conn, enum nbd_step why);

static void count(struct nbd_conn *conn, enum worker_counter which, uint64_t delta)
{
    counter_add(conn->worker->dispatcher.counters, which, delta);
}

static struct budget *budget_of(struct nbd_conn *conn)
{
    return store_budget(conn->worker->shared->store);
}

/* What follows is done for its tenant. */
static void conn_tick(struct nbd_conn *conn)
{
    worker_tick(conn->worker);
    conn->worker->dispatcher.scratch->tenant = atomic_load(&conn->row.tenant);
}

/* --- beginning and end ------------------------------------------------------------------------ */

static const char *close_reason(const struct nbd_conn *conn)
{
    if (conn->stopping) return "shutdown";
    if (conn->idled) return "idle_timeout";
    return conn->closing ? "normal" : "error";
}

static void conn_destroy(struct nbd_conn *conn)
{
    struct worker *worker = conn->worker;
    struct shared *shared = worker->shared;
    watch_conn_close(&shared->watchers, &conn->row, close_reason(conn));
    event_del(&conn->reads.event);
    event_del(&conn->writes.event);
    event_del(&conn->turns.event);
    queue_leave(&worker->handshakes, &conn->shaking);
    queue_leave(&worker->behind, &conn->behind);
    conns_unlink(&shared->conns, &conn->row);
    if (conn->prev != NULL) conn->prev->next = conn->next;
    else worker->nbd_conns = conn->next;
    if (conn->next != NULL) conn->next->prev = conn->prev;
    log_event(shared->log, LOG_DEBUG, "connection closed", log_text("peer", conn->row.peer),
              log_number("fd", (uint64_t)conn->row.fd));
    nbd_parked_drop(conn);
    if (conn->export != NULL)
        exports_close(&shared->exports, &conn->opener, &conn->export, worker->now_ns);
    tls_close(&conn->tls);
    close(conn->row.fd); /* which openers look at while they are there */
    output_fini(&conn->output);
    budget_return(budget_of(conn), BUDGET_CONNECTIONS, conn->charged_bytes);
    free(conn->input.bytes);
    free(conn->page);
    free(conn);
    atomic_fetch_sub(&worker->conn_count, 1);
    conns_dismiss(&shared->conns);
}

static void link_conn(struct nbd_conn *conn, const struct arrival *arrival)
{
    struct worker *worker = conn->worker;
    conn->next = worker->nbd_conns;
    if (conn->next != NULL) conn->next->prev = conn;
    worker->nbd_conns = conn;
    atomic_init(&conn->row.dialect, DIALECT_NBD);
    worker_register(worker, arrival, &conn->row);
}

static void greet(struct nbd_conn *conn, bool wants_tls)
{
    uint8_t greeting[NBD_GREETING_BYTES];
    nbd_greeting_encode(greeting);
    output_add(&conn->output, slice_of(greeting, sizeof greeting));
    conn->begun_ns = conn->worker->now_ns;
    conn->handshake.state = wants_tls ? NBD_BEFORE_TLS : NBD_PLAIN;
    conn->opener.row = &conn->row;
    conn->opener.stays_here = true;
    settle(conn, NBD_STEP_WAIT);
}

void nbd_conn_open(struct worker *worker, const struct arrival *arrival)
{
    struct nbd_conn *conn = calloc(1, sizeof *conn);
    if (conn == NULL || !output_init(&conn->output, &worker->desk)) {
        free(conn);
        close(arrival->fd);
        atomic_fetch_sub(&worker->conn_count, 1);
        conns_dismiss(&worker->shared->conns);
        return;
    }
    conn->worker = worker;
    conn->behind = (struct queued){.go_on = on_behind, .connection = conn};
    conn->charged_bytes = sizeof *conn;
    budget_charge_anyway(budget_of(conn), BUDGET_CONNECTIONS, conn->charged_bytes);
    link_conn(conn, arrival);
    count(conn, COUNTER_total_connections, 1);
    watch_conn_new(&worker->shared->watchers, &conn->row);
    event_assign(&conn->reads.event, worker->base, arrival->fd, EV_READ | EV_PERSIST, on_read,
                 conn);
    event_assign(&conn->writes.event, worker->base, arrival->fd, EV_WRITE | EV_PERSIST, on_write,
                 conn);
    event_assign(&conn->turns.event, worker->base, -1, 0, on_turn, conn);
    if (nbd_input_fit(conn, HANDSHAKE_INPUT_BYTES, true)) greet(conn, arrival->tls);
    else conn_destroy(conn);
}

struct nbd_conn *nbd_conn_next(const struct nbd_conn *conn)
{
    return conn->next;
}

/* --- what files of the connection share ------------------------------------------------------- */

bool nbd_charge(struct nbd_conn *conn, uint64_t bytes, bool anyway)
{
    if (anyway) budget_charge_anyway(budget_of(conn), BUDGET_CONNECTIONS, bytes);
    else if (!budget_charge(budget_of(conn), BUDGET_CONNECTIONS, bytes)) return false;
    conn->charged_bytes += bytes;
    return true;
}

bool nbd_input_fit(struct nbd_conn *conn, size_t capacity_bytes, bool anyway)
{
    struct nbd_input *input = &conn->input;
    if (capacity_bytes <= input->capacity_bytes) return true;
    if (!nbd_charge(conn, capacity_bytes - input->capacity_bytes, anyway)) return false;
    uint8_t *grown = realloc(input->bytes, capacity_bytes);
    if (grown == NULL) return false; /* the charge goes when the connection does */
    input->bytes = grown;
    input->capacity_bytes = capacity_bytes;
    return true;
}

void nbd_log_closed(const struct nbd_conn *conn, enum gate kind, const char *event,
                    const char *reason)
{
    struct closing closing = {conn->worker->shared, &conn->row, conn->worker->now_ns};
    closing_log(&closing, kind, event, reason);
}

void nbd_log_lost(struct nbd_conn *conn, const char *reason)
{
    count(conn, COUNTER_farpage_protocol_errors, 1);
    nbd_log_closed(conn, GATE_LOST, "connection closed: framing is lost", reason);
}

/* --- turns ------------------------------------------------------------------------------------ */

static bool is_short(struct nbd_conn *conn)
{
    return budget_total(budget_of(conn)) >= budget_limit(budget_of(conn));
}

static void send_output(struct nbd_conn *conn)
{
    long sent = conn->tls == NULL ? output_send(&conn->output, conn->row.fd)
                                  : output_send_tls(&conn->output, conn->tls);
    if (sent < 0) {
        conn->output.broken = true;
        return;
    }
    if (sent > 0) {
        conn->moved_ns = conn->worker->now_ns;
        atomic_store_explicit(&conn->row.active_ns, conn->worker->now_ns, memory_order_relaxed);
    }
    count(conn, COUNTER_bytes_written, (uint64_t)sent);
    atomic_fetch_add_explicit(&conn->row.bytes_out, (uint64_t)sent, memory_order_relaxed);
}

static enum nbd_step step(struct nbd_conn *conn)
{
    if (conn->drop_bytes > 0) {
        size_t now = (size_t)min_u64(conn->drop_bytes, nbd_input(conn).size_bytes);
        conn->drop_bytes -= now;
        nbd_taken(conn, now);
        if (conn->drop_bytes > 0) return NBD_STEP_WAIT;
    }
    if (conn->leaving) return NBD_STEP_WAIT;
    return conn->phase == NBD_SERVING ? nbd_serve(conn) : nbd_haggle(conn);
}

static bool has_more(const struct nbd_conn *conn)
{
    return nbd_input(conn).size_bytes > 0 || conn->read.active || conn->come != NULL;
}

/* A request was carried out, or a long one went on: the client has nothing to hurry for. */
static void moved(struct nbd_conn *conn)
{
    if (conn->phase == NBD_SERVING) conn->begun_ns = 0;
    atomic_store_explicit(&conn->row.active_ns, conn->worker->now_ns, memory_order_relaxed);
}

/* A step that is timed from *now_ns on, where it is one of an operation. */
static enum nbd_step timed_step(struct nbd_conn *conn, uint64_t *now_ns)
{
    struct dispatcher *dispatcher = &conn->worker->dispatcher;
    struct latency_step taken = {
        .began_ns = *now_ns,
        .queued_ns = *now_ns - conn->arrival.read_ns + conn->arrival.queued_ns,
        .before = latency_parts_now(dispatcher->scratch)};
    dispatcher->operation = OPERATION_NONE;
    enum nbd_step next = step(conn);
    if (dispatcher->operation == OPERATION_NONE) return next;
    conn->worker->round.seen_ns = *now_ns = clock_monotonic_ns();
    latency_step_over(&conn->timing, dispatcher->operation, &taken, dispatcher->scratch, *now_ns);
    bool waits = next == NBD_STEP_AWAIT || next == NBD_STEP_LATER;
    if (!conn->read.active && !conn->write.active && !waits)
        operation_over(dispatcher, &conn->row, &conn->timing, *now_ns);
    return next;
}

/* Carries out what the input holds until something stops it, at *now_ns. */
static enum nbd_step carry_out(struct nbd_conn *conn, uint64_t *now_ns)
{
    const struct settings *settings = &conn->worker->shared->settings;
    const uint64_t full = conn_replies_most(settings, budget_of(conn));
    uint32_t turn = atomic_load_explicit(&settings->requests_per_turn, memory_order_relaxed);
    uint32_t *more_pages = &conn->worker->dispatcher.more_pages;
    uint8_t tenant = atomic_load(&conn->row.tenant);
    const uint64_t ends_ns = *now_ns + turns_ns_max(&conn->worker->turns, tenant);
    conn->need_bytes = 0;
    *more_pages = 0;
    for (uint32_t done = 0;; done++) {
        if (output_is_due(&conn->output)) {
            send_output(conn);
            *now_ns = clock_monotonic_ns();
        }
        if (output_buffered(&conn->output) >= full) return NBD_STEP_FULL;
        if (done > 0 && has_more(conn)) {
            bool over = done + *more_pages >= turn || *now_ns > ends_ns;
            if (over) return NBD_STEP_TURN;
        }
        enum nbd_step next = timed_step(conn, now_ns);
        if (next != NBD_STEP_WAIT && next != NBD_STEP_CLOSE) moved(conn);
        if (conn->output.broken) return NBD_STEP_CLOSE;
        if (next != NBD_STEP_ON) return next;
    }
}

static bool has_begun(const struct nbd_conn *conn)
{
    return nbd_input(conn).size_bytes > 0 || conn->drop_bytes > 0 || conn->write.active ||
           conn->phase != NBD_SERVING;
}

static enum conn_state state_of(const struct nbd_conn *conn)
{
    if (output_pending(&conn->output) > 0) return CONN_WRITING;
    if (conn->drop_bytes > 0) return CONN_SWALLOWING;
    return has_begun(conn) || conn->job_count > 0 ? CONN_READING : CONN_IDLE;
}

/* What waits to be sent counts as memory, and items give way for it, a few at a time. */
static void charge_output(struct nbd_conn *conn)
{
    struct dispatcher *dispatcher = &conn->worker->dispatcher;
    size_t held = sizeof *conn + conn->input.capacity_bytes;
    if (conn->tls != NULL) held += tls_held_bytes(conn->tls);
    if (conn->page != NULL) held += conn->export->area->page_bytes;
    uint64_t now = held + output_own_pending(&conn->output);
    budget_recharge(budget_of(conn), BUDGET_CONNECTIONS, &conn->charged_bytes, now);
    for (int i = 0; i < EVICTIONS_PER_TURN && is_short(conn); i++)
        if (!store_evict_one(dispatcher->shared->store, dispatcher->scratch)) break;
}

static void event_want(struct nbd_event *event, bool wanted, const struct timeval *timeout)
{
    if (event->wanted == wanted) return;
    event->wanted = wanted;
    if (wanted) (void)event_add(&event->event, timeout); /* fails before its first success only */
    else (void)event_del(&event->event);
}

static bool is_ahead_of_client(struct nbd_conn *conn)
{
    const struct settings *settings = &conn->worker->shared->settings;
    return conn_replies_are_ahead(settings, budget_of(conn), &conn->output);
}

static bool nothing_arrived(const struct nbd_conn *conn)
{
    uint8_t byte;
    if (conn->tls != NULL && tls_has_more(conn->tls)) return false;
    return recv(conn->row.fd, &byte, sizeof byte, MSG_PEEK | MSG_DONTWAIT) < 0;
}

/* All that was asked is answered, and nothing more is to come. */
static bool is_over(const struct nbd_conn *conn)
{
    if (conn->job_count > 0 || conn->read.active || conn->parked_count > 0) return false;
    if (conn->eof || conn->leaving) return true;
    return conn->stopping && !has_begun(conn) && nothing_arrived(conn);
}

/* What STARTTLS was answered with is sent; what comes now is the client's handshake. */
static void begin_tls(struct nbd_conn *conn)
{
    conn->tls_due = false;
    conn->tls = credentials_open_tls(&conn->worker->shared->credentials, conn->row.fd);
    if (conn->tls == NULL) {
        conn_destroy(conn);
        return;
    }
    conn->tls_begun = true;
    charge_output(conn);
    event_want(&conn->reads, true, NULL);
    event_want(&conn->writes, false, NULL);
}

static bool is_ahead(const struct nbd_conn *conn)
{
    return turns_ahead(&conn->worker->turns, atomic_load(&conn->row.tenant));
}

/* Sends, and decides by the table above what to wait for. */
static void settle(struct nbd_conn *conn, enum nbd_step why)
{
    static const struct timeval at_once = {0, 0}, in_a_moment = {0, 1000};
    if (why == NBD_STEP_CLOSE || (why == NBD_STEP_WAIT && is_over(conn))) conn->closing = true;
    if (!conn->output.broken) send_output(conn);
    bool pending = output_pending(&conn->output) > 0;
    if (conn->output.broken || (conn->closing && !pending)) {
        conn_destroy(conn);
        return;
    }
    reply_waits(conn->worker->shared, &conn->row, &conn->pending_ns, pending, conn->worker->now_ns);
    if (pending && !conn->writes.wanted)
        conn->moved_ns = conn->worker->now_ns;
    if (conn->tls_due && !pending) {
        begin_tls(conn);
        return;
    }
    if (why == NBD_STEP_FULL || why == NBD_STEP_TURN)
        why = is_ahead_of_client(conn) ? NBD_STEP_FULL : NBD_STEP_TURN;
    if (why == NBD_STEP_TURN) count(conn, COUNTER_conn_yields, 1);
    if (why == NBD_STEP_WAIT && has_begun(conn) && conn->begun_ns == 0)
        conn->begun_ns = conn->worker->now_ns;
    charge_output(conn);
    atomic_store_explicit(&conn->row.pending_bytes, output_pending(&conn->output),
                          memory_order_relaxed);
    atomic_store_explicit(&conn->row.state, (int)state_of(conn), memory_order_relaxed);
    bool reads = why == NBD_STEP_WAIT && !conn->closing && !conn->eof && !conn->leaving &&
                 !conn->tls_due;
    bool goes_on = why == NBD_STEP_TURN || why == NBD_STEP_LATER ||
                   (why == NBD_STEP_WAIT && conn->job_count > 0) ||
                   (reads && conn->tls != NULL && tls_has_more(conn->tls));
    event_want(&conn->reads, reads, NULL);
    event_want(&conn->writes, pending, NULL);
    bool at_leisure = why == NBD_STEP_LATER;
    goes_on = goes_on && !conn->closing;
    bool behind = goes_on && !at_leisure && is_ahead(conn);
    if (behind) queue_join(&conn->worker->behind, &conn->behind);
    else queue_leave(&conn->worker->behind, &conn->behind);
    event_want(&conn->turns, goes_on && !behind, at_leisure ? &in_a_moment : &at_once);
}

static void work(struct nbd_conn *conn)
{
    enum nbd_step why = NBD_STEP_AWAIT;
    struct worker *worker = conn->worker;
    uint64_t ended_ns = worker->now_ns;
    if (!spill_waits(&conn->spill)) why = carry_out(conn, &ended_ns);
    turns_note(&worker->turns, atomic_load(&conn->row.tenant), worker->now_ns, ended_ns);
    if (why != NBD_STEP_CLOSE && conn->job_count > 0) nbd_jobs_step(conn);
    settle(conn, why);
}

void nbd_go_on(struct nbd_conn *conn)
{
    worker_tick(conn->worker);
    work(conn);
}

/* --- TLS -------------------------------------------------------------------------------------- */

static void shake_hands(void *opaque)
{
    struct nbd_conn *conn = opaque;
    conn_tick(conn);
    enum tls_step step = tls_handshake(conn->tls);
    if (step == TLS_FAILED) {
        count(conn, COUNTER_ssl_handshake_errors, 1);
        nbd_log_closed(conn, GATE_TLS, "connection closed: no TLS", tls_reason(conn->tls));
        conn_destroy(conn);
        return;
    }
    event_want(&conn->reads, true, NULL);
    event_want(&conn->writes, step == TLS_WANT_WRITE, NULL);
    if (step != TLS_DONE) return;
    conn->tls_begun = false;
    conn->handshake.state = NBD_SECURE;
    count(conn, COUNTER_farpage_tls_handshakes, 1);
    tenancy_of_peer(conn->worker->shared, conn->tls, &conn->row.tenant);
    settle(conn, NBD_STEP_WAIT);
}

/* Nothing else is to happen to it until its turn has come. */
static void await_turn(struct nbd_conn *conn)
{
    event_want(&conn->reads, false, NULL);
    event_want(&conn->writes, false, NULL);
    conn->shaking.go_on = shake_hands;
    conn->shaking.connection = conn;
    queue_join(&conn->worker->handshakes, &conn->shaking);
}

/* --- events ----------------------------------------------------------------------------------- */

/* Behind what has begun to arrive, which is brought to the front. */
static bool place_to_read(struct nbd_conn *conn)
{
    struct nbd_input *input = &conn->input;
    size_t left = input->end - input->begin;
    if (input->begin > 0 && left > 0) memmove(input->bytes, input->bytes + input->begin, left);
    input->begin = 0;
    input->end = left;
    return nbd_input_fit(conn, conn->need_bytes, false) && left < input->capacity_bytes;
}

static ssize_t receive(struct nbd_conn *conn)
{
    struct nbd_input *input = &conn->input;
    uint8_t *at = input->bytes + input->end;
    size_t room = input->capacity_bytes - input->end;
    return conn->tls == NULL ? recv(conn->row.fd, at, room, 0) : tls_read(conn->tls, at, room);
}

static void read_on(struct nbd_conn *conn)
{
    struct nbd_input *input = &conn->input;
    if (!place_to_read(conn)) {
        settle(conn, NBD_STEP_CLOSE); /* no memory for a long option */
        return;
    }
    /* Before the socket is empty: see conn.c. */
    atomic_store(&conn->row.state, CONN_READING);
    ssize_t got = receive(conn);
    if (got < 0) {
        atomic_store(&conn->row.state, (int)state_of(conn));
        if (errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR) conn_destroy(conn);
        return;
    }
    conn->eof = got == 0;
    conn->arrival = (struct latency_arrival){conn->worker->now_ns, worker_queued_ns(conn->worker)};
    input->end += (size_t)got;
    count(conn, COUNTER_bytes_read, (uint64_t)got);
    atomic_fetch_add_explicit(&conn->row.bytes_in, (uint64_t)got, memory_order_relaxed);
    if (nbd_input(conn).size_bytes < conn->need_bytes && !conn->eof && conn->job_count == 0) return;
    work(conn);
}

static void on_read(evutil_socket_t fd, short what, void *opaque)
{
    (void)fd, (void)what;
    struct nbd_conn *conn = opaque;
    conn_tick(conn);
    if (conn->tls_begun) {
        await_turn(conn);
    } else if (is_ahead(conn)) {
        event_want(&conn->reads, false, NULL);
        conn->behind_reads = true;
        queue_join(&conn->worker->behind, &conn->behind);
    } else {
        read_on(conn);
    }
}

static void on_behind(void *opaque)
{
    struct nbd_conn *conn = opaque;
    bool reads = conn->behind_reads;
    conn_tick(conn);
    conn->behind_reads = false;
    if (!reads) {
        work(conn);
        return;
    }
    event_want(&conn->reads, true, NULL);
    read_on(conn);
}

static void on_turn(evutil_socket_t fd, short what, void *opaque)
{
    (void)fd, (void)what;
    struct nbd_conn *conn = opaque;
    conn_tick(conn);
    conn->turns.wanted = false; /* it comes once */
    if (conn->reads.wanted && conn->tls != NULL && tls_has_more(conn->tls)) on_read(fd, what, conn);
    else work(conn);
}

static void on_write(evutil_socket_t fd, short what, void *opaque)
{
    (void)fd, (void)what;
    struct nbd_conn *conn = opaque;
    conn_tick(conn);
    if (conn->tls_begun) {
        await_turn(conn);
        return;
    }
    send_output(conn);
    if (output_pending(&conn->output) > 0 && !conn->output.broken) charge_output(conn);
    else if (conn->closing || conn->output.broken) settle(conn, NBD_STEP_WAIT);
    else work(conn);
}

/* --- from the worker -------------------------------------------------------------------------- */

void nbd_conn_stop(struct nbd_conn *conn, bool drain)
{
    conn->stopping = true;
    if (!drain) conn_destroy(conn);
    else if (conn->phase != NBD_SERVING) settle(conn, NBD_STEP_CLOSE);
    else work(conn);
}

void nbd_conn_sweep(struct nbd_conn *conn)
{
    const struct worker *worker = conn->worker;
    bool works =
        conn->job_count > 0 || conn->parked_count > 0 || spill_waits(&conn->spill);
    struct conn_stand stand = {
        .handshaking = conn->tls_begun,
        .opening = conn->phase != NBD_SERVING,
        .pending = output_pending(&conn->output) > 0,
        .needed = conn_reply_is_needed(budget_of(conn), &conn->output),
        .opened_ns = conn->row.opened_ns,
        .active_ns = works ? worker->now_ns : atomic_load(&conn->row.active_ns),
        .begun_ns = conn->begun_ns,
        .moved_ns = conn->moved_ns};
    struct conn_verdict verdict =
        conn_patience(&worker->shared->settings, &stand, worker->now_ns);
    if (verdict.reason == NULL) return;
    conn->idled = verdict.idle;
    count(conn, verdict.idle ? COUNTER_idle_kicks : COUNTER_farpage_slow_kicks, 1);
    nbd_log_closed(conn, GATE_SLOW, "connection closed: too slow", verdict.reason);
    conn_destroy(conn);
}
