/* SPDX-License-Identifier: BSD-3-Clause
 * movers - two threads that change where and how everything is kept while others use it: one
 * compacts, one recompresses, with a stronger compressor for cold things or without. */
#ifndef FARPAGE_TESTS_MODEL_MOVERS_H
#define FARPAGE_TESTS_MODEL_MOVERS_H
#include <pthread.h>
#include <stdatomic.h>

#include "tests/unit/storage/bench.h"

struct movers {
    struct store *store;
    pthread_t compactor, recompressor;
    atomic_bool stop;
};

void movers_start(struct movers *movers, struct store *store);
void movers_stop(struct movers *movers); /* prints what they did */

#endif
