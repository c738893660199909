/* SPDX-License-Identifier: BSD-3-Clause
 * dispatcher - what one worker carries requests out with. */
#ifndef FARPAGE_SERVER_DISPATCHER_H
#define FARPAGE_SERVER_DISPATCHER_H
#include "server/measure/latency.h"
#include "server/shared.h"
#include "server/spill/spilled.h"

struct dispatcher { /* one per worker, used by its thread only */
    struct shared *shared;
    struct worker_counters *counters;
    struct latencies *latencies;
    enum operation operation; /* of which a step was carried out last, or OPERATION_NONE */
    struct store_scratch *scratch; /* its now_ms is that of the callback under way */
    struct spill_asked asked; /* by the request under way, which then has to wait */
    int caller_fd; /* of the connection whose text request is carried out */
    uint32_t more_pages; /* that batches did beyond one a step, in the turn of a connection */
    uint64_t unix_ahead_ms; /* the date, less store time */
};

/* Tells the storage what time it is. */
static inline void dispatcher_tick(struct dispatcher *dispatcher, uint64_t now_ns)
{
    struct store_scratch *scratch = dispatcher->scratch;
    scratch->now_ms = shared_store_ms(dispatcher->shared, now_ns);
    scratch->unix_s = (dispatcher->unix_ahead_ms + scratch->now_ms) / 1000;
}

#endif
