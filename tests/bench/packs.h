/* SPDX-License-Identifier: BSD-3-Clause
 * packs - the pages of a pageset as a client that packs them would send them: made ahead, so that
 * the clock need not run meanwhile, or one at a time, as a client has to.
 *
 * A page of one repeated word is that word; one that lz4 does not shrink goes as it is.
 * Threads: one. */
#ifndef FARPAGE_TESTS_BENCH_PACKS_H
#define FARPAGE_TESTS_BENCH_PACKS_H
#include "codec/codec_solo.h"
#include "tests/bench/pageset.h"

struct pack {
    enum packed_format format;
    uint32_t size_bytes, crc; /* of these bytes */
    const uint8_t *bytes;
};

struct packs {
    const struct pageset *pages;
    struct pack *ahead; /* one for each page */
    uint8_t *bytes;     /* theirs, but for the plain ones, which lie in the pageset */
    struct codec_solo codec;
    uint8_t packed[PAGESET_PAGE_BYTES], plain[PAGESET_PAGE_BYTES]; /* of what is done now */
};

/* False after a line on stderr; then there is nothing to free. */
bool packs_make(const struct pageset *pages, struct packs *packs) FP_MUST_CHECK;
void packs_free(struct packs *packs);

/* Packs the page; good until the next call. It has no crc. */
struct pack packs_pack(struct packs *packs, uint32_t page);
/* Unpacks what came as `format`, and tells whether it is the page. */
bool packs_is_page(struct packs *packs, enum packed_format format, struct packed packed,
                   uint32_t page);

#endif
