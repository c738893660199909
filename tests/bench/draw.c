/* SPDX-License-Identifier: BSD-3-Clause */
#include "tests/bench/draw.h"

#include <math.h>

static const double EXPONENT = 0.99;

void draw_init(struct draw *draw, uint64_t seed, uint64_t count, bool zipf)
{
    *draw = (struct draw){.state = seed, .count = count, .zipf = zipf};
    if (!zipf || count == 0) return;
    for (uint64_t rank = 1; rank <= count; rank++) draw->zeta += pow((double)rank, -EXPONENT);
    double zeta_of_2 = 1 + pow(2, -EXPONENT);
    draw->alpha = 1 / (1 - EXPONENT);
    draw->eta = (1 - pow(2.0 / (double)count, 1 - EXPONENT)) / (1 - zeta_of_2 / draw->zeta);
    draw->half_power = pow(0.5, EXPONENT);
}

uint64_t draw_bits(struct draw *draw) /* splitmix64 */
{
    uint64_t z = draw->state += UINT64_C(0x9E3779B97F4A7C15);
    z = (z ^ (z >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94D049BB133111EB);
    return z ^ (z >> 31);
}

uint64_t draw_below(struct draw *draw, uint64_t limit)
{
    return ((draw_bits(draw) >> 32) * limit) >> 32;
}

static uint64_t draw_rank(struct draw *draw)
{
    double uniform = (double)(draw_bits(draw) >> 11) * 0x1p-53;
    double scaled = uniform * draw->zeta;
    if (scaled < 1) return 0;
    if (scaled < 1 + draw->half_power) return 1;
    double rank = (double)draw->count * pow(draw->eta * uniform - draw->eta + 1, draw->alpha);
    return rank < (double)draw->count ? (uint64_t)rank : draw->count - 1;
}

uint64_t draw_key(struct draw *draw)
{
    if (!draw->zipf || draw->count < 3) return draw_below(draw, draw->count);
    /* A prime above every count: each rank has a key of its own. */
    return draw_rank(draw) * UINT64_C(2654435761) % draw->count;
}
