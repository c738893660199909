/* SPDX-License-Identifier: BSD-3-Clause
 * dictionary - bytes that pages are likely to share, known to packer and unpacker beforehand.
 *
 * One form serves every algorithm: zstd's dictionary format, as `zstd --train` writes it (RFC 8878,
 * section 5): a magic number, an id, entropy tables, then content with the best of it at the end.
 * zstd uses all of it; the lz4 family takes the content alone. What has no such header, or one that
 * does not decode, is refused here, so no codec is ever given bytes that nobody made to be a
 * dictionary.
 *
 * A dictionary is immutable and counted: whoever holds a use may read it, on any thread. A seat of
 * the compressor holds one use as long as it is not empty. Nothing here blocks but
 * dictionary_train(), which computes for up to a second.
 */
#ifndef FARPAGE_CODEC_DICTIONARY_H
#define FARPAGE_CODEC_DICTIONARY_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attrs.h"
#include "base/slice.h"
#include "base/status.h"

enum {
    DICTIONARY_BYTES_MIN = 256, /* zstd makes none smaller */
    /* lz4 looks back 64 KiB, `zstd --train` writes 110 KiB, and beyond 64 KiB no gain was measured
     * on 4 KiB pages; each of up to 256 seats may hold one with its tables. */
    DICTIONARY_BYTES_MAX = 256 << 10,
    DICTIONARY_BYTES_USUAL = 64 << 10
};

struct dictionary;

struct dictionary_samples { /* plain pages, one behind the other; the caller's */
    const uint8_t *bytes;
    size_t page_bytes, count;
};

/* A copy of the bytes, with one use for the caller. FP_INVALID: they are no dictionary, and *reason
 * is a constant line that says why. FP_NO_MEMORY. Unless FP_OK *out is untouched. */
enum fp_status dictionary_create(struct slice bytes, struct dictionary **out, const char **reason)
    FP_MUST_CHECK FP_NONNULL(2, 3);

/* Makes a dictionary of at most bytes_max from samples (ZDICT's fast cover). Some hundred pages of
 * one program are enough. FP_INVALID with *reason: too few samples, or too much alike; FP_NO_MEMORY
 * (it needs some 10 MiB while it works). */
enum fp_status dictionary_train(const struct dictionary_samples *samples, size_t bytes_max,
                                struct dictionary **out, const char **reason)
    FP_MUST_CHECK FP_NONNULL(1, 3, 4);

struct dictionary *dictionary_acquire(struct dictionary *dictionary) FP_NONNULL(1); /* the same */
void dictionary_release(struct dictionary **dictionary) FP_NONNULL(1); /* NULL is fine; clears */

struct slice dictionary_bytes(const struct dictionary *dictionary) FP_NONNULL(1); /* all of it */
struct slice dictionary_content(const struct dictionary *dictionary) FP_NONNULL(1);
uint32_t dictionary_id(const struct dictionary *dictionary) FP_NONNULL(1); /* from its header */
/* A number of whoever has it made, to know it again by; 0 until it is set. */
void dictionary_set_owner(struct dictionary *dictionary, uint64_t owner) FP_NONNULL(1);
uint64_t dictionary_owner(const struct dictionary *dictionary) FP_NONNULL(1);
bool dictionary_equal(const struct dictionary *a, const struct dictionary *b); /* NULL: none */

#endif
