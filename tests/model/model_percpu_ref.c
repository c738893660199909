/* SPDX-License-Identifier: BSD-3-Clause
 *
 * base/percpu_ref.c itself in every order of its steps: programs of two threads, and of three where
 * a thread is taken off while it could go on at most twice. Each program must hold; and each must
 * be seen to break without the fence, and without waiting for threads within, or this proves
 * nothing.
 *
 *   model_percpu_ref [-v] [PREEMPTIONS]     -v: print what was tried; 0: three threads in any order
 */
#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/check.h"
#include "base/lock.h"
#include "tests/model/explore.h"

static uint64_t load_of(const volatile void *at, size_t size);
static bool without_membarrier;

#undef atomic_init
#undef atomic_load_explicit
#undef atomic_store_explicit
#undef atomic_fetch_add_explicit
#undef atomic_fetch_sub_explicit
#undef atomic_compare_exchange_weak_explicit
#undef fp_assert
#define atomic_init(at, value) (*(at) = (value))
#define atomic_load_explicit(at, order) /* the comma makes the type a plain one */                 \
    ((__typeof__((void)0, *(at)))load_of(at, sizeof *(at)))
#define atomic_store_explicit(at, value, order)                                                    \
    explore_store(at, sizeof *(at), (uint64_t)(int64_t)(value), order)
#define atomic_fetch_add_explicit(at, delta, order) explore_add(at, delta)
#define atomic_fetch_sub_explicit(at, delta, order) explore_add(at, -(uint64_t)(delta))
#define atomic_compare_exchange_weak_explicit(at, expected, desired, good, bad)                    \
    explore_compare_exchange(at, expected, desired)
#define fp_assert(condition) explore_check(condition, #condition)
#define syscall(number, command, flags, cpu)                                                       \
    ((void)(command), without_membarrier || !explore_fence_all() ? -1 : 0)
#define calloc(count, size) explore_alloc((count) * (size))
#define aligned_alloc(alignment, size) explore_alloc(size)
#define free(block) ((void)(block))
#define lock_init(lock, rank) ((void)(lock))
#define lock_fini(lock) ((void)(lock))
#define lock_take(lock) explore_lock_take((int *)(void *)(lock))
#define lock_drop(lock) explore_lock_drop((int *)(void *)(lock))
#define lock_assert_held(lock) explore_check(*(const int *)(const void *)(lock) == 1, "lock held")

#include "base/percpu_ref.c"

struct world {
    struct percpu_ref ref;
    struct percpu_refs *refs;
    struct percpu_thread *threads[EXPLORE_THREADS_MAX];
    int32_t held; /* references that somebody has: raised after the get, lowered before the put */
    uint32_t due, released;
    uint32_t handed, killed;
    uint64_t places[EXPLORE_THREADS_MAX]; /* calls that each thread has done */
};
static struct world *world;
static bool without_waiting;

static bool is_section(const volatile void *at, int t)
{
    return world->threads[t] != NULL && at == &world->threads[t]->section;
}

/* The loads of the module. Without waiting, a reaper takes every thread for out. */
static uint64_t load_of(const volatile void *at, size_t size)
{
    int self = explore_thread();
    if (self >= 0 && is_section(at, self)) return explore_load_own(at, size);
    uint64_t value = explore_load(at, size);
    for (int t = 0; without_waiting && t < EXPLORE_THREADS_MAX; t++)
        if (is_section(at, t)) return 0;
    return value;
}

static void released(struct percpu_ref *ref, void *context)
{
    (void)ref, (void)context;
    world->released++;
    explore_check(world->held == 0, "no release while there is a reference");
    explore_check(world->released <= world->due, "one release for one kill");
}

static void setup(void)
{
    world = explore_alloc(sizeof *world);
    (void)!percpu_refs_create(1, &world->refs);
    for (int t = 0; t < EXPLORE_THREADS_MAX; t++)
        (void)!percpu_thread_create(world->refs, &world->threads[t]);
    (void)!percpu_ref_init(&world->ref, world->refs, released, NULL);
}

static void finish(void)
{
    explore_check(world->held == 0, "the program puts what it gets");
    for (int i = 0; i < 4; i++) percpu_refs_reap(world->refs);
    explore_check(world->released == world->due, "each kill is released or undone");
    explore_check(percpu_ref_count(&world->ref) == 0, "the count is zero in the end");
}

/* --- what threads do -------------------------------------------------------------------------- */

static struct percpu_thread *mine(void)
{
    return world->threads[explore_thread()];
}

static void done(void)
{
    explore_forget(++world->places[explore_thread()]);
}

static bool got(bool got_it)
{
    world->held += got_it;
    explore_forget(++world->places[explore_thread()] * 2 + got_it);
    return got_it;
}

static void put(struct percpu_thread *thread)
{
    world->held--;
    percpu_ref_put(&world->ref, thread);
    done();
}

static void use(void)
{
    if (got(percpu_ref_tryget_live(&world->ref, mine()))) put(mine());
}

/* Live or not: but never after the release. */
static void use_if_not_zero(void)
{
    if (!got(percpu_ref_tryget(&world->ref, mine()))) return;
    explore_check(world->released == 0, "no reference after the release");
    put(mine());
}

static void use_without_slots(void)
{
    if (got(percpu_ref_tryget_live(&world->ref, NULL))) put(NULL);
}

static void kill_it(void)
{
    world->due++;
    world->killed = percpu_ref_kill(&world->ref);
    done();
}

static void reap(void)
{
    percpu_refs_reap(world->refs);
    done();
}

static void kill_and_reap(void)
{
    kill_it();
    reap();
}

static void kill_and_reap_twice(void)
{
    kill_and_reap();
    reap();
}

static void reap_twice(void)
{
    reap();
    reap();
}

static void setup_with_one_held(void)
{
    setup();
    world->held += percpu_ref_get(&world->ref, NULL);
}

/* Has a reference, lends it, and puts both. */
static void get_more_and_put_all(void)
{
    if (got(percpu_ref_get(&world->ref, mine()))) put(mine());
    put(mine());
}

static void use_and_kill_within(void)
{
    if (!got(percpu_ref_tryget_live(&world->ref, mine()))) return;
    kill_it();
    put(mine());
}

static bool is_handed(void)
{
    return world->handed != 0;
}

static bool is_killed(void)
{
    return world->killed != 0;
}

static void get_and_hand_over(void)
{
    world->handed = got(percpu_ref_tryget_live(&world->ref, mine())) ? 1 : 2;
}

static void get_hand_over_and_end(void)
{
    get_and_hand_over();
    percpu_thread_destroy(&world->threads[explore_thread()]);
}

static void put_what_was_handed(void)
{
    explore_wait(is_handed);
    if (world->handed == 1) put(mine());
}

/* Where resurrect says true, no release may follow; where false, one must. */
static void change_mind(void)
{
    explore_wait(is_killed);
    uint32_t released_before = world->released;
    if (!percpu_ref_resurrect(&world->ref)) return;
    world->due--;
    explore_check(world->released == released_before && world->due == 0, "resurrected in time");
}

static void kill_undo_kill(void)
{
    kill_and_reap();
    if (percpu_ref_resurrect(&world->ref))
        world->due--;
    else
        percpu_ref_reinit(&world->ref);
    kill_and_reap_twice();
}

/* --- programs --------------------------------------------------------------------------------- */

struct row {
    const char *name;
    bool without_membarrier;
    void (*setup)(void);
    void (*threads[EXPLORE_THREADS_MAX])(void);
};

static const struct row rows[] = {
    {"a use beside a kill", false, setup, {use, kill_and_reap_twice}},
    {"two uses beside a kill", false, setup, {use, use, kill_and_reap}},
    {"got here, put there", false, setup,
     {get_and_hand_over, put_what_was_handed, kill_and_reap_twice}},
    {"one who holds gets more", false, setup_with_one_held,
     {get_more_and_put_all, kill_and_reap_twice}},
    {"the last user kills", false, setup, {use_and_kill_within, reap_twice, use}},
    {"a thread ends", false, setup,
     {get_hand_over_and_end, put_what_was_handed, kill_and_reap}},
    {"killed, undone and killed again", false, setup, {use, kill_undo_kill}},
    {"a change of mind beside a reap", false, setup, {use, kill_and_reap_twice, change_mind}},
    {"two reapers", false, setup, {use, kill_and_reap_twice, reap_twice}},
    {"a use without slots", false, setup, {use_without_slots, use, kill_and_reap_twice}},
    {"a use of what is not zero", false, setup, {use_if_not_zero, kill_and_reap_twice}},
    {"no membarrier: a use beside a kill", true, setup, {use, kill_and_reap_twice}},
    {"no membarrier: killed, undone and killed again", true, setup, {use, kill_undo_kill}},
};

static bool verbose;
static unsigned preemptions_max = 2; /* of three threads; all orders of two take a second */

/* Whether the row holds as it is, and breaks without the fence or the waiting. */
static bool run(const struct row *row, bool fence, bool waiting)
{
    struct explore_program program = {.name = row->name, .setup = row->setup, .finish = finish};
    memcpy(program.threads, row->threads, sizeof program.threads);
    program.preemptions_max = row->threads[2] != NULL ? preemptions_max : 0;
    struct explore_faults faults = {!fence, !fence};
    without_waiting = !waiting;
    without_membarrier = row->without_membarrier;
    struct explore_result result = explore(&program, faults);
    bool right = (result.breach == NULL) == (fence && waiting);
    if (verbose || !right)
        printf("%s%s%s: %" PRIu64 " states, %" PRIu64 " executions: %s\n", row->name,
               fence ? "" : ", no fence", waiting ? "" : ", no waiting", result.states,
               result.executions, result.breach != NULL ? result.breach : "holds");
    if (!right && result.breach != NULL) explore_print_last_execution();
    return right;
}

int main(int argc, char **argv)
{
    bool right = true;
    setbuf(stdout, NULL);
    for (int i = 1; i < argc; i++)
        if (strcmp(argv[i], "-v") == 0)
            verbose = true;
        else
            preemptions_max = (unsigned)strtoul(argv[i], NULL, 10);
    for (size_t i = 0; i < FP_COUNT_OF(rows); i++) {
        right &= run(&rows[i], true, true);
        right &= run(&rows[i], false, true);
        right &= run(&rows[i], true, false);
    }
    return right ? 0 : 1;
}
