/* SPDX-License-Identifier: BSD-3-Clause
 * explore - runs small programs of a few threads in every order that their atomic steps can take.
 *
 * The threads are coroutines; the code under test is compiled with its atomics, locks and memory
 * replaced by the calls below. Before each step every thread that can go on is tried, one after the
 * other, by running the program again from the start. A state that was seen before (memory, store
 * buffers, and all that each thread has read) is not entered twice.
 *
 * Memory model: stores wait in a buffer of their thread, which alone sees them, and leave it one by
 * one at any later time, those to different places in any order unless a release stands behind.
 * A seq_cst store, a read-modify-write and a lock empty the buffer of their thread first;
 * explore_fence_all those of all threads, which is membarrier(2). Loads happen in program order and
 * compare-and-swap does not fail for nothing: so this is x86, and a little weaker.
 *
 * Threads: none; one exploration at a time.
 */
#ifndef FARPAGE_TESTS_MODEL_EXPLORE_H
#define FARPAGE_TESTS_MODEL_EXPLORE_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attrs.h"

enum { EXPLORE_THREADS_MAX = 3 };

struct explore_program {
    const char *name;
    void (*setup)(void); /* alone, from zeroed memory */
    void (*threads[EXPLORE_THREADS_MAX])(void);
    void (*finish)(void); /* alone, after all threads; says explore_check of what must hold */
    unsigned preemptions_max; /* orders that take a thread off more often are not tried; 0: all */
};

/* Leaves room on purpose, to see that what was left out is missed. */
struct explore_faults {
    bool fence_all_does_nothing;
    bool seq_cst_stores_wait;
};

struct explore_result {
    const char *breach; /* what did not hold, or NULL */
    uint64_t states, executions;
};

struct explore_result explore(const struct explore_program *program, struct explore_faults faults)
    FP_NONNULL(1);
void explore_print_last_execution(void); /* step by step, to stderr */

/* --- for the program and the code under test ----------------------------------------------- */

void *explore_alloc(size_t size); /* zeroed, never freed; only what is in here is state */
void explore_check(bool condition, const char *text);
void explore_wait(bool (*ready)(void)); /* until it holds; it may look at explore_alloc's memory */
int explore_thread(void);               /* 0, 1, ... or -1 while alone */
/* The thread says that what it does from here on depends on explore_alloc's memory and on `place`,
 * not on what it has read: histories that differ in that alone become one. */
void explore_forget(uint64_t place);

uint64_t explore_load(const volatile void *at, size_t size);
/* Of what no other thread writes: no step, for there is no order to try. */
uint64_t explore_load_own(const volatile void *at, size_t size);
void explore_store(volatile void *at, size_t size, uint64_t value, int order);
uint64_t explore_add(volatile void *at, uint64_t delta); /* of 8 bytes; what was there */
bool explore_compare_exchange(volatile void *at, uint64_t *expected, uint64_t desired);
bool explore_fence_all(void);
void explore_lock_take(int *held) FP_NONNULL(1); /* zero: free */
void explore_lock_drop(int *held) FP_NONNULL(1);

#endif
