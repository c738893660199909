/* SPDX-License-Identifier: BSD-3-Clause */
#include "protocol/frame_snapshot.h"

#include "protocol/bigendian.h"

void frame_snapshot_encode(const struct frame_snapshot *snapshot,
                           uint8_t head[FRAME_SNAPSHOT_HEAD_BYTES])
{
    put64(head, snapshot->todo);
    put64(head + 8, snapshot->done);
    put32(head + 16, snapshot->complete);
    put32(head + 20, 0);
}

bool frame_snapshot_decode(struct slice body, struct frame_snapshot *snapshot, struct slice *piece)
{
    if (body.size_bytes < FRAME_SNAPSHOT_HEAD_BYTES ||
        body.size_bytes > FRAME_SNAPSHOT_HEAD_BYTES + FRAME_SNAPSHOT_PIECE_BYTES_MAX)
        return false;
    uint32_t complete = get32(body.bytes + 16);
    *snapshot = (struct frame_snapshot){.todo = get64(body.bytes),
                                        .done = get64(body.bytes + 8),
                                        .complete = complete == 1};
    *piece = slice_of(body.bytes + FRAME_SNAPSHOT_HEAD_BYTES,
                      body.size_bytes - FRAME_SNAPSHOT_HEAD_BYTES);
    return complete <= 1 && get32(body.bytes + 20) == 0;
}
