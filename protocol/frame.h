/* SPDX-License-Identifier: BSD-3-Clause
 * frame - the farpage page protocol, version 1: one fixed header, then at most one body.
 *
 * The tables of docs/protocol.md are the specification; this is their C form, used by both sides.
 * Numbers on the wire are big-endian; in these structures they are the host's.
 *
 * Pure: no I/O, no heap, no lock, no clock. Bytes are believed only after the header's own
 * checksum holds, and a body only after its checksum does.
 */
#ifndef FARPAGE_PROTOCOL_FRAME_H
#define FARPAGE_PROTOCOL_FRAME_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attrs.h"
#include "base/slice.h"
#include "protocol/frame_table.h"

enum {
    FRAME_VERSION = 1,
    FRAME_HEADER_BYTES = 40,
    FRAME_MAGIC_REQUEST = 0xFA, /* not a first byte of text, of memcached's binary (0x80) or TLS */
    FRAME_MAGIC_REPLY = 0xFB,
    FRAME_BOOT_ID_BYTES = 16,
    FRAME_HELLO_BYTES = 8,
    FRAME_WELCOME_BYTES = 40,
    FRAME_OPEN_BYTES = 80,   /* before the name */
    FRAME_OPENED_BYTES = 48,
    FRAME_CLIENT_ID_BYTES = 16,
};

enum frame_open_flags {
    FRAME_OPEN_CREATE = 1u << 0,    /* where it does not exist */
    FRAME_OPEN_SHARED = 1u << 1,    /* others may have it open, too */
    FRAME_OPEN_TRANSIENT = 1u << 2, /* it ends with the last session that has it open */
    FRAME_OPEN_ZEROS = 1u << 3,     /* absent slots load as zeros, in this session */
    FRAME_OPEN_EXPECT = 1u << 4,    /* it must be the very area that boot id and generation name */
    FRAME_OPEN_DRAIN = 1u << 5,     /* beside all others, to take its pages away; frame_drain.h */
    FRAME_OPEN_FLAGS = (1u << 6) - 1,
};

/* OFFSET SIZE MEANING, as on the wire:
 *      0    1 magic      FRAME_MAGIC_REQUEST or FRAME_MAGIC_REPLY
 *      1    1 opcode     of the request; a reply repeats it
 *      2    2 status     0 in a request; enum frame_status in a reply
 *      4    4 tag        the client's choice; the reply repeats it
 *      8    8 slot       first slot; other use where the request's table says so
 *     16    4 area       number the server gave the area on this connection; 0 where none
 *     20    4 count      slots, from `slot` on; 0 where none
 *     24    4 body_bytes what follows this header
 *     28    4 body_crc   CRC32C of the body; 0 where it is empty
 *     32    4 reserved   0
 *     36    4 header_crc CRC32C of bytes 0 to 35
 */
struct frame {
    uint8_t magic;
    uint8_t opcode;
    uint16_t status;
    uint32_t tag;
    uint64_t slot;
    uint32_t area;
    uint32_t count;
    uint32_t body_bytes;
    uint32_t body_crc;
};

void frame_encode(const struct frame *frame, uint8_t header[FRAME_HEADER_BYTES]) FP_NONNULL(1, 2);

/* False where the magic is not `magic`, the header's checksum fails or a reserved field is set:
 * framing is lost then, and the connection must end. *frame is written on true only. */
bool frame_decode(const uint8_t header[FRAME_HEADER_BYTES], uint8_t magic, struct frame *frame)
    FP_MUST_CHECK FP_NONNULL(1, 3);

/* True where a request's header is 0 in what its opcode does not use. */
bool frame_fields_good(const struct frame *frame) FP_MUST_CHECK FP_NONNULL(1);
bool frame_uses_area(uint8_t opcode) FP_MUST_CHECK;

/* True where the body has the length and the checksum its header promises. */
bool frame_body_good(const struct frame *frame, struct slice body) FP_MUST_CHECK FP_NONNULL(1);

enum frame_features {
    FRAME_FEATURE_PACKED = 1u << 0,  /* pages may travel packed; frame_batch.h */
    FRAME_FEATURE_NOTICES = 1u << 1, /* the server may say UNUSE; frame_drain.h */
};

/* HELLO's body:  0 2 lowest version, 2 2 highest version, 4 4 features the client knows. */
struct frame_hello {
    uint16_t version_lowest, version_highest;
    uint32_t features;
};
void frame_hello_encode(const struct frame_hello *hello, uint8_t body[FRAME_HELLO_BYTES])
    FP_NONNULL(1, 2);
bool frame_hello_decode(struct slice body, struct frame_hello *hello) FP_MUST_CHECK FP_NONNULL(2);

/* HELLO's reply: 0 2 version, 2 2 reserved 0, 4 4 features, 8 16 boot id, 24 4 page bytes,
 *                28 4 largest request body, 32 4 requests taken ahead, 36 4 codecs. */
struct frame_welcome {
    uint16_t version;
    uint32_t features;
    uint8_t boot_id[FRAME_BOOT_ID_BYTES]; /* random at every start: a new one means all is lost */
    uint32_t page_bytes;
    uint32_t body_bytes_max;
    uint32_t requests_ahead_max; /* more in flight is allowed, but the server stops reading */
    uint32_t codecs;             /* a bit for each enum frame_codec it accepts; 0 unless packed */
};
void frame_welcome_encode(const struct frame_welcome *welcome, uint8_t body[FRAME_WELCOME_BYTES])
    FP_NONNULL(1, 2);
bool frame_welcome_decode(struct slice body, struct frame_welcome *welcome)
    FP_MUST_CHECK FP_NONNULL(2);

/* OPEN's body: 0 4 flags, 4 4 page bytes, 8 8 slots, 16 8 quota pages, 24 8 quota bytes,
 * 32 16 boot id, 48 8 generation, 56 16 client id, 72 8 reserved 0, 80 .. name: the rest of the
 * body, 1 to AREA_NAME_BYTES_MAX bytes. */
struct frame_open {
    uint32_t flags;       /* enum frame_open_flags */
    uint32_t page_bytes;  /* 0: as it is; of a new one: the server's */
    uint64_t slots;       /* 0: as it is */
    uint64_t quota_pages; /* of a new one; 0: none */
    uint64_t quota_bytes; /* of its objects, packed */
    uint8_t boot_id[FRAME_BOOT_ID_BYTES]; /* with FRAME_OPEN_EXPECT, and so is generation */
    uint64_t generation;
    uint8_t client_id[FRAME_CLIENT_ID_BYTES]; /* random, the client's own; zeros: none */
    uint64_t reserved;
    struct slice name; /* borrowed from the body */
};
/* Writes FRAME_OPEN_BYTES and the name; returns how many bytes that is. */
size_t frame_open_encode(const struct frame_open *open, uint8_t *body) FP_NONNULL(1, 2);
bool frame_open_decode(struct slice body, struct frame_open *open) FP_MUST_CHECK FP_NONNULL(2);

/* OPEN's reply (header: area = its number here): 0 8 slots, 8 4 page bytes, 12 4 dictionary id,
 * 16 8 generation, 24 1 codec, 25 1 reserved 0, 26 2 level, 28 4 flags, 32 8 stored pages,
 * 40 8 reserved 0. */
struct frame_opened {
    uint64_t slots;
    uint32_t page_bytes;
    uint32_t dictionary_id; /* what the area's pages are packed with; 0: none */
    uint64_t generation;    /* of the area; with the boot id it names this very area */
    uint8_t codec;          /* enum frame_codec: what the server packs with now, a hint */
    int16_t level;
    uint32_t flags; /* enum frame_open_flags, as it is open now */
    uint64_t stored;
};
void frame_opened_encode(const struct frame_opened *opened, uint8_t body[FRAME_OPENED_BYTES])
    FP_NONNULL(1, 2);
bool frame_opened_decode(struct slice body, struct frame_opened *opened)
    FP_MUST_CHECK FP_NONNULL(2);

/* 1 to AREA_NAME_BYTES_MAX letters, digits and . _ - /, the first a letter or digit. */
bool frame_area_name_good(struct slice name) FP_MUST_CHECK;

/* The one request and the one status beside FRAME_OK that go with a body in the reply: COMMAND's
 * answer is lines, each ended by "\n"; its refusal a sentence without an end. */

bool frame_status_known(uint16_t status) FP_MUST_CHECK;
const char *frame_status_text(uint16_t status); /* "absent"; "unknown status" where it is none */
const char *frame_opcode_text(uint8_t opcode);  /* "store"; NULL where it is none */

/* Of a request for several pages; the count of its replies is how many are still to come. */
static inline bool frame_is_batch(uint8_t opcode)
{
    return opcode >= FRAME_STORE_BATCH && opcode <= FRAME_INVALIDATE_BATCH;
}

#endif
