/* SPDX-License-Identifier: BSD-3-Clause
 * conns - the register of open connections: how many there are, and what `stats conns` shows.
 *
 * A connection's row lives inside the connection. The register links the rows; what changes while
 * the connection lives is atomic.
 *
 * Threads: any. Locks: RANK_CONNS.
 */
#ifndef FARPAGE_SERVER_CONNS_H
#define FARPAGE_SERVER_CONNS_H
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/attrs.h"
#include "base/lock.h"

enum { CONN_ADDRESS_BYTES = 128 };

#define CONN_STATES(X)                                                                             \
    X(CONN_IDLE, "conn_waiting", "no request is under way")                                        \
    X(CONN_READING, "conn_read", "a request has begun and is not complete")                        \
    X(CONN_WRITING, "conn_write", "a reply waits for the client to read it")                       \
    X(CONN_SWALLOWING, "conn_swallow", "a value that was refused is read and dropped")         \
    X(CONN_WATCHING, "conn_watch", "it watches: it is told, and asks nothing any more")

enum conn_state {
#define X(state, name, meaning) state,
    CONN_STATES(X)
#undef X
};

enum conn_dialect { DIALECT_UNKNOWN, DIALECT_TEXT, DIALECT_FRAMES, DIALECT_NBD };

struct conn_row {
    struct conn_row *next, *prev; /* guarded by the register's lock, as is membership */
    int fd;
    char peer[CONN_ADDRESS_BYTES];     /* "tcp:127.0.0.1:51712", "unix:pid=123,uid=0" */
    char listener[CONN_ADDRESS_BYTES]; /* where it came in */
    _Atomic int state, dialect;
    _Atomic uint64_t active_ns; /* monotonic: when it last asked something */
    _Atomic uint64_t bytes_in, bytes_out, pending_bytes;
    _Atomic uint64_t areas; /* open */
    _Atomic uint8_t tenant; /* whose it is; its worker writes it (tenancy.h) */
    _Atomic bool noticed;   /* there is something to be told that the client did not ask for */
    uint64_t opened_ns;
    _Atomic uint64_t maps, mapped_bytes; /* what it has mapped, sent or not */
    _Atomic uint64_t oldest_map_ms;      /* store time, of what is mapped longest; 0: nothing is */
};

struct conns {
    struct lock lock;
    struct conn_row *first;
    _Atomic uint32_t count;
    _Atomic uint64_t accepted, rejected;
};

void conns_init(struct conns *conns) FP_NONNULL(1);
void conns_fini(struct conns *conns) FP_NONNULL(1); /* none is left */

/* Counts a connection in; false where max would be passed: then it counts as rejected. */
bool conns_admit(struct conns *conns, uint32_t max) FP_MUST_CHECK FP_NONNULL(1);
void conns_dismiss(struct conns *conns) FP_NONNULL(1); /* the mirror of admit */

void conns_link(struct conns *conns, struct conn_row *row) FP_NONNULL(1, 2);
void conns_unlink(struct conns *conns, struct conn_row *row) FP_NONNULL(1, 2);

/* Calls `each` for every row with the register locked: it must be quick and take no lock. */
void conns_each(struct conns *conns, void (*each)(void *context, const struct conn_row *row),
                void *context) FP_NONNULL(1, 2);

bool conn_row_is_local(const struct conn_row *row) FP_NONNULL(1); /* it is of this machine */

const char *conn_state_name(enum conn_state state);
const char *conn_dialect_name(int dialect); /* "frames" */

#endif
