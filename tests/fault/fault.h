/* SPDX-License-Identifier: BSD-3-Clause
 * fault - memory that runs out when the test says so.
 *
 * The linker hands us every call that our own code makes to malloc and its like (--wrap). What a
 * library allocates inside itself is out of reach; for zstd the calls that do so fail in its place.
 *
 * Threads: one. Reserves of the allocators are not touched: only calls count.
 */
#ifndef FARPAGE_TESTS_FAULT_FAULT_H
#define FARPAGE_TESTS_FAULT_FAULT_H
#include <stdbool.h>
#include <stdint.h>

/* The `at`-th allocation from now on fails, counted from 1, and where `for_good` all after it. */
void fault_arm(uint64_t at, bool for_good);
/* From now on nothing fails. True: something did. */
bool fault_disarm(void);

/* Plays again and again, each time with the next allocation failing, until none fails; what was
 * taken must be given back each time. Returns how many allocations there are. */
uint64_t fault_each(void (*play)(void), bool for_good);

/* Blocks and mappings that were taken and not yet given back, armed or not. */
int64_t fault_live_blocks(void);

#endif
