/* SPDX-License-Identifier: BSD-3-Clause */
#include "server/jobs/recompression.h"

#include <unistd.h>

enum { NS_PER_S = 1000000000 };

void recompression_wake(struct recompression *recompression)
{
    uint64_t one = 1;
    ssize_t written = write(recompression->wake_fd, &one, sizeof one);
    (void)written; /* full means that it is awake already */
}

enum recompression_told recompression_start(struct recompression *recompression)
{
    if (atomic_load(&recompression->paused)) return RECOMPRESSION_NOT_NOW;
    atomic_store(&recompression->asked, true);
    recompression_wake(recompression);
    return RECOMPRESSION_OK;
}

void recompression_pause(struct recompression *recompression)
{
    atomic_store(&recompression->paused, true);
}

void recompression_resume(struct recompression *recompression)
{
    atomic_store(&recompression->paused, false);
    recompression_wake(recompression);
}

enum recompression_told recompression_cancel(struct recompression *recompression)
{
    bool asked = atomic_exchange(&recompression->asked, false);
    bool running = atomic_load(&recompression->running);
    if (!asked && !running) return RECOMPRESSION_NOT_NOW;
    if (running) atomic_store(&recompression->cancelled, true);
    recompression_wake(recompression);
    return RECOMPRESSION_OK;
}

const char *recompression_state(const struct recompression *recompression)
{
    if (atomic_load(&recompression->paused)) return "paused";
    bool busy = atomic_load(&recompression->running) || atomic_load(&recompression->asked);
    return busy ? "running" : "idle";
}

const char *recompression_run_name(uint32_t run)
{
    static const char *const names[] = {
#define X(name, text) [name] = text,
        RECOMPRESSION_RUNS(X)
#undef X
    };
    return names[run];
}

const char *recompression_end_name(uint32_t end)
{
    static const char *const names[] = {
#define X(name, text) [name] = text,
        RECOMPRESSION_ENDS(X)
#undef X
    };
    return names[end];
}

/* What is stored while it runs may make it look at more than there was. */
unsigned recompression_percent(const struct recompression *recompression)
{
    uint64_t to_look = atomic_load(&recompression->to_look);
    uint64_t looked = atomic_load(&recompression->looked);
    if (!atomic_load(&recompression->running))
        return atomic_load(&recompression->end) == RECOMPRESSION_DONE ? 100 : 0;
    if (looked >= to_look) return to_look > 0 ? 99 : 0;
    return (unsigned)((double)looked * 100 / (double)to_look);
}

uint64_t recompression_seconds_left(const struct recompression *recompression)
{
    uint64_t to_look = atomic_load(&recompression->to_look);
    uint64_t looked = atomic_load(&recompression->looked);
    if (!atomic_load(&recompression->running) || looked == 0 || looked >= to_look) return 0;
    double each_ns = (double)atomic_load(&recompression->spent_ns) / (double)looked;
    return (uint64_t)(each_ns * (double)(to_look - looked) / NS_PER_S) + 1;
}
