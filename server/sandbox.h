/* SPDX-License-Identifier: BSD-3-Clause
 * sandbox - what the server gives up for good once it serves: whoever takes it over has no program
 * to start, no socket to open, no memory to execute and no way to more privileges.
 *
 *   sandbox_begin (first of all) ... everything is open and started ... sandbox_enter
 *
 * A list of what is forbidden, not of what is allowed: see sandbox.c for why. What is forbidden
 * fails with EPERM.
 *
 * Threads: the main thread; binds all that there are and that will be.
 */
#ifndef FARPAGE_SERVER_SANDBOX_H
#define FARPAGE_SERVER_SANDBOX_H
#include "base/attrs.h"
#include "base/status.h"

enum { SANDBOX_REASON_BYTES = 160 };

/* No program that this one could start gets more privileges (no_new_privs). */
void sandbox_begin(void);

/* FP_IO: there is none, and *reason says why. */
enum fp_status sandbox_enter(char reason[SANDBOX_REASON_BYTES]) FP_MUST_CHECK FP_NONNULL(1);

/* For tests: tries some of what is forbidden and tells each with the errno it met, 0 where it
 * worked. Only in builds with FARPAGE_DEBUG_HOOKS. */
void sandbox_misbehave(void (*tell)(void *context, const char *what, int error), void *context)
    FP_NONNULL(1);

#endif
