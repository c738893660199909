/* SPDX-License-Identifier: BSD-3-Clause
 * queue - connections that go one after the other; between two of them everything else that the
 * worker has to do gets its turn. A worker has two:
 *
 *   handshakes of TLS. Each costs a millisecond or several of public-key arithmetic, and a thousand
 *              may come at once: requests of those who are in never wait for more than one; those
 *              who come wait for those who came before.
 *   behind     connections of tenants that are ahead of others (turns.h).
 *
 * Threads: the worker's. Blocks: never.
 */
#ifndef FARPAGE_SERVER_QUEUE_H
#define FARPAGE_SERVER_QUEUE_H
#include <stdbool.h>
#include <stdint.h>

#include "base/attrs.h"

struct event;
struct event_base;

struct queued { /* within a connection; zero: not in the queue */
    struct queued *next, *prev;
    bool waits;
    void (*go_on)(void *connection); /* may end the connection */
    void *connection;
};

struct queue { /* of a worker */
    struct queued *first, *last;
    struct event *turn;
    uint64_t turn_ns_max; /* a turn takes one, and others while they are cheap */
};

bool queue_init(struct queue *queue, struct event_base *base, uint64_t turn_ns_max)
    FP_MUST_CHECK FP_NONNULL(1, 2);
void queue_fini(struct queue *queue) FP_NONNULL(1); /* nobody waits */

/* Calls go_on once, in a moment, unless it leaves before. Until then nothing else should. */
void queue_join(struct queue *queue, struct queued *queued) FP_NONNULL(1, 2);
void queue_leave(struct queue *queue, struct queued *queued) FP_NONNULL(1, 2);

#endif
