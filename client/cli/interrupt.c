/* SPDX-License-Identifier: BSD-3-Clause */
#include "client/cli/interrupt.h"

#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <time.h>

#include "base/attrs.h"
#include "base/clock.h"

static const int held[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT};

static sigset_t held_set(void)
{
    sigset_t set;
    sigemptyset(&set);
    for (size_t i = 0; i < FP_COUNT_OF(held); i++) {
        struct sigaction action; /* nohup's HUP and a background job's INT are nobody's wish */
        bool ignored = sigaction(held[i], NULL, &action) == 0 && action.sa_handler == SIG_IGN;
        if (!ignored) sigaddset(&set, held[i]);
    }
    return set;
}

void interrupt_hold(void)
{
    sigset_t set = held_set();
    (void)pthread_sigmask(SIG_BLOCK, &set, NULL);
    (void)signal(SIGPIPE, SIG_IGN);
}

void interrupt_release(void)
{
    sigset_t set = held_set();
    (void)signal(SIGPIPE, SIG_DFL);
    (void)pthread_sigmask(SIG_UNBLOCK, &set, NULL);
}

bool interrupt_came(void)
{
    sigset_t waiting;
    if (sigpending(&waiting) != 0) return false;
    for (size_t i = 0; i < FP_COUNT_OF(held); i++) {
        if (sigismember(&waiting, held[i]) == 1) return true;
    }
    return false;
}

bool interrupt_sleep(uint64_t nanoseconds)
{
    enum { STEP_NS = 20000000 };
    uint64_t end = clock_monotonic_ns() + nanoseconds;
    for (;;) {
        if (interrupt_came()) return false;
        uint64_t now = clock_monotonic_ns();
        if (now >= end) return true;
        uint64_t step = end - now < STEP_NS ? end - now : STEP_NS;
        struct timespec wait = {.tv_nsec = (long)step};
        (void)nanosleep(&wait, NULL);
    }
}
