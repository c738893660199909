/* SPDX-License-Identifier: BSD-3-Clause
 * subject - the program whose memory is looked at: started here, or someone's running process.
 *
 *   started here: subject_start -> (runs) -> subject_stop -> (stopped) -> subject_release: ended
 *   someone's:    subject_adopt -> (runs) -> subject_stop -> (stopped) -> subject_release: runs on
 *
 * subject_release is due from every state and may be called twice. Against our own sudden death
 * (SIGKILL) a guard process waits at a pipe and does then what subject_release would have done.
 */
#ifndef FARPAGE_CLIENT_CLI_SUBJECT_H
#define FARPAGE_CLIENT_CLI_SUBJECT_H
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/attrs.h"
#include "client/cli/say/complaint.h"

struct subject {
    pid_t pid; /* 0: none */
    bool own;  /* started here */
    bool stopped;
    pid_t guard; /* 0: none */
    int guard_fd;
};

/* Starts a program in a process group of its own, its output discarded. One thread only. */
bool subject_start(struct subject *subject, char **command, struct complaint *complaint)
    FP_MUST_CHECK;

/* Takes a process that runs already. One that is stopped already is left so in the end. */
bool subject_adopt(struct subject *subject, pid_t pid, struct complaint *complaint) FP_MUST_CHECK;

/* False, with the reason, where the program has ended or a signal came. */
bool subject_wait(struct subject *subject, uint64_t nanoseconds, struct complaint *complaint)
    FP_MUST_CHECK;

/* Returns when every thread stands still. */
bool subject_stop(struct subject *subject, struct complaint *complaint) FP_MUST_CHECK;

void subject_release(struct subject *subject);

#endif
