/* SPDX-License-Identifier: BSD-3-Clause
 * pin - which processor whom a benchmark runs runs on, so that nobody moves while being measured.
 * A child inherits what its parent was pinned to when it was started. */
#ifndef FARPAGE_TESTS_BENCH_PIN_H
#define FARPAGE_TESTS_BENCH_PIN_H
#include <stdbool.h>

#include "base/attrs.h"

/* Two processors that we may use, the same one twice where there is only one. False after a line
 * on stderr. */
bool pin_choose(unsigned *first, unsigned *second) FP_MUST_CHECK;

/* The calling thread from now on, and what it starts. False after a line on stderr. */
bool pin_self(unsigned processor) FP_MUST_CHECK;

#endif
