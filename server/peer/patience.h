/* SPDX-License-Identifier: BSD-3-Clause
 * patience - for how long a connection is waited for, and how much it may leave unread.
 *
 * Threads: the connection's worker. Blocks: never. */
#ifndef FARPAGE_SERVER_PATIENCE_H
#define FARPAGE_SERVER_PATIENCE_H
#include <stdbool.h>
#include <stdint.h>

#include "base/attrs.h"
#include "base/budget.h"
#include "server/peer/output.h"
#include "server/settings.h"

struct conn_stand { /* how far a connection is; times are monotonic, 0: not so */
    bool handshaking; /* TLS is not agreed on yet */
    bool login;       /* it has to authenticate */
    bool opening;     /* it came for a block device, and has not opened one */
    bool pending;     /* replies wait to be read */
    bool needed;      /* what they take is needed for others */
    uint64_t opened_ns, active_ns; /* since it came; since it last asked something */
    uint64_t begun_ns; /* since its incomplete request began */
    uint64_t moved_ns; /* since it last took bytes of what is pending */
};

struct conn_verdict {
    const char *reason; /* it is to be closed because of that; NULL: it may go on */
    bool idle;          /* nothing was under way */
};

/* What waits to be read is needed for others: it is more than may always wait, and memory is full,
 * or nearly and this is much of it. To let go of the few that fill it to the byte would leave no
 * room for anybody's next request. */
bool conn_reply_is_needed(const struct budget *budget, const struct output *output)
    FP_NONNULL(1, 2);

/* So many bytes of replies that the socket does not take, and no more requests are carried out.
 * Where memory is full they must not pile up. But a few small ones may always wait: a socket takes
 * only some hundred, and a client that sends many requests before it reads would wait for us as we
 * wait for it. */
uint64_t conn_replies_most(const struct settings *settings, const struct budget *budget)
    FP_NONNULL(1, 2);

/* When its turn is over: so much of its output waits that its next turn begins when all of that was
 * taken. Less than conn_replies_most: large replies are not made far ahead of who reads them. */
bool conn_replies_are_ahead(const struct settings *settings, const struct budget *budget,
                            const struct output *output) FP_NONNULL(1, 2, 3);

struct conn_verdict conn_patience(const struct settings *settings, const struct conn_stand *stand,
                                  uint64_t now_ns) FP_MUST_CHECK FP_NONNULL(1, 2);

#endif
