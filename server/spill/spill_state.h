/* SPDX-License-Identifier: BSD-3-Clause
 * spill_state - how write-back stands: said by the spiller, shown in `stats spill`.
 *
 * Threads: any; lock-free. */
#ifndef FARPAGE_SERVER_SPILL_STATE_H
#define FARPAGE_SERVER_SPILL_STATE_H
#include <stdatomic.h>
#include <stdint.h>
#include <unistd.h>

#define SPILL_STANDS(X)                                                                            \
    X(SPILL_OFF, "off")                                                                            \
    X(SPILL_IDLE, "idle")                                                                          \
    X(SPILL_WRITING, "writing")                                                                    \
    X(SPILL_NOTHING, "nothing_cold")                                                               \
    X(SPILL_FULL, "full")                                                                          \
    X(SPILL_FAILING, "failing")
enum spill_stand {
#define X(name, text) name,
    SPILL_STANDS(X)
#undef X
};

struct spill_state {
    _Atomic uint32_t stand; /* enum spill_stand */
    _Atomic uint64_t throttled_ns; /* slept because of the throttle */
    int wake_fd; /* eventfd of the spiller; -1: there is none */
};

/* Somebody waits for memory. */
static inline void spill_state_wake(const struct spill_state *state)
{
    uint64_t one = 1;
    if (state->wake_fd < 0) return;
    ssize_t done = write(state->wake_fd, &one, sizeof one);
    (void)done; /* cannot fail but when it is awake already */
}

#endif
