/* SPDX-License-Identifier: BSD-3-Clause
 * dispatch_value_out - a long value on its way out: unpacked piece by piece as the client takes it.
 *
 * dispatch_value (dispatch.h) begins. The session holds the item, which is what it was when it was
 * asked for, whatever others store or evict meanwhile. Each piece is checked before any byte of it
 * is written. One that is damaged ends the connection in the middle of the value: what was
 * announced cannot be taken back, and the client must not take what follows for the value.
 *
 * Threads: the connection's worker. Blocks: never.
 */
#ifndef FARPAGE_SERVER_DISPATCH_VALUE_OUT_H
#define FARPAGE_SERVER_DISPATCH_VALUE_OUT_H
#include "server/dispatch/dispatch.h"

/* After dispatch_value: there is more to write. */
static inline bool value_out_is_under_way(const struct session *session)
{
    return session->value_out.item != NULL;
}

/* Writes some more. DISPATCH_MORE: there is still more of it. DISPATCH_DONE: it is written, with
 * its line end, and let go of. DISPATCH_CLOSE: it cannot be. */
enum dispatch value_out_more(struct dispatcher *dispatcher, struct session *session,
                             struct output *output) FP_MUST_CHECK FP_NONNULL(1, 2, 3);

/* Lets go of what is under way, if anything is. */
void value_out_drop(struct dispatcher *dispatcher, struct session *session) FP_NONNULL(1, 2);

#endif
