/* SPDX-License-Identifier: BSD-3-Clause
 * dispatcher - what one worker carries requests out with. */
#ifndef FARPAGE_SERVER_DISPATCHER_H
#define FARPAGE_SERVER_DISPATCHER_H
#include "server/shared.h"

struct dispatcher { /* one per worker, used by its thread only */
    struct shared *shared;
    struct worker_counters *counters;
    struct store_scratch *scratch; /* its now_ms is that of the callback under way */
    uint32_t more_pages; /* that batches did beyond one a step, in the turn of a connection */
};

#endif
