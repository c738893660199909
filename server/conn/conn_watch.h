/* SPDX-License-Identifier: BSD-3-Clause
 * conn_watch - how a connection that watches (watch.h) comes by its lines: an event says that there
 * are some, and they go to its output when that is empty. What it does not read stays in its ring,
 * and is lost there.
 *
 * Threads: the connection's worker only. */
#ifndef FARPAGE_SERVER_CONN_WATCH_H
#define FARPAGE_SERVER_CONN_WATCH_H
#include <event2/event_struct.h>

#include "server/worker.h"

struct conn_watch {
    event_callback_fn told; /* called with `conn`: there is something to feed */
    void *conn;
    struct event event;
    bool there; /* the event is */
};

/* After each sending: moves what waits to the output, if that is empty. Without memory for the
 * event the output is broken. */
void conn_watch_feed(struct conn_watch *watch, struct worker *worker, struct watcher *watcher,
                     struct output *output) FP_NONNULL(1, 2, 3, 4);
/* The output is not empty yet: no more of the event until the next feeding. */
void conn_watch_wait(struct conn_watch *watch) FP_NONNULL(1);
/* Ends the event, and the watcher where there is one. */
void conn_watch_end(struct conn_watch *watch, struct worker *worker, struct watcher **watcher)
    FP_NONNULL(1, 2, 3);

#endif
