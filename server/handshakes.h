/* SPDX-License-Identifier: BSD-3-Clause
 * handshakes - of TLS, one after the other. Each costs a millisecond or several of public-key
 * arithmetic, and a thousand may come at once: so they queue, and between two of them everything
 * else that the worker has to do gets its turn. Requests of those who are in never wait for more
 * than one; those who come wait for those who came before.
 *
 * Threads: the worker's. Blocks: never.
 */
#ifndef FARPAGE_SERVER_HANDSHAKES_H
#define FARPAGE_SERVER_HANDSHAKES_H
#include <stdbool.h>

#include "base/attrs.h"

struct event;
struct event_base;

struct handshake { /* within a connection; zero: not queued */
    struct handshake *next, *prev;
    bool queued;
    void (*go_on)(void *connection); /* may end the connection */
    void *connection;
};

struct handshakes { /* of a worker */
    struct handshake *first, *last;
    struct event *turn;
};

bool handshakes_init(struct handshakes *handshakes, struct event_base *base)
    FP_MUST_CHECK FP_NONNULL(1, 2);
void handshakes_fini(struct handshakes *handshakes) FP_NONNULL(1); /* none is queued */

/* Calls go_on once, in a moment, unless it leaves before. Until then nothing else should. */
void handshakes_queue(struct handshakes *handshakes, struct handshake *handshake)
    FP_NONNULL(1, 2);
void handshakes_leave(struct handshakes *handshakes, struct handshake *handshake)
    FP_NONNULL(1, 2);

#endif
