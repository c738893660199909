/* SPDX-License-Identifier: BSD-3-Clause
 * run_child - the program, started in our place: it has our terminal, our process group, and every
 * signal that is meant for us. Its end is ours.
 *
 * Signals of the terminal reach it by themselves; those that somebody sent to us are passed on.
 * When it is stopped, so are we, and the shell notices; when we go on, so does it.
 *
 * Threads: one; those started after run_child_hold_signals leave the signals to it.
 */
#ifndef FARPAGE_CLIENT_CLI_RUN_CHILD_H
#define FARPAGE_CLIENT_CLI_RUN_CHILD_H
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/attrs.h"
#include "client/cli/say/complaint.h"

struct run_child {
    pid_t pid;
    bool ended;
    int status;       /* of waitpid, once it ended */
    int last_signal;  /* that came when it had ended; 0: none since it was cleared */
    sigset_t before;  /* what was blocked when we began */
};

/* From here on signals wait for run_child_wait. Before any thread is started. */
void run_child_hold_signals(struct run_child *child) FP_NONNULL(1);

/* Starts `path`. 0, or an exit code with the sentence. */
int run_child_start(struct run_child *child, const char *path, char **argv, char **environment,
                struct complaint *complaint) FP_MUST_CHECK FP_NONNULL(1, 2, 3, 4, 5);

/* Waits until it ends or is told, or something was sent to us, or `nanoseconds` have gone by. */
void run_child_wait(struct run_child *child, uint64_t nanoseconds) FP_NONNULL(1);

/* Ends this process as the program ended: with its exit code, or by its signal. */
FP_NORETURN void run_child_end_as_it_did(const struct run_child *child) FP_NONNULL(1);

#endif
