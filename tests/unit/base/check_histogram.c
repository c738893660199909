/* SPDX-License-Identifier: BSD-3-Clause */
#include "base/histogram.h"

#include <stdlib.h>

#include "suite.h"

enum { VALUES = 20000 };

static uint64_t next_random(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

static int by_value(const void *a, const void *b)
{
    uint64_t x, y;
    x = *(const uint64_t *)a;
    y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

/* Never below the true quantile, and at most 1/32 above it. */
static void expect_near(uint64_t got, uint64_t exact)
{
    ck_assert_msg(got >= exact, "%llu for %llu", (unsigned long long)got,
                  (unsigned long long)exact);
    ck_assert_msg(got - exact <= exact / 32, "%llu for %llu", (unsigned long long)got,
                  (unsigned long long)exact);
}

START_TEST(quantiles_are_those_of_the_sorted_values)
{
    static const double quantiles[] = {0.0, 0.01, 0.25, 0.5, 0.9, 0.99, 0.999, 1.0};
    static uint64_t values[VALUES];
    static struct histogram histogram;
    for (uint64_t seed = 1; seed <= 20; seed++) {
        uint64_t state = seed * 0x9e3779b97f4a7c15u;
        histogram_init(&histogram);
        for (size_t i = 0; i < VALUES; i++) {
            values[i] = next_random(&state) >> (next_random(&state) % 64); /* all magnitudes */
            histogram_add(&histogram, values[i]);
        }
        qsort(values, VALUES, sizeof *values, by_value);
        for (size_t q = 0; q < FP_COUNT_OF(quantiles); q++) {
            size_t rank = (size_t)(quantiles[q] * VALUES + 0.5);
            expect_near(histogram_quantile(&histogram, quantiles[q]),
                        values[rank > 0 ? rank - 1 : 0]);
        }
        ck_assert(histogram.highest == values[VALUES - 1]);
        ck_assert(histogram_quantile(&histogram, 1.0) == values[VALUES - 1]);
    }
}
END_TEST

START_TEST(the_ends_of_every_power_of_two_are_near)
{
    static struct histogram histogram;
    for (unsigned bit = 0; bit < 64; bit++) {
        uint64_t power = 1ull << bit;
        const uint64_t around[] = {power - 1, power, power + 1, power + power / 2};
        for (size_t i = 0; i < FP_COUNT_OF(around); i++) {
            histogram_init(&histogram);
            histogram_add(&histogram, around[i]);
            histogram_add(&histogram, UINT64_MAX); /* so that `highest` does not hide the bucket */
            expect_near(histogram_quantile(&histogram, 0.5), around[i]);
        }
    }
}
END_TEST

START_TEST(small_values_are_exact)
{
    static struct histogram histogram;
    histogram_init(&histogram);
    ck_assert(histogram_quantile(&histogram, 0.5) == 0);
    for (uint64_t value = 0; value < 64; value++) histogram_add(&histogram, value);
    for (unsigned rank = 1; rank <= 64; rank++)
        ck_assert(histogram_quantile(&histogram, rank / 64.0) == rank - 1);
    ck_assert(histogram_quantile(&histogram, 0.26) == 16); /* rank 16.64: the nearest, 17 */
    ck_assert(histogram.sum == 63 * 64 / 2 && histogram.count == 64);
}
END_TEST

START_TEST(merging_is_adding_everything_to_one)
{
    static struct histogram one, two, both;
    uint64_t state = 42;
    histogram_init(&one);
    histogram_init(&two);
    histogram_init(&both);
    for (int i = 0; i < VALUES; i++) {
        uint64_t value = next_random(&state) >> 40;
        histogram_add(i % 3 ? &one : &two, value);
        histogram_add(&both, value);
    }
    histogram_merge(&one, &two);
    ck_assert_mem_eq(&one, &both, sizeof one);
}
END_TEST

int main(void)
{
    return suite_run("histogram", quantiles_are_those_of_the_sorted_values,
                     the_ends_of_every_power_of_two_are_near, small_values_are_exact,
                     merging_is_adding_everything_to_one);
}
