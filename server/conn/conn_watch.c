/* SPDX-License-Identifier: BSD-3-Clause */
#include "server/conn/conn_watch.h"

void conn_watch_feed(struct conn_watch *watch, struct worker *worker, struct watcher *watcher,
                     struct output *output)
{
    if (output_pending(output) > 0) return;
    if (!watch->there)
        event_assign(&watch->event, worker->base, watcher_fd(watcher), EV_READ | EV_PERSIST,
                     watch->told, watch->conn);
    watch->there = true;
    watcher_take(&worker->shared->watchers, watcher, output);
    if (event_add(&watch->event, NULL) != 0) output->broken = true;
}

void conn_watch_wait(struct conn_watch *watch)
{
    (void)event_del(&watch->event);
}

void conn_watch_end(struct conn_watch *watch, struct worker *worker, struct watcher **watcher)
{
    if (watch->there) (void)event_del(&watch->event);
    watch->there = false;
    watcher_close(&worker->shared->watchers, watcher);
}
