/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The thread sleeps for a tick, asks whether a run is due, and runs it: step, and once some
 * milliseconds were worked, sleep for what the duty leaves to others. While it sleeps it can be
 * told to pause, to go on, to cancel and to stop.
 */
#include "server/jobs/recompressor.h"

#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/arith.h"
#include "base/check.h"
#include "base/clock.h"
#include "server/jobs/duty.h"
#include "server/jobs/process.h"

enum {
    TICK_MS = 100,
    LOOKS_PER_STEP = 512,
    TRIES_PER_STEP = 4,
    NS_PER_MS = 1000000,
    SETTLE_MS = 2000,    /* after a swap: another may follow, and packing anew take turns with it */
    RETRY_MS_MIN = 1000, /* between two runs for draining seats */
    RETRY_MS_MAX = 600000,
};

struct recompressor {
    struct shared *shared;
    struct store_scratch *scratch;
    struct recompress *walk;
    pthread_t thread;
    bool started;
    _Atomic bool stopping;

    uint64_t stronger;       /* the setting that `cold` was acquired for */
    struct compressor *cold; /* NULL: off, or no seat was free */
    uint64_t cold_due_ns;    /* the next turn of the clock */
    bool seats_changed;      /* since the last run for draining seats */
    uint64_t swaps;          /* seen */
    uint64_t settled_ns;     /* when the last one will be SETTLE_MS ago */
    uint64_t retry_ns, retry_ms;
    struct duty duty;
};

static bool is_stopping(const struct recompressor *recompressor)
{
    return atomic_load(&recompressor->stopping);
}

static void sleep_ms(struct recompressor *recompressor, uint64_t ms)
{
    struct pollfd wake = {.fd = recompressor->shared->recompression.wake_fd, .events = POLLIN};
    uint64_t ignored;
    if (poll(&wake, 1, (int)ms) != 1) return;
    ssize_t got = read(wake.fd, &ignored, sizeof ignored);
    (void)got; /* only clears it */
}

/* --- the stronger compressor ------------------------------------------------------------------ */

/* Takes the one that is configured. True: it is another than before. */
static bool fit_cold(struct recompressor *recompressor)
{
    uint64_t wanted = setting(&recompressor->shared->settings.recompress_stronger);
    enum config_stronger algorithm = (enum config_stronger)(wanted >> 32);
    bool off = algorithm == CONFIG_STRONGER_OFF;
    if (wanted == recompressor->stronger && (recompressor->cold != NULL) != off) return false;
    bool changed = wanted != recompressor->stronger;
    if (recompressor->cold != NULL)
        compressor_release(&recompressor->cold, recompressor->scratch->codec);
    recompressor->stronger = wanted;
    struct compressor_config config = {.algorithm = config_stronger_name(algorithm),
                                       .level = (int32_t)(uint32_t)wanted};
    if (!off && compressor_acquire_config(store_compressors(recompressor->shared->store), &config,
                                          recompressor->scratch->codec,
                                          &recompressor->cold) != FP_OK)
        recompressor->cold = NULL; /* the next tick tries again */
    changed |= recompressor->cold != NULL;
    recompressor->seats_changed |= changed;
    return changed;
}

/* Whether any seat holds objects that ought to leave it. */
static bool any_draining(struct recompressor *recompressor)
{
    struct compressor_pool *pool = store_compressors(recompressor->shared->store);
    for (int id = 0; id < COMPRESSOR_SEATS; id++) {
        struct compressor_row row;
        if (recompressor->cold != NULL && id == compressor_id(recompressor->cold)) continue;
        compressor_row(pool, (uint8_t)id, &row);
        if (row.state == COMPRESSOR_DRAINING && row.objects > 0) return true;
    }
    return false;
}

/* --- a run ------------------------------------------------------------------------------------ */

static void publish_counts(struct recompression *recompression,
                           const struct recompress_counts *counts)
{
#define X(name, text) atomic_fetch_add(&recompression->counts.name, counts->name);
    RECOMPRESS_COUNTS(X)
#undef X
    atomic_fetch_add(&recompression->looked, counts->looked);
}

static void rest(struct recompressor *recompressor)
{
    uint64_t percent = atomic_load(&recompressor->shared->settings.recompress_duty_percent);
    uint64_t ms = duty_rest_ms(&recompressor->duty, percent);
    if (ms > 0) sleep_ms(recompressor, ms);
    duty_begin(&recompressor->duty);
}

/* Within a long item. */
static bool go_on(void *context)
{
    struct recompressor *recompressor = context;
    if (duty_has_worked(&recompressor->duty)) rest(recompressor);
    return !is_stopping(recompressor) &&
           !atomic_load(&recompressor->shared->recompression.cancelled);
}

/* One step; true: it was the last. Adds to *sum. */
static bool step(struct recompressor *recompressor, struct recompress_counts *sum)
{
    struct recompress_limits limits = {.looks = LOOKS_PER_STEP,
                                       .tries = TRIES_PER_STEP,
                                       .go_on = go_on,
                                       .context = recompressor};
    struct recompress_counts counts = {0};
    recompressor->scratch->now_ms =
        shared_store_ms(recompressor->shared, clock_monotonic_ns());
    bool last = recompress_step(recompressor->walk, recompressor->scratch, limits, &counts);
    publish_counts(&recompressor->shared->recompression, &counts);
    sum->rewritten += counts.rewritten;
    return last;
}

/* Steps until the end, or until it is to end earlier. True: the end. */
static bool walk(struct recompressor *recompressor, struct recompress_counts *sum)
{
    struct recompression *recompression = &recompressor->shared->recompression;
    bool last = false;
    while (!last && !is_stopping(recompressor) && !fit_cold(recompressor)) {
        if (atomic_exchange(&recompression->cancelled, false)) return false;
        if (atomic_load(&recompression->paused)) {
            sleep_ms(recompressor, TICK_MS);
            continue;
        }
        uint64_t begun_ns = clock_monotonic_ns();
        duty_begin(&recompressor->duty);
        do last = step(recompressor, sum);
        while (!last && !duty_has_worked(&recompressor->duty) && !is_stopping(recompressor));
        if (!last) rest(recompressor);
        atomic_fetch_add(&recompression->spent_ns, clock_monotonic_ns() - begun_ns);
    }
    return last;
}

/* `again`: for what came, or could not leave, since the last run; that may be each second. */
static void log_run(struct recompressor *recompressor, enum recompression_run run, bool again,
                    const char *what)
{
    const struct recompression *recompression = &recompressor->shared->recompression;
    bool often = again || run == RECOMPRESSION_COLD;
    log_event(recompressor->shared->log, often ? LOG_DEBUG : LOG_INFO, what,
              log_text("run", recompression_run_name(run)),
              log_number("looked", atomic_load(&recompression->looked)));
}

static void run_once(struct recompressor *recompressor, enum recompression_run run)
{
    struct shared *shared = recompressor->shared;
    struct recompression *recompression = &shared->recompression;
    bool automatic = atomic_load(&shared->settings.recompress_draining) == CONFIG_DRAINING_AUTO;
    struct recompress_plan plan = {
        .cold = recompressor->cold,
        .idle_ms = setting(&shared->settings.recompress_idle_ns) / NS_PER_MS,
        .drain = automatic || run == RECOMPRESSION_ASKED,
        .cool = run == RECOMPRESSION_COLD,
        .plain = run == RECOMPRESSION_ASKED ||
                 (run == RECOMPRESSION_DRAINING && recompressor->seats_changed),
        .asked = run == RECOMPRESSION_ASKED};
    struct recompress_counts sum = {0};
    if (run == RECOMPRESSION_DRAINING) recompressor->seats_changed = false;
    atomic_store(&recompression->run, run);
    atomic_store(&recompression->looked, 0);
    atomic_store(&recompression->spent_ns, 0);
    atomic_store(&recompression->to_look, recompress_begin(recompressor->walk, &plan));
    bool again = run == RECOMPRESSION_DRAINING && !plan.plain;
    log_run(recompressor, run, again, "recompression begins");
    bool done = walk(recompressor, &sum);
    atomic_store(&recompression->end, done ? RECOMPRESSION_DONE : RECOMPRESSION_CANCELLED);
    atomic_store(&recompression->cancelled, false);
    atomic_store(&recompression->running, false);
    log_run(recompressor, run, again, done ? "recompression ends" : "recompression ends early");
    uint64_t now_ns = clock_monotonic_ns();
    if (run == RECOMPRESSION_COLD)
        recompressor->cold_due_ns = now_ns + plan.idle_ms * NS_PER_MS;
    recompressor->retry_ms =
        sum.rewritten > 0 ? RETRY_MS_MIN : min_u64(2 * recompressor->retry_ms, RETRY_MS_MAX);
    /* What was cancelled stays so until the seats change, or somebody asks. */
    recompressor->retry_ns =
        done ? now_ns + recompressor->retry_ms * NS_PER_MS : UINT64_MAX;
}

/* --- which run is due ------------------------------------------------------------------------- */

static bool draining_is_due(struct recompressor *recompressor, uint64_t now_ns)
{
    const struct shared *shared = recompressor->shared;
    uint64_t swaps = compressor_swap_count(store_compressors(shared->store));
    if (swaps != recompressor->swaps) {
        recompressor->swaps = swaps;
        recompressor->seats_changed = true;
        recompressor->retry_ms = RETRY_MS_MIN;
        recompressor->settled_ns = now_ns + SETTLE_MS * (uint64_t)NS_PER_MS;
    }
    if (now_ns < recompressor->settled_ns) return false;
    if (atomic_load(&shared->settings.recompress_draining) != CONFIG_DRAINING_AUTO) return false;
    if (!recompressor->seats_changed && now_ns < recompressor->retry_ns) return false;
    if (any_draining(recompressor)) return true;
    recompressor->seats_changed = false;
    recompressor->retry_ns = now_ns + RETRY_MS_MIN * (uint64_t)NS_PER_MS;
    return false;
}

static enum recompression_run run_due(struct recompressor *recompressor)
{
    struct recompression *recompression = &recompressor->shared->recompression;
    uint64_t now_ns = clock_monotonic_ns();
    if (atomic_load(&recompression->paused)) return RECOMPRESSION_NONE;
    /* First it runs and then it is asked for no more, so that nobody finds it idle in between. */
    if (atomic_load(&recompression->asked)) {
        atomic_store(&recompression->running, true);
        atomic_store(&recompression->asked, false);
        return RECOMPRESSION_ASKED;
    }
    if (draining_is_due(recompressor, now_ns)) return RECOMPRESSION_DRAINING;
    if (recompressor->cold != NULL && now_ns >= recompressor->cold_due_ns)
        return RECOMPRESSION_COLD;
    return RECOMPRESSION_NONE;
}

/* --- the thread ------------------------------------------------------------------------------- */

static void *run_thread(void *opaque)
{
    struct recompressor *recompressor = opaque;
    process_thread_give_way();
    while (!is_stopping(recompressor)) {
        (void)fit_cold(recompressor);
        enum recompression_run run = run_due(recompressor);
        if (run == RECOMPRESSION_NONE) {
            sleep_ms(recompressor, TICK_MS);
            continue;
        }
        atomic_store(&recompressor->shared->recompression.running, true);
        run_once(recompressor, run);
    }
    if (recompressor->cold != NULL)
        compressor_release(&recompressor->cold, recompressor->scratch->codec);
    return NULL;
}

enum fp_status recompressor_create(struct shared *shared, struct recompressor **out)
{
    struct recompressor *recompressor = calloc(1, sizeof *recompressor);
    if (recompressor == NULL) return FP_NO_MEMORY;
    recompressor->shared = shared;
    recompressor->retry_ms = RETRY_MS_MIN;
    shared->recompression.wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (shared->recompression.wake_fd < 0 ||
        store_scratch_create(shared->store, &recompressor->scratch) != FP_OK ||
        recompress_create(shared->store, &recompressor->walk) != FP_OK) {
        recompressor_destroy(&recompressor);
        return FP_NO_MEMORY;
    }
    /* Packed, unpacked, and as it was packed before; what packing needs is charged where it is. */
    budget_charge_anyway(store_budget(shared->store), BUDGET_FIXED, 3 * ZPOOL_OBJECT_BYTES_MAX);
    *out = recompressor;
    return FP_OK;
}

enum fp_status recompressor_start(struct recompressor *recompressor)
{
    if (pthread_create(&recompressor->thread, NULL, run_thread, recompressor) != 0)
        return FP_NO_MEMORY;
    recompressor->started = true;
    return FP_OK;
}

void recompressor_stop(struct recompressor *recompressor)
{
    if (!recompressor->started) return;
    atomic_store(&recompressor->stopping, true);
    recompression_wake(&recompressor->shared->recompression);
    fp_assert(pthread_join(recompressor->thread, NULL) == 0);
    recompressor->started = false;
}

void recompressor_destroy(struct recompressor **recompressor_ptr)
{
    struct recompressor *recompressor = *recompressor_ptr;
    if (recompressor == NULL) return;
    fp_assert(!recompressor->started);
    struct recompression *recompression = &recompressor->shared->recompression;
    if (recompression->wake_fd >= 0) close(recompression->wake_fd);
    recompression->wake_fd = -1;
    recompress_destroy(&recompressor->walk);
    store_scratch_destroy(&recompressor->scratch);
    free(recompressor);
    *recompressor_ptr = NULL;
}
