/* SPDX-License-Identifier: BSD-3-Clause
 * paging_traces - which pages programs touch, one after the other: the algorithms themselves at a
 * size of 10,000 to 30,000 pages, with what they touch written down. Repetitions are left out. The
 * same in every run. */
#ifndef FARPAGE_TESTS_BENCH_PAGING_TRACES_H
#define FARPAGE_TESTS_BENCH_PAGING_TRACES_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct touches {
    const char *name;
    uint32_t *pages; /* touched, in order */
    size_t length;
    uint32_t page_count; /* all are below */
};

enum { PAGING_TRACES = 9 };

/* The index-th. False: out of memory. */
bool touches_make(unsigned index, struct touches *touches);
void touches_free(struct touches *touches);

#endif
