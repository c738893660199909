/* SPDX-License-Identifier: BSD-3-Clause
 * frame_map - the bodies of map, mread and mwrite. Pure; see frame.h.
 */
#ifndef FARPAGE_PROTOCOL_FRAME_MAP_H
#define FARPAGE_PROTOCOL_FRAME_MAP_H
#include "protocol/frame.h"

enum {
    FRAME_MAP_BYTES = 8,
    FRAME_MAPPED_BYTES = 16,
    FRAME_MAP_RANGE_BYTES = 8, /* before the bytes of mwrite */
};
enum frame_map_mode { FRAME_MAP_RO = 1, FRAME_MAP_RW, FRAME_MAP_WO }; /* in the header's count */
enum frame_unmap { FRAME_UNMAP_PUBLISH, FRAME_UNMAP_DISCARD };        /* likewise */

/* MAP's body: 0 4 lease in seconds (0: the server's), 4 4 reserved 0. */
void frame_map_encode(uint32_t lease_s, uint8_t body[FRAME_MAP_BYTES]) FP_NONNULL(2);
bool frame_map_decode(struct slice body, uint32_t *lease_s) FP_MUST_CHECK FP_NONNULL(2);

/* MAP's reply: 0 8 map id, 8 4 bytes, 12 4 lease in seconds, rounded up (0: none). */
struct frame_mapped {
    uint64_t id; /* of this connection, and never used again on it */
    uint32_t bytes;
    uint32_t lease_s;
};
void frame_mapped_encode(const struct frame_mapped *mapped, uint8_t body[FRAME_MAPPED_BYTES])
    FP_NONNULL(1, 2);
bool frame_mapped_decode(struct slice body, struct frame_mapped *mapped)
    FP_MUST_CHECK FP_NONNULL(2);

/* MREAD's body: 0 4 offset, 4 4 bytes. MWRITE's: 0 4 offset, 4 4 reserved 0, then the bytes. */
struct frame_map_range {
    uint32_t offset;
    uint32_t bytes; /* wanted; of mwrite, how many follow */
};
void frame_mread_encode(const struct frame_map_range *range, uint8_t body[FRAME_MAP_RANGE_BYTES])
    FP_NONNULL(1, 2);
bool frame_mread_decode(struct slice body, struct frame_map_range *range)
    FP_MUST_CHECK FP_NONNULL(2);
void frame_mwrite_encode(uint32_t offset, uint8_t body[FRAME_MAP_RANGE_BYTES]) FP_NONNULL(2);
/* *bytes is borrowed from the body. */
bool frame_mwrite_decode(struct slice body, uint32_t *offset, struct slice *bytes)
    FP_MUST_CHECK FP_NONNULL(2, 3);

#endif
