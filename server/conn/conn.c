/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Life of a connection:
 *   open -> [ read -> requests carried out -> replies sent ]* -> closing -> gone
 *
 * Input is read into the worker's buffer and carried out from there; only what is left of an
 * incomplete request is kept with the connection. The first byte says which language is spoken.
 * A long value is not kept: it is packed piece by piece from there (dispatch_value_in.c).
 *
 * A connection stops reading while too much of its replies is unread (patience.h), and lets
 * others go first after server.requests_per_turn requests. Both leave input behind, which `resume`
 * carries on with.
 *
 *   what happened          read event   write event   turn event
 *   all input carried out  on           -             -
 *   output is full         off          on            -           -> resume when drained
 *   turn is over           off          on if pending on          -> resume
 *   its tenant is ahead    off          on if pending (queue.h)   -> read, or resume
 *   its page is being read off          on if pending -           -> resume when it has come
 *   room is being made     off          on if pending in a moment -> resume
 *   TLS holds more input   on           -             on          -> read
 *   closing                off          on if pending -           -> gone when drained
 */
#include "server/conn/conn.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/arith.h"
#include "base/clock.h"
#include "server/conn/conn_parts.h"
#include "server/peer/patience.h"
#include "server/peer/tenancy.h"
#include "server/measure/slow.h"
#include "server/conn/conn_value.h"
#include "server/dispatch/dispatch_value_in.h"
#include "server/dispatch/dispatch_value_out.h"
#include "server/watch/watch_events.h"

enum {
    EVICTIONS_PER_TURN = 64,
    CONN_FIXED_BYTES = 4096, /* charged for each: the structure, its events, an empty output */
    KEPT_ALWAYS_BYTES = 16 << 10, /* a longer request gets its room as its bytes arrive */
};

static void on_read(evutil_socket_t fd, short what, void *opaque);
static void on_write(evutil_socket_t fd, short what, void *opaque);
static void on_turn(evutil_socket_t fd, short what, void *opaque);
static void on_watch(evutil_socket_t fd, short what, void *opaque);
static void on_behind(void *opaque);

/* --- beginning and end ------------------------------------------------------------------------ */

static struct budget *budget_of(struct conn *conn)
{
    return store_budget(conn->worker->shared->store);
}

static const char *close_reason(const struct conn *conn)
{
    if (conn->worker->stopping) return "shutdown";
    if (conn->idled) return "idle_timeout";
    return conn->eof || conn->closing ? "normal" : "error";
}

static void conn_destroy(struct conn *conn)
{
    struct worker *worker = conn->worker;
    struct shared *shared = worker->shared;
    conn_watch_end(&conn->watch, worker, &conn->session.watcher);
    watch_conn_close(&shared->watchers, &conn->row, close_reason(conn));
    event_del(&conn->read_event);
    event_del(&conn->write_event);
    event_del(&conn->turn_event);
    queue_leave(&worker->handshakes, &conn->handshake);
    queue_leave(&worker->behind, &conn->behind);
    conn_parked_drop(conn);
    conns_unlink(&shared->conns, &conn->row);
    if (conn->prev != NULL) conn->prev->next = conn->next;
    else worker->conns = conn->next;
    if (conn->next != NULL) conn->next->prev = conn->prev;
    log_event(shared->log, LOG_DEBUG, "connection closed", log_text("peer", conn->row.peer),
              log_number("fd", (uint64_t)conn->row.fd));
    maps_unmap_all(&conn->session.maps);
    value_in_drop(&worker->dispatcher, &conn->session);
    value_out_drop(&worker->dispatcher, &conn->session);
    session_fini(&conn->session, &shared->openers, shared->store);
    tls_close(&conn->tls);
    close(conn->row.fd); /* which openers look at while they are there */
    output_fini(&conn->output); /* lets go of what was being sent from maps */
    maps_fini(&conn->session.maps);
    kept_drop(&conn->kept, &worker->dispatcher);
    budget_return(budget_of(conn), BUDGET_CONNECTIONS, conn->charged_bytes);
    free(conn);
    atomic_fetch_sub(&worker->conn_count, 1);
    conns_dismiss(&shared->conns);
}

/* Charged whatever it does. */
static uint64_t fixed_bytes(const struct conn *conn)
{
    return CONN_FIXED_BYTES + (conn->tls != NULL ? tls_held_bytes(conn->tls) : 0);
}

static void link_conn(struct conn *conn, const struct arrival *arrival)
{
    struct worker *worker = conn->worker;
    conn->next = worker->conns;
    if (conn->next != NULL) conn->next->prev = conn;
    worker->conns = conn;
    worker_register(worker, arrival, &conn->row);
}

static struct conn *conn_create(struct worker *worker, const struct arrival *arrival)
{
    struct conn *conn = calloc(1, sizeof *conn);
    if (conn == NULL) return NULL;
    conn->worker = worker;
    conn->behind = (struct queued){.go_on = on_behind, .connection = conn};
    conn->watch = (struct conn_watch){.told = on_watch, .conn = conn};
    if (arrival->tls) conn->tls = credentials_open_tls(&worker->shared->credentials, arrival->fd);
    conn->handshaking = arrival->tls;
    conn->login.wanted = arrival->login && credentials_want_login(&worker->shared->credentials);
    if ((conn->tls == NULL) == arrival->tls || !output_init(&conn->output, &worker->desk)) {
        tls_close(&conn->tls);
        free(conn);
        return NULL;
    }
    return conn;
}

void conn_open(struct worker *worker, const struct arrival *arrival)
{
    struct conn *conn = conn_create(worker, arrival);
    if (conn == NULL) {
        close(arrival->fd);
        atomic_fetch_sub(&worker->conn_count, 1);
        conns_dismiss(&worker->shared->conns);
        return;
    }
    conn->session.row = &conn->row;
    conn->login.tenant = &conn->row.tenant;
    maps_init(&conn->session.maps, &worker->dispatcher, &conn->row);
    conn->charged_bytes = fixed_bytes(conn);
    budget_charge_anyway(budget_of(conn), BUDGET_CONNECTIONS, conn->charged_bytes);
    link_conn(conn, arrival);
    conn_count(conn, COUNTER_total_connections, 1);
    watch_conn_new(&worker->shared->watchers, &conn->row);
    event_assign(&conn->read_event, worker->base, arrival->fd, EV_READ | EV_PERSIST, on_read, conn);
    event_assign(&conn->write_event, worker->base, arrival->fd, EV_WRITE | EV_PERSIST, on_write,
                 conn);
    event_assign(&conn->turn_event, worker->base, -1, 0, on_turn, conn);
    if (event_add(&conn->read_event, NULL) != 0) conn_destroy(conn);
}

struct conn *conn_next(const struct conn *conn)
{
    return conn->next;
}

static uint8_t tenant_of(const struct conn *conn)
{
    return atomic_load(&conn->row.tenant);
}

/* What follows is done for its tenant. */
static void conn_tick(struct conn *conn)
{
    worker_tick(conn->worker);
    conn->worker->dispatcher.scratch->tenant = tenant_of(conn);
}

/* --- input that is kept ----------------------------------------------------------------------- */

/* What a connection may always keep, also when memory is full: a request that asks for statistics
 * or frees memory, or a page, which then has its own answer. */
static size_t always_bytes(const struct conn *conn)
{
    size_t page = FRAME_HEADER_BYTES + (size_t)conn->session.page_bytes_max;
    return max_u64(page, KEPT_ALWAYS_BYTES);
}

static struct kept_room room_for(const struct conn *conn, size_t capacity, bool anyway)
{
    return (struct kept_room){
        .capacity_bytes = capacity, .always_bytes = always_bytes(conn), .anyway = anyway};
}

/* Keeps what is left of the input, which may lie in `kept` itself. */
static bool keep(struct conn *conn, struct slice left)
{
    size_t needed = min_u64(conn->need_bytes, always_bytes(conn));
    struct kept_room room = room_for(conn, max_u64(left.size_bytes, needed), true);
    return kept_set(&conn->kept, &conn->worker->dispatcher, left, &room);
}

/* --- many requests ---------------------------------------------------------------------------- */

static bool is_short(struct conn *conn)
{
    return budget_total(budget_of(conn)) >= budget_limit(budget_of(conn));
}

/* A request was carried out, or a long one went on: the client has nothing to hurry for. */
static void request_moved(struct conn *conn)
{
    conn->begun_ns = 0;
    atomic_store_explicit(&conn->row.active_ns, conn->worker->now_ns, memory_order_relaxed);
}

/* A request went on: it was carried out, a piece of a long value was taken, or as much was dropped.
 * Fewer bytes are no progress: a client could feed them one by one for ever. */
static bool has_moved(struct conn *conn, bool shorter, enum step next)
{
    if (next == STEP_TURN || next == STEP_MORE || next == STEP_AWAIT || next == STEP_LATER)
        return true;
    if (!shorter) return false;
    if (conn->swallow_bytes == 0) return true;
    if (conn->swallowed_bytes < ITEM_PIECE_BYTES) return false;
    conn->swallowed_bytes = 0;
    return true;
}

static void send_output(struct conn *conn)
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
    conn_count(conn, COUNTER_bytes_written, (uint64_t)sent);
    atomic_fetch_add_explicit(&conn->row.bytes_out, (uint64_t)sent, memory_order_relaxed);
}

/* The request at the front has yielded; some of its reply is written, or it is half done. */
static bool is_half_done(const struct conn *conn)
{
    const struct session *session = &conn->session;
    return session->resume > 0 || session->join != NULL || value_out_is_under_way(session) ||
           spill_waits(&conn->spill);
}

static bool is_within_reply(const struct conn *conn)
{
    return is_half_done(conn) || conn->parked.count > 0;
}

/* The operation that was carried out has more to do, or to be told. */
static bool is_unfinished(const struct conn *conn, enum step next)
{
    return next == STEP_TURN || next == STEP_MORE || next == STEP_LATER ||
           conn_is_within_batch(conn) || conn->session.value_in != NULL || is_half_done(conn);
}

/* A step that is timed from *now_ns on, where it is one of an operation. */
static enum step timed_step(struct conn *conn, struct slice *input, uint64_t *now_ns)
{
    struct dispatcher *dispatcher = &conn->worker->dispatcher;
    struct latency_step step = {
        .began_ns = *now_ns,
        .queued_ns = *now_ns - conn->arrival.read_ns + conn->arrival.queued_ns,
        .before = latency_parts_now(dispatcher->scratch)};
    dispatcher->operation = OPERATION_NONE;
    enum step next = conn_step(conn, input);
    if (dispatcher->operation == OPERATION_NONE) return next;
    conn->worker->round.seen_ns = *now_ns = clock_monotonic_ns();
    latency_step_over(&conn->timing, dispatcher->operation, &step, dispatcher->scratch, *now_ns);
    if (!is_unfinished(conn, next)) operation_over(dispatcher, &conn->row, &conn->timing, *now_ns);
    return next;
}

/* Carries out requests from the front of *input until something stops it, at *now_ns. */
static enum step carry_out(struct conn *conn, struct slice *input, uint64_t *now_ns)
{
    const struct settings *settings = &conn->worker->shared->settings;
    const uint64_t full = conn_replies_most(settings, budget_of(conn));
    uint32_t turn = atomic_load_explicit(&settings->requests_per_turn, memory_order_relaxed);
    const uint32_t *more_pages = &conn->worker->dispatcher.more_pages;
    const uint64_t ends_ns = *now_ns + turns_ns_max(&conn->worker->turns, tenant_of(conn));
    conn->need_bytes = 0;
    conn->worker->dispatcher.more_pages = 0;
    for (uint32_t done = 0;; done++) {
        if (output_is_due(&conn->output)) {
            send_output(conn);
            *now_ns = clock_monotonic_ns();
        }
        if (output_buffered(&conn->output) >= full) return STEP_FULL;
        bool more = done > 0 && input->size_bytes > 0; /* most turns are of one request */
        bool is_long = *now_ns > ends_ns;
        if (more && (done + *more_pages >= turn || is_long)) return STEP_TURN;
        size_t before = input->size_bytes;
        enum step next = timed_step(conn, input, now_ns);
        if (has_moved(conn, input->size_bytes < before, next)) request_moved(conn);
        if (next == STEP_MORE) send_output(conn); /* while the others are looked for */
        if (conn->output.broken || (conn->leaving && !is_within_reply(conn))) return STEP_CLOSE;
        if (next != STEP_ON && next != STEP_MORE) return next;
    }
}

static enum conn_state state_of(const struct conn *conn)
{
    if (conn->session.watcher != NULL) return CONN_WATCHING;
    if (output_pending(&conn->output) > 0) return CONN_WRITING;
    if (conn->swallow_bytes > 0) return CONN_SWALLOWING;
    return conn->begun_ns != 0 ? CONN_READING : CONN_IDLE;
}

/* What is waiting to be sent counts as memory, though it cannot be refused any more: items give way
 * for it, a few at a time; the maintainer does the rest. What maps lend is charged already. */
static void charge_output(struct conn *conn)
{
    struct dispatcher *dispatcher = &conn->worker->dispatcher;
    uint64_t now = fixed_bytes(conn) + output_own_pending(&conn->output);
    budget_recharge(budget_of(conn), BUDGET_CONNECTIONS, &conn->charged_bytes, now);
    for (int i = 0; i < EVICTIONS_PER_TURN && is_short(conn); i++)
        if (!store_evict_one(dispatcher->shared->store, dispatcher->scratch)) break;
}

static void event_want(struct event *event, bool wanted, const struct timeval *timeout)
{
    bool is_so = event_pending(event, EV_READ | EV_WRITE | EV_TIMEOUT, NULL) != 0;
    if (wanted == is_so) return; /* as after nearly every request */
    if (wanted) (void)event_add(event, timeout); /* can only fail before its first success */
    else (void)event_del(event);
}

static bool is_ahead_of_client(struct conn *conn)
{
    const struct settings *settings = &conn->worker->shared->settings;
    return conn_replies_are_ahead(settings, budget_of(conn), &conn->output);
}

static const struct timeval at_once = {0, 0}, in_a_moment = {0, 1000};

/* What TLS holds already makes no socket readable. */
static void look_into_tls(struct conn *conn)
{
    if (conn->tls != NULL) event_want(&conn->turn_event, tls_has_more(conn->tls), &at_once);
}

static bool is_ahead(const struct conn *conn)
{
    return turns_ahead(&conn->worker->turns, tenant_of(conn));
}

/* It goes on when its turn among those has come whose tenants are ahead. */
static void go_behind(struct conn *conn, bool reads)
{
    conn->behind_reads = reads;
    queue_join(&conn->worker->behind, &conn->behind);
}

/* Sends, and decides by the table above what to wait for. */
static void settle(struct conn *conn, enum step why)
{
    bool all_is_said = conn->eof && conn->parked.count == 0;
    if (why == STEP_CLOSE || (why == STEP_WAIT && all_is_said)) conn->closing = true;
    if (atomic_load_explicit(&conn->row.noticed, memory_order_relaxed) && !conn->closing)
        dispatch_notices(&conn->session, &conn->output);
    if (!conn->output.broken) send_output(conn);
    if (conn->session.watcher != NULL && !conn->closing && !conn->output.broken) {
        conn_watch_feed(&conn->watch, conn->worker, conn->session.watcher, &conn->output);
        if (!conn->output.broken) send_output(conn);
    }
    bool pending = output_pending(&conn->output) > 0;
    if (conn->output.broken || (conn->closing && !pending)) {
        conn_destroy(conn);
        return;
    }
    if (conn->session.watcher == NULL)
        reply_waits(conn->worker->shared, &conn->row, &conn->pending_ns, pending,
                    conn->worker->now_ns);
    if (pending && !event_pending(&conn->write_event, EV_WRITE, NULL))
        conn->moved_ns = conn->worker->now_ns;
    /* What was full may have been taken by the socket at once: then it is just a turn. */
    if (why == STEP_FULL || why == STEP_TURN)
        why = is_ahead_of_client(conn) ? STEP_FULL : STEP_TURN;
    if (why == STEP_TURN) conn_count(conn, COUNTER_conn_yields, 1);
    bool begun = conn->kept.size_bytes > 0 || conn->swallow_bytes > 0 ||
                 conn->session.value_in != NULL || conn_is_within_batch(conn);
    if (why == STEP_WAIT && begun && conn->begun_ns == 0)
        conn->begun_ns = conn->worker->now_ns;
    charge_output(conn);
    atomic_store_explicit(&conn->row.pending_bytes, output_pending(&conn->output),
                          memory_order_relaxed);
    atomic_store_explicit(&conn->row.state, (int)state_of(conn), memory_order_relaxed);
    bool goes_on = (why == STEP_TURN || why == STEP_LATER) && !conn->closing;
    bool behind = why == STEP_TURN && goes_on && is_ahead(conn);
    if (behind) go_behind(conn, false);
    else queue_leave(&conn->worker->behind, &conn->behind);
    event_want(&conn->read_event, why == STEP_WAIT && !conn->closing && !conn->eof, NULL);
    event_want(&conn->write_event, pending, NULL);
    event_want(&conn->turn_event, goes_on && !behind,
               why == STEP_LATER ? &in_a_moment : &at_once);
    if (why == STEP_WAIT && !conn->closing) look_into_tls(conn);
}

static void work(struct conn *conn, struct slice input)
{
    enum step why = STEP_AWAIT;
    struct worker *worker = conn->worker;
    uint64_t ended_ns = worker->now_ns;
    if (!spill_waits(&conn->spill)) why = carry_out(conn, &input, &ended_ns);
    turns_note(&worker->turns, tenant_of(conn), worker->now_ns, ended_ns);
    if (why != STEP_CLOSE && !keep(conn, input)) why = STEP_CLOSE; /* malloc itself refuses */
    settle(conn, why);
}

/* --- events ----------------------------------------------------------------------------------- */

/* Where the next bytes go. Behind few bytes that are kept they go into the worker's buffer, where
 * those are brought before them: so that what follows an incomplete request is read with its rest.
 * Behind many they go where those are, which is not read twice. False: no memory. When memory is
 * nearly full no more is read than may be kept in any case. */
static bool place_to_read(struct conn *conn, uint8_t **at, size_t *room)
{
    struct kept *kept = &conn->kept;
    if (kept->size_bytes < KEPT_ALWAYS_BYTES) {
        const struct budget *budget = budget_of(conn);
        bool tight = budget_total(budget) + 2 * WORKER_INPUT_BYTES > budget_limit(budget);
        size_t most = min_u64(tight ? always_bytes(conn) : WORKER_INPUT_BYTES, WORKER_INPUT_BYTES);
        *at = conn->worker->input + kept->size_bytes;
        *room = most - kept->size_bytes;
        return true;
    }
    /* A line says only that it needs more: then it is doubled, not fed byte by byte. */
    size_t doubled = 2 * kept->capacity_bytes;
    size_t needed = conn->need_bytes > kept->size_bytes + 1 ? conn->need_bytes : doubled;
    size_t wanted = max_u64(min_u64(needed, doubled), always_bytes(conn));
    struct kept_room more = room_for(conn, wanted, false);
    if (kept->size_bytes == kept->capacity_bytes &&
        !kept_grow(kept, &conn->worker->dispatcher, &more))
        return false;
    *at = kept->bytes + kept->size_bytes;
    *room = kept->capacity_bytes - kept->size_bytes;
    return true;
}

/* The request that has begun is larger than there is memory for: it is refused in its own language
 * and the rest of it dropped as it comes. Only a line without end cannot be dropped. */
static void refuse_for_memory(struct conn *conn)
{
    struct kept *kept = &conn->kept;
    struct frame frame;
    uint64_t whole = conn->need_bytes;
    if (conn_is_within_batch(conn)) {
        dispatch_entries_no_memory(&conn->session, &conn->output);
        whole = conn->session.batch.left_bytes;
    } else if (atomic_load(&conn->row.dialect) != DIALECT_FRAMES) {
        whole = conn_value_no_memory(&conn->worker->dispatcher, kept_slice(kept), &conn->output);
    } else if (frame_decode(kept->bytes, FRAME_MAGIC_REQUEST, &frame)) {
        dispatch_frame_status(&frame, FRAME_NO_MEMORY, &conn->output);
    }
    conn->swallow_bytes = whole > kept->size_bytes ? whole - kept->size_bytes : 0;
    kept_drop(kept, &conn->worker->dispatcher);
    settle(conn, whole == 0 ? STEP_CLOSE : STEP_WAIT);
}

/* `at` is where place_to_read said. */
static void arrived(struct conn *conn, uint8_t *at, size_t got)
{
    struct kept *kept = &conn->kept;
    uint8_t *input = conn->worker->input;
    bool beside = at == input + kept->size_bytes; /* the worker's buffer */
    size_t size = kept->size_bytes + got;
    bool enough = size >= conn->need_bytes || conn->eof;
    if (kept->size_bytes > 0 && beside && !enough && size <= kept->capacity_bytes) {
        memcpy(kept->bytes + kept->size_bytes, at, got);
        kept->size_bytes = size;
        look_into_tls(conn);
        return;
    }
    if (!beside) {
        kept->size_bytes = size;
        if (enough) work(conn, kept_slice(kept));
        else look_into_tls(conn);
        return;
    }
    if (kept->size_bytes > 0) memcpy(input, kept->bytes, kept->size_bytes);
    work(conn, slice_of(input, size));
}

static ssize_t receive(struct conn *conn, uint8_t *at, size_t room)
{
    return conn->tls == NULL ? recv(conn->row.fd, at, room, 0) : tls_read(conn->tls, at, room);
}

/* Goes on until TLS is agreed on, and is then where an open connection begins. */
static void shake_hands(void *opaque)
{
    struct conn *conn = opaque;
    conn_tick(conn);
    enum tls_step step = tls_handshake(conn->tls);
    if (step == TLS_FAILED) {
        conn_count(conn, COUNTER_ssl_handshake_errors, 1);
        conn_log_closed(conn, GATE_TLS, "connection closed: no TLS", tls_reason(conn->tls));
        /* To close a socket that holds unread bytes takes back what the client is being told. */
        (void)!recv(conn->row.fd, conn->worker->input, WORKER_INPUT_BYTES, MSG_DONTWAIT);
        conn_destroy(conn);
        return;
    }
    event_want(&conn->read_event, true, NULL);
    event_want(&conn->write_event, step == TLS_WANT_WRITE, NULL);
    if (step != TLS_DONE) return;
    conn->handshaking = false;
    conn_count(conn, COUNTER_farpage_tls_handshakes, 1);
    tenancy_of_peer(conn->worker->shared, conn->tls, &conn->row.tenant);
    settle(conn, STEP_WAIT);
}

/* Nothing else is to happen to it until its turn has come. */
static void await_turn(struct conn *conn)
{
    event_want(&conn->read_event, false, NULL);
    event_want(&conn->write_event, false, NULL);
    conn->handshake.go_on = shake_hands;
    conn->handshake.connection = conn;
    queue_join(&conn->worker->handshakes, &conn->handshake);
}

static void read_on(struct conn *conn)
{
    uint8_t *at;
    size_t room;
    if (!place_to_read(conn, &at, &room)) {
        refuse_for_memory(conn);
        return;
    }
    /* Before the socket is empty: who looks whether this client has hung up must not take what it
     * asked for last, and we are about to carry out, for nothing. */
    atomic_store(&conn->row.state, CONN_READING);
    ssize_t got = receive(conn, at, room);
    if (got < 0) {
        atomic_store(&conn->row.state, (int)state_of(conn));
        if (errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR) conn_destroy(conn);
        return;
    }
    conn->eof = got == 0;
    conn->arrival = (struct latency_arrival){conn->worker->now_ns, worker_queued_ns(conn->worker)};
    conn_count(conn, COUNTER_bytes_read, (uint64_t)got);
    atomic_fetch_add_explicit(&conn->row.bytes_in, (uint64_t)got, memory_order_relaxed);
    arrived(conn, at, (size_t)got);
}

static void on_read(evutil_socket_t fd, short what, void *opaque)
{
    (void)fd, (void)what;
    struct conn *conn = opaque;
    conn_tick(conn);
    if (conn->handshaking) {
        await_turn(conn);
    } else if (is_ahead(conn)) {
        event_want(&conn->read_event, false, NULL);
        go_behind(conn, true);
    } else {
        read_on(conn);
    }
}

static void resume(struct conn *conn)
{
    work(conn, kept_slice(&conn->kept));
}

static void on_behind(void *opaque)
{
    struct conn *conn = opaque;
    conn_tick(conn);
    if (!conn->behind_reads) {
        resume(conn);
        return;
    }
    event_want(&conn->read_event, true, NULL);
    read_on(conn);
}

void conn_arrived(void *opaque)
{
    struct conn *conn = opaque;
    conn_tick(conn);
    resume(conn);
}

static bool is_pending(const struct event *event)
{
    return event_pending(event, EV_READ | EV_WRITE | EV_TIMEOUT, NULL) != 0;
}

/* All else goes on as it was: what the connection waits for besides is not this one's business. */
void conn_answered(struct conn *conn)
{
    bool last = conn->parked.count == 0 && !spill_waits(&conn->spill);
    bool goes_on = is_pending(&conn->turn_event) || is_pending(&conn->write_event) ||
                   conn->behind.waits;
    if (last && (conn->leaving || (conn->eof && !goes_on))) {
        settle(conn, conn->leaving ? STEP_CLOSE : STEP_WAIT);
        return;
    }
    if (!conn->output.broken) send_output(conn);
    if (conn->output.broken) {
        conn_destroy(conn);
        return;
    }
    request_moved(conn);
    charge_output(conn);
    if (output_pending(&conn->output) > 0) event_want(&conn->write_event, true, NULL);
}

static void on_watch(evutil_socket_t fd, short what, void *opaque)
{
    (void)fd, (void)what;
    struct conn *conn = opaque;
    conn_tick(conn);
    if (output_pending(&conn->output) == 0) settle(conn, STEP_WAIT);
    else conn_watch_wait(&conn->watch);
}

static void on_turn(evutil_socket_t fd, short what, void *opaque)
{
    (void)fd, (void)what;
    struct conn *conn = opaque;
    conn_tick(conn);
    if (event_pending(&conn->read_event, EV_READ, NULL)) on_read(conn->row.fd, EV_READ, conn);
    else resume(conn);
}

static void on_write(evutil_socket_t fd, short what, void *opaque)
{
    (void)fd, (void)what;
    struct conn *conn = opaque;
    conn_tick(conn);
    if (conn->handshaking) {
        await_turn(conn);
        return;
    }
    send_output(conn);
    bool reading = event_pending(&conn->read_event, EV_READ, NULL) != 0;
    if (output_pending(&conn->output) > 0 && !conn->output.broken) charge_output(conn);
    else if (conn->closing || conn->output.broken || reading) settle(conn, STEP_WAIT);
    else resume(conn);
}

/* --- from the worker -------------------------------------------------------------------------- */

void conn_stop(struct conn *conn, bool drain)
{
    conn->leaving = true;
    if (!drain || conn->session.watcher != NULL) conn_destroy(conn);
    else if (!is_within_reply(conn)) settle(conn, STEP_CLOSE);
}

void conn_sweep(struct conn *conn)
{
    size_t pending = output_pending(&conn->output);
    maps_sweep(&conn->session.maps);
    /* What it is told and does not read is lost; more than that is of what it asked before. */
    if (conn->session.watcher != NULL && pending <= WATCHER_TAKE_BYTES) return;
    struct conn_stand stand = {.handshaking = conn->handshaking,
                               .login = conn->login.wanted,
                               .pending = pending > 0,
                               .needed = conn_reply_is_needed(budget_of(conn), &conn->output),
                               .opened_ns = conn->row.opened_ns,
                               .active_ns = atomic_load(&conn->row.active_ns),
                               .begun_ns = conn->begun_ns,
                               .moved_ns = conn->moved_ns};
    struct conn_verdict verdict =
        conn_patience(&conn->worker->shared->settings, &stand, conn->worker->now_ns);
    if (verdict.reason == NULL) {
        bool idle = pending == 0 && event_pending(&conn->read_event, EV_READ, NULL);
        if (idle && atomic_load(&conn->row.noticed)) settle(conn, STEP_WAIT);
        return;
    }
    conn->idled = verdict.idle;
    conn_count(conn, verdict.idle ? COUNTER_idle_kicks : COUNTER_farpage_slow_kicks, 1);
    conn_log_closed(conn, GATE_SLOW, "connection closed: too slow", verdict.reason);
    conn_destroy(conn);
}
