/* SPDX-License-Identifier: BSD-3-Clause
 * fuzz - what the fuzz targets and the replayer share. */
#ifndef FARPAGE_TESTS_FUZZ_FUZZ_H
#define FARPAGE_TESTS_FUZZ_FUZZ_H
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/slice.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size_bytes);

/* A copy that ends where its memory ends, so that AddressSanitizer sees one byte too many. */
static inline struct slice tight_create(const uint8_t *bytes, size_t size_bytes)
{
    uint8_t *copy = malloc(size_bytes > 0 ? size_bytes : 1);
    fp_assert(copy != NULL);
    if (size_bytes > 0) memcpy(copy, bytes, size_bytes);
    return slice_of(copy, size_bytes);
}

static inline void tight_destroy(struct slice *tight)
{
    free((void *)(uintptr_t)tight->bytes);
    tight->bytes = NULL;
}

#endif
