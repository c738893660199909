/* SPDX-License-Identifier: BSD-3-Clause
 * conn_spill - a connection's requests that wait for pages from the file below memory.
 *
 * A LOAD is parked: the requests behind it go on, and it is answered when its page has come. All
 * others are waited for where they are (struct conn's `spill`), and the connection with them.
 *
 * Threads: the connection's worker only. */
#ifndef FARPAGE_SERVER_CONN_SPILL_H
#define FARPAGE_SERVER_CONN_SPILL_H
#include "protocol/frame.h"
#include "server/spill/spilled.h"

enum { CONN_PARKED_MAX = 64 };

struct conn;
struct parked;

struct conn_parked { /* zeros: none */
    struct parked *first;
    uint32_t count;
};

/* Parks the LOAD for which something was asked. False: too many are, or there is no memory. */
bool conn_park(struct conn *conn, const struct frame *frame) FP_MUST_CHECK FP_NONNULL(1, 2);
/* Nobody waits for them any more. */
void conn_parked_drop(struct conn *conn) FP_NONNULL(1);

/* Has what was asked read, for the request that is at the front of the input. */
void conn_await(struct conn *conn) FP_NONNULL(1);

#endif
