/* SPDX-License-Identifier: BSD-3-Clause
 * draw - random numbers that are the same in every run with the same seed: uniform, or by Zipf's
 * law with exponent 0.99, as in the YCSB benchmark (Gray et al., SIGMOD 1994). */
#ifndef FARPAGE_TESTS_BENCH_DRAW_H
#define FARPAGE_TESTS_BENCH_DRAW_H
#include <stdbool.h>
#include <stdint.h>

struct draw {
    uint64_t state;
    uint64_t count; /* draws 0 .. count-1; below 2^31 */
    bool zipf;
    double alpha, eta, zeta, half_power; /* the constants of the method */
};

void draw_init(struct draw *draw, uint64_t seed, uint64_t count, bool zipf);
uint64_t draw_bits(struct draw *draw);
uint64_t draw_below(struct draw *draw, uint64_t limit); /* uniform; limit at most 2^32 */

/* A number below count. By Zipf the frequent ones are scattered, not next to each other. */
uint64_t draw_key(struct draw *draw);

#endif
