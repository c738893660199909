/* SPDX-License-Identifier: BSD-3-Clause
 * human - numbers and foreign text as a person likes to read them. Pure but for human_print. */
#ifndef FARPAGE_CLIENT_CLI_HUMAN_H
#define FARPAGE_CLIENT_CLI_HUMAN_H
#include <stdint.h>
#include <stdio.h>

enum { HUMAN_BYTES = 32 };

struct human {
    char text[HUMAN_BYTES];
};

struct human human_count(uint64_t number);         /* 1,234,567 */
struct human human_time(uint64_t nanoseconds);     /* 340 us, 1.20 ms */
struct human human_size(uint64_t bytes);           /* 1.46 GiB */
struct human human_rate(double number);            /* 81,231; 12.3 below a hundred */
struct human human_share(uint64_t of, uint64_t all); /* 21.2 %, < 0.1 % */

/* Prints what a server said: control characters as '?', so that it cannot steer the terminal. */
void human_print(FILE *out, const char *text);

#endif
