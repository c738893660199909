/* SPDX-License-Identifier: BSD-3-Clause
 * recompressor - gives recompression its time: bounded steps of the store, in a thread of its own
 * that lets all others go first and works for recompress.duty percent of one processor.
 *
 * A run walks over all that is stored. It begins
 *   - when it was asked for,
 *   - by itself where seats drain (recompress.draining: auto), once more while some are left, ever
 *     more seldom while it gets nowhere,
 *   - by itself where a stronger compressor is configured (recompress.algorithm), recompress.idle
 *     after the last such run ended: a turn of the clock that tells what is cold.
 * A reload that changes the stronger compressor ends a run; a pause holds it, and those to come.
 *
 * Life: create -> start -> stop (joins) -> destroy.
 * Threads: the owner calls; the work is done in the recompressor's thread.
 */
#ifndef FARPAGE_SERVER_RECOMPRESSOR_H
#define FARPAGE_SERVER_RECOMPRESSOR_H
#include "base/status.h"
#include "server/shared.h"

struct recompressor;

enum fp_status recompressor_create(struct shared *shared, struct recompressor **recompressor)
    FP_MUST_CHECK FP_NONNULL(1, 2);
enum fp_status recompressor_start(struct recompressor *recompressor) FP_MUST_CHECK FP_NONNULL(1);
void recompressor_stop(struct recompressor *recompressor) FP_NONNULL(1); /* fine if not started */
void recompressor_destroy(struct recompressor **recompressor) FP_NONNULL(1);

#endif
