/* SPDX-License-Identifier: BSD-3-Clause
 * dispatch_value_in - a long value on its way in: packed piece by piece as it arrives, for any
 * command that has one.
 *
 * Life: begin (REQUEST_VALUE: the line is there) -> take, piece by piece -> finish, when its end is
 * there: the command is dispatched, and finds the value with the session -> drop. Whatever ends the
 * connection before that drops it, and nothing has changed.
 *
 * Where it is known from the start that the command will not store it (an add of a key that is
 * there), the value is dropped as it comes, and the command answers that in its place.
 *
 * Threads: the connection's worker. Blocks: never.
 */
#ifndef FARPAGE_SERVER_DISPATCH_VALUE_IN_H
#define FARPAGE_SERVER_DISPATCH_VALUE_IN_H
#include "server/dispatch/dispatch.h"
#include "storage/store/item/store_value.h"

struct value_in {
    struct request request;    /* its slices lie in `line` */
    uint64_t left_bytes;       /* of the value, not arrived yet */
    enum fp_status decided;    /* unless FP_OK: what the command comes to, known from the start */
    struct store_value *value; /* NULL: not wanted, or taken by now */
    size_t line_bytes;
    uint8_t line[];
};

/* Takes in what follows request->value_bytes; `line` are the bytes the request was parsed from.
 * FP_NO_MEMORY, FP_LATER: nothing is taken in. */
enum fp_status value_in_begin(struct dispatcher *dispatcher, struct session *session,
                              const struct request *request, struct slice line)
    FP_MUST_CHECK FP_NONNULL(1, 2, 3);

/* How many of `there` bytes that have arrived value_in_take wants now; 0: it waits for
 * *need_bytes. */
size_t value_in_wants(const struct value_in *in, size_t there, size_t *need_bytes)
    FP_NONNULL(1, 3);

/* FP_NO_MEMORY, FP_QUOTA: the value is to be dropped, and what is left of it swallowed. */
enum fp_status value_in_take(struct dispatcher *dispatcher, struct value_in *in, struct slice bytes)
    FP_MUST_CHECK FP_NONNULL(1, 2);

/* What is left of the value and its end, as it is swallowed. */
uint64_t value_in_rest_bytes(const struct value_in *in) FP_NONNULL(1);

/* Forgets what is under way, a long join included, if anything is. */
void value_in_drop(struct dispatcher *dispatcher, struct session *session) FP_NONNULL(1, 2);

/* --- for the commands ------------------------------------------------------------------------- */

/* The value of the request that is dispatched, where it came in pieces, for item_put.whole; NULL:
 * it is in request->value. */
static inline struct store_value **value_in_whole(struct session *session)
{
    return session->value_in != NULL ? &session->value_in->value : NULL;
}

/* FP_OK, or what was decided before the value came. */
static inline enum fp_status value_in_decided(const struct session *session)
{
    return session->value_in != NULL ? session->value_in->decided : FP_OK;
}

#endif
