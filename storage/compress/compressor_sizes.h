/* SPDX-License-Identifier: BSD-3-Clause
 * compressor_sizes - what packing came to: sizes and time. Any thread, but for a scratch its own.
 * Locks: RANK_COMPRESSOR_SWAP. */
#ifndef FARPAGE_STORAGE_COMPRESSOR_SIZES_H
#define FARPAGE_STORAGE_COMPRESSOR_SIZES_H
#include "storage/compress/compressor.h"

/* How long the thread has packed and unpacked, estimated. */
uint64_t codec_scratch_packing_ns(const struct codec_scratch *scratch) FP_NONNULL(1);

/* What was packed since the start, by what it was packed to. */
enum { PACKED_SIZES = 13 };
extern const uint64_t packed_size_bytes[PACKED_SIZES]; /* upper ends, rising */
struct packed_sizes {
    uint64_t counts[PACKED_SIZES + 1]; /* of each range up to an end; the last: beyond */
    uint64_t sum_bytes;
};
void compressor_sizes(struct compressor_pool *pool, struct packed_sizes *sizes) FP_NONNULL(1, 2);

#endif
