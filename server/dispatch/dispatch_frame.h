/* SPDX-License-Identifier: BSD-3-Clause
 * dispatch_frame - what the files that carry out frames share: one request, and how it is answered.
 * Seen by dispatch_*.c only.
 */
#ifndef FARPAGE_SERVER_DISPATCH_FRAME_H
#define FARPAGE_SERVER_DISPATCH_FRAME_H
#include "server/dispatch/dispatch.h"
#include "storage/store/page/store_packed.h"

struct context { /* of one request; its body has the length and checksum its header says */
    struct dispatcher *dispatcher;
    struct session *session;
    const struct frame *frame;
    struct slice body;
    struct output *output;
    struct opener *opener; /* of the area that the request names; entered, so it has the area */
};

/* Answers with a header alone. */
enum dispatch dispatch_refuse(const struct context *context, enum frame_status status)
    FP_NONNULL(1);

/* Answers with a body: `reply` has the header's fields, but for magic and what is the body's. */
enum dispatch dispatch_reply(const struct context *context, const struct frame *reply,
                             struct slice body) FP_NONNULL(1, 2);

/* Answers with a sentence, at most REFUSAL_BYTES_MAX - 1 bytes, that says more than the status. */
enum dispatch dispatch_explain(const struct context *context, enum frame_status status,
                               const char *sentence) FP_NONNULL(1, 3);

/* Writes a reply's header, all of whose fields but the magic are set. */
void dispatch_write_header(const struct frame *reply, uint8_t header[FRAME_HEADER_BYTES])
    FP_NONNULL(1, 2);

/* How the wire says it. */
enum frame_status dispatch_status_of(enum fp_status status);

/* A page for a client: store_page_load_packed, counted, and zeros where the session wants absent
 * slots to be that. Enter with the opener entered. */
enum fp_status dispatch_load(struct dispatcher *dispatcher, const struct opener *opener,
                             uint64_t slot, const struct page_wish *wish,
                             struct page_packed *page) FP_MUST_CHECK FP_NONNULL(1, 2, 4, 5);

/* Asks for a page that would have to be read. True: answer DISPATCH_WAIT. */
bool dispatch_ask(const struct context *context, uint64_t slot, enum store_promote how)
    FP_NONNULL(1);
/* DISPATCH_LATER, and who makes room is woken. */
enum dispatch dispatch_later(struct dispatcher *dispatcher) FP_NONNULL(1);

/* The requests by file. */
enum dispatch dispatch_open(const struct context *context) FP_NONNULL(1);
enum dispatch dispatch_close(const struct context *context) FP_NONNULL(1);
enum dispatch dispatch_dictionary(const struct context *context) FP_NONNULL(1);
enum dispatch dispatch_load_batch(const struct context *context) FP_NONNULL(1);
enum dispatch dispatch_invalidate_batch(const struct context *context) FP_NONNULL(1);
enum dispatch dispatch_map_page(const struct context *context) FP_NONNULL(1);
enum dispatch dispatch_mread(const struct context *context) FP_NONNULL(1);
enum dispatch dispatch_mwrite(const struct context *context) FP_NONNULL(1);
enum dispatch dispatch_unmap(const struct context *context) FP_NONNULL(1);
enum dispatch dispatch_unuse_answer(const struct context *context) FP_NONNULL(1);
enum dispatch dispatch_drain(const struct context *context) FP_NONNULL(1);
enum dispatch dispatch_stored(const struct context *context) FP_NONNULL(1);
enum dispatch dispatch_snapshot(const struct context *context) FP_NONNULL(1);

#endif
