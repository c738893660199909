/* SPDX-License-Identifier: BSD-3-Clause
 * memory_pressure - looks at the host's pressure and moves the limit in force. Threads: the
 * maintainer's. Blocks: for a file of /proc or /sys. */
#ifndef FARPAGE_SERVER_MEMORY_PRESSURE_H
#define FARPAGE_SERVER_MEMORY_PRESSURE_H
#include "server/shared.h"

/* To be called about twice a second; does nothing but let go where storage.pressure is off. */
void memory_pressure_look(struct shared *shared) FP_NONNULL(1);
void memory_pressure_end(struct shared *shared) FP_NONNULL(1);

#endif
