/* SPDX-License-Identifier: BSD-3-Clause */
#include "protocol/frame_drain.h"

#include "protocol/bigendian.h"

void frame_row_encode(const struct frame_row *row, uint8_t *at)
{
    put64(at, row->first);
    put32(at + 8, row->changes);
    put32(at + 12, row->used_slots);
    memcpy(at + 16, row->used, FRAME_ROW_SLOTS / 8);
}

void frame_stored_encode(uint64_t next, uint8_t body[FRAME_STORED_BYTES])
{
    put64(body, next);
}

bool frame_stored_decode(struct slice body, uint64_t *next, uint32_t *rows)
{
    if (body.size_bytes < FRAME_STORED_BYTES) return false;
    size_t rest = body.size_bytes - FRAME_STORED_BYTES;
    if (rest % FRAME_ROW_BYTES != 0 || rest / FRAME_ROW_BYTES > FRAME_ROWS_MAX) return false;
    *next = get64(body.bytes);
    *rows = (uint32_t)(rest / FRAME_ROW_BYTES);
    return true;
}

static uint32_t bits_of(const uint8_t *bytes, size_t size_bytes)
{
    uint32_t count = 0;
    for (size_t i = 0; i < size_bytes; i++) count += (uint32_t)__builtin_popcount(bytes[i]);
    return count;
}

bool frame_row_decode(const uint8_t *at, struct frame_row *row)
{
    *row = (struct frame_row){.first = get64(at),
                              .changes = get32(at + 8),
                              .used_slots = get32(at + 12),
                              .used = at + 16};
    return row->first % FRAME_ROW_SLOTS == 0 && row->first < AREA_SLOTS_MAX &&
           row->used_slots == bits_of(row->used, FRAME_ROW_SLOTS / 8);
}

size_t frame_moved_encode(const struct frame_moved *moved, uint8_t *body)
{
    memcpy(body, moved->boot_id, FRAME_BOOT_ID_BYTES);
    put64(body + FRAME_BOOT_ID_BYTES, moved->generation);
    memcpy(body + FRAME_MOVED_BYTES, moved->address.bytes, moved->address.size_bytes);
    return FRAME_MOVED_BYTES + moved->address.size_bytes;
}

static bool is_printable(struct slice text)
{
    for (size_t i = 0; i < text.size_bytes; i++)
        if (text.bytes[i] <= ' ' || text.bytes[i] >= 0x7f) return false;
    return true;
}

bool frame_moved_decode(struct slice body, struct frame_moved *moved)
{
    if (body.size_bytes <= FRAME_MOVED_BYTES) return false;
    if (body.size_bytes > FRAME_MOVED_BYTES + MOVED_ADDRESS_BYTES_MAX) return false;
    memcpy(moved->boot_id, body.bytes, FRAME_BOOT_ID_BYTES);
    moved->generation = get64(body.bytes + FRAME_BOOT_ID_BYTES);
    moved->address =
        slice_of(body.bytes + FRAME_MOVED_BYTES, body.size_bytes - FRAME_MOVED_BYTES);
    return is_printable(moved->address);
}

void frame_asked_encode(const struct frame_asked *asked, uint8_t body[FRAME_ASKED_BYTES])
{
    put64(body, asked->stored);
    put32(body + 8, asked->asked);
    put32(body + 12, asked->willing);
    put32(body + 16, asked->refused);
    put32(body + 20, 0);
}

bool frame_asked_decode(struct slice body, struct frame_asked *asked)
{
    if (body.size_bytes != FRAME_ASKED_BYTES) return false;
    *asked = (struct frame_asked){.stored = get64(body.bytes),
                                  .asked = get32(body.bytes + 8),
                                  .willing = get32(body.bytes + 12),
                                  .refused = get32(body.bytes + 16)};
    return get32(body.bytes + 20) == 0;
}
