/* SPDX-License-Identifier: BSD-3-Clause */
#include "codec/codec_solo.h"

#include "codec/codec.h"

void codec_solo_fini(struct codec_solo *solo)
{
    const struct codec *codec = solo->codec;
    if (solo->prepared != NULL) codec->dictionary_destroy(solo->prepared);
    if (solo->packer != NULL) codec->packer_destroy(solo->packer);
    if (solo->unpacker != NULL) codec->unpacker_destroy(solo->unpacker);
    dictionary_release(&solo->dictionary);
    *solo = (struct codec_solo){.codec = NULL};
}

static bool make(struct codec_solo *solo, struct dictionary *dictionary)
{
    const struct codec *codec = solo->codec;
    if (codec->unpacker_create != NULL && (solo->unpacker = codec->unpacker_create()) == NULL)
        return false;
    if (dictionary == NULL || codec->dictionary_create == NULL) return true;
    solo->dictionary = dictionary_acquire(dictionary);
    solo->prepared = codec->dictionary_create(dictionary, solo->level);
    return solo->prepared != NULL;
}

enum fp_status codec_solo_init(struct codec_solo *solo, const struct compressor_config *config)
{
    unsigned index;
    *solo = (struct codec_solo){.codec = NULL};
    enum fp_status status = codec_find(config, &index, &solo->level);
    if (status != FP_OK) return status;
    solo->codec = codec_at(index);
    if (make(solo, config->dictionary)) return FP_OK;
    codec_solo_fini(solo);
    return FP_NO_MEMORY;
}

enum fp_status codec_solo_pack(struct codec_solo *solo, struct plain plain, struct space out,
                               struct packed *packed)
{
    if (solo->packer == NULL && solo->codec->packer_create != NULL &&
        (solo->packer = solo->codec->packer_create()) == NULL)
        return FP_NO_MEMORY;
    struct codec_use use = {solo->packer, solo->prepared, solo->level};
    size_t size = 0;
    enum fp_status status = solo->codec->pack(&use, plain, out, &size);
    if (status == FP_OK) *packed = (struct packed){.bytes = out.bytes, .size_bytes = size};
    return status;
}

enum fp_status codec_solo_unpack(struct codec_solo *solo, struct packed packed,
                                 struct space out)
{
    struct codec_use use = {solo->unpacker, solo->prepared, solo->level};
    return solo->codec->unpack(&use, packed, out) ? FP_OK : FP_CORRUPT;
}

size_t codec_solo_dictionary_bytes(const struct codec_solo *solo)
{
    if (solo->prepared == NULL) return 0;
    return dictionary_bytes(solo->dictionary).size_bytes +
           solo->codec->dictionary_bytes(solo->prepared);
}
