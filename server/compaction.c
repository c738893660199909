/* SPDX-License-Identifier: BSD-3-Clause */
#include "server/compaction.h"

#include <unistd.h>

void compaction_ask(struct compaction *compaction)
{
    uint64_t one = 1;
    if (atomic_load(&compaction->running)) return;
    atomic_store(&compaction->asked, true);
    ssize_t written = write(compaction->wake_fd, &one, sizeof one);
    (void)written; /* full means that it is awake already */
}

bool compaction_busy(const struct compaction *compaction)
{
    return atomic_load(&compaction->asked) || atomic_load(&compaction->running);
}
