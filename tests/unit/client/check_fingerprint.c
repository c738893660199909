/* SPDX-License-Identifier: BSD-3-Clause
 * A page has the fingerprint it had, and another has another. */
#include <check.h>
#include <string.h>

#include "client/uffd/fingerprint.h"
#include "tests/unit/base/suite.h"
#include "tests/unit/storage/kit.h"

static struct fingerprint_key key;
static uint64_t page[FINGERPRINT_PAGE_BYTES / 8];

static void begin(uint64_t seed)
{
    struct rng rng = {seed};
    rng_fill(&rng, (uint8_t *)&key, sizeof key);
    rng_fill(&rng, (uint8_t *)page, sizeof page);
}

START_TEST(each_bit_counts)
{
    begin(1);
    struct fingerprint before = fingerprint_of(&key, page), after;
    for (unsigned bit = 0; bit < 8 * sizeof page; bit++) {
        page[bit / 64] ^= 1ull << bit % 64;
        after = fingerprint_of(&key, page);
        ck_assert_msg(!fingerprint_same(&before, &after), "bit %u", bit);
        for (int i = 0; i < FINGERPRINT_PASSES; i++) ck_assert(before.sums[i] != after.sums[i]);
        page[bit / 64] ^= 1ull << bit % 64;
    }
    after = fingerprint_of(&key, page);
    ck_assert(fingerprint_same(&before, &after));
}
END_TEST

/* Swapped words, and words that wander, are what a plain sum would miss. */
START_TEST(where_a_word_is_counts)
{
    begin(2);
    struct fingerprint before = fingerprint_of(&key, page), after;
    uint64_t word = page[3];
    page[3] = page[4];
    page[4] = word;
    after = fingerprint_of(&key, page);
    ck_assert(!fingerprint_same(&before, &after));
    memset(page, 0, sizeof page);
    page[0] = 1;
    before = fingerprint_of(&key, page);
    for (unsigned i = 1; i < FP_COUNT_OF(page); i++) {
        page[i - 1] = 0;
        page[i] = 1;
        after = fingerprint_of(&key, page);
        ck_assert(!fingerprint_same(&before, &after));
    }
}
END_TEST

/* However many pairs a processor takes at once. */
START_TEST(it_is_the_sum_of_products)
{
    begin(4);
    struct fingerprint made = fingerprint_of(&key, page);
    const uint32_t *words = (const uint32_t *)(const void *)page;
    for (unsigned pass = 0; pass < FINGERPRINT_PASSES; pass++) {
        uint64_t sum = 0;
        for (unsigned i = 0; i < FINGERPRINT_PAGE_BYTES / 4; i += 2) {
            uint32_t a = words[i] + key.words[2 * pass + i];
            uint32_t b = words[i + 1] + key.words[2 * pass + i + 1];
            sum += (uint64_t)a * b;
        }
        ck_assert_uint_eq(made.sums[pass], sum);
    }
}
END_TEST

START_TEST(the_key_counts)
{
    begin(3);
    struct fingerprint before = fingerprint_of(&key, page), after;
    ck_assert(fingerprint_key_make(&key));
    after = fingerprint_of(&key, page);
    ck_assert(!fingerprint_same(&before, &after));
}
END_TEST

START_TEST(one_bit_is_not_zeros)
{
    memset(page, 0, sizeof page);
    ck_assert(fingerprint_of_zeros(page));
    for (unsigned bit = 0; bit < 8 * sizeof page; bit += 7) {
        page[bit / 64] ^= 1ull << bit % 64;
        ck_assert(!fingerprint_of_zeros(page));
        page[bit / 64] = 0;
    }
}
END_TEST

int main(void)
{
    return suite_run("fingerprint", each_bit_counts, where_a_word_is_counts,
                     it_is_the_sum_of_products, the_key_counts,
                     one_bit_is_not_zeros);
}
