/* SPDX-License-Identifier: BSD-3-Clause
 * wire - what is measured: the ways pages go over a socket, the figures of each, and their report.
 *
 * wire.c measures, wire_report.c tells. */
#ifndef FARPAGE_TESTS_BENCH_WIRE_H
#define FARPAGE_TESTS_BENCH_WIRE_H
#include "tests/bench/options.h"
#include "tests/bench/series.h"
#include "tests/bench/speech.h"
#include "tests/bench/target.h"

enum transport { OVER_UNIX, OVER_TCP, TRANSPORTS };
enum place { APART, TOGETHER, PLACES }; /* client and server on a processor each, or on one */
enum { SHAPES = 3 };

struct shape { /* of the requests on the way, all in pages */
    uint32_t depth, batch;
};
extern const struct shape wire_shapes[SHAPES];

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

struct cell { /* one way, of each server */
    struct series figures[TARGET_KINDS][METRICS];
};

struct bench {
    struct options options;
    struct pageset pages;
    uint32_t slots;
    unsigned server_processor, client_processor;
    struct target_choice choices[TARGET_KINDS]; /* by kind */
    bool is_missing[TARGET_KINDS];              /* memcached may be */
    struct cell cells[TRANSPORTS][PLACES][SHAPES][WORKS];
    double load_before, load_after;
};

void wire_print_table(const struct bench *bench);
void wire_print_json(const struct bench *bench);

#endif
