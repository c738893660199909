/* SPDX-License-Identifier: BSD-3-Clause
 * health - whether the server lives and whether it is ready: the same answer at /livez, /readyz,
 * to the line `health` and to `farpage health`.
 *
 * Lives: every worker's loop has turned lately. Ready: all of HEALTH_CHECKS are good. Full memory
 * is no reason not to be ready: a cache is full, and loads go on.
 *
 * Threads: any. Blocks: for short locks.
 */
#ifndef FARPAGE_SERVER_HEALTH_H
#define FARPAGE_SERVER_HEALTH_H
#include <stdbool.h>
#include <stdint.h>

#include "base/attrs.h"
#include "server/shared.h"

enum { HEALTH_TEXT_BYTES = 128 };

/* X(check, name): in the order in which they are told. */
#define HEALTH_CHECKS(X)                                                                           \
    X(HEALTH_WORKERS, "workers")                                                                   \
    X(HEALTH_STARTED, "started")                                                                   \
    X(HEALTH_STOPPING, "stopping")                                                                 \
    X(HEALTH_AREAS, "areas")                                                                       \
    X(HEALTH_MEMORY, "memory")

enum health_check {
#define X(check, name) check,
    HEALTH_CHECKS(X)
#undef X
    HEALTH_CHECKS_COUNT
};

struct health {
    bool lives, ready;
    struct {
        bool good;
        char text[HEALTH_TEXT_BYTES]; /* "0 of 3 areas are being drained" */
    } checks[HEALTH_CHECKS_COUNT];
};

void health_look(struct shared *shared, struct health *health) FP_NONNULL(1, 2);

const char *health_check_name(enum health_check check);

/* The first check that is not good; HEALTH_CHECKS_COUNT where all are. */
enum health_check health_first_bad(const struct health *health) FP_NONNULL(1);

#endif
