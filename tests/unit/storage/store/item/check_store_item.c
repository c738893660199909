/* SPDX-License-Identifier: BSD-3-Clause */
#include <pthread.h>

#include "storage/keydir/keydir.h"
#include "tests/unit/base/suite.h"
#include "tests/unit/storage/bench_text.h"

enum { PIECE = ITEM_PIECE_BYTES, LARGEST = 1 << 20 };

static uint64_t objects(void)
{
    return zpool_fill(store_zpool(bench.store)).object_count;
}

START_TEST(each_mode_stores_exactly_when_its_condition_holds)
{
    setup();
    ck_assert_int_eq(put(ITEM_REPLACE, "k", "0", 0), FP_NOT_STORED);
    ck_assert_int_eq(put(ITEM_APPEND, "k", "0", 0), FP_NOT_STORED);
    ck_assert_int_eq(put(ITEM_PREPEND, "k", "0", 0), FP_NOT_STORED);
    ck_assert_int_eq(put(ITEM_CAS, "k", "0", 1), FP_ABSENT);
    ck_assert(bench_lacks(&bench, "k") && store_item_count(bench.store) == 0);
    ck_assert_int_eq(put(ITEM_ADD, "k", "1", 0), FP_OK);
    ck_assert_int_eq(put(ITEM_ADD, "k", "2", 0), FP_NOT_STORED);
    ck_assert(is("k", "1"));
    ck_assert_int_eq(put(ITEM_REPLACE, "k", "3", 0), FP_OK);
    ck_assert_int_eq(put(ITEM_APPEND, "k", "45", 0), FP_OK);
    ck_assert_int_eq(put(ITEM_PREPEND, "k", "12", 0), FP_OK);
    ck_assert(is("k", "12345"));
    ck_assert_int_eq(set("k", "6"), FP_OK);
    ck_assert(is("k", "6") && store_item_count(bench.store) == 1);
    ck_assert_int_eq(drop("k"), FP_OK);
    ck_assert_int_eq(drop("k"), FP_ABSENT);
    ck_assert(bench_lacks(&bench, "k") && objects() == 0);
    teardown();
}
END_TEST

START_TEST(cas_stores_only_over_the_version_it_names)
{
    setup();
    ck_assert_int_eq(set("k", "1"), FP_OK);
    uint64_t first = cas_of("k");
    ck_assert(first > 0 && cas_of("k") == first);
    ck_assert_int_eq(put(ITEM_CAS, "k", "2", first + 1), FP_EXISTS);
    ck_assert_int_eq(put(ITEM_CAS, "k", "2", first), FP_OK);
    ck_assert_int_eq(put(ITEM_CAS, "k", "3", first), FP_EXISTS);
    ck_assert(is("k", "2") && cas_of("k") > first);
    uint64_t second = cas_of("k");
    struct item_counted counted;
    struct item_delta up = {.key = slice_text("k"), .delta = 1};
    ck_assert_int_eq(store_item_delta(bench.store, bench.scratch, &up, &counted), FP_OK);
    ck_assert_int_eq(put(ITEM_CAS, "k", "4", second), FP_EXISTS); /* incr is a change too */
    second = cas_of("k");
    ck_assert_int_eq(put(ITEM_APPEND, "k", "0", 0), FP_OK);
    ck_assert_int_eq(put(ITEM_CAS, "k", "4", second), FP_EXISTS);
    ck_assert(is("k", "30"));
    teardown();
}
END_TEST

START_TEST(values_of_every_size_around_the_pieces_come_back)
{
    static const size_t sizes[] = {0,         1,         7,         8,         9,
                                   16,        PIECE - 1, PIECE,     PIECE + 1, 2 * PIECE - 1,
                                   2 * PIECE, 50000,     LARGEST - 1, LARGEST};
    struct rng rng = {.state = 3};
    uint8_t *bytes = malloc(LARGEST);
    setup();
    for (int kind = 0; kind < 3; kind++) {
        for (size_t i = 0; i < FP_COUNT_OF(sizes); i++) {
            if (kind == 0) memset(bytes, 'a', sizes[i]);
            if (kind == 1) rng_fill(&rng, bytes, sizes[i]);
            if (kind == 2) rng_fill_text(&rng, bytes, sizes[i]);
            struct slice value = slice_of(bytes, sizes[i]);
            ck_assert_int_eq(bench_set(&bench, "key", value), FP_OK);
            ck_assert(bench_has(&bench, "key", value));
            ck_assert(atomic_load(&store_counters(bench.store)->item_value_bytes) == sizes[i]);
            store_check(bench.store);
        }
    }
    ck_assert_int_eq(drop("key"), FP_OK);
    ck_assert(objects() == 0);
    ck_assert(atomic_load(&store_counters(bench.store)->item_value_bytes) == 0);
    ck_assert(atomic_load(&store_counters(bench.store)->item_packed_bytes) == 0);
    ck_assert(budget_held(store_budget(bench.store), BUDGET_ITEMS) == 0);
    teardown();
    free(bytes);
}
END_TEST

START_TEST(keys_of_every_length_are_told_apart)
{
    char key[251], value[8];
    setup();
    memset(key, 'k', sizeof key);
    for (size_t size = 1; size <= 250; size++) {
        (void)snprintf(value, sizeof value, "%zu", size);
        struct item_put put_one = {.key = slice_of(key, size), .value = slice_text(value)};
        ck_assert_int_eq(bench_put(&bench, put_one), FP_OK);
    }
    ck_assert(store_item_count(bench.store) == 250);
    for (size_t size = 250; size >= 1; size--) {
        key[size] = '\0';
        (void)snprintf(value, sizeof value, "%zu", size);
        ck_assert(is(key, value));
    }
    teardown();
}
END_TEST

START_TEST(append_and_prepend_join_over_the_edges_of_pieces)
{
    static const size_t sizes[] = {0, 1, PIECE - 1, PIECE, PIECE + 1};
    struct rng rng = {.state = 4};
    uint8_t *bytes = malloc(4 * PIECE);
    rng_fill_text(&rng, bytes, 4 * PIECE);
    setup();
    for (size_t a = 0; a < FP_COUNT_OF(sizes); a++) {
        for (size_t b = 0; b < FP_COUNT_OF(sizes); b++) {
            struct slice all = slice_of(bytes, sizes[a] + sizes[b]);
            struct slice left = slice_of(bytes, sizes[a]);
            struct slice right = slice_of(bytes + sizes[a], sizes[b]);
            struct item_put more = {.mode = ITEM_APPEND, .key = slice_text("k"), .value = right};
            ck_assert_int_eq(bench_set(&bench, "k", left), FP_OK);
            ck_assert_int_eq(bench_put(&bench, more), FP_OK);
            ck_assert(bench_has(&bench, "k", all));
            more.mode = ITEM_PREPEND;
            more.value = left;
            ck_assert_int_eq(bench_set(&bench, "k", right), FP_OK);
            ck_assert_int_eq(bench_put(&bench, more), FP_OK);
            ck_assert(bench_has(&bench, "k", all));
        }
    }
    teardown();
    free(bytes);
}
END_TEST

START_TEST(nothing_at_all_may_be_appended)
{
    setup();
    struct item_put nothing = {.mode = ITEM_APPEND, .key = slice_text("k")};
    ck_assert_int_eq(set("k", "abc"), FP_OK);
    ck_assert_int_eq(bench_put(&bench, nothing), FP_OK);
    ck_assert(is("k", "abc"));
    nothing.mode = ITEM_SET;
    ck_assert_int_eq(bench_put(&bench, nothing), FP_OK);
    ck_assert(is("k", ""));
    nothing.mode = ITEM_PREPEND;
    ck_assert_int_eq(bench_put(&bench, nothing), FP_OK);
    ck_assert(is("k", ""));
    teardown();
}
END_TEST

START_TEST(joining_keeps_flags_and_expiry_and_setting_replaces_them)
{
    setup();
    struct item_put first = {.key = slice_text("k"), .value = slice_text("5"), .flags = 77,
                             .exptime = 100};
    struct item_counted counted;
    struct item_delta up = {.key = slice_text("k"), .delta = 5};
    ck_assert_int_eq(bench_put(&bench, first), FP_OK);
    ck_assert_int_eq(put(ITEM_APPEND, "k", "5", 0), FP_OK);
    ck_assert_int_eq(store_item_delta(bench.store, bench.scratch, &up, &counted), FP_OK);
    struct item *item = store_item_acquire(bench.store, bench.scratch, slice_text("k"), NULL);
    ck_assert(item->flags == 77 && item->expires_s == BENCH_START_MS / 1000 + 100);
    store_item_release(bench.store, bench.scratch, &item);
    ck_assert_int_eq(set("k", "1"), FP_OK);
    item = store_item_acquire(bench.store, bench.scratch, slice_text("k"), NULL);
    ck_assert(item->flags == 0 && item->expires_s == 0);
    store_item_release(bench.store, bench.scratch, &item);
    teardown();
}
END_TEST

START_TEST(a_value_that_is_too_big_is_refused_and_the_old_one_stays)
{
    setup();
    struct item_put more = {.mode = ITEM_APPEND, .key = slice_text("k"), .value = slice_text("45")};
    ck_assert_int_eq(set("k", "123"), FP_OK);
    ck_assert_int_eq(store_item_put(bench.store, bench.scratch, &more, 4), FP_TOO_BIG);
    ck_assert(is("k", "123"));
    ck_assert_int_eq(store_item_put(bench.store, bench.scratch, &more, 5), FP_OK);
    more.mode = ITEM_PREPEND;
    ck_assert_int_eq(store_item_put(bench.store, bench.scratch, &more, 6), FP_TOO_BIG);
    ck_assert(is("k", "12345"));
    more.mode = ITEM_SET;
    ck_assert_int_eq(store_item_put(bench.store, bench.scratch, &more, 1), FP_TOO_BIG);
    ck_assert(is("k", "12345"));
    ck_assert_int_eq(store_item_put(bench.store, bench.scratch, &more, 2), FP_OK);
    teardown();
}
END_TEST

START_TEST(incr_and_decr_count_as_memcached_does)
{
    setup();
    (void)delta("k", 1, false, FP_ABSENT);
    ck_assert_int_eq(set("k", "9"), FP_OK);
    ck_assert(delta("k", 1, false, FP_OK) == 10 && is("k", "10"));
    ck_assert(delta("k", 1, true, FP_OK) == 9 && is("k", "9 ")); /* keeps its length */
    ck_assert(delta("k", 90, false, FP_OK) == 99 && is("k", "99"));
    ck_assert(delta("k", 100, true, FP_OK) == 0 && is("k", "0 "));
    ck_assert_int_eq(set("k", "18446744073709551615"), FP_OK);
    ck_assert(delta("k", 1, false, FP_OK) == 0); /* wraps at 2^64 */
    ck_assert_int_eq(set("k", "18446744073709551610"), FP_OK);
    ck_assert(delta("k", 7, false, FP_OK) == 1);
    ck_assert_int_eq(set("k", "007"), FP_OK);
    ck_assert(delta("k", 1, false, FP_OK) == 8);
    ck_assert_int_eq(set("k", "5"), FP_OK);
    ck_assert(delta("k", UINT64_MAX, true, FP_OK) == 0 && is("k", "0"));
    ck_assert(delta("k", UINT64_MAX, false, FP_OK) == UINT64_MAX);
    ck_assert(is("k", "18446744073709551615"));
    teardown();
}
END_TEST

START_TEST(what_is_no_number_is_not_counted)
{
    static const char *const wrong[] = {"",   " ",  "x",   "1x", "-1",
                                        "+1", "1.", "0x1", "18446744073709551616", "1 2"};
    setup();
    for (size_t i = 0; i < FP_COUNT_OF(wrong); i++) {
        ck_assert_int_eq(set("k", wrong[i]), FP_OK);
        (void)delta("k", 1, false, FP_NOT_A_NUMBER);
        (void)delta("k", 1, true, FP_NOT_A_NUMBER);
        ck_assert(is("k", wrong[i]));
    }
    ck_assert_int_eq(set("k", "123456789012345678901"), FP_OK); /* 21 digits */
    (void)delta("k", 1, false, FP_NOT_A_NUMBER);
    teardown();
}
END_TEST

START_TEST(a_reader_keeps_its_bytes_while_others_overwrite_delete_evict_and_flush)
{
    struct rng rng = {.state = 1};
    uint8_t *bytes = malloc(40000), *out = malloc(40000);
    rng_fill_text(&rng, bytes, 40000);
    setup();
    for (int way = 0; way < 4; way++) {
        ck_assert_int_eq(bench_set(&bench, "k", slice_of(bytes, 40000)), FP_OK);
        struct item *item = store_item_acquire(bench.store, bench.scratch, slice_text("k"), NULL);
        if (way == 0) ck_assert_int_eq(set("k", "other"), FP_OK);
        if (way == 1) ck_assert_int_eq(drop("k"), FP_OK);
        if (way == 2) ck_assert(store_evict_one(bench.store, bench.scratch));
        if (way == 3) store_flush(bench.store, bench.scratch, 0);
        ck_assert_int_eq(store_item_read(bench.store, bench.scratch, item, out), FP_OK);
        ck_assert_mem_eq(out, bytes, 40000);
        store_item_release(bench.store, bench.scratch, &item);
        ck_assert_ptr_null(item);
        ck_assert(way == 0 ? is("k", "other") : bench_lacks(&bench, "k"));
        (void)drop("k");
        ck_assert(objects() == 0 && budget_held(store_budget(bench.store), BUDGET_ITEMS) == 0);
    }
    teardown();
    free(bytes);
    free(out);
}
END_TEST

START_TEST(a_refused_value_leaves_no_trace_and_the_memory_stays_in_its_limit)
{
    enum { VALUE = 700 << 10 };
    struct rng rng = {.state = 1};
    uint8_t *bytes = malloc(VALUE);
    rng_fill(&rng, bytes, VALUE);
    bench_setup(&bench, (struct store_options){.memory_limit_bytes = BENCH_MIB / 2}, 16);
    ck_assert_int_eq(bench_set(&bench, "k", slice_of(bytes, VALUE)), FP_NO_MEMORY);
    ck_assert(atomic_load(&store_counters(bench.store)->no_memory) == 1);
    ck_assert(bench_lacks(&bench, "k") && objects() == 0);
    ck_assert(budget_held(store_budget(bench.store), BUDGET_ITEMS) == 0);
    ck_assert_int_eq(bench_set(&bench, "k", slice_of(bytes, VALUE / 2)), FP_OK);
    struct item_put more = {.mode = ITEM_APPEND, .key = slice_text("k"),
                            .value = slice_of(bytes, VALUE / 2)};
    ck_assert_int_ne(bench_put(&bench, more), FP_OK);
    ck_assert(budget_total(store_budget(bench.store)) <= BENCH_MIB / 2);
    bench_teardown(&bench);
    free(bytes);
}
END_TEST

#if FARPAGE_DEBUG_HOOKS
START_TEST(a_damaged_value_is_corrupt_and_never_joined_or_counted)
{
    struct rng rng = {.state = 1};
    uint8_t *bytes = malloc(50000), *out = malloc(50000);
    setup();
    for (int kind = 0; kind < 3; kind++) {
        if (kind == 0) rng_fill(&rng, bytes, 50000);
        if (kind == 1) rng_fill_text(&rng, bytes, 50000);
        if (kind == 2) memset(bytes, 1, 50000);
        ck_assert_int_eq(bench_set(&bench, "k", slice_of(bytes, 50000)), FP_OK);
        ck_assert_int_eq(store_damage_item(bench.store, bench.scratch, slice_text("k")), FP_OK);
        struct item *item = store_item_acquire(bench.store, bench.scratch, slice_text("k"), NULL);
        ck_assert_int_eq(store_item_read(bench.store, bench.scratch, item, out), FP_CORRUPT);
        store_item_release(bench.store, bench.scratch, &item);
        ck_assert_int_eq(put(ITEM_APPEND, "k", "x", 0), FP_CORRUPT);
    }
    ck_assert_int_eq(set("n", "12345678"), FP_OK);
    ck_assert_int_eq(store_damage_item(bench.store, bench.scratch, slice_text("n")), FP_OK);
    (void)delta("n", 1, false, FP_CORRUPT);
    ck_assert(atomic_load(&store_counters(bench.store)->corrupt) == 7);
    ck_assert_int_eq(store_damage_item(bench.store, bench.scratch, slice_text("no")), FP_ABSENT);
    teardown();
    free(bytes);
    free(out);
}
END_TEST
#define WITH_DAMAGE a_damaged_value_is_corrupt_and_never_joined_or_counted,
#else
#define WITH_DAMAGE
#endif

struct counter {
    pthread_t thread;
    struct bench bench;
    uint64_t ups;
};

static void *count_up(void *argument)
{
    enum { ROUNDS = 2000 };
    struct counter *counter = argument;
    struct item_delta up = {.key = slice_text("n"), .delta = 1};
    struct item_put more = {
        .mode = ITEM_APPEND, .key = slice_text("log"), .value = slice_text(".")};
    int64_t touch = 1000;
    for (int i = 0; i < ROUNDS; i++) {
        struct item_counted counted;
        if (store_item_delta(counter->bench.store, counter->bench.scratch, &up, &counted) == FP_OK)
            counter->ups++;
        if (i % 4 == 0 && bench_put(&counter->bench, more) != FP_OK) return NULL;
        struct item *item =
            store_item_acquire(counter->bench.store, counter->bench.scratch, up.key, &touch);
        if (item != NULL) store_item_release(counter->bench.store, counter->bench.scratch, &item);
    }
    return counter;
}

START_TEST(threads_lose_no_increment_and_no_appended_byte)
{
    enum { THREADS = 4 };
    struct counter counters[THREADS];
    setup();
    uint64_t ups = 0;
    ck_assert_int_eq(set("n", "0"), FP_OK);
    ck_assert_int_eq(set("log", ""), FP_OK);
    for (int i = 0; i < THREADS; i++) {
        counters[i] = (struct counter){.bench = bench};
        ck_assert_int_eq(store_scratch_create(counters[i].bench.store,
                                              &counters[i].bench.scratch), FP_OK);
        counters[i].bench.scratch->now_ms = BENCH_START_MS;
        counters[i].bench.scratch->unix_s = BENCH_START_UNIX_S;
        ck_assert_int_eq(pthread_create(&counters[i].thread, NULL, count_up, &counters[i]), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        void *result;
        ck_assert_int_eq(pthread_join(counters[i].thread, &result), 0);
        ck_assert_ptr_eq(result, &counters[i]);
        ups += counters[i].ups;
        store_scratch_destroy(&counters[i].bench.scratch);
    }
    ck_assert(ups == THREADS * 2000ull && delta("n", 0, false, FP_OK) == ups);
    size_t size;
    free(bench_get(&bench, "log", &size));
    ck_assert(size == THREADS * 500);
    teardown();
}
END_TEST

struct flusher {
    pthread_t thread;
    struct bench bench;
    char key[8];
};

static void *set_and_flush(void *argument)
{
    enum { ROUNDS = 20000 };
    struct flusher *flusher = argument;
    for (int i = 0; i < ROUNDS; i++) {
        if (bench_set(&flusher->bench, flusher->key, slice_text("v")) != FP_OK) return NULL;
        store_flush(flusher->bench.store, flusher->bench.scratch, 0);
        if (!bench_lacks(&flusher->bench, flusher->key)) return NULL;
    }
    return flusher;
}

/* A flush that is overtaken by a later one must not take that one back. */
START_TEST(what_was_flushed_stays_flushed_when_threads_flush_at_once)
{
    enum { THREADS = 4 };
    struct flusher flushers[THREADS];
    setup();
    for (int i = 0; i < THREADS; i++) {
        flushers[i] = (struct flusher){.bench = bench, .key = {'k', (char)('0' + i)}};
        ck_assert_int_eq(store_scratch_create(flushers[i].bench.store,
                                              &flushers[i].bench.scratch), FP_OK);
        flushers[i].bench.scratch->now_ms = BENCH_START_MS;
        ck_assert_int_eq(pthread_create(&flushers[i].thread, NULL, set_and_flush, &flushers[i]), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        void *result;
        ck_assert_int_eq(pthread_join(flushers[i].thread, &result), 0);
        ck_assert_ptr_eq(result, &flushers[i]);
        store_scratch_destroy(&flushers[i].bench.scratch);
    }
    teardown();
}
END_TEST

int main(void)
{
    return suite_run(
        "store_item", each_mode_stores_exactly_when_its_condition_holds,
        cas_stores_only_over_the_version_it_names,
        values_of_every_size_around_the_pieces_come_back, keys_of_every_length_are_told_apart,
        append_and_prepend_join_over_the_edges_of_pieces, nothing_at_all_may_be_appended,
        joining_keeps_flags_and_expiry_and_setting_replaces_them,
        a_value_that_is_too_big_is_refused_and_the_old_one_stays,
        incr_and_decr_count_as_memcached_does, what_is_no_number_is_not_counted,
        a_reader_keeps_its_bytes_while_others_overwrite_delete_evict_and_flush,
        a_refused_value_leaves_no_trace_and_the_memory_stays_in_its_limit,
        WITH_DAMAGE what_was_flushed_stays_flushed_when_threads_flush_at_once,
        threads_lose_no_increment_and_no_appended_byte);
}
