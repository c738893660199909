/* SPDX-License-Identifier: BSD-3-Clause
 * dispatch - carries one request out and writes its answer. Knows no socket and no event.
 *
 * A request that would write or do too much at once yields: DISPATCH_AGAIN leaves in
 * session->resume how far it got, and the same request is given again later.
 *
 * Threads: the worker's. Blocks: never.
 */
#ifndef FARPAGE_SERVER_DISPATCH_H
#define FARPAGE_SERVER_DISPATCH_H
#include "protocol/frame.h"
#include "protocol/request.h"
#include "server/output.h"
#include "server/session.h"
#include "server/shared.h"

enum dispatch {
    DISPATCH_DONE,  /* consume the request */
    DISPATCH_AGAIN, /* give it again when the output has drained, or after the others */
    DISPATCH_CLOSE, /* send what is written, then close */
};

struct dispatcher { /* one per worker */
    struct shared *shared;
    struct worker_counters *counters;
    struct store_scratch *scratch;
};

enum dispatch dispatch_text(struct dispatcher *dispatcher, struct session *session,
                            const struct request *request, struct output *output)
    FP_MUST_CHECK FP_NONNULL(1, 2, 3, 4);

/* What a refusal asks for besides its line: the old value of a value too large must go. */
void dispatch_refusal(struct dispatcher *dispatcher, const struct request *request)
    FP_NONNULL(1, 2);

/* The same where a value cannot be taken in for want of memory. */
void dispatch_no_memory(struct dispatcher *dispatcher, const struct request *request)
    FP_NONNULL(1, 2);

enum dispatch dispatch_frame(struct dispatcher *dispatcher, struct session *session,
                             const struct frame *frame, struct slice body, struct output *output)
    FP_MUST_CHECK FP_NONNULL(1, 2, 3, 5);

/* A reply without body. */
void dispatch_frame_status(const struct frame *request, enum frame_status status,
                           struct output *output) FP_NONNULL(1, 3);

/* The commands of dispatch_text by file; same contract. */
enum dispatch dispatch_item(struct dispatcher *dispatcher, struct session *session,
                            const struct request *request, struct output *output)
    FP_MUST_CHECK FP_NONNULL(1, 2, 3, 4);
enum dispatch dispatch_admin(struct dispatcher *dispatcher, const struct request *request,
                             struct output *output) FP_MUST_CHECK FP_NONNULL(1, 2, 3);

#endif
