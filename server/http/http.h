/* SPDX-License-Identifier: BSD-3-Clause
 * http - the door for monitors: GET /metrics, /api/v1/stats, /livez, /readyz.
 *
 * It has a thread of its own, and at most HTTP_CONNECTIONS_MAX connections: whoever asks much,
 * reads slowly or sends nonsense takes nothing from those who store and load, and a worker that is
 * stuck does not keep anybody from being told so. A connection has one request and one deadline,
 * from its first moment to its last byte.
 *
 * Life: create -> start (the thread runs) -> take_over for each new connection -> stop -> destroy.
 *
 * Threads: take_over: any. The rest: whoever owns it.
 * Locks:   RANK_WORKER_INBOX, and what health.h and metrics.h take.
 */
#ifndef FARPAGE_SERVER_HTTP_HTTP_H
#define FARPAGE_SERVER_HTTP_HTTP_H
#include <stdbool.h>

#include "base/attrs.h"
#include "base/status.h"
#include "server/shared.h"

enum { HTTP_CONNECTIONS_MAX = 32 };

struct http;

struct http_arrival { /* an accepted connection */
    int fd;
    bool tls;      /* it must be spoken */
    bool login;    /* wanted, where there are users */
    bool loopback; /* only this machine reaches the address */
    char peer[CONN_ADDRESS_BYTES];
};

enum fp_status http_create(struct shared *shared, struct http **http)
    FP_MUST_CHECK FP_NONNULL(1, 2);
enum fp_status http_start(struct http *http) FP_MUST_CHECK FP_NONNULL(1);

/* Takes fd over; where there are too many connections it is told so and closed. */
void http_take_over(struct http *http, const struct http_arrival *arrival) FP_NONNULL(1, 2);

void http_stop(struct http *http) FP_NONNULL(1); /* closes all, and waits for the thread */
void http_destroy(struct http **http) FP_NONNULL(1);

#endif
