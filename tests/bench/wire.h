/* SPDX-License-Identifier: BSD-3-Clause
 * wire - what is measured: the ways pages go over a socket, the figures of each, and their report.
 *
 * wire_way.c lists the ways, wire.c measures, wire_report.c and wire_goals.c tell. */
#ifndef FARPAGE_TESTS_BENCH_WIRE_H
#define FARPAGE_TESTS_BENCH_WIRE_H
#include "tests/bench/options.h"
#include "tests/bench/series.h"
#include "tests/bench/speech.h"
#include "tests/bench/target.h"

enum transport { OVER_UNIX, OVER_TCP, TRANSPORTS };
enum place { APART, TOGETHER, PLACES }; /* client and server on a processor each, or on one */

struct shape { /* of what is on the way, in pages */
    uint32_t depth;
    uint32_t batch; /* of one request; half of the depth, so that one is on the way meanwhile */
};

struct way {
    enum transport over;
    enum place place;
    struct shape shape;
    enum form form;
    enum work work;
};

enum { SHAPES = 5, WAYS = TRANSPORTS * PLACES * SHAPES * FORMS * WORKS };

/* All of them; those of one transport and place are neighbours, and then those of one form. */
struct way wire_way(unsigned index);
unsigned wire_plain_way(unsigned index); /* the one that differs in that pages go as they are */
/* Whether "unix,together,depth 32,batch 16,packed,load" has all of such words as are given. */
bool wire_way_has(const struct way *way, const char *words);
const char *wire_transport_name(enum transport over);
const char *wire_place_name(enum place place);
const char *wire_form_name(enum form form);
const char *wire_work_name(enum work work);

#define WIRE_METRICS(X)                                                                            \
    X(RATE, "pages_per_second")                                                                    \
    X(P50, "p50_us")                                                                               \
    X(P99, "p99_us")                                                                               \
    X(SERVER_US, "server_cpu_us_per_page")                                                         \
    X(CLIENT_US, "client_cpu_us_per_page")                                                         \
    X(PER_SERVER_S, "pages_per_server_cpu_second")                                                 \
    X(SERVER_BUSY, "server_busy_percent")                                                          \
    X(CLIENT_BUSY, "client_busy_percent")                                                          \
    X(BYTES, "bytes_both_ways_per_page")
enum metric {
#define X(name, text) METRIC_##name,
    WIRE_METRICS(X)
#undef X
    METRICS
};

struct cell { /* one way, of each server; nothing of those it was not measured of */
    struct series figures[TARGET_KINDS][METRICS];
};

struct bench {
    struct options options;
    struct pageset pages;
    struct packs packs;
    uint32_t slots;
    unsigned server_processor, client_processor;
    struct target_choice choices[TARGET_KINDS]; /* by kind */
    bool is_missing[TARGET_KINDS];              /* memcached may be */
    struct cell cells[WAYS];
    double load_before, load_after;
};

void wire_print_table(const struct bench *bench);
void wire_print_goals(const struct bench *bench);
void wire_print_json(const struct bench *bench);

#endif
