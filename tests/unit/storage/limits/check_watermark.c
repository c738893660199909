/* SPDX-License-Identifier: BSD-3-Clause */
#include "storage/limits/watermark.h"

#include "tests/unit/base/suite.h"

static struct watermarks marks;

static void setup(uint32_t high, uint32_t low, uint32_t accept)
{
    marks = (struct watermarks){0};
    watermarks_set(&marks, (struct watermark_levels){high, low, accept});
}

START_TEST(room_is_made_from_the_high_mark_on_down_to_the_low_one)
{
    setup(90, 80, 100);
    ck_assert_uint_eq(watermarks_excess(&marks, 850, 1000), 0);
    ck_assert_uint_eq(watermarks_excess(&marks, 900, 1000), 0);
    ck_assert_uint_eq(watermarks_excess(&marks, 901, 1000), 101);
    ck_assert_uint_eq(watermarks_excess(&marks, 850, 1000), 50);
    ck_assert_uint_eq(watermarks_excess(&marks, 801, 1000), 1);
    ck_assert_uint_eq(watermarks_excess(&marks, 800, 1000), 0);
    ck_assert_uint_eq(watermarks_excess(&marks, 850, 1000), 0);
    ck_assert_uint_eq(watermarks_excess(&marks, 1200, 1000), 400);
}
END_TEST

START_TEST(once_the_limit_was_hit_pages_are_taken_in_from_the_accept_mark_down)
{
    setup(95, 90, 90);
    ck_assert(watermarks_accept(&marks, 1000, 1000));
    ck_assert(watermarks_hit(&marks) && !watermarks_hit(&marks));
    ck_assert(!watermarks_accept(&marks, 999, 1000));
    ck_assert(!watermarks_accept(&marks, 901, 1000));
    ck_assert(watermarks_accept(&marks, 900, 1000));
    ck_assert(watermarks_accept(&marks, 1000, 1000));
    ck_assert(watermarks_hit(&marks));
    watermarks_forget(&marks);
    ck_assert(watermarks_accept(&marks, 999, 1000));
}
END_TEST

START_TEST(an_accept_mark_of_100_refuses_nothing_that_fits)
{
    setup(95, 90, 100);
    ck_assert(watermarks_hit(&marks) && watermarks_full(&marks));
    ck_assert(watermarks_accept(&marks, 999, 1000) && !watermarks_full(&marks));
}
END_TEST

START_TEST(percents_of_any_limit_are_exact_and_do_not_wrap)
{
    ck_assert_uint_eq(watermark_bytes(1000, 95), 950);
    ck_assert_uint_eq(watermark_bytes(199, 50), 99);
    ck_assert_uint_eq(watermark_bytes(UINT64_MAX, 100), UINT64_MAX);
    ck_assert_uint_eq(watermark_bytes(0, 50), 0);
}
END_TEST

int main(void)
{
    return suite_run("watermark", room_is_made_from_the_high_mark_on_down_to_the_low_one,
                     once_the_limit_was_hit_pages_are_taken_in_from_the_accept_mark_down,
                     an_accept_mark_of_100_refuses_nothing_that_fits,
                     percents_of_any_limit_are_exact_and_do_not_wrap);
}
