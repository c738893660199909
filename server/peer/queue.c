/* SPDX-License-Identifier: BSD-3-Clause */
#include "server/peer/queue.h"

#include <event2/event.h>

#include "base/check.h"
#include "base/clock.h"

static const struct timeval at_once = {0, 0};

static struct queued *take_first(struct queue *queue)
{
    struct queued *first = queue->first;
    if (first != NULL) queue_leave(queue, first);
    return first;
}

/* A timer of no time is looked at once in each round of the loop: all that has arrived meanwhile
 * comes between two turns. */
static void on_turn(evutil_socket_t fd, short what, void *opaque)
{
    (void)fd, (void)what;
    struct queue *queue = opaque;
    uint64_t end_ns = clock_monotonic_ns() + queue->turn_ns_max;
    struct queued *next;
    while ((next = take_first(queue)) != NULL) {
        next->go_on(next->connection);
        if (clock_monotonic_ns() >= end_ns) break;
    }
    if (queue->first != NULL) (void)event_add(queue->turn, &at_once);
}

bool queue_init(struct queue *queue, struct event_base *base, uint64_t turn_ns_max)
{
    *queue = (struct queue){.turn = event_new(base, -1, 0, on_turn, queue),
                            .turn_ns_max = turn_ns_max};
    return queue->turn != NULL;
}

void queue_fini(struct queue *queue)
{
    fp_assert(queue->first == NULL);
    if (queue->turn != NULL) event_free(queue->turn);
    queue->turn = NULL;
}

void queue_join(struct queue *queue, struct queued *queued)
{
    if (queued->waits) return;
    queued->waits = true;
    queued->next = NULL;
    queued->prev = queue->last;
    if (queued->prev != NULL) queued->prev->next = queued;
    else queue->first = queued;
    queue->last = queued;
    if (queue->first == queued) (void)event_add(queue->turn, &at_once);
}

void queue_leave(struct queue *queue, struct queued *queued)
{
    if (!queued->waits) return;
    queued->waits = false;
    if (queued->prev != NULL) queued->prev->next = queued->next;
    else queue->first = queued->next;
    if (queued->next != NULL) queued->next->prev = queued->prev;
    else queue->last = queued->prev;
}
