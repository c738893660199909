/* SPDX-License-Identifier: BSD-3-Clause */
#include "protocol/nbd_option.h"

#include "protocol/bigendian.h"
#include "protocol/nbd.h"

#define GREETING_MAGIC 0x4e42444d41474943u /* NBDMAGIC */
#define OPTION_MAGIC 0x49484156454f5054u   /* IHAVEOPT */
#define REPLY_MAGIC 0x0003e889045565a9u

enum { IS_FIXED = 1 << 0, CAN_NO_ZEROES = 1 << 1 };

void nbd_greeting_encode(uint8_t out[NBD_GREETING_BYTES])
{
    put64(out, GREETING_MAGIC);
    put64(out + 8, OPTION_MAGIC);
    put16(out + 16, IS_FIXED | CAN_NO_ZEROES);
}

bool nbd_client_flags_decode(const uint8_t bytes[NBD_CLIENT_FLAGS_BYTES],
                             struct nbd_client_flags *flags)
{
    uint32_t wanted = get32(bytes);
    flags->fixed = (wanted & IS_FIXED) != 0;
    flags->no_zeroes = (wanted & CAN_NO_ZEROES) != 0;
    return (wanted & ~(uint32_t)(IS_FIXED | CAN_NO_ZEROES)) == 0;
}

bool nbd_option_decode(const uint8_t bytes[NBD_OPTION_HEAD_BYTES], struct nbd_option *option)
{
    if (get64(bytes) != OPTION_MAGIC) return false;
    *option = (struct nbd_option){.number = get32(bytes + 8), .length = get32(bytes + 12)};
    return true;
}

enum nbd_verdict nbd_option_verdict(enum nbd_state state, bool structured, uint32_t number)
{
    static const enum nbd_verdict unknown[NBD_STATES] = {NBD_CLOSE, NBD_SAY_TLS, NBD_SAY_UNSUP,
                                                         NBD_SAY_UNSUP};
    static const struct {
        uint32_t number;
        bool needs_structured;
        enum nbd_verdict verdicts[NBD_STATES];
    } rows[] = {
#define X(number, name, text, unfixed, before_tls, plain, secure, structured)                      \
    {number, structured, {unfixed, before_tls, plain, secure}},
        NBD_OPTIONS(X)
#undef X
    };
    size_t i = 0;
    while (i < sizeof rows / sizeof *rows && rows[i].number != number) i++;
    if (i == sizeof rows / sizeof *rows) return unknown[state];
    enum nbd_verdict verdict = rows[i].verdicts[state];
    bool too_early = verdict == NBD_DO && rows[i].needs_structured && !structured;
    return too_early ? NBD_SAY_INVALID : verdict;
}

/* --- bodies ----------------------------------------------------------------------------------- */

static bool take(struct slice *body, size_t size, struct slice *taken)
{
    if (body->size_bytes < size) return false;
    *taken = slice_of(body->bytes, size);
    *body = slice_of(body->bytes + size, body->size_bytes - size);
    return true;
}

static bool take32(struct slice *body, uint32_t *number)
{
    struct slice bytes;
    if (!take(body, sizeof *number, &bytes)) return false;
    *number = get32(bytes.bytes);
    return true;
}

/* A length and as many bytes. */
static bool take_text(struct slice *body, struct slice *text)
{
    uint32_t size;
    return take32(body, &size) && size <= NBD_TEXT_BYTES_MAX && take(body, size, text);
}

bool nbd_go_decode(struct slice body, struct nbd_go *go)
{
    struct slice count, info;
    *go = (struct nbd_go){.infos = 0};
    if (!take_text(&body, &go->name) || !take(&body, 2, &count)) return false;
    if (body.size_bytes != 2 * (size_t)get16(count.bytes)) return false;
    while (take(&body, 2, &info))
        if (get16(info.bytes) <= NBD_INFO_BLOCK_SIZE) go->infos |= 1u << get16(info.bytes);
    return true;
}

bool nbd_contexts_decode(struct slice body, bool set, struct nbd_contexts *contexts)
{
    uint32_t count;
    struct slice query;
    if (!take_text(&body, &contexts->name) || !take32(&body, &count)) return false;
    if (count > NBD_QUERIES_MAX) return false;
    contexts->allocation = count == 0 && !set;
    for (uint32_t i = 0; i < count; i++) {
        if (!take_text(&body, &query)) return false;
        contexts->allocation |= slice_is(query, NBD_CONTEXT_ALLOCATION);
        contexts->allocation |= !set && slice_is(query, "base:");
    }
    return body.size_bytes == 0;
}

/* --- replies ---------------------------------------------------------------------------------- */

void nbd_option_reply_encode(uint32_t option, enum nbd_reply_type type, uint32_t length,
                             uint8_t out[NBD_OPTION_REPLY_BYTES])
{
    bool error = (type & 0x100) != 0;
    put64(out, REPLY_MAGIC);
    put32(out + 8, option);
    put32(out + 12, error ? NBD_REP_ERROR | (type & 0xff) : (uint32_t)type);
    put32(out + 16, length);
}

void nbd_info_export_encode(uint64_t size_bytes, uint16_t flags,
                            uint8_t out[NBD_INFO_EXPORT_BYTES])
{
    put16(out, NBD_INFO_EXPORT);
    put64(out + 2, size_bytes);
    put16(out + 10, flags);
}

void nbd_info_block_size_encode(uint32_t preferred_bytes, uint8_t out[NBD_INFO_BLOCK_SIZE_BYTES])
{
    put16(out, NBD_INFO_BLOCK_SIZE);
    put32(out + 2, 1);
    put32(out + 6, preferred_bytes);
    put32(out + 10, NBD_TRANSFER_BYTES_MAX);
}

void nbd_end_encode(uint64_t size_bytes, uint16_t flags, uint8_t out[NBD_END_BYTES])
{
    put64(out, size_bytes);
    put16(out + 8, flags);
}
