/* SPDX-License-Identifier: BSD-3-Clause */
#include "base/lock.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "suite.h"

static struct lock areas, pages, pages_too, the_log;

static void locks_init(void)
{
    lock_init(&areas, RANK_AREAS);
    lock_init(&pages, RANK_PAGES);
    lock_init(&pages_too, RANK_PAGES);
    lock_init(&the_log, RANK_LOG);
}

START_TEST(rising_ranks_may_be_held_together)
{
    locks_init();
    lock_assert_none();
    lock_take(&areas);
    lock_take(&pages);
    lock_take(&the_log);
    lock_assert_held(&areas);
    lock_drop(&pages); /* any order of dropping is good */
    lock_drop(&the_log);
    lock_take(&pages);
    lock_drop(&pages);
    lock_drop(&areas);
    lock_assert_none();
    lock_fini(&areas);
    lock_fini(&pages);
    lock_fini(&pages_too);
    lock_fini(&the_log);
}
END_TEST

static void *takes_a_low_rank(void *unused)
{
    lock_take(&areas);
    lock_drop(&areas);
    return unused;
}

START_TEST(what_another_thread_holds_does_not_matter)
{
    locks_init();
    lock_take(&the_log);
    pthread_t thread;
    ck_assert_int_eq(pthread_create(&thread, NULL, takes_a_low_rank, NULL), 0);
    ck_assert_int_eq(pthread_join(thread, NULL), 0);
    lock_drop(&the_log);
}
END_TEST

/* Runs `breach` in a child: it must die by abort() and say `words` on standard error. */
static void expect_death(void (*breach)(void), const char *words)
{
    int ends[2];
    ck_assert_int_eq(pipe(ends), 0);
    pid_t child = fork();
    if (child == 0) {
        dup2(ends[1], STDERR_FILENO);
        locks_init();
        breach();
        _exit(0);
    }
    close(ends[1]);
    char said[4096];
    size_t size = 0;
    ssize_t got;
    while ((got = read(ends[0], said + size, sizeof said - 1 - size)) > 0) size += (size_t)got;
    said[size] = '\0';
    close(ends[0]);
    int status;
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert_msg(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT, "status %d", status);
    ck_assert_msg(strstr(said, words) != NULL, "it said: %s", said);
}

static void take_a_lower_rank(void)
{
    lock_take(&pages);
    lock_take(&areas);
}

static void take_the_same_rank(void)
{
    lock_take(&pages);
    lock_take(&pages_too);
}

static void take_twice(void)
{
    lock_take(&pages);
    lock_take(&pages);
}

static void drop_what_is_not_held(void)
{
    lock_take(&areas);
    lock_drop(&pages);
}

static void be_slow_under_a_lock(void)
{
    lock_take(&the_log);
    lock_assert_none();
}

START_TEST(a_breach_of_the_order_stops_the_program_with_the_names)
{
    expect_death(take_a_lower_rank, "takes RANK_AREAS while holding: RANK_PAGES");
    expect_death(take_the_same_rank, "takes RANK_PAGES while holding: RANK_PAGES");
    expect_death(take_twice, "takes RANK_PAGES while holding: RANK_PAGES");
    expect_death(drop_what_is_not_held, "should hold RANK_PAGES while holding: RANK_AREAS");
    expect_death(be_slow_under_a_lock, "while holding: RANK_LOG");
}
END_TEST

int main(void)
{
    return suite_run("lock", rising_ranks_may_be_held_together,
                     what_another_thread_holds_does_not_matter,
                     a_breach_of_the_order_stops_the_program_with_the_names);
}
