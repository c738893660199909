/* SPDX-License-Identifier: BSD-3-Clause
 * conn - one client's socket: bytes in, requests out to dispatch, replies back.
 *
 * Threads: the worker's only. A connection ends itself (and frees itself) when the client leaves,
 *          breaks the framing or is too slow; after any call here it may be gone.
 */
#ifndef FARPAGE_SERVER_CONN_H
#define FARPAGE_SERVER_CONN_H
#include "server/worker.h"

/* Starts serving. Takes over fd; on failure it is closed and the connection counted out. */
void conn_open(struct worker *worker, const struct arrival *arrival) FP_NONNULL(1, 2);

/* Ends it now, or (drain) as soon as what is written has been sent. */
void conn_stop(struct conn *conn, bool drain) FP_NONNULL(1);

/* Ends it if it has used up one of its timeouts. */
void conn_sweep(struct conn *conn) FP_NONNULL(1);

struct conn *conn_next(const struct conn *conn) FP_NONNULL(1); /* the next of its worker */

#endif
