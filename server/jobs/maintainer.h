/* SPDX-License-Identifier: BSD-3-Clause
 * maintainer - gives the store's upkeep its time: bounded steps, in a thread of its own.
 *
 * Each tick: deleted areas are emptied; items that expired are looked for; where the memory limit
 * was lowered items give way until what is held fits again; and where compaction is worth it (by
 * the allocator's own counts) it runs for its share of the tick. A compaction that was asked for
 * runs to its end.
 *
 * Life: create -> start -> stop (joins) -> destroy.
 * Threads: the owner calls; the work is done in the maintainer's thread.
 */
#ifndef FARPAGE_SERVER_MAINTAINER_H
#define FARPAGE_SERVER_MAINTAINER_H
#include "base/status.h"
#include "server/shared.h"

struct maintainer;

enum fp_status maintainer_create(struct shared *shared, struct maintainer **maintainer)
    FP_MUST_CHECK FP_NONNULL(1, 2);
enum fp_status maintainer_start(struct maintainer *maintainer) FP_MUST_CHECK FP_NONNULL(1);
void maintainer_stop(struct maintainer *maintainer) FP_NONNULL(1); /* waits; fine if not started */
void maintainer_destroy(struct maintainer **maintainer) FP_NONNULL(1);

#endif
