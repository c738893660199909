/* SPDX-License-Identifier: BSD-3-Clause
 *
 * lz4hc: lz4's format, searched for longer. It unpacks as fast as lz4.
 *
 * As in codec_lz4.c a dictionary is hashed once and copied, here 256 KiB for each page: at the
 * levels up to 9 that costs what LZ4_attach_HC_dictionary() does (not exported), and above, where
 * an attached dictionary is searched slowly, a quarter of it. */
#include <lz4hc.h>
#include <stdlib.h>

#include "codec/codec_lz4.h"

static void *lz4hc_create(void)
{
    void *packer = malloc((size_t)LZ4_sizeofStateHC());
    if (packer == NULL) return NULL;
    return LZ4_initStreamHC(packer, (size_t)LZ4_sizeofStateHC());
}

static size_t lz4hc_bytes(const void *packer)
{
    (void)packer;
    return (size_t)LZ4_sizeofStateHC();
}

static void *lz4hc_prepare(const struct dictionary *dictionary, int level)
{
    struct lz4_prepared *prepared = malloc(sizeof *prepared);
    void *stream = lz4hc_create();
    if (prepared == NULL || stream == NULL) {
        free(prepared);
        free(stream);
        return NULL;
    }
    *prepared = (struct lz4_prepared){.stream = stream, .window = lz4_window(dictionary)};
    LZ4_resetStreamHC_fast(stream, level);
    (void)LZ4_loadDictHC(stream, (const char *)prepared->window.bytes,
                         (int)prepared->window.size_bytes);
    return prepared;
}

static size_t lz4hc_prepared_bytes(const void *prepared)
{
    (void)prepared;
    return sizeof(struct lz4_prepared) + (size_t)LZ4_sizeofStateHC();
}

static enum fp_status lz4hc_pack(const struct codec_use *use, struct plain plain, struct space out,
                                 size_t *size)
{
    const struct lz4_prepared *prepared = use->prepared;
    if (prepared != NULL)
        memcpy(use->memory, prepared->stream, (size_t)LZ4_sizeofStateHC());
    else
        LZ4_resetStreamHC_fast(use->memory, use->level);
    int done = LZ4_compress_HC_continue(use->memory, (const char *)plain.bytes, (char *)out.bytes,
                                        (int)plain.size_bytes, (int)out.capacity_bytes);
    *size = (size_t)done;
    return done > 0 ? FP_OK : FP_TOO_BIG;
}

const struct codec codec_lz4hc = {
    .name = "lz4hc",
    .format = PACKED_LZ4,
    .level_lowest = 1,
    .level_highest = LZ4HC_CLEVEL_MAX,
    .level_default = LZ4HC_CLEVEL_DEFAULT,
    .level_meaning = "higher is smaller",
    .packer_create = lz4hc_create,
    .packer_destroy = free,
    .packer_bytes = lz4hc_bytes,
    .dictionary_create = lz4hc_prepare,
    .dictionary_destroy = lz4_prepared_destroy,
    .dictionary_bytes = lz4hc_prepared_bytes,
    .pack = lz4hc_pack,
    .unpack = lz4_unpack,
};
