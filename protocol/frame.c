/* SPDX-License-Identifier: BSD-3-Clause */
#include "protocol/frame.h"

#include "base/crc32c.h"
#include "protocol/bigendian.h"
#include "protocol/limits.h"

void frame_encode(const struct frame *frame, uint8_t header[FRAME_HEADER_BYTES])
{
    header[0] = frame->magic;
    header[1] = frame->opcode;
    put16(header + 2, frame->status);
    put32(header + 4, frame->tag);
    put64(header + 8, frame->slot);
    put32(header + 16, frame->area);
    put32(header + 20, frame->count);
    put32(header + 24, frame->body_bytes);
    put32(header + 28, frame->body_crc);
    put32(header + 32, 0);
    put32(header + 36, crc32c(header, 36));
}

bool frame_decode(const uint8_t header[FRAME_HEADER_BYTES], uint8_t magic, struct frame *frame)
{
    if (header[0] != magic || get32(header + 36) != crc32c(header, 36)) return false;
    if (get32(header + 32) != 0) return false;
    if (magic == FRAME_MAGIC_REQUEST && get16(header + 2) != 0) return false;
    *frame = (struct frame){
        .magic = header[0],
        .opcode = header[1],
        .status = get16(header + 2),
        .tag = get32(header + 4),
        .slot = get64(header + 8),
        .area = get32(header + 16),
        .count = get32(header + 20),
        .body_bytes = get32(header + 24),
        .body_crc = get32(header + 28),
    };
    return true;
}

static unsigned fields_of(uint8_t opcode)
{
    static const uint8_t uses[] = {
#define X(number, name, text, fields, meaning) [number] = (uint8_t)(fields),
        FRAME_OPCODES(X)
#undef X
    };
    return opcode < FP_COUNT_OF(uses) ? uses[opcode] : FRAME_USES_NONE;
}

bool frame_uses_area(uint8_t opcode)
{
    return (fields_of(opcode) & FRAME_USES_AREA) != 0;
}

bool frame_fields_good(const struct frame *frame)
{
    unsigned used = fields_of(frame->opcode);
    if ((used & FRAME_USES_SLOT) == 0 && frame->slot != 0) return false;
    if ((used & FRAME_USES_AREA) == 0 && frame->area != 0) return false;
    if ((used & FRAME_USES_ONE) != 0) return frame->count == 1;
    return (used & FRAME_USES_COUNT) != 0 || frame->count == 0;
}

bool frame_body_good(const struct frame *frame, struct slice body)
{
    return body.size_bytes == frame->body_bytes &&
           frame->body_crc == crc32c(body.bytes, body.size_bytes);
}

void frame_hello_encode(const struct frame_hello *hello, uint8_t body[FRAME_HELLO_BYTES])
{
    put16(body, hello->version_lowest);
    put16(body + 2, hello->version_highest);
    put32(body + 4, hello->features);
}

bool frame_hello_decode(struct slice body, struct frame_hello *hello)
{
    if (body.size_bytes != FRAME_HELLO_BYTES) return false;
    *hello = (struct frame_hello){.version_lowest = get16(body.bytes),
                                  .version_highest = get16(body.bytes + 2),
                                  .features = get32(body.bytes + 4)};
    return true;
}

void frame_welcome_encode(const struct frame_welcome *welcome, uint8_t body[FRAME_WELCOME_BYTES])
{
    put16(body, welcome->version);
    put16(body + 2, 0);
    put32(body + 4, welcome->features);
    memcpy(body + 8, welcome->boot_id, FRAME_BOOT_ID_BYTES);
    put32(body + 24, welcome->page_bytes);
    put32(body + 28, welcome->body_bytes_max);
    put32(body + 32, welcome->requests_ahead_max);
    put32(body + 36, welcome->codecs);
}

bool frame_welcome_decode(struct slice body, struct frame_welcome *welcome)
{
    if (body.size_bytes != FRAME_WELCOME_BYTES) return false;
    *welcome = (struct frame_welcome){.version = get16(body.bytes),
                                      .features = get32(body.bytes + 4),
                                      .page_bytes = get32(body.bytes + 24),
                                      .body_bytes_max = get32(body.bytes + 28),
                                      .requests_ahead_max = get32(body.bytes + 32),
                                      .codecs = get32(body.bytes + 36)};
    memcpy(welcome->boot_id, body.bytes + 8, FRAME_BOOT_ID_BYTES);
    return true;
}

size_t frame_open_encode(const struct frame_open *open, uint8_t *body)
{
    put32(body, open->flags);
    put32(body + 4, open->page_bytes);
    put64(body + 8, open->slots);
    put64(body + 16, open->quota_pages);
    put64(body + 24, open->quota_bytes);
    memcpy(body + 32, open->boot_id, FRAME_BOOT_ID_BYTES);
    put64(body + 48, open->generation);
    memcpy(body + 56, open->client_id, FRAME_CLIENT_ID_BYTES);
    put64(body + 72, open->reserved);
    memcpy(body + FRAME_OPEN_BYTES, open->name.bytes, open->name.size_bytes);
    return FRAME_OPEN_BYTES + open->name.size_bytes;
}

bool frame_open_decode(struct slice body, struct frame_open *open)
{
    if (body.size_bytes <= FRAME_OPEN_BYTES) return false;
    if (body.size_bytes > FRAME_OPEN_BYTES + AREA_NAME_BYTES_MAX) return false;
    *open = (struct frame_open){
        .flags = get32(body.bytes),
        .page_bytes = get32(body.bytes + 4),
        .slots = get64(body.bytes + 8),
        .quota_pages = get64(body.bytes + 16),
        .quota_bytes = get64(body.bytes + 24),
        .generation = get64(body.bytes + 48),
        .reserved = get64(body.bytes + 72),
        .name = slice_of(body.bytes + FRAME_OPEN_BYTES, body.size_bytes - FRAME_OPEN_BYTES)};
    memcpy(open->boot_id, body.bytes + 32, FRAME_BOOT_ID_BYTES);
    memcpy(open->client_id, body.bytes + 56, FRAME_CLIENT_ID_BYTES);
    return true;
}

void frame_opened_encode(const struct frame_opened *opened, uint8_t body[FRAME_OPENED_BYTES])
{
    put64(body, opened->slots);
    put32(body + 8, opened->page_bytes);
    put32(body + 12, opened->dictionary_id);
    put64(body + 16, opened->generation);
    body[24] = opened->codec;
    body[25] = 0;
    put16(body + 26, (uint16_t)opened->level);
    put32(body + 28, opened->flags);
    put64(body + 32, opened->stored);
    put64(body + 40, 0);
}

bool frame_opened_decode(struct slice body, struct frame_opened *opened)
{
    if (body.size_bytes != FRAME_OPENED_BYTES) return false;
    *opened = (struct frame_opened){.slots = get64(body.bytes),
                                    .page_bytes = get32(body.bytes + 8),
                                    .dictionary_id = get32(body.bytes + 12),
                                    .generation = get64(body.bytes + 16),
                                    .codec = body.bytes[24],
                                    .level = (int16_t)get16(body.bytes + 26),
                                    .flags = get32(body.bytes + 28),
                                    .stored = get64(body.bytes + 32)};
    return true;
}

static bool is_alphanumeric(uint8_t c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

bool frame_area_name_good(struct slice name)
{
    if (name.size_bytes == 0 || name.size_bytes > AREA_NAME_BYTES_MAX) return false;
    if (!is_alphanumeric(name.bytes[0])) return false;
    for (size_t i = 0; i < name.size_bytes; i++) {
        uint8_t c = name.bytes[i];
        if (!is_alphanumeric(c) && c != '.' && c != '_' && c != '-' && c != '/') return false;
    }
    return true;
}

static const char *const status_texts[] = { /* NULL: a number without a meaning yet */
#define X(number, name, text, meaning) [number] = text,
    FRAME_STATUSES(X)
#undef X
};

bool frame_status_known(uint16_t status)
{
    return status < FP_COUNT_OF(status_texts) && status_texts[status] != NULL;
}

const char *frame_status_text(uint16_t status)
{
    return frame_status_known(status) ? status_texts[status] : "unknown status";
}

const char *frame_opcode_text(uint8_t opcode)
{
    static const char *const texts[] = {
#define X(number, name, text, fields, meaning) [number] = text,
        FRAME_OPCODES(X)
#undef X
    };
    return opcode < FP_COUNT_OF(texts) ? texts[opcode] : NULL;
}
