/* SPDX-License-Identifier: BSD-3-Clause
 * maps - what one session has mapped, by number: limits, leases, and bytes on their way out.
 *
 * Life of a map:  none -(make)-> mapped -(publish, discard, lease, session ends)-> unmapped
 *                 -(the last byte it has lent is sent, or the output ends)-> none
 * A number is never used again in a session. That of a map whose lease has ended is answered once
 * with MAPS_EXPIRED, and unknown after.
 *
 * Threads: the session's worker. Blocks: never. Locks: enter holding none.
 */
#ifndef FARPAGE_SERVER_MAPS_H
#define FARPAGE_SERVER_MAPS_H
#include "server/dispatcher.h"
#include "server/maps/maps_register.h"
#include "server/peer/output.h"

/* X(answer, text): what dispatch_map.c answers in text; in frames see dispatch_map_page.c. */
#define MAPS_ANSWERS(X)                                                                            \
    X(MAPS_DONE)                                                                                   \
    X(MAPS_ABSENT)           /* nothing is there to be mapped */                                   \
    X(MAPS_BUSY)             /* another writes */                                                  \
    X(MAPS_CORRUPT)                                                                                \
    X(MAPS_NO_MEMORY)        /* nothing has changed */                                             \
    X(MAPS_SPILLED)          /* it has to be read from the file below memory first */              \
    X(MAPS_OUTSIDE)          /* no such slot; or not within what is mapped */                      \
    X(MAPS_TOO_MANY)         /* session.maps_max */                                                \
    X(MAPS_TOO_MUCH)         /* session.mapped_max */                                              \
    X(MAPS_TOO_MUCH_IN_ALL)  /* session.mapped_total_max */                                        \
    X(MAPS_LEASE)            /* longer than session.map_lease */                                   \
    X(MAPS_UNKNOWN)          /* no such number */                                                  \
    X(MAPS_EXPIRED)                                                                                \
    X(MAPS_MODE)             /* not in this mode */                                                \
    X(MAPS_CHANGED)          /* not what was mapped any more: nothing was stored */                \
    X(MAPS_QUOTA)            /* the area's; nothing has changed */                                 \
    X(MAPS_FROZEN)           /* the area's stores wait; nothing has changed */                     \
    X(MAPS_LOST)             /* the area is deleted */                                             \
    X(MAPS_MOVED)            /* or elsewhere */

enum maps_answer {
#define X(answer) answer,
    MAPS_ANSWERS(X)
#undef X
};

struct maps;
struct maps_map { /* to be looked at */
    struct maps_row row;
    struct store_map *map;
    /* private to maps.c */
    struct maps *maps;
    uint64_t uses; /* the session's, and one for each lending under way */
};

struct maps_entry {
    uint64_t id;
    struct maps_map *map; /* NULL: its lease has ended, and nobody has been told */
};

struct maps { /* embedded in a session; private to maps.c */
    struct dispatcher *dispatcher;
    struct conn_row *conn;
    struct maps_entry *entries; /* by id, which only grows */
    uint32_t count, capacity, expired_count;
    uint64_t last_id;
    uint64_t held_count, held_bytes; /* unmapped ones that are being sent included */
};

void maps_init(struct maps *maps, struct dispatcher *dispatcher, struct conn_row *conn)
    FP_NONNULL(1, 2, 3);
/* Unmaps all; what was written is gone. What is being sent is held until the output has ended. */
void maps_unmap_all(struct maps *maps) FP_NONNULL(1);
void maps_fini(struct maps *maps) FP_NONNULL(1); /* after that; nothing is held any more */

struct maps_ask {
    enum map_mode mode;
    uint32_t lease_s;        /* 0: session.map_lease */
    struct slice key;        /* of an item, where area is NULL */
    struct page_place place; /* of a page */
};
enum maps_answer maps_make(struct maps *maps, const struct maps_ask *ask, struct maps_map **map)
    FP_MUST_CHECK FP_NONNULL(1, 2, 3);

/* The map of that number, whose lease begins anew. */
enum maps_answer maps_find(struct maps *maps, uint64_t id, struct maps_map **map)
    FP_MUST_CHECK FP_NONNULL(1, 3);

/* Looks whether the bytes can be read, and extends *crc (NULL: nobody asks) by them. */
enum maps_answer maps_look(struct maps_map *map, uint64_t offset, uint64_t bytes, uint32_t *crc)
    FP_MUST_CHECK FP_NONNULL(1);
/* Sends bytes that were looked at: as they lie, without a copy, where they will stay so. */
void maps_send(struct maps_map *map, uint64_t offset, uint64_t bytes, struct output *output)
    FP_NONNULL(1, 4);
enum maps_answer maps_may_write(const struct maps_map *map, uint64_t offset, uint64_t bytes)
    FP_MUST_CHECK FP_NONNULL(1);
enum maps_answer maps_write(struct maps_map *map, uint64_t offset, struct slice bytes)
    FP_MUST_CHECK FP_NONNULL(1);

/* Ends the map with MAPS_DONE, MAPS_CHANGED, MAPS_LOST and MAPS_MOVED; after any other answer it is
 * as it was. */
enum maps_answer maps_publish(struct maps_map *map) FP_MUST_CHECK FP_NONNULL(1);
void maps_discard(struct maps_map *map) FP_NONNULL(1);

/* Calls `each` for what is mapped, by id. */
void maps_each(const struct maps *maps, void (*each)(void *context, const struct maps_map *map),
               void *context) FP_NONNULL(1, 2);

/* Ends what was not used for its lease; now and then. */
void maps_sweep(struct maps *maps) FP_NONNULL(1);

#endif
