/* SPDX-License-Identifier: BSD-3-Clause
 * shrink - memory given back after the limit was lowered, a step at each tick of the maintainer.
 *
 * Life: idle -(more is held than wanted)-> items give way until what is left, its gaps closed,
 *       would fit -> gaps are closed, freed pages go to the OS -> idle; or stuck, where nothing
 *       gives way any more: pages of areas do not, nor the program itself. The log says so, once,
 *       and nothing new is stored until it fits.
 *
 * Threads: the maintainer's.
 */
#ifndef FARPAGE_SERVER_SHRINK_H
#define FARPAGE_SERVER_SHRINK_H
#include "server/shared.h"

struct shrink { /* all zeros: idle */
    enum { SHRINK_IDLE, SHRINK_WORKING, SHRINK_STUCK } state;
    uint64_t wanted_bytes, from_bytes, begun_ns; /* since it is not idle */
    uint64_t evictions;                          /* of all times, when it began */
};

/* Works until ends_ns (monotonic) at most, or until `stopping`. */
void shrink_step(struct shrink *shrink, struct shared *shared, struct store_scratch *scratch,
                 uint64_t ends_ns, const _Atomic bool *stopping) FP_NONNULL(1, 2, 3, 5);

#endif
