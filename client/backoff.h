/* SPDX-License-Identifier: BSD-3-Clause
 * backoff - how long to wait before the next attempt. Pure. */
#ifndef FARPAGE_CLIENT_BACKOFF_H
#define FARPAGE_CLIENT_BACKOFF_H
#include <stdint.h>

enum { BACKOFF_MS_FIRST = 10, BACKOFF_MS_MAX_DEFAULT = 1000 };

/* After `failures` in a row, 0 where the last attempt was good: doubled from BACKOFF_MS_FIRST up to
 * max_ns, less up to a half of it by `random`, so that the clients of a server that comes back do
 * not all come at once. Never 0. */
static inline uint64_t backoff_ns(unsigned failures, uint64_t max_ns, uint64_t random)
{
    uint64_t whole = BACKOFF_MS_FIRST * 1000000ull << (failures < 30 ? failures : 30);
    if (whole > max_ns) whole = max_ns;
    if (whole < 2) whole = 2;
    return whole - random % (whole / 2 + 1);
}

#endif
