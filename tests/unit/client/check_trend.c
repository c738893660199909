/* SPDX-License-Identifier: BSD-3-Clause
 * Who walks through memory finds the pages there; who jumps about has nothing fetched for him. */
#include <check.h>

#include "client/uffd/trend.h"
#include "tests/unit/base/suite.h"
#include "tests/unit/storage/kit.h"

enum { PAGES = 1 << 16, WINDOW = 32 };

/* A mapping whose pages are all on the server, and what walking through it costs. */
static struct {
    struct trend trend;
    bool local[PAGES];
    uint32_t room;
    unsigned faults, fetched, longest;
} walk;

static void start(uint32_t window_max)
{
    memset(&walk, 0, sizeof walk);
    walk.room = UINT32_MAX;
    trend_init(&walk.trend, window_max);
}

static void touch(uint64_t page)
{
    if (walk.local[page]) return;
    walk.faults++;
    walk.local[page] = true;
    struct trend_run run = trend_fault(&walk.trend, page, walk.room);
    if (run.count > walk.longest) walk.longest = run.count;
    for (uint32_t i = 0; i < run.count; i++) {
        uint64_t ahead = run.first + (uint64_t)run.stride * i;
        if (ahead >= PAGES || walk.local[ahead]) continue;
        walk.local[ahead] = true;
        walk.fetched++;
    }
}

START_TEST(a_walk_upwards_faults_once_a_window)
{
    start(WINDOW);
    for (uint64_t page = 1000; page < 1000 + 3300; page++) touch(page);
    ck_assert_uint_le(walk.faults, 3300 / (WINDOW + 1) + 8);
    ck_assert_uint_le(walk.fetched, 3300 + WINDOW);
    ck_assert_uint_eq(walk.longest, WINDOW);
    ck_assert_uint_eq(walk.trend.wasted, 0);
}
END_TEST

START_TEST(a_walk_downwards_too)
{
    start(WINDOW);
    for (uint64_t page = 4300; page > 1000; page--) touch(page);
    ck_assert_uint_le(walk.faults, 3300 / (WINDOW + 1) + 8);
}
END_TEST

START_TEST(great_strides_are_seen_by_majority)
{
    start(WINDOW);
    for (uint64_t i = 0; i < 1000; i++) touch(i * 61);
    ck_assert_uint_le(walk.faults, 1000 / (WINDOW + 1) + 12);
    ck_assert_uint_le(walk.fetched, 1000 + WINDOW);
}
END_TEST

START_TEST(a_partition_from_both_ends_is_two_walks)
{
    start(WINDOW);
    for (uint64_t i = 0; i < 3300; i++) {
        touch(i);
        touch(PAGES - 1 - i);
    }
    ck_assert_uint_le(walk.faults, 2 * (3300 / (WINDOW + 1) + 8));
}
END_TEST

START_TEST(a_merge_of_six_is_six_walks)
{
    start(WINDOW);
    for (uint64_t i = 0; i < 1000; i++)
        for (uint64_t lane = 0; lane < 6; lane++) touch(lane * 10000 + i);
    ck_assert_uint_le(walk.faults, 6 * (1000 / (WINDOW + 1) + 10));
}
END_TEST

START_TEST(a_walk_is_seen_among_jumps)
{
    struct rng rng = {.state = 1};
    start(WINDOW);
    unsigned jumps = 0;
    for (uint64_t i = 0; i < 3000; i++) {
        touch(i);
        if (i % 3 == 0) {
            touch(PAGES / 2 + rng_below(&rng, PAGES / 2));
            jumps++;
        }
    }
    ck_assert_uint_le(walk.faults - jumps, 400);
}
END_TEST

START_TEST(who_jumps_about_has_nothing_fetched)
{
    struct rng rng = {.state = 2};
    start(WINDOW);
    for (int i = 0; i < 20000; i++) {
        memset(walk.local, 0, sizeof walk.local); /* everything was sent away again */
        touch(rng_below(&rng, PAGES));
    }
    ck_assert_uint_eq(walk.faults, 20000);
    ck_assert_uint_le(walk.fetched, 200);
    ck_assert_uint_le(walk.trend.first_window, 1);
}
END_TEST

START_TEST(who_jumped_about_and_walks_now_is_trusted_again)
{
    struct rng rng = {.state = 3};
    start(WINDOW);
    for (int i = 0; i < 20000; i++) {
        memset(walk.local, 0, sizeof walk.local);
        touch(rng_below(&rng, PAGES));
    }
    memset(walk.local, 0, sizeof walk.local);
    walk.faults = 0;
    for (uint64_t page = 0; page < 3300; page++) touch(page);
    ck_assert_uint_le(walk.faults, 3300 / (WINDOW + 1) + 12);
}
END_TEST

START_TEST(short_walks_are_not_overrun_by_much)
{
    struct rng rng = {.state = 4};
    start(WINDOW);
    for (int i = 0; i < 2000; i++) {
        memset(walk.local, 0, sizeof walk.local);
        uint64_t at = rng_below(&rng, PAGES - 4);
        for (uint64_t page = at; page < at + 4; page++) touch(page);
    }
    ck_assert_uint_le(walk.fetched, 2000 * 4);
}
END_TEST

START_TEST(without_room_nothing_is_fetched_and_the_stream_goes_on)
{
    start(WINDOW);
    walk.room = 0;
    for (uint64_t page = 0; page < 100; page++) touch(page);
    ck_assert_uint_eq(walk.fetched, 0);
    walk.room = UINT32_MAX;
    walk.faults = 0;
    for (uint64_t page = 100; page < 100 + 330; page++) touch(page);
    ck_assert_uint_le(walk.faults, 330 / (WINDOW + 1) + 8);
}
END_TEST

START_TEST(room_bounds_the_run_and_does_not_shrink_the_window)
{
    start(WINDOW);
    for (uint64_t page = 0; page < 500; page++) touch(page);
    walk.room = 3;
    walk.longest = 0;
    for (uint64_t page = 500; page < 600; page++) touch(page);
    ck_assert_uint_le(walk.longest, 3);
    walk.room = UINT32_MAX;
    for (uint64_t page = 600; page < 650; page++) touch(page);
    ck_assert_uint_eq(walk.longest, WINDOW);
}
END_TEST

START_TEST(waste_halves_the_window)
{
    start(WINDOW);
    uint64_t page = 0;
    while (walk.longest < WINDOW) touch(page++);
    while (walk.local[page]) page++;
    touch(page); /* 32 behind it are there now */
    for (uint64_t ahead = page + 1; ahead <= page + 2; ahead++) trend_wasted(&walk.trend, ahead);
    struct trend_run run = trend_fault(&walk.trend, page + WINDOW + 1, UINT32_MAX);
    ck_assert_uint_eq(run.count, WINDOW / 4 * 2); /* twice halved, and doubled by going on */
}
END_TEST

START_TEST(a_page_missing_in_the_run_halves_the_window_too)
{
    start(WINDOW);
    uint64_t page = 0;
    while (walk.longest < WINDOW) touch(page++);
    while (walk.local[page]) page++;
    touch(page);
    ck_assert_uint_eq(trend_fault(&walk.trend, page + 4, UINT32_MAX).count, WINDOW / 2);
    ck_assert_uint_eq(walk.trend.wasted, WINDOW - 3);
}
END_TEST

START_TEST(a_window_of_none_fetches_nothing)
{
    start(0);
    for (uint64_t page = 0; page < 1000; page++) touch(page);
    ck_assert_uint_eq(walk.fetched, 0);
}
END_TEST

START_TEST(a_mapping_that_moves_takes_its_walks_along)
{
    start(WINDOW);
    for (uint64_t page = 40000; page < 40330; page++) touch(page);
    trend_move(&walk.trend, -40000);
    memset(walk.local, 0, sizeof walk.local);
    memset(walk.local, 1, 330 + WINDOW + 1); /* what was there moved too */
    walk.faults = 0;
    for (uint64_t page = 330; page < 330 + 990; page++) touch(page);
    ck_assert_uint_le(walk.faults, 990 / (WINDOW + 1) + 2);
}
END_TEST

START_TEST(runs_at_the_ends_of_the_address_space_are_numbers_too)
{
    const uint64_t end = UINT64_C(1) << 52;
    start(WINDOW);
    for (uint64_t i = 0; i <= 20; i++) trend_fault(&walk.trend, 20 - i, UINT32_MAX);
    for (uint64_t i = 20; i > 0; i--) trend_fault(&walk.trend, end - i, UINT32_MAX);
    for (int i = 0; i < 64; i++) trend_fault(&walk.trend, i % 2 ? end - 1 : 0, UINT32_MAX);
}
END_TEST

START_TEST(what_is_told_adds_up)
{
    struct rng rng = {.state = 5};
    start(WINDOW);
    for (int i = 0; i < 30000; i++) {
        uint64_t page = rng_below(&rng, 3) ? (uint64_t)i : rng_below(&rng, PAGES);
        trend_fault(&walk.trend, page, (uint32_t)rng_below(&rng, 50));
        ck_assert_uint_le(walk.trend.used + walk.trend.wasted, walk.trend.fetched);
    }
}
END_TEST

int main(void)
{
    return suite_run("trend", a_walk_upwards_faults_once_a_window, a_walk_downwards_too,
                     great_strides_are_seen_by_majority, a_partition_from_both_ends_is_two_walks,
                     a_merge_of_six_is_six_walks, a_walk_is_seen_among_jumps,
                     who_jumps_about_has_nothing_fetched,
                     who_jumped_about_and_walks_now_is_trusted_again,
                     short_walks_are_not_overrun_by_much,
                     without_room_nothing_is_fetched_and_the_stream_goes_on,
                     room_bounds_the_run_and_does_not_shrink_the_window, waste_halves_the_window,
                     a_page_missing_in_the_run_halves_the_window_too,
                     a_window_of_none_fetches_nothing, a_mapping_that_moves_takes_its_walks_along,
                     runs_at_the_ends_of_the_address_space_are_numbers_too, what_is_told_adds_up);
}
