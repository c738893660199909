/* SPDX-License-Identifier: BSD-3-Clause */
#include "server/pulse.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/arith.h"
#include "base/clock.h"
#include "base/number.h"
#include "server/stats/stats.h"

enum {
    SELDOM_MS = 5000, /* where nobody waits for a sign of life, people may look */
    BEATS = 3,        /* within the watchdog's time: one may be late */
};

struct pulse {
    struct pulse_options options;
    struct event *beat;
    uint64_t patience_ns; /* with a worker; 0: no sign of life is needed */
    bool told;            /* that one hangs */
};

void pulse_status(struct shared *shared, char status[PULSE_STATUS_BYTES])
{
    struct budget *budget = store_budget(shared->store);
    struct stats_pages pages = stats_sum_pages(shared);
    uint64_t limit = budget_wanted(budget);
    char limit_text[NUMBER_TEXT_BYTES];
    number_size_short(limit, limit_text);
    snprintf(status, PULSE_STATUS_BYTES,
             "%" PRIu32 " connections, %" PRIu64 " items, %" PRIu64 " pages, %" PRIu64 " %% of %s",
             atomic_load(&shared->conns.count), store_item_count(shared->store), pages.stored,
             budget_total(budget) / max_u64(limit / 100, 1), limit_text);
}

/* The index of a worker whose loop has not turned for too long, or worker_count. */
static uint32_t find_hanging(const struct pulse *pulse, uint64_t now_ns, uint64_t *since_ns)
{
    uint32_t count = pulse->options.shared->worker_count;
    for (uint32_t i = 0; i < count; i++) {
        uint64_t turned_ns = worker_turned_ns(pulse->options.workers[i]);
        *since_ns = now_ns > turned_ns ? now_ns - turned_ns : 0;
        if (*since_ns > pulse->patience_ns) return i;
    }
    return count;
}

static bool all_turn(struct pulse *pulse)
{
    struct shared *shared = pulse->options.shared;
    uint64_t since_ns = 0;
    uint32_t hanging = find_hanging(pulse, clock_monotonic_ns(), &since_ns);
    bool good = hanging == shared->worker_count;
    if (!good && !pulse->told)
        log_event(shared->log, LOG_ERROR, "a worker hangs: no sign of life for systemd's watchdog",
                  log_number("worker", hanging), log_number("since_ms", since_ns / 1000000));
    if (good && pulse->told) log_write(shared->log, LOG_INFO, "all workers turn again", NULL, 0);
    pulse->told = !good;
    return good;
}

static void on_beat(evutil_socket_t fd, short what, void *opaque)
{
    (void)fd, (void)what;
    struct pulse *pulse = opaque;
    char status[PULSE_STATUS_BYTES];
    bool alive = pulse->patience_ns != 0 && all_turn(pulse);
    pulse_status(pulse->options.shared, status);
    notify_tell(pulse->options.notify, "%sSTATUS=%s%s", alive ? "WATCHDOG=1\n" : "",
                pulse->told ? "a worker hangs; " : "", status);
}

enum fp_status pulse_create(const struct pulse_options *options, struct pulse **out)
{
    uint64_t every_us = options->notify->watchdog_ns / 1000 / BEATS;
    if (!notify_wanted(options->notify)) return FP_OK;
    struct pulse *pulse = calloc(1, sizeof *pulse);
    if (pulse == NULL) return FP_NO_MEMORY;
    pulse->options = *options;
    if (every_us != 0)
        pulse->patience_ns = max_u64(every_us * 1000, 2 * WORKER_SWEEP_MS * 1000000ull);
    if (every_us == 0 || every_us > SELDOM_MS * 1000) every_us = SELDOM_MS * 1000;
    struct timeval every = {(time_t)(every_us / 1000000), (suseconds_t)(every_us % 1000000)};
    pulse->beat = event_new(options->base, -1, EV_PERSIST, on_beat, pulse);
    if (pulse->beat == NULL || event_add(pulse->beat, &every) != 0) {
        pulse_destroy(&pulse);
        return FP_NO_MEMORY;
    }
    *out = pulse;
    return FP_OK;
}

void pulse_destroy(struct pulse **pulse_ptr)
{
    struct pulse *pulse = *pulse_ptr;
    if (pulse == NULL) return;
    if (pulse->beat != NULL) event_free(pulse->beat);
    free(pulse);
    *pulse_ptr = NULL;
}
