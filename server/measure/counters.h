/* SPDX-License-Identifier: BSD-3-Clause
 * counters - what each worker counts; the names are those of `stats`.
 *
 * Each worker writes its own set and nobody else's, so a count is a plain load and store; readers
 * add the sets up. Only ever growing: `stats reset` remembers the sums instead of clearing them.
 */
#ifndef FARPAGE_SERVER_COUNTERS_H
#define FARPAGE_SERVER_COUNTERS_H
#include <stdatomic.h>
#include <stdint.h>

#include "base/attrs.h"

/* X(name, meaning): in the order of plain `stats`. farpage_ marks what memcached does not have. */
#define WORKER_COUNTERS(X)                                                                         \
    X(cmd_get, "keys asked for by get, gets and mg")                                               \
    X(cmd_set, "values sent to be stored")                                                         \
    X(cmd_flush, "flush_all requests")                                                             \
    X(cmd_touch, "keys touched, by gat too, which is no get")                                      \
    X(cmd_meta, "me requests, which look at an item")                                              \
    X(get_hits, "keys found")                                                                      \
    X(get_misses, "keys not found")                                                                \
    X(delete_misses, "keys to delete that were not there")                                         \
    X(delete_hits, "keys deleted")                                                                 \
    X(incr_misses, "incr of keys that were not there")                                             \
    X(incr_hits, "incr done")                                                                      \
    X(decr_misses, "decr of keys that were not there")                                             \
    X(decr_hits, "decr done")                                                                      \
    X(cas_misses, "cas of keys that were not there")                                               \
    X(cas_hits, "cas stored")                                                                      \
    X(cas_badval, "cas refused because the value had changed")                                     \
    X(touch_hits, "keys touched that were there")                                                  \
    X(touch_misses, "keys touched that were not there")                                            \
    X(store_too_large, "values refused because of storage.item_size_max")                          \
    X(store_no_memory, "values refused because memory was full")                                   \
    X(farpage_values_cut, "connections closed because the rest of a value was damaged")            \
    X(bytes_read, "bytes received")                                                                \
    X(bytes_written, "bytes sent")                                                                 \
    X(conn_yields, "times a connection had to let others go first")                                \
    X(idle_kicks, "closed by server.idle_timeout or server.first_request_timeout")                 \
    X(total_connections, "connections accepted")                                                   \
    X(farpage_slow_kicks, "closed by server.request_timeout or server.login_timeout")              \
    X(auth_cmds, "attempts to authenticate")                                                       \
    X(auth_errors, "attempts to authenticate that failed, and requests of who had not")            \
    X(ssl_handshake_errors, "connections closed because TLS could not be agreed on")               \
    X(farpage_tls_handshakes, "connections over TLS")                                              \
    X(farpage_protocol_errors, "connections closed because framing was lost")                      \
    X(farpage_page_stores, "pages stored")                                                         \
    X(farpage_page_loads, "pages loaded")                                                          \
    X(farpage_page_absent, "loads of slots that hold nothing")                                     \
    X(farpage_page_invalidations, "invalidate requests")                                           \
    X(farpage_page_refused, "stores of pages refused because memory was full")                     \
    X(farpage_batches, "batches of stores, loads or invalidations")                                \
    X(farpage_packed_stores, "pages stored as a client packed them")                               \
    X(farpage_packed_loads, "pages given to a client as they are packed")                          \
    X(farpage_packed_saved_bytes, "bytes of pages that did not travel for it")                     \
    X(farpage_maps_made, "maps of pages and items")                                                \
    X(farpage_maps_busy, "maps refused because another wrote")                                     \
    X(farpage_maps_refused, "maps refused because of a limit or for want of memory")               \
    X(farpage_maps_expired, "maps that ended because of session.map_lease")                        \
    X(farpage_maps_published, "unmaps that stored what was written")                               \
    X(farpage_maps_changed, "unmaps of writers that stored nothing because it had changed")

enum worker_counter {
#define X(name, meaning) COUNTER_##name,
    WORKER_COUNTERS(X)
#undef X
    WORKER_COUNTERS_COUNT
};

struct worker_counters {
    _Atomic uint64_t values[WORKER_COUNTERS_COUNT];
    _Atomic uint64_t beat_ns; /* monotonic: when the worker's loop last turned; 0: not yet */
} __attribute__((aligned(64)));

static inline void counter_add(struct worker_counters *counters, enum worker_counter which,
                               uint64_t delta)
{
    uint64_t value = atomic_load_explicit(&counters->values[which], memory_order_relaxed);
    atomic_store_explicit(&counters->values[which], value + delta, memory_order_relaxed);
}

#endif
