/* SPDX-License-Identifier: BSD-3-Clause */
#include "client/cli/operate/subject.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "client/cli/interrupt.h"
#include "client/cli/process.h"

enum { POLL_NS = 20000000, END_GRACE_NS = 1000000000 };
#define STOP_NS 5000000000ull

/* --- the guard ------------------------------------------------------------------------------ */

/* The guard's whole life. It holds no descriptor but the pipe, so nothing waits for it. */
FP_NORETURN static void be_guard(const struct subject *subject, int read_end)
{
    char word;
    ssize_t got;
    (void)setsid(); /* no terminal's signals */
    int duplicate = dup2(read_end, 0);
    if (duplicate < 0) _exit(1);
    closefrom(1);
    do got = read(0, &word, 1);
    while (got < 0 && errno == EINTR);
    if (got == 1) _exit(0); /* dismissed */
    if (subject->own)
        (void)kill(-subject->pid, SIGKILL);
    else
        (void)kill(subject->pid, SIGCONT);
    _exit(0);
}

static bool post_guard(struct subject *subject, struct complaint *complaint)
{
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0) {
        complain_errno(complaint, errno, "cannot make a pipe");
        return false;
    }
    pid_t guard = fork();
    if (guard == 0) {
        close(ends[1]);
        be_guard(subject, ends[0]);
    }
    int error = errno;
    close(ends[0]);
    if (guard < 0) {
        close(ends[1]);
        complain_errno(complaint, error, "cannot start a process");
        return false;
    }
    subject->guard = guard;
    subject->guard_fd = ends[1];
    return true;
}

static void dismiss_guard(struct subject *subject)
{
    if (subject->guard == 0) return;
    ssize_t put = write(subject->guard_fd, "x", 1);
    if (put != 1) (void)kill(subject->guard, SIGKILL);
    close(subject->guard_fd);
    while (waitpid(subject->guard, NULL, 0) < 0 && errno == EINTR) continue;
    subject->guard = 0;
}

/* --- starting ------------------------------------------------------------------------------- */

/* In the child: becomes the command, or tells `report` the errno. */
FP_NORETURN static void become(char **command, pid_t parent, int report)
{
    (void)setpgid(0, 0);
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    bool ready = null >= 0 && dup2(null, 0) == 0 && dup2(null, 1) == 1;
    /* Until the guard stands; and the parent may have died before the request. */
    ready = ready && prctl(PR_SET_PDEATHSIG, SIGKILL) == 0 && getppid() == parent;
    interrupt_release();
    if (ready) (void)execvp(command[0], command);
    int error = errno;
    ssize_t put = write(report, &error, sizeof error);
    _exit(put == sizeof error ? 127 : 126);
}

bool subject_start(struct subject *subject, char **command, struct complaint *complaint)
{
    *subject = (struct subject){0};
    int ends[2], error = 0;
    if (pipe2(ends, O_CLOEXEC) != 0) {
        complain_errno(complaint, errno, "cannot make a pipe");
        return false;
    }
    pid_t parent = getpid();
    pid_t pid = fork();
    if (pid == 0) become(command, parent, ends[1]);
    int fork_error = errno;
    close(ends[1]);
    if (pid < 0) {
        close(ends[0]);
        complain_errno(complaint, fork_error, "cannot start a process");
        return false;
    }
    (void)setpgid(pid, pid); /* whoever of the two comes first */
    subject->pid = pid;
    subject->own = true;
    ssize_t got;
    do got = read(ends[0], &error, sizeof error);
    while (got < 0 && errno == EINTR);
    close(ends[0]);
    if (got == sizeof error) {
        complain_errno(complaint, error, "cannot run '%.80s'", command[0]);
        while (waitpid(pid, NULL, 0) < 0 && errno == EINTR) continue;
        subject->pid = 0;
        return false;
    }
    return post_guard(subject, complaint);
}

bool subject_adopt(struct subject *subject, pid_t pid, struct complaint *complaint)
{
    *subject = (struct subject){0};
    if (pid == getpid() || pid == getppid()) {
        complain(complaint, "process %ld is farpage itself or what started it", (long)pid);
        return false;
    }
    if (kill(pid, 0) != 0) {
        complain_errno(complaint, errno, "process %ld", (long)pid);
        return false;
    }
    subject->pid = pid;
    return true;
}

/* --- waiting and stopping ------------------------------------------------------------------- */

/* False, with the reason, where the program is no more. */
static bool is_alive(const struct subject *subject, struct complaint *complaint)
{
    char state = process_state(subject->pid);
    if (state != 0 && state != 'Z' && state != 'X') return true;
    complain(complaint, "the program ended before its memory was read");
    return false;
}

bool subject_wait(struct subject *subject, uint64_t nanoseconds, struct complaint *complaint)
{
    uint64_t end = clock_monotonic_ns() + nanoseconds;
    do {
        uint64_t now = clock_monotonic_ns();
        uint64_t left = now < end ? end - now : 0;
        if (!interrupt_sleep(left < POLL_NS ? left : POLL_NS)) {
            complain(complaint, "interrupted");
            return false;
        }
        if (!is_alive(subject, complaint)) return false;
    } while (clock_monotonic_ns() < end);
    return true;
}

static bool stands_still(const struct subject *subject)
{
    char state = process_state(subject->pid);
    return state == 'T' || state == 't';
}

bool subject_stop(struct subject *subject, struct complaint *complaint)
{
    if (stands_still(subject)) return true; /* by someone else, who will continue it */
    if (!subject->own && !post_guard(subject, complaint)) return false;
    subject->stopped = true; /* also where it only may be: a SIGCONT too many hurts no one */
    if (kill(subject->pid, SIGSTOP) != 0) {
        complain_errno(complaint, errno, "cannot stop process %ld", (long)subject->pid);
        return false;
    }
    uint64_t end = clock_monotonic_ns() + STOP_NS;
    while (!stands_still(subject)) {
        if (!subject_wait(subject, 1000000, complaint)) return false;
        if (clock_monotonic_ns() < end) continue;
        complain(complaint, "process %ld does not stop", (long)subject->pid);
        return false;
    }
    return true;
}

/* --- the end -------------------------------------------------------------------------------- */

static bool reaped(pid_t pid)
{
    pid_t got = waitpid(pid, NULL, WNOHANG);
    return got == pid || (got < 0 && errno != EINTR);
}

/* Politely first; it has to run to hear that. The group, for what it may have started itself. */
static void end_own(pid_t pid)
{
    (void)kill(-pid, SIGTERM);
    (void)kill(-pid, SIGCONT);
    uint64_t end = clock_monotonic_ns() + END_GRACE_NS;
    while (!reaped(pid)) {
        struct timespec moment = {.tv_nsec = 5000000};
        (void)nanosleep(&moment, NULL);
        if (clock_monotonic_ns() < end) continue;
        (void)kill(-pid, SIGKILL);
        while (waitpid(pid, NULL, 0) < 0 && errno == EINTR) continue;
        break;
    }
    (void)kill(-pid, SIGKILL);
}

void subject_release(struct subject *subject)
{
    if (subject->pid == 0) return;
    if (subject->own)
        end_own(subject->pid);
    else if (subject->stopped)
        (void)kill(subject->pid, SIGCONT);
    dismiss_guard(subject);
    *subject = (struct subject){0};
}
