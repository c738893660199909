/* SPDX-License-Identifier: BSD-3-Clause
 * target - one server under measurement: memcached, farpaged with some compressor, or the echo
 * server; on loopback or a unix socket. Everything but the address, the threads and the memory is
 * its default. */
#ifndef FARPAGE_TESTS_BENCH_TARGET_H
#define FARPAGE_TESTS_BENCH_TARGET_H
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "tests/bench/options.h"

enum { TARGET_ADDRESS_BYTES = 100, TARGETS_MAX = ALGORITHMS_MAX + 1 };

enum target_kind { TARGET_MEMCACHED, TARGET_FARPAGED, TARGET_ECHO, TARGET_KINDS };

struct target_choice {
    enum target_kind kind;
    char name[32];                   /* for people: "farpage lz4" */
    char algorithm[ALGORITHM_BYTES]; /* farpaged's */
    const char *set;                 /* one more KEY=VALUE for farpaged; NULL: none */
};

struct target {
    const struct target_choice *choice;
    pid_t pid;
    char address[TARGET_ADDRESS_BYTES]; /* "127.0.0.1:PORT" or "unix:/PATH" */
};

/* memcached first, then farpaged with each of the algorithms; how many. */
unsigned target_choices(const struct options *options, struct target_choice choices[TARGETS_MAX]);

/* Starts it on a free port, or on a unix socket (one for each kind), and waits until it answers.
 * False after a line on stderr. */
bool target_start(const struct options *options, const struct target_choice *choice,
                  bool over_unix, struct target *target) FP_MUST_CHECK;
/* False after a line on stderr: it did not end by itself, or not well. */
bool target_stop(struct target *target);

/* A connected socket, blocking, TCP_NODELAY where that means something; -1. */
int target_connect(const char *address);

/* The number that `stats SECTION` shows for `name`; 0 where it does not. */
double target_stat(const struct target *target, const char *section, const char *name);

#endif
