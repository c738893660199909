/* SPDX-License-Identifier: BSD-3-Clause */
#include "tests/bench/packs.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/crc32c.h"

struct pack packs_pack(struct packs *packs, uint32_t page)
{
    struct plain plain = {pageset_page(packs->pages, page), PAGESET_PAGE_BYTES};
    struct space space = {packs->packed, PAGESET_PAGE_BYTES - 1};
    struct packed packed;
    uint64_t word;
    struct pack pack = {.format = PACKED_PLAIN, .size_bytes = PAGESET_PAGE_BYTES,
                        .bytes = plain.bytes};
    if (plain_is_same_filled(plain, &word)) {
        memcpy(packs->packed, &word, sizeof word);
        pack = (struct pack){.format = PACKED_WORD, .size_bytes = sizeof word,
                             .bytes = packs->packed};
    } else if (codec_solo_pack(&packs->codec, plain, space, &packed) == FP_OK) {
        pack = (struct pack){.format = PACKED_LZ4, .size_bytes = (uint32_t)packed.size_bytes,
                             .bytes = packed.bytes};
    }
    return pack;
}

bool packs_is_page(struct packs *packs, enum packed_format format, struct packed packed,
                   uint32_t page)
{
    struct space space = {packs->plain, PAGESET_PAGE_BYTES};
    uint64_t word;
    if (format == PACKED_WORD) {
        if (packed.size_bytes != sizeof word) return false;
        memcpy(&word, packed.bytes, sizeof word);
        plain_fill(space, word);
    } else if (format != PACKED_LZ4 ||
               codec_solo_unpack(&packs->codec, packed, space) != FP_OK) {
        return false;
    }
    return crc32c(packs->plain, PAGESET_PAGE_BYTES) == packs->pages->crcs[page];
}

static void pack_all(struct packs *packs)
{
    size_t at = 0;
    for (uint32_t i = 0; i < packs->pages->count; i++) {
        struct pack *pack = &packs->ahead[i];
        *pack = packs_pack(packs, i);
        if (pack->format != PACKED_PLAIN) {
            memcpy(packs->bytes + at, pack->bytes, pack->size_bytes);
            pack->bytes = packs->bytes + at;
            at += pack->size_bytes;
        }
        pack->crc = crc32c(pack->bytes, pack->size_bytes);
    }
}

bool packs_make(const struct pageset *pages, struct packs *packs)
{
    static const struct compressor_config lz4 = {.algorithm = "lz4"};
    *packs = (struct packs){.pages = pages};
    packs->ahead = calloc(pages->count, sizeof *packs->ahead);
    packs->bytes = malloc((size_t)pages->count * PAGESET_PAGE_BYTES);
    if (packs->ahead != NULL && packs->bytes != NULL &&
        codec_solo_init(&packs->codec, &lz4) == FP_OK) {
        pack_all(packs);
        return true;
    }
    fprintf(stderr, "bench: out of memory\n");
    free(packs->ahead);
    free(packs->bytes);
    return false;
}

void packs_free(struct packs *packs)
{
    codec_solo_fini(&packs->codec);
    free(packs->ahead);
    free(packs->bytes);
}
