/* SPDX-License-Identifier: BSD-3-Clause */
#include "client/cli/snapshot/snapshot_objects.h"

#include <stdlib.h>
#include <string.h>

#include "base/crc32c.h"

enum { CHECK_BITS = 30, CHECK_BITS_WHOLE = 22, WHOLE_BYTES = 4096 };

bool snapshot_objects_init(struct snapshot_objects *objects)
{
    memset(objects, 0, sizeof *objects);
    objects->plain = malloc(SNAPSHOT_OBJECT_BYTES_MAX);
    bool good = objects->plain != NULL;
    for (unsigned i = 0; i < CODECS; i++) {
        const struct codec *codec = codec_at(i);
        if (codec->unpacker_create == NULL) continue;
        objects->unpackers[i] = codec->unpacker_create();
        good = good && objects->unpackers[i] != NULL;
    }
    return good;
}

void snapshot_objects_fini(struct snapshot_objects *objects)
{
    for (uint32_t i = 0; i < objects->seat_count; i++)
        if (objects->seats[i].prepared != NULL)
            objects->seats[i].codec->dictionary_destroy(objects->seats[i].prepared);
    for (uint32_t i = 0; i < objects->dictionary_count; i++)
        dictionary_release(&objects->dictionaries[i]);
    for (unsigned i = 0; i < CODECS; i++)
        if (objects->unpackers[i] != NULL) codec_at(i)->unpacker_destroy(objects->unpackers[i]);
    free(objects->plain);
}

void snapshot_objects_dictionary(struct snapshot_objects *objects,
                                 const struct snapshot_dictionary *dictionary)
{
    const char *reason;
    struct dictionary *made = NULL;
    if (dictionary_create(dictionary->bytes, &made, &reason) != FP_OK) made = NULL;
    objects->dictionaries[objects->dictionary_count++] = made;
}

void snapshot_objects_seat(struct snapshot_objects *objects, const struct snapshot_seat *seat)
{
    char algorithm[SNAPSHOT_ALGORITHM_BYTES_MAX + 1] = "";
    struct snapshot_object_seat *known = &objects->seats[objects->seat_count++];
    struct compressor_config config = {.algorithm = algorithm, .level = seat->level};
    struct dictionary *dictionary =
        seat->dictionary != 0 ? objects->dictionaries[seat->dictionary - 1] : NULL;
    unsigned index;
    memcpy(algorithm, seat->algorithm.bytes, seat->algorithm.size_bytes);
    *known = (struct snapshot_object_seat){.codec = NULL};
    if (codec_find(&config, &index, &known->level) != FP_OK) return;
    const struct codec *codec = codec_at(index);
    bool prepares = dictionary != NULL && codec->dictionary_create != NULL;
    if (prepares) known->prepared = codec->dictionary_create(dictionary, known->level);
    if (prepares && known->prepared == NULL) return;
    if (seat->dictionary != 0 && dictionary == NULL) return;
    known->codec = codec;
}

static bool unpack(struct snapshot_objects *objects, const struct snapshot_entry *entry,
                   struct space out)
{
    const struct snapshot_object_seat *seat = &objects->seats[entry->seat];
    if (seat->codec == NULL) return false;
    unsigned index = 0;
    while (codec_at(index) != seat->codec) index++;
    struct codec_use use = {objects->unpackers[index], seat->prepared, seat->level};
    struct packed packed = {entry->bytes.bytes, entry->bytes.size_bytes};
    return seat->codec->unpack(&use, packed, out);
}

bool snapshot_object_is_good(struct snapshot_objects *objects, const struct snapshot_entry *entry,
                             uint32_t plain_bytes)
{
    struct space out = {objects->plain, plain_bytes};
    const uint8_t *plain = objects->plain;
    unsigned bits = CHECK_BITS;
    uint64_t word;
    switch (entry->form) {
    case SNAPSHOT_PACKED:
        if (!unpack(objects, entry, out)) return false;
        break;
    case SNAPSHOT_PLAIN:
        plain = entry->bytes.bytes;
        if (plain_bytes % WHOLE_BYTES == 0) bits = CHECK_BITS_WHOLE;
        break;
    case SNAPSHOT_WORD:
        memcpy(&word, entry->bytes.bytes, sizeof word);
        plain_fill(out, word);
        break;
    case SNAPSHOT_CORRUPT:
    case SNAPSHOT_FORMS:
        return false;
    }
    uint32_t crc = crc32c(plain, plain_bytes);
    return crc >> (32 - bits) == entry->check >> (32 - bits);
}
