/* SPDX-License-Identifier: BSD-3-Clause
 * interrupt - notices Ctrl-C and its like at chosen points, so that cleaning up is plain code.
 *
 * The signals are held back from their default action and looked for; no handler, no global. */
#ifndef FARPAGE_CLIENT_CLI_INTERRUPT_H
#define FARPAGE_CLIENT_CLI_INTERRUPT_H
#include <stdbool.h>
#include <stdint.h>

/* From here on INT, TERM, HUP and QUIT wait, in this thread and those it starts; PIPE is lost. */
void interrupt_hold(void);

/* In a new process, before it becomes another program: as before interrupt_hold. */
void interrupt_release(void);

/* True where one is waiting; never, where none are held. */
bool interrupt_came(void);

/* Sleeps; false where a held signal came before or meanwhile. */
bool interrupt_sleep(uint64_t nanoseconds);

#endif
