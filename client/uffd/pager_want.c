/* SPDX-License-Identifier: BSD-3-Clause
 * Hints and pins: ranges that are walked a few pages a turn, so that no fault waits for a hint. A
 * want never waits by itself; a pin's is over when all of its pages are there, in their order. */
#include <errno.h>
#include <stdlib.h>

#include "client/uffd/pager_steps.h"

enum { PINS_MAX = 255 };

static void want_end(struct pager *pager, struct want *want, int error)
{
    (void)pager;
    list_remove(&want->place);
    if (want->done != NULL) want->done(want->context, error);
    free(want);
}

/* True: the page is there, or need not be; false: it is on its way, or must be asked for later. */
static bool bring(struct want *want, uint64_t number)
{
    struct space *space = want->space;
    struct page *page = pagetable_find(&space->table, number);
    if (page == NULL) return !want->pin;
    switch ((enum page_state)page->state) {
    case PAGE_RESIDENT: return true;
    case PAGE_LOST: want->failed = true; return true;
    case PAGE_LOADING: return false;
    case PAGE_UNTOUCHED:
        if (!want->pin) return true;
        break;
    case PAGE_AWAY:
    case PAGE_TAKEN: break;
    }
    struct fault fault = {.number = number}; /* nobody waits for it: it is in no figure */
    if (!fault_serve(space, &fault)) return false;
    page = pagetable_find(&space->table, number);
    return page->state == PAGE_RESIDENT;
}

static bool no_room_ahead(const struct pager *pager)
{
    return pager_resident(pager) >= pager_limit(pager) - pager->reserve;
}

/* Pages behind the first that is not there are asked for too: so many are on the way at once. */
static bool walk(struct pager *pager, struct want *want)
{
    bool waits = false, moved = false;
    uint64_t end = want->number + PAGER_LOADS / 2;
    for (uint64_t number = want->number, steps = 0;
         number < want->end && number < end && steps < PAGER_STEP_PAGES; number++, steps++) {
        if (pager->free_load_count <= PAGER_LOADS_DEMANDED) return moved;
        if (!want->pin && no_room_ahead(pager)) {
            want->number = want->end; /* a hint is no order */
            return false;
        }
        bool there = bring(want, number);
        waits = waits || !there;
        if (!waits) {
            want->number = number + 1;
            moved = true;
        }
    }
    return moved;
}

bool want_step(struct pager *pager)
{
    bool more = false;
    for (struct list *at = pager->wants.next; at != &pager->wants;) {
        struct want *want = LIST_THING(at, struct want, place);
        at = at->next;
        more = walk(pager, want) || more;
        if (want->number >= want->end) want_end(pager, want, want->failed ? EIO : 0);
    }
    return more;
}

void wants_forget(struct space *space)
{
    struct pager *pager = space->pager;
    for (struct list *at = pager->wants.next; at != &pager->wants;) {
        struct want *want = LIST_THING(at, struct want, place);
        at = at->next;
        if (want->space == space) want_end(pager, want, EIO);
    }
    for (struct list *at = pager->dismissals.next; at != &pager->dismissals;) {
        struct dismissal *dismissal = LIST_THING(at, struct dismissal, place);
        at = at->next;
        if (dismissal->space != space) continue;
        list_remove(&dismissal->place);
        free(dismissal);
    }
}

bool dismissed_next(struct pager *pager, struct space **space, uint64_t *number)
{
    while (!list_empty(&pager->dismissals)) {
        struct dismissal *first = LIST_THING(pager->dismissals.next, struct dismissal, place);
        if (first->number < first->end) {
            *space = first->space;
            *number = first->number++;
            return true;
        }
        list_remove(&first->place);
        free(first);
    }
    return false;
}

static bool covered(struct space *space, uint64_t start, uint64_t end)
{
    return start < end && (start | end) % UFFD_PAGE_BYTES == 0 && space_covers(space, start) &&
           space_covers(space, end - UFFD_PAGE_BYTES);
}

static void unpin_one(void *context, uint64_t number, struct page *page)
{
    struct space *space = context;
    if (page->pins == 0) return;
    if (--page->pins == 0) space->pager->pinned--;
    if (page->pins == 0 && page->state == PAGE_RESIDENT)
        page_queue(space, number, page, QUEUE_KEPT);
}

static struct want *want_make(struct space *space, uint64_t start, uint64_t end)
{
    struct want *want = calloc(1, sizeof *want);
    if (want == NULL) return NULL;
    want->space = space;
    want->number = number_of(start);
    want->end = number_of(end);
    list_push_back(&space->pager->wants, &want->place);
    return want;
}

int space_hint(struct space *space, enum space_hint hint, uint64_t start, uint64_t end)
{
    if (!covered(space, start, end)) return EINVAL;
    switch (hint) {
    case SPACE_WILL_NEED: return want_make(space, start, end) != NULL ? 0 : ENOMEM;
    case SPACE_UNPIN:
        pagetable_each(&space->table, number_of(start), number_of(end), unpin_one, space);
        return 0;
    case SPACE_WILL_NOT_NEED: {
        struct dismissal *dismissal = calloc(1, sizeof *dismissal);
        if (dismissal == NULL) return ENOMEM;
        dismissal->space = space;
        dismissal->number = number_of(start);
        dismissal->end = number_of(end);
        list_push_back(&space->pager->dismissals, &dismissal->place);
        return 0;
    }
    }
    return EINVAL;
}

int space_pin(struct space *space, uint64_t start, uint64_t end,
              void (*done)(void *context, int error), void *context)
{
    struct pager *pager = space->pager;
    if (!covered(space, start, end)) return EINVAL;
    uint64_t pages = (end - start) >> UFFD_PAGE_SHIFT;
    uint64_t most = pager_limit(pager) - 2 * pager->reserve - pager->staged_wanted;
    if (pager->pinned + pages > most / 2) return EDQUOT;
    for (uint64_t i = 0; i < pages; i++) {
        struct page *page = pagetable_make(&space->table, number_of(start) + i);
        if (page == NULL || page->pins == PINS_MAX) {
            pagetable_each(&space->table, number_of(start), number_of(start) + i, unpin_one, space);
            return page == NULL ? ENOMEM : EDQUOT;
        }
        if (page->pins++ == 0) pager->pinned++;
    }
    struct want *want = want_make(space, start, end);
    if (want == NULL) {
        pagetable_each(&space->table, number_of(start), number_of(end), unpin_one, space);
        return ENOMEM;
    }
    want->pin = true;
    want->done = done;
    want->context = context;
    return 0;
}
