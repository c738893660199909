/* SPDX-License-Identifier: BSD-3-Clause
 * sampled - how long something takes that is done so often that a look at the clock would tell:
 * one in SAMPLED_ONE_IN is timed and stands for the others; what takes long enough is timed itself.
 * Threads: one. */
#ifndef FARPAGE_BASE_SAMPLED_H
#define FARPAGE_BASE_SAMPLED_H
#include <stdbool.h>
#include <stdint.h>

#include "base/clock.h"

enum { SAMPLED_ONE_IN = 8 };

struct sampled { /* zero: nothing yet */
    uint64_t times, ns; /* of the short ones, how often; of all, how long, estimated */
};

struct sampling {
    uint64_t began_ns, stands_for; /* 0: it is not timed */
};

static inline struct sampling sampled_begin(struct sampled *sampled, bool is_long)
{
    if (is_long) return (struct sampling){clock_monotonic_ns(), 1};
    if (sampled->times++ % SAMPLED_ONE_IN != 0) return (struct sampling){0, 0};
    return (struct sampling){clock_monotonic_ns(), SAMPLED_ONE_IN};
}

static inline void sampled_end(struct sampled *sampled, struct sampling sampling)
{
    if (sampling.stands_for == 0) return;
    sampled->ns += sampling.stands_for * (clock_monotonic_ns() - sampling.began_ns);
}

#endif
