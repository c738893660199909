/* SPDX-License-Identifier: BSD-3-Clause
 * codec_trial - one algorithm with its level and dictionary, to try pages on: no seat, no counts.
 *
 * What the server packs with, without its pool of seats: so that whoever only wants to know what a
 * compressor would make of some pages links the codecs and nothing of the store.
 *
 * Threads: one at a time. Blocks: never; a dictionary takes milliseconds to prepare. */
#ifndef FARPAGE_STORAGE_CODEC_TRIAL_H
#define FARPAGE_STORAGE_CODEC_TRIAL_H
#include "storage/compressor.h"

struct codec;

struct codec_trial {
    const struct codec *codec;
    int level;
    struct dictionary *dictionary; /* one use; NULL: none, or the algorithm has no use for one */
    void *prepared;
    void *packer, *unpacker; /* NULL: the codec needs none */
};

/* FP_INVALID: no such algorithm or level. FP_NO_MEMORY. codec_trial_fini is due after FP_OK. */
enum fp_status codec_trial_init(struct codec_trial *trial, const struct compressor_config *config)
    FP_MUST_CHECK FP_NONNULL(1, 2);
void codec_trial_fini(struct codec_trial *trial) FP_NONNULL(1);

/* As compressor_pack and compressor_unpack. */
enum fp_status codec_trial_pack(struct codec_trial *trial, struct plain plain, struct space out,
                                struct packed *packed) FP_MUST_CHECK FP_NONNULL(1, 4);
enum fp_status codec_trial_unpack(struct codec_trial *trial, struct packed packed,
                                  struct space out) FP_MUST_CHECK FP_NONNULL(1);

/* What the dictionary costs in memory, its own bytes and the algorithm's tables of them; or 0. */
size_t codec_trial_dictionary_bytes(const struct codec_trial *trial) FP_NONNULL(1);

/* One repeated word of 8 bytes: nothing is ever packed of such a page. */
bool plain_is_same_filled(struct plain plain);

#endif
