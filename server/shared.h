/* SPDX-License-Identifier: BSD-3-Clause
 * shared - what all workers and the main thread have in common. Made and ended by server.c; each
 * member guards itself. */
#ifndef FARPAGE_SERVER_SHARED_H
#define FARPAGE_SERVER_SHARED_H
#include <stdatomic.h>
#include <stdint.h>

#include "base/log.h"
#include "base/log_gate.h"
#include "protocol/frame.h"
#include "server/jobs/compaction.h"
#include "server/peer/conns.h"
#include "server/measure/counters.h"
#include "server/door/credentials.h"
#include "server/exports/exports.h"
#include "server/measure/http_counts.h"
#include "server/measure/latency.h"
#include "server/peer/openers.h"
#include "server/options.h"
#include "server/measure/prefixes.h"
#include "server/memory/pressure.h"
#include "server/maps/maps_register.h"
#include "server/jobs/recompression.h"
#include "server/jobs/scrub.h"
#include "server/measure/snapshot_counts.h"
#include "server/settings.h"
#include "server/memory/shrinking.h"
#include "server/spill/spill_state.h"
#include "server/watch/watch.h"
#include "storage/store/store.h"

enum { WORKERS_MAX = 256 };

/* Lines that strangers can make the server write. */
enum gate {
    GATE_LOST, GATE_BINARY, GATE_TLS, GATE_LOGIN, GATE_SLOW, GATE_EXPORT, GATE_HTTP,
    GATE_OPERATION, GATE_SENDING, GATE_SPILL, GATES
};

struct trainer;
struct spill_reads;

/* What reloads came to, for who watches the server. */
struct reload_result {
    _Atomic bool good;         /* the last one, or the start */
    _Atomic uint64_t good_ns;  /* Unix time of the last good one, or of the start */
    _Atomic uint64_t count, refused;
};

/* What `debugtime` has done to store time; builds without debug hooks never change it. */
struct debug_clock {
    _Atomic int64_t shift_ms;
    _Atomic uint64_t paused_ms; /* 0: it runs */
};

struct shared_before { /* what was counted at the last stats reset */
    _Atomic uint64_t workers[WORKER_COUNTERS_COUNT];
    struct store_counters store;
    _Atomic uint64_t rejected, listen_pauses, lines_sent, lines_skipped;
};

struct shared {
    struct log *log;
    struct store *store;
    struct settings settings;
    struct conns conns;
    struct credentials credentials;
    struct log_gate gates[GATES];
    struct openers openers;
    struct exports exports;
    struct maps_register maps;
    struct watchers watchers;
    struct prefixes prefixes;
    struct compaction compaction;
    struct trainer *trainer;              /* of dictionaries */
    struct recompression recompression;
    struct scrub scrub;
    struct snapshot_counts snapshots;
    struct shrinking shrinking;
    struct pressure pressure;
    _Atomic uint64_t limit_bytes; /* of memory, before what pressure takes of it (memory_limit.h) */
    struct spill_state spill;
    struct spill_reads *spill_reads;      /* NULL: there is no file below memory */
    uint8_t boot_id[FRAME_BOOT_ID_BYTES]; /* random at every start */
    uint64_t started_ns;                  /* monotonic */
    uint64_t restored_generation;         /* areas up to it are from the run before; 0: none */
    _Atomic bool started;                 /* all is there, and clients may come */
    struct http_counts http;
    struct reload_result reloads;
    const struct options *options; /* what the program was started with */
    _Atomic bool changing;         /* the configuration is */
    struct debug_clock debug_clock;
    _Atomic uint64_t stop_deadline_ns;    /* monotonic: replies are waited for no longer */
    _Atomic uint64_t listen_pauses;       /* times accepting had to stop for want of descriptors */
    uint32_t worker_count;
    struct worker_counters *counters;     /* worker_count of them, */
    struct latencies *latencies;          /* as these */
    struct shared_before before;
    /* The configuration in force; replaced by a reload, guarded by the lock. */
    struct lock config_lock;
    struct config *config;
};

enum { STORE_STARTS_MS = 2000 }; /* so that "long ago" exists */

/* What store time would be without `debugtime`. */
static inline uint64_t shared_true_ms(const struct shared *shared, uint64_t now_ns)
{
    return STORE_STARTS_MS + (now_ns - shared->started_ns) / 1000000;
}

/* Store time in milliseconds, STORE_STARTS_MS at least. */
static inline uint64_t shared_store_ms(const struct shared *shared, uint64_t now_ns)
{
    uint64_t ms = shared_true_ms(shared, now_ns);
#if FARPAGE_DEBUG_HOOKS
    uint64_t paused_ms = atomic_load(&shared->debug_clock.paused_ms);
    int64_t shifted = (int64_t)(paused_ms != 0 ? paused_ms : ms) +
                      atomic_load(&shared->debug_clock.shift_ms);
    ms = shifted < STORE_STARTS_MS ? STORE_STARTS_MS : (uint64_t)shifted;
#endif
    return ms;
}

/* Somebody may have reset it since `now` was read. */
static inline uint64_t shared_since(uint64_t now, const _Atomic uint64_t *before)
{
    uint64_t then = atomic_load_explicit(before, memory_order_relaxed);
    return now > then ? now - then : 0;
}

/* A counter summed over the workers, since the start. */
static inline uint64_t shared_counted(const struct shared *shared, enum worker_counter which)
{
    uint64_t sum = 0;
    for (uint32_t i = 0; i < shared->worker_count; i++)
        sum += atomic_load_explicit(&shared->counters[i].values[which], memory_order_relaxed);
    return sum;
}

/* The same since the last reset. */
static inline uint64_t shared_counter(const struct shared *shared, enum worker_counter which)
{
    return shared_since(shared_counted(shared, which), &shared->before.workers[which]);
}

#endif
