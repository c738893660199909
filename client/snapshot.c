/* SPDX-License-Identifier: BSD-3-Clause */
#include "client/client.h"
#include "protocol/frame_snapshot.h"

struct taking {
    void (*take)(void *context, const void *bytes, size_t size);
    void *context;
    struct farpage_snapshot_piece *piece;
};

static enum farpage_status take_piece(const struct op_request *request, const struct reply *reply)
{
    const struct taking *taking = request->taker;
    struct frame_snapshot head;
    struct slice bytes;
    if (!frame_snapshot_decode(reply->body, &head, &bytes)) return FARPAGE_PROTOCOL;
    *taking->piece = (struct farpage_snapshot_piece){.todo = head.todo,
                                                     .done = head.done,
                                                     .bytes = bytes.size_bytes,
                                                     .complete = head.complete};
    if (bytes.size_bytes > 0) taking->take(taking->context, bytes.bytes, bytes.size_bytes);
    return FARPAGE_OK;
}

static enum farpage_status ask(struct farpage *client, enum frame_snapshot_step step,
                               struct taking *taking)
{
    if (client == NULL || taking->take == NULL || taking->piece == NULL) return FARPAGE_INVALID;
    struct op_request request = {
        .opcode = FRAME_SNAPSHOT,
        .count = step,
        .said_bytes_max = REFUSAL_BYTES_MAX,
        .ok_bytes_min = FRAME_SNAPSHOT_HEAD_BYTES,
        .ok_bytes_max = FRAME_SNAPSHOT_HEAD_BYTES + FRAME_SNAPSHOT_PIECE_BYTES_MAX,
        .take = take_piece,
        .taker = taking,
    };
    return client_ask(client, &request, "snapshot", NULL);
}

enum farpage_status farpage_snapshot_begin(struct farpage *client,
                                           void (*take)(void *context, const void *bytes,
                                                        size_t size),
                                           void *context, struct farpage_snapshot_piece *piece)
{
    struct taking taking = {take, context, piece};
    return ask(client, FRAME_SNAPSHOT_BEGIN, &taking);
}

enum farpage_status farpage_snapshot_next(struct farpage *client,
                                          void (*take)(void *context, const void *bytes,
                                                       size_t size),
                                          void *context, struct farpage_snapshot_piece *piece)
{
    struct taking taking = {take, context, piece};
    return ask(client, FRAME_SNAPSHOT_NEXT, &taking);
}

enum farpage_status farpage_snapshot_end(struct farpage *client)
{
    if (client == NULL) return FARPAGE_INVALID;
    struct op_request request = {.opcode = FRAME_SNAPSHOT,
                                 .count = FRAME_SNAPSHOT_END,
                                 .said_bytes_max = REFUSAL_BYTES_MAX};
    return client_ask(client, &request, "snapshot", NULL);
}
