/* SPDX-License-Identifier: BSD-3-Clause
 * dispatch_await - what a request for an item does that finds its value in the file below memory:
 * it asks for it and is given again (DISPATCH_WAIT). What was read is then in scratch->arrived, or
 * the item is in memory; one that could not be read is gone, and a miss.
 *
 * Threads: the connection's worker. Blocks: never.
 */
#ifndef FARPAGE_SERVER_DISPATCH_AWAIT_H
#define FARPAGE_SERVER_DISPATCH_AWAIT_H
#include "server/dispatch/dispatch.h"

/* Of an item to which the caller has a reference. A long one is brought back whole. */
enum spill_item dispatch_ask_item(struct dispatcher *dispatcher, struct item *item)
    FP_NONNULL(1, 2);
/* The same ahead of its turn, where not too much is asked for already; it is no use. */
void dispatch_ask_ahead(struct dispatcher *dispatcher, struct slice key) FP_NONNULL(1);
/* Of a key whose item said FP_SPILLED, to have it in memory. False: there is no memory to ask for
 * it. Else answer *result. */
bool dispatch_await_key(struct dispatcher *dispatcher, struct slice key, enum dispatch *result)
    FP_MUST_CHECK FP_NONNULL(1, 3);

/* A request that stores: it may be told to come again (FP_LATER, then dispatch_later). */
static inline void dispatch_may_wait(struct dispatcher *dispatcher, bool may)
{
    dispatcher->scratch->may_wait = may;
}

#endif
