/* SPDX-License-Identifier: BSD-3-Clause */
#include "server/measure/latency.h"

#include <stdlib.h>

#include "tests/unit/base/suite.h"

START_TEST(buckets_follow_each_other_and_are_narrow)
{
    unsigned last = 0;
    for (uint64_t ns = 1; ns < (uint64_t)1 << 40; ns += ns / 64 + 1) {
        unsigned bucket = latency_bucket(ns);
        ck_assert_uint_ge(bucket, last);
        ck_assert_uint_le(bucket - last, 1);
        ck_assert_uint_lt(bucket, LATENCY_BUCKETS);
        last = bucket;
        if (bucket + 1 == LATENCY_BUCKETS) continue;
        uint64_t end = latency_bucket_end(bucket);
        ck_assert_uint_gt(end, ns);
        if (bucket > 0) ck_assert_uint_le(latency_bucket_end(bucket - 1), ns);
        if (bucket > 0) ck_assert_uint_le(end - ns, ns / 8 + 1);
    }
    ck_assert_uint_eq(last, LATENCY_BUCKETS - 1);
    ck_assert_uint_eq(latency_bucket(UINT64_MAX), LATENCY_BUCKETS - 1);
    ck_assert_uint_eq(latency_bucket(0), 0);
}
END_TEST

START_TEST(powers_of_two_are_ends_of_buckets)
{
    for (unsigned power = LATENCY_POWER_LEAST; power < LATENCY_POWER_MOST; power++) {
        unsigned bucket = latency_bucket(((uint64_t)1 << power) - 1);
        ck_assert_uint_eq(latency_bucket_end(bucket), (uint64_t)1 << power);
    }
}
END_TEST

START_TEST(what_workers_counted_is_summed)
{
    struct latencies *workers = calloc(2, sizeof *workers);
    struct latency_sum sum;
    for (uint64_t i = 1; i <= 1000; i++)
        latency_add(&workers[i % 2].of[OPERATION_GET], i * 1000);
    latencies_sum(workers, 2, OPERATION_GET, &sum);
    ck_assert_uint_eq(sum.count, 1000);
    ck_assert_uint_eq(sum.sum_ns, 500500 * 1000);
    ck_assert_uint_eq(sum.highest_ns, 1000000);
    static const double quantiles[] = {0.0, 0.25, 0.5, 0.9, 0.99, 1.0};
    for (size_t i = 0; i < FP_COUNT_OF(quantiles); i++) {
        uint64_t exact = (uint64_t)(quantiles[i] * 1000000), shown;
        shown = latency_quantile(&sum, quantiles[i]);
        ck_assert_uint_ge(shown, exact);
        ck_assert_uint_le(shown, exact + exact / 8 + 1128);
    }
    latencies_sum(workers, 2, OPERATION_SET, &sum);
    ck_assert_uint_eq(sum.count, 0);
    ck_assert_uint_eq(latency_quantile(&sum, 0.5), 0);
    free(workers);
}
END_TEST

int main(void)
{
    return suite_run("latency", buckets_follow_each_other_and_are_narrow,
                     powers_of_two_are_ends_of_buckets, what_workers_counted_is_summed);
}
