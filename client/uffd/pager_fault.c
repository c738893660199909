/* SPDX-License-Identifier: BSD-3-Clause
 * A fault is served by what the page is now, whatever it was when the thread met it: so it may be
 * looked at twice, or after something else has served it, and the answer is the same: the page is
 * there and who waits is woken. What cannot be served yet waits, and is looked at again.
 *
 * Never is a page filled with zeros that the pager knows to have had bytes; and where one seems to
 * be there, yet a thread misses it, the kernel decides: it fills in zeros only where nothing is. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/arith.h"
#include "base/clock.h"
#include "client/uffd/pager_steps.h"

void fault_wake(struct space *space, uint64_t number)
{
    int error = uffd_wake(space->uffd, address_of(number), UFFD_PAGE_BYTES);
    if (error == ESRCH) space->dead = true;
}

void fault_figure(struct space *space, const struct fault *fault, enum figures_fault kind)
{
    if (fault->told_ns == 0) return;
    histogram_add(&space->pager->figures.faults_ns[kind], clock_monotonic_ns() - fault->told_ns);
}

void page_queue(struct space *space, uint64_t number, struct page *page, enum queue_part part)
{
    if (page->queued) return;
    uint64_t queued = (uint64_t)space->number << PAGER_SPACE_SHIFT | number;
    page->queued = queue_push(&space->pager->queue, part, queued, 1);
    if (page->queued) space->pager->swept_tables = false;
}

static void arrived(struct space *space, uint64_t number, struct page *page, uint32_t kept,
                    enum queue_part part)
{
    page->state = PAGE_RESIDENT;
    page->index = kept;
    page->missed = page->fixed = false;
    page->shared = page->free = false;
    space->resident++;
    page_queue(space, number, page, part);
}

void page_arrived(struct space *space, uint64_t number, struct page *page, uint32_t kept)
{
    bool fresh = page->state == PAGE_UNTOUCHED || page->state == PAGE_LOST;
    const struct queue *queue = &space->pager->queue;
    arrived(space, number, page, kept, fresh ? QUEUE_FRESH : queue_part_back(queue, page->stamp));
}

void page_arrived_walked(struct space *space, uint64_t number, struct page *page, uint32_t kept)
{
    arrived(space, number, page, kept, queue_part_walked(&space->pager->queue, number));
}

/* --- first touches --- */

/* How many pages beside `number`, at most so many and on one side, were never touched either. */
static uint64_t untouched_beside(struct space *space, uint64_t number, int64_t step, uint64_t most)
{
    struct mapping *mapping = space_mapping(space, number);
    if (mapping == NULL) return 0;
    uint64_t room = step > 0 ? mapping->end - 1 - number : number - mapping->start;
    uint64_t count = 0, end = min_u64(most, room);
    for (; count < end; count++) {
        uint64_t next = number + (uint64_t)step * (count + 1);
        struct page *page = pagetable_make(&space->table, next);
        if (page == NULL || page->state != PAGE_UNTOUCHED) break;
    }
    return count;
}

/* What is filled for a fault: the page, and those that the walk it is part of comes to next. */
static struct range fill_range(struct space *space, uint64_t number)
{
    struct pager *pager = space->pager;
    struct range range = {number, number + 1};
    struct mapping *mapping = space_mapping(space, number);
    if (mapping == NULL || pager->options.prefetch_pages_max == 0) return range;
    uint64_t most = pager_limit(pager) - pager->reserve / 4, resident = pager_resident(pager);
    uint32_t room = resident < most ? (uint32_t)min_u64(most - resident, UINT32_MAX) : 0;
    struct trend_run run = trend_fault(&mapping->first, number, room);
    if (run.stride == 1) range.end += untouched_beside(space, number, 1, run.count);
    if (run.stride == -1) range.first -= untouched_beside(space, number, -1, run.count);
    return range;
}

/* The kernel filled in [first, end), or said that the page is there. */
static void filled(struct space *space, uint64_t first, uint64_t end)
{
    for (uint64_t number = first; number < end; number++) {
        struct page *page = pagetable_find(&space->table, number);
        if (page->state == PAGE_UNTOUCHED) page_arrived(space, number, page, SLOT_NONE);
    }
}

/* As many of the range as the kernel fills in, from its first on, waking who waits. */
static uint64_t fill_in(struct space *space, struct range range, int *error)
{
    struct uffd_done done = uffd_zero(space->uffd, address_of(range.first),
                                      (range.end - range.first) << UFFD_PAGE_SHIFT, UFFD_WAKE);
    uint64_t made = done.bytes >> UFFD_PAGE_SHIFT;
    *error = made < range.end - range.first ? done.error : 0;
    filled(space, range.first, range.first + made);
    pager_give_room(space->pager, range.end - range.first - made);
    return made;
}

static bool fill_one(struct space *space, const struct fault *fault)
{
    struct pager *pager = space->pager;
    struct range one = {fault->number, fault->number + 1};
    if (!pager_take_room(pager, 1, pager_limit(pager))) return false;
    int error;
    if (fill_in(space, one, &error) == 1) {
        fault_figure(space, fault, FIGURES_FIRST);
        return true;
    }
    if (error == EEXIST) { /* it was there before it was covered */
        (void)!pager_take_room(pager, 1, UINT64_MAX / 2);
        filled(space, one.first, one.end);
        fault_wake(space, fault->number);
        fault_figure(space, fault, FIGURES_THERE);
        return true;
    }
    if (error == EAGAIN || error == ENOMEM) return false;
    fault_wake(space, fault->number); /* the mapping is gone; let the thread see for itself */
    return true;
}

static bool fill(struct space *space, const struct fault *fault)
{
    struct pager *pager = space->pager;
    struct range range = fill_range(space, fault->number);
    uint64_t count = range.end - range.first;
    if (count == 1 || !pager_take_room(pager, count, pager_limit(pager)))
        return fill_one(space, fault);
    int error;
    uint64_t made = fill_in(space, range, &error);
    bool demanded = fault->number < range.first + made;
    pager->figures.zeroed_ahead += made - demanded;
    if (!demanded) return fill_one(space, fault);
    fault_figure(space, fault, FIGURES_FIRST);
    return true;
}

/* The pager thinks that it is there. It may be on its way to this thread, or the kernel may have
 * given it up: then it was worth zeros. */
static bool there(struct space *space, const struct fault *fault)
{
    struct uffd_done done = uffd_zero(space->uffd, address_of(fault->number), UFFD_PAGE_BYTES,
                                      UFFD_WAKE);
    if (done.error == EAGAIN || done.error == ENOMEM) return false;
    if (done.error != 0) fault_wake(space, fault->number);
    fault_figure(space, fault, FIGURES_THERE);
    return true;
}

/* --- pages that are away --- */

/* One page of the run that a walk comes to next. False: there is no room for more. */
static bool fetch_along(struct space *space, uint64_t number, enum load_why why, struct back *back)
{
    struct pager *pager = space->pager;
    struct page *page = pagetable_find(&space->table, number);
    if (page == NULL || page->state != PAGE_AWAY) return true;
    const struct slot *slot = slots_at(&pager->slots, page->index);
    if (slot->place != SLOT_NOWHERE) {
        back_add(back, number);
        return true;
    }
    if (!slots_stored(&pager->slots, page->index)) return true;
    if (!pager_take_room(pager, 1, back->most)) return false;
    if (load_begin(space, number, page, why)) return true;
    pager_give_room(pager, 1);
    return false;
}

static void fetch_run(struct space *space, const struct mapping *mapping,
                      const struct trend_run *run, struct back *back)
{
    for (uint32_t i = 0; i < run->count; i++) {
        uint64_t ahead = run->first + (uint64_t)run->stride * i;
        if (ahead < mapping->start || ahead >= mapping->end) return;
        if (!fetch_along(space, ahead, LOAD_WALKED, back)) return;
    }
}

/* Nobody walks there, but more of the same block may be wanted soon. */
static void fetch_nearby(struct space *space, const struct mapping *mapping, uint64_t number,
                         struct back *back)
{
    if (!nearby_fault(&space->nearby, number)) return;
    uint64_t first = number - number % NEARBY_PAGES;
    uint16_t away = 0;
    for (unsigned i = 0; i < NEARBY_PAGES; i++) {
        if (first + i < mapping->start || first + i >= mapping->end) continue;
        const struct page *page = pagetable_find(&space->table, first + i);
        if (page != NULL && page->state == PAGE_AWAY) away |= (uint16_t)(1u << i);
    }
    uint16_t chosen = nearby_choose(&space->nearby, number, away);
    for (unsigned i = 0; i < NEARBY_PAGES; i++) {
        if ((chosen >> i & 1) == 0) continue;
        if (!fetch_along(space, first + i, LOAD_NEARBY, back)) return;
    }
}

static void count_right(struct space *space, const struct mapping *mapping, int sign)
{
    struct figures *figures = &space->pager->figures;
    uint64_t used = mapping->remote.used + space->nearby.used;
    uint64_t wasted = mapping->remote.wasted + space->nearby.wasted;
    figures->prefetch_used += sign > 0 ? used : -used;
    figures->prefetch_wasted += sign > 0 ? wasted : -wasted;
}

static void fetch_ahead(struct space *space, uint64_t number)
{
    struct pager *pager = space->pager;
    struct mapping *mapping = space_mapping(space, number);
    if (mapping == NULL || pager->options.prefetch_pages_max == 0) return;
    uint64_t most = pager_limit(pager) - pager->reserve / 4, resident = pager_resident(pager);
    uint64_t room = resident < most ? most - resident : 0;
    size_t spare = pager->free_load_count;
    room = min_u64(room, spare > PAGER_LOADS_DEMANDED ? spare - PAGER_LOADS_DEMANDED : 0);
    struct back back = {.space = space, .most = most};
    count_right(space, mapping, -1);
    struct trend_run run = trend_fault(&mapping->remote, number, (uint32_t)room);
    if (run.count > 0) fetch_run(space, mapping, &run, &back);
    else if (room > 0) fetch_nearby(space, mapping, number, &back);
    count_right(space, mapping, 1);
    back_bring(&back);
}

static bool fetch_demanded(struct space *space, const struct fault *fault, struct page *page)
{
    struct pager *pager = space->pager;
    uint32_t number = page->index;
    const struct slot *slot = slots_at(&pager->slots, number);
    if (slot->place != SLOT_NOWHERE) return back_demanded(space, fault, page);
    if (!slots_stored(&pager->slots, number)) {
        if (slot->busy || pager->renewing) return false;
        struct pager_notice notice = {
            .kind = PAGER_LOST, .pid = space->target->pid, .address = address_of(fault->number),
            .status = FARPAGE_LOST,
            .text = "the server was started anew, or lost the area, and the page with it"};
        pager_tell(pager, &notice);
        page_lose(space, fault->number, page);
        return false;
    }
    if (!pager_take_room(pager, 1, pager_limit(pager))) return false;
    if (!load_begin(space, fault->number, page, LOAD_DEMANDED)) {
        pager_give_room(pager, 1);
        return false;
    }
    load_demand(pager, &pager->loads[page->index], fault);
    return true;
}

static bool fetch(struct space *space, const struct fault *fault, struct page *page)
{
    if (!fetch_demanded(space, fault, page)) return false;
    fetch_ahead(space, fault->number);
    return true;
}

/* --- what is lost --- */

void page_lose(struct space *space, uint64_t number, struct page *page)
{
    if (page->state == PAGE_AWAY) {
        space->away--;
        slot_release(space->pager, page->index);
    }
    page->state = PAGE_LOST;
    page->index = SLOT_NONE;
    (void)number;
}

static void lost_done(struct target_order *order)
{
    struct order *own = order->owner;
    uint64_t number = number_of(order->pages[0].from);
    if (own->space != NULL) {
        fault_wake(own->space, number);
        space_order_ended(own->space);
    }
    list_push_back(&own->pager->free_orders, &own->place);
}

/* Without UFFD_POISON the owner puts something over the page that raises SIGBUS. It is lost until
 * the event comes that it was unmapped by that. */
static bool lose_by_order(struct space *space, uint64_t number)
{
    struct pager *pager = space->pager;
    if (list_empty(&pager->free_orders)) return false;
    struct order *own = LIST_THING(pager->free_orders.next, struct order, place);
    list_remove(&own->place);
    own->space = space;
    own->order = (struct target_order){
        .kind = TARGET_LOSE, .count = 1, .done = lost_done, .owner = own};
    own->order.pages[0].from = address_of(number);
    space->orders++;
    space->target->table->give(space->target, &own->order);
    return true;
}

static bool poison(struct space *space, const struct fault *fault)
{
    if ((space->able & UFFD_POISON) == 0) return lose_by_order(space, fault->number);
    int error = uffd_poison(space->uffd, address_of(fault->number), UFFD_PAGE_BYTES);
    if (error == EAGAIN || error == ENOMEM) return false;
    if (error == ESRCH) space->dead = true;
    fault_wake(space, fault->number);
    return true;
}

/* --- all of it --- */

static bool serve_write(struct space *space, const struct fault *fault, struct page *page)
{
    if (page != NULL && page->state == PAGE_TAKEN) return false;
    uint64_t limit = fault->overdue ? UINT64_MAX / 2 : pager_limit(space->pager);
    if (page != NULL && page->shared && !share_split(space, fault->number, page, limit))
        return false;
    int error = uffd_unprotect(space->uffd, address_of(fault->number), UFFD_PAGE_BYTES);
    if (error == EAGAIN) return false;
    if (error != 0) fault_wake(space, fault->number);
    fault_figure(space, fault, FIGURES_WRITE);
    return true;
}

bool fault_serve(struct space *space, const struct fault *fault)
{
    struct page *page = pagetable_make(&space->table, fault->number);
    if (fault->protection) return serve_write(space, fault, page);
    if (page == NULL) return false;
    switch ((enum page_state)page->state) {
    case PAGE_UNTOUCHED: return fill(space, fault);
    case PAGE_RESIDENT: return there(space, fault);
    case PAGE_TAKEN: return false;
    case PAGE_AWAY: return fetch(space, fault, page);
    case PAGE_LOADING:
        load_demand(space->pager, &space->pager->loads[page->index], fault);
        return true;
    case PAGE_LOST: return poison(space, fault);
    }
    return false;
}

void fault_take(struct space *space, const struct fault *fault)
{
    struct pager *pager = space->pager;
    if (fault_serve(space, fault)) return;
    struct waiting *waiting;
    if (!list_empty(&pager->free_waiting)) {
        waiting = LIST_THING(pager->free_waiting.next, struct waiting, place);
        list_remove(&waiting->place);
    } else {
        waiting = malloc(sizeof *waiting);
        if (waiting == NULL) { /* it comes again at once, and finds memory or not */
            fault_wake(space, fault->number);
            return;
        }
    }
    pager->waited_ns = pager->now_ns;
    waiting->space = space;
    waiting->fault = *fault;
    list_push_back(&pager->waiting, &waiting->place);
    pager->waiting_count++;
    pager->figures.waited++;
}

/* There was no room for the grace: nobody gives any back. */
static void crowded(struct space *space, const struct fault *fault)
{
    struct page *page = pagetable_find(&space->table, fault->number);
    if (page == NULL || (page->state != PAGE_UNTOUCHED && page->state != PAGE_AWAY)) return;
    struct pager_notice notice = {
        .kind = PAGER_CROWDED, .pid = space->target->pid, .address = address_of(fault->number),
        .status = FARPAGE_NO_MEMORY,
        .text = "there is no room for the page, neither here nor on the server"};
    pager_tell(space->pager, &notice);
    page_lose(space, fault->number, page);
}

void fault_look_again(struct pager *pager)
{
    struct list again;
    pager->look_again = false;
    list_init(&again);
    list_splice_front(&again, &pager->waiting);
    uint64_t grace_ns = pager->options.grace_ms * 1000000ull;
    while (!list_empty(&again)) {
        struct waiting *waiting = LIST_THING(again.next, struct waiting, place);
        list_remove(&waiting->place);
        if (waiting->space->dead || fault_serve(waiting->space, &waiting->fault)) {
            pager->waiting_count--;
            list_push_back(&pager->free_waiting, &waiting->place);
            continue;
        }
        list_push_back(&pager->waiting, &waiting->place);
        if (pager->now_ns - waiting->fault.told_ns > grace_ns &&
            pager->now_ns > waiting->fault.told_ns) {
            waiting->fault.overdue = true; /* a copy of what is shared is made all the same */
            crowded(waiting->space, &waiting->fault);
        }
    }
}
