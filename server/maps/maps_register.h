/* SPDX-License-Identifier: BSD-3-Clause
 * maps_register - what all sessions have mapped: for `stats maps`, for the limit on all of it, and
 * to say who keeps a writer out.
 *
 * A row lives inside its session's map; the register links the rows, oldest first.
 *
 * Threads: any. Locks: RANK_MAPS.
 */
#ifndef FARPAGE_SERVER_MAPS_REGISTER_H
#define FARPAGE_SERVER_MAPS_REGISTER_H
#include <stdatomic.h>

#include "base/lock.h"
#include "server/peer/conns.h"
#include "storage/store/map/store_map.h"

struct maps_row {
    struct maps_row *older, *newer; /* guarded by the register's lock, as is membership */
    uint64_t number;                /* among all of this run of the server */
    const struct conn_row *conn;    /* whose; outlives the row */
    uint64_t id;                    /* what that client calls it */
    const struct store_map *map;
    uint64_t made_ms, lease_ms;     /* store time; lease_ms 0: none */
    _Atomic uint64_t used_ms;
    _Atomic bool unmapped;          /* and still being sent */
};

struct maps_register {
    struct lock lock;
    struct maps_row *oldest, *newest;
    uint64_t count, last_number;
    _Atomic uint64_t bytes; /* mapped */
};

void maps_register_init(struct maps_register *maps) FP_NONNULL(1);
void maps_register_fini(struct maps_register *maps) FP_NONNULL(1); /* none is left */

/* Counts bytes in; false where max would be passed. */
bool maps_register_reserve(struct maps_register *maps, uint64_t bytes, uint64_t max)
    FP_MUST_CHECK FP_NONNULL(1);
void maps_register_unreserve(struct maps_register *maps, uint64_t bytes) FP_NONNULL(1);

/* Links a filled row, but for its number. */
void maps_register_link(struct maps_register *maps, struct maps_row *row) FP_NONNULL(1, 2);
void maps_register_unlink(struct maps_register *maps, struct maps_row *row) FP_NONNULL(1, 2);

uint64_t maps_register_count(struct maps_register *maps) FP_NONNULL(1);

/* Calls `each` for the oldest `max` rows with the register locked: it must be quick and take no
 * lock. Returns how many rows there are. */
uint64_t maps_register_each(struct maps_register *maps, uint64_t max,
                            void (*each)(void *context, const struct maps_row *row), void *context)
    FP_NONNULL(1, 3);

struct maps_writer_text {
    char bytes[CONN_ADDRESS_BYTES + 64];
};
/* "tcp:127.0.0.1:51712 writes it for 3 s now", who has the slot mapped to write it. False: nobody
 * has any more. */
bool maps_register_writer(struct maps_register *maps, struct page_place place, uint64_t now_ms,
                          struct maps_writer_text *text) FP_MUST_CHECK FP_NONNULL(1, 4);

#endif
