/* SPDX-License-Identifier: BSD-3-Clause
 *
 * A page is copied before its checksum is taken, and packed from the copy: whoever writes to it
 * meanwhile gets one of the two contents stored, and never a checksum of the other. */
#include "client/packer.h"

#include <stdlib.h>
#include <string.h>

#include "base/crc32c.h"

enum {
    /* What shrinks by less than one in so many parts is not worth the unpacking. */
    WORTH_PART = 32,
    PACKED_BYTES_MAX = 65534, /* of a page of 64 KiB */
};

static const char *algorithm_of(uint8_t codec, enum farpage_pack wish)
{
    if (codec == FRAME_CODEC_ZSTD) return "zstd";
    return wish == FARPAGE_PACK_LZ4HC ? "lz4hc" : "lz4";
}

static uint8_t codec_of_wish(enum farpage_pack wish)
{
    return wish == FARPAGE_PACK_ZSTD ? FRAME_CODEC_ZSTD : FRAME_CODEC_LZ4;
}

/* --- kits ----------------------------------------------------------------------------------- */

static void kit_fini(struct packer_kit *kit)
{
    if (kit->codec != FRAME_CODEC_PLAIN) codec_solo_fini(&kit->solo);
    kit->codec = FRAME_CODEC_PLAIN;
}

static bool kit_init(struct packer_kit *kit, uint8_t codec, uint32_t dictionary_id,
                     const struct compressor_config *config)
{
    kit_fini(kit);
    if (codec_solo_init(&kit->solo, config) != FP_OK) return false;
    kit->codec = codec;
    kit->dictionary_id = dictionary_id;
    return true;
}

static struct packer_dictionary *dictionary_of(struct packer *packer, uint32_t id)
{
    for (size_t i = 0; id != 0 && i < PACKER_DICTIONARIES; i++) {
        struct packer_dictionary *at = &packer->dictionaries[i];
        if (at->id != id) continue;
        at->used = ++packer->clock;
        return at;
    }
    return NULL;
}

/* The kit to unpack with, made in the place of the one that was not used for longest; NULL: out of
 * memory. */
static struct packer_kit *kit_for(struct packer *packer, uint8_t codec, uint32_t id,
                                  struct dictionary *dictionary)
{
    struct packer_kit *oldest = &packer->kits[0];
    for (size_t i = 0; i < PACKER_KITS; i++) {
        struct packer_kit *kit = &packer->kits[i];
        if (kit->codec == codec && kit->dictionary_id == id) {
            kit->used = ++packer->clock;
            return kit;
        }
        if (kit->codec == FRAME_CODEC_PLAIN) kit->used = 0;
        if (kit->used < oldest->used) oldest = kit;
    }
    struct compressor_config config = {.algorithm = algorithm_of(codec, FARPAGE_PACK_AUTO),
                                       .dictionary = dictionary};
    if (!kit_init(oldest, codec, id, &config)) return NULL;
    oldest->used = ++packer->clock;
    return oldest;
}

/* Makes the kit that stores are packed with be the one that is agreed on, as far as it can. */
static bool ready_to_pack(struct packer *packer)
{
    struct packer_dictionary *known = dictionary_of(packer, packer->dictionary_id);
    if (packer->dictionary_id != 0 && known == NULL) packer->wanted_id = packer->dictionary_id;
    struct dictionary *dictionary = known != NULL ? known->dictionary : NULL;
    uint32_t id = dictionary != NULL ? packer->dictionary_id : 0;
    struct packer_kit *kit = &packer->packing;
    if (kit->codec == packer->codec && kit->dictionary_id == id &&
        kit->solo.level == packer->codec_level) {
        return true;
    }
    struct compressor_config config = {.algorithm = algorithm_of(packer->codec, packer->wish),
                                       .level = packer->codec_level,
                                       .dictionary = dictionary};
    if (!kit_init(kit, packer->codec, id, &config)) return false;
    packer->codec_level = kit->solo.level; /* a 0 is the codec's own */
    return true;
}

/* --- what is agreed on ---------------------------------------------------------------------- */

enum farpage_status packer_init(struct packer *packer, enum farpage_pack wish, int level,
                                struct reason *reason)
{
    *packer = (struct packer){.wish = wish, .level = level};
    bool named = wish == FARPAGE_PACK_LZ4 || wish == FARPAGE_PACK_LZ4HC ||
                 wish == FARPAGE_PACK_ZSTD;
    if (!named) {
        bool good = (wish == FARPAGE_PACK_AUTO || wish == FARPAGE_PACK_OFF) && level == 0;
        if (good) return FARPAGE_OK;
        reason_set(reason, "there is no such way to pack pages");
        return FARPAGE_INVALID;
    }
    struct codec_solo solo;
    struct compressor_config config = {.algorithm = algorithm_of(codec_of_wish(wish), wish),
                                       .level = level};
    enum fp_status status = codec_solo_init(&solo, &config);
    if (status == FP_OK) {
        codec_solo_fini(&solo);
        return FARPAGE_OK;
    }
    reason_set(reason, status == FP_NO_MEMORY ? "out of memory for a codec"
                                              : "the codec has no such level");
    return status == FP_NO_MEMORY ? FARPAGE_NO_MEMORY : FARPAGE_INVALID;
}

void packer_fini(struct packer *packer)
{
    kit_fini(&packer->packing);
    for (size_t i = 0; i < PACKER_KITS; i++) kit_fini(&packer->kits[i]);
    for (size_t i = 0; i < PACKER_DICTIONARIES; i++) {
        dictionary_release(&packer->dictionaries[i].dictionary);
    }
    free(packer->page);
    packer->page = NULL;
}

bool packer_wants(const struct packer *packer)
{
    return packer->wish != FARPAGE_PACK_OFF;
}

void packer_stop(struct packer *packer)
{
    packer->codec = FRAME_CODEC_PLAIN;
    packer->wanted_id = 0;
}

void packer_agree(struct packer *packer, const struct packer_terms *terms)
{
    packer_stop(packer);
    packer->codecs = packer_wants(packer) ? terms->codecs : 0;
    if (packer->codecs == 0) return;
    if (packer->page == NULL || packer->page_bytes != terms->page_bytes) {
        free(packer->page);
        packer->page = malloc(terms->page_bytes);
    }
    packer->page_bytes = terms->page_bytes;
    if (packer->page == NULL) packer->codecs = 0;
    if (packer->codecs == 0) return;
    bool own = packer->wish == FARPAGE_PACK_AUTO;
    uint8_t codec = own ? terms->hint : codec_of_wish(packer->wish);
    /* The server's lz4 may be lz4hc, whose levels are others. */
    packer->codec_level = packer->level;
    if (own && codec == FRAME_CODEC_ZSTD) packer->codec_level = terms->hint_level;
    packer->dictionary_id = terms->dictionary_id;
    bool possible = codec == FRAME_CODEC_LZ4 || codec == FRAME_CODEC_ZSTD;
    if (!possible || (packer->codecs >> codec & 1) == 0) return;
    packer->codec = codec;
    if (!ready_to_pack(packer)) packer_stop(packer);
}

void packer_learn(struct packer *packer, struct slice bytes)
{
    struct packer_dictionary *oldest = &packer->dictionaries[0];
    for (size_t i = 1; i < PACKER_DICTIONARIES; i++) {
        struct packer_dictionary *at = &packer->dictionaries[i];
        if (at->used < oldest->used) oldest = at;
    }
    const char *fault;
    dictionary_release(&oldest->dictionary);
    *oldest = (struct packer_dictionary){.id = packer->wanted_id, .used = ++packer->clock};
    packer->wanted_id = 0;
    if (bytes.size_bytes > 0 &&
        dictionary_create(bytes, &oldest->dictionary, &fault) == FP_OK &&
        dictionary_id(oldest->dictionary) != oldest->id) {
        dictionary_release(&oldest->dictionary);
    }
    if (packer_packs(packer) && !ready_to_pack(packer)) packer_stop(packer);
}

void packer_forget(struct packer *packer, uint32_t id)
{
    if (packer->dictionary_id != id) return;
    packer->dictionary_id = 0;
    if (packer->wanted_id == id) packer->wanted_id = 0;
    if (packer_packs(packer) && !ready_to_pack(packer)) packer_stop(packer);
}

/* --- pages ---------------------------------------------------------------------------------- */

/* Packs packer->page to `out`; false: it stays plain. */
static bool pack(struct packer *packer, struct frame_entry *entry, uint8_t *out)
{
    uint64_t word;
    struct plain plain = {packer->page, packer->page_bytes};
    bool words = (packer->codecs >> FRAME_CODEC_WORD & 1) != 0;
    if (words && plain_is_same_filled(plain, &word)) {
        memcpy(out, &word, sizeof word);
        entry->codec = FRAME_CODEC_WORD;
        entry->size_bytes = sizeof word;
        return true;
    }
    struct packer_kit *kit = &packer->packing;
    size_t most = packer->page_bytes - packer->page_bytes / WORTH_PART;
    struct space space = {out, most < PACKED_BYTES_MAX ? most : PACKED_BYTES_MAX};
    struct packed packed;
    if (codec_solo_pack(&kit->solo, plain, space, &packed) != FP_OK) return false;
    entry->codec = kit->codec;
    entry->size_bytes = (uint32_t)packed.size_bytes;
    entry->dictionary_id = kit->dictionary_id;
    return packed.size_bytes > 0;
}

size_t packer_put(struct packer *packer, uint64_t slot, const uint8_t *page, uint8_t *at,
                  uint32_t *dictionary_id)
{
    uint8_t *out = at + FRAME_ENTRY_BYTES;
    memcpy(packer->page, page, packer->page_bytes);
    struct frame_entry entry = {.slot = slot,
                                .page_crc = crc32c(packer->page, packer->page_bytes)};
    if (!packer_packs(packer) || !pack(packer, &entry, out)) {
        memcpy(out, packer->page, packer->page_bytes);
        entry.size_bytes = packer->page_bytes;
        entry.codec = FRAME_CODEC_PLAIN;
        entry.dictionary_id = 0;
    }
    *dictionary_id = entry.dictionary_id;
    frame_entry_encode(&entry, out, at);
    return FRAME_ENTRY_BYTES + entry.size_bytes;
}

static enum packer_result unpack(struct packer *packer, const struct frame_packed *packed,
                                 struct slice bytes)
{
    struct space space = {packer->page, packer->page_bytes};
    if (packed->codec == FRAME_CODEC_WORD) {
        uint64_t word;
        if (bytes.size_bytes != sizeof word || packed->dictionary_id != 0) return PACKER_NONSENSE;
        memcpy(&word, bytes.bytes, sizeof word);
        plain_fill(space, word);
        return PACKER_GOOD;
    }
    struct packer_dictionary *known = dictionary_of(packer, packed->dictionary_id);
    if (packed->dictionary_id != 0 && known == NULL) {
        if (packer->wanted_id == 0) packer->wanted_id = packed->dictionary_id;
        return PACKER_UNKNOWN;
    }
    if (known != NULL && known->dictionary == NULL) return PACKER_UNKNOWN;
    struct packer_kit *kit = kit_for(packer, packed->codec, packed->dictionary_id,
                                     known != NULL ? known->dictionary : NULL);
    if (kit == NULL) return PACKER_NO_MEMORY;
    struct packed in = {bytes.bytes, bytes.size_bytes};
    return codec_solo_unpack(&kit->solo, in, space) == FP_OK ? PACKER_GOOD : PACKER_CORRUPT;
}

enum packer_result packer_take(struct packer *packer, struct slice body, uint8_t *page)
{
    struct frame_packed packed;
    struct slice bytes;
    if (!frame_packed_decode(body, &packed, &bytes)) return PACKER_NONSENSE;
    if (bytes.size_bytes >= packer->page_bytes) return PACKER_NONSENSE;
    enum packer_result result = unpack(packer, &packed, bytes);
    if (result != PACKER_GOOD) return result;
    uint32_t crc = crc32c(packer->page, packer->page_bytes) & FRAME_PACKED_CRC_MASK;
    if (crc != packed.page_crc) return PACKER_CORRUPT;
    memcpy(page, packer->page, packer->page_bytes);
    return PACKER_GOOD;
}
