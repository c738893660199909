/* SPDX-License-Identifier: BSD-3-Clause
 * Life of a space: adopted with its descriptor and its target -> mappings are covered -> released,
 * where everything that is under way for it is ended first: loads are abandoned, orders are
 * answered by the target's end, slots are let go of. */
#include "client/uffd/space.h"

#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/arith.h"
#include "base/check.h"
#include "client/uffd/pager_steps.h"

enum { GROWTH_PAGES_MAX = 1 << 14 }; /* behind a mapping: taken for its growth */

/* --- mappings --- */

/* The first that ends behind `number`. */
static size_t mapping_at(const struct space *space, uint64_t number)
{
    size_t low = 0, high = space->mapping_count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (space->mappings[middle]->end <= number)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static struct mapping *mapping_insert(struct space *space, size_t at, uint64_t first, uint64_t end)
{
    if (space->mapping_count == space->mapping_room) {
        size_t room = space->mapping_room * 2 + 16;
        struct mapping **more = realloc(space->mappings, room * sizeof *more);
        if (more == NULL) return NULL;
        space->mappings = more;
        space->mapping_room = room;
    }
    struct mapping *mapping = malloc(sizeof *mapping);
    if (mapping == NULL) return NULL;
    mapping->start = first;
    mapping->end = end;
    uint32_t window = space->pager->options.prefetch_pages_max;
    trend_init(&mapping->remote, window);
    trend_init(&mapping->first, window);
    memmove(space->mappings + at + 1, space->mappings + at,
            (space->mapping_count - at) * sizeof *space->mappings);
    space->mappings[at] = mapping;
    space->mapping_count++;
    return mapping;
}

static void mapping_remove(struct space *space, size_t at)
{
    free(space->mappings[at]);
    space->mapping_count--;
    memmove(space->mappings + at, space->mappings + at + 1,
            (space->mapping_count - at) * sizeof *space->mappings);
}

struct mapping *space_mapping(struct space *space, uint64_t number)
{
    size_t at = mapping_at(space, number);
    struct mapping *mapping = at < space->mapping_count ? space->mappings[at] : NULL;
    if (mapping != NULL && mapping->start <= number) return mapping;
    if (at == 0) return NULL;
    struct mapping *before = space->mappings[at - 1];
    if (number - before->end >= GROWTH_PAGES_MAX) return NULL;
    before->end = number + 1;
    return before;
}

void mappings_cut(struct space *space, uint64_t first, uint64_t end)
{
    size_t at = mapping_at(space, first);
    while (at < space->mapping_count && space->mappings[at]->start < end) {
        struct mapping *mapping = space->mappings[at];
        if (mapping->start < first && mapping->end > end) {
            /* No memory for the second half: it is served, and nothing is fetched ahead in it. */
            (void)!mapping_insert(space, at + 1, end, mapping->end);
            mapping->end = first;
            return;
        }
        if (mapping->start < first) {
            mapping->end = first;
            at++;
        } else if (mapping->end > end) {
            mapping->start = end;
            return;
        } else {
            mapping_remove(space, at);
        }
    }
}

bool mappings_add(struct space *space, uint64_t first, uint64_t end)
{
    size_t at = mapping_at(space, first);
    struct mapping *next = at < space->mapping_count ? space->mappings[at] : NULL;
    if (at > 0 && space->mappings[at - 1]->end == first &&
        (next == NULL || next->start >= end)) {
        space->mappings[at - 1]->end = end;
        return true;
    }
    mappings_cut(space, first, end);
    return mapping_insert(space, mapping_at(space, first), first, end) != NULL;
}

bool space_covers(const struct space *space, uint64_t address)
{
    uint64_t number = number_of(address);
    size_t at = mapping_at(space, number);
    return at < space->mapping_count && space->mappings[at]->start <= number;
}

bool ranges_add(struct ranges *ranges, uint64_t first, uint64_t end)
{
    if (ranges->count == ranges->room) {
        size_t room = ranges->room * 2 + 8;
        struct range *more = realloc(ranges->ranges, room * sizeof *more);
        if (more == NULL) return false;
        ranges->ranges = more;
        ranges->room = room;
    }
    ranges->ranges[ranges->count++] = (struct range){first, end};
    return true;
}

/* --- covering --- */

static void found(void *context, uint64_t start, uint64_t end)
{
    struct space *space = context;
    struct pager *pager = space->pager;
    for (uint64_t number = number_of(start); number < number_of(end); number++) {
        struct page *page = pagetable_make(&space->table, number);
        if (page == NULL || page->state != PAGE_UNTOUCHED) continue;
        (void)!pager_take_room(pager, 1, UINT64_MAX / 2); /* it is there, room or no room */
        page_arrived(space, number, page, SLOT_NONE);
    }
}

static int cover_gap(struct space *space, uint64_t first, uint64_t end)
{
    uint64_t start = address_of(first), bytes = (end - first) << UFFD_PAGE_SHIFT;
    int error = uffd_register(space->uffd, start, bytes, true);
    if (error == ESRCH) space->dead = true;
    if (error != 0) return error;
    pages_forget(space, first, end); /* of what was at these addresses before */
    if (!mappings_add(space, first, end)) return ENOMEM;
    if (space->target->pagemap < 0) return 0;
    return uffd_present(space->target->pagemap, start, start + bytes, found, space);
}

/* What was at these addresses before may have ended in an event that is still to be read, and
 * would be taken for the end of what is there now. The kernel answers EAGAIN as long as there is
 * one; none can follow, for nobody is told of what is not registered yet. */
static void settle(struct space *space, uint64_t start)
{
    while (!space->dead && uffd_unprotect(space->uffd, start, UFFD_PAGE_BYTES) == EAGAIN) {
        struct uffd_event events[UFFD_EVENTS_MAX];
        int count = uffd_read(space->uffd, events);
        if (count < 0) space->dead = true;
        for (int i = 0; i < count; i++) event_happened(space, &events[i]);
        if (count == 0) (void)sched_yield(); /* it is about to be told */
    }
}

int space_cover(struct space *space, uint64_t start, uint64_t end)
{
    uint64_t first = number_of(start), last = number_of(end);
    if ((start | end) % UFFD_PAGE_BYTES != 0 || last > PAGETABLE_PAGES) return EINVAL;
    if (first < last) settle(space, start);
    while (first < last) {
        size_t at = mapping_at(space, first);
        struct mapping *next = at < space->mapping_count ? space->mappings[at] : NULL;
        uint64_t stop = next != NULL ? min_u64(last, next->start) : last;
        if (next != NULL && next->start <= first) {
            first = next->end;
            continue;
        }
        int error = cover_gap(space, first, stop);
        if (error != 0) return error;
        first = stop;
    }
    return 0;
}

struct space_pages space_pages(const struct space *space)
{
    return (struct space_pages){.resident = space->resident, .leaving = space->leaving,
                                .free = space->free, .away = space->away};
}

void space_may_share(struct space *space)
{
    space->forked = true;
}

/* --- adopting --- */

static uint32_t free_number(const struct pager *pager)
{
    for (uint32_t i = 0; i < PAGER_SPACES_MAX; i++)
        if (pager->by_number[i] == NULL) return i;
    return PAGER_SPACES_MAX;
}

static int stage(struct space *space)
{
    const struct pager *pager = space->pager;
    enum pager_evict evict = pager->options.evict;
    if (evict == PAGER_EVICT_PROTECT) return 0;
    int error = ENOTSUP;
    uint64_t bytes = (uint64_t)pager->leaver_count << UFFD_PAGE_SHIFT;
    if ((space->able & UFFD_MOVE) != 0 && space->target->table->stage != NULL)
        error = space->target->table->stage(space->target, bytes, &space->staging);
    if (error != 0) space->staging = 0;
    return error != 0 && evict == PAGER_EVICT_MOVE ? ENOTSUP : 0;
}

struct space *pager_adopt(struct pager *pager, int uffd, uint32_t able, struct target *target)
{
    uint32_t number = free_number(pager);
    struct space *space = number < PAGER_SPACES_MAX ? calloc(1, sizeof *space) : NULL;
    errno = ENOMEM;
    if (space == NULL) return NULL;
    space->pager = pager;
    space->uffd = uffd;
    space->able = able;
    space->target = target;
    target->space = space;
    space->number = number;
    nearby_init(&space->nearby);
    list_init(&space->kin);
    int error = pagetable_init(&space->table) ? 0 : ENOMEM;
    if (error == 0 && (able & UFFD_PROTECT) == 0) error = ENOTSUP;
    if (error == 0) error = stage(space);
    if (error != 0) {
        pagetable_fini(&space->table);
        free(space);
        errno = error;
        return NULL;
    }
    pager->by_number[number] = space;
    list_push_back(&pager->spaces, &space->place);
    return space;
}

/* The child's own userfaultfd knows of nothing yet; where the kernel gave it, it knows already. */
static bool register_all(const struct space *space)
{
    for (size_t i = 0; i < space->mapping_count; i++) {
        const struct mapping *mapping = space->mappings[i];
        uint64_t start = mapping->start << UFFD_PAGE_SHIFT;
        uint64_t bytes = (mapping->end - mapping->start) << UFFD_PAGE_SHIFT;
        if (uffd_register(space->uffd, start, bytes, true) != 0) return false;
    }
    return true;
}

struct space *pager_adopt_child(struct space *parent, int uffd, uint32_t able,
                                struct target *target)
{
    struct space *child = pager_adopt(parent->pager, uffd, able, target);
    if (child == NULL) return NULL;
    share_begin(parent, child);
    if (space_fork_table(parent, child) && register_all(child)) {
        share_settle(child);
        share_settle(parent);
        return child;
    }
    child->target = NULL;
    child->uffd = -1;
    pager_release(child);
    errno = ENOMEM;
    return NULL;
}

static void drop_waiting(struct space *space)
{
    struct pager *pager = space->pager;
    for (struct list *at = pager->waiting.next; at != &pager->waiting;) {
        struct waiting *waiting = LIST_THING(at, struct waiting, place);
        at = at->next;
        if (waiting->space != space) continue;
        list_remove(&waiting->place);
        list_push_back(&pager->free_waiting, &waiting->place);
        pager->waiting_count--;
    }
}

void pager_release(struct space *space)
{
    struct pager *pager = space->pager;
    space->dead = true;
    if (space->target != NULL) space->target->table->destroy(space->target);
    fp_assert(space->orders == 0);
    leavers_forget(space);
    drop_waiting(space);
    wants_forget(space);
    pages_forget(space, 0, PAGETABLE_PAGES);
    share_end(space);
    if (space->uffd >= 0) (void)close(space->uffd);
    while (space->mapping_count > 0) mapping_remove(space, space->mapping_count - 1);
    free(space->mappings);
    free(space->moved_in.ranges);
    free(space->doubts.ranges);
    pagetable_fini(&space->table);
    pager->by_number[space->number] = NULL;
    list_remove(&space->place);
    free(space);
}

/* --- freezing --- */

static void tell_frozen(struct space *space)
{
    void (*frozen)(void *context) = space->frozen;
    if (space->orders > 0 || frozen == NULL) return;
    space->frozen = NULL;
    frozen(space->frozen_context);
}

void space_order_ended(struct space *space)
{
    fp_assert(space->orders > 0);
    space->orders--;
    if (space->freezes > 0) tell_frozen(space);
}

void space_freeze(struct space *space, void (*frozen)(void *context), void *context)
{
    space->freezes++;
    space->frozen = frozen;
    space->frozen_context = context;
    tell_frozen(space);
}

void space_thaw(struct space *space)
{
    fp_assert(space->freezes > 0);
    space->freezes--;
}

bool space_moves(const struct space *space)
{
    return space->staging != 0;
}

void space_set_context(struct space *space, void *context)
{
    space->context = context;
}

void *space_context(const struct space *space)
{
    return space->context;
}
