/* SPDX-License-Identifier: BSD-3-Clause
 * process - what the kernel says of this process, and is told. Any thread; blocks for a read from
 * /proc. */
#ifndef FARPAGE_SERVER_PROCESS_H
#define FARPAGE_SERVER_PROCESS_H
#include <stdbool.h>
#include <stdint.h>

uint64_t process_resident_bytes(void); /* 0 where /proc cannot be read */

/* The calling thread, and those it starts, take part in what the kernel needs to free memory: so
 * their own allocations do not wait for that. False: the kernel refuses. */
bool process_flushes_io(void);

/* The calling thread lets the others of the machine go first (nice 10). */
void process_thread_give_way(void);

#endif
