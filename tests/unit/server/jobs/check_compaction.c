/* SPDX-License-Identifier: BSD-3-Clause */
#include "server/jobs/compaction.h"

#include <pthread.h>
#include <sched.h>

#include "tests/unit/base/suite.h"

enum { THREADS = 4, JOBS = 300 };

/* Nobody is woken: the test is the maintainer. */
static struct compaction make(void)
{
    return (struct compaction){.wake_fd = -1};
}

START_TEST(a_job_that_waits_or_runs_is_enough)
{
    struct compaction compaction = make();
    ck_assert_int_eq(compaction_state(&compaction), COMPACTION_NONE);
    ck_assert(!compaction_begin(&compaction, 5));
    ck_assert_uint_eq(compaction_ask(&compaction), 1);
    ck_assert_uint_eq(compaction_ask(&compaction), 1);
    ck_assert_int_eq(compaction_state(&compaction), COMPACTION_WAITING);
    ck_assert(compaction_begin(&compaction, 10));
    ck_assert_uint_eq(compaction_ask(&compaction), 1);
    ck_assert_int_eq(compaction_state(&compaction), COMPACTION_RUNNING);
    compaction_end(&compaction, 30);
    ck_assert_int_eq(compaction_state(&compaction), COMPACTION_DONE);
    ck_assert_uint_eq(atomic_load(&compaction.last_ns), 20);
    ck_assert_uint_eq(compaction_ask(&compaction), 2);
    ck_assert_int_eq(compaction_state(&compaction), COMPACTION_WAITING);
}
END_TEST

START_TEST(a_job_counts_its_own_work_only)
{
    struct compaction compaction = make();
    compaction_note(&compaction, &(struct compaction_step){100, 10, 1}, 0); /* automatic */
    compaction_ask(&compaction);
    ck_assert(compaction_begin(&compaction, 0));
    compaction_note(&compaction, &(struct compaction_step){5, 4, 3}, 1);
    compaction_note(&compaction, &(struct compaction_step){5, 4, 3}, 1);
    compaction_end(&compaction, 1);
    compaction_note(&compaction, &(struct compaction_step){100, 10, 1}, 1);
    ck_assert_uint_eq(atomic_load(&compaction.job.moved_objects), 10);
    ck_assert_uint_eq(atomic_load(&compaction.job.freed_pages), 8);
    ck_assert_uint_eq(atomic_load(&compaction.job.skipped_pinned), 6);
    ck_assert_uint_eq(atomic_load(&compaction.total.moved_objects), 210);
    compaction_ask(&compaction);
    ck_assert(compaction_begin(&compaction, 2));
    ck_assert_uint_eq(atomic_load(&compaction.job.moved_objects), 0);
}
END_TEST

START_TEST(a_job_never_seems_shorter_than_before)
{
    struct compaction compaction = make();
    struct compaction_step step = {1, 1, 0};
    compaction_ask(&compaction);
    ck_assert(compaction_begin(&compaction, 100));
    ck_assert_uint_eq(atomic_load(&compaction.job_ns), 0);
    compaction_note(&compaction, &step, 107);
    ck_assert_uint_eq(atomic_load(&compaction.job_ns), 7);
    ck_assert_uint_eq(atomic_load(&compaction.last_ns), 0);
    compaction_end(&compaction, 109);
    compaction_note(&compaction, &step, 200); /* automatic */
    ck_assert_uint_eq(atomic_load(&compaction.job_ns), 9);
    ck_assert_uint_eq(atomic_load(&compaction.last_ns), 9);
    compaction_ask(&compaction);
    ck_assert(compaction_begin(&compaction, 300));
    ck_assert_uint_eq(atomic_load(&compaction.job_ns), 0);
    ck_assert_uint_eq(atomic_load(&compaction.last_ns), 9);
}
END_TEST

static void *ask_often(void *opaque)
{
    struct compaction *compaction = opaque;
    uint64_t last = 0;
    while (last < JOBS) {
        uint64_t job = compaction_ask(compaction);
        if (job < last) return opaque; /* it went back */
        if (job == last) sched_yield();
        last = job;
    }
    return NULL;
}

START_TEST(whoever_asks_gets_a_job_that_is_done_some_time)
{
    struct compaction compaction = make();
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++)
        ck_assert_int_eq(pthread_create(&threads[i], NULL, ask_often, &compaction), 0);
    for (uint64_t done = 0; done < JOBS;) {
        if (!compaction_begin(&compaction, done)) {
            sched_yield();
            continue;
        }
        compaction_end(&compaction, done);
        ck_assert_uint_eq(atomic_load(&compaction.ended), ++done);
    }
    for (int i = 0; i < THREADS; i++) {
        void *failed;
        ck_assert_int_eq(pthread_join(threads[i], &failed), 0);
        ck_assert_ptr_null(failed);
    }
}
END_TEST

int main(void)
{
    return suite_run("compaction", a_job_that_waits_or_runs_is_enough,
                     a_job_counts_its_own_work_only, a_job_never_seems_shorter_than_before,
                     whoever_asks_gets_a_job_that_is_done_some_time);
}
