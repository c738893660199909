/* SPDX-License-Identifier: BSD-3-Clause
 * spiller - gives write-back its time: while more is held than the high watermark says, cold pages
 * go to the file below memory, an extent at a time, until the low one will be reached; then it
 * empties sparse extents, where few are free. In a thread of its own, which waits for the disk and
 * for storage.spill_throttle.
 *
 * What cannot be written (the file or its disk is full, or refuses) is tried again after a second;
 * the log says so once, and once that it goes on.
 *
 * Life: create -> start -> stop (joins) -> destroy.
 * Threads: the owner calls; the work is done in the spiller's thread. wake: any.
 */
#ifndef FARPAGE_SERVER_SPILLER_H
#define FARPAGE_SERVER_SPILLER_H
#include "base/status.h"
#include "server/shared.h"
#include "server/spill/spill_state.h"

struct spiller;

enum fp_status spiller_create(struct shared *shared, struct spiller **spiller)
    FP_MUST_CHECK FP_NONNULL(1, 2);
enum fp_status spiller_start(struct spiller *spiller) FP_MUST_CHECK FP_NONNULL(1);
void spiller_stop(struct spiller *spiller) FP_NONNULL(1); /* fine if not started */
void spiller_destroy(struct spiller **spiller) FP_NONNULL(1);

#endif
