/* SPDX-License-Identifier: BSD-3-Clause */
#include "base/percpu_ref.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/check.h"
#include "base/lock.h"
#include "suite.h"

enum { REFS_MAX = 4, WORKERS = 3, SWAPS = 300, OBJECTS = 64 };

/* Every test runs twice: with membarrier(2) and as on a kernel that has none. */
static bool no_membarrier;
static unsigned membarriers, membarriers_to_fail;

long __real_syscall(long number, ...);
long __wrap_syscall(long number, ...);
long __wrap_syscall(long number, ...)
{
    va_list arguments;
    va_start(arguments, number);
    long a = va_arg(arguments, int), b = va_arg(arguments, int), c = va_arg(arguments, int);
    va_end(arguments);
    ck_assert_int_eq(number, SYS_membarrier);
    membarriers++;
    if (no_membarrier || membarriers_to_fail > 0) {
        if (!no_membarrier) membarriers_to_fail--;
        errno = no_membarrier ? ENOSYS : ENOMEM;
        return -1;
    }
    return __real_syscall(number, a, b, c);
}

struct seat { /* what a ref counts the users of */
    struct percpu_ref ref;
    unsigned released;
};

static struct percpu_refs *refs;
static struct percpu_thread *self;

static void count_release(struct percpu_ref *ref, void *context)
{
    struct seat *seat = context;
    ck_assert_ptr_eq(ref, &seat->ref);
    lock_assert_none();
    seat->released++;
}

static void open_all(int variant)
{
    no_membarrier = variant == 1;
    ck_assert(percpu_refs_create(REFS_MAX, &refs) == FP_OK);
    ck_assert(percpu_thread_create(refs, &self) == FP_OK);
}

static void close_all(void)
{
    percpu_thread_destroy(&self);
    percpu_refs_destroy(&refs);
}

static void seat_open(struct seat *seat)
{
    *seat = (struct seat){.released = 0};
    ck_assert(percpu_ref_init(&seat->ref, refs, count_release, seat) == FP_OK);
}

static void reap(unsigned times)
{
    while (times-- > 0) percpu_refs_reap(refs);
}

START_TEST(release_runs_once_after_the_last_put_and_not_in_it)
{
    struct seat seat;
    open_all(_i);
    seat_open(&seat);
    ck_assert(percpu_ref_tryget_live(&seat.ref, self));
    ck_assert(percpu_ref_get(&seat.ref, NULL));
    reap(3);
    ck_assert(percpu_ref_kill(&seat.ref));
    ck_assert(!percpu_ref_kill(&seat.ref));
    reap(3);
    ck_assert(percpu_ref_count(&seat.ref) == 2);
    percpu_ref_put(&seat.ref, self);
    reap(3);
    ck_assert(seat.released == 0 && !percpu_ref_is_zero(&seat.ref));
    percpu_ref_put(&seat.ref, NULL);
    ck_assert(seat.released == 0 && percpu_ref_is_zero(&seat.ref));
    ck_assert_uint_eq(percpu_refs_reap(refs), 1);
    reap(3);
    ck_assert_uint_eq(seat.released, 1);
    percpu_ref_fini(&seat.ref);
    close_all();
}
END_TEST

START_TEST(a_dead_ref_takes_no_new_users_but_those_it_has_may_get_more)
{
    struct seat seat;
    open_all(_i);
    seat_open(&seat);
    ck_assert(percpu_ref_tryget_live(&seat.ref, self));
    percpu_ref_kill(&seat.ref);
    for (int reaped = 0; reaped < 3; reaped++) { /* before, in and after the grace period */
        ck_assert(!percpu_ref_tryget_live(&seat.ref, self));
        ck_assert(!percpu_ref_tryget_live(&seat.ref, NULL));
        ck_assert(percpu_ref_get(&seat.ref, self));
        ck_assert(percpu_ref_tryget(&seat.ref, self));
        percpu_ref_put(&seat.ref, self);
        percpu_ref_put(&seat.ref, self);
        reap(1);
    }
    percpu_ref_put(&seat.ref, self);
    ck_assert(!percpu_ref_tryget(&seat.ref, self));
    reap(1);
    ck_assert_uint_eq(seat.released, 1);
    percpu_ref_fini(&seat.ref);
    close_all();
}
END_TEST

START_TEST(whoever_holds_the_last_reference_may_kill_and_put)
{
    struct seat seat;
    open_all(_i);
    seat_open(&seat);
    ck_assert(percpu_ref_tryget_live(&seat.ref, self));
    percpu_ref_kill(&seat.ref);
    percpu_ref_put(&seat.ref, self);
    ck_assert_uint_eq(seat.released, 0);
    reap(2);
    ck_assert_uint_eq(seat.released, 1);
    percpu_ref_fini(&seat.ref);
    close_all();
}
END_TEST

START_TEST(resurrect_undoes_a_kill_until_its_release_begins)
{
    struct seat seat;
    open_all(_i);
    seat_open(&seat);
    ck_assert(percpu_ref_tryget_live(&seat.ref, self));
    ck_assert(percpu_ref_resurrect(&seat.ref)); /* nothing to undo */
    for (unsigned reaps = 0; reaps < 3; reaps++) {
        percpu_ref_kill(&seat.ref);
        reap(reaps);
        ck_assert(percpu_ref_resurrect(&seat.ref));
        ck_assert(percpu_ref_tryget_live(&seat.ref, self));
        percpu_ref_put(&seat.ref, self);
        reap(3);
        ck_assert(percpu_ref_count(&seat.ref) == 1);
    }
    percpu_ref_kill(&seat.ref);
    reap(2);
    percpu_ref_put(&seat.ref, self); /* zero, and no reap has seen it */
    ck_assert(percpu_ref_resurrect(&seat.ref));
    percpu_ref_kill(&seat.ref);
    reap(2);
    ck_assert_uint_eq(seat.released, 1);
    ck_assert(!percpu_ref_resurrect(&seat.ref));
    ck_assert(!percpu_ref_tryget_live(&seat.ref, self));
    percpu_ref_reinit(&seat.ref);
    ck_assert(percpu_ref_tryget_live(&seat.ref, self));
    percpu_ref_put(&seat.ref, self);
    percpu_ref_kill(&seat.ref);
    reap(2);
    ck_assert_uint_eq(seat.released, 2);
    percpu_ref_fini(&seat.ref);
    close_all();
}
END_TEST

START_TEST(a_fence_that_the_kernel_refuses_is_tried_again)
{
    struct seat seat;
    open_all(_i);
    seat_open(&seat);
    percpu_ref_kill(&seat.ref);
    membarriers = 0;
    membarriers_to_fail = no_membarrier ? 0 : 2;
    reap(2);
    ck_assert_uint_eq(seat.released, no_membarrier ? 1 : 0);
    reap(3);
    ck_assert_uint_eq(seat.released, 1);
    ck_assert_uint_eq(membarriers, no_membarrier ? 0 : 3); /* and none where none is due */
    percpu_ref_fini(&seat.ref);
    close_all();
}
END_TEST

START_TEST(there_is_room_for_as_many_refs_as_was_said)
{
    struct seat seats[REFS_MAX + 1];
    open_all(_i);
    for (int i = 0; i < REFS_MAX; i++) seat_open(&seats[i]);
    struct percpu_ref *last = &seats[REFS_MAX].ref;
    ck_assert(percpu_ref_init(last, refs, count_release, NULL) == FP_RANGE);
    ck_assert(percpu_ref_get(&seats[2].ref, self));
    percpu_ref_put(&seats[2].ref, NULL);
    percpu_ref_fini(&seats[2].ref); /* leaves nothing in the slot for the next that has it */
    seat_open(&seats[REFS_MAX]);
    ck_assert(percpu_ref_count(last) == 0);
    percpu_ref_kill(last);
    reap(2);
    ck_assert_uint_eq(seats[REFS_MAX].released, 1);
    for (int i = 0; i <= REFS_MAX; i++)
        if (i != 2) percpu_ref_fini(&seats[i].ref);
    close_all();
}
END_TEST

/* Users make objects: the chain that percpu_ref.h proposes for a seat. */
static struct seat users, objects;

static void users_gone(struct percpu_ref *ref, void *context)
{
    count_release(ref, context);
    percpu_ref_kill(&objects.ref);
}

static void objects_gone(struct percpu_ref *ref, void *context)
{
    count_release(ref, context);
    percpu_ref_fini(&users.ref);
    percpu_ref_fini(&objects.ref);
}

START_TEST(a_release_may_kill_another_ref_and_forget_its_own)
{
    open_all(_i);
    users = objects = (struct seat){.released = 0};
    ck_assert(percpu_ref_init(&users.ref, refs, users_gone, &users) == FP_OK);
    ck_assert(percpu_ref_init(&objects.ref, refs, objects_gone, &objects) == FP_OK);
    ck_assert(percpu_ref_tryget_live(&users.ref, self));
    percpu_ref_kill(&users.ref);
    reap(3);
    ck_assert(percpu_ref_get(&objects.ref, self)); /* born although the swap-out has begun */
    percpu_ref_put(&users.ref, self);
    reap(4);
    ck_assert(users.released == 1 && objects.released == 0);
    percpu_ref_put(&objects.ref, self);
    reap(1);
    ck_assert(users.released == 1 && objects.released == 1);
    close_all();
}
END_TEST

/* --- threads ---------------------------------------------------------------------------------- */

static _Atomic bool stopping;
static _Atomic long held; /* raised after a get, lowered before its put */
static _Atomic unsigned released_under_load;
static _Atomic uint64_t got_live;
static struct seat shared_seat;
static unsigned payload; /* written before a reinit and by a release: TSan looks */

static void *use_and_let_go(void *unused)
{
    struct percpu_thread *thread;
    unsigned seen = 0;
    fp_assert(percpu_thread_create(refs, &thread) == FP_OK);
    for (unsigned i = 0; !atomic_load(&stopping); i++) {
        struct percpu_thread *mine = i % 64 == 0 ? NULL : thread;
        if (!percpu_ref_tryget_live(&shared_seat.ref, mine)) {
            sched_yield();
            continue;
        }
        atomic_fetch_add_explicit(&held, 1, memory_order_relaxed);
        seen += payload;
        if (i % 3 == 0) {
            fp_assert(percpu_ref_get(&shared_seat.ref, thread));
            percpu_ref_put(&shared_seat.ref, mine);
        }
        atomic_fetch_sub_explicit(&held, 1, memory_order_relaxed);
        percpu_ref_put(&shared_seat.ref, thread);
        atomic_fetch_add_explicit(&got_live, 1, memory_order_relaxed);
        if (i % 1024 == 0) { /* threads come and go */
            percpu_thread_destroy(&thread);
            fp_assert(percpu_thread_create(refs, &thread) == FP_OK);
        }
    }
    percpu_thread_destroy(&thread);
    return seen == 1 ? unused : NULL;
}

static void release_under_load(struct percpu_ref *ref, void *context)
{
    (void)ref, (void)context;
    fp_assert(atomic_load(&held) == 0);
    payload++;
    atomic_fetch_add(&released_under_load, 1);
}

static void *reap_until_stopped(void *unused)
{
    while (!atomic_load(&stopping)) {
        percpu_refs_reap(refs);
        sched_yield();
    }
    return unused;
}

/* Kills, and now and then changes its mind. Every kill is undone or released, never both. */
static unsigned swap_in_and_out(void)
{
    unsigned due = 0;
    for (unsigned i = 0; i < SWAPS; i++) {
        for (unsigned spin = 0; spin < i % 50; spin++) sched_yield();
        ck_assert(percpu_ref_kill(&shared_seat.ref));
        for (unsigned spin = 0; spin < i % 7; spin++) sched_yield();
        if (i % 2 == 0 && percpu_ref_resurrect(&shared_seat.ref)) continue;
        due++;
        while (atomic_load(&released_under_load) < due) sched_yield();
        percpu_ref_reinit(&shared_seat.ref);
    }
    return due;
}

START_TEST(under_load_each_kill_is_released_once_or_undone_and_never_with_users)
{
    pthread_t workers[WORKERS], reaper;
    open_all(_i);
    atomic_store(&stopping, false);
    atomic_store(&released_under_load, 0);
    atomic_store(&got_live, 0);
    ck_assert(percpu_ref_init(&shared_seat.ref, refs, release_under_load, NULL) == FP_OK);
    for (int i = 0; i < WORKERS; i++)
        ck_assert(pthread_create(&workers[i], NULL, use_and_let_go, NULL) == 0);
    ck_assert(pthread_create(&reaper, NULL, reap_until_stopped, NULL) == 0);
    unsigned due = swap_in_and_out();
    atomic_store(&stopping, true);
    for (int i = 0; i < WORKERS; i++) ck_assert(pthread_join(workers[i], NULL) == 0);
    ck_assert(pthread_join(reaper, NULL) == 0);
    ck_assert_uint_eq(atomic_load(&released_under_load), due);
    ck_assert(percpu_ref_count(&shared_seat.ref) == 0 && atomic_load(&got_live) > 0);
    percpu_ref_fini(&shared_seat.ref);
    close_all();
}
END_TEST

static void *give_birth(void *opaque)
{
    struct percpu_thread *thread;
    struct seat *seat = opaque;
    fp_assert(percpu_thread_create(refs, &thread) == FP_OK);
    for (int i = 0; i < OBJECTS; i++) fp_assert(percpu_ref_get(&seat->ref, thread));
    percpu_thread_destroy(&thread);
    return NULL;
}

START_TEST(what_was_got_on_a_thread_that_is_gone_is_counted_until_another_puts_it)
{
    struct seat seat;
    pthread_t thread;
    open_all(_i);
    seat_open(&seat);
    ck_assert(pthread_create(&thread, NULL, give_birth, &seat) == 0);
    ck_assert(pthread_join(thread, NULL) == 0);
    for (int i = 0; i < OBJECTS - 1; i++) percpu_ref_put(&seat.ref, self);
    ck_assert(percpu_ref_count(&seat.ref) == 1);
    percpu_ref_kill(&seat.ref);
    reap(3);
    ck_assert_uint_eq(seat.released, 0);
    percpu_ref_put(&seat.ref, self);
    reap(1);
    ck_assert_uint_eq(seat.released, 1);
    percpu_ref_fini(&seat.ref);
    close_all();
}
END_TEST

START_TEST(a_put_too_many_stops_the_program)
{
    pid_t child = fork();
    if (child == 0) {
        if (freopen("/dev/null", "w", stderr) == NULL) _exit(2);
        struct seat seat;
        open_all(_i);
        seat_open(&seat);
        percpu_ref_put(&seat.ref, self);
        percpu_ref_kill(&seat.ref);
        reap(2);
        _exit(0);
    }
    int status;
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
}
END_TEST

int main(void)
{
    return suite_run_each("percpu_ref", 2, release_runs_once_after_the_last_put_and_not_in_it,
                          a_dead_ref_takes_no_new_users_but_those_it_has_may_get_more,
                          whoever_holds_the_last_reference_may_kill_and_put,
                          resurrect_undoes_a_kill_until_its_release_begins,
                          a_fence_that_the_kernel_refuses_is_tried_again,
                          there_is_room_for_as_many_refs_as_was_said,
                          a_release_may_kill_another_ref_and_forget_its_own,
                          under_load_each_kill_is_released_once_or_undone_and_never_with_users,
                          what_was_got_on_a_thread_that_is_gone_is_counted_until_another_puts_it,
                          a_put_too_many_stops_the_program);
}
