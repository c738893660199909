/* SPDX-License-Identifier: BSD-3-Clause
 * options - the command line of a benchmark. One table for all of them; each takes the rows it has
 * a use for and refuses the others. */
#ifndef FARPAGE_TESTS_BENCH_OPTIONS_H
#define FARPAGE_TESTS_BENCH_OPTIONS_H
#include <stdbool.h>
#include <stdint.h>

#include "base/attrs.h"

enum options_user {
    BENCH_ITEMS = 1,
    BENCH_PAGES = 2,
    BENCH_STORE = 4,
    BENCH_COMPACTION = 8,
    BENCH_INPROCESS = 16,
    BENCH_PERCPU_REF = 32,
    BENCH_SWAPS = 64,
    BENCH_WIRE = 128,
    BENCH_BESIDE = 256,
    BENCH_NBD = 512
};

struct options {
    uint64_t rounds;
    uint64_t seconds;     /* a phase lasts no longer, whatever is left to do */
    uint64_t milliseconds; /* a phase lasts so long */
    uint64_t ops;         /* of a phase */
    uint64_t keys;        /* or slots; 0: as many as there are pages */
    uint64_t threads;     /* of each server */
    uint64_t memory;      /* bytes each server may hold */
    uint64_t connections;
    uint64_t depth;       /* requests on the way on each connection */
    uint64_t get_percent; /* of the mixed phase */
    uint64_t seed;
    const char *keys_by;  /* "zipf" or "uniform" */
    const char *algorithms; /* "lz4,zstd,none" */
    const char *farpaged;
    const char *set; /* KEY=VALUE for farpaged, or NULL */
    const char *memcached;
    const char *shapes; /* "1x8,64x1": connections and requests on the way on each */
    uint64_t value_bytes;
    const char *ways; /* words that a way must have to be measured; "" for all */
    bool json;
    char *const *files;
    int file_count;
};

/* Fills in *options from the rows that are for `user`. Exits with 0 after --help, and
 * with 2 after a line on stderr where the command line makes no sense. */
void options_read(int argc, char **argv, enum options_user user, struct options *options);

enum { ALGORITHMS_MAX = 8, ALGORITHM_BYTES = 16 };
/* Cuts options->algorithms into names; how many. */
unsigned options_algorithms(const struct options *options,
                            char names[ALGORITHMS_MAX][ALGORITHM_BYTES]);

#endif
