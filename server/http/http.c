/* SPDX-License-Identifier: BSD-3-Clause */
#include "server/http/http.h"

#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/check.h"
#include "server/http/http_internal.h"

/* --- its own thread --------------------------------------------------------------------------- */

static void on_wake(evutil_socket_t fd, short what, void *opaque)
{
    (void)what;
    struct http *http = opaque;
    struct http_arrival arrivals[HTTP_CONNECTIONS_MAX];
    uint64_t ignored;
    ssize_t got = read((int)fd, &ignored, sizeof ignored);
    (void)got; /* only clears the event */
    lock_take(&http->inbox_lock);
    unsigned count = http->inbox_count;
    bool stop = http->stop_asked;
    if (count > 0) memcpy(arrivals, http->inbox, count * sizeof *arrivals);
    http->inbox_count = 0;
    lock_drop(&http->inbox_lock);
    for (unsigned i = 0; i < count; i++) http_conn_open(http, &arrivals[i]);
    if (!stop) return;
    http_conns_close(http);
    event_base_loopbreak(http->base);
}

static void *run(void *opaque)
{
    struct http *http = opaque;
    event_base_dispatch(http->base);
    return NULL;
}

/* --- from other threads ----------------------------------------------------------------------- */

static void wake(struct http *http)
{
    uint64_t one = 1;
    ssize_t written = write(http->wake_fd, &one, sizeof one);
    (void)written; /* cannot fail but when it is already awake */
}

static void turn_away(struct http *http, const struct http_arrival *arrival)
{
    static const char text[] = "too many connections\n";
    char head[HTTP_HEAD_BYTES_MAX];
    atomic_fetch_add(&http->shared->http.turned_away, 1);
    if (!arrival->tls) { /* a courtesy, as far as the socket takes it at once */
        size_t size = http_head(HTTP_UNAVAILABLE, "text/plain", sizeof text - 1, head);
        ssize_t sent = send(arrival->fd, head, size, MSG_NOSIGNAL | MSG_DONTWAIT | MSG_MORE);
        sent = send(arrival->fd, text, sizeof text - 1, MSG_NOSIGNAL | MSG_DONTWAIT);
        (void)sent;
    }
    close(arrival->fd);
}

void http_take_over(struct http *http, const struct http_arrival *arrival)
{
    _Atomic uint32_t *open = &http->shared->http.open;
    if (atomic_fetch_add(open, 1) >= HTTP_CONNECTIONS_MAX) {
        atomic_fetch_sub(open, 1);
        turn_away(http, arrival);
        return;
    }
    lock_take(&http->inbox_lock);
    fp_assert(http->inbox_count < HTTP_CONNECTIONS_MAX); /* each is counted as open */
    http->inbox[http->inbox_count++] = *arrival;
    lock_drop(&http->inbox_lock);
    wake(http);
}

enum fp_status http_create(struct shared *shared, struct http **out)
{
    struct http *http = calloc(1, sizeof *http);
    if (http == NULL) return FP_NO_MEMORY;
    lock_init(&http->inbox_lock, RANK_WORKER_INBOX);
    http->shared = shared;
    http->base = event_base_new();
    http->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (http->base != NULL && http->wake_fd >= 0)
        http->wake = event_new(http->base, http->wake_fd, EV_READ | EV_PERSIST, on_wake, http);
    if (http->wake != NULL && event_add(http->wake, NULL) == 0) {
        *out = http;
        return FP_OK;
    }
    http_destroy(&http);
    return FP_NO_MEMORY;
}

enum fp_status http_start(struct http *http)
{
    if (pthread_create(&http->thread, NULL, run, http) != 0) return FP_NO_MEMORY;
    http->running = true;
    return FP_OK;
}

void http_stop(struct http *http)
{
    if (!http->running) return;
    lock_take(&http->inbox_lock);
    http->stop_asked = true;
    lock_drop(&http->inbox_lock);
    wake(http);
    fp_assert(pthread_join(http->thread, NULL) == 0);
    http->running = false;
}

void http_destroy(struct http **http_ptr)
{
    struct http *http = *http_ptr;
    if (http == NULL) return;
    fp_assert(!http->running && http->conns == NULL);
    for (unsigned i = 0; i < http->inbox_count; i++) {
        close(http->inbox[i].fd);
        atomic_fetch_sub(&http->shared->http.open, 1);
    }
    if (http->wake != NULL) event_free(http->wake);
    if (http->base != NULL) event_base_free(http->base);
    if (http->wake_fd >= 0) close(http->wake_fd);
    lock_fini(&http->inbox_lock);
    free(http);
    *http_ptr = NULL;
}
