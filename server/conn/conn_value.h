/* SPDX-License-Identifier: BSD-3-Clause
 * conn_value - what a connection's input is while a long value is on its way: pieces of it, its
 * end, and then the command, which is dispatched as any other.
 *
 * Threads: the connection's worker. Blocks: never. */
#ifndef FARPAGE_SERVER_CONN_VALUE_H
#define FARPAGE_SERVER_CONN_VALUE_H
#include "server/dispatch/dispatch_value_in.h"

struct conn_value { /* one step of it */
    struct dispatcher *dispatcher;
    struct session *session;
    struct output *output;
    /* What comes of it: */
    size_t need_bytes;      /* unless 0 wait until so many are there */
    uint64_t swallow_bytes; /* so many more are to be dropped as they come */
};

/* Takes the line of a request, which is at the front of *input, off it. */
enum dispatch conn_value_begin(struct conn_value *turn, const struct request *request,
                               struct slice *input) FP_MUST_CHECK FP_NONNULL(1, 2, 3);
/* Takes a piece of the value, or its end, off the front of *input; as dispatch_text for the
 * latter. */
enum dispatch conn_value_go_on(struct conn_value *turn, struct slice *input)
    FP_MUST_CHECK FP_NONNULL(1, 2);

/* What the text request that has begun takes in all, refused as one too large would be; 0: it is a
 * line without end. */
uint64_t conn_value_no_memory(struct dispatcher *dispatcher, struct slice begun,
                              struct output *output) FP_NONNULL(1, 3);

/* "refusal\r\n", unless nothing is to be answered. */
void conn_value_refuse(struct output *output, const struct request *request, const char *refusal)
    FP_NONNULL(1, 2, 3);

#endif
