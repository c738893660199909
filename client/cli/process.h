/* SPDX-License-Identifier: BSD-3-Clause
 * process - what the kernel tells about another process: its state, how much it holds, and its
 * private anonymous memory, which is what would go to swap. Linux only.
 */
#ifndef FARPAGE_CLIENT_CLI_PROCESS_H
#define FARPAGE_CLIENT_CLI_PROCESS_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/attrs.h"
#include "client/cli/say/complaint.h"

/* Present anonymous pages side by side in the process; bytes [offset, offset + bytes) of memory */
struct run {
    uint64_t address, bytes, offset;
};

struct memory {
    int fd;           /* /proc/PID/mem */
    struct run *runs; /* owned; by address, and so by offset */
    size_t count, room;
    uint64_t bytes; /* == the sum over runs */
};

/* The letter of /proc/PID/stat, 'T' for stopped; of its threads the one that is not stopped yet, if
 * any. 0 where there is no such process. */
char process_state(pid_t pid);

/* Bytes of anonymous memory in RAM; 0 where there is no such process. */
uint64_t process_anonymous_bytes(pid_t pid);

/* What a process holds, in bytes, from smaps_rollup. */
struct holding {
    uint64_t private_bytes; /* its share of anonymous and shared memory, what is swapped included;
                               files it has mapped, its program among them, are not counted */
    uint64_t resident_bytes;
};

/* False with the reason: no such process, or we may not look. */
bool process_holding(pid_t pid, struct holding *holding, struct complaint *complaint)
    FP_MUST_CHECK;

/* Finds the memory of a process that is stopped. memory_fini is due either way. */
bool memory_init(struct memory *memory, pid_t pid, struct complaint *complaint) FP_MUST_CHECK;
void memory_fini(struct memory *memory);

/* Reads from the memory laid end to end; zeros behind its end. Any thread. */
bool memory_read(const struct memory *memory, uint64_t offset, uint8_t *into, size_t bytes)
    FP_MUST_CHECK;

/* Where a byte of it is in the process. */
uint64_t memory_address(const struct memory *memory, uint64_t offset);

#endif
