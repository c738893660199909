/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The algorithms there are, and what one thread needs for them. */
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "storage/compressor_codec.h"

static const struct codec *const codecs[CODECS] = {&codec_none, &codec_lz4, &codec_lz4hc,
                                                   &codec_zstd};

struct codec_scratch {
    void *packers[CODECS], *unpackers[CODECS];
};

const struct codec *codec_at(unsigned index)
{
    fp_assert(index < CODECS);
    return codecs[index];
}

enum fp_status codec_find(const struct compressor_config *config, unsigned *index, int *level)
{
    for (*index = 0; *index < CODECS; ++*index) {
        const struct codec *codec = codecs[*index];
        if (strcmp(codec->name, config->algorithm) != 0) continue;
        *level = config->level == 0 ? codec->level_default : config->level;
        bool good = *level >= codec->level_lowest && *level <= codec->level_highest;
        return good ? FP_OK : FP_INVALID;
    }
    return FP_INVALID;
}

enum fp_status codec_scratch_create(struct codec_scratch **out)
{
    struct codec_scratch *scratch = calloc(1, sizeof *scratch);
    if (scratch == NULL) return FP_NO_MEMORY;
    for (unsigned i = 0; i < CODECS; i++) {
        if (codecs[i]->unpacker_create == NULL) continue;
        scratch->unpackers[i] = codecs[i]->unpacker_create();
        if (scratch->unpackers[i] == NULL) {
            codec_scratch_destroy(&scratch);
            return FP_NO_MEMORY;
        }
    }
    *out = scratch;
    return FP_OK;
}

void codec_scratch_destroy(struct codec_scratch **scratch)
{
    if (*scratch == NULL) return;
    for (unsigned i = 0; i < CODECS; i++) {
        if ((*scratch)->packers[i] != NULL) codecs[i]->packer_destroy((*scratch)->packers[i]);
        if ((*scratch)->unpackers[i] != NULL) codecs[i]->unpacker_destroy((*scratch)->unpackers[i]);
    }
    free(*scratch);
    *scratch = NULL;
}

size_t codec_scratch_bytes(const struct codec_scratch *scratch)
{
    size_t bytes = sizeof *scratch;
    for (unsigned i = 0; i < CODECS; i++) {
        if (scratch->packers[i] != NULL) bytes += codecs[i]->packer_bytes(scratch->packers[i]);
        if (scratch->unpackers[i] != NULL)
            bytes += codecs[i]->unpacker_bytes(scratch->unpackers[i]);
    }
    return bytes;
}

void *codec_scratch_packer(struct codec_scratch *scratch, unsigned index)
{
    if (scratch->packers[index] == NULL && codecs[index]->packer_create != NULL)
        scratch->packers[index] = codecs[index]->packer_create();
    return scratch->packers[index];
}

void *codec_scratch_unpacker(struct codec_scratch *scratch, unsigned index)
{
    return scratch->unpackers[index];
}
