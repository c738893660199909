/* SPDX-License-Identifier: BSD-3-Clause
 * watch_events - the lines that watchers read, each as memcached writes it, keys as in a URI. Those
 * of requests and of compaction are to be called where watched() says that somebody wants to know;
 * those of evictions and connections look themselves.
 *
 * Threads: any. Locks: as watch_tell.
 */
#ifndef FARPAGE_SERVER_WATCH_EVENTS_H
#define FARPAGE_SERVER_WATCH_EVENTS_H
#include "server/memory/shrinking.h"
#include "server/peer/conns.h"
#include "server/watch/watch.h"
#include "storage/store/item/store_item.h"

/* A key was read by the connection fd; item NULL: it was not there. */
void watch_get(struct watchers *watchers, int fd, struct slice key, const struct item *item)
    FP_NONNULL(1);

struct watch_store {
    struct slice key;
    const char *status, *command;
    int64_t ttl_s;
    unsigned class_number; /* 0: nothing was stored */
    uint64_t value_bytes;
    int fd;
};
void watch_store(struct watchers *watchers, const struct watch_store *store) FP_NONNULL(1, 2);

struct watch_delete {
    struct slice key;
    const char *command;
    unsigned class_number;
    uint64_t value_bytes;
    int fd;
};
void watch_delete(struct watchers *watchers, const struct watch_delete *deleted) FP_NONNULL(1, 2);

/* For store_on_eviction; the context is the watchers. */
store_evicted watch_eviction;

void watch_conn_new(struct watchers *watchers, const struct conn_row *row) FP_NONNULL(1, 2);
/* reason: "error", "normal", "idle_timeout" or "shutdown". */
void watch_conn_close(struct watchers *watchers, const struct conn_row *row, const char *reason)
    FP_NONNULL(1, 2, 3);

struct watch_compaction {
    uint64_t job; /* 0: by itself */
    uint64_t moved_objects, freed_pages, took_ns;
};
struct watch_spill { /* one run of write-back */
    uint64_t pages, items, bytes, took_ns;
};
void watch_spill(struct watchers *watchers, const struct watch_spill *done) FP_NONNULL(1, 2);
void watch_compaction(struct watchers *watchers, const struct watch_compaction *done)
    FP_NONNULL(1, 2);

void watch_shrink(struct watchers *watchers, const struct shrinking *shrinking,
                  uint64_t held_bytes) FP_NONNULL(1, 2);

#endif
