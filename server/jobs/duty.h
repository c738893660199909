/* SPDX-License-Identifier: BSD-3-Clause
 * duty - how a job in the background leaves others most of a processor: it works for some
 * milliseconds, then rests for as long as its percent of one processor says.
 *
 * Threads: the job's. */
#ifndef FARPAGE_SERVER_DUTY_H
#define FARPAGE_SERVER_DUTY_H
#include <stdbool.h>
#include <stdint.h>

#include "base/arith.h"
#include "base/clock.h"

enum { DUTY_WORK_NS = 4000000, DUTY_NS_PER_MS = 1000000 }; /* between two rests, at least */

struct duty {
    uint64_t begun_ns, begun_cpu_ns; /* when it last rested; time of this thread */
};

static inline void duty_begin(struct duty *duty)
{
    duty->begun_ns = clock_monotonic_ns();
    duty->begun_cpu_ns = clock_thread_ns();
}

static inline bool duty_has_worked(const struct duty *duty)
{
    return clock_thread_ns() - duty->begun_cpu_ns >= DUTY_WORK_NS;
}

/* How long to sleep now, before duty_begin: for what the duty leaves to others, unless they have
 * had it already: on a busy machine what was worked took longer than its share. */
static inline uint64_t duty_rest_ms(const struct duty *duty, uint64_t percent)
{
    uint64_t due_ns = (clock_thread_ns() - duty->begun_cpu_ns) * 100 / percent;
    uint64_t took_ns = clock_monotonic_ns() - duty->begun_ns;
    return due_ns > took_ns ? div_up_u64(due_ns - took_ns, DUTY_NS_PER_MS) : 0;
}

#endif
