/* SPDX-License-Identifier: BSD-3-Clause
 * codec_lz4 - what lz4 and lz4hc share: one format of blocks, hence one way to unpack. */
#ifndef FARPAGE_CODEC_CODEC_LZ4_H
#define FARPAGE_CODEC_CODEC_LZ4_H
#include "codec/codec.h"

enum { LZ4_WINDOW_BYTES = 64 << 10 }; /* how far an lz4 block looks back */

struct lz4_prepared {
    void *stream;        /* LZ4_stream_t or LZ4_streamHC_t with the window hashed; never written */
    struct slice window; /* within the dictionary */
};

/* The part of a dictionary that a block can refer to: its last 64 KiB. */
struct slice lz4_window(const struct dictionary *dictionary) FP_NONNULL(1);
void lz4_prepared_destroy(void *prepared) FP_NONNULL(1);
bool lz4_unpack(const struct codec_use *use, struct packed packed, struct space out);

#endif
