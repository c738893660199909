/* SPDX-License-Identifier: BSD-3-Clause
 * series - one figure, measured once a round: its median and its spread. */
#ifndef FARPAGE_TESTS_BENCH_SERIES_H
#define FARPAGE_TESTS_BENCH_SERIES_H
#include <stdio.h>

enum { SERIES_ROUNDS_MAX = 31, SERIES_TEXT_BYTES = 32 };

struct series {
    double values[SERIES_ROUNDS_MAX];
    unsigned count;
};

void series_add(struct series *series, double value);
double series_median(const struct series *series); /* 0 where there is none */
double series_lowest(const struct series *series);
double series_highest(const struct series *series);

/* a/b round by round: what two that ran right after each other tell, whatever the hour. */
struct series series_ratio(const struct series *a, const struct series *b);

/* "0.83 (0.79-0.90)": the median and, from two rounds on, what it lies between. */
const char *series_text(const struct series *series, int digits, char text[SERIES_TEXT_BYTES]);

/* ["name": ]{"median": 1.5, "rounds": [1, 1.5, 2]} */
void series_json(FILE *out, const char *name, const struct series *series);

#endif
