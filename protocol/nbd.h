/* SPDX-License-Identifier: BSD-3-Clause
 * nbd - the transmission phase of the network block device protocol: requests and the heads of
 * their replies. What the client may ask is decided here, by one table; docs/nbd.md repeats it.
 *
 *   request  magic 4 | flags 2 | type 2 | cookie 8 | offset 8 | length 4, and the bytes of a write
 *   simple   magic 4 | error 4 | cookie 8, and the bytes of a read that went well
 *   chunk    magic 4 | flags 2 | type 2 | cookie 8 | length 4, and so many bytes
 *
 * Numbers are big-endian. Pure; any thread.
 */
#ifndef FARPAGE_PROTOCOL_NBD_H
#define FARPAGE_PROTOCOL_NBD_H
#include <stdbool.h>
#include <stdint.h>

#include "base/attrs.h"

enum {
    NBD_REQUEST_BYTES = 28,
    NBD_SIMPLE_BYTES = 16,
    NBD_CHUNK_BYTES = 20,
    NBD_CHUNK_DATA_BYTES = 8,  /* of the offset before the bytes of a read */
    NBD_CHUNK_HOLE_BYTES = 12, /* offset and size */
    NBD_CHUNK_ERROR_BYTES = 6, /* before the sentence */
    NBD_EXTENT_BYTES = 8,
    NBD_TRANSFER_BYTES_MAX = 32 << 20, /* of one read or write */
};

/* What a request may be refused with, in the numbers of the wire. */
enum nbd_error {
    NBD_OK = 0,
    NBD_EPERM = 1,
    NBD_EIO = 5,
    NBD_EINVAL = 22,
    NBD_ENOSPC = 28,
    NBD_EOVERFLOW = 75,
    NBD_ESHUTDOWN = 108,
};

enum nbd_flag {
    NBD_FLAG_FUA = 1 << 0,       /* nothing is more permanent here than what was answered */
    NBD_FLAG_NO_HOLE = 1 << 1,   /* zeros that are kept */
    NBD_FLAG_DF = 1 << 2,        /* in one chunk */
    NBD_FLAG_REQ_ONE = 1 << 3,   /* one extent is enough */
    NBD_FLAG_FAST_ZERO = 1 << 4, /* only if that is fast: it always is */
};

enum nbd_trait {
    NBD_CHANGES = 1,     /* refused where the export is read-only */
    NBD_HAS_RANGE = 2,   /* offset and length lie within the export; of the others both are 0 */
    NBD_TRANSFERS = 4,   /* NBD_TRANSFER_BYTES_MAX at most */
    NBD_BEYOND_IS_FULL = 8, /* beyond the end is ENOSPC, else EINVAL */
    NBD_NEEDS_CONTEXT = 16, /* base:allocation was selected */
    NBD_NEEDS_LENGTH = 32,  /* of nothing there is no answer */
};

/* X(number, name, text, flags that it takes besides FUA, traits) */
#define NBD_COMMANDS(X)                                                                            \
    X(0, NBD_READ, "read", NBD_FLAG_DF, NBD_HAS_RANGE | NBD_TRANSFERS)                             \
    X(1, NBD_WRITE, "write", 0, NBD_CHANGES | NBD_HAS_RANGE | NBD_TRANSFERS | NBD_BEYOND_IS_FULL)  \
    X(2, NBD_DISC, "disc", 0, 0)                                                                   \
    X(3, NBD_FLUSH, "flush", 0, 0)                                                                 \
    X(4, NBD_TRIM, "trim", 0, NBD_CHANGES | NBD_HAS_RANGE)                                         \
    X(5, NBD_CACHE, "cache", 0, NBD_HAS_RANGE)                                                     \
    X(6, NBD_WRITE_ZEROES, "write zeroes", NBD_FLAG_NO_HOLE | NBD_FLAG_FAST_ZERO,                  \
      NBD_CHANGES | NBD_HAS_RANGE | NBD_BEYOND_IS_FULL)                                            \
    X(7, NBD_BLOCK_STATUS, "block status", NBD_FLAG_REQ_ONE,                                       \
      NBD_HAS_RANGE | NBD_NEEDS_CONTEXT | NBD_NEEDS_LENGTH)

enum nbd_command {
#define X(number, name, text, flags, traits) name = number,
    NBD_COMMANDS(X)
#undef X
};

struct nbd_request {
    uint16_t flags, type; /* any that the client sent */
    uint64_t cookie;      /* the client's own, given back */
    uint64_t offset;
    uint32_t length;
};

/* What client and server agreed on. */
struct nbd_terms {
    uint64_t size_bytes; /* of the export */
    bool read_only;
    bool structured; /* reads are answered in chunks */
    bool contexts;   /* base:allocation may be asked for */
};

/* False: it does not begin as a request does, and what follows cannot be told either. */
bool nbd_request_decode(const uint8_t bytes[NBD_REQUEST_BYTES], struct nbd_request *request)
    FP_MUST_CHECK FP_NONNULL(2);

/* NBD_OK: it may be carried out. A write's bytes follow also where it may not. */
enum nbd_error nbd_request_check(const struct nbd_request *request, const struct nbd_terms *terms)
    FP_MUST_CHECK FP_NONNULL(1, 2);

/* Bytes that follow the request. */
static inline uint64_t nbd_request_payload(const struct nbd_request *request)
{
    return request->type == NBD_WRITE ? request->length : 0;
}

/* What the server says it can do, for who is told the size of the export. */
uint16_t nbd_transmission_flags(const struct nbd_terms *terms) FP_NONNULL(1);

/* --- replies ---------------------------------------------------------------------------------- */

void nbd_simple_encode(uint64_t cookie, enum nbd_error error, uint8_t out[NBD_SIMPLE_BYTES]);

enum nbd_chunk_type {
    NBD_CHUNK_NONE = 0,
    NBD_CHUNK_DATA = 1,
    NBD_CHUNK_HOLE = 2,
    NBD_CHUNK_BLOCK_STATUS = 5,
    NBD_CHUNK_ERROR = 1 << 15 | 1,        /* of the whole request */
    NBD_CHUNK_ERROR_OFFSET = 1 << 15 | 2, /* the same from an offset on, which comes last */
};

struct nbd_chunk {
    enum nbd_chunk_type type;
    bool done; /* the last of its reply */
    uint64_t cookie;
    uint32_t length; /* of what follows its head */
};
void nbd_chunk_encode(const struct nbd_chunk *chunk, uint8_t out[NBD_CHUNK_BYTES]) FP_NONNULL(1);

/* The only metadata context there is. */
#define NBD_CONTEXT_ALLOCATION "base:allocation"
enum { NBD_CONTEXT_ID = 1, NBD_STATE_HOLE = 1, NBD_STATE_ZERO = 2 };

#endif
