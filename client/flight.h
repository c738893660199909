/* SPDX-License-Identifier: BSD-3-Clause
 * flight - a request on the way: the ops it carries, and the tag by which its replies name it.
 *
 * A tag is a seat's number and a serial, so that a late or doubled reply finds no flight; tag 0
 * stays free, the server answers lost framing with it. */
#ifndef FARPAGE_CLIENT_FLIGHT_H
#define FARPAGE_CLIENT_FLIGHT_H
#include <stdbool.h>
#include <stdint.h>

#include "base/attrs.h"
#include "client/list.h"
#include "client/op.h"

enum {
    FLIGHT_SEAT_BITS = 10,
    FLIGHT_SEATS = 1 << FLIGHT_SEAT_BITS,
    FLIGHT_OPS_MAX = FLIGHT_SEATS - 1, /* of all flights; one seat is for the handshake */
};

struct flight {
    struct list place;   /* in the order they were composed; or among the free seats */
    struct list ops;     /* struct op, by place: whose replies are to come, in their order */
    uint32_t tag;        /* 0: free */
    uint32_t left;       /* ops */
    uint32_t batch;      /* as many pages it asked for in one frame; 0: a request of its own */
    bool packed;         /* its pages may come packed */
    uint64_t sent_ns;
    uint64_t end_bytes;  /* of the connection's stream: where it ends */
    uint8_t opcode;
};

struct flights {
    struct flight *seats; /* owned: FLIGHT_SEATS */
    struct list used, free;
    uint32_t ops; /* in all of them */
    uint32_t serial;
};

/* False: out of memory. flights_fini is due either way. */
bool flights_init(struct flights *flights) FP_MUST_CHECK FP_NONNULL(1);
void flights_fini(struct flights *flights) FP_NONNULL(1);

/* A flight without ops; NULL: every seat is taken. */
struct flight *flights_begin(struct flights *flights, uint8_t opcode) FP_NONNULL(1);
void flights_board(struct flights *flights, struct flight *flight, struct op *op)
    FP_NONNULL(1, 2, 3);
/* Takes the op off; a flight without ops is over, and the pointer with it. */
void flights_land(struct flights *flights, struct flight *flight, struct op *op)
    FP_NONNULL(1, 2, 3);

/* NULL: no flight has that tag. */
struct flight *flights_of_tag(const struct flights *flights, uint32_t tag) FP_NONNULL(1);
/* The one that is longest under way; NULL: none is. */
struct flight *flights_oldest(const struct flights *flights) FP_NONNULL(1);
struct flight *flights_newest(const struct flights *flights) FP_NONNULL(1);

struct op *flight_first(const struct flight *flight) FP_NONNULL(1); /* it has one */
struct op *flight_last(const struct flight *flight) FP_NONNULL(1);

#endif
