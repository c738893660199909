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
#include "server/dispatcher.h"
#include "server/peer/output.h"
#include "server/peer/session.h"

enum dispatch {
    DISPATCH_DONE,  /* consume the request */
    DISPATCH_MORE,  /* as AGAIN, but at once where the connection's turn is not over */
    DISPATCH_AGAIN, /* give it again when the output has drained, or after the others */
    DISPATCH_WAIT,  /* give it again when what dispatcher->asked has was read (spilled.h) */
    DISPATCH_LATER, /* give it again in a moment: memory is full, and room is being made */
    DISPATCH_CLOSE, /* send what is written, then close */
};

enum dispatch dispatch_text(struct dispatcher *dispatcher, struct session *session,
                            const struct request *request, struct output *output)
    FP_MUST_CHECK FP_NONNULL(1, 2, 3, 4);

/* What a command that stores will come to as things are, before its value is there; FP_OK: wait for
 * the value. */
enum fp_status dispatch_look_ahead(struct dispatcher *dispatcher, const struct request *request)
    FP_MUST_CHECK FP_NONNULL(1, 2);

enum fp_status dispatch_meta_look_ahead(struct dispatcher *dispatcher,
                                        const struct request *request)
    FP_MUST_CHECK FP_NONNULL(1, 2); /* the same for an ms */

/* What a refusal asks for besides its line: the old value of a value too large must go. */
void dispatch_refusal(struct dispatcher *dispatcher, const struct request *request)
    FP_NONNULL(1, 2);

/* The same where a value cannot be taken in for want of memory. */
void dispatch_no_memory(struct dispatcher *dispatcher, const struct request *request)
    FP_NONNULL(1, 2);

enum dispatch dispatch_frame(struct dispatcher *dispatcher, struct session *session,
                             const struct frame *frame, struct slice body, struct output *output)
    FP_MUST_CHECK FP_NONNULL(1, 2, 3, 5);

/* Begins a store batch, whose body does not come with it. Then, while session->batch has entries,
 * dispatch_entries is given what has arrived; what is left of the body after that (left_bytes) is
 * to be dropped. */
enum dispatch dispatch_store_batch(struct dispatcher *dispatcher, struct session *session,
                                   const struct frame *frame, struct output *output)
    FP_MUST_CHECK FP_NONNULL(1, 2, 3, 4);

/* Carries out some entries from the front of *input and takes them off it. *need_bytes is what the
 * next one takes in all, as far as that can be seen. DISPATCH_LATER, or DISPATCH_DONE. */
enum dispatch dispatch_entries(struct dispatcher *dispatcher, struct session *session,
                               struct slice *input, size_t *need_bytes, struct output *output)
    FP_MUST_CHECK FP_NONNULL(1, 2, 3, 4, 5);

/* Writes what is to be told the client that it did not ask for; session->row->noticed is false
 * afterwards. Between two requests only. */
void dispatch_notices(struct session *session, struct output *output) FP_NONNULL(1, 2);

/* The next entry cannot be taken in for want of memory: refuses it, and what follows. */
void dispatch_entries_no_memory(struct session *session, struct output *output) FP_NONNULL(1, 2);

/* A reply without body. */
void dispatch_frame_status(const struct frame *request, enum frame_status status,
                           struct output *output) FP_NONNULL(1, 3);

/* Writes a line, the item's value and its end, and takes the item. Of a long value that is the
 * beginning, and the rest is under way (dispatch_value_out.h). False: an error was written instead,
 * which ends the answer. */
bool dispatch_value(struct dispatcher *dispatcher, struct session *session, struct item **item,
                    struct slice line, struct output *output) FP_NONNULL(1, 2, 3, 5);

/* Deletes what the request's key holds: better no value than one the client believes it has
 * replaced. */
void dispatch_forget(struct dispatcher *dispatcher, const struct request *request)
    FP_NONNULL(1, 2);

/* The commands of dispatch_text by file; same contract. */
enum dispatch dispatch_item(struct dispatcher *dispatcher, struct session *session,
                            const struct request *request, struct output *output)
    FP_MUST_CHECK FP_NONNULL(1, 2, 3, 4);
enum dispatch dispatch_meta(struct dispatcher *dispatcher, struct session *session,
                            const struct request *request, struct output *output)
    FP_MUST_CHECK FP_NONNULL(1, 2, 3, 4);
enum dispatch dispatch_map(struct dispatcher *dispatcher, struct session *session,
                           const struct request *request, struct output *output)
    FP_MUST_CHECK FP_NONNULL(1, 2, 3, 4);
enum dispatch dispatch_admin(struct dispatcher *dispatcher, struct session *session,
                             const struct request *request, struct output *output)
    FP_MUST_CHECK FP_NONNULL(1, 2, 3, 4);
enum dispatch dispatch_slabs(struct dispatcher *dispatcher, const struct request *request,
                             struct output *output) FP_MUST_CHECK FP_NONNULL(1, 2, 3);
enum dispatch dispatch_memlimit(struct dispatcher *dispatcher, const struct request *request,
                                struct output *output) FP_MUST_CHECK FP_NONNULL(1, 2, 3);
enum dispatch dispatch_debug(struct dispatcher *dispatcher, const struct request *request,
                             struct output *output) FP_MUST_CHECK FP_NONNULL(1, 2, 3);
enum dispatch dispatch_lru(const struct request *request, struct output *output)
    FP_MUST_CHECK FP_NONNULL(1, 2);
enum dispatch dispatch_lru_crawler(struct dispatcher *dispatcher, struct session *session,
                                   const struct request *request, struct output *output)
    FP_MUST_CHECK FP_NONNULL(1, 2, 3, 4);
/* `stats cachedump`; rest: the words behind it. */
enum dispatch dispatch_cachedump(struct dispatcher *dispatcher, struct session *session,
                                 struct slice rest, struct output *output)
    FP_MUST_CHECK FP_NONNULL(1, 2, 4);
enum dispatch dispatch_watch(struct dispatcher *dispatcher, struct session *session,
                             const struct request *request, struct output *output)
    FP_MUST_CHECK FP_NONNULL(1, 2, 3, 4);
/* `stats detail`; rest: the words behind it. */
enum dispatch dispatch_detail(struct dispatcher *dispatcher, struct slice rest,
                              struct output *output) FP_MUST_CHECK FP_NONNULL(1, 3);
enum dispatch dispatch_shutdown(struct dispatcher *dispatcher, const struct session *session,
                                const struct request *request, struct output *output)
    FP_MUST_CHECK FP_NONNULL(1, 2, 3, 4);

#endif
