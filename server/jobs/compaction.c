/* SPDX-License-Identifier: BSD-3-Clause */
#include "server/jobs/compaction.h"

#include <unistd.h>

void compaction_wake(struct compaction *compaction)
{
    uint64_t one = 1;
    ssize_t written = write(compaction->wake_fd, &one, sizeof one);
    (void)written; /* full means that it is awake already */
}

uint64_t compaction_ask(struct compaction *compaction)
{
    uint64_t job = atomic_load(&compaction->asked);
    if (job != atomic_load(&compaction->ended)) return job;
    if (atomic_compare_exchange_strong(&compaction->asked, &job, job + 1)) job++;
    compaction_wake(compaction);
    return job; /* where another was faster: his */
}

enum compaction_state compaction_state(const struct compaction *compaction)
{
    uint64_t ended = atomic_load(&compaction->ended); /* first: none of them ever goes back */
    uint64_t begun = atomic_load(&compaction->begun);
    uint64_t asked = atomic_load(&compaction->asked);
    if (asked > begun) return COMPACTION_WAITING;
    if (begun > ended) return COMPACTION_RUNNING;
    return ended == 0 ? COMPACTION_NONE : COMPACTION_DONE;
}

static void add(struct compaction_count *count, const struct compaction_step *step)
{
    atomic_fetch_add(&count->moved_objects, step->moved_objects);
    atomic_fetch_add(&count->freed_pages, step->freed_pages);
    atomic_fetch_add(&count->skipped_pinned, step->skipped_pinned);
}

bool compaction_begin(struct compaction *compaction, uint64_t now_ns)
{
    uint64_t job = atomic_load(&compaction->asked);
    if (job == atomic_load(&compaction->ended)) return false;
    atomic_store(&compaction->job.moved_objects, 0);
    atomic_store(&compaction->job.freed_pages, 0);
    atomic_store(&compaction->job.skipped_pinned, 0);
    atomic_store(&compaction->job_ns, 0);
    atomic_store(&compaction->begun_ns, now_ns);
    atomic_store(&compaction->begun, job);
    return true;
}

void compaction_note(struct compaction *compaction, const struct compaction_step *step,
                     uint64_t now_ns)
{
    add(&compaction->total, step);
    if (atomic_load(&compaction->begun) == atomic_load(&compaction->ended)) return;
    add(&compaction->job, step);
    atomic_store(&compaction->job_ns, now_ns - atomic_load(&compaction->begun_ns));
}

void compaction_end(struct compaction *compaction, uint64_t now_ns)
{
    uint64_t took_ns = now_ns - atomic_load(&compaction->begun_ns);
    atomic_store(&compaction->job_ns, took_ns);
    atomic_store(&compaction->last_ns, took_ns);
    atomic_store(&compaction->ended, atomic_load(&compaction->begun));
}
