/* SPDX-License-Identifier: BSD-3-Clause */
#include "client/flight.h"

#include <stdlib.h>

bool flights_init(struct flights *flights)
{
    *flights = (struct flights){.seats = calloc(FLIGHT_SEATS, sizeof *flights->seats)};
    list_init(&flights->used);
    list_init(&flights->free);
    if (flights->seats == NULL) return false;
    for (unsigned i = 0; i < FLIGHT_SEATS; i++) {
        list_init(&flights->seats[i].ops);
        list_push_back(&flights->free, &flights->seats[i].place);
    }
    return true;
}

void flights_fini(struct flights *flights)
{
    free(flights->seats);
    flights->seats = NULL;
    list_init(&flights->used);
    list_init(&flights->free);
}

struct flight *flights_begin(struct flights *flights, uint8_t opcode)
{
    if (list_empty(&flights->free)) return NULL;
    struct flight *flight = LIST_THING(flights->free.next, struct flight, place);
    list_remove(&flight->place);
    list_push_back(&flights->used, &flight->place);
    uint32_t serials = 1u << (32 - FLIGHT_SEAT_BITS);
    flights->serial = (flights->serial + 1) % serials;
    if (flights->serial == 0) flights->serial = 1;
    flight->tag = flights->serial << FLIGHT_SEAT_BITS | (uint32_t)(flight - flights->seats);
    flight->opcode = opcode;
    flight->left = flight->batch = 0;
    flight->packed = false;
    return flight;
}

void flights_board(struct flights *flights, struct flight *flight, struct op *op)
{
    list_remove(&op->place);
    list_push_back(&flight->ops, &op->place);
    op->flight = flight;
    flight->left++;
    flights->ops++;
}

void flights_land(struct flights *flights, struct flight *flight, struct op *op)
{
    list_remove(&op->place);
    op->flight = NULL;
    flight->left--;
    flights->ops--;
    if (flight->left > 0) return;
    flight->tag = 0;
    list_remove(&flight->place);
    list_push_front(&flights->free, &flight->place); /* its memory is warm */
}

struct flight *flights_of_tag(const struct flights *flights, uint32_t tag)
{
    struct flight *flight = &flights->seats[tag & (FLIGHT_SEATS - 1)];
    return tag != 0 && flight->tag == tag ? flight : NULL;
}

struct flight *flights_oldest(const struct flights *flights)
{
    if (list_empty(&flights->used)) return NULL;
    return LIST_THING(flights->used.next, struct flight, place);
}

struct flight *flights_newest(const struct flights *flights)
{
    if (list_empty(&flights->used)) return NULL;
    return LIST_THING(flights->used.previous, struct flight, place);
}

struct op *flight_first(const struct flight *flight)
{
    return LIST_THING(flight->ops.next, struct op, place);
}

struct op *flight_last(const struct flight *flight)
{
    return LIST_THING(flight->ops.previous, struct op, place);
}
