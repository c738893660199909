/* SPDX-License-Identifier: BSD-3-Clause
 * eviction_traces - who asks for what, made up: the same in every run with the same seed. */
#ifndef FARPAGE_TESTS_BENCH_EVICTION_TRACES_H
#define FARPAGE_TESTS_BENCH_EVICTION_TRACES_H
#include <stdbool.h>
#include <stdint.h>

struct trace {
    const char *name;
    uint32_t key_count;
    uint32_t *sizes;  /* of each key, bytes */
    uint32_t *keys;   /* asked for, in order */
    uint64_t key_bytes; /* of all keys that are asked for at all */
    uint64_t length;
};

enum { TRACES = 14 };

/* The index-th, of `length` requests. False: out of memory. */
bool trace_make(unsigned index, uint64_t seed, uint64_t length, struct trace *trace);
void trace_free(struct trace *trace);

#endif
