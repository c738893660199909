/* SPDX-License-Identifier: BSD-3-Clause */
#include "protocol/nbd.h"

#include "protocol/bigendian.h"

enum {
    REQUEST_MAGIC = 0x25609513,
    SIMPLE_MAGIC = 0x67446698,
    CHUNK_MAGIC = 0x668e33ef,
    CHUNK_IS_DONE = 1,
};

enum { /* what the server can do */
    CAN_FLAGS = 1 << 0,
    IS_READ_ONLY = 1 << 1,
    CAN_FLUSH = 1 << 2,
    CAN_FUA = 1 << 3,
    CAN_TRIM = 1 << 5,
    CAN_WRITE_ZEROES = 1 << 6,
    CAN_DF = 1 << 7,
    CAN_MULTI_CONN = 1 << 8,
    CAN_CACHE = 1 << 10,
    CAN_FAST_ZERO = 1 << 11,
};

bool nbd_request_decode(const uint8_t bytes[NBD_REQUEST_BYTES], struct nbd_request *request)
{
    if (get32(bytes) != REQUEST_MAGIC) return false;
    *request = (struct nbd_request){.flags = get16(bytes + 4),
                                    .type = get16(bytes + 6),
                                    .cookie = get64(bytes + 8),
                                    .offset = get64(bytes + 16),
                                    .length = get32(bytes + 24)};
    return true;
}

struct rule {
    bool known;
    uint16_t flags;
    unsigned traits;
};

static struct rule rule_of(uint16_t type)
{
    static const struct rule rules[] = {
#define X(number, name, text, flags, traits) [number] = {true, (flags) | NBD_FLAG_FUA, traits},
        NBD_COMMANDS(X)
#undef X
    };
    return type < sizeof rules / sizeof *rules ? rules[type] : (struct rule){0};
}

static enum nbd_error check_range(const struct nbd_request *request, const struct rule *rule,
                                  uint64_t size_bytes)
{
    bool within = request->offset <= size_bytes && request->length <= size_bytes - request->offset;
    if (!within) return rule->traits & NBD_BEYOND_IS_FULL ? NBD_ENOSPC : NBD_EINVAL;
    if ((rule->traits & NBD_NEEDS_LENGTH) != 0 && request->length == 0) return NBD_EINVAL;
    if ((rule->traits & NBD_TRANSFERS) == 0 || request->length <= NBD_TRANSFER_BYTES_MAX)
        return NBD_OK;
    return request->flags & NBD_FLAG_DF ? NBD_EOVERFLOW : NBD_EINVAL;
}

enum nbd_error nbd_request_check(const struct nbd_request *request, const struct nbd_terms *terms)
{
    struct rule rule = rule_of(request->type);
    if (!rule.known || (request->flags & ~rule.flags) != 0) return NBD_EINVAL;
    if ((request->flags & NBD_FLAG_DF) != 0 && !terms->structured) return NBD_EINVAL;
    if ((rule.traits & NBD_NEEDS_CONTEXT) != 0 && !terms->contexts) return NBD_EINVAL;
    if ((rule.traits & NBD_CHANGES) != 0 && terms->read_only) return NBD_EPERM;
    if ((rule.traits & NBD_HAS_RANGE) != 0) return check_range(request, &rule, terms->size_bytes);
    return request->offset == 0 && request->length == 0 ? NBD_OK : NBD_EINVAL;
}

uint16_t nbd_transmission_flags(const struct nbd_terms *terms)
{
    unsigned flags = CAN_FLAGS | CAN_FLUSH | CAN_FUA | CAN_MULTI_CONN | CAN_CACHE;
    flags |= terms->read_only ? IS_READ_ONLY : CAN_TRIM | CAN_WRITE_ZEROES | CAN_FAST_ZERO;
    if (terms->structured) flags |= CAN_DF;
    return (uint16_t)flags;
}

void nbd_simple_encode(uint64_t cookie, enum nbd_error error, uint8_t out[NBD_SIMPLE_BYTES])
{
    put32(out, SIMPLE_MAGIC);
    put32(out + 4, (uint32_t)error);
    put64(out + 8, cookie);
}

void nbd_chunk_encode(const struct nbd_chunk *chunk, uint8_t out[NBD_CHUNK_BYTES])
{
    put32(out, CHUNK_MAGIC);
    put16(out + 4, chunk->done ? CHUNK_IS_DONE : 0);
    put16(out + 6, (uint16_t)chunk->type);
    put64(out + 8, chunk->cookie);
    put32(out + 16, chunk->length);
}
