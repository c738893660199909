/* SPDX-License-Identifier: BSD-3-Clause
 * compaction - how the job of closing gaps goes: asked for by anybody, done by the maintainer,
 * shown in `stats compaction`.
 *
 * Threads: any; lock-free. Blocks: never.
 */
#ifndef FARPAGE_SERVER_COMPACTION_H
#define FARPAGE_SERVER_COMPACTION_H
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct compaction {
    _Atomic bool asked;   /* somebody wants a run; cleared when it begins */
    _Atomic bool running; /* a run that was asked for is under way */
    _Atomic uint64_t moved_objects, freed_pages, skipped_pinned; /* since the start, all runs */
    _Atomic uint64_t runs, last_ns;                              /* of those asked for */
    int wake_fd; /* eventfd of the maintainer; -1 before it starts */
};

/* Asks for a run of the whole pool; one that is under way is enough. */
void compaction_ask(struct compaction *compaction);

/* True from the asking to the end of the run. */
bool compaction_busy(const struct compaction *compaction);

#endif
