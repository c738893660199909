/* SPDX-License-Identifier: BSD-3-Clause */
#include "storage/store/item/store_value.h"

#include <pthread.h>

#include "tests/unit/base/suite.h"
#include "tests/unit/storage/bench.h"

enum {
    PIECE = ITEM_PIECE_BYTES,
    MOST = 64 * PIECE,
#ifdef __SANITIZE_THREAD__
    LONGEST = 1 << 26, /* there each of its bytes takes long */
    ROUNDS = 200,
#else
    LONGEST = 1 << 30,
    ROUNDS = 2000,
#endif
    THREADS = 3,
    TURNS = 12,
};

static struct bench bench;
static uint8_t bytes[MOST];

static void setup_with(uint64_t memory_mib)
{
    struct rng rng = {.state = 5};
    bench_setup(&bench, (struct store_options){.memory_limit_bytes = memory_mib * BENCH_MIB}, 16);
    rng_fill_text(&rng, bytes, MOST);
}

static void setup(void)
{
    setup_with(1024);
}

static void teardown(void)
{
    bench_teardown(&bench);
}

static uint64_t objects(void)
{
    return zpool_fill(store_zpool(bench.store)).object_count;
}

/* All but `left` pieces of a value. */
static struct store_value *value_of(struct slice from, unsigned left)
{
    struct store_value *value;
    fp_assert(store_value_begin(bench.store, bench.scratch, from.size_bytes, &value) == FP_OK);
    size_t at = 0, next;
    while ((next = store_value_next_bytes(value)) > 0 &&
           at + (size_t)left * PIECE < from.size_bytes) {
        fp_assert(store_value_add(bench.store, bench.scratch, value, from.bytes + at) == FP_OK);
        at += next;
    }
    return value;
}

static enum fp_status put_whole(enum item_mode mode, struct store_value **value,
                                struct store_join **join)
{
    struct item_put put = {
        .mode = mode, .key = slice_text("k"), .flags = 7, .whole = value, .join = join};
    return store_item_put(bench.store, bench.scratch, &put, MOST);
}

static enum fp_status put_plain(enum item_mode mode, struct slice value, struct store_join **join)
{
    struct item_put put = {
        .mode = mode, .key = slice_text("k"), .flags = 7, .value = value, .join = join};
    return store_item_put(bench.store, bench.scratch, &put, MOST);
}

static struct slice part(size_t from, size_t size)
{
    return slice_of(bytes + from, size);
}

static void expect_nothing_left(void)
{
    (void)!store_item_delete(bench.store, bench.scratch, slice_text("k"));
    while (store_end_step(bench.store, bench.scratch)) {}
    ck_assert_uint_eq(objects(), 0);
    ck_assert_uint_eq(budget_held(store_budget(bench.store), BUDGET_ITEMS), 0);
    ck_assert_uint_eq(store_values_packed_bytes(bench.store), 0);
    ck_assert_uint_eq(atomic_load(&store_counters(bench.store)->item_packed_bytes), 0);
}

START_TEST(nobody_finds_a_value_until_it_is_put_whole)
{
    static const size_t sizes[] = {0, 1, PIECE - 1, PIECE, PIECE + 1, 5 * PIECE + 77, MOST};
    setup();
    for (size_t i = 0; i < FP_COUNT_OF(sizes); i++) {
        ck_assert_int_eq(bench_set(&bench, "k", slice_text("old")), FP_OK);
        struct store_value *value = value_of(part(0, sizes[i]), 0);
        ck_assert(bench_is(&bench, "k", "old"));
        ck_assert(sizes[i] == 0 || store_values_packed_bytes(bench.store) > 0);
        ck_assert_int_eq(put_whole(ITEM_SET, &value, NULL), FP_OK);
        ck_assert_ptr_null(value);
        ck_assert(bench_has(&bench, "k", part(0, sizes[i])));
        ck_assert_uint_eq(store_values_packed_bytes(bench.store), 0);
        ck_assert_uint_eq(atomic_load(&store_counters(bench.store)->item_value_bytes), sizes[i]);
    }
    expect_nothing_left();
    teardown();
}
END_TEST

START_TEST(a_value_given_up_at_any_piece_leaves_nothing)
{
    setup();
    for (unsigned left = 0; left <= 64; left += 3) {
        struct store_value *value = value_of(part(0, MOST), left);
        store_value_end(bench.store, bench.scratch, &value);
        expect_nothing_left();
    }
    teardown();
}
END_TEST

/* An announcement alone is a lie that costs a client a line. */
START_TEST(what_is_announced_and_not_sent_is_not_charged)
{
    struct store_value *value;
    setup();
    ck_assert_int_eq(store_value_begin(bench.store, bench.scratch, 1u << 30, &value), FP_OK);
    ck_assert_int_eq(store_value_add(bench.store, bench.scratch, value, bytes), FP_OK);
    ck_assert_uint_lt(budget_held(store_budget(bench.store), BUDGET_ITEMS), 1024);
    store_value_end(bench.store, bench.scratch, &value);
    expect_nothing_left();
    teardown();
}
END_TEST

START_TEST(a_value_of_1_gib_is_stored_and_read)
{
    struct store_value *value;
    static uint8_t piece[PIECE];
    setup_with(64);
    uint64_t size = LONGEST;
    ck_assert_int_eq(store_value_begin(bench.store, bench.scratch, size, &value), FP_OK);
    for (uint64_t i = 0; store_value_next_bytes(value) > 0; i++) {
        uint64_t word = i | i << 32; /* same-filled: this is about counting */
        for (size_t at = 0; at < PIECE; at += sizeof word) memcpy(piece + at, &word, sizeof word);
        ck_assert_int_eq(store_value_add(bench.store, bench.scratch, value, piece), FP_OK);
    }
    struct item_put put = {.key = slice_text("k"), .whole = &value};
    ck_assert_int_eq(store_item_put(bench.store, bench.scratch, &put, size - 1), FP_TOO_BIG);
    ck_assert_int_eq(store_item_put(bench.store, bench.scratch, &put, size), FP_OK);
    struct item *item = store_item_acquire(bench.store, bench.scratch, slice_text("k"), NULL);
    ck_assert(item->value_bytes == size && item_piece_count(item) == LONGEST / PIECE);
    uint32_t last = LONGEST / PIECE - 1;
    ck_assert_int_eq(store_item_read_piece(bench.store, bench.scratch, item, last, piece), FP_OK);
    ck_assert_int_eq(memcmp(piece, &last, sizeof last), 0);
    store_item_release(bench.store, bench.scratch, &item);
    expect_nothing_left();
    teardown();
}
END_TEST

static struct store_value *long_value(unsigned pieces)
{
    struct store_value *value;
    fp_assert(store_value_begin(bench.store, bench.scratch, (uint64_t)pieces * PIECE, &value) ==
              FP_OK);
    for (unsigned i = 0; i < pieces; i++)
        fp_assert(store_value_add(bench.store, bench.scratch, value,
                                  bytes + (size_t)(i % 64) * PIECE) == FP_OK);
    return value;
}

/* Or a delete would keep a worker for as long as a thousand requests take. */
START_TEST(what_is_long_ends_in_steps_and_before_anything_is_evicted)
{
    setup();
    ck_assert_int_eq(bench_set(&bench, "stays", slice_text("v")), FP_OK);
    uint64_t with = objects();
    for (int turn = 0; turn < 3; turn++) {
        struct store_value *value = long_value(300), *other = long_value(200);
        struct item_put put = {.key = slice_text("k"), .whole = &value};
        ck_assert_int_eq(store_item_put(bench.store, bench.scratch, &put, 300 * PIECE), FP_OK);
        ck_assert_uint_eq(objects(), with + 500);
        store_value_end(bench.store, bench.scratch, &other);
        ck_assert_int_eq(store_item_delete(bench.store, bench.scratch, slice_text("k")), FP_OK);
        ck_assert_uint_eq(objects(), with + 500);
        ck_assert(turn != 1 || store_end_step(bench.store, bench.scratch));
        ck_assert(turn != 2 || store_evict_one(bench.store, bench.scratch));
        ck_assert(turn == 0 || objects() == with + 500 - 64);
        uint64_t steps = 0;
        for (; store_end_step(bench.store, bench.scratch); steps++) ck_assert(steps < 20);
        ck_assert_uint_eq(objects(), with);
        ck_assert(bench_is(&bench, "stays", "v"));
    }
    ck_assert_int_eq(store_item_delete(bench.store, bench.scratch, slice_text("stays")), FP_OK);
    expect_nothing_left();
    teardown();
}
END_TEST

/* Each makes long values and gives them up, and frees what any of them gave up. */
static void *end_many(void *context)
{
    struct store_scratch *scratch;
    (void)context;
    fp_assert(store_scratch_create(bench.store, &scratch) == FP_OK);
    for (int turn = 0; turn < TURNS; turn++) {
        struct store_value *value;
        fp_assert(store_value_begin(bench.store, scratch, 100 * PIECE, &value) == FP_OK);
        while (store_value_next_bytes(value) > 0)
            fp_assert(store_value_add(bench.store, scratch, value, bytes) == FP_OK);
        store_value_end(bench.store, scratch, &value);
        (void)store_end_step(bench.store, scratch);
    }
    store_scratch_destroy(&scratch);
    return NULL;
}

START_TEST(many_may_end_what_is_long_at_once)
{
    pthread_t threads[THREADS];
    setup();
    for (int i = 0; i < THREADS; i++)
        ck_assert_int_eq(pthread_create(&threads[i], NULL, end_many, NULL), 0);
    for (int i = 0; i < THREADS; i++) pthread_join(threads[i], NULL);
    expect_nothing_left();
    teardown();
}
END_TEST

/* A store that is destroyed does not forget them. */
START_TEST(what_has_not_ended_ends_with_the_store)
{
    setup();
    struct store_value *value = long_value(300);
    store_value_end(bench.store, bench.scratch, &value);
    ck_assert_uint_eq(objects(), 300);
    teardown();
}
END_TEST

START_TEST(the_mode_decides_when_the_value_is_whole)
{
    setup();
    struct slice text = part(0, 6 * PIECE);
    struct store_value *value = value_of(text, 0);
    ck_assert_int_eq(put_whole(ITEM_REPLACE, &value, NULL), FP_NOT_STORED);
    ck_assert_ptr_nonnull(value); /* still the caller's */
    ck_assert_int_eq(put_whole(ITEM_ADD, &value, NULL), FP_OK);
    value = value_of(text, 0);
    ck_assert_int_eq(put_whole(ITEM_ADD, &value, NULL), FP_NOT_STORED);
    ck_assert_int_eq(put_whole(ITEM_CAS, &value, NULL), FP_EXISTS);
    ck_assert_int_eq(put_whole(ITEM_REPLACE, &value, NULL), FP_OK);
    ck_assert(bench_has(&bench, "k", text));
    expect_nothing_left();
    teardown();
}
END_TEST

/* Appends or prepends until it is done; `between` happens after the first few steps. */
static enum fp_status join(enum item_mode mode, struct slice text, bool packed,
                           void (*between)(void))
{
    struct store_value *value = packed ? value_of(text, 0) : NULL;
    struct store_join *join = NULL;
    enum fp_status status;
    int steps = 0;
    do {
        status = packed ? put_whole(mode, &value, &join) : put_plain(mode, text, &join);
        if (++steps == 2 && between != NULL) between();
    } while (join != NULL);
    ck_assert(steps > 1 || status == FP_TOO_BIG);
    store_value_end(bench.store, bench.scratch, &value);
    return status;
}

START_TEST(long_values_are_joined_in_steps)
{
    static const size_t sizes[] = {1, PIECE - 1, PIECE, PIECE + 1, 9 * PIECE + 5};
    setup();
    for (size_t a = 0; a < FP_COUNT_OF(sizes); a++) {
        for (size_t b = 0; b < FP_COUNT_OF(sizes); b++) {
            size_t old = sizes[a], added = sizes[b];
            if (old + added <= ITEM_WHOLE_BYTES_MAX) continue;
            ck_assert_int_eq(bench_set(&bench, "k", part(0, old)), FP_OK);
            ck_assert_int_eq(join(ITEM_APPEND, part(old, added), b % 2 == 0, NULL), FP_OK);
            ck_assert(bench_has(&bench, "k", part(0, old + added)));
            ck_assert_int_eq(bench_set(&bench, "k", part(added, old)), FP_OK);
            ck_assert_int_eq(join(ITEM_PREPEND, part(0, added), b % 2 == 1, NULL), FP_OK);
            ck_assert(bench_has(&bench, "k", part(0, old + added)));
        }
    }
    ck_assert_int_eq(put_plain(ITEM_APPEND, part(0, 9), NULL), FP_OK); /* at once where asked */
    expect_nothing_left();
    teardown();
}
END_TEST

static void replace(void)
{
    ck_assert_int_eq(bench_set(&bench, "k", part(0, 30 * PIECE)), FP_OK);
}

static void drop(void)
{
    ck_assert_int_eq(store_item_delete(bench.store, bench.scratch, slice_text("k")), FP_OK);
}

START_TEST(a_join_sees_who_was_quicker)
{
    setup();
    struct slice tail = part(30 * PIECE, 20 * PIECE);
    ck_assert_int_eq(bench_set(&bench, "k", part(1, 40 * PIECE)), FP_OK);
    ck_assert_int_eq(join(ITEM_APPEND, tail, true, replace), FP_OK);
    ck_assert(bench_has(&bench, "k", part(0, 50 * PIECE)));
    ck_assert_int_eq(join(ITEM_PREPEND, part(0, 10), false, drop), FP_NOT_STORED);
    ck_assert(bench_lacks(&bench, "k"));
    ck_assert_int_eq(bench_set(&bench, "k", part(0, 50 * PIECE)), FP_OK);
    ck_assert_int_eq(join(ITEM_APPEND, tail, true, NULL), FP_TOO_BIG);
    ck_assert(bench_has(&bench, "k", part(0, 50 * PIECE)));
    expect_nothing_left();
    teardown();
}
END_TEST

static pthread_barrier_t all_ready;

/* Each round all append to a key that holds nothing, where the first is to make it. */
static void *be_the_first(void *context)
{
    struct store_scratch *scratch;
    (void)context;
    fp_assert(store_scratch_create(bench.store, &scratch) == FP_OK);
    for (int round = 0; round < ROUNDS; round++) {
        struct store_value *value;
        struct store_join *join = NULL;
        struct item_put put = {.mode = ITEM_APPEND, .key = slice_text("k"), .whole = &value,
                               .join = &join, .creates = true};
        fp_assert(store_value_begin(bench.store, scratch, 2 * PIECE, &value) == FP_OK);
        while (store_value_next_bytes(value) > 0)
            fp_assert(store_value_add(bench.store, scratch, value, bytes) == FP_OK);
        pthread_barrier_wait(&all_ready);
        do fp_assert(store_item_put(bench.store, scratch, &put, MOST) == FP_OK);
        while (join != NULL);
        store_value_end(bench.store, scratch, &value);
        if (pthread_barrier_wait(&all_ready) != PTHREAD_BARRIER_SERIAL_THREAD) continue;
        struct item *item = store_item_acquire(bench.store, scratch, slice_text("k"), NULL);
        fp_assert(item != NULL && item->value_bytes == THREADS * 2 * PIECE);
        store_item_release(bench.store, scratch, &item);
        fp_assert(store_item_delete(bench.store, scratch, slice_text("k")) == FP_OK);
    }
    store_scratch_destroy(&scratch);
    return NULL;
}

START_TEST(of_many_who_are_the_first_one_is_and_the_others_append)
{
    pthread_t threads[THREADS];
    setup();
    ck_assert_int_eq(pthread_barrier_init(&all_ready, NULL, THREADS), 0);
    for (int i = 0; i < THREADS; i++)
        ck_assert_int_eq(pthread_create(&threads[i], NULL, be_the_first, NULL), 0);
    for (int i = 0; i < THREADS; i++) pthread_join(threads[i], NULL);
    pthread_barrier_destroy(&all_ready);
    expect_nothing_left();
    teardown();
}
END_TEST

START_TEST(a_join_ends_where_its_value_is_too_large_by_now)
{
    struct store_join *join = NULL;
    struct store_value *value;
    setup();
    ck_assert_int_eq(bench_set(&bench, "k", part(0, 40 * PIECE)), FP_OK);
    value = value_of(part(0, 9 * PIECE), 0);
    struct item_put put = {
        .mode = ITEM_APPEND, .key = slice_text("k"), .whole = &value, .join = &join};
    for (int i = 0; i < 2; i++)
        ck_assert_int_eq(store_item_put(bench.store, bench.scratch, &put, MOST), FP_OK);
    ck_assert_ptr_nonnull(join);
    ck_assert_int_eq(store_item_put(bench.store, bench.scratch, &put, 5 * PIECE), FP_TOO_BIG);
    ck_assert_ptr_null(join); /* else the caller would go on with it for ever */
    store_value_end(bench.store, bench.scratch, &value);
    expect_nothing_left();
    teardown();
}
END_TEST

START_TEST(a_join_given_up_leaves_nothing)
{
    struct store_join *join = NULL;
    setup();
    ck_assert_int_eq(bench_set(&bench, "k", part(0, 40 * PIECE)), FP_OK);
    for (int i = 0; i < 2; i++) ck_assert_int_eq(put_plain(ITEM_APPEND, part(0, 9), &join), FP_OK);
    ck_assert_ptr_nonnull(join);
    ck_assert_uint_gt(store_values_packed_bytes(bench.store), 0);
    store_join_end(bench.store, bench.scratch, &join);
    ck_assert(bench_has(&bench, "k", part(0, 40 * PIECE)));
    expect_nothing_left();
    teardown();
}
END_TEST

/* Without the hooks nothing can be damaged, and the join is as good. */
START_TEST(what_is_damaged_is_not_joined)
{
    enum fp_status expected = FP_OK;
    setup();
    ck_assert_int_eq(bench_set(&bench, "k", part(0, 40 * PIECE)), FP_OK);
#if FARPAGE_DEBUG_HOOKS
    ck_assert_int_eq(store_damage_item(bench.store, bench.scratch, slice_text("k")), FP_OK);
    expected = FP_CORRUPT;
#endif
    ck_assert_int_eq(join(ITEM_APPEND, part(0, 9), false, NULL), expected);
    expect_nothing_left();
    teardown();
}
END_TEST

START_TEST(what_arrives_may_take_half_of_the_memory_and_items_give_way)
{
    static uint8_t noise[PIECE];
    struct rng rng = {.state = 9};
    struct store_value *value;
    uint64_t added = 0;
    char key[16];
    setup_with(16);
    rng_fill(&rng, noise, PIECE);
    for (int i = 0; i < 2000; i++) { /* 32 MB */
        snprintf(key, sizeof key, "n%d", i);
        ck_assert_int_eq(bench_set(&bench, key, slice_of(noise, PIECE)), FP_OK);
    }
    ck_assert_int_eq(store_value_begin(bench.store, bench.scratch, 1u << 30, &value), FP_OK);
    enum fp_status status;
    while ((status = store_value_add(bench.store, bench.scratch, value, noise)) == FP_OK)
        added += PIECE;
    ck_assert_int_eq(status, FP_NO_MEMORY);
    ck_assert_uint_le(added, 8 * BENCH_MIB);
    ck_assert_uint_gt(added + 2 * PIECE, 8 * BENCH_MIB);
    ck_assert_uint_gt(store_item_count(bench.store), 100); /* the rest is others' */
    store_value_end(bench.store, bench.scratch, &value);
    while (store_evict_one(bench.store, bench.scratch)) {}
    expect_nothing_left();
    teardown();
}
END_TEST

int main(void)
{
    return suite_run("store_value", nobody_finds_a_value_until_it_is_put_whole,
                     a_value_given_up_at_any_piece_leaves_nothing,
                     what_is_announced_and_not_sent_is_not_charged,
                     a_value_of_1_gib_is_stored_and_read,
                     what_is_long_ends_in_steps_and_before_anything_is_evicted,
                     what_has_not_ended_ends_with_the_store, many_may_end_what_is_long_at_once,
                     the_mode_decides_when_the_value_is_whole,
                     long_values_are_joined_in_steps, a_join_sees_who_was_quicker,
                     of_many_who_are_the_first_one_is_and_the_others_append,
                     a_join_ends_where_its_value_is_too_large_by_now,
                     a_join_given_up_leaves_nothing,
                     what_is_damaged_is_not_joined,
                     what_arrives_may_take_half_of_the_memory_and_items_give_way);
}
