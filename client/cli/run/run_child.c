/* SPDX-License-Identifier: BSD-3-Clause */
#include "client/cli/run/run_child.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "client/cli/run/run_program.h"

static const int passed_on[] = {SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2, SIGALRM,
                                SIGWINCH, SIGCONT};
/* Left to the program, which stops or goes on; we do as it did. */
static const int taken[] = {SIGTSTP, SIGTTIN, SIGTTOU, SIGCHLD};

static void all_signals(sigset_t *set)
{
    sigemptyset(set);
    for (size_t i = 0; i < FP_COUNT_OF(passed_on); i++) sigaddset(set, passed_on[i]);
    for (size_t i = 0; i < FP_COUNT_OF(taken); i++) sigaddset(set, taken[i]);
}

void run_child_hold_signals(struct run_child *child)
{
    sigset_t set;
    all_signals(&set);
    *child = (struct run_child){0};
    (void)pthread_sigmask(SIG_BLOCK, &set, &child->before);
    (void)signal(SIGPIPE, SIG_IGN);
}

FP_NORETURN static void become(const struct run_child *child, const char *path, char **argv,
                               char **environment, int report)
{
    (void)signal(SIGPIPE, SIG_DFL);
    (void)pthread_sigmask(SIG_SETMASK, &child->before, NULL);
    (void)execve(path, argv, environment);
    if (errno == ENOEXEC) { /* a script without its first line: a shell's, as execvp has it */
        size_t count = 0;
        while (argv[count] != NULL) count++;
        char **words = calloc(count + 2, sizeof *words);
        if (words != NULL) {
            words[0] = (char *)(uintptr_t)"/bin/sh";
            words[1] = (char *)(uintptr_t)path;
            for (size_t i = 1; i < count; i++) words[i + 1] = argv[i];
            (void)execve(words[0], words, environment);
        }
    }
    int error = errno;
    ssize_t put = write(report, &error, sizeof error);
    _exit(put == sizeof error ? RUN_NOT_EXECUTABLE : RUN_FAILED);
}

int run_child_start(struct run_child *child, const char *path, char **argv, char **environment,
                struct complaint *complaint)
{
    int ends[2], error = 0;
    if (pipe2(ends, O_CLOEXEC) != 0) {
        complain_errno(complaint, errno, "cannot make a pipe");
        return RUN_FAILED;
    }
    child->pid = fork();
    if (child->pid == 0) become(child, path, argv, environment, ends[1]);
    int fork_error = errno;
    close(ends[1]);
    ssize_t got = 0;
    if (child->pid > 0) {
        do got = read(ends[0], &error, sizeof error);
        while (got < 0 && errno == EINTR);
    }
    close(ends[0]);
    if (child->pid < 0) {
        complain_errno(complaint, fork_error, "cannot start a process");
        return RUN_FAILED;
    }
    if (got != sizeof error) return 0;
    complain_errno(complaint, error, "cannot run '%.200s'", path);
    while (waitpid(child->pid, NULL, 0) < 0 && errno == EINTR) continue;
    return error == ENOENT ? RUN_NOT_FOUND : RUN_NOT_EXECUTABLE;
}

/* --- waiting ---------------------------------------------------------------------------------- */

/* It stopped: so do we, until somebody lets us go on. */
static void stop_too(const struct run_child *child)
{
    (void)raise(SIGSTOP);
    (void)kill(child->pid, SIGCONT);
}

static void look_at_child(struct run_child *child)
{
    int status;
    pid_t got;
    while ((got = waitpid(-1, &status, WNOHANG | WUNTRACED)) > 0) {
        if (got != child->pid) continue;
        if (WIFSTOPPED(status)) {
            stop_too(child);
            continue;
        }
        child->status = status;
        child->ended = true;
    }
}

static bool is_passed_on(int number)
{
    for (size_t i = 0; i < FP_COUNT_OF(passed_on); i++) {
        if (passed_on[i] == number) return true;
    }
    return false;
}

void run_child_wait(struct run_child *child, uint64_t nanoseconds)
{
    sigset_t set;
    siginfo_t info;
    struct timespec time = {.tv_sec = (time_t)(nanoseconds / 1000000000),
                            .tv_nsec = (long)(nanoseconds % 1000000000)};
    all_signals(&set);
    int number = sigtimedwait(&set, &info, &time);
    if (number == SIGCHLD) look_at_child(child);
    /* What the terminal says it says to the whole group, and the kernel is its sender. */
    if (number <= 0 || !is_passed_on(number)) return;
    if (child->ended)
        child->last_signal = number;
    else if (info.si_code <= 0)
        (void)kill(child->pid, number);
}

void run_child_end_as_it_did(const struct run_child *child)
{
    fflush(stdout);
    if (WIFEXITED(child->status)) exit(WEXITSTATUS(child->status));
    int number = WTERMSIG(child->status);
    struct rlimit none = {0, 0}; /* the program's core is enough */
    sigset_t set;
    (void)setrlimit(RLIMIT_CORE, &none);
    (void)signal(number, SIG_DFL);
    sigemptyset(&set);
    sigaddset(&set, number);
    (void)pthread_sigmask(SIG_UNBLOCK, &set, NULL);
    (void)raise(number);
    exit(128 + number);
}
