/* SPDX-License-Identifier: BSD-3-Clause
 * exchange - requests out, replies in, several on the way at once, in whatever order they return.
 *
 * A call sits in a seat from the moment the asker hands it over until its reply is whole:
 *
 *   free --next()--> queued --first byte sent--> on the way --reply--> answered() --> free
 *                                                                        '--again--> queued
 *
 * A tag is the seat's number and a serial, so that a late or doubled reply finds no seat.
 *
 * Every byte that arrives is checked before it is believed: magic, header checksum, tag, opcode,
 * the length its request must bring, the body's checksum. The first that is wrong ends the
 * connection with FARPAGE_PROTOCOL; only a page whose body is damaged costs no more than itself.
 *
 * Threads: the client's. Blocks: until all are answered, or no reply was whole for timeout_ns.
 */
#ifndef FARPAGE_CLIENT_EXCHANGE_H
#define FARPAGE_CLIENT_EXCHANGE_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attrs.h"
#include "base/slice.h"
#include "client/include/farpage.h"
#include "client/reason.h"
#include "client/transport.h"
#include "protocol/frame.h"

enum {
    EXCHANGE_SEAT_BITS = 10,
    EXCHANGE_DEPTH_MAX = 1 << EXCHANGE_SEAT_BITS,
    EXCHANGE_INBOX_BYTES = 256 << 10, /* several of the largest pages in one read */
};

/* A request. The asker sets opcode, slot, area and count of `frame`, the exchange the rest. */
struct call {
    struct frame frame;
    struct slice body;     /* borrowed until answered */
    uint32_t ok_bytes_min; /* of the body that a reply with FRAME_OK brings; */
    uint32_t ok_bytes_max;
    uint32_t refused_bytes_max; /* with FRAME_REFUSED; any other reply brings none */
    void *context;         /* the asker's own */
};

struct answer {
    struct frame frame;
    struct slice body; /* borrowed for the time of the call */
    bool damaged;      /* the body does not match its checksum */
    uint64_t latency_ns;
};

struct asker {
    /* The next request; false when there is none left. */
    bool (*next)(void *context, struct call *call);
    /* True: send the same call again, as it is now. */
    bool (*answered)(void *context, struct call *call, const struct answer *answer);
    void *context;
};

struct seat;

/* Kept from run to run: the seats, and bytes that came and are not used up yet. */
struct exchange {
    struct seat *seats; /* owned; grown to the deepest run so far */
    uint32_t seat_count;
    uint32_t serial;    /* of the last tag */
    uint8_t *inbox;     /* owned */
    size_t inbox_bytes; /* its size; bytes [start, end) of it wait */
    size_t start, end;
};

void exchange_init(struct exchange *exchange) FP_NONNULL(1);
void exchange_fini(struct exchange *exchange) FP_NONNULL(1);

struct exchange_limits {
    uint32_t depth;      /* calls on the way at once, 1 to EXCHANGE_DEPTH_MAX */
    uint64_t timeout_ns; /* without a whole reply */
};

/* Runs until the asker has no more and all are answered. Anything but FARPAGE_OK comes with a
 * reason; then what was on the way stays unanswered and the connection is of no more use. */
enum farpage_status exchange_run(struct exchange *exchange, struct transport *transport,
                                 const struct asker *asker, struct exchange_limits limits,
                                 struct reason *reason) FP_MUST_CHECK FP_NONNULL(1, 2, 3, 5);

#endif
