/* SPDX-License-Identifier: BSD-3-Clause
 *
 * lz4, blocks without a frame. The level is its acceleration: 1 packs best. */
#include <lz4.h>
#include <stdlib.h>

#include "storage/compressor_codec.h"

static void *lz4_create(void)
{
    return malloc((size_t)LZ4_sizeofState());
}

static void lz4_destroy(void *state)
{
    free(state);
}

static size_t lz4_pack(void *state, int level, struct plain plain, struct space out)
{
    int size = LZ4_compress_fast_extState(state, (const char *)plain.bytes, (char *)out.bytes,
                                          (int)plain.size_bytes, (int)out.capacity_bytes, level);
    return size > 0 ? (size_t)size : 0;
}

static bool lz4_unpack(void *state, struct packed packed, struct space out)
{
    (void)state;
    int size = LZ4_decompress_safe((const char *)packed.bytes, (char *)out.bytes,
                                   (int)packed.size_bytes, (int)out.capacity_bytes);
    return size >= 0 && (size_t)size == out.capacity_bytes;
}

const struct codec codec_lz4 = {
    .name = "lz4",
    .level_lowest = 1,
    .level_highest = 65537,
    .level_default = 1,
    .state_create = lz4_create,
    .state_destroy = lz4_destroy,
    .pack = lz4_pack,
    .unpack = lz4_unpack,
};
