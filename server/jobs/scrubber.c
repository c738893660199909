/* SPDX-License-Identifier: BSD-3-Clause */
#include "server/jobs/scrubber.h"

#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "server/jobs/duty.h"
#include "server/jobs/process.h"

enum {
    TICK_MS = 200,
    LOOKS_PER_STEP = 64,
    LINES_PER_RUN = 20, /* of damage; the rest is counted */
    NS_PER_MS = 1000000,
};

struct scrubber {
    struct shared *shared;
    struct store_scratch *scratch;
    struct store_scrub *walk;
    pthread_t thread;
    bool started;
    _Atomic bool stopping;
    struct duty duty;
    uint64_t last_ns;    /* when the last run ended, or the server was started */
    unsigned lines_left; /* of this run */
};

static bool is_stopping(const struct scrubber *scrubber)
{
    return atomic_load(&scrubber->stopping);
}

static void sleep_ms(struct scrubber *scrubber, uint64_t ms)
{
    struct pollfd wake = {.fd = scrubber->shared->scrub.wake_fd, .events = POLLIN};
    uint64_t ignored;
    if (poll(&wake, 1, (int)ms) != 1) return;
    ssize_t got = read(wake.fd, &ignored, sizeof ignored);
    (void)got; /* only clears it */
}

static void rest(struct scrubber *scrubber)
{
    uint64_t percent = atomic_load(&scrubber->shared->settings.scrub_duty_percent);
    uint64_t ms = duty_rest_ms(&scrubber->duty, percent);
    if (ms > 0) sleep_ms(scrubber, ms);
    duty_begin(&scrubber->duty);
}

static bool goes_on(const struct scrubber *scrubber)
{
    return !is_stopping(scrubber) && !atomic_load(&scrubber->shared->scrub.stopped);
}

/* Within a long item. */
static bool go_on(void *context)
{
    struct scrubber *scrubber = context;
    if (duty_has_worked(&scrubber->duty)) rest(scrubber);
    return goes_on(scrubber);
}

static void found(void *context, const struct scrub_found *damage)
{
    struct scrubber *scrubber = context;
    struct log *log = scrubber->shared->log;
    atomic_fetch_add(&scrubber->shared->scrub.damaged, 1);
    if (scrubber->lines_left == 0) return;
    scrubber->lines_left--;
    if (damage->area != NULL)
        log_event(log, LOG_ERROR, "a page is damaged; its owner is told that it is corrupt",
                  log_text("area", damage->area->name), log_number("slot", damage->slot));
    else
        log_event(log, LOG_ERROR, "an item is damaged; its readers are told",
                  log_bytes("key", damage->key));
}

/* --- a run ------------------------------------------------------------------------------------ */

static bool step(struct scrubber *scrubber)
{
    struct scrub *scrub = &scrubber->shared->scrub;
    struct scrub_counts counts = {0};
    scrubber->scratch->now_ms = shared_store_ms(scrubber->shared, clock_monotonic_ns());
    bool last = store_scrub_step(scrubber->walk, scrubber->scratch, LOOKS_PER_STEP, &counts);
#define X(name, text) atomic_fetch_add(&scrub->counts.name, counts.name);
    SCRUB_COUNTS(X)
#undef X
    atomic_fetch_add(&scrub->looked, counts.pages + counts.items);
    return last;
}

/* True: to the end. */
static bool walk(struct scrubber *scrubber)
{
    bool last = false;
    while (!last && goes_on(scrubber)) {
        uint64_t begun_ns = clock_monotonic_ns();
        duty_begin(&scrubber->duty);
        do last = step(scrubber);
        while (!last && goes_on(scrubber) && !duty_has_worked(&scrubber->duty));
        if (!last) rest(scrubber);
        atomic_fetch_add(&scrubber->shared->scrub.spent_ns, clock_monotonic_ns() - begun_ns);
    }
    return last;
}

static void run_once(struct scrubber *scrubber)
{
    struct shared *shared = scrubber->shared;
    struct scrub *scrub = &shared->scrub;
    atomic_store(&scrub->looked, 0);
    atomic_store(&scrub->damaged, 0);
    atomic_store(&scrub->spent_ns, 0);
    atomic_store(&scrub->to_look, store_scrub_begin(scrubber->walk));
    scrubber->lines_left = LINES_PER_RUN;
    bool done = walk(scrubber);
    uint64_t damaged = atomic_load(&scrub->damaged);
    log_event(shared->log, damaged > 0 ? LOG_ERROR : LOG_INFO,
              done ? "scrub ends" : "scrub ends early",
              log_number("looked", atomic_load(&scrub->looked)), log_number("damaged", damaged),
              log_number("took_ms", atomic_load(&scrub->spent_ns) / NS_PER_MS));
    atomic_store(&scrub->end, done ? SCRUB_DONE : SCRUB_STOPPED);
    if (done) {
        atomic_fetch_add(&scrub->runs, 1);
        atomic_store(&scrub->ended_unix_s, clock_unix_ns() / 1000000000);
    }
    scrubber->last_ns = clock_monotonic_ns();
    atomic_store(&scrub->stopped, false);
    atomic_store(&scrub->running, false);
}

/* First it runs and then it is asked for no more, so that nobody finds it idle in between. */
static bool is_due(struct scrubber *scrubber)
{
    struct scrub *scrub = &scrubber->shared->scrub;
    uint64_t interval_ns = setting(&scrubber->shared->settings.scrub_interval_ns);
    bool asked = atomic_load(&scrub->asked);
    bool late = interval_ns != 0 && clock_monotonic_ns() - scrubber->last_ns >= interval_ns;
    if (!asked && !late) return false;
    atomic_store(&scrub->running, true);
    atomic_store(&scrub->asked, false);
    return true;
}

static void *run_thread(void *opaque)
{
    struct scrubber *scrubber = opaque;
    process_thread_give_way();
    while (!is_stopping(scrubber)) {
        if (is_due(scrubber)) run_once(scrubber);
        else sleep_ms(scrubber, TICK_MS);
    }
    return NULL;
}

/* --- the thread ------------------------------------------------------------------------------- */

enum fp_status scrubber_create(struct shared *shared, struct scrubber **out)
{
    struct scrubber *scrubber = calloc(1, sizeof *scrubber);
    if (scrubber == NULL) return FP_NO_MEMORY;
    struct scrub_caller caller = {.go_on = go_on, .found = found, .context = scrubber};
    scrubber->shared = shared;
    scrubber->last_ns = clock_monotonic_ns();
    shared->scrub.wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (shared->scrub.wake_fd < 0 ||
        store_scratch_create(shared->store, &scrubber->scratch) != FP_OK ||
        store_scrub_create(shared->store, &caller, &scrubber->walk) != FP_OK) {
        scrubber_destroy(&scrubber);
        return FP_NO_MEMORY;
    }
    budget_charge_anyway(store_budget(shared->store), BUDGET_FIXED, 2 * ZPOOL_OBJECT_BYTES_MAX);
    *out = scrubber;
    return FP_OK;
}

enum fp_status scrubber_start(struct scrubber *scrubber)
{
    if (pthread_create(&scrubber->thread, NULL, run_thread, scrubber) != 0) return FP_NO_MEMORY;
    scrubber->started = true;
    return FP_OK;
}

void scrubber_stop(struct scrubber *scrubber)
{
    if (!scrubber->started) return;
    atomic_store(&scrubber->stopping, true);
    scrub_wake(&scrubber->shared->scrub);
    fp_assert(pthread_join(scrubber->thread, NULL) == 0);
    scrubber->started = false;
}

void scrubber_destroy(struct scrubber **scrubber_ptr)
{
    struct scrubber *scrubber = *scrubber_ptr;
    if (scrubber == NULL) return;
    fp_assert(!scrubber->started);
    struct scrub *scrub = &scrubber->shared->scrub;
    if (scrub->wake_fd >= 0) close(scrub->wake_fd);
    scrub->wake_fd = -1;
    store_scrub_destroy(&scrubber->walk);
    store_scratch_destroy(&scrubber->scratch);
    free(scrubber);
    *scrubber_ptr = NULL;
}
