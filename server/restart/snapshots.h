/* SPDX-License-Identifier: BSD-3-Clause
 * snapshots - a snapshot that a client takes while the server serves: composed by a thread of its
 * own that gives way, a step ahead of the client, who takes it at his pace.
 *
 * One at a time, and it ends with the session that began it. What it costs others is what
 * storage/store/snapshot/store_snapshot.h says.
 *
 * Life: begin -> take, until it is complete or fails -> leave. The thread ends by itself then.
 * Threads: the session's. Blocks: never; snapshots_wait does, for a step.
 */
#ifndef FARPAGE_SERVER_SNAPSHOTS_H
#define FARPAGE_SERVER_SNAPSHOTS_H
#include <stdbool.h>
#include <stdint.h>

#include "base/attrs.h"
#include "base/slice.h"
#include "base/status.h"

struct shared;
struct snapshot_job;
struct store_scratch;

/* Pages are those of this moment. FP_BUSY: one is being taken already. FP_NO_MEMORY. */
enum fp_status snapshot_begin(struct shared *shared, struct store_scratch *scratch,
                              struct snapshot_job **job) FP_MUST_CHECK FP_NONNULL(1, 2, 3);

struct snapshot_piece {
    struct slice bytes; /* good until it is said to be taken */
    uint64_t todo, done; /* pages and items */
    bool complete;       /* nothing comes behind these bytes */
};
/* The bytes that are there, maybe none for now. FP_NO_MEMORY: it is broken, for want of memory. */
enum fp_status snapshot_look(struct snapshot_job *job, struct snapshot_piece *piece)
    FP_MUST_CHECK FP_NONNULL(1, 2);
void snapshot_take(struct snapshot_job *job, size_t bytes) FP_NONNULL(1); /* of those looked at */

void snapshot_leave(struct snapshot_job **job) FP_NONNULL(1); /* NULL inside is fine */
/* Until those that were left have ended. */
void snapshots_wait(struct shared *shared) FP_NONNULL(1);

#endif
