/* SPDX-License-Identifier: BSD-3-Clause
 * A slot is one page's until nobody names it and no request for it is under way. */
#include <check.h>

#include "client/uffd/slots.h"
#include "tests/unit/base/suite.h"

static struct slots slots;
static const struct fingerprint some = {{1, 2, 3}};

START_TEST(a_slot_is_nobody_elses_while_a_page_names_it)
{
    ck_assert(slots_init(&slots, 2));
    uint32_t a = slots_take(&slots), b = slots_take(&slots);
    ck_assert_uint_ne(a, b);
    ck_assert_uint_eq(slots_take(&slots), SLOT_NONE);
    slots_keep(&slots, a);
    slots_drop(&slots, a);
    ck_assert_uint_eq(slots_take(&slots), SLOT_NONE);
    slots_drop(&slots, a);
    ck_assert_uint_eq(slots_take(&slots), a);
    ck_assert_uint_eq(slots.used, 2);
    slots_fini(&slots);
}
END_TEST

START_TEST(a_busy_slot_waits_for_its_answer)
{
    ck_assert(slots_init(&slots, 1));
    uint32_t a = slots_take(&slots);
    slots_at(&slots, a)->busy = true;
    slots_drop(&slots, a);
    ck_assert_uint_eq(slots_take(&slots), SLOT_NONE);
    slots_answered(&slots, a);
    ck_assert_uint_eq(slots_take(&slots), a);
    slots_fini(&slots);
}
END_TEST

START_TEST(a_spoilt_slot_is_never_taken_again)
{
    ck_assert(slots_init(&slots, 1));
    uint32_t a = slots_take(&slots);
    slots_at(&slots, a)->spoilt = true;
    slots_drop(&slots, a);
    ck_assert_uint_eq(slots_take(&slots), SLOT_NONE);
    slots_fini(&slots);
}
END_TEST

START_TEST(garbage_is_taken_again_or_swept)
{
    ck_assert(slots_init(&slots, 5000));
    uint32_t taken[4200], swept[10];
    for (int i = 0; i < 4200; i++) {
        taken[i] = slots_take(&slots);
        slots_store(&slots, taken[i], &some);
    }
    for (int i = 0; i < 3; i++) slots_drop(&slots, taken[i]);
    ck_assert_uint_eq(slots.garbage_count, 3);
    ck_assert_uint_eq(slots_take(&slots), taken[2]);
    ck_assert_uint_eq(slots_sweep(&slots, swept, 10), 2);
    ck_assert_uint_eq(slots.garbage_count, 0);
    ck_assert(!slots_stored(&slots, swept[0]));
    uint32_t fresh = slots_take(&slots); /* what is being swept is busy */
    ck_assert(fresh != swept[0] && fresh != swept[1]);
    slots_answered(&slots, swept[0]);
    ck_assert_uint_eq(slots_take(&slots), swept[0]);
    slots_fini(&slots);
}
END_TEST

START_TEST(a_new_life_has_nothing_stored)
{
    ck_assert(slots_init(&slots, 2));
    uint32_t a = slots_take(&slots);
    slots_store(&slots, a, &some);
    ck_assert(slots_stored(&slots, a));
    slots_new_life(&slots);
    ck_assert(!slots_stored(&slots, a));
    slots_store(&slots, a, &some);
    ck_assert(slots_stored(&slots, a));
    slots_fini(&slots);
}
END_TEST

int main(void)
{
    return suite_run("slots", a_slot_is_nobody_elses_while_a_page_names_it,
                     a_busy_slot_waits_for_its_answer, a_spoilt_slot_is_never_taken_again,
                     garbage_is_taken_again_or_swept, a_new_life_has_nothing_stored);
}
