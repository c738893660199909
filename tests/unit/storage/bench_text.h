/* SPDX-License-Identifier: BSD-3-Clause
 * bench_text - one bench for a whole test program, and items whose values are text. */
#ifndef FARPAGE_TESTS_UNIT_STORAGE_BENCH_TEXT_H
#define FARPAGE_TESTS_UNIT_STORAGE_BENCH_TEXT_H
#include "tests/unit/base/suite.h"
#include "tests/unit/storage/bench.h"

static struct bench bench;

static inline void setup(void)
{
    bench_setup(&bench, (struct store_options){0}, 16);
}

static inline void teardown(void)
{
    bench_teardown(&bench);
}

static inline enum fp_status put(enum item_mode mode, const char *key, const char *value,
                                 uint64_t cas)
{
    return bench_put(&bench, (struct item_put){.mode = mode,
                                               .key = slice_text(key),
                                               .value = slice_text(value),
                                               .cas = cas});
}

static inline enum fp_status set(const char *key, const char *value)
{
    return put(ITEM_SET, key, value, 0);
}

static inline enum fp_status drop(const char *key)
{
    return store_item_delete(bench.store, bench.scratch, slice_text(key));
}

static inline uint64_t cas_of(const char *key)
{
    struct item *item = store_item_acquire(bench.store, bench.scratch, slice_text(key), NULL);
    uint64_t cas = item_cas(item);
    store_item_release(bench.store, bench.scratch, &item);
    return cas;
}

static inline bool is(const char *key, const char *value)
{
    return bench_is(&bench, key, value);
}

static inline uint64_t delta(const char *key, uint64_t by, bool down, enum fp_status expected)
{
    struct item_delta change = {.key = slice_text(key), .delta = by, .down = down};
    struct item_counted counted = {0};
    ck_assert_int_eq(store_item_delta(bench.store, bench.scratch, &change, &counted), expected);
    return counted.number;
}

#endif
