/* SPDX-License-Identifier: BSD-3-Clause */
#include "tests/bench/pin.h"

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>

static unsigned next_of(const cpu_set_t *set, unsigned from)
{
    while (from < CPU_SETSIZE && !CPU_ISSET(from, set)) from++;
    return from;
}

bool pin_choose(unsigned *first, unsigned *second)
{
    cpu_set_t ours;
    if (sched_getaffinity(0, sizeof ours, &ours) != 0) {
        fprintf(stderr, "bench: sched_getaffinity: %s\n", strerror(errno));
        return false;
    }
    *first = next_of(&ours, 0);
    *second = next_of(&ours, *first + 1);
    if (*second == CPU_SETSIZE) *second = *first;
    return true;
}

bool pin_self(unsigned processor)
{
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(processor, &one);
    if (sched_setaffinity(0, sizeof one, &one) == 0) return true;
    fprintf(stderr, "bench: processor %u: %s\n", processor, strerror(errno));
    return false;
}
