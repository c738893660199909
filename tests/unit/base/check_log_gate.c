/* SPDX-License-Identifier: BSD-3-Clause */
#include "base/log_gate.h"

#include "suite.h"

static const struct log_pace pace = {.lines = 2, .ns = 1000};

START_TEST(some_lines_pass_and_the_others_are_told_later)
{
    struct log_gate gate = {0};
    uint64_t skipped;
    ck_assert(log_gate_pass(&gate, pace, 5000, &skipped) && skipped == 0);
    ck_assert(log_gate_pass(&gate, pace, 5001, &skipped) && skipped == 0);
    for (uint64_t i = 0; i < 7; i++) ck_assert(!log_gate_pass(&gate, pace, 5002 + i, &skipped));
    ck_assert(!log_gate_pass(&gate, pace, 5999, &skipped));
    ck_assert(log_gate_pass(&gate, pace, 6000, &skipped));
    ck_assert_uint_eq(skipped, 8);
    ck_assert(log_gate_pass(&gate, pace, 6001, &skipped) && skipped == 0);
    ck_assert(log_gate_pass(&gate, pace, 60000, &skipped) && skipped == 0);
}
END_TEST

int main(void)
{
    return suite_run("log_gate", some_lines_pass_and_the_others_are_told_later);
}
