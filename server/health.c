/* SPDX-License-Identifier: BSD-3-Clause
 *
 * A worker's loop turns at least four times a second, for its sweep; one that has not for so long
 * as HEALTH_STUCK_NS is caught in something. */
#include "server/health.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/number.h"
#include "storage/area/area_stand.h"
#include "storage/store/page/store_area.h"

#define HEALTH_STUCK_NS ((uint64_t)10 * 1000000000)

static FP_PRINTF(4, 5) void say(struct health *health, enum health_check check, bool good,
                                const char *format, ...)
{
    va_list values;
    va_start(values, format);
    health->checks[check].good = good;
    vsnprintf(health->checks[check].text, HEALTH_TEXT_BYTES, format, values);
    va_end(values);
}

static void look_at_workers(struct shared *shared, struct health *health)
{
    uint64_t now_ns = clock_monotonic_ns(), longest_ns = 0;
    uint32_t stuck = 0;
    for (uint32_t i = 0; i < shared->worker_count; i++) {
        uint64_t beat_ns = atomic_load_explicit(&shared->counters[i].beat_ns, memory_order_relaxed);
        uint64_t since_ns = beat_ns != 0 && now_ns > beat_ns ? now_ns - beat_ns : 0;
        if (since_ns >= HEALTH_STUCK_NS) stuck++;
        if (since_ns > longest_ns) longest_ns = since_ns;
    }
    say(health, HEALTH_WORKERS, stuck == 0,
        "%" PRIu32 " of %" PRIu32 " have not turned for 10 s; the longest wait is %" PRIu64 " ms",
        stuck, shared->worker_count, longest_ns / 1000000);
}

static void look_at_areas(struct shared *shared, struct health *health)
{
    struct area *area = NULL;
    uint64_t areas = 0, drained = 0;
    while ((area = store_area_next(shared->store, area)) != NULL) {
        areas++;
        if (area_stand(area) != AREA_SERVES) drained++;
    }
    say(health, HEALTH_AREAS, areas == 0 || drained < areas,
        "%" PRIu64 " of %" PRIu64 " are drained, or being so", drained, areas);
}

static void look_at_memory(struct shared *shared, struct health *health)
{
    struct budget *budget = store_budget(shared->store);
    char held[NUMBER_TEXT_BYTES], limit[NUMBER_TEXT_BYTES];
    number_size_short(budget_total(budget), held);
    number_size_short(budget_wanted(budget), limit);
    say(health, HEALTH_MEMORY, true, "%s of %s", held, limit);
}

void health_look(struct shared *shared, struct health *health)
{
    bool started = atomic_load(&shared->started);
    bool stopping = atomic_load(&shared->stop_deadline_ns) != 0;
    look_at_workers(shared, health);
    say(health, HEALTH_STARTED, started, "%s", started ? "yes" : "not yet");
    say(health, HEALTH_STOPPING, !stopping, "%s", stopping ? "yes" : "no");
    look_at_areas(shared, health);
    look_at_memory(shared, health);
    health->lives = health->checks[HEALTH_WORKERS].good;
    health->ready = health_first_bad(health) == HEALTH_CHECKS_COUNT;
}

enum health_check health_first_bad(const struct health *health)
{
    unsigned i = 0;
    while (i < HEALTH_CHECKS_COUNT && health->checks[i].good) i++;
    return (enum health_check)i;
}

const char *health_check_name(enum health_check check)
{
    static const char *const names[] = {
#define X(check, name) name,
        HEALTH_CHECKS(X)
#undef X
    };
    fp_assert(check < HEALTH_CHECKS_COUNT);
    return names[check];
}
