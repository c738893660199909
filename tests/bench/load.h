/* SPDX-License-Identifier: BSD-3-Clause
 * load - many connections that ask one server for pages, or values cut from them, in memcached's
 * text protocol, and check every answer.
 *
 * Closed loop: each connection keeps `depth` requests on the way and sends the next when one is
 * answered. Each write of a key brings other bytes (pageset_index); a get must bring those that
 * were acknowledged last before it was sent, or newer ones. One set of a key at a time is on the
 * way, so that there is an order to hold the server to.
 *
 * Threads: one. */
#ifndef FARPAGE_TESTS_BENCH_LOAD_H
#define FARPAGE_TESTS_BENCH_LOAD_H
#include <stdbool.h>
#include <stdint.h>

#include "base/attrs.h"
#include "base/histogram.h"
#include "tests/bench/pageset.h"

struct load;

struct load_options {
    const struct pageset *pages; /* outlives the load */
    const char *address;         /* as target_connect() takes it */
    uint32_t keys;               /* more than connections * depth */
    uint32_t connections, depth;
    bool zipf;
    uint64_t seed;
};

struct load_phase {
    bool each_key_once; /* keys 0, 1, 2 ... instead of random ones; ops then is the keys */
    unsigned get_percent;
    uint64_t ops;
    uint64_t duration_ns; /* nothing is sent after so long; what is on the way is waited for */
};

struct load_result {
    uint64_t elapsed_ns; /* first request to last reply */
    uint64_t ops, gets;  /* answered */
    uint64_t misses, refused;
    uint64_t wrong; /* other bytes than were stored, or old ones: this must never be */
    struct histogram latency_ns;
};

/* All connections, open. False after a line on stderr. */
bool load_open(const struct load_options *options, struct load **load) FP_MUST_CHECK;
void load_close(struct load **load);
/* As many other connections in place of those there are, between two runs; what the keys hold stays
 * known. False after a line on stderr. */
bool load_reconnect(struct load *load, uint32_t connections, uint32_t depth) FP_MUST_CHECK;

/* False after a line on stderr: a connection broke, or replies stopped coming. */
bool load_run(struct load *load, const struct load_phase *phase, struct load_result *result)
    FP_MUST_CHECK;

#endif
