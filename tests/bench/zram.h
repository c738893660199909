/* SPDX-License-Identifier: BSD-3-Clause
 * zram - a device of the kernel's zram for the time of a benchmark. It is added for us and removed
 * on every way out, signals that end the program included; others are left alone. Threads: one. */
#ifndef FARPAGE_TESTS_BENCH_ZRAM_H
#define FARPAGE_TESTS_BENCH_ZRAM_H
#include <stdbool.h>
#include <stdint.h>

#include "base/attrs.h"

/* NULL where one can be had, or why not: "the kernel has no zram". */
const char *zram_missing(void);

/* One device at a time: a descriptor for O_DIRECT reads and writes of whole pages; -1 after a line
 * on stderr. */
int zram_open(const char *algorithm, uint64_t size_bytes) FP_MUST_CHECK;
void zram_close(int fd);

#endif
