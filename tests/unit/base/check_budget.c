/* SPDX-License-Identifier: BSD-3-Clause */
#include "base/budget.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "suite.h"

enum { THREADS = 4, ROUNDS = 50000, LIMIT = 1000 };

START_TEST(nothing_is_charged_past_the_limit)
{
    struct budget budget;
    budget_init(&budget, 100);
    ck_assert(budget_charge(&budget, BUDGET_ITEMS, 60));
    ck_assert(!budget_charge(&budget, BUDGET_SLOTS, 41));
    ck_assert(budget_held(&budget, BUDGET_SLOTS) == 0);
    ck_assert(budget_charge(&budget, BUDGET_SLOTS, 40));
    ck_assert(!budget_charge(&budget, BUDGET_ITEMS, 1));
    ck_assert(budget_charge(&budget, BUDGET_ITEMS, 0));
    budget_return(&budget, BUDGET_ITEMS, 60);
    ck_assert(budget_total(&budget) == 40 && budget_held(&budget, BUDGET_ITEMS) == 0);
}
END_TEST

START_TEST(a_charge_that_would_wrap_is_refused)
{
    struct budget budget;
    budget_init(&budget, 100);
    ck_assert(budget_charge(&budget, BUDGET_ITEMS, 50));
    ck_assert(!budget_charge(&budget, BUDGET_ITEMS, UINT64_MAX));
    ck_assert(!budget_charge(&budget, BUDGET_ITEMS, UINT64_MAX - 49));
    budget_set_limit(&budget, UINT64_MAX);
    ck_assert(!budget_charge(&budget, BUDGET_ITEMS, UINT64_MAX));
    ck_assert(budget_total(&budget) == 50);
}
END_TEST

START_TEST(what_exists_already_is_charged_anyway)
{
    struct budget budget;
    budget_init(&budget, 10);
    budget_charge_anyway(&budget, BUDGET_FIXED, 25);
    ck_assert(budget_total(&budget) == 25);
    ck_assert(!budget_charge(&budget, BUDGET_ITEMS, 1));
    budget_set_limit(&budget, 26);
    ck_assert(budget_charge(&budget, BUDGET_ITEMS, 1));
}
END_TEST

START_TEST(a_lower_limit_waits_for_returns)
{
    struct budget budget;
    budget_init(&budget, 100);
    ck_assert(budget_charge(&budget, BUDGET_ITEMS, 100));
    budget_set_limit(&budget, 50);
    ck_assert(!budget_charge(&budget, BUDGET_ITEMS, 1));
    budget_return(&budget, BUDGET_ITEMS, 51);
    ck_assert(budget_charge(&budget, BUDGET_ITEMS, 1));
    ck_assert(!budget_charge(&budget, BUDGET_ITEMS, 1));
}
END_TEST

START_TEST(a_limit_that_is_approached_follows_the_total_down)
{
    struct budget budget;
    budget_init(&budget, 100);
    ck_assert(budget_charge(&budget, BUDGET_ITEMS, 90));
    ck_assert(budget_settle(&budget));
    budget_approach_limit(&budget, 50);
    ck_assert(budget_limit(&budget) == 90 && budget_wanted(&budget) == 50);
    ck_assert(!budget_charge(&budget, BUDGET_ITEMS, 1));
    budget_return(&budget, BUDGET_ITEMS, 20); /* who makes room for himself has it */
    ck_assert(budget_charge(&budget, BUDGET_ITEMS, 5));
    ck_assert(!budget_settle(&budget));
    ck_assert(budget_limit(&budget) == 75 && !budget_charge(&budget, BUDGET_ITEMS, 1));
    budget_return(&budget, BUDGET_ITEMS, 30);
    ck_assert(budget_settle(&budget) && budget_limit(&budget) == 50);
    ck_assert(budget_charge(&budget, BUDGET_ITEMS, 5));
    ck_assert(!budget_charge(&budget, BUDGET_ITEMS, 1));
    budget_charge_anyway(&budget, BUDGET_FIXED, 30); /* what is anyway does not raise it again */
    ck_assert(!budget_settle(&budget) && budget_limit(&budget) == 50);
    budget_approach_limit(&budget, 200);
    ck_assert(budget_settle(&budget) && budget_limit(&budget) == 200);
}
END_TEST

START_TEST(a_use_may_change_and_the_total_stays)
{
    struct budget budget;
    budget_init(&budget, 100);
    ck_assert(budget_charge(&budget, BUDGET_PAYLOAD, 100));
    budget_move(&budget, BUDGET_PAYLOAD, BUDGET_CACHED, 30);
    ck_assert(budget_held(&budget, BUDGET_PAYLOAD) == 70);
    ck_assert(budget_held(&budget, BUDGET_CACHED) == 30);
    ck_assert(budget_total(&budget) == 100);
}
END_TEST

static void *charge_and_return(void *argument)
{
    struct budget *budget = argument;
    uint64_t refused = 0;
    for (int i = 0; i < ROUNDS; i++) {
        enum budget_use use = (enum budget_use)(i % BUDGET_USES_COUNT);
        uint64_t bytes = (uint64_t)(i * 7919) % (LIMIT / 2);
        if (!budget_charge(budget, use, bytes)) {
            refused++;
            continue;
        }
        if (budget_total(budget) > LIMIT) return NULL;
        budget_return(budget, use, bytes);
    }
    return budget;
}

START_TEST(threads_never_pass_the_limit_and_leave_nothing_behind)
{
    struct budget budget;
    budget_init(&budget, LIMIT);
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++)
        ck_assert_int_eq(pthread_create(&threads[i], NULL, charge_and_return, &budget), 0);
    for (int i = 0; i < THREADS; i++) {
        void *result;
        ck_assert_int_eq(pthread_join(threads[i], &result), 0);
        ck_assert_ptr_eq(result, &budget);
    }
    ck_assert(budget_total(&budget) == 0);
    for (int use = 0; use < BUDGET_USES_COUNT; use++)
        ck_assert(budget_held(&budget, (enum budget_use)use) == 0);
}
END_TEST

START_TEST(returning_what_was_not_charged_stops_the_program)
{
    pid_t child = fork();
    if (child == 0) {
        struct budget budget;
        budget_init(&budget, 100);
        if (freopen("/dev/null", "w", stderr) == NULL) _exit(2);
        budget_return(&budget, BUDGET_ITEMS, 1);
        _exit(0);
    }
    int status;
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
}
END_TEST

START_TEST(every_use_has_a_name)
{
    for (int use = 0; use < BUDGET_USES_COUNT; use++)
        ck_assert_ptr_nonnull(budget_use_name((enum budget_use)use));
    ck_assert_str_eq(budget_use_name(BUDGET_KEYDIR), "keydir");
}
END_TEST

int main(void)
{
    return suite_run("budget", nothing_is_charged_past_the_limit,
                     a_charge_that_would_wrap_is_refused, what_exists_already_is_charged_anyway,
                     a_lower_limit_waits_for_returns,
                     a_limit_that_is_approached_follows_the_total_down,
                     a_use_may_change_and_the_total_stays,
                     threads_never_pass_the_limit_and_leave_nothing_behind,
                     returning_what_was_not_charged_stops_the_program, every_use_has_a_name);
}
