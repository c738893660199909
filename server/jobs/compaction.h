/* SPDX-License-Identifier: BSD-3-Clause
 * compaction - the job of closing gaps: asked for by anybody, done by the maintainer, shown in
 * `stats compaction` while it goes on.
 *
 * Life of a job:  none -(ask)-> waiting -(begin)-> running -(end)-> done -(ask)-> waiting, the next
 * Jobs are numbered from 1; one at a time. Automatic compaction is no job: it counts in the totals.
 *
 * Threads: any may ask and look; begin, note and end are the maintainer's. Lock-free.
 * Blocks: never.
 */
#ifndef FARPAGE_SERVER_COMPACTION_H
#define FARPAGE_SERVER_COMPACTION_H
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct compaction_step { /* what was done since the last note */
    uint64_t moved_objects, freed_pages, skipped_pinned;
};

struct compaction_count {
    _Atomic uint64_t moved_objects, freed_pages, skipped_pinned;
};

struct compaction {
    _Atomic uint64_t asked, begun, ended; /* the last job that was; asked >= begun >= ended */
    struct compaction_count total;        /* since the start, jobs or not */
    struct compaction_count job;          /* of the job that runs, or of the last one */
    _Atomic uint64_t begun_ns; /* when that began */
    _Atomic uint64_t job_ns;   /* how long it took, while it runs up to its last note: whoever looks
                                * never sees less than before */
    _Atomic uint64_t last_ns;  /* how long the last one took that is done */
    int wake_fd; /* eventfd of the maintainer; -1 before it starts */
};

enum compaction_state { COMPACTION_NONE, COMPACTION_WAITING, COMPACTION_RUNNING, COMPACTION_DONE };

/* Asks for a job on the whole pool; one that waits or runs is enough. Its number. */
uint64_t compaction_ask(struct compaction *compaction);
void compaction_wake(struct compaction *compaction); /* the maintainer has something to see to */

/* Of the job that was asked for last. */
enum compaction_state compaction_state(const struct compaction *compaction);

bool compaction_begin(struct compaction *compaction, uint64_t now_ns); /* false: none waits */
void compaction_note(struct compaction *compaction, const struct compaction_step *step,
                     uint64_t now_ns);
void compaction_end(struct compaction *compaction, uint64_t now_ns);

#endif
