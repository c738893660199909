/* SPDX-License-Identifier: BSD-3-Clause
 * http_internal - what the files of the door share. Seen by them only. */
#ifndef FARPAGE_SERVER_HTTP_HTTP_INTERNAL_H
#define FARPAGE_SERVER_HTTP_HTTP_INTERNAL_H
#include <event2/event.h>
#include <event2/event_struct.h>
#include <pthread.h>

#include "protocol/http.h"
#include "server/http/http.h"
#include "server/peer/output.h"
#include "tls/tls.h"

struct http_conn;

struct http {
    struct shared *shared;
    struct event_base *base;
    struct http_conn *conns;
    pthread_t thread;
    bool running;
    int wake_fd;
    struct event *wake;
    struct lock inbox_lock; /* guards the three below */
    struct http_arrival inbox[HTTP_CONNECTIONS_MAX];
    unsigned inbox_count;
    bool stop_asked;
};

/* Starts serving; takes over the arrival's fd. The thread's only, as all below. */
void http_conn_open(struct http *http, const struct http_arrival *arrival) FP_NONNULL(1, 2);
void http_conns_close(struct http *http) FP_NONNULL(1);

struct http_asker { /* of a request */
    bool login, loopback;
};
/* Writes the body of the answer; *type is a constant. */
enum http_status http_answer(struct shared *shared, const struct http_request *request,
                             const struct http_asker *asker, struct output *body,
                             const char **type) FP_MUST_CHECK FP_NONNULL(1, 2, 3, 4, 5);

#endif
