/* SPDX-License-Identifier: BSD-3-Clause */
#include "server/memory/pressure.h"

#include "tests/unit/base/suite.h"

enum { LIMIT = 1000000 };

static struct pressure pressure;

static uint64_t look(uint32_t stalled_percent, uint64_t held_bytes)
{
    struct pressure_view view = {.configured_bytes = LIMIT,
                                 .held_bytes = held_bytes,
                                 .stalled_us = stalled_percent * 5000ull,
                                 .time_us = 500000,
                                 .threshold_percent = 10,
                                 .floor_percent = 50};
    pressure_look(&pressure, &view);
    return atomic_load(&pressure.limit_bytes);
}

START_TEST(while_tasks_wait_for_memory_the_limit_goes_down_to_its_floor)
{
    pressure_init(&pressure);
    ck_assert(look(0, LIMIT) == UINT64_MAX && look(9, LIMIT) == UINT64_MAX);
    ck_assert_uint_eq(look(10, LIMIT), 960000);
    ck_assert_uint_eq(look(100, 960000), 920000);
    ck_assert_uint_eq(atomic_load(&pressure.stalled_percent), 100);
    ck_assert_uint_eq(look(9, 920000), 920000);
    for (int i = 0; i < 50; i++) (void)look(60, atomic_load(&pressure.limit_bytes));
    ck_assert_uint_eq(look(60, 500000), 500000);
    ck_assert_uint_eq(atomic_load(&pressure.lowered), 13); /* the last steps changed nothing */
}
END_TEST

START_TEST(a_step_begins_at_what_is_held)
{
    pressure_init(&pressure);
    ck_assert_uint_eq(look(20, 700000), 660000);
    pressure_init(&pressure);
    ck_assert_uint_eq(look(20, 100000), 500000); /* and not below the floor */
}
END_TEST

START_TEST(it_comes_back_slowly_when_nobody_has_waited_for_a_while)
{
    pressure_init(&pressure);
    (void)look(50, LIMIT);
    for (int i = 1; i < PRESSURE_CALM_LOOKS; i++) ck_assert_uint_eq(look(4, 900000), 960000);
    ck_assert_uint_eq(look(4, 900000), 965001);
    ck_assert_uint_eq(look(6, 900000), 965001); /* neither calm nor pressed */
    for (int i = 1; i < PRESSURE_CALM_LOOKS; i++) ck_assert_uint_eq(look(0, 900000), 965001);
    for (int i = 0; i < 7; i++) (void)look(0, 900000);
    ck_assert(look(0, 900000) == UINT64_MAX && look(0, 900000) == UINT64_MAX);
    ck_assert_uint_eq(atomic_load(&pressure.raised), 8);
}
END_TEST

START_TEST(no_time_and_clocks_that_disagree_do_no_harm)
{
    pressure_init(&pressure);
    struct pressure_view view = {.configured_bytes = LIMIT, .stalled_us = 5};
    pressure_look(&pressure, &view);
    ck_assert(atomic_load(&pressure.limit_bytes) == UINT64_MAX);
    ck_assert_uint_eq(look(4000, LIMIT), 960000); /* more stalled than time went by */
    ck_assert_uint_eq(atomic_load(&pressure.stalled_percent), 100);
}
END_TEST

START_TEST(the_kernels_file_is_read)
{
    static const char good[] = "some avg10=0.12 avg60=1.00 avg300=2.41 total=9838063\n"
                               "full avg10=0.00 avg60=0.00 avg300=0.00 total=4350584\n";
    static const char *const bad[] = {"", "some", "some total=", "some avg10=0 total=x\n",
                                      "full avg10=0.00 total=5\n", "some avg10=0.0\n total=4\n",
                                      "some avg10=0 total=99999999999999999999\n"};
    uint64_t total = 0;
    ck_assert(psi_parse(slice_text(good), &total) && total == 9838063);
    ck_assert(psi_parse(slice_text("some total=1 total=2"), &total));
    for (size_t i = 0; i < FP_COUNT_OF(bad); i++) ck_assert(!psi_parse(slice_text(bad[i]), &total));
}
END_TEST

START_TEST(the_cgroup_of_version_2_is_found_among_those_of_version_1)
{
    static const char mixed[] = "9:name=systemd:/a\n4:memory:/b\n0::/c/d\n";
    ck_assert(slice_is(psi_cgroup(slice_text(mixed)), "/c/d"));
    ck_assert(slice_is(psi_cgroup(slice_text("0::/\n")), "/"));
    ck_assert(psi_cgroup(slice_text("4:memory:/b\n10::/x\n")).size_bytes == 0);
    ck_assert(psi_cgroup(slice_text("")).size_bytes == 0);
}
END_TEST

int main(void)
{
    return suite_run("pressure", while_tasks_wait_for_memory_the_limit_goes_down_to_its_floor,
                     a_step_begins_at_what_is_held,
                     it_comes_back_slowly_when_nobody_has_waited_for_a_while,
                     no_time_and_clocks_that_disagree_do_no_harm, the_kernels_file_is_read,
                     the_cgroup_of_version_2_is_found_among_those_of_version_1);
}
