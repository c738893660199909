/* SPDX-License-Identifier: BSD-3-Clause
 * slow - an operation has ended: it is counted, and where it took longer than log.slow_requests the
 * log says how long and with what.
 *
 * Threads: the connection's worker. */
#ifndef FARPAGE_SERVER_SLOW_H
#define FARPAGE_SERVER_SLOW_H
#include "server/dispatcher.h"
#include "server/measure/latency.h"

/* Leaves *timing ready for the next operation. */
void operation_over(struct dispatcher *dispatcher, const struct conn_row *row,
                    struct latency_timing *timing, uint64_t now_ns) FP_NONNULL(1, 2, 3);

/* Looked at after each attempt to send: *since_ns is when replies began to wait for their reader,
 * 0: none does. Once all was taken the log says how long that took, if it was long. */
void reply_waits(struct shared *shared, const struct conn_row *row, uint64_t *since_ns,
                 bool pending, uint64_t now_ns) FP_NONNULL(1, 2, 3);

#endif
