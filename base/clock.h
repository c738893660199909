/* SPDX-License-Identifier: BSD-3-Clause
 * clock - the one door through which time comes in. Any thread; never blocks, never fails. */
#ifndef FARPAGE_BASE_CLOCK_H
#define FARPAGE_BASE_CLOCK_H
#include <stdint.h>

uint64_t clock_monotonic_ns(void); /* never goes back; its zero means nothing */
uint64_t clock_unix_ns(void);      /* since 1970; may jump when the operator sets the clock */

uint64_t clock_thread_ns(void);    /* what the calling thread has had of processors */

#endif
