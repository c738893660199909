/* SPDX-License-Identifier: BSD-3-Clause */
#include "client/uffd/figures.h"

#include <check.h>

#include "tests/unit/base/suite.h"

static struct figures one, other;

START_TEST(what_handlers_counted_is_added_up)
{
    figures_init(&one);
    figures_init(&other);
    one.loaded = 3;
    other.loaded = 4;
    other.round_trips = 2;
    histogram_add(&one.faults_ns[FIGURES_REMOTE], 1000);
    histogram_add(&other.faults_ns[FIGURES_REMOTE], 9000);
    figures_merge(&one, &other);
    ck_assert_uint_eq(one.loaded, 7);
    ck_assert_uint_eq(one.round_trips, 2);
    ck_assert_uint_eq(one.faults_ns[FIGURES_REMOTE].count, 2);
    ck_assert_uint_eq(one.faults_ns[FIGURES_REMOTE].highest, 9000);
}
END_TEST

START_TEST(accuracy_is_of_what_is_known)
{
    figures_init(&one);
    ck_assert(figures_prefetch_accuracy(&one) == 0);
    one.prefetched = 100;
    one.prefetch_used = 30;
    one.prefetch_wasted = 10;
    ck_assert(figures_prefetch_accuracy(&one) == 0.75);
}
END_TEST

START_TEST(every_kind_of_fault_has_a_name)
{
    for (int i = 0; i < FIGURES_FAULTS_COUNT; i++)
        ck_assert_ptr_nonnull(figures_fault_name((enum figures_fault)i));
    ck_assert_str_eq(figures_fault_name(FIGURES_STAGED), "staged");
}
END_TEST

int main(void)
{
    return suite_run("figures", what_handlers_counted_is_added_up, accuracy_is_of_what_is_known,
                     every_kind_of_fault_has_a_name);
}
