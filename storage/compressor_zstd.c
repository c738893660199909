/* SPDX-License-Identifier: BSD-3-Clause
 *
 * zstd, frames without magic number, content size, checksum or dictionary id: the entry knows the
 * size and has the checksum, and 4 to 10 bytes a page count. */
#define ZSTD_STATIC_LINKING_ONLY /* ZSTD_f_zstd1_magicless */
#include <stdlib.h>
#include <zstd.h>

#include "storage/compressor_codec.h"

enum { ZSTD_LEVEL_UNSET = 1000 };

struct zstd_state {
    ZSTD_CCtx *packer;
    ZSTD_DCtx *unpacker;
    int level; /* what packer is set to */
};

static void zstd_destroy(void *opaque)
{
    struct zstd_state *state = opaque;
    if (state == NULL) return;
    ZSTD_freeCCtx(state->packer); /* NULL is fine for both */
    ZSTD_freeDCtx(state->unpacker);
    free(state);
}

static bool zstd_prepare(struct zstd_state *state)
{
    size_t failed = 0;
    failed |= ZSTD_CCtx_setParameter(state->packer, ZSTD_c_format, ZSTD_f_zstd1_magicless);
    failed |= ZSTD_CCtx_setParameter(state->packer, ZSTD_c_contentSizeFlag, 0);
    failed |= ZSTD_CCtx_setParameter(state->packer, ZSTD_c_checksumFlag, 0);
    failed |= ZSTD_CCtx_setParameter(state->packer, ZSTD_c_dictIDFlag, 0);
    failed |= ZSTD_DCtx_setParameter(state->unpacker, ZSTD_d_format, ZSTD_f_zstd1_magicless);
    return !ZSTD_isError(failed);
}

static void *zstd_create(void)
{
    struct zstd_state *state = calloc(1, sizeof *state);
    if (state == NULL) return NULL;
    state->packer = ZSTD_createCCtx();
    state->unpacker = ZSTD_createDCtx();
    state->level = ZSTD_LEVEL_UNSET;
    if (state->packer == NULL || state->unpacker == NULL || !zstd_prepare(state)) {
        zstd_destroy(state);
        return NULL;
    }
    return state;
}

static size_t zstd_pack(void *opaque, int level, struct plain plain, struct space out)
{
    struct zstd_state *state = opaque;
    if (state->level != level) {
        size_t set = ZSTD_CCtx_setParameter(state->packer, ZSTD_c_compressionLevel, level);
        if (ZSTD_isError(set)) return 0;
        state->level = level;
    }
    size_t size = ZSTD_compress2(state->packer, out.bytes, out.capacity_bytes, plain.bytes,
                                 plain.size_bytes);
    return ZSTD_isError(size) ? 0 : size;
}

static bool zstd_unpack(void *opaque, struct packed packed, struct space out)
{
    struct zstd_state *state = opaque;
    size_t size = ZSTD_decompressDCtx(state->unpacker, out.bytes, out.capacity_bytes, packed.bytes,
                                      packed.size_bytes);
    return !ZSTD_isError(size) && size == out.capacity_bytes;
}

const struct codec codec_zstd = {
    .name = "zstd",
    .level_lowest = -50,
    .level_highest = 19,
    .level_default = 1,
    .state_create = zstd_create,
    .state_destroy = zstd_destroy,
    .pack = zstd_pack,
    .unpack = zstd_unpack,
};
