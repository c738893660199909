/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The algorithms there are. */
#include <string.h>

#include "base/check.h"
#include "codec/codec.h"

static const struct codec *const codecs[CODECS] = {&codec_none, &codec_lz4, &codec_lz4hc,
                                                   &codec_zstd};

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
