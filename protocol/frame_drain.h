/* SPDX-License-Identifier: BSD-3-Clause
 * frame_drain - what is said when pages leave a server: the bodies of STORED, DRAIN and `moved`.
 *
 * Pure, as frame.h. The tables of docs/protocol.md are the specification.
 */
#ifndef FARPAGE_PROTOCOL_FRAME_DRAIN_H
#define FARPAGE_PROTOCOL_FRAME_DRAIN_H
#include "protocol/frame.h"
#include "protocol/limits.h"

enum {
    FRAME_ROW_SLOTS = 1024,
    FRAME_ROW_BYTES = 16 + FRAME_ROW_SLOTS / 8,
    FRAME_ROWS_MAX = 64, /* in one reply to STORED */
    FRAME_STORED_BYTES = 8, /* before the rows: the slot to go on with; all slots: done */
    FRAME_MOVED_BYTES = FRAME_BOOT_ID_BYTES + 8, /* before the address */
    FRAME_ASKED_BYTES = 24,
};

/* DRAIN's count: what is wanted of the area. */
enum frame_drain {
    FRAME_DRAIN_SERVE = 0,  /* stores are taken again */
    FRAME_DRAIN_FREEZE = 1, /* stores and invalidations are answered `draining`, loads go on */
    FRAME_DRAIN_FINISH = 2, /* body: where the pages are now; every request is answered `moved` */
    FRAME_DRAIN_ASK = 3,    /* slot: seconds; the sessions that have it open are to take them */
    FRAME_DRAIN_LOOK = 4,   /* what they said */
};

/* A row of STORED's reply: 0 8 first slot, 8 4 changes, 12 4 slots used, 16 128 a bit for each
 * slot, the lowest of a byte first. A copy made after it was told is good while `changes` stays. */
struct frame_row {
    uint64_t first;
    uint32_t changes, used_slots;
    const uint8_t *used; /* FRAME_ROW_SLOTS / 8 bytes, borrowed */
};
void frame_row_encode(const struct frame_row *row, uint8_t *at) FP_NONNULL(1, 2);
/* False: no such row is possible. *row borrows from `at`, FRAME_ROW_BYTES long. */
bool frame_row_decode(const uint8_t *at, struct frame_row *row) FP_MUST_CHECK FP_NONNULL(1, 2);
void frame_stored_encode(uint64_t next, uint8_t body[FRAME_STORED_BYTES]) FP_NONNULL(2);
/* How many whole rows follow; false where the body is no such reply. */
bool frame_stored_decode(struct slice body, uint64_t *next, uint32_t *rows) FP_MUST_CHECK
    FP_NONNULL(2, 3);
static inline bool frame_row_has(const struct frame_row *row, uint32_t index)
{
    return (row->used[index / 8] >> index % 8 & 1) != 0;
}

/* The body of DRAIN's FINISH and of a reply `moved`: 0 16 boot id, 16 8 generation, 24 .. address,
 * 1 to MOVED_ADDRESS_BYTES_MAX printable bytes: "HOST:PORT", "unix:/PATH" or "file:NAME". */
struct frame_moved {
    uint8_t boot_id[FRAME_BOOT_ID_BYTES]; /* with the generation: which area it is there; */
    uint64_t generation;                  /* zeros where it is no server's */
    struct slice address;                 /* borrowed */
};
size_t frame_moved_encode(const struct frame_moved *moved, uint8_t *body) FP_NONNULL(1, 2);
bool frame_moved_decode(struct slice body, struct frame_moved *moved) FP_MUST_CHECK FP_NONNULL(2);

/* The reply to ASK and LOOK: 0 8 pages stored, 8 4 sessions asked, 12 4 of them will take the
 * pages, 16 4 will not, 20 4 reserved 0. */
struct frame_asked {
    uint64_t stored;
    uint32_t asked, willing, refused;
};
void frame_asked_encode(const struct frame_asked *asked, uint8_t body[FRAME_ASKED_BYTES])
    FP_NONNULL(1, 2);
bool frame_asked_decode(struct slice body, struct frame_asked *asked) FP_MUST_CHECK FP_NONNULL(2);

#endif
