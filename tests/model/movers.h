/* SPDX-License-Identifier: BSD-3-Clause
 * movers - threads that change where and how everything is kept, or look at all of it, while others
 * use it: one compacts, one recompresses, with a stronger compressor for cold things or without,
 * one takes snapshots and scrubs. */
#ifndef FARPAGE_TESTS_MODEL_MOVERS_H
#define FARPAGE_TESTS_MODEL_MOVERS_H
#include <pthread.h>
#include <stdatomic.h>

#include "tests/unit/storage/bench.h"

struct movers {
    struct store *store;
    pthread_t compactor, recompressor, copier;
    atomic_bool stop;
};

void movers_start(struct movers *movers, struct store *store);
void movers_stop(struct movers *movers); /* prints what they did */

#endif
