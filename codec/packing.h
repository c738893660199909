/* SPDX-License-Identifier: BSD-3-Clause
 * packing - bytes before they are packed, while they are, and with what: the words that whoever
 * packs or unpacks has in common, here and at a client. Pure. */
#ifndef FARPAGE_CODEC_PACKING_H
#define FARPAGE_CODEC_PACKING_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attrs.h"
#include "base/status.h"
#include "codec/dictionary.h"

struct plain { /* two types, so that packed bytes cannot pass where plain ones are due */
    const uint8_t *bytes;
    size_t size_bytes;
};
struct packed {
    const uint8_t *bytes;
    size_t size_bytes;
};
struct space { /* the caller's, to be written to */
    uint8_t *bytes;
    size_t capacity_bytes;
};

/* What packed bytes are, hence what unpacks them: with the dictionary they were packed with, if
 * any, and whatever the level was. The numbers are also those of the wire (protocol/frame.h).
 *   plain  the bytes as they are
 *   lz4    one lz4 block without a frame; the dictionary is its last 64 KiB of content
 *   zstd   one bare compressed block, RFC 8878 section 3.1.1.2.3: no frame, no block header
 *   word   8 bytes, which repeated are the plain ones */
enum packed_format { PACKED_PLAIN, PACKED_LZ4, PACKED_ZSTD, PACKED_WORD, PACKED_FORMATS };
enum { PACKED_WORD_BYTES = 8 };

struct packed_kind { /* all that must be known to unpack */
    enum packed_format format;
    uint32_t dictionary_id; /* 0: none */
};

struct compressor_config {
    const char *algorithm; /* "lz4", "lz4hc", "zstd" or "none" */
    int level;             /* 0: the algorithm's own */
    /* NULL: none. Borrowed for the call it is given to; whoever takes it acquires a use of its own,
     * the caller keeps (and releases) the caller's. */
    struct dictionary *dictionary;
};

/* One repeated word of 8 bytes, given as it lies in memory: nothing else is kept of such bytes. */
bool plain_is_same_filled(struct plain plain, uint64_t *word) FP_MUST_CHECK FP_NONNULL(2);
void plain_fill(struct space out, uint64_t word); /* the inverse; a rest below a word is left */

#endif
