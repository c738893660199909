/* SPDX-License-Identifier: BSD-3-Clause */
#include "storage/store_walk.h"

#include <stdio.h>

#include "storage/keydir_walk.h"
#include "storage/store_internal.h"

static void take_locked(struct store_walk *walk, struct item *item)
{
    item_acquire(item);
    walk->items[walk->count++] = (struct store_walk_item){.item = item,
                                                          .accessed_ms = item->accessed_ms,
                                                          .expires_s = item->expires_s,
                                                          .fetched = item->fetched};
}

void store_walk_step(struct store *store, struct store_scratch *scratch, struct store_walk *walk)
{
    struct item *found[STORE_WALK_ITEMS_MAX];
    fp_assert(walk->count == 0);
    store_flush_if_due(store, scratch);
    struct keydir_shard *shard = &store->keydir.shards[keydir_walk_shard(walk->position)];
    lock_take(&shard->lock);
    unsigned count = keydir_walk_locked(shard, &walk->position, found, STORE_WALK_ITEMS_MAX);
    for (unsigned i = 0; i < count; i++)
        if (!store_item_dead(store, scratch, found[i])) take_locked(walk, found[i]);
    lock_drop(&shard->lock);
}

void store_walk_release(struct store *store, struct store_scratch *scratch,
                        struct store_walk *walk)
{
    while (walk->count > 0)
        store_item_release(store, scratch, &walk->items[--walk->count].item);
}

/* The handles of an item in hand go on naming what they name. */
static void piece_codec(struct store *store, struct zhandle piece,
                        char text[ITEM_CODEC_TEXT_BYTES])
{
    struct zname name = zpool_look(store->zpool, piece);
    bool packed = name.what == ZOBJECT && entry_form(name.note) == ENTRY_PACKED;
    snprintf(text, ITEM_CODEC_TEXT_BYTES, entry_same_filled(name) ? "same" : "none");
    if (!packed) return;
    int level;
    const char *algorithm = compressor_seat_is(store->compressors, entry_seat(name.note), &level);
    snprintf(text, ITEM_CODEC_TEXT_BYTES, "%s:%d", algorithm, level);
}

void store_item_codec(struct store *store, const struct item *item,
                      char text[ITEM_CODEC_TEXT_BYTES])
{
    snprintf(text, ITEM_CODEC_TEXT_BYTES, "none");
    for (unsigned i = 0; i < item->piece_count; i++) {
        char other[ITEM_CODEC_TEXT_BYTES];
        piece_codec(store, item->pieces[i], i == 0 ? text : other);
        if (i == 0 || strcmp(text, other) == 0) continue;
        snprintf(text, ITEM_CODEC_TEXT_BYTES, "mixed");
        return;
    }
}
