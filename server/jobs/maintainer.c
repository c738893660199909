/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The thread sleeps for a tick or until somebody asks for a compaction. Automatic compaction waits
 * until the free space within zspages is a sixty-fourth of what is held, or a quarter of that above
 * storage.watermark_high and while room is made; it then works for storage.compaction_duty
 * percent of each tick.
 */
#include "server/jobs/maintainer.h"

#include <malloc.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/arith.h"
#include "base/check.h"
#include "base/clock.h"
#include "server/jobs/process.h"
#include "server/jobs/trainer.h"
#include "server/memory/memory_pressure.h"
#include "server/memory/shrink.h"
#include "server/watch/watch_events.h"
#include "storage/store/page/store_area.h"

enum {
    TICK_MS = 50,
    REAP_STEPS_PER_TICK = 8, /* at least */
    REAP_STEPS_PER_LOOK = 8, /* at the clock */
    REAP_PASS_MS = 50000, /* every item is looked at once a minute */
    REAP_NS_PER_TICK = TICK_MS * 500000,
    SHRINK_NS_PER_TICK = TICK_MS * 500000,
    MOVES_PER_STEP = 16, /* some 10 us of work */
    TURN_NS_MAX = 250000,
    FREEABLE_PAGES_MIN = 32, /* less is not worth waking for */
    FREEABLE_PART = 64,      /* of the pages held */
    SELDOM_TICKS = 10,
    TRIM_SLACK_BYTES = 1 << 20,
    HEAP_PART = 32, /* of the limit may be resident uncharged */
};

#define COME_BACK_NS (60 * UINT64_C(1000000000)) /* docs/snapshot.md tells it */

struct maintainer {
    struct shared *shared;
    struct store_scratch *scratch;
    pthread_t thread;
    bool started;
    uint64_t ticks;
    uint64_t reaped_ms; /* monotonic; the last tick */
    struct shrink shrink;
    bool huge_pages;
    bool left_ended; /* of the run before */
    _Atomic bool stopping;
};

/* A sanitizer's memory is not ours, and pages of 2 MiB are resident whole, as they are wanted. */
static bool resident_is_ours(const struct maintainer *maintainer)
{
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    (void)maintainer;
    return false;
#else
    return !maintainer->huge_pages;
#endif
}

/* What is resident beyond what is charged, where that is more than a small part: small records that
 * went leave gaps between those that stay, and libraries hold what nobody charges. It is charged in
 * its turn, so that the limit holds for what the kernel counts; as gaps are filled it becomes less.
 */
static void charge_heap(const struct maintainer *maintainer, uint64_t resident)
{
    struct budget *budget = store_budget(maintainer->shared->store);
    uint64_t held = budget_held(budget, BUDGET_HEAP), excess = 0;
    uint64_t expected = budget_total(budget) - held +
                        max_u64(budget_wanted(budget) / HEAP_PART, TRIM_SLACK_BYTES);
    if (resident > expected && resident_is_ours(maintainer)) excess = resident - expected;
    if (excess > held) budget_charge_anyway(budget, BUDGET_HEAP, excess - held);
    else budget_return(budget, BUDGET_HEAP, held - excess);
}

/* malloc keeps what was freed; where that has become more than a little, the OS gets it back.
 * Asking for the resident size costs a read, so not at every tick. */
static void weigh_heap(struct maintainer *maintainer)
{
    if (maintainer->ticks++ % SELDOM_TICKS != 0) return;
    memory_pressure_look(maintainer->shared);
    const struct budget *budget = store_budget(maintainer->shared->store);
    uint64_t charged = budget_total(budget) - budget_held(budget, BUDGET_HEAP);
    uint64_t resident = process_resident_bytes();
    if (resident > charged + TRIM_SLACK_BYTES) {
        malloc_trim(0);
        resident = process_resident_bytes();
    }
    charge_heap(maintainer, resident);
}

/* A deleted area is emptied for half of the time, however large it was: a step is a thousand pages
 * at most, and who waits for this processor or for the same lock goes first after each. */
static void reap_areas(struct maintainer *maintainer)
{
    struct store *store = maintainer->shared->store;
    uint64_t ended, ends_ns = clock_monotonic_ns() + REAP_NS_PER_TICK;
    while (store_area_reap_step(store, maintainer->scratch, &ended) &&
           clock_monotonic_ns() < ends_ns && !atomic_load(&maintainer->stopping))
        sched_yield();
}

/* Whoever deleted, replaced or evicted a long value did not wait for its pieces. */
static void end_long_ones(struct maintainer *maintainer)
{
    uint64_t ends_ns = clock_monotonic_ns() + REAP_NS_PER_TICK;
    while (store_end_step(maintainer->shared->store, maintainer->scratch) &&
           clock_monotonic_ns() < ends_ns && !atomic_load(&maintainer->stopping))
        sched_yield();
}

/* As many steps as are due since the last tick, however late this one is; half of the time at
 * most. */
static void reap_items(struct maintainer *maintainer)
{
    struct store *store = maintainer->shared->store;
    uint64_t now_ms = clock_monotonic_ns() / 1000000, late_ms = now_ms - maintainer->reaped_ms;
    uint64_t due = store_reap_steps(store) * late_ms / REAP_PASS_MS;
    uint64_t steps = max_u64(due, REAP_STEPS_PER_TICK);
    maintainer->reaped_ms = now_ms;
    uint64_t ends_ns = clock_monotonic_ns() + REAP_NS_PER_TICK;
    for (uint64_t i = 1; i <= steps; i++) {
        store_reap_step(store, maintainer->scratch);
        if (i % REAP_STEPS_PER_LOOK != 0) continue;
        if (clock_monotonic_ns() >= ends_ns || atomic_load(&maintainer->stopping)) break;
    }
}

/* Transient areas of the run before, whose clients have had their time to come back. */
static void end_left_ones(struct maintainer *maintainer)
{
    struct shared *shared = maintainer->shared;
    bool due = clock_monotonic_ns() - shared->started_ns >= COME_BACK_NS;
    if (shared->restored_generation == 0 || maintainer->left_ended || !due) return;
    openers_delete_transient(&shared->openers, shared->store, shared->restored_generation);
    maintainer->left_ended = true;
}

static void upkeep(struct maintainer *maintainer)
{
    struct store *store = maintainer->shared->store;
    maintainer->scratch->now_ms = shared_store_ms(maintainer->shared, clock_monotonic_ns());
    compressor_pool_upkeep(store_compressors(store));
    reap_areas(maintainer);
    end_long_ones(maintainer);
    reap_items(maintainer);
    exports_sweep(&maintainer->shared->exports, clock_monotonic_ns());
    end_left_ones(maintainer);
    shrink_step(&maintainer->shrink, maintainer->shared, maintainer->scratch,
                clock_monotonic_ns() + SHRINK_NS_PER_TICK, &maintainer->stopping);
}

/* An area that learns changes slowly: not at every tick either. */
static void teach(const struct maintainer *maintainer)
{
    struct shared *shared = maintainer->shared;
    if (atomic_load(&shared->settings.dictionaries) != CONFIG_DICTIONARIES_AUTO) return;
    if (maintainer->ticks % SELDOM_TICKS == 0) trainer_upkeep(shared->trainer);
}

/* --- compaction ------------------------------------------------------------------------------- */

static bool worth_it(struct store *store)
{
    struct budget *budget = store_budget(store);
    uint64_t held_pages = budget_held(budget, BUDGET_PAYLOAD) / PAGES_BYTES;
    struct watermark_levels levels = watermarks_levels(store_watermarks(store));
    bool nearly_full = store_excess_bytes(store) > 0 ||
                       budget_total(budget) >
                           watermark_bytes(budget_wanted(budget), levels.high);
    uint64_t wanted = held_pages / (nearly_full ? 4 * FREEABLE_PART : FREEABLE_PART);
    return zpool_freeable_pages(store_zpool(store)) > wanted + FREEABLE_PAGES_MIN;
}

/* Whoever waits for this processor or for the same shard goes first, after every step: a request
 * then waits for microseconds and not for the rest of our slice. Until when we may work before we
 * give way again: half as long as we had to wait, so that a machine that is busy with something
 * else, which takes a whole slice each time, cannot hold us up for ever. */
static uint64_t give_way(uint64_t now_ns)
{
    sched_yield();
    uint64_t back_ns = clock_monotonic_ns();
    return back_ns + min_u64((back_ns - now_ns) / 2, TURN_NS_MAX);
}

/* Steps until there is nothing to gain or the time is over. True: nothing to gain. */
static bool compact_until(struct maintainer *maintainer, uint64_t deadline_ns)
{
    struct compaction *compaction = &maintainer->shared->compaction;
    struct zpool *pool = store_zpool(maintainer->shared->store);
    uint64_t turn_ends_ns = 0;
    while (!atomic_load(&maintainer->stopping)) {
        struct zpool_step step = zpool_compact(pool, MOVES_PER_STEP);
        uint64_t now_ns = clock_monotonic_ns();
        compaction_note(compaction, &(struct compaction_step){step.moved_count, step.freed_pages,
                                                              step.skipped_pinned_count}, now_ns);
        if (step.done) return true;
        if (now_ns >= deadline_ns) return false;
        if (now_ns >= turn_ends_ns) turn_ends_ns = give_way(now_ns);
    }
    return false;
}

static void tell_watchers(struct maintainer *maintainer, const struct watch_compaction *done)
{
    struct watchers *watchers = &maintainer->shared->watchers;
    if (watched(watchers, WATCH_COMPACTION)) watch_compaction(watchers, done);
}

static void compact_as_asked(struct maintainer *maintainer)
{
    struct compaction *compaction = &maintainer->shared->compaction;
    if (!compaction_begin(compaction, clock_monotonic_ns())) return;
    /* However long it takes, the rest of the work goes on. */
    while (!compact_until(maintainer, clock_monotonic_ns() + TICK_MS * 1000000ull) &&
           !atomic_load(&maintainer->stopping))
        upkeep(maintainer);
    arena_trim(zpool_arena(store_zpool(maintainer->shared->store)));
    compaction_end(compaction, clock_monotonic_ns());
    const struct compaction_count *job = &compaction->job;
    tell_watchers(maintainer,
                  &(struct watch_compaction){.job = atomic_load(&compaction->ended),
                                             .moved_objects = atomic_load(&job->moved_objects),
                                             .freed_pages = atomic_load(&job->freed_pages),
                                             .took_ns = atomic_load(&compaction->last_ns)});
}

static void compact_by_itself(struct maintainer *maintainer)
{
    const struct settings *settings = &maintainer->shared->settings;
    if (atomic_load(&settings->compaction) != CONFIG_COMPACTION_AUTO) return;
    if (!worth_it(maintainer->shared->store)) return;
    uint64_t share_ns = TICK_MS * 10000ull * atomic_load(&settings->compaction_duty_percent);
    const struct compaction_count *total = &maintainer->shared->compaction.total;
    uint64_t moved = atomic_load(&total->moved_objects), freed = atomic_load(&total->freed_pages);
    uint64_t begun_ns = clock_monotonic_ns();
    (void)compact_until(maintainer, begun_ns + share_ns);
    tell_watchers(maintainer, &(struct watch_compaction){
                                  .moved_objects = atomic_load(&total->moved_objects) - moved,
                                  .freed_pages = atomic_load(&total->freed_pages) - freed,
                                  .took_ns = clock_monotonic_ns() - begun_ns});
}

/* --- the thread ------------------------------------------------------------------------------- */

static void *run(void *opaque)
{
    struct maintainer *maintainer = opaque;
    struct pollfd wake = {.fd = maintainer->shared->compaction.wake_fd, .events = POLLIN};
    while (!atomic_load(&maintainer->stopping)) {
        uint64_t ignored;
        if (poll(&wake, 1, TICK_MS) == 1) {
            ssize_t got = read(wake.fd, &ignored, sizeof ignored);
            (void)got; /* only clears it */
        }
        compact_as_asked(maintainer);
        upkeep(maintainer);
        weigh_heap(maintainer);
        teach(maintainer);
        compact_by_itself(maintainer);
        arena_trim(zpool_arena(store_zpool(maintainer->shared->store)));
    }
    return NULL;
}

enum fp_status maintainer_create(struct shared *shared, struct maintainer **out)
{
    struct maintainer *maintainer = calloc(1, sizeof *maintainer);
    if (maintainer == NULL) return FP_NO_MEMORY;
    maintainer->shared = shared;
    pressure_init(&shared->pressure);
    maintainer->reaped_ms = clock_monotonic_ns() / 1000000;
    maintainer->huge_pages = shared->config->storage.huge_pages == CONFIG_SWITCH_ON;
    shared->compaction.wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (shared->compaction.wake_fd < 0 ||
        store_scratch_create(shared->store, &maintainer->scratch) != FP_OK) {
        maintainer_destroy(&maintainer);
        return FP_NO_MEMORY;
    }
    *out = maintainer;
    return FP_OK;
}

enum fp_status maintainer_start(struct maintainer *maintainer)
{
    if (pthread_create(&maintainer->thread, NULL, run, maintainer) != 0) return FP_NO_MEMORY;
    maintainer->started = true;
    return FP_OK;
}

void maintainer_stop(struct maintainer *maintainer)
{
    if (!maintainer->started) return;
    atomic_store(&maintainer->stopping, true);
    compaction_wake(&maintainer->shared->compaction);
    fp_assert(pthread_join(maintainer->thread, NULL) == 0);
    maintainer->started = false;
}

void maintainer_destroy(struct maintainer **maintainer_ptr)
{
    struct maintainer *maintainer = *maintainer_ptr;
    if (maintainer == NULL) return;
    fp_assert(!maintainer->started);
    if (maintainer->shared->compaction.wake_fd >= 0) close(maintainer->shared->compaction.wake_fd);
    maintainer->shared->compaction.wake_fd = -1;
    memory_pressure_end(maintainer->shared);
    store_scratch_destroy(&maintainer->scratch);
    free(maintainer);
    *maintainer_ptr = NULL;
}
