/* SPDX-License-Identifier: BSD-3-Clause
 *
 * A snapshot for a client: begun, and then taken piece by piece. It shows all that is stored, so it
 * is only where all keys may be listed. */
#include "base/arith.h"
#include "base/crc32c.h"
#include "protocol/frame_snapshot.h"
#include "server/dispatch/dispatch_frame.h"
#include "server/restart/snapshots.h"

/* DISPATCH_DONE: it is refused. DISPATCH_MORE: it is begun. DISPATCH_LATER. */
static enum dispatch begin(const struct context *context)
{
    struct shared *shared = context->dispatcher->shared;
    struct session *session = context->session;
    if (atomic_load(&shared->settings.dump_commands) != CONFIG_SWITCH_ON)
        return dispatch_refuse(context, FRAME_OFF);
    if (session->snapshot != NULL)
        return dispatch_explain(context, FRAME_BUSY, "this connection takes one already");
    context->dispatcher->scratch->may_wait = true;
    enum fp_status status =
        snapshot_begin(shared, context->dispatcher->scratch, &session->snapshot);
    context->dispatcher->scratch->may_wait = false;
    if (status == FP_LATER) return dispatch_later(context->dispatcher);
    if (status == FP_BUSY)
        return dispatch_explain(context, FRAME_BUSY, "somebody takes a snapshot already");
    if (status != FP_OK) return dispatch_refuse(context, dispatch_status_of(status));
    log_event(shared->log, LOG_INFO, "snapshot begun", log_text("by", session->row->peer));
    return DISPATCH_MORE;
}

static enum dispatch give(const struct context *context, const struct snapshot_piece *piece)
{
    size_t size = (size_t)min_u64(piece->bytes.size_bytes, FRAME_SNAPSHOT_PIECE_BYTES_MAX);
    size_t whole = FRAME_HEADER_BYTES + FRAME_SNAPSHOT_HEAD_BYTES + size;
    uint8_t *at = output_reserve(context->output, whole);
    if (at == NULL) return DISPATCH_CLOSE;
    uint8_t *body = at + FRAME_HEADER_BYTES;
    struct frame_snapshot head = {
        .todo = piece->todo, .done = piece->done, .complete = piece->complete};
    frame_snapshot_encode(&head, body);
    if (size > 0) memcpy(body + FRAME_SNAPSHOT_HEAD_BYTES, piece->bytes.bytes, size);
    struct frame reply = *context->frame;
    reply.status = FRAME_OK;
    reply.body_bytes = (uint32_t)(whole - FRAME_HEADER_BYTES);
    reply.body_crc = crc32c(body, reply.body_bytes);
    dispatch_write_header(&reply, at);
    output_commit(context->output, whole);
    snapshot_take(context->session->snapshot, size);
    return DISPATCH_DONE;
}

static enum dispatch next(const struct context *context)
{
    struct snapshot_piece piece;
    if (context->session->snapshot == NULL)
        return dispatch_explain(context, FRAME_REFUSED,
                                "no snapshot is being taken on this connection");
    if (snapshot_look(context->session->snapshot, &piece) == FP_OK) return give(context, &piece);
    snapshot_leave(&context->session->snapshot);
    return dispatch_explain(context, FRAME_REFUSED,
                            "more was stored over meanwhile than memory has room to keep for the "
                            "snapshot; take it again when less is stored, or raise "
                            "storage.memory_limit");
}

enum dispatch dispatch_snapshot(const struct context *context)
{
    if (context->body.size_bytes != 0) return dispatch_refuse(context, FRAME_BAD_LENGTH);
    enum dispatch begun;
    switch ((enum frame_snapshot_step)context->frame->count) {
    case FRAME_SNAPSHOT_BEGIN:
        begun = begin(context);
        return begun == DISPATCH_MORE ? next(context) : begun;
    case FRAME_SNAPSHOT_NEXT:
        return next(context);
    case FRAME_SNAPSHOT_END:
        snapshot_leave(&context->session->snapshot);
        return dispatch_refuse(context, FRAME_OK);
    }
    return dispatch_refuse(context, FRAME_BAD_FIELD);
}
