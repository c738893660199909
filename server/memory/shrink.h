/* SPDX-License-Identifier: BSD-3-Clause
 * shrink - memory given back after the limit was lowered, a step at each tick of the maintainer.
 *
 * More is held than wanted: items give way until what is left, its gaps closed, would fit; pages go
 * to the tier below, where there is one, by its own thread; cold ones are packed more strongly,
 * where that is configured; gaps are closed, freed pages go to the OS. Where nothing gives way any
 * more the log and `stats shrink` say what stays and why, and nothing new is stored until it fits.
 *
 * Threads: the maintainer's.
 */
#ifndef FARPAGE_SERVER_SHRINK_H
#define FARPAGE_SERVER_SHRINK_H
#include "server/shared.h"

struct shrink { /* all zeros: idle; what others see of it is shared->shrinking */
    uint64_t items_before, written_before, compacted_before; /* counted when it began */
    uint64_t told_ns; /* watchers */
    uint64_t rated_ns, rated_bytes; /* when it was last looked how fast it goes, and held then */
    bool repacks;     /* recompression was asked to help */
};

/* Works until ends_ns (monotonic) at most, or until `stopping`. */
void shrink_step(struct shrink *shrink, struct shared *shared, struct store_scratch *scratch,
                 uint64_t ends_ns, const _Atomic bool *stopping) FP_NONNULL(1, 2, 3, 5);

#endif
