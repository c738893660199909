/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Frames: any bytes as a header, believed only with its checksum, and as each kind of body.
 *   - what is decoded and encoded again is the same bytes (so nothing on the wire is ignored,
 *     save fields that the tables call reserved, which must be 0 in a header);
 *   - a header with one bit changed is refused;
 *   - no decoder looks outside its slice, and the slices it hands out lie within it. */
#include "base/crc32c.h"
#include "fuzz.h"
#include "protocol/frame.h"
#include "protocol/limits.h"

enum { CRC_OFFSET = 36 };

static void seal(uint8_t header[FRAME_HEADER_BYTES])
{
    uint32_t crc = crc32c(header, CRC_OFFSET);
    for (int i = 0; i < 4; i++) header[CRC_OFFSET + i] = (uint8_t)(crc >> (24 - 8 * i));
}

static void try_header(const uint8_t *bytes, uint8_t magic)
{
    struct slice header = tight_create(bytes, FRAME_HEADER_BYTES);
    struct frame frame;
    if (frame_decode(header.bytes, magic, &frame)) {
        uint8_t again[FRAME_HEADER_BYTES];
        frame_encode(&frame, again);
        fp_assert(memcmp(header.bytes, again, sizeof again) == 0);
        fp_assert(frame.magic == magic);
        fp_assert(magic != FRAME_MAGIC_REQUEST || frame.status == 0);
        fp_assert(frame_status_text(frame.status) != NULL);
        unsigned bit = (bytes[5] * 256u + bytes[9]) % (FRAME_HEADER_BYTES * 8u);
        again[bit / 8] ^= (uint8_t)(1u << bit % 8);
        fp_assert(!frame_decode(again, magic, &frame));
    }
    tight_destroy(&header);
}

static void try_bodies(struct slice body)
{
    struct frame_hello hello;
    if (frame_hello_decode(body, &hello)) {
        uint8_t again[FRAME_HELLO_BYTES];
        frame_hello_encode(&hello, again);
        fp_assert(slice_equal(body, slice_of(again, sizeof again)));
    }
    struct frame_welcome welcome;
    if (frame_welcome_decode(body, &welcome)) {
        uint8_t again[FRAME_WELCOME_BYTES];
        frame_welcome_encode(&welcome, again);
        fp_assert(memcmp(body.bytes + 4, again + 4, FRAME_WELCOME_BYTES - 8) == 0);
    }
    struct frame_open open;
    if (frame_open_decode(body, &open)) {
        uint8_t again[FRAME_OPEN_BYTES + AREA_NAME_BYTES_MAX];
        fp_assert(open.name.size_bytes <= AREA_NAME_BYTES_MAX);
        fp_assert(open.name.bytes + open.name.size_bytes == body.bytes + body.size_bytes);
        size_t size_bytes = frame_open_encode(&open, again);
        fp_assert(slice_equal(body, slice_of(again, size_bytes)));
        if (frame_area_name_good(open.name))
            fp_assert(memchr(open.name.bytes, '\0', open.name.size_bytes) == NULL);
    }
    struct frame_opened opened;
    if (frame_opened_decode(body, &opened)) {
        uint8_t again[FRAME_OPENED_BYTES];
        frame_opened_encode(&opened, again);
        fp_assert(memcmp(body.bytes, again, 25) == 0);
        fp_assert(memcmp(body.bytes + 26, again + 26, 14) == 0);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size_bytes)
{
    if (size_bytes < FRAME_HEADER_BYTES) {
        struct slice body = tight_create(data, size_bytes);
        try_bodies(body);
        (void)!frame_area_name_good(body);
        tight_destroy(&body);
        return 0;
    }
    try_header(data, FRAME_MAGIC_REQUEST);
    try_header(data, FRAME_MAGIC_REPLY);
    uint8_t sealed[FRAME_HEADER_BYTES]; /* no mutation finds a checksum: give it one */
    memcpy(sealed, data, sizeof sealed);
    seal(sealed);
    try_header(sealed, FRAME_MAGIC_REQUEST);
    try_header(sealed, FRAME_MAGIC_REPLY);

    struct slice body =
        tight_create(data + FRAME_HEADER_BYTES, size_bytes - FRAME_HEADER_BYTES);
    struct frame frame;
    if (frame_decode(sealed, FRAME_MAGIC_REQUEST, &frame) && frame_body_good(&frame, body))
        fp_assert(frame.body_bytes == body.size_bytes);
    try_bodies(body);
    tight_destroy(&body);
    return 0;
}
