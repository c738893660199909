/* SPDX-License-Identifier: BSD-3-Clause
 * frame_batch - many pages in one frame, and pages that travel packed.
 *
 * STORE BATCH's body is entries, each with a check of its own, so that they can be believed one by
 * one as they arrive; LOAD BATCH's and INVALIDATE BATCH's are lists of slots; a page in a LOAD
 * BATCH's reply may be packed. The tables of docs/protocol.md are the specification.
 *
 * Pure, as frame.h.
 */
#ifndef FARPAGE_PROTOCOL_FRAME_BATCH_H
#define FARPAGE_PROTOCOL_FRAME_BATCH_H
#include "protocol/frame.h"
#include "protocol/limits.h"

enum {
    FRAME_BATCH_MAX = 256,   /* pages in one frame */
    FRAME_ENTRY_BYTES = 28,  /* before an entry's own bytes */
    FRAME_SLOTS_BYTES = 8,   /* before the slots */
    FRAME_SLOTS_MAX_BYTES = FRAME_SLOTS_BYTES + 8 * FRAME_BATCH_MAX,
    FRAME_PACKED_BYTES = 16, /* before the packed bytes of a reply */
    FRAME_WORD_BYTES = 8,
    FRAME_BATCH_BODY_BYTES_MAX = FRAME_BATCH_MAX * (FRAME_ENTRY_BYTES + PAGE_BYTES_MAX),
};

/* How a page travels. Levels do not matter for unpacking, dictionaries do.
 *   plain  the page as it is
 *   lz4    one lz4 block without a frame
 *   zstd   one bare compressed block (RFC 8878, section 3.1.1.2.3)
 *   word   8 bytes, which repeated are the page; no dictionary */
enum frame_codec {
    FRAME_CODEC_PLAIN,
    FRAME_CODEC_LZ4,
    FRAME_CODEC_ZSTD,
    FRAME_CODEC_WORD,
    FRAME_CODECS,
    FRAME_CODECS_ALL = (1u << FRAME_CODECS) - 1, /* a bit for each */
};

/* Of STORE BATCH: 0 8 slot, 8 4 page crc, 12 4 bytes, 16 1 codec, 17 3 reserved 0, 20 4 dictionary
 * id, 24 4 check, then the bytes. */
struct frame_entry {
    uint64_t slot;
    uint32_t page_crc;   /* CRC32C of the plain page */
    uint32_t size_bytes; /* what follows */
    uint8_t codec;       /* enum frame_codec, or beyond */
    bool reserved;       /* a reserved byte was not 0 */
    uint32_t dictionary_id; /* 0: none */
};
/* `bytes` are what follows: they are in the check, but for a plain page, which has its crc. */
void frame_entry_encode(const struct frame_entry *entry, const uint8_t *bytes,
                        uint8_t at[FRAME_ENTRY_BYTES]) FP_NONNULL(1, 2, 3);
/* Believe none of it before frame_entry_good, but to know how many bytes to wait for. */
void frame_entry_decode(const uint8_t at[FRAME_ENTRY_BYTES], struct frame_entry *entry)
    FP_NONNULL(1, 2);
/* Whether the entry at `at`, whose size_bytes are there too, is as it was sent; of a plain page,
 * its 28 bytes are. */
bool frame_entry_good(const uint8_t *at, const struct frame_entry *entry)
    FP_MUST_CHECK FP_NONNULL(1, 2);

/* Of LOAD BATCH and INVALIDATE BATCH: 0 4 flags, 4 4 reserved, then 8 for each slot. */
enum frame_load_flags { FRAME_LOAD_PACKED = 1u << 0 }; /* packed pages are welcome */
struct frame_slots {
    uint32_t flags;
    uint32_t count;
    const uint8_t *at; /* borrowed from the body */
};
/* Returns how many bytes of the body, FRAME_SLOTS_MAX_BYTES at most, it has written. */
size_t frame_slots_encode(uint32_t flags, const uint64_t *slots, uint32_t count, uint8_t *body)
    FP_NONNULL(2, 4);
/* False: `count`, of the header, is not 1 to FRAME_BATCH_MAX, or the body not as long as that. */
bool frame_slots_decode(struct slice body, uint32_t count, struct frame_slots *slots)
    FP_MUST_CHECK FP_NONNULL(3);
uint64_t frame_slots_at(const struct frame_slots *slots, uint32_t index) FP_NONNULL(1);

/* Of a reply whose status is `packed`: 0 1 codec, 1 3 reserved 0, 4 4 dictionary id, 8 4 page crc,
 * 12 4 reserved 0, then the packed bytes. */
struct frame_packed {
    uint8_t codec;
    uint32_t dictionary_id;
    uint32_t page_crc; /* the upper 30 bits of it; the others 0 */
};
void frame_packed_encode(const struct frame_packed *packed, uint8_t at[FRAME_PACKED_BYTES])
    FP_NONNULL(1, 2);
/* False: shorter than a byte of page, or a codec that packs nothing. *bytes are the packed ones. */
bool frame_packed_decode(struct slice body, struct frame_packed *packed, struct slice *bytes)
    FP_MUST_CHECK FP_NONNULL(2, 3);
#define FRAME_PACKED_CRC_MASK 0xfffffffcu

#endif
