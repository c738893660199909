/* SPDX-License-Identifier: BSD-3-Clause
 * codec_solo - one algorithm with its level and dictionary, and the memory of one thread to use it
 * with: no seat, no counts.
 *
 * What the server packs with, without its pool of seats: for whoever packs pages for a server, or
 * only wants to know what a compressor would make of some.
 *
 * Threads: one at a time. Blocks: never; a dictionary takes milliseconds to prepare. */
#ifndef FARPAGE_CODEC_CODEC_SOLO_H
#define FARPAGE_CODEC_CODEC_SOLO_H
#include "codec/packing.h"

struct codec;

struct codec_solo {
    const struct codec *codec;
    int level;
    struct dictionary *dictionary; /* one use; NULL: none, or the algorithm has no use for one */
    void *prepared;
    void *packer, *unpacker; /* NULL: the codec needs none, or packed nothing yet */
};

/* FP_INVALID: no such algorithm or level. FP_NO_MEMORY. codec_solo_fini is due after FP_OK. */
enum fp_status codec_solo_init(struct codec_solo *solo, const struct compressor_config *config)
    FP_MUST_CHECK FP_NONNULL(1, 2);
void codec_solo_fini(struct codec_solo *solo) FP_NONNULL(1);

/* Packs plain into out. FP_TOO_BIG: it does not shrink to the capacity; FP_NO_MEMORY: for working
 * memory, which the first pack allocates. */
enum fp_status codec_solo_pack(struct codec_solo *solo, struct plain plain, struct space out,
                               struct packed *packed) FP_MUST_CHECK FP_NONNULL(1, 4);
/* Unpacks exactly out.capacity_bytes of bytes that may be anybody's. FP_CORRUPT: they are anything
 * else; out is undefined. Allocates nothing. */
enum fp_status codec_solo_unpack(struct codec_solo *solo, struct packed packed,
                                 struct space out) FP_MUST_CHECK FP_NONNULL(1);

/* What the dictionary costs in memory, its own bytes and the algorithm's tables of them; or 0. */
size_t codec_solo_dictionary_bytes(const struct codec_solo *solo) FP_NONNULL(1);

#endif
