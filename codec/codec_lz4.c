/* SPDX-License-Identifier: BSD-3-Clause
 *
 * lz4, blocks without a frame. The level is its acceleration: 1 packs best.
 *
 * A dictionary is hashed once, into a stream that every pack begins with a copy of: 16 KiB, 0.09 us
 * dearer a page than LZ4_attach_dictionary(), which Debian's shared library does not export, and
 * 13 us cheaper than LZ4_loadDict() for each page. */
#include <lz4.h>
#include <stdlib.h>

#include "codec/codec_lz4.h"

static void *lz4_create(void)
{
    return malloc((size_t)LZ4_sizeofState());
}

static size_t lz4_bytes(const void *packer)
{
    (void)packer;
    return (size_t)LZ4_sizeofState();
}

struct slice lz4_window(const struct dictionary *dictionary)
{
    struct slice content = dictionary_content(dictionary);
    if (content.size_bytes <= LZ4_WINDOW_BYTES) return content;
    size_t skipped = content.size_bytes - LZ4_WINDOW_BYTES;
    return slice_of(content.bytes + skipped, LZ4_WINDOW_BYTES);
}

static void *lz4_prepare(const struct dictionary *dictionary, int level)
{
    (void)level;
    struct lz4_prepared *prepared = malloc(sizeof *prepared);
    void *stream = malloc((size_t)LZ4_sizeofState());
    if (prepared == NULL || stream == NULL) {
        free(prepared);
        free(stream);
        return NULL;
    }
    *prepared = (struct lz4_prepared){.stream = stream, .window = lz4_window(dictionary)};
    LZ4_stream_t *hashed = LZ4_initStream(stream, (size_t)LZ4_sizeofState());
    (void)LZ4_loadDict(hashed, (const char *)prepared->window.bytes,
                       (int)prepared->window.size_bytes);
    return prepared;
}

void lz4_prepared_destroy(void *opaque)
{
    struct lz4_prepared *prepared = opaque;
    free(prepared->stream);
    free(prepared);
}

static size_t lz4_prepared_bytes(const void *prepared)
{
    (void)prepared;
    return sizeof(struct lz4_prepared) + (size_t)LZ4_sizeofState();
}

static int lz4_pack_after(const struct codec_use *use, struct plain plain, struct space out)
{
    const struct lz4_prepared *prepared = use->prepared;
    memcpy(use->memory, prepared->stream, (size_t)LZ4_sizeofState());
    return LZ4_compress_fast_continue(use->memory, (const char *)plain.bytes, (char *)out.bytes,
                                      (int)plain.size_bytes, (int)out.capacity_bytes, use->level);
}

static enum fp_status lz4_pack(const struct codec_use *use, struct plain plain, struct space out,
                               size_t *size)
{
    int done = use->prepared != NULL
                   ? lz4_pack_after(use, plain, out)
                   : LZ4_compress_fast_extState(use->memory, (const char *)plain.bytes,
                                                (char *)out.bytes, (int)plain.size_bytes,
                                                (int)out.capacity_bytes, use->level);
    *size = (size_t)done;
    return done > 0 ? FP_OK : FP_TOO_BIG;
}

bool lz4_unpack(const struct codec_use *use, struct packed packed, struct space out)
{
    const struct lz4_prepared *prepared = use->prepared;
    struct slice window = prepared != NULL ? prepared->window : slice_of(NULL, 0);
    int size = LZ4_decompress_safe_usingDict((const char *)packed.bytes, (char *)out.bytes,
                                             (int)packed.size_bytes, (int)out.capacity_bytes,
                                             (const char *)window.bytes, (int)window.size_bytes);
    return size >= 0 && (size_t)size == out.capacity_bytes;
}

const struct codec codec_lz4 = {
    .name = "lz4",
    .format = PACKED_LZ4,
    .level_lowest = 1,
    .level_highest = 65537,
    .level_default = 1,
    .level_meaning = "higher is faster",
    .packer_create = lz4_create,
    .packer_destroy = free,
    .packer_bytes = lz4_bytes,
    .dictionary_create = lz4_prepare,
    .dictionary_destroy = lz4_prepared_destroy,
    .dictionary_bytes = lz4_prepared_bytes,
    .pack = lz4_pack,
    .unpack = lz4_unpack,
};
