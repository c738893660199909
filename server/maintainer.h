/* SPDX-License-Identifier: BSD-3-Clause
 * maintainer - gives the store's upkeep its time: bounded steps, from a timer of the main loop.
 *
 * Each tick: items that expired are looked for, and where the memory limit was lowered items give
 * way until what is held fits again.
 *
 * Threads: the main thread.
 */
#ifndef FARPAGE_SERVER_MAINTAINER_H
#define FARPAGE_SERVER_MAINTAINER_H
#include <event2/event.h>

#include "base/status.h"
#include "server/shared.h"

struct maintainer;

enum fp_status maintainer_create(struct shared *shared, struct event_base *base,
                                 struct maintainer **maintainer) FP_MUST_CHECK FP_NONNULL(1, 2, 3);
void maintainer_destroy(struct maintainer **maintainer) FP_NONNULL(1);

#endif
