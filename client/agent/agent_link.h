/* SPDX-License-Identifier: BSD-3-Clause
 * agent_link - the pager's end of the ring that it shares with one agent.
 *
 *     agent_link_order ... -> agent_link_give -> (the agent works) -> agent_link_done ...
 *
 * Threads: one, but for agent_link_open. Blocks: never. What the program writes into the ring is
 * not believed: results are told within the bounds of what was ordered.
 */
#ifndef FARPAGE_CLIENT_AGENT_AGENT_LINK_H
#define FARPAGE_CLIENT_AGENT_AGENT_LINK_H
#include <stdbool.h>
#include <stdint.h>

#include "base/attrs.h"
#include "client/agent/agent_door.h"
#include "client/agent/agent_wire.h"

struct agent_link {
    struct agent_ring *ring;
    int socket; /* hangs up when the process ends or becomes another program */
    int bell;   /* readable: something is done, or asked */
    uint32_t written, given, done;
    uint32_t wished; /* the last ask that was taken */
    struct agent_order orders[AGENT_ORDERS]; /* as they were given */
};

/* What a thread of the program asks and waits for. */
struct agent_wish {
    enum agent_ask_kind kind;
    uint32_t fork;
    uint64_t from, bytes; /* of MAPPED; the program's word */
};

/* Makes the ring, welcomes the guest and takes his socket over; `uffd` (-1: he has one) is a forked
 * child's and stays the caller's. 0, or an errno, when the guest is still the caller's. */
int agent_link_open(struct agent_link *link, struct agent_guest *guest, uint64_t id, int uffd)
    FP_MUST_CHECK FP_NONNULL(1, 2);
void agent_link_close(struct agent_link *link) FP_NONNULL(1);

/* The agent's thread runs. Before, an order might take a page that is needed to start it. */
bool agent_link_begun(const struct agent_link *link) FP_MUST_CHECK FP_NONNULL(1);

/* The next order, to be filled, or NULL where the ring is full. */
struct agent_order *agent_link_order(struct agent_link *link) FP_NONNULL(1);

/* Those that were filled are the agent's now. */
void agent_link_give(struct agent_link *link) FP_NONNULL(1);

/* Orders that were filled and are not done. */
uint32_t agent_link_under_way(const struct agent_link *link) FP_NONNULL(1);

/* The oldest order, if it is done: what was wanted as it was given, what was done and the error as
 * the agent says. False: it is not done, or there is none. */
bool agent_link_done(struct agent_link *link, struct agent_order *order)
    FP_MUST_CHECK FP_NONNULL(1, 2);

/* Before the caller sleeps until the bell is readable. False: do not sleep, an order is done. */
bool agent_link_listen(struct agent_link *link) FP_MUST_CHECK FP_NONNULL(1);
void agent_link_hush(struct agent_link *link) FP_NONNULL(1); /* empties the bell */

/* What is asked, once; it waits until it is answered. False: nothing new. */
bool agent_link_wish(struct agent_link *link, struct agent_wish *wish)
    FP_MUST_CHECK FP_NONNULL(1, 2);
void agent_link_answer(struct agent_link *link) FP_NONNULL(1);

/* Mappings of at least so many pages are to be asked for from now on; 0: none. */
void agent_link_announce(struct agent_link *link, uint32_t pages) FP_NONNULL(1);

#endif
