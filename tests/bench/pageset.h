/* SPDX-License-Identifier: BSD-3-Clause
 * pageset - the real pages a benchmark works on, in memory, each with its checksum.
 *
 * Made-up pages make every compressor look as good as one likes; so there are none here. */
#ifndef FARPAGE_TESTS_BENCH_PAGESET_H
#define FARPAGE_TESTS_BENCH_PAGESET_H
#include <stdbool.h>
#include <stdint.h>

#include "base/attrs.h"

enum { PAGESET_PAGE_BYTES = 4096 };

struct pageset {
    uint8_t *bytes;
    uint32_t *crcs;
    uint32_t count, value_bytes; /* PAGESET_PAGE_BYTES, or what they were cut to */
    uint32_t same_filled; /* of them: one repeated machine word */
};

/* Reads the files one after the other. False after a line on stderr: a file cannot be read, or is
 * not a whole number of pages. */
bool pageset_read(char *const *paths, int path_count, struct pageset *pages) FP_MUST_CHECK;
void pageset_free(struct pageset *pages);

/* From now on a "page" is the next value_bytes of the same memory, fewer or more than a page's;
 * what is left over at the end is left out. False after a line on stderr: not enough for one. */
bool pageset_cut(struct pageset *pages, uint32_t value_bytes) FP_MUST_CHECK;

static inline const uint8_t *pageset_page(const struct pageset *pages, uint32_t index)
{
    return pages->bytes + (uint64_t)index * pages->value_bytes;
}

/* The page that the thing numbered `key` holds after it was written `version` times: each write
 * brings other bytes, and the key and version alone tell which. */
static inline uint32_t pageset_index(const struct pageset *pages, uint64_t key, uint64_t version)
{
    return (uint32_t)((key + version * 7919) % pages->count);
}

#endif
