/* SPDX-License-Identifier: BSD-3-Clause
 * space - the address space of one process, as a pager serves it: which of its mappings are
 * covered, and what the pager knows about their pages.
 *
 *     pager_adopt -> space_cover each mapping -> ... its process ends, or pager_release
 *
 * Threads: the pager's. Blocks: never.
 */
#ifndef FARPAGE_CLIENT_UFFD_SPACE_H
#define FARPAGE_CLIENT_UFFD_SPACE_H
#include "client/uffd/pager.h"
#include "client/uffd/target.h"

/* Takes a process over: its userfaultfd (made with uffd_open's abilities `able`, UFFD_PROTECT at
 * least) and its target belong to the space from now on. NULL: errno, and both stay the caller's:
 * ENOMEM, or ENOTSUP where PAGER_EVICT_MOVE is asked for and cannot be. */
struct space *pager_adopt(struct pager *pager, int uffd, uint32_t able, struct target *target)
    FP_MUST_CHECK FP_NONNULL(1, 4);

/* The same for a forked child whose userfaultfd came from itself: it has what its parent had when
 * it forked, which is to be unchanged since space_freeze(parent). Its mappings are registered with
 * `uffd` as the parent's are. */
struct space *pager_adopt_child(struct space *parent, int uffd, uint32_t able,
                                struct target *target) FP_MUST_CHECK FP_NONNULL(1, 4);

/* Lets go: its slots are given back, the descriptor closed, the target destroyed. Of a process that
 * lives on: what is not there reads as zeros afterwards, so this is for what is dead or dying. */
void pager_release(struct space *space) FP_NONNULL(1);

/* Registers [start, end) where it is not yet: what is in it counts from now on and may be evicted.
 * Pages that are there already are found through the target's pagemap. 0 or errno: EINVAL it is
 * no private anonymous writable memory, ENOMEM, EBUSY another userfaultfd has it. */
int space_cover(struct space *space, uint64_t start, uint64_t end) FP_MUST_CHECK FP_NONNULL(1);

/* Pages of covered ranges that are known to the pager. */
struct space_pages {
    uint64_t resident;
    uint64_t leaving; /* not resident any more, and still in memory: staged, or being dropped */
    uint64_t free;    /* of both, those that another process has too, where they count */
    uint64_t away;    /* on the server or on its way there; of `leaving` too */
};
struct space_pages space_pages(const struct space *space) FP_NONNULL(1);
bool space_covers(const struct space *space, uint64_t address) FP_NONNULL(1);

/* It was forked, or has forked, while nothing was covered: what it shares with another is in no
 * figure, and counts for both. */
void space_may_share(struct space *space) FP_NONNULL(1);

/* Nothing is taken out of the process from when `frozen` is called until space_thaw: it is about to
 * fork. What is on its way out has arrived then. Freezes add up. */
void space_freeze(struct space *space, void (*frozen)(void *context), void *context)
    FP_NONNULL(1, 2);
void space_thaw(struct space *space) FP_NONNULL(1);

/* Its pages are moved to staging, not protected where they are. */
bool space_moves(const struct space *space) FP_NONNULL(1);

void space_set_context(struct space *space, void *context) FP_NONNULL(1);
void *space_context(const struct space *space) FP_NONNULL(1);

/* --- hints; ranges of covered memory --- */

enum space_hint {
    SPACE_WILL_NEED,     /* bring what is away, as far as there is room; does not wait for it */
    SPACE_WILL_NOT_NEED, /* take it out first */
    SPACE_UNPIN,         /* it may be taken out again */
};
int space_hint(struct space *space, enum space_hint hint, uint64_t start, uint64_t end)
    FP_MUST_CHECK FP_NONNULL(1);

/* Brings the pages and keeps them here until UNPIN; what was never touched is filled with zeros.
 * 0: `done` will be called, with 0 when all are there, or EIO where one is lost, and they are
 * unpinned again. Else an errno: EDQUOT the budget is too small for it, EINVAL not covered. */
int space_pin(struct space *space, uint64_t start, uint64_t end,
              void (*done)(void *context, int error), void *context)
    FP_MUST_CHECK FP_NONNULL(1, 4);

#endif
