/* SPDX-License-Identifier: BSD-3-Clause */
#include "protocol/frame_map.h"

#include "protocol/bigendian.h"

void frame_map_encode(uint32_t lease_s, uint8_t body[FRAME_MAP_BYTES])
{
    put32(body, lease_s);
    put32(body + 4, 0);
}

bool frame_map_decode(struct slice body, uint32_t *lease_s)
{
    if (body.size_bytes != FRAME_MAP_BYTES || get32(body.bytes + 4) != 0) return false;
    *lease_s = get32(body.bytes);
    return true;
}

void frame_mapped_encode(const struct frame_mapped *mapped, uint8_t body[FRAME_MAPPED_BYTES])
{
    put64(body, mapped->id);
    put32(body + 8, mapped->bytes);
    put32(body + 12, mapped->lease_s);
}

bool frame_mapped_decode(struct slice body, struct frame_mapped *mapped)
{
    if (body.size_bytes != FRAME_MAPPED_BYTES) return false;
    *mapped = (struct frame_mapped){.id = get64(body.bytes),
                                    .bytes = get32(body.bytes + 8),
                                    .lease_s = get32(body.bytes + 12)};
    return true;
}

void frame_mread_encode(const struct frame_map_range *range, uint8_t body[FRAME_MAP_RANGE_BYTES])
{
    put32(body, range->offset);
    put32(body + 4, range->bytes);
}

bool frame_mread_decode(struct slice body, struct frame_map_range *range)
{
    if (body.size_bytes != FRAME_MAP_RANGE_BYTES) return false;
    *range = (struct frame_map_range){.offset = get32(body.bytes), .bytes = get32(body.bytes + 4)};
    return true;
}

void frame_mwrite_encode(uint32_t offset, uint8_t body[FRAME_MAP_RANGE_BYTES])
{
    put32(body, offset);
    put32(body + 4, 0);
}

bool frame_mwrite_decode(struct slice body, uint32_t *offset, struct slice *bytes)
{
    if (body.size_bytes < FRAME_MAP_RANGE_BYTES || get32(body.bytes + 4) != 0) return false;
    *offset = get32(body.bytes);
    *bytes = slice_of(body.bytes + FRAME_MAP_RANGE_BYTES,
                      body.size_bytes - FRAME_MAP_RANGE_BYTES);
    return true;
}
