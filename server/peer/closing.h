/* SPDX-License-Identifier: BSD-3-Clause
 * closing - what the log says of a connection that is closed: strangers can bring that about
 * as often as they like, and so it is written at a pace. Threads: the connection's worker. */
#ifndef FARPAGE_SERVER_CLOSING_H
#define FARPAGE_SERVER_CLOSING_H
#include <stdint.h>

#include "base/attrs.h"
#include "server/shared.h"

struct closing {
    struct shared *shared;
    const struct conn_row *row;
    uint64_t now_ns;
};

/* Why it is closed, unless much of that kind was written lately. */
void closing_log(const struct closing *closing, enum gate kind, const char *event,
                 const char *reason) FP_NONNULL(1, 3, 4);

#endif
