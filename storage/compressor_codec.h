/* SPDX-License-Identifier: BSD-3-Clause
 * compressor_codec - what an algorithm fills in. To add one: a file with such a table, a row in
 * compressor.c, a line in CMakeLists.txt and one in tests/unit/storage/check_compressor.c. */
#ifndef FARPAGE_STORAGE_COMPRESSOR_CODEC_H
#define FARPAGE_STORAGE_COMPRESSOR_CODEC_H
#include "storage/compressor.h"

struct codec {
    const char *name;
    int level_lowest, level_highest, level_default;
    /* Working memory of one thread. NULL: out of memory. */
    void *(*state_create)(void);
    void (*state_destroy)(void *state);
    /* Bytes written to out, never more than its capacity; 0: it does not fit. */
    size_t (*pack)(void *state, int level, struct plain plain, struct space out);
    /* True where packed decodes to exactly out.capacity_bytes with nothing left over. Must be safe
     * on any bytes. */
    bool (*unpack)(void *state, struct packed packed, struct space out);
};

extern const struct codec codec_none, codec_lz4, codec_zstd;

#endif
