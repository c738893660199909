/* SPDX-License-Identifier: BSD-3-Clause */
#include "codec/packing.h"

#include <string.h>

bool plain_is_same_filled(struct plain plain, uint64_t *word)
{
    size_t size = plain.size_bytes;
    if (size < sizeof *word || size % sizeof *word != 0) return false;
    uint64_t last;
    memcpy(word, plain.bytes, sizeof *word);
    memcpy(&last, plain.bytes + size - sizeof last, sizeof last);
    /* The last word tells most pages apart from a repeated one at once. */
    return *word == last &&
           memcmp(plain.bytes, plain.bytes + sizeof *word, size - sizeof *word) == 0;
}

void plain_fill(struct space out, uint64_t word)
{
    for (size_t at = 0; at + sizeof word <= out.capacity_bytes; at += sizeof word)
        memcpy(out.bytes + at, &word, sizeof word);
}
