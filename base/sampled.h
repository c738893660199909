/* SPDX-License-Identifier: BSD-3-Clause
 * sampled - how long something takes that is done so often that a look at the clock would tell:
 * one in SAMPLED_ONE_IN is timed and stands for the others. Threads: one. */
#ifndef FARPAGE_BASE_SAMPLED_H
#define FARPAGE_BASE_SAMPLED_H
#include <stdint.h>

#include "base/clock.h"

enum { SAMPLED_ONE_IN = 8 };

struct sampled { /* zero: nothing yet */
    uint64_t times, ns; /* how often; how long in all, estimated */
};

static inline uint64_t sampled_begin(struct sampled *sampled)
{
    return sampled->times++ % SAMPLED_ONE_IN == 0 ? clock_monotonic_ns() : 0;
}

static inline void sampled_end(struct sampled *sampled, uint64_t began_ns)
{
    if (began_ns != 0) sampled->ns += SAMPLED_ONE_IN * (clock_monotonic_ns() - began_ns);
}

#endif
