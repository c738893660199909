/* SPDX-License-Identifier: BSD-3-Clause */
#include "protocol/frame_batch.h"

#include "base/crc32c.h"
#include "protocol/bigendian.h"

enum { CHECKED_BYTES = 24 }; /* of an entry, before its check */

/* The bytes of a packed entry follow the check, which is of all that stands around it. */
static uint32_t check_of(const uint8_t *at, const struct frame_entry *entry, const uint8_t *bytes)
{
    uint32_t check = crc32c(at, CHECKED_BYTES);
    return entry->codec == FRAME_CODEC_PLAIN ? check
                                             : crc32c_extend(check, bytes, entry->size_bytes);
}

void frame_entry_encode(const struct frame_entry *entry, const uint8_t *bytes,
                        uint8_t at[FRAME_ENTRY_BYTES])
{
    put64(at, entry->slot);
    put32(at + 8, entry->page_crc);
    put32(at + 12, entry->size_bytes);
    put32(at + 16, (uint32_t)entry->codec << 24);
    put32(at + 20, entry->dictionary_id);
    put32(at + 24, check_of(at, entry, bytes));
}

void frame_entry_decode(const uint8_t at[FRAME_ENTRY_BYTES], struct frame_entry *entry)
{
    *entry = (struct frame_entry){.slot = get64(at),
                                  .page_crc = get32(at + 8),
                                  .size_bytes = get32(at + 12),
                                  .codec = at[16],
                                  .reserved = (get32(at + 16) & 0xffffff) != 0,
                                  .dictionary_id = get32(at + 20)};
}

bool frame_entry_good(const uint8_t *at, const struct frame_entry *entry)
{
    return get32(at + CHECKED_BYTES) == check_of(at, entry, at + FRAME_ENTRY_BYTES);
}

size_t frame_slots_encode(uint32_t flags, const uint64_t *slots, uint32_t count, uint8_t *body)
{
    put32(body, flags);
    put32(body + 4, 0);
    for (uint32_t i = 0; i < count; i++) put64(body + FRAME_SLOTS_BYTES + i * 8, slots[i]);
    return FRAME_SLOTS_BYTES + (size_t)count * 8;
}

bool frame_slots_decode(struct slice body, uint32_t count, struct frame_slots *slots)
{
    if (count == 0 || count > FRAME_BATCH_MAX) return false;
    if (body.size_bytes != FRAME_SLOTS_BYTES + (size_t)count * 8) return false;
    *slots = (struct frame_slots){
        .flags = get32(body.bytes), .count = count, .at = body.bytes + FRAME_SLOTS_BYTES};
    return true;
}

uint64_t frame_slots_at(const struct frame_slots *slots, uint32_t index)
{
    return get64(slots->at + (size_t)index * 8);
}

void frame_packed_encode(const struct frame_packed *packed, uint8_t at[FRAME_PACKED_BYTES])
{
    put32(at, (uint32_t)packed->codec << 24);
    put32(at + 4, packed->dictionary_id);
    put32(at + 8, packed->page_crc & FRAME_PACKED_CRC_MASK);
    put32(at + 12, 0);
}

bool frame_packed_decode(struct slice body, struct frame_packed *packed, struct slice *bytes)
{
    if (body.size_bytes <= FRAME_PACKED_BYTES) return false;
    *packed = (struct frame_packed){.codec = body.bytes[0],
                                    .dictionary_id = get32(body.bytes + 4),
                                    .page_crc = get32(body.bytes + 8)};
    *bytes = slice_of(body.bytes + FRAME_PACKED_BYTES, body.size_bytes - FRAME_PACKED_BYTES);
    return packed->codec != FRAME_CODEC_PLAIN && packed->codec < FRAME_CODECS;
}
