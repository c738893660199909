/* SPDX-License-Identifier: BSD-3-Clause
 * Life of a page that a fork shares: one frame of memory in the page tables of several processes,
 * its holders, which is one page of the budget.
 *
 *     fork -> one holder counts, the others are `free`; all are protected against writes
 *     a holder writes     it is told, and waits until there is room for its copy: then both count
 *     a holder leaves     (evicted, forgotten, its process ended) another counts in its place
 *     one is left         it is protected no more
 *
 * So no copy is made that has no room, and what counts is what there is. A holder is found by the
 * page's number in the other spaces of the family; what mremap moves is counted for each of its
 * holders from then on, since nobody would find it. Where three processes have forked from each
 * other, two frames may have holders of one number: then a copy may be counted that is not made.
 *
 * The kernel takes no protecting while the fork that it just told of has not gone on: it is tried
 * again at each turn. What other threads write until then is copied and not counted. */
#include <errno.h>

#include "client/uffd/pager_steps.h"

/* The kernel wants the pages of one call in one mapping before 6.3. */
enum { RUN_PAGES_MAX = 512 };

/* --- holders -------------------------------------------------------------------------------- */

static struct page *holder_in(struct space *kin, uint64_t number)
{
    struct page *page = pagetable_find(&kin->table, number);
    bool holds = page != NULL && page->shared &&
                 (page->state == PAGE_RESIDENT || page->state == PAGE_TAKEN);
    return holds ? page : NULL;
}

struct space *share_next_kin(const struct space *space, struct space *at)
{
    struct list *next = at == NULL ? space->kin.next : at->kin.next;
    return next == &space->kin ? NULL : LIST_THING(next, struct space, kin);
}

static void unmark(struct space *space, struct page *page)
{
    page->shared = false;
    if (page->state == PAGE_TAKEN) space->pager->leavers[page->index].shared = false;
}

/* It counts from now on, and may be taken out by itself. */
static void count_in(struct space *space, uint64_t number, struct page *page)
{
    page->free = false;
    space->free--;
    if (page->state == PAGE_TAKEN)
        space->pager->leavers[page->index].free = false;
    else
        page_queue(space, number, page, QUEUE_KEPT);
}

static bool pass_on(const struct space *space, uint64_t number)
{
    for (struct space *kin = NULL; (kin = share_next_kin(space, kin)) != NULL;) {
        struct page *page = holder_in(kin, number);
        if (page == NULL || !page->free) continue;
        count_in(kin, number, page);
        return true;
    }
    return false;
}

void share_leave(struct space *space, uint64_t number, bool shared, bool free)
{
    if (free)
        space->free--;
    else if (!shared || !pass_on(space, number))
        pager_give_room(space->pager, 1);
}

/* --- protecting ------------------------------------------------------------------------------- */

struct run {
    struct space *space;
    uint64_t first, end;
    bool protect, waits; /* waits: the kernel cannot just now */
};

static int change(const struct run *run, uint64_t first, uint64_t end)
{
    uint64_t start = address_of(first), bytes = (end - first) << UFFD_PAGE_SHIFT;
    return run->protect ? uffd_protect(run->space->uffd, start, bytes)
                        : uffd_unprotect(run->space->uffd, start, bytes);
}

/* A page that cannot be, because its mapping is gone and that is still to be told, need not be. */
static void run_end(struct run *run)
{
    int error = run->first < run->end && !run->waits ? change(run, run->first, run->end) : 0;
    if (error == ENOENT) { /* not one mapping */
        error = 0;
        for (uint64_t number = run->first; number < run->end && error != EAGAIN; number++)
            error = change(run, number, number + 1);
    }
    if (error == ESRCH) run->space->dead = true;
    run->waits = run->waits || error == EAGAIN;
    run->first = run->end = 0;
}

static void run_add(struct run *run, uint64_t number)
{
    if (number != run->end || run->end - run->first >= RUN_PAGES_MAX) {
        run_end(run);
        run->first = number;
    }
    run->end = number + 1;
}

static void protect_one(void *context, uint64_t number, struct page *page)
{
    if (page->shared && page->state == PAGE_RESIDENT) run_add(context, number);
}

void share_settle(struct space *space)
{
    if (!space->protecting || space->dead) return;
    struct run run = {.space = space, .protect = true};
    pagetable_each(&space->table, 0, PAGETABLE_PAGES, protect_one, &run);
    run_end(&run);
    space->protecting = run.waits;
}

/* --- the family ------------------------------------------------------------------------------- */

void share_begin(struct space *parent, struct space *child)
{
    list_insert(&parent->kin, &child->kin);
    parent->protecting = child->protecting = true;
}

static void free_one(void *context, uint64_t number, struct page *page)
{
    struct run *run = context;
    if (!page->shared) return;
    unmark(run->space, page);
    if (page->state == PAGE_RESIDENT) run_add(run, number);
}

void share_end(struct space *space)
{
    struct space *left = share_next_kin(space, NULL);
    list_remove(&space->kin);
    if (left == NULL || !list_empty(&left->kin)) return;
    struct run run = {.space = left}; /* what stays protected is freed when it is written to */
    left->protecting = false;
    pagetable_each(&left->table, 0, PAGETABLE_PAGES, free_one, &run);
    run_end(&run);
}

/* --- copies --------------------------------------------------------------------------------- */

/* The only holder that is left has the frame for itself. */
static void let_go(struct space *space, uint64_t number, struct page *page)
{
    unmark(space, page);
    if (page->state == PAGE_RESIDENT)
        (void)!uffd_unprotect(space->uffd, address_of(number), UFFD_PAGE_BYTES);
}

bool share_split(struct space *space, uint64_t number, struct page *page, uint64_t limit)
{
    struct space *other = NULL;
    unsigned others = 0;
    for (struct space *kin = NULL; (kin = share_next_kin(space, kin)) != NULL;) {
        if (holder_in(kin, number) == NULL) continue;
        other = kin;
        others++;
    }
    if (others > 0) {
        if (!pager_take_room(space->pager, 1, limit)) return false;
        if (page->free) count_in(space, number, page);
        else if (!pass_on(space, number)) pager_give_room(space->pager, 1);
    }
    unmark(space, page);
    if (others == 1) let_go(other, number, holder_in(other, number));
    return true;
}

void share_count_each(struct space *space, uint64_t number, struct page *page)
{
    if (page->shared) (void)!share_split(space, number, page, UINT64_MAX / 2);
}

void share_name_slot(struct space *space, uint64_t number, uint32_t slot)
{
    struct slots *slots = &space->pager->slots;
    for (struct space *kin = NULL; (kin = share_next_kin(space, kin)) != NULL;) {
        struct page *page = holder_in(kin, number);
        if (page == NULL || page->state != PAGE_RESIDENT || page->index == slot) continue;
        if (page->index != SLOT_NONE) slot_release(space->pager, page->index);
        slots_keep(slots, slot);
        page->index = slot;
    }
}
