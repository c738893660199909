/* SPDX-License-Identifier: BSD-3-Clause
 * scrubber - gives scrubbing its time: bounded steps of the store, in a thread of its own that lets
 * all others go first and works for storage.scrub_duty percent of one processor.
 *
 * A run begins when it was asked for, and storage.scrub_interval after the last one was complete,
 * or the server was started.
 *
 * Life: create -> start -> stop (joins) -> destroy.
 * Threads: the owner calls; the work is done in the scrubber's thread.
 */
#ifndef FARPAGE_SERVER_SCRUBBER_H
#define FARPAGE_SERVER_SCRUBBER_H
#include "base/status.h"
#include "server/shared.h"

struct scrubber;

enum fp_status scrubber_create(struct shared *shared, struct scrubber **scrubber)
    FP_MUST_CHECK FP_NONNULL(1, 2);
enum fp_status scrubber_start(struct scrubber *scrubber) FP_MUST_CHECK FP_NONNULL(1);
void scrubber_stop(struct scrubber *scrubber) FP_NONNULL(1); /* fine if not started */
void scrubber_destroy(struct scrubber **scrubber) FP_NONNULL(1);

#endif
