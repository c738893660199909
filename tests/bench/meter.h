/* SPDX-License-Identifier: BSD-3-Clause
 * meter - what a piece of work cost in processor time, the server's and the client's. */
#ifndef FARPAGE_TESTS_BENCH_METER_H
#define FARPAGE_TESTS_BENCH_METER_H
#include "tests/bench/child.h"

struct meter {
    pid_t server;
    struct child_cpu server_start;
    uint64_t client_start_ns;
};

struct meter_reading {
    double server_s, client_s; /* processor seconds, of all threads */
    double kernel_percent;     /* of server_s; -1: too little was done to tell */
};

/* Both false where the server has gone. */
bool meter_start(struct meter *meter, pid_t server) FP_MUST_CHECK;
bool meter_read(const struct meter *meter, struct meter_reading *reading) FP_MUST_CHECK;

/* The load average of the last minute; 0 where it is not known. */
double meter_load_average(void);

#endif
