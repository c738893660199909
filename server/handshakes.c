/* SPDX-License-Identifier: BSD-3-Clause */
#include "server/handshakes.h"

#include <event2/event.h>

#include "base/check.h"
#include "base/clock.h"

enum { TURN_NS_MAX = 1000000 }; /* a turn takes one, and others while they are cheap */

static const struct timeval at_once = {0, 0};

static struct handshake *take_first(struct handshakes *handshakes)
{
    struct handshake *first = handshakes->first;
    if (first != NULL) handshakes_leave(handshakes, first);
    return first;
}

/* A timer of no time is looked at once in each round of the loop: all that has arrived meanwhile
 * comes between two turns. */
static void on_turn(evutil_socket_t fd, short what, void *opaque)
{
    (void)fd, (void)what;
    struct handshakes *handshakes = opaque;
    uint64_t end_ns = clock_monotonic_ns() + TURN_NS_MAX;
    struct handshake *next;
    while ((next = take_first(handshakes)) != NULL) {
        next->go_on(next->connection);
        if (clock_monotonic_ns() >= end_ns) break;
    }
    if (handshakes->first != NULL) (void)event_add(handshakes->turn, &at_once);
}

bool handshakes_init(struct handshakes *handshakes, struct event_base *base)
{
    *handshakes = (struct handshakes){.turn = event_new(base, -1, 0, on_turn, handshakes)};
    return handshakes->turn != NULL;
}

void handshakes_fini(struct handshakes *handshakes)
{
    fp_assert(handshakes->first == NULL);
    if (handshakes->turn != NULL) event_free(handshakes->turn);
    handshakes->turn = NULL;
}

void handshakes_queue(struct handshakes *handshakes, struct handshake *handshake)
{
    if (handshake->queued) return;
    handshake->queued = true;
    handshake->next = NULL;
    handshake->prev = handshakes->last;
    if (handshake->prev != NULL) handshake->prev->next = handshake;
    else handshakes->first = handshake;
    handshakes->last = handshake;
    if (handshakes->first == handshake) (void)event_add(handshakes->turn, &at_once);
}

void handshakes_leave(struct handshakes *handshakes, struct handshake *handshake)
{
    if (!handshake->queued) return;
    handshake->queued = false;
    if (handshake->prev != NULL) handshake->prev->next = handshake->next;
    else handshakes->first = handshake->next;
    if (handshake->next != NULL) handshake->next->prev = handshake->prev;
    else handshakes->last = handshake->prev;
}
