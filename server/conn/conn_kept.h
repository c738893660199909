/* SPDX-License-Identifier: BSD-3-Clause
 * conn_kept - input left over: the beginning of a request whose rest has not arrived, in memory of
 * its own, charged as BUDGET_CONNECTIONS. Idle connections keep nothing.
 *
 * Threads: the connection's worker. */
#ifndef FARPAGE_SERVER_CONN_KEPT_H
#define FARPAGE_SERVER_CONN_KEPT_H
#include "base/attrs.h"
#include "base/slice.h"
#include "server/dispatch/dispatch.h"

struct kept {
    uint8_t *bytes;
    size_t size_bytes, capacity_bytes;
};

struct kept_room { /* how much is wanted */
    size_t capacity_bytes;
    size_t always_bytes; /* so many are kept also when memory is full */
    bool anyway;         /* and however many these are: they have arrived already */
};

/* Makes room for so many bytes in all; items give way for them. False: there is no memory. */
bool kept_grow(struct kept *kept, struct dispatcher *dispatcher, const struct kept_room *room)
    FP_MUST_CHECK FP_NONNULL(1, 2, 3);

/* Keeps these, which may lie in it already, in the place of what was kept; none: as kept_drop. */
bool kept_set(struct kept *kept, struct dispatcher *dispatcher, struct slice bytes,
              const struct kept_room *room) FP_MUST_CHECK FP_NONNULL(1, 2, 4);

void kept_drop(struct kept *kept, struct dispatcher *dispatcher) FP_NONNULL(1, 2);

static inline struct slice kept_slice(const struct kept *kept)
{
    return slice_of(kept->bytes, kept->size_bytes);
}

#endif
