/* SPDX-License-Identifier: BSD-3-Clause */
#include "server/jobs/scrub.h"

#include <unistd.h>

enum { NS_PER_S = 1000000000 };

void scrub_wake(struct scrub *scrub)
{
    uint64_t one = 1;
    ssize_t written = write(scrub->wake_fd, &one, sizeof one);
    (void)written; /* full means that it is awake already */
}

void scrub_start(struct scrub *scrub)
{
    if (atomic_load(&scrub->running)) return;
    atomic_store(&scrub->asked, true);
    scrub_wake(scrub);
}

bool scrub_stop(struct scrub *scrub)
{
    bool asked = atomic_exchange(&scrub->asked, false);
    bool running = atomic_load(&scrub->running);
    if (running) atomic_store(&scrub->stopped, true);
    scrub_wake(scrub);
    return asked || running;
}

const char *scrub_state(const struct scrub *scrub)
{
    return atomic_load(&scrub->running) || atomic_load(&scrub->asked) ? "running" : "idle";
}

const char *scrub_end_name(uint32_t end)
{
    static const char *const names[] = {
        [SCRUB_NEVER] = "none", [SCRUB_DONE] = "done", [SCRUB_STOPPED] = "stopped"};
    return names[end];
}

/* What is stored while it runs may make it look at more than there was. */
unsigned scrub_percent(const struct scrub *scrub)
{
    uint64_t to_look = atomic_load(&scrub->to_look), looked = atomic_load(&scrub->looked);
    if (!atomic_load(&scrub->running)) return atomic_load(&scrub->end) == SCRUB_DONE ? 100 : 0;
    if (looked >= to_look) return to_look > 0 ? 99 : 0;
    return (unsigned)((double)looked * 100 / (double)to_look);
}

uint64_t scrub_seconds_left(const struct scrub *scrub)
{
    uint64_t to_look = atomic_load(&scrub->to_look), looked = atomic_load(&scrub->looked);
    if (!atomic_load(&scrub->running) || looked == 0 || looked >= to_look) return 0;
    double each_ns = (double)atomic_load(&scrub->spent_ns) / (double)looked;
    return (uint64_t)(each_ns * (double)(to_look - looked) / NS_PER_S) + 1;
}
