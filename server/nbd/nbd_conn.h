/* SPDX-License-Identifier: BSD-3-Clause
 * nbd_conn - one client of a network block device: its socket, from the greeting to the end.
 *
 * Threads: the worker's only. A connection ends itself (and frees itself) when the client leaves,
 *          breaks the framing or is too slow; after any call here it may be gone.
 */
#ifndef FARPAGE_SERVER_NBD_CONN_H
#define FARPAGE_SERVER_NBD_CONN_H
#include "server/worker.h"

/* Greets. Takes over arrival->fd; on failure it is closed and the connection counted out. */
void nbd_conn_open(struct worker *worker, const struct arrival *arrival) FP_NONNULL(1, 2);

/* Ends it now, or (drain) when what was asked is answered: what is asked from now on is refused
 * with ESHUTDOWN. */
void nbd_conn_stop(struct nbd_conn *conn, bool drain) FP_NONNULL(1);

/* Ends it if it has used up one of its timeouts. */
void nbd_conn_sweep(struct nbd_conn *conn) FP_NONNULL(1);

struct nbd_conn *nbd_conn_next(const struct nbd_conn *conn) FP_NONNULL(1); /* of its worker */

#endif
