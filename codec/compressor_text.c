/* SPDX-License-Identifier: BSD-3-Clause */
#include "codec/compressor_text.h"

#include <stdio.h>

#include "base/check.h"
#include "base/number.h"
#include "codec/codec.h"

enum { NAME_SHOWN_BYTES = 32 };

static bool has_levels(const struct codec *codec)
{
    return codec->level_highest != codec->level_lowest;
}

static const struct codec *find(struct slice name)
{
    for (unsigned i = 0; i < CODECS; i++)
        if (slice_is(name, codec_at(i)->name)) return codec_at(i);
    return NULL;
}

/* "'snappy' is not none, lz4[:1 to 65537], ... or zstd[:-50 to 19]" */
static enum fp_status say_unknown(struct slice name, char wrong[COMPRESSOR_WRONG_BYTES])
{
    int shown = (int)(name.size_bytes < NAME_SHOWN_BYTES ? name.size_bytes : NAME_SHOWN_BYTES);
    size_t at = (size_t)snprintf(wrong, COMPRESSOR_WRONG_BYTES, "'%.*s' is not", shown,
                                 name.size_bytes > 0 ? (const char *)name.bytes : "");
    for (unsigned i = 0; i < CODECS && at < COMPRESSOR_WRONG_BYTES; i++) {
        const struct codec *codec = codec_at(i);
        const char *between = i == 0 ? " " : i + 1 == CODECS ? " or " : ", ";
        char levels[32] = "";
        if (has_levels(codec))
            (void)snprintf(levels, sizeof levels, "[:%d to %d]", codec->level_lowest,
                           codec->level_highest);
        at += (size_t)snprintf(wrong + at, COMPRESSOR_WRONG_BYTES - at, "%s%s%s", between,
                               codec->name, levels);
    }
    return FP_INVALID;
}

static enum fp_status say_levels(const struct codec *codec, struct slice level,
                                 char wrong[COMPRESSOR_WRONG_BYTES])
{
    int shown = (int)(level.size_bytes < NAME_SHOWN_BYTES ? level.size_bytes : NAME_SHOWN_BYTES);
    const char *text = level.size_bytes > 0 ? (const char *)level.bytes : "nothing";
    if (level.size_bytes == 0) shown = (int)strlen(text);
    if (has_levels(codec))
        (void)snprintf(wrong, COMPRESSOR_WRONG_BYTES,
                       "%.*s is not within %d to %d, the levels of %s (0: its own)", shown, text,
                       codec->level_lowest, codec->level_highest, codec->name);
    else
        (void)snprintf(wrong, COMPRESSOR_WRONG_BYTES, "%s has no levels, only 0", codec->name);
    return FP_INVALID;
}

static bool is_level_of(const struct codec *codec, int64_t level)
{
    return level == 0 || (level >= codec->level_lowest && level <= codec->level_highest);
}

/* Decimal, with a '-' or without; no '+', no leading zero, no "-0". */
static bool read_level(struct slice text, int64_t *level)
{
    bool minus = text.size_bytes > 0 && text.bytes[0] == '-';
    struct slice digits = minus ? slice_of(text.bytes + 1, text.size_bytes - 1) : text;
    uint64_t value;
    if (!number_u64(digits, &value) || value > INT32_MAX || (minus && value == 0)) return false;
    *level = minus ? -(int64_t)value : (int64_t)value;
    return true;
}

enum fp_status compressor_parse(struct slice text, struct compressor_config *config,
                                char wrong[COMPRESSOR_WRONG_BYTES])
{
    struct slice name = text;
    const uint8_t *colon = text.size_bytes > 0 ? memchr(text.bytes, ':', text.size_bytes) : NULL;
    if (colon != NULL) name.size_bytes = (size_t)(colon - text.bytes);
    const struct codec *codec = find(name);
    if (codec == NULL) return say_unknown(name, wrong);
    int64_t level = 0;
    if (colon != NULL) {
        struct slice rest = slice_of(colon + 1, text.size_bytes - name.size_bytes - 1);
        if (!read_level(rest, &level) || !is_level_of(codec, level))
            return say_levels(codec, rest, wrong);
    }
    config->algorithm = codec->name;
    config->level = (int)level;
    return FP_OK;
}

enum fp_status compressor_check(const char *algorithm, int level,
                                char wrong[COMPRESSOR_WRONG_BYTES])
{
    const struct codec *codec = find(slice_text(algorithm));
    if (codec == NULL) return say_unknown(slice_text(algorithm), wrong);
    if (is_level_of(codec, level)) return FP_OK;
    char text[16];
    (void)snprintf(text, sizeof text, "%d", level);
    return say_levels(codec, slice_text(text), wrong);
}

void compressor_text(const struct compressor_config *config, char text[COMPRESSOR_TEXT_BYTES])
{
    const struct codec *codec = find(slice_text(config->algorithm));
    fp_assert(codec != NULL);
    int level = config->level != 0 ? config->level : codec->level_default;
    if (has_levels(codec))
        (void)snprintf(text, COMPRESSOR_TEXT_BYTES, "%s:%d", codec->name, level);
    else
        (void)snprintf(text, COMPRESSOR_TEXT_BYTES, "%s", codec->name);
}
