/* SPDX-License-Identifier: BSD-3-Clause
 * numbered - bytes that say what they are: a number first, then what it makes. So whoever reads
 * some, of whatever moment, can tell whether they are whole. */
#ifndef FARPAGE_TESTS_MODEL_NUMBERED_H
#define FARPAGE_TESTS_MODEL_NUMBERED_H
#include "tests/unit/storage/kit.h"

enum { NUMBERED_BYTES_MAX = 20000 };

static inline void numbered_make(uint64_t number, uint8_t *bytes, size_t size)
{
    struct rng rng = {.state = number};
    if (number % 4 == 0) rng_fill(&rng, bytes, size);
    else rng_fill_text(&rng, bytes, size);
    memcpy(bytes, &number, sizeof number);
}

/* The number; stops the program where the bytes are not all that it makes. */
static inline uint64_t numbered_verify(const uint8_t *bytes, size_t size)
{
    uint8_t expected[NUMBERED_BYTES_MAX];
    uint64_t number;
    memcpy(&number, bytes, sizeof number);
    numbered_make(number, expected, size);
    fp_assert(memcmp(bytes, expected, size) == 0);
    return number;
}

#endif
