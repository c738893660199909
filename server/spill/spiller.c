/* SPDX-License-Identifier: BSD-3-Clause
 *
 * What write-back frees are objects; pages go to the OS when compaction has closed the gaps they
 * leave. So gaps count as if they were free already, where compaction works by itself: else a tier
 * that is faster than compaction would write far more than is needed.
 */
#include "server/spill/spiller.h"

#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/arith.h"
#include "base/check.h"
#include "base/clock.h"
#include "server/watch/watch_events.h"
#include "storage/store/spill/store_spill.h"

enum {
    TICK_MS = 20,
    SOON_MS = 1, /* until compaction has closed gaps */
    AGAIN_MS = 1000, /* after a failure */
    NOTHING_MS = 100,
    SOON_MAX = 20,   /* times in a row: compaction may find less than it seemed */
    LOOKS_PER_STEP = 8192,
    HOLES_PER_TICK = 8,
    THROTTLE_MS = 50, /* of one sleep, so that it can be stopped */
};

struct spiller {
    struct shared *shared;
    struct store_scratch *scratch;
    pthread_t thread;
    bool started;
    _Atomic bool stopping;
    unsigned soon; /* times it rested for compaction in a row */
    uint64_t paid_until_ns; /* what was written is paid for until then, at the throttle's pace */
    struct watch_spill run; /* since it last was idle */
    uint64_t run_begun_ns;
};

static bool is_stopping(const struct spiller *spiller)
{
    return atomic_load(&spiller->stopping);
}

static void sleep_ms(struct spiller *spiller, uint64_t ms)
{
    struct pollfd wake = {.fd = spiller->shared->spill.wake_fd, .events = POLLIN};
    uint64_t ignored;
    if (poll(&wake, 1, (int)ms) != 1) return;
    ssize_t got = read(wake.fd, &ignored, sizeof ignored);
    (void)got; /* only clears it */
}

/* Nobody hurries it: whoever waits for memory waits for this, too. */
static void pay(struct spiller *spiller, uint64_t bytes)
{
    struct shared *shared = spiller->shared;
    uint64_t throttle = setting(&shared->settings.spill_throttle_bytes);
    uint64_t now_ns = clock_monotonic_ns();
    if (throttle == 0) return;
    spiller->paid_until_ns = max_u64(spiller->paid_until_ns, now_ns) +
                             bytes * 1000 / throttle * 1000000;
    while (now_ns < spiller->paid_until_ns && !is_stopping(spiller)) {
        uint64_t ms = (spiller->paid_until_ns - now_ns) / 1000000 + 1;
        (void)poll(NULL, 0, (int)min_u64(ms, THROTTLE_MS));
        uint64_t then_ns = now_ns;
        now_ns = clock_monotonic_ns();
        atomic_fetch_add(&shared->spill.throttled_ns, now_ns - then_ns);
    }
}

/* --- what is told ----------------------------------------------------------------------------- */

static void stands(struct spiller *spiller, enum spill_stand stand, enum fp_status status)
{
    struct shared *shared = spiller->shared;
    uint32_t before = atomic_exchange(&shared->spill.stand, stand);
    bool bad = stand == SPILL_FULL || stand == SPILL_FAILING;
    bool was_bad = before == SPILL_FULL || before == SPILL_FAILING;
    if (bad && before != stand)
        log_event(shared->log, LOG_WARN, "write-back stands still: pages stay in memory",
                  log_text("reason", stand == SPILL_FULL ? "storage.spill, or its disk, is full"
                                                         : fp_status_text(status)));
    if (was_bad && stand == SPILL_WRITING)
        log_event(shared->log, LOG_INFO, "write-back goes on",
                  log_number("pages", spiller->run.pages),
                  log_number("items", spiller->run.items));
}

static void rests(struct spiller *spiller)
{
    struct watchers *watchers = &spiller->shared->watchers;
    if (spiller->run.pages + spiller->run.items > 0 && watched(watchers, WATCH_SPILL)) {
        spiller->run.took_ns = clock_monotonic_ns() - spiller->run_begun_ns;
        watch_spill(watchers, &spiller->run);
    }
    spiller->run = (struct watch_spill){0};
}

/* --- the work --------------------------------------------------------------------------------- */

/* What gaps will give back by themselves. */
static uint64_t gap_bytes(const struct shared *shared)
{
    struct zpool *pool = store_zpool(shared->store);
    if (atomic_load(&shared->settings.compaction) != CONFIG_COMPACTION_AUTO) return 0;
    return zpool_freeable_pages(pool) * PAGES_BYTES;
}

/* How long to rest after a step that ended so; 0: not at all. */
static uint64_t rest_after(struct spiller *spiller, enum fp_status status)
{
    struct spill_step done;
    switch ((int)status) {
    case FP_OK:
        stands(spiller, SPILL_WRITING, status);
        return 0;
    case FP_ABSENT:
        stands(spiller, SPILL_NOTHING, status);
        return NOTHING_MS;
    case FP_TOO_BIG:
        if (store_spill_gaps(spiller->shared->store, spiller->scratch, &done) == FP_OK) {
            pay(spiller, done.file_bytes);
            return 0;
        }
        stands(spiller, SPILL_FULL, status);
        return AGAIN_MS;
    default:
        stands(spiller, SPILL_FAILING, status);
        return AGAIN_MS;
    }
}

/* True: there is more to do at once. */
static bool write_back(struct spiller *spiller)
{
    struct shared *shared = spiller->shared;
    uint64_t excess = store_excess_bytes(shared->store), gaps = gap_bytes(shared);
    if (excess == 0) {
        if (atomic_load(&shared->spill.stand) == SPILL_WRITING)
            stands(spiller, SPILL_IDLE, FP_OK);
        rests(spiller);
        return false;
    }
    if (spiller->run.pages + spiller->run.items == 0) spiller->run_begun_ns = clock_monotonic_ns();
    if (gaps >= excess && spiller->soon++ < SOON_MAX) {
        compaction_wake(&shared->compaction);
        sleep_ms(spiller, SOON_MS);
        return true;
    }
    spiller->soon = 0;
    struct spill_limits limits = {.bytes = SPILL_EXTENT_BYTES, .looks = LOOKS_PER_STEP};
    struct spill_step done;
    enum fp_status status =
        store_spill_step(shared->store, spiller->scratch, limits, &done);
    spiller->run.pages += done.pages;
    spiller->run.items += done.items;
    spiller->run.bytes += done.bytes;
    pay(spiller, done.file_bytes);
    uint64_t rest_ms = rest_after(spiller, status);
    if (done.pages + done.items > 0) compaction_wake(&shared->compaction);
    if (rest_ms > 0) sleep_ms(spiller, rest_ms);
    return rest_ms == 0;
}

static void close_gaps(struct spiller *spiller)
{
    struct spill_step done;
    if (store_spill_gaps(spiller->shared->store, spiller->scratch, &done) == FP_OK)
        pay(spiller, done.file_bytes);
    (void)spill_file_give_back(store_spill_file(spiller->shared->store), HOLES_PER_TICK);
}

static void *run(void *opaque)
{
    struct spiller *spiller = opaque;
    while (!is_stopping(spiller)) {
        while (!is_stopping(spiller) && write_back(spiller)) {}
        close_gaps(spiller);
        if (!is_stopping(spiller)) sleep_ms(spiller, TICK_MS);
    }
    return NULL;
}

enum fp_status spiller_create(struct shared *shared, struct spiller **out)
{
    struct spiller *spiller = calloc(1, sizeof *spiller);
    if (spiller == NULL) return FP_NO_MEMORY;
    spiller->shared = shared;
    shared->spill.wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (shared->spill.wake_fd < 0 ||
        store_scratch_create(shared->store, &spiller->scratch) != FP_OK) {
        spiller_destroy(&spiller);
        return FP_NO_MEMORY;
    }
    atomic_store(&shared->spill.stand, SPILL_IDLE);
    *out = spiller;
    return FP_OK;
}

enum fp_status spiller_start(struct spiller *spiller)
{
    if (pthread_create(&spiller->thread, NULL, run, spiller) != 0) return FP_NO_MEMORY;
    spiller->started = true;
    return FP_OK;
}

void spiller_stop(struct spiller *spiller)
{
    if (!spiller->started) return;
    atomic_store(&spiller->stopping, true);
    spill_state_wake(&spiller->shared->spill);
    fp_assert(pthread_join(spiller->thread, NULL) == 0);
    spiller->started = false;
}

void spiller_destroy(struct spiller **spiller_ptr)
{
    struct spiller *spiller = *spiller_ptr;
    if (spiller == NULL) return;
    fp_assert(!spiller->started);
    if (spiller->shared->spill.wake_fd >= 0) close(spiller->shared->spill.wake_fd);
    spiller->shared->spill.wake_fd = -1;
    store_scratch_destroy(&spiller->scratch);
    free(spiller);
    *spiller_ptr = NULL;
}
