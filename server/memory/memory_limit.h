/* SPDX-License-Identifier: BSD-3-Clause
 * memory_limit - what the process may hold, changed while it runs: by a reload, by cache_memlimit.
 *
 * A higher limit is in force at once. A lower one is approached: the maintainer makes items give
 * way, closes the gaps and gives pages to the OS in steps (shrink.h), and meanwhile requests find
 * about as much room as they had.
 *
 * Threads: any. Blocks: never, but for a short lock.
 */
#ifndef FARPAGE_SERVER_MEMORY_LIMIT_H
#define FARPAGE_SERVER_MEMORY_LIMIT_H
#include "server/shared.h"

enum { MEMORY_ROOM_BYTES = 4 << 20 }; /* less than this for data is no server */

/* The levels at which room is made and pages are refused (storage/limits/watermark.h). */
void memory_watermarks_set(struct store *store, const struct config *config) FP_NONNULL(1, 2);
/* Whether and which items are spilled, where there is a file for them. */
void memory_spill_set(struct store *store, const struct config *config) FP_NONNULL(1, 2);

/* NULL, or why it is refused: less than the program needs or than values of item_bytes_max, or more
 * than there is address space for since the start. */
const char *memory_limit_refusal(struct shared *shared, uint64_t bytes, uint64_t item_bytes_max)
    FP_NONNULL(1);
/* What is in force becomes what was set, or less where the host is short of memory (pressure.h). */
void memory_limit_apply(struct shared *shared) FP_NONNULL(1);
/* Sets what is not refused. `by` is who does, for the log. */
void memory_limit_set(struct shared *shared, uint64_t bytes, const char *by) FP_NONNULL(1, 3);

/* Warns where the container's limit is less. */
void memory_limit_compare(const struct shared *shared, uint64_t bytes) FP_NONNULL(1);

/* The kernel would end the program before it holds so much. */
static inline bool memory_limit_exceeds(const struct options *options, uint64_t bytes)
{
    return options->container_bytes != 0 && bytes > options->container_bytes;
}

#endif
