/* SPDX-License-Identifier: BSD-3-Clause
 * fault - memory that runs out, and a disk that fails, when the test says so.
 *
 * The linker hands us every call that our own code makes to malloc and its like (--wrap). What a
 * library allocates inside itself is out of reach; for zstd the calls that do so fail in its place.
 * The same for calls that go to a disk (fault_disk.c), in the tests that are linked with it.
 *
 * Threads: one. Reserves of the allocators are not touched: only calls count.
 */
#ifndef FARPAGE_TESTS_FAULT_FAULT_H
#define FARPAGE_TESTS_FAULT_FAULT_H
#include <stdbool.h>
#include <stdint.h>

enum fault_kind {
    FAULT_MEMORY,     /* an allocation is refused */
    FAULT_DISK,       /* a call that reads, writes, opens, renames, ... says EIO */
    FAULT_DISK_FULL,  /* one that writes says ENOSPC */
    FAULT_DISK_SHORT, /* one that reads or writes does half: which is no failure */
};

/* Plays again and again, each time with the next call of that kind failing, and where `for_good`
 * all after it, until none fails; what was taken must be given back each time. Returns how many
 * there are. */
uint64_t fault_each_of(enum fault_kind kind, void (*play)(void), bool for_good);
static inline uint64_t fault_each(void (*play)(void), bool for_good)
{
    return fault_each_of(FAULT_MEMORY, play, for_good);
}

/* From now on, in this play, nothing fails. True: something did. */
bool fault_disarm(void);

/* --- between fault.c and fault_disk.c --------------------------------------------------------- */

/* Whether a call that may fail in this way does; errno is the caller's business. */
bool fault_now(enum fault_kind kind);
/* Something that has to be given back was taken (1) or given back (-1). */
void fault_taken(int64_t delta);

#endif
