/* SPDX-License-Identifier: BSD-3-Clause
 * container - how much memory the kernel lets this process have: its control groups (version 2, or
 * 1), or the machine. Any thread; blocks for reads from /proc and /sys. */
#ifndef FARPAGE_SERVER_CONTAINER_H
#define FARPAGE_SERVER_CONTAINER_H
#include <stdint.h>

#include "base/attrs.h"

/* The least limit of the groups that the process is in, up to the root; 0: none. `root` is "", or
 * in tests a directory in which /proc/self/cgroup and /sys/fs/cgroup are looked for. */
uint64_t container_memory_bytes(const char *root) FP_NONNULL(1);

/* What storage.memory_limit is where nobody says: four fifths of the container's limit, or
 * usual_bytes where there is none, but no more than four fifths of the machine. In whole MiB. */
uint64_t container_usual_memory_bytes(uint64_t container_bytes, uint64_t machine_bytes,
                                      uint64_t usual_bytes);

uint64_t container_machine_bytes(void); /* of RAM */

#endif
