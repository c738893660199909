/* SPDX-License-Identifier: BSD-3-Clause
 * beside - the figures of farpaged beside memcached, as JSON. */
#ifndef FARPAGE_TESTS_BENCH_MEMCACHED_BESIDE_H
#define FARPAGE_TESTS_BENCH_MEMCACHED_BESIDE_H
#include "tests/bench/options.h"
#include "tests/bench/pageset.h"
#include "tests/bench/series.h"
#include "tests/bench/target.h"

enum { SHAPES_MAX = 12 };
#define BESIDE_DENSE "zstd:9" /* what all is packed with once more in the end */

struct shape {
    uint32_t connections, depth;
};

enum mix { MIX_GETS, MIX_BOTH, MIXES };

enum metric {
    METRIC_PER_SERVER_S, /* operations a second of the server's processor time */
    METRIC_SERVER_US,    /* its inverse */
    METRIC_RATE,
    METRIC_P50, /* us */
    METRIC_P99,
    METRIC_P999,
    METRIC_SERVER_BUSY, /* percent */
    METRICS
};

enum memory {
    MEMORY_EMPTY, /* bytes resident: of the server that has just started */
    MEMORY_FILLED,
    MEMORY_MIXED, /* after all that was asked of it */
    MEMORY_DENSE, /* then packed with BESIDE_DENSE */
    MEMORIES
};

struct record { /* of one server */
    struct series figures[SHAPES_MAX][MIXES][METRICS];
    struct series memory[MEMORIES];
};

struct bench {
    struct options options;
    struct pageset pages;
    struct target_choice choices[TARGETS_MAX]; /* memcached first */
    struct record records[TARGETS_MAX];
    unsigned targets;
    struct shape shapes[SHAPES_MAX];
    unsigned shape_count;
    uint32_t keys;
    unsigned client_processor, server_processor;
    double load_before, load_after, wrong, refused, misses;
};

/* Every figure of every round as JSON; ./table makes tables of it. */
void beside_print(const struct bench *bench);

#endif
