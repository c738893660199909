/* SPDX-License-Identifier: BSD-3-Clause
 * percpu_ref - what a get and a put cost, against one shared atomic, with one thread and with two;
 * and what a kill, a reap and a resurrect cost while a thread goes on.
 *
 * Measured in turn, on threads that start together, as nanoseconds of one thread for one get and
 * one put: back to back, where a processor keeps a shared line for many of them at once; and with a
 * checksum between them, as in a request, whose own time is taken off. A run in which the kernel
 * took a thread off its processor is thrown away: two that take turns do not meet. Hence few --ops,
 * for some milliseconds, and many --rounds. */
#include "base/percpu_ref.h"

#include <inttypes.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <sys/resource.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/crc32c.h"
#include "tests/bench/options.h"
#include "tests/bench/series.h"

enum { THREADS_MAX = 2, REFS = 512, WORK_BYTES = 256, SWAPS = 1000, TRIES_MAX = 200 };
enum spacing { BACK_TO_BACK, WITH_WORK, SPACINGS };
static const char *const spacing_names[] = {"back_to_back", "with_work"};

struct shared { /* a line of its own, as a seat should have */
    _Alignas(128) _Atomic uint64_t count;
    _Alignas(128) struct percpu_ref ref;
};

struct bench {
    struct options options;
    struct percpu_refs *refs;
    struct shared shared;
    pthread_barrier_t start;
    _Atomic unsigned awaited; /* threads that have yet to be on their processors */
    _Atomic bool stopping;
    unsigned disturbed; /* measurements that no try got through quietly */
    size_t work_bytes;
    struct series atomic_ns[SPACINGS][THREADS_MAX], percpu_ns[SPACINGS][THREADS_MAX];
    struct series kill_ns, reap_ns, resurrect_ns; /* the mean of a round */
    struct series late_percent; /* kills whose grace period outlasted the reap */
};

static void get_and_put(struct bench *bench, struct percpu_thread *thread)
{
    if (percpu_ref_tryget_live(&bench->shared.ref, thread))
        percpu_ref_put(&bench->shared.ref, thread);
}

/* What a request does between two counts: a checksum of some bytes of its own. */
static void work(struct bench *bench, const uint8_t *bytes)
{
    if (bench->work_bytes > 0) (void)!crc32c(bytes, bench->work_bytes);
}

struct runner { /* one thread of a measurement */
    struct bench *bench;
    void (*run)(struct bench *bench, const uint8_t *bytes);
    double ns;      /* for each operation */
    bool disturbed; /* the kernel took it off its processor */
};

static void count_nothing(struct bench *bench, const uint8_t *bytes)
{
    for (uint64_t i = 0; i < bench->options.ops; i++) {
        work(bench, bytes);
        work(bench, bytes);
    }
}

static void count_in_one_place(struct bench *bench, const uint8_t *bytes)
{
    for (uint64_t i = 0; i < bench->options.ops; i++) {
        atomic_fetch_add_explicit(&bench->shared.count, 1, memory_order_acquire);
        work(bench, bytes);
        atomic_fetch_sub_explicit(&bench->shared.count, 1, memory_order_release);
        work(bench, bytes);
    }
}

static void count_by_thread(struct bench *bench, const uint8_t *bytes)
{
    struct percpu_thread *thread;
    fp_assert(percpu_thread_create(bench->refs, &thread) == FP_OK);
    for (uint64_t i = 0; i < bench->options.ops; i++) {
        fp_assert(percpu_ref_tryget_live(&bench->shared.ref, thread));
        work(bench, bytes);
        percpu_ref_put(&bench->shared.ref, thread);
        work(bench, bytes);
    }
    percpu_thread_destroy(&thread);
}

static long times_taken_off(void)
{
    struct rusage usage;
    fp_assert(getrusage(RUSAGE_THREAD, &usage) == 0);
    return usage.ru_nivcsw + usage.ru_nvcsw;
}

static void *run_one(void *opaque)
{
    struct runner *runner = opaque;
    struct bench *bench = runner->bench;
    uint8_t bytes[WORK_BYTES] = {1};
    pthread_barrier_wait(&bench->start);
    long taken_off = times_taken_off();
    atomic_fetch_sub(&bench->awaited, 1);
    while (atomic_load(&bench->awaited) > 0) {}
    uint64_t begun_ns = clock_monotonic_ns();
    runner->run(bench, bytes);
    runner->ns = (double)(clock_monotonic_ns() - begun_ns) / (double)bench->options.ops;
    runner->disturbed = times_taken_off() != taken_off;
    return NULL;
}

static void *count_until_stopped(void *opaque)
{
    struct bench *bench = opaque;
    struct percpu_thread *thread;
    fp_assert(percpu_thread_create(bench->refs, &thread) == FP_OK);
    pthread_barrier_wait(&bench->start);
    while (!atomic_load_explicit(&bench->stopping, memory_order_relaxed))
        get_and_put(bench, thread);
    percpu_thread_destroy(&thread);
    return NULL;
}

/* On a processor of its own, where there are enough: two that take turns on one never meet. */
static pthread_t start_on(unsigned processor, struct runner *runner)
{
    pthread_t id;
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(processor, &one);
    fp_assert(pthread_create(&id, NULL, run_one, runner) == 0);
    (void)pthread_setaffinity_np(id, sizeof one, &one);
    return id;
}

static bool try_measure(struct bench *bench, unsigned threads, struct runner *runners)
{
    bool good = true;
    pthread_t ids[THREADS_MAX];
    atomic_store(&bench->awaited, threads);
    fp_assert(pthread_barrier_init(&bench->start, NULL, threads) == 0);
    for (unsigned t = 0; t < threads; t++) ids[t] = start_on(t, &runners[t]);
    for (unsigned t = 0; t < threads; t++) {
        fp_assert(pthread_join(ids[t], NULL) == 0);
        good = good && !runners[t].disturbed;
    }
    fp_assert(pthread_barrier_destroy(&bench->start) == 0);
    return good;
}

/* The slower thread's nanoseconds for an operation, in a run that nobody disturbed. */
static double measure(struct bench *bench, unsigned threads,
                      void (*run)(struct bench *, const uint8_t *))
{
    const struct runner runner = {.bench = bench, .run = run};
    struct runner runners[THREADS_MAX] = {runner, runner};
    int tries = 0;
    while (!try_measure(bench, threads, runners) && tries < TRIES_MAX) tries++;
    bench->disturbed += tries == TRIES_MAX;
    return runners[0].ns > runners[1].ns ? runners[0].ns : runners[1].ns;
}

static void measure_spacing(struct bench *bench, enum spacing spacing, unsigned threads)
{
    bench->work_bytes = spacing == WITH_WORK ? WORK_BYTES : 0;
    double nothing_ns = spacing == WITH_WORK ? measure(bench, threads, count_nothing) : 0;
    double atomic_ns = measure(bench, threads, count_in_one_place) - nothing_ns;
    double percpu_ns = measure(bench, threads, count_by_thread) - nothing_ns;
    series_add(&bench->atomic_ns[spacing][threads - 1], atomic_ns);
    series_add(&bench->percpu_ns[spacing][threads - 1], percpu_ns);
}

/* --- swaps under load ------------------------------------------------------------------------- */

static void swap_often(struct bench *bench, struct percpu_thread *self)
{
    uint64_t kill_ns = 0, reap_ns = 0, resurrect_ns = 0, late = 0;
    for (int i = 0; i < SWAPS; i++) {
        fp_assert(percpu_ref_get(&bench->shared.ref, self)); /* so it is never released */
        uint64_t begun = clock_monotonic_ns();
        (void)percpu_ref_kill(&bench->shared.ref);
        uint64_t killed = clock_monotonic_ns();
        (void)percpu_refs_reap(bench->refs);
        uint64_t reaped = clock_monotonic_ns();
        late += (atomic_load(&bench->shared.ref.word) >> 61) != 0;
        uint64_t looked = clock_monotonic_ns();
        fp_assert(percpu_ref_resurrect(&bench->shared.ref));
        resurrect_ns += clock_monotonic_ns() - looked;
        kill_ns += killed - begun;
        reap_ns += reaped - killed;
        percpu_ref_put(&bench->shared.ref, self);
    }
    series_add(&bench->kill_ns, (double)kill_ns / SWAPS);
    series_add(&bench->reap_ns, (double)reap_ns / SWAPS);
    series_add(&bench->resurrect_ns, (double)resurrect_ns / SWAPS);
    series_add(&bench->late_percent, 100.0 * (double)late / SWAPS);
}

static void measure_swaps(struct bench *bench)
{
    pthread_t id;
    struct percpu_thread *self;
    fp_assert(percpu_thread_create(bench->refs, &self) == FP_OK);
    fp_assert(pthread_barrier_init(&bench->start, NULL, 2) == 0);
    atomic_store(&bench->stopping, false);
    fp_assert(pthread_create(&id, NULL, count_until_stopped, bench) == 0);
    pthread_barrier_wait(&bench->start);
    swap_often(bench, self);
    atomic_store(&bench->stopping, true);
    fp_assert(pthread_join(id, NULL) == 0);
    fp_assert(pthread_barrier_destroy(&bench->start) == 0);
    percpu_thread_destroy(&self);
}

/* --- saying it -------------------------------------------------------------------------------- */

static struct series times_faster(const struct bench *bench, enum spacing spacing, unsigned t)
{
    return series_ratio(&bench->atomic_ns[spacing][t], &bench->percpu_ns[spacing][t]);
}

static void print_table(const struct bench *bench)
{
    char text[3][SERIES_TEXT_BYTES];
    printf("## One get and one put (%" PRIu64 " of each)\n\n"
           "| | threads | shared atomic, ns | percpu_ref, ns | times faster |\n"
           "|---|--:|--:|--:|--:|\n", bench->options.ops);
    for (int spacing = 0; spacing < SPACINGS; spacing++)
        for (unsigned t = 0; t < THREADS_MAX; t++) {
            struct series ratio = times_faster(bench, (enum spacing)spacing, t);
            printf("| %s | %u | %s | %s | %s |\n", spacing_names[spacing], t + 1,
                   series_text(&bench->atomic_ns[spacing][t], 1, text[0]),
                   series_text(&bench->percpu_ns[spacing][t], 1, text[1]),
                   series_text(&ratio, 1, text[2]));
        }
    printf("\nWhile another thread gets and puts: kill %s ns, reap (with its fence) %s ns, ",
           series_text(&bench->kill_ns, 0, text[0]), series_text(&bench->reap_ns, 0, text[1]));
    printf("resurrect %s ns; ", series_text(&bench->resurrect_ns, 0, text[0]));
    printf("%s %% of the kills needed a second reap.\n",
           series_text(&bench->late_percent, 1, text[0]));
    if (bench->disturbed > 0)
        printf("\n%u measurements were disturbed %d times over: find a quieter machine.\n",
               bench->disturbed, TRIES_MAX);
}

static void print_json(const struct bench *bench)
{
    printf("{\"bench\": \"percpu_ref\"");
    for (int spacing = 0; spacing < SPACINGS; spacing++)
        for (unsigned t = 0; t < THREADS_MAX; t++) {
            struct series ratio = times_faster(bench, (enum spacing)spacing, t);
            printf(", \"%s_%u\": {", spacing_names[spacing], t + 1);
            series_json(stdout, "shared_atomic_ns", &bench->atomic_ns[spacing][t]);
            printf(", ");
            series_json(stdout, "percpu_ref_ns", &bench->percpu_ns[spacing][t]);
            printf(", ");
            series_json(stdout, "times_faster", &ratio);
            printf("}");
        }
    printf(", ");
    series_json(stdout, "kill_ns", &bench->kill_ns);
    printf(", ");
    series_json(stdout, "reap_ns", &bench->reap_ns);
    printf(", ");
    series_json(stdout, "resurrect_ns", &bench->resurrect_ns);
    printf(", ");
    series_json(stdout, "second_reap_percent", &bench->late_percent);
    printf(", \"disturbed\": %u}\n", bench->disturbed);
}

static void no_release(struct percpu_ref *ref, void *context)
{
    (void)ref, (void)context;
    fp_assert(false);
}

int main(int argc, char **argv)
{
    static struct bench bench;
    options_read(argc, argv, BENCH_PERCPU_REF, &bench.options);
    if (percpu_refs_create(REFS, &bench.refs) != FP_OK ||
        percpu_ref_init(&bench.shared.ref, bench.refs, no_release, NULL) != FP_OK)
        return 1;
    for (unsigned round = 0; round < bench.options.rounds; round++) {
        for (unsigned threads = 1; threads <= THREADS_MAX; threads++) {
            measure_spacing(&bench, BACK_TO_BACK, threads);
            measure_spacing(&bench, WITH_WORK, threads);
        }
        measure_swaps(&bench);
    }
    if (bench.options.json) print_json(&bench);
    else print_table(&bench);
    percpu_ref_fini(&bench.shared.ref);
    percpu_refs_destroy(&bench.refs);
    return 0;
}
