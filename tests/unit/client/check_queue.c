/* SPDX-License-Identifier: BSD-3-Clause
 * What came first goes first, neighbours together, and what is wanted back stays longer. */
#include <check.h>

#include "client/uffd/queue.h"
#include "tests/unit/base/suite.h"
#include "tests/unit/storage/kit.h"

enum { LOCAL = 1000 };

static struct queue queue;

static void push(enum queue_part part, uint64_t first, uint64_t count)
{
    ck_assert(queue_push(&queue, part, first, count));
}

static void expect(uint32_t most, uint64_t first, uint32_t count)
{
    struct queue_run run;
    ck_assert(queue_take(&queue, most, &run));
    ck_assert_uint_eq(run.first, first);
    ck_assert_uint_eq(run.count, count);
}

static void expect_none(void)
{
    struct queue_run run;
    ck_assert(!queue_take(&queue, 1, &run));
    ck_assert_uint_eq(queue_pages(&queue), 0);
}

START_TEST(what_came_first_goes_first)
{
    queue_init(&queue, LOCAL);
    for (uint64_t page = 0; page < 3000; page++) push(QUEUE_FRESH, page * 7 % 3001 * 2, 1);
    for (uint64_t page = 0; page < 3000; page++) expect(64, page * 7 % 3001 * 2, 1);
    expect_none();
    queue_fini(&queue);
}
END_TEST

START_TEST(neighbours_go_together)
{
    queue_init(&queue, LOCAL);
    for (uint64_t page = 100; page < 150; page++) push(QUEUE_FRESH, page, 1);
    for (uint64_t page = 99; page > 89; page--) push(QUEUE_FRESH, page, 1); /* downwards */
    push(QUEUE_FRESH, 500, 10);
    expect(64, 90, 60);
    expect(64, 500, 10);
    expect_none();
    queue_fini(&queue);
}
END_TEST

START_TEST(walks_that_take_turns_stay_apart)
{
    queue_init(&queue, LOCAL);
    for (uint64_t i = 0; i < 40; i++) {
        push(QUEUE_FRESH, 100 + i, 1);
        push(QUEUE_FRESH, 9000 - i, 1);
    }
    expect(64, 100, 40);
    expect(64, 8961, 40);
    expect_none();
    queue_fini(&queue);
}
END_TEST

START_TEST(a_batch_has_its_limit)
{
    queue_init(&queue, LOCAL);
    push(QUEUE_FRESH, 10, 100);
    expect(64, 10, 64);
    expect(64, 74, 36);
    expect_none();
    queue_fini(&queue);
}
END_TEST

START_TEST(a_run_may_be_longer_than_a_word_holds)
{
    queue_init(&queue, LOCAL);
    push(QUEUE_FRESH, 5, 200000);
    push(QUEUE_FRESH, 200005, 65535);
    uint64_t next = 5;
    struct queue_run run;
    while (queue_take(&queue, 1000, &run)) {
        ck_assert_uint_eq(run.first, next);
        next += run.count;
    }
    ck_assert_uint_eq(next, 265540);
    queue_fini(&queue);
}
END_TEST

START_TEST(what_was_wanted_back_stays_while_others_pass)
{
    queue_init(&queue, LOCAL);
    push(QUEUE_KEPT, 0, 500);
    for (uint64_t page = 0; page < 10000; page++) {
        push(QUEUE_FRESH, 100000 + 2 * page, 1);
        struct queue_run run;
        while (queue_pages(&queue) > 600) {
            ck_assert(queue_take(&queue, 1, &run));
            ck_assert_uint_ge(run.first, 100000);
        }
    }
    queue_fini(&queue);
}
END_TEST

START_TEST(what_was_wanted_back_goes_when_there_is_little_else)
{
    queue_init(&queue, LOCAL);
    push(QUEUE_KEPT, 0, 500);
    push(QUEUE_FRESH, 1000, 10);
    expect(64, 0, 64);
    queue_fini(&queue);
}
END_TEST

START_TEST(what_is_forgotten_is_not_taken)
{
    queue_init(&queue, LOCAL);
    push(QUEUE_FRESH, 0, 10);
    push(QUEUE_FRESH, 20, 10);
    push(QUEUE_FRESH, 40, 10);
    push(QUEUE_KEPT, 60, 10);
    queue_forget(&queue, 5, 60); /* half of the first, two whole ones, half of the last */
    ck_assert_uint_eq(queue_pages(&queue), 10);
    expect(64, 0, 5);
    expect(64, 65, 5);
    expect_none();
    queue_fini(&queue);
}
END_TEST

START_TEST(what_lies_around_a_hole_stays)
{
    queue_init(&queue, LOCAL);
    push(QUEUE_FRESH, 0, 100);
    push(QUEUE_FRESH, 1000, 1);
    queue_forget(&queue, 40, 20);
    expect(64, 0, 40);
    expect(64, 1000, 1);
    expect(64, 60, 40);
    expect_none();
    queue_fini(&queue);
}
END_TEST

START_TEST(holes_may_be_made_without_a_push_between)
{
    queue_init(&queue, LOCAL);
    push(QUEUE_FRESH, 0, 60000);
    for (uint64_t page = 1; page < 60000; page += 20) queue_forget(&queue, page, 1);
    ck_assert_uint_eq(queue_pages(&queue), 57000);
    queue_fini(&queue);
}
END_TEST

START_TEST(soon_goes_by_what_was_taken_meanwhile)
{
    queue_init(&queue, LOCAL);
    uint8_t stamp = queue_stamp(&queue);
    ck_assert_int_eq(queue_part_back(&queue, stamp), QUEUE_KEPT);
    push(QUEUE_FRESH, 0, 3 * LOCAL);
    struct queue_run run;
    for (int i = 0; i < LOCAL - 100; i++) ck_assert(queue_take(&queue, 1, &run));
    ck_assert_int_eq(queue_part_back(&queue, stamp), QUEUE_KEPT);
    for (int i = 0; i < 200; i++) ck_assert(queue_take(&queue, 1, &run));
    ck_assert_int_eq(queue_part_back(&queue, stamp), QUEUE_FRESH);
    queue_fini(&queue);
}
END_TEST

/* Random pushes, takes and holes: every page that was pushed comes once or was forgotten. */
START_TEST(no_page_is_lost_or_taken_twice)
{
    enum { PAGES = 5000, STEPS = 20000 };
    static bool queued[PAGES];
    struct rng rng = {.state = (uint64_t)_i};
    uint64_t count = 0;
    memset(queued, 0, sizeof queued);
    queue_init(&queue, LOCAL);
    for (int step = 0; step < STEPS; step++) {
        uint64_t first = rng_below(&rng, PAGES), some = 1 + rng_below(&rng, 40);
        if (some > PAGES - first) some = PAGES - first;
        uint64_t kind = rng_below(&rng, 10);
        if (kind == 0) {
            queue_forget(&queue, first, some);
            for (uint64_t i = first; i < first + some; i++) {
                count -= queued[i];
                queued[i] = false;
            }
        } else if (kind < 6) {
            uint64_t free_run = 0;
            while (free_run < some && !queued[first + free_run]) free_run++;
            if (free_run == 0) continue;
            push(rng_below(&rng, 2) ? QUEUE_FRESH : QUEUE_KEPT, first, free_run);
            memset(queued + first, true, free_run);
            count += free_run;
        } else {
            struct queue_run run;
            bool any = queue_take(&queue, (uint32_t)some, &run);
            ck_assert(any == (count > 0));
            for (uint64_t i = 0; any && i < run.count; i++) {
                ck_assert(queued[run.first + i]);
                queued[run.first + i] = false;
                count--;
            }
        }
        ck_assert_uint_eq(queue_pages(&queue), count);
    }
    struct queue_run run;
    while (queue_take(&queue, 64, &run)) count -= run.count;
    ck_assert_uint_eq(count, 0);
    queue_fini(&queue);
}
END_TEST

/* A walk over more than there is room for: pages of 64 go one way, and not all the same. */
START_TEST(of_what_is_walked_over_a_small_part_is_kept_and_not_always_the_same)
{
    enum { BLOCKS = 1600, PAGES = 64 };
    struct queue_run run;
    queue_init(&queue, 1024);
    unsigned kept[2] = {0}, both = 0;
    bool was[BLOCKS];
    for (int round = 0; round < 2; round++) {
        for (unsigned i = 0; i < BLOCKS; i++) {
            enum queue_part part = queue_part_walked(&queue, (uint64_t)i * PAGES);
            for (unsigned j = 1; j < PAGES; j++)
                ck_assert_int_eq(queue_part_walked(&queue, (uint64_t)i * PAGES + j), part);
            kept[round] += part == QUEUE_KEPT;
            both += round == 1 && part == QUEUE_KEPT && was[i];
            was[i] = part == QUEUE_KEPT;
        }
        ck_assert(queue_push(&queue, QUEUE_FRESH, 0, 1024)); /* as many go */
        for (unsigned gone = 0; gone < 1024; gone += run.count)
            ck_assert(queue_take(&queue, 64, &run));
    }
    for (int round = 0; round < 2; round++) {
        ck_assert_uint_gt(kept[round], BLOCKS / 32);
        ck_assert_uint_lt(kept[round], BLOCKS / 8);
    }
    ck_assert_uint_lt(both, kept[0] / 2);
    queue_fini(&queue);
}
END_TEST

int main(void)
{
    int failed = suite_run("queue", what_came_first_goes_first, neighbours_go_together,
                           walks_that_take_turns_stay_apart, a_batch_has_its_limit,
                           a_run_may_be_longer_than_a_word_holds,
                           what_was_wanted_back_stays_while_others_pass,
                           what_was_wanted_back_goes_when_there_is_little_else,
                           what_is_forgotten_is_not_taken, what_lies_around_a_hole_stays,
                           holes_may_be_made_without_a_push_between,
                           soon_goes_by_what_was_taken_meanwhile,
                           of_what_is_walked_over_a_small_part_is_kept_and_not_always_the_same);
    return suite_run_each("queue, at random", 20, no_page_is_lost_or_taken_twice) | failed;
}
