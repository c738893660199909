/* SPDX-License-Identifier: BSD-3-Clause
 * child - proves that a mistake of ours stops the program: runs it in a child, in silence. */
#ifndef FARPAGE_TESTS_UNIT_STORAGE_CHILD_H
#define FARPAGE_TESTS_UNIT_STORAGE_CHILD_H
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

/* True: `mistake` ended in abort(), as a failed assertion does. */
static inline bool child_aborts(void (*mistake)(void *), void *argument)
{
    pid_t child = fork();
    if (child == 0) {
        if (freopen("/dev/null", "w", stderr) == NULL) _exit(2);
        signal(SIGABRT, SIG_DFL); /* a sanitizer's handler would make an exit status of it */
        mistake(argument);
        _exit(0);
    }
    int status = 0;
    return child > 0 && waitpid(child, &status, 0) == child && WIFSIGNALED(status) &&
           WTERMSIG(status) == SIGABRT;
}

#endif
