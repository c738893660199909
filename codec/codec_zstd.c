/* SPDX-License-Identifier: BSD-3-Clause
 *
 * zstd, as one bare block (RFC 8878, section 3.1.1.2.3): no frame header and no block header. The
 * entry knows the size and has the checksum, the seat knows the dictionary, and 5 bytes a page
 * count. With no frames there is also none to come twice or to be skipped.
 *   fewer bytes than the plain ones   a compressed block
 *   as many                           the plain bytes; only where the caller has the room
 *
 * Tables follow the plain size by themselves: ZSTD_compress2() knows it. Those of a dictionary do
 * not, and zstd's choice for 64 KiB at level 3 takes 400 KiB. They are cut to a quarter entry for
 * each byte of content (level 3: 0.4 % of the ratio for 295 KiB); binary trees get an entry. */
#define ZSTD_STATIC_LINKING_ONLY /* ZSTD_f_zstd1_magicless, blocks, ZSTD_createCDict_advanced */
#include <stdlib.h>
#include <zstd.h>
#include <zstd_errors.h>

#include "base/check.h"
#include "codec/codec.h"

enum {
    LEVEL_UNSET = 1000,
    FRAME_HEADER_BYTES = 2, /* a descriptor without any option, and the window's size */
    BLOCK_HEADER_BYTES = 3,
    HEADER_BYTES = FRAME_HEADER_BYTES + BLOCK_HEADER_BYTES,
    BLOCK_LAST_BIT = 1,
    BLOCK_TYPE_COMPRESSED = 2, /* in the two bits above; the size is above those */
    PLAIN_BYTES_USUAL = 4096,
    TABLE_LOG_MIN = 12
};

struct zstd_packer {
    ZSTD_CCtx *context;
    int level; /* what it is set to */
};

struct zstd_prepared {
    ZSTD_CDict *packing;
    ZSTD_DDict *unpacking; /* both refer to the dictionary's own bytes */
};

/* --- a thread's memory ------------------------------------------------------------------------ */

static void zstd_packer_destroy(void *opaque)
{
    struct zstd_packer *packer = opaque;
    ZSTD_freeCCtx(packer->context); /* NULL is fine */
    free(packer);
}

static bool zstd_packer_set(ZSTD_CCtx *context)
{
    static const struct {
        ZSTD_cParameter parameter;
        int value;
    } settings[] = {{ZSTD_c_format, ZSTD_f_zstd1_magicless}, {ZSTD_c_contentSizeFlag, 0},
                    {ZSTD_c_checksumFlag, 0},                {ZSTD_c_dictIDFlag, 0},
                    {ZSTD_c_useBlockSplitter, ZSTD_ps_disable}};
    for (size_t i = 0; i < FP_COUNT_OF(settings); i++) {
        size_t set =
            ZSTD_CCtx_setParameter(context, settings[i].parameter, settings[i].value);
        if (ZSTD_isError(set)) return false;
    }
    return true;
}

static void *zstd_packer_create(void)
{
    struct zstd_packer *packer = malloc(sizeof *packer);
    if (packer == NULL) return NULL;
    *packer = (struct zstd_packer){.context = ZSTD_createCCtx(), .level = LEVEL_UNSET};
    if (packer->context == NULL || !zstd_packer_set(packer->context)) {
        zstd_packer_destroy(packer);
        return NULL;
    }
    return packer;
}

static size_t zstd_packer_bytes(const void *opaque)
{
    const struct zstd_packer *packer = opaque;
    return sizeof *packer + ZSTD_sizeof_CCtx(packer->context);
}

static void *zstd_unpacker_create(void)
{
    return ZSTD_createDCtx();
}

static void zstd_unpacker_destroy(void *unpacker)
{
    ZSTD_freeDCtx(unpacker);
}

static size_t zstd_unpacker_bytes(const void *unpacker)
{
    return ZSTD_sizeof_DCtx(unpacker);
}

/* --- dictionaries ----------------------------------------------------------------------------- */

static unsigned at_most(unsigned log, unsigned highest)
{
    if (highest < TABLE_LOG_MIN) highest = TABLE_LOG_MIN;
    return log < highest ? log : highest;
}

static ZSTD_compressionParameters parameters_for(struct slice bytes, int level)
{
    unsigned log = 0;
    while (bytes.size_bytes >> (log + 1) != 0) log++;
    ZSTD_compressionParameters chosen =
        ZSTD_getCParams(level, PLAIN_BYTES_USUAL, bytes.size_bytes);
    chosen.hashLog = at_most(chosen.hashLog, log - 2);
    chosen.chainLog = at_most(chosen.chainLog, chosen.strategy < ZSTD_btlazy2 ? log - 2 : log);
    return chosen;
}

static void zstd_prepared_destroy(void *opaque)
{
    struct zstd_prepared *prepared = opaque;
    ZSTD_freeCDict(prepared->packing); /* NULL is fine for both */
    ZSTD_freeDDict(prepared->unpacking);
    free(prepared);
}

static void *zstd_prepare(const struct dictionary *dictionary, int level)
{
    struct slice bytes = dictionary_bytes(dictionary);
    struct zstd_prepared *prepared = malloc(sizeof *prepared);
    if (prepared == NULL) return NULL;
    prepared->packing = ZSTD_createCDict_advanced(bytes.bytes, bytes.size_bytes, ZSTD_dlm_byRef,
                                                  ZSTD_dct_fullDict, parameters_for(bytes, level),
                                                  ZSTD_defaultCMem);
    prepared->unpacking = ZSTD_createDDict_byReference(bytes.bytes, bytes.size_bytes);
    if (prepared->packing == NULL || prepared->unpacking == NULL) {
        zstd_prepared_destroy(prepared);
        return NULL;
    }
    return prepared;
}

static size_t zstd_prepared_bytes(const void *opaque)
{
    const struct zstd_prepared *prepared = opaque;
    return sizeof *prepared + ZSTD_sizeof_CDict(prepared->packing) +
           ZSTD_sizeof_DDict(prepared->unpacking);
}

/* --- packing ---------------------------------------------------------------------------------- */

/* A pack that did not fit leaves the context within a frame, where it takes no dictionary: hence
 * the reset. With it these calls fail for our mistakes only. */
static void set_up(struct zstd_packer *packer, const struct codec_use *use)
{
    const struct zstd_prepared *prepared = use->prepared;
    size_t failed = ZSTD_CCtx_reset(packer->context, ZSTD_reset_session_only);
    if (packer->level != use->level) {
        failed |= ZSTD_CCtx_setParameter(packer->context, ZSTD_c_compressionLevel, use->level);
        packer->level = use->level;
    }
    failed |= ZSTD_CCtx_refCDict(packer->context, prepared != NULL ? prepared->packing : NULL);
    fp_assert(!ZSTD_isError(failed));
}

/* Whether the frame is one compressed block and nothing else. */
static bool is_one_block(const uint8_t *frame, size_t size)
{
    if (size <= HEADER_BYTES || frame[0] != 0) return false;
    const uint8_t *header = frame + FRAME_HEADER_BYTES;
    uint32_t block = header[0] | (uint32_t)header[1] << 8 | (uint32_t)header[2] << 16;
    return (block & BLOCK_LAST_BIT) != 0 && (block >> 1 & 3) == BLOCK_TYPE_COMPRESSED &&
           block >> 3 == size - HEADER_BYTES;
}

static enum fp_status keep_plain(struct plain plain, struct space out, size_t *size)
{
    if (out.capacity_bytes < plain.size_bytes) return FP_TOO_BIG;
    memcpy(out.bytes, plain.bytes, plain.size_bytes);
    *size = plain.size_bytes;
    return FP_OK;
}

static enum fp_status zstd_pack(const struct codec_use *use, struct plain plain, struct space out,
                                size_t *size)
{
    struct zstd_packer *packer = use->memory;
    set_up(packer, use);
    size_t frame = ZSTD_compress2(packer->context, out.bytes, out.capacity_bytes, plain.bytes,
                                  plain.size_bytes);
    if (ZSTD_isError(frame))
        return ZSTD_getErrorCode(frame) == ZSTD_error_memory_allocation ? FP_NO_MEMORY : FP_TOO_BIG;
    if (!is_one_block(out.bytes, frame) || frame - HEADER_BYTES >= plain.size_bytes)
        return keep_plain(plain, out, size);
    *size = frame - HEADER_BYTES;
    memmove(out.bytes, out.bytes + HEADER_BYTES, *size);
    return FP_OK;
}

/* Begun twice with a dictionary: to one that it has not just used (a "cold" one) zstd 1.5.4 gives
 * another decoder, which does not mind what is left over at the end. */
static bool begin_unpacking(ZSTD_DCtx *context, const struct zstd_prepared *prepared)
{
    if (prepared == NULL) return !ZSTD_isError(ZSTD_decompressBegin(context));
    return !ZSTD_isError(ZSTD_decompressBegin_usingDDict(context, prepared->unpacking)) &&
           !ZSTD_isError(ZSTD_decompressBegin_usingDDict(context, prepared->unpacking));
}

static bool zstd_unpack(const struct codec_use *use, struct packed packed, struct space out)
{
    if (packed.size_bytes > out.capacity_bytes) return false;
    if (packed.size_bytes == out.capacity_bytes) {
        memcpy(out.bytes, packed.bytes, packed.size_bytes);
        return true;
    }
    if (!begin_unpacking(use->memory, use->prepared)) return false;
    size_t size = ZSTD_decompressBlock(use->memory, out.bytes, out.capacity_bytes, packed.bytes,
                                       packed.size_bytes);
    return !ZSTD_isError(size) && size == out.capacity_bytes;
}

const struct codec codec_zstd = {
    .name = "zstd",
    .format = PACKED_ZSTD,
    .level_lowest = -50,
    .level_highest = 19,
    .level_default = 1,
    .level_meaning = "higher is smaller",
    .packer_create = zstd_packer_create,
    .packer_destroy = zstd_packer_destroy,
    .packer_bytes = zstd_packer_bytes,
    .unpacker_create = zstd_unpacker_create,
    .unpacker_destroy = zstd_unpacker_destroy,
    .unpacker_bytes = zstd_unpacker_bytes,
    .dictionary_create = zstd_prepare,
    .dictionary_destroy = zstd_prepared_destroy,
    .dictionary_bytes = zstd_prepared_bytes,
    .pack = zstd_pack,
    .unpack = zstd_unpack,
};
