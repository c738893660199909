/* SPDX-License-Identifier: BSD-3-Clause
 * greeting - the first words of a connection to farpaged, for benchmarks that speak frames
 * themselves: hello (packed pages are welcome), and the area opened, made where it is not there.
 * Blocks. */
#ifndef FARPAGE_TESTS_BENCH_GREETING_H
#define FARPAGE_TESTS_BENCH_GREETING_H
#include <stdbool.h>
#include <stdint.h>

#include "base/attrs.h"

/* *area: its number on this connection. False after a line on stderr. */
bool greeting_exchange(int fd, uint64_t slots, uint32_t *area) FP_MUST_CHECK;

#endif
