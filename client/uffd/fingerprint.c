/* SPDX-License-Identifier: BSD-3-Clause
 * NH sums the products of pairs of words, each of which has a key added to it. A pair here is one
 * word of the page's first half and one of its second, so that a compiler sees vectors. */
#include "client/uffd/fingerprint.h"

#include <errno.h>
#include <string.h>
#include <sys/random.h>

bool fingerprint_key_make(struct fingerprint_key *key)
{
    uint8_t *bytes = (uint8_t *)key;
    size_t made = 0;
    while (made < sizeof *key) {
        ssize_t got = getrandom(bytes + made, sizeof *key - made, 0);
        if (got < 0 && errno != EINTR) return false;
        if (got > 0) made += (size_t)got;
    }
    return true;
}

static uint64_t pass(const uint32_t *first, const uint32_t *second, const uint32_t *page)
{
    uint64_t sum = 0;
    for (unsigned i = 0; i < FINGERPRINT_PAIRS; i++) {
        uint32_t a = page[i] + first[i], b = page[FINGERPRINT_PAIRS + i] + second[i];
        sum += (uint64_t)a * b;
    }
    return sum;
}

struct fingerprint fingerprint_of(const struct fingerprint_key *key, const void *page)
{
    struct fingerprint fingerprint;
    for (unsigned i = 0; i < FINGERPRINT_PASSES; i++)
        fingerprint.sums[i] = pass(key->first + i, key->second + i, page);
    return fingerprint;
}

bool fingerprint_same(const struct fingerprint *a, const struct fingerprint *b)
{
    return memcmp(a->sums, b->sums, sizeof a->sums) == 0;
}

bool fingerprint_of_zeros(const void *page)
{
    const uint64_t *words = page;
    if (words[0] != 0) return false; /* most pages end here */
    uint64_t any = 0;
    for (unsigned i = 0; i < FINGERPRINT_PAGE_BYTES / 8; i++) any |= words[i];
    return any == 0;
}
