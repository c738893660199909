/* SPDX-License-Identifier: BSD-3-Clause
 * log_gate - lets some lines of one kind through in each stretch of time and counts the others, so
 * that whoever can make the server write a line cannot fill its log.
 *
 * Threads: any; on a race a line more may pass. */
#ifndef FARPAGE_BASE_LOG_GATE_H
#define FARPAGE_BASE_LOG_GATE_H
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/attrs.h"

struct log_gate { /* zero: as good as new */
    _Atomic uint64_t since_ns; /* when the stretch began */
    _Atomic uint64_t lines;    /* that wanted to pass in it */
};

struct log_pace {
    uint64_t lines; /* that pass in */
    uint64_t ns;    /* such a time */
};

/* Whether a line passes at now_ns (monotonic, not 0). *skipped: with the first of a stretch how
 * many of the one before had not, to be told; else 0. */
static inline bool log_gate_pass(struct log_gate *gate, struct log_pace pace, uint64_t now_ns,
                                 uint64_t *skipped)
{
    uint64_t since = atomic_load_explicit(&gate->since_ns, memory_order_relaxed);
    *skipped = 0;
    if ((since == 0 || now_ns - since >= pace.ns) &&
        atomic_compare_exchange_strong(&gate->since_ns, &since, now_ns)) {
        uint64_t lines = atomic_exchange(&gate->lines, 1);
        *skipped = lines > pace.lines ? lines - pace.lines : 0;
        return true;
    }
    return atomic_fetch_add(&gate->lines, 1) < pace.lines;
}

#endif
