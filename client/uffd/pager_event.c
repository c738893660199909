/* SPDX-License-Identifier: BSD-3-Clause
 * What programs do with their mappings, in the order in which the kernel tells it; whoever did it
 * waits until it is read. The entries follow: moved, forgotten, or copied for a child. What is on
 * its way in or out knows its page by number, and is renamed with it.
 *
 * What the pager itself orders to be dropped is told like any other REMOVE: of a page that is
 * taken, one of them is ours. */
#include <errno.h>
#include <unistd.h>

#include "base/arith.h"
#include "client/uffd/pager_steps.h"

static void note_moved_in(struct space *space, uint64_t first, uint64_t end);

static void wake(struct space *space, uint64_t first, uint64_t end)
{
    if (uffd_wake(space->uffd, address_of(first), (end - first) << UFFD_PAGE_SHIFT) == ESRCH)
        space->dead = true;
}

/* --- forgotten --- */

static void forget(struct space *space, uint64_t number, struct page *page)
{
    struct pager *pager = space->pager;
    switch ((enum page_state)page->state) {
    case PAGE_UNTOUCHED:
    case PAGE_LOST: break;
    case PAGE_RESIDENT:
        if (page->index != SLOT_NONE) slot_release(pager, page->index);
        share_leave(space, number, page->shared, page->free);
        space->resident--;
        break;
    case PAGE_TAKEN: return; /* whoever takes it has to end that first */
    case PAGE_AWAY:
        slot_release(pager, page->index);
        space->away--;
        break;
    case PAGE_LOADING: {
        struct load *load = &pager->loads[page->index];
        slot_release(pager, load->slot);
        load_abandon(load);
        pager_give_room(pager, 1);
        space->away--;
        break;
    }
    }
    page->state = PAGE_UNTOUCHED;
    page->index = SLOT_NONE;
    page->missed = page->fixed = page->shared = page->free = false;
}

static void forget_removed(void *context, uint64_t number, struct page *page)
{
    struct space *space = context;
    if (page->state == PAGE_TAKEN) space->pager->leavers[page->index].removed++;
    bool demanded =
        page->state == PAGE_LOADING && space->pager->loads[page->index].demanded;
    forget(space, number, page);
    if (demanded) wake(space, number, number + 1); /* nothing will come for who waits */
}

static void forget_unmapped(void *context, uint64_t number, struct page *page)
{
    struct space *space = context;
    if (page->state == PAGE_TAKEN) space->pager->leavers[page->index].removed += 2;
    forget(space, number, page);
    if (page->pins > 0) space->pager->pinned--;
    page->pins = 0;
    space->queued_forgotten = space->queued_forgotten || page->queued;
    page->queued = false;
}

void pages_forget(struct space *space, uint64_t first, uint64_t end)
{
    space->queued_forgotten = false;
    pagetable_each(&space->table, first, end, forget_unmapped, space);
    if (!space->queued_forgotten) return; /* the queue is long, and need not be looked through */
    queue_forget(&space->pager->queue, (uint64_t)space->number << PAGER_SPACE_SHIFT | first,
                 end - first);
}

static bool ours(const struct space *space, uint64_t address)
{
    uint64_t bytes = (uint64_t)space->pager->leaver_count << UFFD_PAGE_SHIFT;
    return space->staging != 0 && address >= space->staging && address < space->staging + bytes;
}

/* --- moved --- */

struct moving {
    struct space *space;
    int64_t distance; /* in pages */
    bool failed;
};

static void rename_parts(struct space *space, const struct page *page, uint64_t number)
{
    struct pager *pager = space->pager;
    if (page->state == PAGE_LOADING) pager->loads[page->index].number = number;
    if (page->state == PAGE_TAKEN) pager->leavers[page->index].number = number;
    if (page->state != PAGE_AWAY) return;
    const struct slot *slot = slots_at(&pager->slots, page->index);
    if (slot->place != SLOT_LEAVING) return;
    struct leaver *leaver = &pager->leavers[slot->index];
    if (leaver->space == space && leaver->owned) leaver->number = number;
}

static void move_one(void *context, uint64_t number, struct page *page)
{
    struct moving *moving = context;
    struct space *space = moving->space;
    if (page->state == PAGE_UNTOUCHED) return;
    share_count_each(space, number, page);
    uint64_t to = number + (uint64_t)moving->distance;
    struct page *other = pagetable_make(&space->table, to);
    if (other == NULL) { /* no memory for what is known of it: its bytes are lost, and said to be */
        moving->failed = true;
        return;
    }
    bool queued = other->queued;
    *other = *page;
    other->queued = queued;
    *page = (struct page){.index = SLOT_NONE, .queued = page->queued};
    rename_parts(space, other, to);
    if (other->state == PAGE_RESIDENT && other->pins == 0)
        page_queue(space, to, other, QUEUE_FRESH);
}

static void moved(struct space *space, uint64_t first, uint64_t end, uint64_t to)
{
    struct moving moving = {.space = space, .distance = (int64_t)(to - first)};
    struct mapping *mapping = space_mapping(space, first);
    struct trend trends[2];
    bool known = mapping != NULL;
    if (known) {
        trends[0] = mapping->remote;
        trends[1] = mapping->first;
    }
    pages_forget(space, to, to + (end - first)); /* nothing of before can be there */
    note_moved_in(space, to, to + (end - first));
    pagetable_each(&space->table, first, end, move_one, &moving);
    mappings_cut(space, first, end);
    if (mappings_add(space, to, to + (end - first)) && known) {
        mapping = space_mapping(space, to);
        mapping->remote = trends[0];
        mapping->first = trends[1];
        trend_move(&mapping->remote, moving.distance);
        trend_move(&mapping->first, moving.distance);
    }
    /* Threads that waited there are to see that nothing is there any more. */
    wake(space, first, end);
}

/* --- unmapped --- */

/* The kernel tells of an unmapping after it let go of the mappings, and of mremap's own last of
 * all. So another thread's move to the same addresses may be told first, and what was moved in
 * must not be forgotten because of what was there before. As long as something is changing, nobody
 * can tell one from the other: then the range is a doubt, and looked at when all is quiet. What is
 * registered then was moved in; what is not is gone. */
static void note_moved_in(struct space *space, uint64_t first, uint64_t end)
{
    if (!ranges_add(&space->moved_in, first, end)) space->dead = true; /* no memory: no way on */
}

static void gone(struct space *space, uint64_t first, uint64_t end)
{
    pages_forget(space, first, end);
    mappings_cut(space, first, end);
    wake(space, first, end);
}

static void unmapped(struct space *space, uint64_t first, uint64_t end)
{
    for (size_t i = 0; i < space->moved_in.count && first < end; i++) {
        struct range in = space->moved_in.ranges[i];
        if (in.end <= first || in.first >= end) continue;
        if (in.first > first) unmapped(space, first, in.first);
        uint64_t from = max_u64(first, in.first), to = min_u64(end, in.end);
        if (!ranges_add(&space->doubts, from, to)) space->dead = true;
        first = to;
    }
    if (first < end) gone(space, first, end);
}

/* Protecting is what tells: it needs a mapping of ours, and harms none that is protected. */
static bool registered(const struct space *space, uint64_t first, uint64_t end)
{
    return uffd_protect(space->uffd, address_of(first), (end - first) << UFFD_PAGE_SHIFT) == 0;
}

void space_settle(struct space *space)
{
    if (space->moved_in.count == 0) return;
    uint64_t probe = space->moved_in.ranges[0].first;
    if (uffd_protect(space->uffd, address_of(probe), UFFD_PAGE_BYTES) == EAGAIN) return;
    for (size_t i = 0; i < space->doubts.count; i++) {
        struct range doubt = space->doubts.ranges[i];
        if (registered(space, doubt.first, doubt.end)) continue;
        for (uint64_t number = doubt.first; number < doubt.end; number++)
            if (!registered(space, number, number + 1)) gone(space, number, number + 1);
    }
    space->moved_in.count = space->doubts.count = 0;
}

/* --- forked --- */

struct forking {
    struct space *parent, *child;
    bool failed;
};

static void share_resident(struct space *child, uint64_t number, struct page *page,
                           struct page *other)
{
    struct pager *pager = child->pager;
    child->resident++;
    if (!pager->options.user_mode) {
        page->shared = other->shared = other->free = true; /* it is the parent's that counts */
        child->free++;
        return;
    }
    (void)!pager_take_room(pager, 1, UINT64_MAX / 2);
    page_queue(child, number, other, QUEUE_KEPT);
}

/* What the page is in the child: the slots count for both. Called for each page of the parent. */
static void fork_one(void *context, uint64_t number, struct page *page)
{
    struct forking *forking = context;
    struct pager *pager = forking->parent->pager;
    struct space *child = forking->child;
    if (page->state == PAGE_UNTOUCHED) return;
    struct page *other = pagetable_make(&child->table, number);
    if (other == NULL) {
        forking->failed = true;
        return;
    }
    *other = (struct page){.state = page->state, .index = page->index, .stamp = page->stamp};
    switch ((enum page_state)page->state) {
    case PAGE_UNTOUCHED:
    case PAGE_LOST: return;
    case PAGE_RESIDENT:
        share_resident(child, number, page, other);
        break;
    case PAGE_TAKEN: {
        const struct leaver *leaver = &pager->leavers[page->index];
        other->state = PAGE_AWAY;
        other->index = leaver->slot;
        if (leaver->empty) {
            other->state = PAGE_UNTOUCHED;
            return;
        }
        struct slot *slot = slots_at(&pager->slots, leaver->slot);
        if (!leaver->unstaged && slot->place == SLOT_NOWHERE) {
            slot->place = SLOT_LEAVING;
            slot->index = leaver->index;
        }
        child->away++;
        break;
    }
    case PAGE_LOADING:
        other->state = PAGE_AWAY;
        other->index = pager->loads[page->index].slot;
        child->away++;
        break;
    case PAGE_AWAY: child->away++; break;
    }
    if (other->index != SLOT_NONE) slots_keep(&pager->slots, other->index);
}

bool space_fork_table(struct space *parent, struct space *child)
{
    struct forking forking = {.parent = parent, .child = child};
    parent->forked = child->forked = true;
    pagetable_each(&parent->table, 0, PAGETABLE_PAGES, fork_one, &forking);
    for (size_t i = 0; i < parent->mapping_count; i++) {
        const struct mapping *mapping = parent->mappings[i];
        if (!mappings_add(child, mapping->start, mapping->end)) forking.failed = true;
    }
    leavers_flush(parent);
    return !forking.failed;
}

static void forked(struct space *space, int uffd)
{
    struct pager *pager = space->pager;
    struct target *target = NULL;
    if (pager->options.forked != NULL)
        target = pager->options.forked(pager->options.context, space, uffd);
    struct space *child =
        target != NULL ? pager_adopt_child(space, uffd, space->able, target) : NULL;
    if (child != NULL) return;
    if (target != NULL) target->table->destroy(target);
    (void)close(uffd);
}

/* --- all of it --- */

void event_happened(struct space *space, const struct uffd_event *event)
{
    uint64_t first = number_of(event->start), end = number_of(event->end);
    switch (event->kind) {
    case UFFD_TOLD_MISSING:
    case UFFD_TOLD_WRITE: {
        struct fault fault = {.number = first, .told_ns = space->pager->now_ns,
                              .protection = event->kind == UFFD_TOLD_WRITE};
        fault_take(space, &fault);
        break;
    }
    case UFFD_TOLD_FORK: forked(space, event->fd); break;
    case UFFD_TOLD_REMAP:
        if (first != number_of(event->to)) moved(space, first, end, number_of(event->to));
        break;
    case UFFD_TOLD_REMOVE:
        if (!ours(space, event->start))
            pagetable_each(&space->table, first, end, forget_removed, space);
        break;
    case UFFD_TOLD_UNMAP: unmapped(space, first, end); break;
    case UFFD_TOLD_OTHER: break;
    }
}
