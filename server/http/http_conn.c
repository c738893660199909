/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Life of a connection:
 *   (TLS) -> reading -> the answer is written -> sending -> lingering -> gone
 *
 * What a client sends behind its request is read and dropped for a moment (lingering): to close a
 * socket that holds unread bytes takes back what the client is being told. Everything together
 * takes HTTP_TOTAL_NS at most, or server.request_timeout where that is less. */
#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/arith.h"
#include "base/clock.h"
#include "server/http/http_internal.h"

#define HTTP_TOTAL_NS ((uint64_t)10 * 1000000000)

enum { LINGER_BYTES_MAX = 1 << 20, LINGER_READ_BYTES = 16 << 10 };

enum stage { STAGE_TLS, STAGE_READING, STAGE_SENDING, STAGE_LINGERING };

struct http_conn {
    struct http *http;
    struct http_conn *next, *prev;
    struct tls *tls; /* NULL: in the clear */
    struct event read_event, write_event, deadline_event;
    enum stage stage;
    struct http_asker asker;
    struct output output;
    uint64_t charged_bytes, dropped_bytes;
    size_t input_bytes;
    int fd;
    char peer[CONN_ADDRESS_BYTES];
    uint8_t input[HTTP_REQUEST_BYTES_MAX];
};

static struct budget *budget_of(struct http_conn *conn)
{
    return store_budget(conn->http->shared->store);
}

static void conn_destroy(struct http_conn *conn)
{
    struct http *http = conn->http;
    event_del(&conn->read_event);
    event_del(&conn->write_event);
    event_del(&conn->deadline_event);
    if (conn->prev != NULL) conn->prev->next = conn->next;
    else http->conns = conn->next;
    if (conn->next != NULL) conn->next->prev = conn->prev;
    tls_close(&conn->tls);
    close(conn->fd);
    output_fini(&conn->output);
    budget_return(budget_of(conn), BUDGET_CONNECTIONS, conn->charged_bytes);
    free(conn);
    atomic_fetch_sub(&http->shared->http.open, 1);
}

static void log_closed(struct http_conn *conn, const char *event, const char *reason)
{
    static const struct log_pace at_times = {10, 10000000000};
    struct shared *shared = conn->http->shared;
    uint64_t skipped;
    if (!log_gate_pass(&shared->gates[GATE_HTTP], at_times, clock_monotonic_ns(), &skipped)) return;
    log_event(shared->log, LOG_INFO, event, log_text("peer", conn->peer),
              log_text("reason", reason), log_number("not_shown", skipped));
}

static void charge(struct http_conn *conn)
{
    uint64_t now = sizeof *conn + (conn->tls != NULL ? tls_held_bytes(conn->tls) : 0) +
                   output_own_pending(&conn->output);
    budget_recharge(budget_of(conn), BUDGET_CONNECTIONS, &conn->charged_bytes, now);
}

/* --- the answer ------------------------------------------------------------------------------- */

static void linger(struct http_conn *conn)
{
    conn->stage = STAGE_LINGERING;
    (void)event_del(&conn->write_event);
    if (conn->tls != NULL || shutdown(conn->fd, SHUT_WR) != 0) conn_destroy(conn);
    else (void)event_add(&conn->read_event, NULL);
}

static void send_some(struct http_conn *conn)
{
    long sent = conn->tls == NULL ? output_send(&conn->output, conn->fd)
                                  : output_send_tls(&conn->output, conn->tls);
    charge(conn);
    if (sent < 0 || conn->output.broken) conn_destroy(conn);
    else if (output_pending(&conn->output) == 0) linger(conn);
    else if (!event_pending(&conn->write_event, EV_WRITE, NULL))
        (void)event_add(&conn->write_event, NULL);
}

/* What is written so far is the body. */
static void answer(struct http_conn *conn, enum http_status status, const char *type, bool no_body)
{
    char head[HTTP_HEAD_BYTES_MAX];
    size_t size = http_head(status, type, output_pending(&conn->output), head);
    atomic_fetch_add(&conn->http->shared->http.answered[status], 1);
    if (no_body) {
        output_fini(&conn->output);
        if (!output_init(&conn->output, NULL)) conn->output.broken = true;
    }
    if (!conn->output.broken) output_prepend(&conn->output, slice_of(head, size));
    conn->stage = STAGE_SENDING;
    (void)event_del(&conn->read_event);
    send_some(conn);
}

static void refuse(struct http_conn *conn, enum http_status status)
{
    output_text(&conn->output, http_status_reason(status));
    output_text(&conn->output, "\n");
    if (status != HTTP_NOT_FOUND) log_closed(conn, "http request refused",
                                             http_status_reason(status));
    answer(conn, status, "text/plain", false);
}

static void carry_out(struct http_conn *conn)
{
    struct http_request request;
    enum http_status status;
    const char *type = "text/plain";
    switch (http_parse(slice_of(conn->input, conn->input_bytes), &request, &status)) {
    case HTTP_PARTIAL:
        return;
    case HTTP_REFUSED:
        refuse(conn, status);
        return;
    case HTTP_READY:
    default:
        status = http_answer(conn->http->shared, &request, &conn->asker, &conn->output, &type);
        answer(conn, status, type, request.head);
    }
}

/* --- events ----------------------------------------------------------------------------------- */

static ssize_t receive(struct http_conn *conn, void *at, size_t room)
{
    return conn->tls == NULL ? recv(conn->fd, at, room, 0) : tls_read(conn->tls, at, room);
}

static void read_some(struct http_conn *conn)
{
    size_t room = sizeof conn->input - conn->input_bytes; /* never 0: a full buffer is no PARTIAL */
    ssize_t got = receive(conn, conn->input + conn->input_bytes, room);
    if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR)) return;
    if (got <= 0) {
        conn_destroy(conn);
        return;
    }
    conn->input_bytes += (size_t)got;
    carry_out(conn);
}

static void drop_some(struct http_conn *conn)
{
    uint8_t dropped[LINGER_READ_BYTES];
    ssize_t got = receive(conn, dropped, sizeof dropped);
    if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR)) return;
    if (got > 0) conn->dropped_bytes += (size_t)got;
    if (got <= 0 || conn->dropped_bytes > LINGER_BYTES_MAX) conn_destroy(conn);
}

static void shake_hands(struct http_conn *conn)
{
    enum tls_step step = tls_handshake(conn->tls);
    if (step == TLS_FAILED) {
        log_closed(conn, "http connection closed: no TLS", tls_reason(conn->tls));
        conn_destroy(conn);
        return;
    }
    if (step == TLS_WANT_WRITE) (void)event_add(&conn->write_event, NULL);
    else (void)event_del(&conn->write_event);
    if (step != TLS_DONE) return;
    conn->stage = STAGE_READING;
    charge(conn);
    read_some(conn); /* what TLS holds already makes no socket readable */
}

static void on_event(evutil_socket_t fd, short what, void *opaque)
{
    (void)fd, (void)what;
    struct http_conn *conn = opaque;
    if (conn->stage == STAGE_TLS) shake_hands(conn);
    else if (conn->stage == STAGE_READING) read_some(conn);
    else if (conn->stage == STAGE_SENDING) send_some(conn);
    else drop_some(conn);
}

static void on_deadline(evutil_socket_t fd, short what, void *opaque)
{
    (void)fd, (void)what;
    static const char *const reasons[] = {
        [STAGE_TLS] = "TLS is not agreed on",
        [STAGE_READING] = "its request does not end",
        [STAGE_SENDING] = "it does not read its answer",
    };
    struct http_conn *conn = opaque;
    if (conn->stage != STAGE_LINGERING) {
        atomic_fetch_add(&conn->http->shared->http.too_slow, 1);
        log_closed(conn, "http connection closed: too slow", reasons[conn->stage]);
    }
    conn_destroy(conn);
}

/* --- from http.c ------------------------------------------------------------------------------ */

static void turn_back(struct http *http, struct http_conn *conn, int fd)
{
    if (conn != NULL) tls_close(&conn->tls);
    free(conn);
    close(fd);
    atomic_fetch_sub(&http->shared->http.open, 1);
}

void http_conn_open(struct http *http, const struct http_arrival *arrival)
{
    struct credentials *credentials = &http->shared->credentials;
    struct http_conn *conn = calloc(1, sizeof *conn);
    if (conn == NULL) {
        turn_back(http, NULL, arrival->fd);
        return;
    }
    conn->http = http;
    conn->fd = arrival->fd;
    conn->asker = (struct http_asker){arrival->login && credentials_want_login(credentials),
                                      arrival->loopback};
    memcpy(conn->peer, arrival->peer, sizeof conn->peer);
    conn->stage = arrival->tls ? STAGE_TLS : STAGE_READING;
    if (arrival->tls) conn->tls = credentials_open_tls(credentials, arrival->fd);
    if ((conn->tls == NULL) == arrival->tls || !output_init(&conn->output, NULL)) {
        turn_back(http, conn, arrival->fd);
        return;
    }
    uint64_t total_ns = min_u64(HTTP_TOTAL_NS, setting(&http->shared->settings.request_timeout_ns));
    struct timeval deadline = {(time_t)(total_ns / 1000000000),
                               (suseconds_t)(total_ns % 1000000000 / 1000)};
    conn->next = http->conns;
    if (conn->next != NULL) conn->next->prev = conn;
    http->conns = conn;
    charge(conn);
    event_assign(&conn->read_event, http->base, conn->fd, EV_READ | EV_PERSIST, on_event, conn);
    event_assign(&conn->write_event, http->base, conn->fd, EV_WRITE | EV_PERSIST, on_event, conn);
    event_assign(&conn->deadline_event, http->base, -1, 0, on_deadline, conn);
    if (event_add(&conn->read_event, NULL) != 0 ||
        event_add(&conn->deadline_event, &deadline) != 0)
        conn_destroy(conn);
}

void http_conns_close(struct http *http)
{
    while (http->conns != NULL) conn_destroy(http->conns);
}
