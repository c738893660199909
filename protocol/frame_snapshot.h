/* SPDX-License-Identifier: BSD-3-Clause
 * frame_snapshot - how a snapshot is asked for, piece by piece, on one connection.
 *
 * Pure, as frame.h. The tables of docs/protocol.md are the specification.
 */
#ifndef FARPAGE_PROTOCOL_FRAME_SNAPSHOT_H
#define FARPAGE_PROTOCOL_FRAME_SNAPSHOT_H
#include "protocol/frame.h"

/* SNAPSHOT's count: what is wanted. */
enum frame_snapshot_step {
    FRAME_SNAPSHOT_BEGIN = 0, /* now: its pages are those of this moment */
    FRAME_SNAPSHOT_NEXT = 1,  /* some of its bytes, those that are there */
    FRAME_SNAPSHOT_END = 2,   /* no more of it is wanted */
};

enum {
    FRAME_SNAPSHOT_HEAD_BYTES = 24, /* before the snapshot's own */
    FRAME_SNAPSHOT_PIECE_BYTES_MAX = 64 << 10, /* some 20 us of a worker */
};

/* The reply to each but END: 0 8 pages and items there were to write, 8 8 written so far,
 * 16 4 1 where it is complete with this piece, else 0, 20 4 reserved 0, 24 .. the piece. */
struct frame_snapshot {
    uint64_t todo, done;
    bool complete;
};
void frame_snapshot_encode(const struct frame_snapshot *snapshot,
                           uint8_t head[FRAME_SNAPSHOT_HEAD_BYTES]) FP_NONNULL(1, 2);
/* False: the body is no such reply. *piece borrows from it. */
bool frame_snapshot_decode(struct slice body, struct frame_snapshot *snapshot, struct slice *piece)
    FP_MUST_CHECK FP_NONNULL(2, 3);

#endif
