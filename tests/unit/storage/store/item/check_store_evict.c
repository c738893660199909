/* SPDX-License-Identifier: BSD-3-Clause
 * How items end that nobody deletes: they expire, are flushed, are found dead, or give way. */
#include "storage/keydir/keydir.h"
#include "tests/unit/base/suite.h"
#include "tests/unit/storage/bench_text.h"

enum { DAY_S = 24 * 60 * 60 };

static enum fp_status set_for(const char *key, int64_t exptime)
{
    return bench_put(&bench, (struct item_put){.key = slice_text(key),
                                               .value = slice_text("v"),
                                               .exptime = exptime});
}

START_TEST(items_expire_when_memcached_says)
{
    setup();
    ck_assert_int_eq(set_for("never", 0), FP_OK);
    ck_assert_int_eq(set_for("soon", 10), FP_OK);
    ck_assert_int_eq(set_for("date", BENCH_START_UNIX_S + 20), FP_OK);
    ck_assert_int_eq(set_for("month", 30 * DAY_S), FP_OK);
    ck_assert_int_eq(set_for("past", 30 * DAY_S + 1), FP_OK); /* a date in 1970 */
    ck_assert_int_eq(set_for("now", BENCH_START_UNIX_S), FP_OK);
    ck_assert_int_eq(set_for("negative", -1), FP_OK);
    ck_assert_int_eq(set_for("far", INT64_MAX), FP_OK);
    ck_assert_int_eq(set_for("lowest", INT64_MIN), FP_OK);
    ck_assert(bench_lacks(&bench, "past") && bench_lacks(&bench, "now"));
    ck_assert(bench_lacks(&bench, "negative") && bench_lacks(&bench, "lowest"));
    bench_advance_s(&bench, 9);
    ck_assert(is("soon", "v"));
    bench_advance_s(&bench, 1);
    ck_assert(bench_lacks(&bench, "soon") && is("date", "v"));
    ck_assert_int_eq(drop("soon"), FP_ABSENT);
    bench_advance_s(&bench, 9);
    ck_assert(is("date", "v"));
    bench_advance_s(&bench, 1);
    ck_assert(bench_lacks(&bench, "date"));
    bench_advance_s(&bench, 30 * DAY_S - 21);
    ck_assert(is("month", "v"));
    bench_advance_s(&bench, 1);
    ck_assert(bench_lacks(&bench, "month") && is("never", "v") && is("far", "v"));
    ck_assert(store_item_count(bench.store) == 2);
    ck_assert(atomic_load(&store_counters(bench.store)->item_reclaims) == 7);
    teardown();
}
END_TEST

START_TEST(an_expired_item_is_absent_for_every_command)
{
    setup();
    ck_assert_int_eq(set_for("k", 1), FP_OK);
    bench_advance_s(&bench, 2);
    (void)delta("k", 1, false, FP_ABSENT);
    ck_assert_int_eq(set_for("k", -1), FP_OK);
    ck_assert_int_eq(put(ITEM_REPLACE, "k", "w", 0), FP_NOT_STORED);
    ck_assert_int_eq(set_for("k", -1), FP_OK);
    ck_assert_int_eq(put(ITEM_APPEND, "k", "w", 0), FP_NOT_STORED);
    ck_assert_int_eq(set_for("k", -1), FP_OK);
    ck_assert_int_eq(put(ITEM_CAS, "k", "w", 1), FP_ABSENT);
    ck_assert_int_eq(set_for("k", -1), FP_OK);
    ck_assert_int_eq(drop("k"), FP_ABSENT);
    ck_assert_int_eq(set_for("k", -1), FP_OK);
    ck_assert_int_eq(put(ITEM_ADD, "k", "w", 0), FP_OK);
    ck_assert(is("k", "w") && store_item_count(bench.store) == 1);
    teardown();
}
END_TEST

START_TEST(touch_changes_the_expiry_of_a_live_item_only)
{
    int64_t longer = 100, never = 0, past = -1;
    setup();
    ck_assert_int_eq(set_for("k", 10), FP_OK);
    struct item *item = store_item_acquire(bench.store, bench.scratch, slice_text("k"), &longer);
    uint64_t cas = item_cas(item);
    store_item_release(bench.store, bench.scratch, &item);
    bench_advance_s(&bench, 50);
    ck_assert(is("k", "v") && cas_of("k") == cas); /* memcached: touch is no new version */
    item = store_item_acquire(bench.store, bench.scratch, slice_text("k"), &never);
    store_item_release(bench.store, bench.scratch, &item);
    bench_advance_s(&bench, 5000);
    ck_assert(is("k", "v"));
    item = store_item_acquire(bench.store, bench.scratch, slice_text("k"), &past);
    store_item_release(bench.store, bench.scratch, &item);
    ck_assert_ptr_null(store_item_acquire(bench.store, bench.scratch, slice_text("k"), &longer));
    teardown();
}
END_TEST

START_TEST(flushing_now_ends_what_is_there_and_not_what_comes)
{
    setup();
    ck_assert_int_eq(set("a", "1"), FP_OK);
    store_flush(bench.store, bench.scratch, 0);
    ck_assert_int_eq(set("b", "2"), FP_OK);
    ck_assert(bench_lacks(&bench, "a") && is("b", "2"));
    store_flush(bench.store, bench.scratch, -1);
    ck_assert(bench_lacks(&bench, "b"));
    ck_assert_int_eq(put(ITEM_ADD, "b", "3", 0), FP_OK);
    ck_assert(is("b", "3"));
    teardown();
}
END_TEST

START_TEST(flushing_later_ends_what_is_there_at_that_time)
{
    setup();
    ck_assert_int_eq(set("a", "1"), FP_OK);
    store_flush(bench.store, bench.scratch, 10);
    ck_assert_int_eq(set("b", "2"), FP_OK);
    bench_advance_s(&bench, 9);
    ck_assert(is("a", "1") && is("b", "2"));
    bench_advance_s(&bench, 1);
    ck_assert(bench_lacks(&bench, "a") && bench_lacks(&bench, "b"));
    ck_assert_int_eq(set("c", "3"), FP_OK);
    bench_advance_s(&bench, 100);
    ck_assert(is("c", "3"));
    store_flush(bench.store, bench.scratch, (int64_t)bench.scratch->unix_s + 5);
    bench_advance_s(&bench, 6);
    ck_assert_int_eq(set("d", "4"), FP_OK); /* the first command after: after it all the same */
    ck_assert(bench_lacks(&bench, "c") && is("d", "4"));
    store_flush(bench.store, bench.scratch, 10);
    store_flush(bench.store, bench.scratch, 0); /* takes the place of the one that waits */
    ck_assert_int_eq(set("e", "5"), FP_OK);
    bench_advance_s(&bench, 20);
    ck_assert(is("e", "5"));
    store_flush(bench.store, bench.scratch, 10);
    store_flush(bench.store, bench.scratch, 30 * DAY_S + 1); /* 1970: nothing, in its place */
    bench_advance_s(&bench, 20);
    ck_assert(is("e", "5"));
    store_flush(bench.store, bench.scratch, (int64_t)bench.scratch->unix_s - 1);
    ck_assert(bench_lacks(&bench, "e")); /* memcached: a date since the start is now */
    teardown();
}
END_TEST

START_TEST(the_reaper_frees_dead_items_nobody_asks_for)
{
    setup();
    for (int i = 0; i < 3000; i++) {
        char key[16];
        (void)snprintf(key, sizeof key, "k%d", i);
        ck_assert_int_eq(set_for(key, i % 3 ? 10 : 0), FP_OK);
    }
    bench_advance_s(&bench, 20);
    for (int i = 0; i < KEYDIR_SHARDS; i++) store_reap_step(bench.store, bench.scratch);
    ck_assert(store_item_count(bench.store) == 1000);
    ck_assert(atomic_load(&store_counters(bench.store)->item_reclaims) == 2000);
    store_check(bench.store);
    store_flush(bench.store, bench.scratch, 0);
    for (int i = 0; i < KEYDIR_SHARDS; i++) store_reap_step(bench.store, bench.scratch);
    ck_assert(store_item_count(bench.store) == 0);
    teardown();
}
END_TEST

START_TEST(a_crowded_shard_is_reaped_in_bounded_steps)
{
    setup();
    for (int i = 0; i < 60000; i++) {
        char key[16];
        (void)snprintf(key, sizeof key, "k%d", i);
        ck_assert_int_eq(set_for(key, 10), FP_OK);
    }
    bench_advance_s(&bench, 20);
    uint64_t before = store_item_count(bench.store), steps = 0;
    while (before > 0 && steps < 2000) {
        store_reap_step(bench.store, bench.scratch);
        uint64_t after = store_item_count(bench.store);
        ck_assert(before - after <= 256);
        before = after;
        steps++;
    }
    ck_assert(before == 0);
    teardown();
}
END_TEST

START_TEST(a_pass_of_the_crawler_is_counted_and_can_be_awaited)
{
    setup();
    const struct store_counters *counters = store_counters(bench.store);
    for (int i = 0; i < 3000; i++) {
        char key[16];
        (void)snprintf(key, sizeof key, "k%d", i);
        ck_assert_int_eq(set_for(key, i % 3 ? 10 : 0), FP_OK);
    }
    ck_assert(store_reap_whole(bench.store) == 1);
    for (uint64_t pass = 1; pass <= 2; pass++) {
        uint64_t steps = 0;
        for (; atomic_load(&counters->crawler_passes) < pass; steps++)
            store_reap_step(bench.store, bench.scratch);
        ck_assert(steps <= store_reap_steps(bench.store));
        ck_assert(atomic_load(&counters->crawler_items_checked) == 3000 * pass);
    }
    for (int i = 0; i < KEYDIR_SHARDS / 2; i++) store_reap_step(bench.store, bench.scratch);
    bench_advance_s(&bench, 20);
    uint64_t last = store_reap_whole(bench.store); /* the shards that were looked at too */
    ck_assert(last == 4);
    while (atomic_load(&counters->crawler_passes) < last)
        store_reap_step(bench.store, bench.scratch);
    ck_assert(store_item_count(bench.store) == 1000);
    ck_assert(atomic_load(&counters->crawler_reclaimed) == 2000);
    teardown();
}
END_TEST

/* Tables that double or shrink under the walk hide nothing from it. */
START_TEST(a_pass_meets_all_that_is_dead_from_its_start_whatever_comes_and_goes)
{
    enum { DYING = 2000, OTHERS = 40000 };
    char key[16];
    setup();
    const struct store_counters *counters = store_counters(bench.store);
    for (int i = 0; i < DYING; i++) {
        (void)snprintf(key, sizeof key, "k%d", i);
        ck_assert_int_eq(set_for(key, 10), FP_OK);
    }
    bench_advance_s(&bench, 10);
    int set_count = 0;
    while (atomic_load(&counters->crawler_passes) == 0) {
        store_reap_step(bench.store, bench.scratch);
        for (int i = 0; i < 400 && set_count < OTHERS; i++, set_count++) {
            (void)snprintf(key, sizeof key, "o%d", set_count);
            ck_assert_int_eq(set(key, "v"), FP_OK);
            (void)snprintf(key, sizeof key, "o%d", set_count - 300);
            if (i % 3 == 0) (void)drop(key);
        }
    }
    ck_assert(set_count > 20000 && atomic_load(&counters->crawler_reclaimed) == DYING);
    teardown();
}
END_TEST

START_TEST(what_was_used_stays_and_what_was_not_goes)
{
    setup();
    for (int i = 0; i < 8; i++) {
        char key[4] = {'k', (char)('0' + i), 0, 0};
        ck_assert_int_eq(set(key, "v"), FP_OK);
    }
    ck_assert(is("k0", "v")); /* a get is a use */
    ck_assert_int_eq(set("k3", "w"), FP_OK); /* so is a set of what is there */
    for (int i = 0; i < 6; i++) ck_assert(store_evict_one(bench.store, bench.scratch));
    ck_assert(is("k0", "v") && is("k3", "w") && store_item_count(bench.store) == 2);
    ck_assert(store_evict_one(bench.store, bench.scratch));
    ck_assert(store_evict_one(bench.store, bench.scratch));
    ck_assert(!store_evict_one(bench.store, bench.scratch));
    ck_assert(atomic_load(&store_counters(bench.store)->item_evictions) == 8);
    teardown();
}
END_TEST

/* Many to a shard. At the end, where the small queue is a tenth of what is left, the main one has
 * to give too. */
START_TEST(eviction_spares_what_is_used_among_many)
{
    enum { ITEMS = 6000 };
    char key[16];
    setup();
    for (int i = 0; i < ITEMS; i++) {
        (void)snprintf(key, sizeof key, "k%d", i);
        ck_assert_int_eq(set(key, "v"), FP_OK);
    }
    for (int i = 0; i < ITEMS; i += 3) {
        (void)snprintf(key, sizeof key, "k%d", i);
        ck_assert(is(key, "v"));
    }
    for (int i = 0; i < ITEMS / 3 * 2; i++) ck_assert(store_evict_one(bench.store, bench.scratch));
    int lost = 0;
    for (int i = 0; i < ITEMS; i += 3) {
        (void)snprintf(key, sizeof key, "k%d", i);
        lost += bench_lacks(&bench, key);
    }
    ck_assert_msg(lost < ITEMS / 30, "%d of %d that were used", lost, ITEMS / 3);
    for (int i = 0; i < ITEMS / 3; i++) ck_assert(store_evict_one(bench.store, bench.scratch));
    ck_assert(store_item_count(bench.store) == 0);
    teardown();
}
END_TEST

START_TEST(without_eviction_only_the_dead_give_way)
{
    setup();
    const struct store_counters *counters = store_counters(bench.store);
    ck_assert(store_evicts(bench.store));
    store_set_eviction(bench.store, false);
    ck_assert(!store_evicts(bench.store));
    ck_assert_int_eq(set_for("lives", 0), FP_OK);
    ck_assert_int_eq(set_for("dies", 10), FP_OK);
    for (int i = 0; i < KEYDIR_SHARDS; i++)
        ck_assert(!store_evict_one(bench.store, bench.scratch));
    bench_advance_s(&bench, 10);
    int tries = 0;
    while (!store_evict_one(bench.store, bench.scratch) && tries < KEYDIR_SHARDS) tries++;
    ck_assert(is("lives", "v") && store_item_count(bench.store) == 1);
    ck_assert(atomic_load(&counters->item_evictions) == 0);
    ck_assert(atomic_load(&counters->direct_reclaims) == 1);
    store_set_eviction(bench.store, true);
    ck_assert(store_evict_one(bench.store, bench.scratch) && store_item_count(bench.store) == 0);
    ck_assert(atomic_load(&counters->item_evictions) == 1);
    ck_assert(atomic_load(&counters->direct_reclaims) == 2);
    teardown();
}
END_TEST

START_TEST(any_number_of_small_items_gives_way_to_a_large_one)
{
    enum { VALUE = 600 << 10 };
    struct rng rng = {.state = 1};
    char key[16];
    uint8_t *bytes = malloc(2 * VALUE);
    rng_fill(&rng, bytes, 2 * VALUE);
    bench_setup(&bench, (struct store_options){.memory_limit_bytes = 6 * BENCH_MIB}, 16);
    for (int i = 0; i < 60000; i++) {
        (void)snprintf(key, sizeof key, "k%d", i);
        ck_assert_int_eq(set(key, "12345678"), FP_OK);
        bench.scratch->now_ms++;
    }
    uint64_t before = store_item_count(bench.store);
    struct item_put first = {.key = slice_text("large"), .value = slice_of(bytes, VALUE)};
    struct item_put more = {.mode = ITEM_APPEND, .key = slice_text("large"),
                            .value = slice_of(bytes + VALUE, VALUE)};
    ck_assert_int_eq(bench_put(&bench, first), FP_OK);
    ck_assert_int_eq(store_item_put(bench.store, bench.scratch, &more, 2 * VALUE), FP_OK);
    ck_assert(bench_has(&bench, "large", slice_of(bytes, 2 * VALUE)));
    uint64_t after = store_item_count(bench.store);
    ck_assert(before > 40000 && after < before && after > 1000);
    bench_teardown(&bench);
    free(bytes);
}
END_TEST

START_TEST(a_value_larger_than_all_memory_does_not_cost_the_cache)
{
    enum { VALUE = 900 << 10 };
    struct rng rng = {.state = 1};
    uint8_t *bytes = malloc(VALUE);
    rng_fill(&rng, bytes, VALUE);
    bench_setup(&bench, (struct store_options){.memory_limit_bytes = BENCH_MIB / 2}, 16);
    ck_assert_int_eq(set("small", "1"), FP_OK);
    struct item_put more = {.mode = ITEM_APPEND, .key = slice_text("small"),
                            .value = slice_of(bytes, VALUE)};
    ck_assert_int_eq(bench_put(&bench, more), FP_NO_MEMORY);
    ck_assert(is("small", "1"));
    bench_teardown(&bench);
    free(bytes);
}
END_TEST

int main(void)
{
    return suite_run("store_evict", items_expire_when_memcached_says,
                     an_expired_item_is_absent_for_every_command,
                     touch_changes_the_expiry_of_a_live_item_only,
                     flushing_now_ends_what_is_there_and_not_what_comes,
                     flushing_later_ends_what_is_there_at_that_time,
                     the_reaper_frees_dead_items_nobody_asks_for,
                     a_crowded_shard_is_reaped_in_bounded_steps,
                     a_pass_of_the_crawler_is_counted_and_can_be_awaited,
                     a_pass_meets_all_that_is_dead_from_its_start_whatever_comes_and_goes,
                     what_was_used_stays_and_what_was_not_goes,
                     eviction_spares_what_is_used_among_many,
                     without_eviction_only_the_dead_give_way,
                     any_number_of_small_items_gives_way_to_a_large_one,
                     a_value_larger_than_all_memory_does_not_cost_the_cache);
}
