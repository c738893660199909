/* SPDX-License-Identifier: BSD-3-Clause */
#include "storage/codec_trial.h"

#include <string.h>

#include "storage/compressor_codec.h"

void codec_trial_fini(struct codec_trial *trial)
{
    const struct codec *codec = trial->codec;
    if (trial->prepared != NULL) codec->dictionary_destroy(trial->prepared);
    if (trial->packer != NULL) codec->packer_destroy(trial->packer);
    if (trial->unpacker != NULL) codec->unpacker_destroy(trial->unpacker);
    dictionary_release(&trial->dictionary);
    *trial = (struct codec_trial){.codec = NULL};
}

static bool make(struct codec_trial *trial, struct dictionary *dictionary)
{
    const struct codec *codec = trial->codec;
    if (codec->packer_create != NULL && (trial->packer = codec->packer_create()) == NULL)
        return false;
    if (codec->unpacker_create != NULL && (trial->unpacker = codec->unpacker_create()) == NULL)
        return false;
    if (dictionary == NULL || codec->dictionary_create == NULL) return true;
    trial->dictionary = dictionary_acquire(dictionary);
    trial->prepared = codec->dictionary_create(dictionary, trial->level);
    return trial->prepared != NULL;
}

enum fp_status codec_trial_init(struct codec_trial *trial, const struct compressor_config *config)
{
    unsigned index;
    *trial = (struct codec_trial){.codec = NULL};
    enum fp_status status = codec_find(config, &index, &trial->level);
    if (status != FP_OK) return status;
    trial->codec = codec_at(index);
    if (make(trial, config->dictionary)) return FP_OK;
    codec_trial_fini(trial);
    return FP_NO_MEMORY;
}

enum fp_status codec_trial_pack(struct codec_trial *trial, struct plain plain, struct space out,
                                struct packed *packed)
{
    struct codec_use use = {trial->packer, trial->prepared, trial->level};
    size_t size = 0;
    enum fp_status status = trial->codec->pack(&use, plain, out, &size);
    if (status == FP_OK) *packed = (struct packed){.bytes = out.bytes, .size_bytes = size};
    return status;
}

enum fp_status codec_trial_unpack(struct codec_trial *trial, struct packed packed,
                                  struct space out)
{
    struct codec_use use = {trial->unpacker, trial->prepared, trial->level};
    return trial->codec->unpack(&use, packed, out) ? FP_OK : FP_CORRUPT;
}

size_t codec_trial_dictionary_bytes(const struct codec_trial *trial)
{
    if (trial->prepared == NULL) return 0;
    return dictionary_bytes(trial->dictionary).size_bytes +
           trial->codec->dictionary_bytes(trial->prepared);
}

bool plain_is_same_filled(struct plain plain)
{
    size_t word = sizeof(uint64_t);
    return plain.size_bytes >= word && plain.size_bytes % word == 0 &&
           memcmp(plain.bytes, plain.bytes + word, plain.size_bytes - word) == 0;
}
