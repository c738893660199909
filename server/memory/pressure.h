/* SPDX-License-Identifier: BSD-3-Clause
 * pressure - the memory limit gives way while the host is short of memory, and comes back after.
 *
 *   none -(tasks wait for memory)-> lower, a step a look, down to the floor
 *   lower -(nobody waits for PRESSURE_CALM_LOOKS)-> higher, a small step a look -> none
 *
 * A step begins at what is held where that is less than the limit: a limit that nobody feels gives
 * nothing back. What is felt in between, below half of the threshold, neither lowers nor raises.
 *
 * pressure_look is pure: its caller has the clock and the kernel's file. Threads: the maintainer's;
 * what is atomic, any.
 */
#ifndef FARPAGE_SERVER_PRESSURE_H
#define FARPAGE_SERVER_PRESSURE_H
#include <stdatomic.h>
#include <stdint.h>

#include "server/memory/psi.h"

enum {
    PRESSURE_DOWN_PERCENT = 4, /* of the configured limit, at a look */
    PRESSURE_UP_PERMILLE = 5,
    PRESSURE_CALM_LOOKS = 20, /* ten seconds */
};

struct pressure_view { /* one look */
    uint64_t configured_bytes, held_bytes; /* the limit without pressure; what is held */
    uint64_t stalled_us, time_us;          /* since the last look */
    uint32_t threshold_percent, floor_percent;
};

struct pressure {
    /* For people: */
    _Atomic uint64_t limit_bytes; /* that it leaves; UINT64_MAX: it lowers nothing */
    _Atomic uint64_t lowered, raised; /* steps since the start */
    _Atomic uint32_t stalled_percent; /* of the time between the last two looks */
    _Atomic bool watching;            /* the kernel's file is open */
    /* The maintainer's: */
    struct psi psi;
    uint32_t calm_looks;
    uint64_t last_us, last_ns; /* stalled, then; when; 0: not yet */
    bool told_none;
};

void pressure_init(struct pressure *pressure) FP_NONNULL(1);
/* Decides anew what limit is left: pressure->limit_bytes. */
void pressure_look(struct pressure *pressure, const struct pressure_view *view) FP_NONNULL(1, 2);

#endif
