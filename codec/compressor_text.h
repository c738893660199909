/* SPDX-License-Identifier: BSD-3-Clause
 * compressor_text - an algorithm and its level as people write them: "lz4", "lz4:8", "zstd:-3".
 *
 * One parser for every place where they are written; what it says about a mistake is made from the
 * algorithms' own tables. Pure calls on any thread. */
#ifndef FARPAGE_CODEC_COMPRESSOR_TEXT_H
#define FARPAGE_CODEC_COMPRESSOR_TEXT_H
#include "base/attrs.h"
#include "base/slice.h"
#include "base/status.h"

struct compressor_config;

enum {
    COMPRESSOR_TEXT_BYTES = 32,   /* room for "lz4:65537" and its like */
    COMPRESSOR_WRONG_BYTES = 256, /* room for what is wrong, one line without an end */
};

/* Reads NAME or NAME:LEVEL; config->algorithm is then a constant, config->dictionary is left as it
 * is. FP_INVALID: `wrong` says what is and what is allowed, and *config is untouched. */
enum fp_status compressor_parse(struct slice text, struct compressor_config *config,
                                char wrong[COMPRESSOR_WRONG_BYTES])
    FP_MUST_CHECK FP_NONNULL(2, 3);

/* The same of an algorithm and a level (0: its own) that were given apart. */
enum fp_status compressor_check(const char *algorithm, int level,
                                char wrong[COMPRESSOR_WRONG_BYTES]) FP_MUST_CHECK FP_NONNULL(1, 3);

/* The inverse of compressor_parse; the algorithm must exist. Its own level is written out. */
void compressor_text(const struct compressor_config *config, char text[COMPRESSOR_TEXT_BYTES])
    FP_NONNULL(1, 2);

#endif
