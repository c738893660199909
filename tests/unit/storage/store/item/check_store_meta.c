/* SPDX-License-Identifier: BSD-3-Clause */
#include "storage/store/item/store_meta.h"

#include <pthread.h>
#include <stdio.h>

#include "tests/unit/base/suite.h"
#include "tests/unit/storage/bench.h"

static struct bench bench;

static void setup(void)
{
    bench_setup(&bench, (struct store_options){0}, 64);
}

static void teardown(void)
{
    bench_teardown(&bench);
}

static const int64_t seconds_0 = 0, seconds_30 = 30, seconds_90 = 90, seconds_100 = 100,
                     gone = -1;

/* What a get shows; all zeros with an idle time of UINT64_MAX where there is nothing. */
static struct item_seen look_by(struct bench *by, struct item_look look)
{
    struct item_seen seen = {.idle_s = 1};
    struct item *item = store_meta_get(by->store, by->scratch, &look, &seen);
    if (item == NULL) return (struct item_seen){.idle_s = UINT64_MAX};
    store_item_release(by->store, by->scratch, &item);
    return seen;
}

static struct item_seen look(struct item_look look)
{
    return look_by(&bench, look);
}

static struct item_seen look_at(const char *key)
{
    return look((struct item_look){.key = slice_text(key)});
}

static struct item_seen look_creating(const char *key)
{
    return look((struct item_look){
        .key = slice_text(key), .creates = true, .times.create = &seconds_30});
}

static bool is_absent(const char *key)
{
    return look_at(key).idle_s == UINT64_MAX;
}

static enum fp_status end(struct item_end end)
{
    return store_meta_end(bench.store, bench.scratch, &end);
}

static enum fp_status invalidate(const char *key)
{
    return end((struct item_end){.key = slice_text(key), .invalidates = true});
}

static uint64_t set(const char *key, const char *value)
{
    struct item_stored stored;
    ck_assert_int_eq(bench_put(&bench, (struct item_put){.key = slice_text(key),
                                                         .value = slice_text(value),
                                                         .stored = &stored}), FP_OK);
    ck_assert(stored.value_bytes == strlen(value));
    return stored.cas;
}

/* --- winning ---------------------------------------------------------------------------------- */

START_TEST(who_finds_nothing_first_gets_an_empty_item_and_wins)
{
    setup();
    struct item_seen first = look_creating("k");
    ck_assert(first.created && first.won && !first.taken && !first.stale && !first.fetched);
    ck_assert(first.ttls.before == ITEM_TTL_NEVER && first.ttls.created == 30);
    ck_assert(bench_is(&bench, "k", ""));
    struct item_seen second = look_creating("k");
    ck_assert(!second.created && !second.won && second.taken && second.fetched);
    ck_assert(second.cas == first.cas && second.ttls.before == 30);
    set("k", "v");
    struct item_seen third = look_creating("k");
    ck_assert(!third.created && !third.won && !third.taken && third.cas != first.cas);
    ck_assert(is_absent("other"));
    bench_advance_s(&bench, 40);
    ck_assert(look_at("k").ttls.before == ITEM_TTL_NEVER); /* a set without time is for ever */
    teardown();
}
END_TEST

START_TEST(an_empty_item_that_nobody_fills_is_made_again_when_its_time_is_over)
{
    setup();
    ck_assert(look_creating("k").won && !look_creating("k").won);
    bench_advance_s(&bench, 31);
    ck_assert(look_creating("k").created);
    teardown();
}
END_TEST

START_TEST(of_two_times_for_a_new_item_the_one_given_last_counts)
{
    setup();
    struct item_look wish = {.key = slice_text("k"),
                             .creates = true,
                             .times = {.touch = &seconds_90, .create = &seconds_30}};
    struct item_seen seen = look(wish);
    ck_assert(seen.ttls.created == 30 && seen.ttls.touched == 90);
    ck_assert(look_at("k").ttls.before == 30);
    wish.key = slice_text("l");
    wish.times.touch_created = true;
    look(wish);
    ck_assert(look_at("l").ttls.before == 90);
    teardown();
}
END_TEST

START_TEST(who_first_finds_little_time_left_wins)
{
    setup();
    struct item_put put = {.key = slice_text("k"), .value = slice_text("v"), .exptime = 50};
    struct item_look wish = {.key = put.key, .recache = &seconds_30};
    ck_assert_int_eq(bench_put(&bench, put), FP_OK);
    ck_assert(!look(wish).won);
    bench_advance_s(&bench, 20);
    ck_assert(!look(wish).won); /* 30 are left, not less */
    bench_advance_s(&bench, 1);
    struct item_seen seen = look(wish);
    ck_assert(seen.won && !seen.taken && seen.ttls.before == 29);
    seen = look(wish);
    ck_assert(!seen.won && seen.taken);
    ck_assert_int_eq(bench_put(&bench, put), FP_OK);
    bench_advance_s(&bench, 25);
    ck_assert(look(wish).won); /* it begins anew with a new value */
    set("k", "v");
    ck_assert(!look(wish).won); /* what never ends is never low */
    teardown();
}
END_TEST

START_TEST(a_new_time_is_looked_at_where_it_was_given_first)
{
    setup();
    struct item_put put = {.key = slice_text("k"), .value = slice_text("v"), .exptime = 10};
    struct item_look wish = {.key = put.key, .recache = &seconds_30, .times.touch = &seconds_90};
    ck_assert_int_eq(bench_put(&bench, put), FP_OK);
    wish.recache_touched = true;
    struct item_seen seen = look(wish);
    ck_assert(!seen.won && seen.ttls.before == 10 && seen.ttls.touched == 90);
    ck_assert_int_eq(bench_put(&bench, put), FP_OK);
    wish.recache_touched = false;
    ck_assert(look(wish).won);
    ck_assert(look_at("k").ttls.before == 90);
    wish.times.touch = &gone;
    ck_assert(look(wish).ttls.touched == 0 && is_absent("k"));
    teardown();
}
END_TEST

/* --- stale values ----------------------------------------------------------------------------- */

START_TEST(an_invalidated_value_is_still_there_and_won_once)
{
    setup();
    uint64_t cas = set("k", "old");
    look_at("k");
    ck_assert_int_eq(end((struct item_end){.key = slice_text("k"),
                                           .invalidates = true,
                                           .exptime = &seconds_30}), FP_OK);
    ck_assert(bench_is(&bench, "k", "old"));
    struct item_seen seen = look_at("k");
    ck_assert(seen.stale && seen.won && !seen.taken && seen.cas != cas && seen.ttls.before == 30);
    seen = look_at("k");
    ck_assert(seen.stale && !seen.won && seen.taken);
    ck_assert_int_eq(invalidate("k"), FP_OK); /* once more: then somebody wins once more */
    ck_assert(look_at("k").won && !look_at("k").won);
    set("k", "new");
    seen = look_at("k");
    ck_assert(!seen.stale && !seen.won && !seen.taken && bench_is(&bench, "k", "new"));
    ck_assert_int_eq(invalidate("none"), FP_ABSENT);
    teardown();
}
END_TEST

START_TEST(a_value_from_before_may_be_stored_as_stale)
{
    setup();
    uint64_t cas = set("k", "old");
    ck_assert_int_eq(end((struct item_end){.key = slice_text("k"),
                                           .invalidates = true,
                                           .exptime = &seconds_30}), FP_OK);
    struct item_seen invalidated = look_at("k");
    struct item_put put = {.mode = ITEM_CAS, .key = slice_text("k"), .value = slice_text("late"),
                           .exptime = 90, .cas = cas};
    ck_assert_int_eq(bench_put(&bench, put), FP_EXISTS);
    put.may_be_stale = true;
    ck_assert_int_eq(bench_put(&bench, put), FP_OK);
    struct item_seen seen = look_at("k");
    ck_assert(seen.stale && seen.taken && seen.ttls.before == 30 && seen.cas > invalidated.cas);
    ck_assert(bench_is(&bench, "k", "late"));
    put.cas = seen.cas + 1; /* nobody can have seen that */
    ck_assert_int_eq(bench_put(&bench, put), FP_EXISTS);
    put.cas = seen.cas;
    ck_assert_int_eq(bench_put(&bench, put), FP_OK);
    seen = look_at("k");
    ck_assert(!seen.stale && !seen.taken && seen.ttls.before == 90);
    teardown();
}
END_TEST

START_TEST(a_number_that_keeps_its_length_stays_stale)
{
    setup();
    struct item_counted counted;
    struct item_delta up = {.key = slice_text("n"), .delta = 1};
    set("n", "8");
    ck_assert_int_eq(invalidate("n"), FP_OK);
    ck_assert_int_eq(store_item_delta(bench.store, bench.scratch, &up, &counted), FP_OK);
    ck_assert(counted.number == 9 && look_at("n").stale);
    ck_assert_int_eq(store_item_delta(bench.store, bench.scratch, &up, &counted), FP_OK);
    ck_assert(counted.number == 10 && !look_at("n").stale);
    teardown();
}
END_TEST

/* --- ending ----------------------------------------------------------------------------------- */

START_TEST(only_the_version_that_is_named_is_ended)
{
    setup();
    uint64_t cas = set("k", "v"), other = cas + 1, zero = 0;
    ck_assert_int_eq(end((struct item_end){.key = slice_text("k"), .cas = &other}), FP_EXISTS);
    ck_assert_int_eq(end((struct item_end){.key = slice_text("k"), .cas = &zero}), FP_EXISTS);
    ck_assert(bench_is(&bench, "k", "v"));
    ck_assert_int_eq(end((struct item_end){.key = slice_text("k"), .cas = &cas}), FP_OK);
    ck_assert(is_absent("k"));
    ck_assert_int_eq(end((struct item_end){.key = slice_text("k")}), FP_ABSENT);
    teardown();
}
END_TEST

START_TEST(an_emptied_item_keeps_its_place_and_its_cas)
{
    setup();
    uint64_t cas = set("k", "a value that takes some memory"), given = 7;
    struct item_end wish = {.key = slice_text("k"), .empties = true, .flags = 5};
    ck_assert_int_eq(end(wish), FP_OK);
    ck_assert(bench_is(&bench, "k", ""));
    struct item_seen seen = look_at("k");
    ck_assert(seen.cas == cas && !seen.stale && seen.ttls.before == ITEM_TTL_NEVER);
    wish.invalidates = true;
    wish.exptime = &seconds_30;
    ck_assert_int_eq(end(wish), FP_OK);
    seen = look_at("k");
    ck_assert(seen.cas != cas && seen.stale && seen.won && seen.ttls.before == 30);
    wish.new_cas = &given;
    ck_assert_int_eq(end(wish), FP_OK);
    ck_assert(look_at("k").cas == 7);
    wish.key = slice_text("none");
    ck_assert_int_eq(end(wish), FP_ABSENT);
    teardown();
}
END_TEST

/* --- a cas that the client chooses ------------------------------------------------------------ */

static uint64_t set_with_cas(const char *key, uint64_t cas)
{
    struct item_stored stored = {0};
    ck_assert_int_eq(bench_put(&bench, (struct item_put){.key = slice_text(key),
                                                         .value = slice_text("v"),
                                                         .new_cas = &cas,
                                                         .stored = &stored}), FP_OK);
    return stored.cas;
}

START_TEST(a_cas_may_be_given_to_whatever_is_stored)
{
    setup();
    uint64_t given = 99, zero = 0;
    ck_assert(set_with_cas("k", UINT64_MAX) == UINT64_MAX && look_at("k").cas == UINT64_MAX);
    ck_assert(set("other", "v") < UINT64_MAX); /* the others' numbers are not disturbed */
    struct item_look wish = {.key = slice_text("new"), .creates = true, .new_cas = &given};
    ck_assert(look(wish).cas == 99);
    wish.key = slice_text("k");
    ck_assert(look(wish).cas == UINT64_MAX); /* it was there */
    ck_assert_int_eq(end((struct item_end){.key = slice_text("k"),
                                           .invalidates = true,
                                           .new_cas = &zero}), FP_OK);
    ck_assert(look_at("k").cas == 0);
    struct item_put put = {.mode = ITEM_CAS, .key = slice_text("k"), .value = slice_text("w")};
    ck_assert_int_eq(bench_put(&bench, put), FP_EXISTS); /* 0 is never the right one */
    set("k", "5");
    struct item_counted counted;
    struct item_delta up = {.key = slice_text("k"), .delta = 1, .new_cas = &given};
    ck_assert_int_eq(store_item_delta(bench.store, bench.scratch, &up, &counted), FP_OK);
    ck_assert(counted.cas == 99 && look_at("k").cas == 99);
    put.mode = ITEM_APPEND;
    put.new_cas = &zero;
    ck_assert_int_eq(bench_put(&bench, put), FP_OK);
    ck_assert(look_at("k").cas == 0 && bench_is(&bench, "k", "6w"));
    teardown();
}
END_TEST

START_TEST(a_flush_does_not_care_which_cas_an_item_has)
{
    setup();
    set_with_cas("high", UINT64_MAX);
    set_with_cas("low", 1);
    store_flush(bench.store, bench.scratch, 0);
    ck_assert(is_absent("high") && is_absent("low"));
    set_with_cas("low", 1);
    ck_assert(!is_absent("low"));
    store_flush(bench.store, bench.scratch, 10);
    set_with_cas("high", UINT64_MAX);
    ck_assert(!is_absent("low") && !is_absent("high"));
    bench_advance_s(&bench, 11);
    ck_assert(is_absent("low") && is_absent("high"));
    set_with_cas("low", 1);
    ck_assert(!is_absent("low"));
    teardown();
}
END_TEST

/* --- conditions of putting and counting ------------------------------------------------------- */

START_TEST(the_first_append_may_create)
{
    setup();
    struct item_put put = {.mode = ITEM_APPEND, .key = slice_text("k"), .value = slice_text("a"),
                           .flags = 5, .exptime = 30};
    ck_assert_int_eq(bench_put(&bench, put), FP_NOT_STORED);
    put.creates = true;
    ck_assert_int_eq(bench_put(&bench, put), FP_OK);
    put.exptime = 90;
    put.flags = 6;
    put.mode = ITEM_PREPEND;
    put.value = slice_text("b");
    ck_assert_int_eq(bench_put(&bench, put), FP_OK);
    ck_assert(bench_is(&bench, "k", "ba") && look_at("k").ttls.before == 30);
    teardown();
}
END_TEST

START_TEST(an_append_may_ask_for_a_version)
{
    setup();
    struct item_stored stored;
    struct item_put put = {.mode = ITEM_APPEND, .key = slice_text("k"), .value = slice_text("b"),
                           .cas = 12345, .stored = &stored};
    ck_assert_int_eq(bench_put(&bench, put), FP_NOT_STORED);
    uint64_t cas = set("k", "a");
    ck_assert_int_eq(bench_put(&bench, put), FP_EXISTS);
    put.cas = cas;
    ck_assert_int_eq(bench_put(&bench, put), FP_OK);
    ck_assert(bench_is(&bench, "k", "ab") && stored.value_bytes == 2);
    ck_assert(stored.cas == look_at("k").cas && stored.cas != cas);
    ck_assert_int_eq(bench_put(&bench, put), FP_EXISTS);
    teardown();
}
END_TEST

START_TEST(counting_may_create_and_ask_for_a_version)
{
    setup();
    struct item_counted counted;
    struct item_delta up = {.key = slice_text("n"), .delta = 2, .initial = 13};
    ck_assert_int_eq(store_item_delta(bench.store, bench.scratch, &up, &counted), FP_ABSENT);
    up.creates = true;
    up.times.create = &seconds_30;
    ck_assert_int_eq(store_item_delta(bench.store, bench.scratch, &up, &counted), FP_OK);
    ck_assert(counted.created && counted.number == 13 && bench_is(&bench, "n", "13"));
    ck_assert(counted.ttls.before == ITEM_TTL_NEVER && counted.ttls.created == 30);
    ck_assert(counted.cas == look_at("n").cas);
    up.cas = counted.cas;
    up.times.touch = &seconds_100;
    ck_assert_int_eq(store_item_delta(bench.store, bench.scratch, &up, &counted), FP_OK);
    ck_assert(!counted.created && counted.number == 15 && counted.cas != up.cas);
    ck_assert(counted.ttls.before == 30 && counted.ttls.touched == 100);
    ck_assert(look_at("n").ttls.before == 100 && look_at("n").cas == counted.cas);
    ck_assert_int_eq(store_item_delta(bench.store, bench.scratch, &up, &counted), FP_EXISTS);
    ck_assert(bench_is(&bench, "n", "15"));
    teardown();
}
END_TEST

/* --- looking ---------------------------------------------------------------------------------- */

START_TEST(looking_unseen_leaves_no_trace)
{
    setup();
    set("k", "v");
    bench_advance_s(&bench, 5);
    struct item_look wish = {.key = slice_text("k"), .unseen = true};
    struct item_seen seen = look(wish);
    ck_assert(!seen.fetched && seen.idle_s == 5);
    seen = look(wish);
    ck_assert(!seen.fetched && seen.idle_s == 5);
    ck_assert(!look_at("k").fetched);
    seen = look_at("k");
    ck_assert(seen.fetched && seen.idle_s == 0);
    teardown();
}
END_TEST

START_TEST(an_item_is_described_as_it_is_kept)
{
    setup();
    struct item_details details;
    struct slice key = slice_text("k");
    ck_assert_int_eq(store_meta_describe(bench.store, bench.scratch, key, &details), FP_ABSENT);
    uint8_t text[3000], noise[3000];
    uint32_t state = 1;
    for (size_t i = 0; i < sizeof text; i++) {
        text[i] = (uint8_t)("a line of words\n"[i % 16]);
        state = state * 1664525u + 1013904223u;
        noise[i] = (uint8_t)(state >> 24);
    }
    struct item_put put = {.key = key, .value = slice_of(text, sizeof text), .exptime = 90,
                           .key_binary = true};
    ck_assert_int_eq(bench_put(&bench, put), FP_OK);
    bench_advance_s(&bench, 3);
    ck_assert_int_eq(store_meta_describe(bench.store, bench.scratch, key, &details), FP_OK);
    ck_assert(details.ttl_s == 87 && details.idle_s == 3 && !details.fetched);
    ck_assert(details.key_binary && !details.stale && !details.won && details.maps == 0);
    ck_assert(details.packed_bytes > 0 && details.packed_bytes < 500);
    ck_assert(details.size_bytes > sizeof text && details.size_bytes < sizeof text + 200);
    ck_assert_str_eq(details.codec, "lz4:1");
    ck_assert_int_eq(bench_set(&bench, "k", slice_of(noise, sizeof noise)), FP_OK);
    ck_assert_int_eq(store_meta_describe(bench.store, bench.scratch, key, &details), FP_OK);
    ck_assert(details.packed_bytes == sizeof noise && details.ttl_s == ITEM_TTL_NEVER);
    ck_assert_str_eq(details.codec, "none");
    ck_assert_int_eq(bench_set(&bench, "k", slice_text("aaaaaaaa")), FP_OK);
    ck_assert_int_eq(store_meta_describe(bench.store, bench.scratch, key, &details), FP_OK);
    ck_assert(details.packed_bytes == 0);
    ck_assert_str_eq(details.codec, "same");
    ck_assert_int_eq(bench_set(&bench, "k", slice_text("")), FP_OK);
    ck_assert_int_eq(store_meta_describe(bench.store, bench.scratch, key, &details), FP_OK);
    ck_assert_str_eq(details.codec, "none");
    teardown();
}
END_TEST

/* --- many at once ----------------------------------------------------------------------------- */

enum { THREADS = 4, ROUNDS = 3000 };

struct rival {
    pthread_t thread;
    struct bench bench;
    pthread_barrier_t *start;
    uint8_t won[ROUNDS]; /* as nobody, of a new item, then of a stale one */
};

static void *compete(void *argument)
{
    struct rival *rival = argument;
    struct bench *by = &rival->bench;
    for (int round = 0; round < ROUNDS; round++) {
        char key[16];
        snprintf(key, sizeof key, "k%d", round / 2);
        bool invalidated = round % 2 == 1;
        struct item_look wish = {
            .key = slice_text(key), .creates = !invalidated, .times.create = &seconds_0};
        pthread_barrier_wait(rival->start);
        rival->won[round] = look_by(by, wish).won;
        int last = pthread_barrier_wait(rival->start);
        struct item_end wish_end = {.key = slice_text(key), .invalidates = true};
        if (last == PTHREAD_BARRIER_SERIAL_THREAD &&
            store_meta_end(by->store, by->scratch, &wish_end) != FP_OK)
            return NULL;
    }
    return rival;
}

START_TEST(of_all_who_ask_at_once_one_wins)
{
    static struct rival rivals[THREADS];
    pthread_barrier_t start;
    setup();
    ck_assert_int_eq(pthread_barrier_init(&start, NULL, THREADS), 0);
    for (int i = 0; i < THREADS; i++) {
        rivals[i] = (struct rival){.bench = bench, .start = &start};
        ck_assert_int_eq(store_scratch_create(bench.store, &rivals[i].bench.scratch), FP_OK);
        rivals[i].bench.scratch->now_ms = BENCH_START_MS;
        ck_assert_int_eq(pthread_create(&rivals[i].thread, NULL, compete, &rivals[i]), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        void *result;
        ck_assert_int_eq(pthread_join(rivals[i].thread, &result), 0);
        ck_assert_ptr_eq(result, &rivals[i]);
        store_scratch_destroy(&rivals[i].bench.scratch);
    }
    for (int round = 0; round < ROUNDS; round++) {
        int winners = 0;
        for (int i = 0; i < THREADS; i++) winners += rivals[i].won[round];
        ck_assert_msg(winners == 1, "round %d: %d winners", round, winners);
    }
    pthread_barrier_destroy(&start);
    teardown();
}
END_TEST

int main(void)
{
    return suite_run(
        "store_meta", who_finds_nothing_first_gets_an_empty_item_and_wins,
        an_empty_item_that_nobody_fills_is_made_again_when_its_time_is_over,
        of_two_times_for_a_new_item_the_one_given_last_counts,
        who_first_finds_little_time_left_wins, a_new_time_is_looked_at_where_it_was_given_first,
        an_invalidated_value_is_still_there_and_won_once,
        a_value_from_before_may_be_stored_as_stale, a_number_that_keeps_its_length_stays_stale,
        only_the_version_that_is_named_is_ended, an_emptied_item_keeps_its_place_and_its_cas,
        a_cas_may_be_given_to_whatever_is_stored, a_flush_does_not_care_which_cas_an_item_has,
        the_first_append_may_create, an_append_may_ask_for_a_version,
        counting_may_create_and_ask_for_a_version, looking_unseen_leaves_no_trace,
        an_item_is_described_as_it_is_kept, of_all_who_ask_at_once_one_wins);
}
