/* SPDX-License-Identifier: BSD-3-Clause
 *
 * What an item is packed with. The handles of an item in hand go on naming what they name. */
#include "codec/compressor_text.h"
#include "storage/store/store_internal.h"

static void piece_codec(struct store *store, struct zhandle piece, char text[ITEM_CODEC_TEXT_BYTES])
{
    struct zname name = zpool_look(store->zpool, piece);
    bool packed = name.what >= ZOBJECT && entry_form(name.note) == ENTRY_PACKED;
    struct compressor_config config = {.algorithm = NULL};
    if (packed)
        config.algorithm =
            compressor_seat_is(store->compressors, entry_seat(name.note), &config.level);
    if (config.algorithm != NULL) compressor_text(&config, text);
    else memcpy(text, entry_same_filled(name) ? "same" : "none", sizeof "none");
}
_Static_assert((int)ITEM_CODEC_TEXT_BYTES == (int)COMPRESSOR_TEXT_BYTES, "it has room for any");
_Static_assert(sizeof "none" == sizeof "same", "they are copied alike");

void store_item_codec(struct store *store, const struct item *item,
                      char text[ITEM_CODEC_TEXT_BYTES])
{
    memcpy(text, "none", sizeof "none");
    for (uint32_t i = 0; i < item_piece_count(item); i++) {
        char other[ITEM_CODEC_TEXT_BYTES];
        piece_codec(store, item->pieces[i], i == 0 ? text : other);
        if (i == 0 || strcmp(text, other) == 0) continue;
        memcpy(text, "mixed", sizeof "mixed");
        return;
    }
}
