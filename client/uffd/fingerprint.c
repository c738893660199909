/* SPDX-License-Identifier: BSD-3-Clause
 * NH sums the products of pairs of neighbouring words, each of which has a key added to it; a
 * further pass has the keys shifted by a pair. */
#include "client/uffd/fingerprint.h"

#include <errno.h>
#ifdef __x86_64__
#include <immintrin.h>
#endif
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

static struct fingerprint of_words(const struct fingerprint_key *key, const uint32_t *words)
{
    struct fingerprint fingerprint;
    for (unsigned pass = 0; pass < FINGERPRINT_PASSES; pass++) {
        const uint32_t *keys = key->words + 2 * pass;
        uint64_t sum = 0;
        for (unsigned i = 0; i < FINGERPRINT_PAGE_BYTES / 4; i += 2)
            sum += (uint64_t)(words[i] + keys[i]) * (words[i + 1] + keys[i + 1]);
        fingerprint.sums[pass] = sum;
    }
    return fingerprint;
}

#ifdef __x86_64__

static __m256i four(const uint32_t *at) __attribute__((target("avx2")));
static __m256i four(const uint32_t *at)
{
    return _mm256_loadu_si256((const __m256i *)(const void *)at);
}

/* Four pairs at once; all passes in one, for the page is what has to be fetched. */
static struct fingerprint of_pairs(const struct fingerprint_key *key, const uint32_t *words)
    __attribute__((target("avx2")));
static struct fingerprint of_pairs(const struct fingerprint_key *key, const uint32_t *words)
{
    __m256i sums[FINGERPRINT_PASSES];
    for (unsigned pass = 0; pass < FINGERPRINT_PASSES; pass++) sums[pass] = _mm256_setzero_si256();
    for (unsigned i = 0; i < FINGERPRINT_PAGE_BYTES / 4; i += 8) {
        __m256i pairs = four(words + i);
        for (unsigned pass = 0; pass < FINGERPRINT_PASSES; pass++) {
            __m256i keyed = _mm256_add_epi32(pairs, four(key->words + i + 2 * pass));
            __m256i products = _mm256_mul_epu32(keyed, _mm256_srli_epi64(keyed, 32));
            sums[pass] = _mm256_add_epi64(sums[pass], products);
        }
    }
    struct fingerprint fingerprint;
    for (unsigned pass = 0; pass < FINGERPRINT_PASSES; pass++) {
        uint64_t parts[4];
        _mm256_storeu_si256((__m256i *)(void *)parts, sums[pass]);
        fingerprint.sums[pass] = parts[0] + parts[1] + parts[2] + parts[3];
    }
    return fingerprint;
}

struct fingerprint fingerprint_of(const struct fingerprint_key *key, const void *page)
{
    return __builtin_cpu_supports("avx2") ? of_pairs(key, page) : of_words(key, page);
}

#else

struct fingerprint fingerprint_of(const struct fingerprint_key *key, const void *page)
{
    return of_words(key, page);
}

#endif

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
