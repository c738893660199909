/* SPDX-License-Identifier: BSD-3-Clause
 * arith - arithmetic on numbers that came from outside: it says when it overflows. */
#ifndef FARPAGE_BASE_ARITH_H
#define FARPAGE_BASE_ARITH_H
#include <stdbool.h>
#include <stdint.h>

#include "base/attrs.h"

/* False, and *sum unspecified, where the true result does not fit. */
static inline bool add_u64(uint64_t a, uint64_t b, uint64_t *sum)
{
    return !__builtin_add_overflow(a, b, sum);
}

static inline bool mul_u64(uint64_t a, uint64_t b, uint64_t *product)
{
    return !__builtin_mul_overflow(a, b, product);
}

static inline uint64_t div_up_u64(uint64_t a, uint64_t b)
{
    return a / b + (a % b != 0);
}

static inline uint64_t min_u64(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static inline uint64_t max_u64(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

#endif
