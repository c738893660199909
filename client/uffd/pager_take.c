/* SPDX-License-Identifier: BSD-3-Clause
 * Life of a leaver: a page that is to leave the program.
 *
 *   resident --TARGET_MOVE--> staged --read--> its bytes are kept elsewhere --TARGET_DROP--> free
 *                |   ^          |
 *                |   |          '--wanted back: moved or copied
 *                '---'  it could not be moved: resident as before
 *
 *   resident --protected, read, TARGET_DROP--> free          where there is no moving
 *
 * While the first or the last order is under way the page is PAGE_TAKEN: nobody knows whether it
 * is there, so who faults on it waits until the order is done. Until then the leaver holds the
 * page's slots.
 *
 * What is read is compared: zeros need no slot; bytes that the server has are not sent again. */
#include <errno.h>
#include <string.h>

#include "base/arith.h"
#include "base/check.h"
#include "client/uffd/pager_steps.h"

enum { AGAIN_NS = 1000000 };

uint64_t leaver_address(const struct leaver *leaver)
{
    return leaver->space->staging + ((uint64_t)leaver->index << UFFD_PAGE_SHIFT);
}

static struct page *owner_of(const struct leaver *leaver)
{
    return pagetable_find(&leaver->space->table, leaver->number);
}

static void leaver_free(struct pager *pager, struct leaver *leaver)
{
    if (leaver->kept != SLOT_NONE) slot_release(pager, leaver->kept);
    leaver->kept = SLOT_NONE;
    leaver->space->leaving--;
    leaver->space = NULL;
    list_push_back(&pager->free_leavers, &leaver->place);
}

static struct leaver *leaver_take(struct space *space, uint64_t number, struct page *page)
{
    struct pager *pager = space->pager;
    if (list_empty(&pager->free_leavers)) return NULL;
    uint32_t kept = page->index, slot = SLOT_NONE;
    if (kept != SLOT_NONE) {
        const struct slot *old = slots_at(&pager->slots, kept);
        bool alone = old->pages == 1 && !old->busy && !old->spoilt;
        if (alone && old->place == SLOT_NOWHERE) slot = kept;
    }
    if (slot == SLOT_NONE) slot = slots_take(&pager->slots);
    if (slot == SLOT_NONE) {
        pager_is_full(pager, FARPAGE_LIMIT, "the area on the server is too small: every slot of it "
                      "is in use");
        return NULL;
    }
    struct leaver *leaver = LIST_THING(pager->free_leavers.next, struct leaver, place);
    list_remove(&leaver->place);
    leaver->space = space;
    leaver->number = number;
    leaver->slot = slot;
    leaver->kept = slot != kept ? kept : SLOT_NONE;
    leaver->owned = true;
    leaver->unstaged = leaver->empty = false;
    leaver->shared = page->shared;
    leaver->free = page->free;
    leaver->removed = 0;
    leaver->state = LEAVER_TAKING;
    page->state = PAGE_TAKEN;
    page->index = leaver->index;
    page->stamp = queue_stamp(&pager->queue);
    space->resident--;
    space->leaving++;
    return leaver;
}

/* It could not be taken: the page is as it was. */
static void leaver_undo(struct leaver *leaver, struct page *page)
{
    struct pager *pager = leaver->space->pager;
    uint32_t slot = leaver->slot;
    slots_at(&pager->slots, slot)->place = SLOT_NOWHERE; /* a child may have looked for it there */
    page->state = PAGE_RESIDENT;
    page->index = leaver->kept;
    leaver->space->resident++;
    if (leaver->kept != SLOT_NONE)
        slot_release(pager, slot);
    else if (slots_stored(&pager->slots, slot))
        page->index = slot;
    else
        slot_release(pager, slot);
    leaver->kept = SLOT_NONE;
    leaver_free(pager, leaver);
    pager->look_again = true;
}

static struct order *order_take(struct space *space, enum target_order_kind kind,
                                void (*done)(struct target_order *order))
{
    struct pager *pager = space->pager;
    if (list_empty(&pager->free_orders)) return NULL;
    struct order *own = LIST_THING(pager->free_orders.next, struct order, place);
    list_remove(&own->place);
    own->space = space;
    own->order.kind = kind;
    own->order.count = 0;
    own->order.done = done;
    own->order.owner = own;
    space->orders++;
    return own;
}

static void order_end(struct order *own)
{
    struct space *space = own->space;
    list_push_back(&own->pager->free_orders, &own->place);
    space_order_ended(space);
}

static void order_give(struct order *own)
{
    if (own->order.count == 0)
        order_end(own);
    else
        own->space->target->table->give(own->space->target, &own->order);
}

static void order_add(struct order *own, const struct leaver *leaver, uint64_t from, uint64_t to)
{
    own->leavers[own->order.count] = leaver->index;
    own->order.pages[own->order.count++] = (struct target_page){.from = from, .to = to};
}

/* --- out of staging --- */

static void staging_dropped(struct target_order *order)
{
    struct order *own = order->owner;
    struct pager *pager = own->pager;
    for (uint32_t i = 0; i < order->count; i++) {
        leaver_free(pager, &pager->leavers[own->leavers[i]]);
    }
    pager_give_room(pager, order->count);
    order_end(own);
}

/* It is staged no more; its staging is to be dropped, by an order that is given. */
static void unstage(struct pager *pager, struct leaver *leaver)
{
    list_remove(&leaver->place);
    pager->staged--;
    leaver->state = LEAVER_GOING;
}

/* It holds no bytes that anybody needs; it goes with the others of this turn. */
static void drop_later(struct pager *pager, struct leaver *leaver)
{
    leaver->state = LEAVER_GOING;
    list_push_back(&pager->done_leavers, &leaver->place);
}

void leavers_drop(struct pager *pager)
{
    while (!list_empty(&pager->done_leavers)) {
        struct space *space = LIST_THING(pager->done_leavers.next, struct leaver, place)->space;
        struct order *own = order_take(space, TARGET_DROP, staging_dropped);
        if (own == NULL) return; /* every order is under way: when one is done */
        for (struct list *at = pager->done_leavers.next;
             at != &pager->done_leavers && own->order.count < TARGET_ORDER_PAGES;) {
            struct leaver *leaver = LIST_THING(at, struct leaver, place);
            at = at->next;
            if (leaver->space != space) continue;
            list_remove(&leaver->place);
            order_add(own, leaver, leaver_address(leaver), 0);
        }
        order_give(own);
    }
}

void leaver_returned(struct pager *pager, struct leaver *leaver)
{
    slots_at(&pager->slots, leaver->slot)->place = SLOT_NOWHERE;
    list_remove(&leaver->place);
    pager->staged--;
    leaver_free(pager, leaver);
}

void leaver_disown(struct pager *pager, struct leaver *leaver)
{
    leaver->owned = false;
    if (leaver->state != LEAVER_STAGED) return;
    struct slot *slot = slots_at(&pager->slots, leaver->slot);
    if (slot->pages > 1) return; /* others need it: it is sent as if nothing were */
    slot->place = SLOT_NOWHERE;
    unstage(pager, leaver);
    drop_later(pager, leaver);
}

/* The server has these bytes in the slot, or is about to. */
static bool slot_has(const struct pager *pager, uint32_t number, const struct fingerprint *bytes)
{
    const struct slot *slot = slots_at(&pager->slots, number);
    if (slot->place == SLOT_SENDING)
        return fingerprint_same(&pager->sendings[slot->index]->fingerprint, bytes);
    return slots_stored(&pager->slots, number) && fingerprint_same(&slot->fingerprint, bytes);
}

/* The bytes are in the sending's buffer: what becomes of them. True: the buffer is used. */
static bool place_bytes(struct pager *pager, struct leaver *leaver, struct sending *sending)
{
    struct slot *slot = slots_at(&pager->slots, leaver->slot);
    struct page *page = leaver->owned ? owner_of(leaver) : NULL;
    slot->place = SLOT_NOWHERE;
    if (page != NULL && slot->pages == 1 && fingerprint_of_zeros(sending->bytes)) {
        if (page->state == PAGE_AWAY) leaver->space->away--;
        page->state = page->state == PAGE_AWAY ? PAGE_UNTOUCHED : page->state;
        slots_drop(&pager->slots, leaver->slot);
        leaver->empty = true;
        pager->figures.dropped_zero++;
        return false;
    }
    sending->fingerprint = fingerprint_of(&pager->key, sending->bytes);
    if (slots_stored(&pager->slots, leaver->slot) &&
        fingerprint_same(&slot->fingerprint, &sending->fingerprint)) {
        pager->figures.dropped_clean++;
        return false;
    }
    if (page != NULL && leaver->kept != SLOT_NONE && slot->pages == 1 &&
        slot_has(pager, leaver->kept, &sending->fingerprint)) {
        slots_drop(&pager->slots, leaver->slot);
        leaver->slot = leaver->kept;
        leaver->kept = SLOT_NONE;
        if (page->state == PAGE_AWAY) page->index = leaver->slot;
        pager->figures.dropped_clean++;
        return false;
    }
    sending_begin(pager, sending, leaver->slot);
    return true;
}

static size_t oldest_of_a_space(struct pager *pager, struct leaver **chosen, size_t most)
{
    size_t count = 0;
    struct space *space = NULL;
    for (struct list *at = pager->staged_leavers.next;
         at != &pager->staged_leavers && count < most; at = at->next) {
        struct leaver *leaver = LIST_THING(at, struct leaver, place);
        if (space == NULL) space = leaver->space;
        if (leaver->space == space) chosen[count++] = leaver;
    }
    return count;
}

static size_t buffers_for(struct pager *pager, struct sending **sendings, size_t count, bool beyond)
{
    size_t got = 0;
    while (got < count && (sendings[got] = sending_take(pager, beyond)) != NULL) got++;
    return got;
}

static void give_buffer_back(struct pager *pager, struct sending *sending)
{
    list_init(&sending->place);
    sending_drop(pager, sending);
}

/* Copies the chosen of one space out of staging: how many. Their bytes are where they belong then.
 * */
static size_t copy_out(struct pager *pager, struct leaver **chosen, size_t count, bool beyond)
{
    struct sending *sendings[PAGER_STEP_PAGES];
    uint64_t addresses[PAGER_STEP_PAGES];
    uint8_t *into[PAGER_STEP_PAGES];
    size_t buffers = buffers_for(pager, sendings, count, beyond);
    for (size_t i = 0; i < buffers; i++) {
        addresses[i] = leaver_address(chosen[i]);
        into[i] = sendings[i]->bytes;
    }
    struct target *target = chosen[0]->space->target;
    bool read = buffers > 0 && target->table->read(target, addresses, into, buffers) == 0;
    for (size_t i = 0; i < buffers; i++) {
        bool used = read && chosen[i]->slot != SLOT_NONE &&
                    place_bytes(pager, chosen[i], sendings[i]);
        if (!used) give_buffer_back(pager, sendings[i]);
        if (read) chosen[i]->slot = SLOT_NONE;
    }
    return read ? buffers : 0;
}

static bool send_oldest(struct pager *pager)
{
    struct leaver *chosen[PAGER_STEP_PAGES];
    size_t count = oldest_of_a_space(pager, chosen, PAGER_STEP_PAGES);
    struct order *own =
        count > 0 ? order_take(chosen[0]->space, TARGET_DROP, staging_dropped) : NULL;
    if (own == NULL) return false;
    count = copy_out(pager, chosen, count, false);
    for (size_t i = 0; i < count; i++) {
        unstage(pager, chosen[i]);
        order_add(own, chosen[i], leaver_address(chosen[i]), 0);
    }
    order_give(own);
    return count > 0;
}

/* What was copied out is dropped with the others, when its turn comes. */
void leavers_flush(struct space *space)
{
    struct pager *pager = space->pager;
    struct leaver *chosen[PAGER_STEP_PAGES];
    for (size_t count = 1; count > 0;) {
        count = 0;
        for (struct list *at = pager->staged_leavers.next;
             at != &pager->staged_leavers && count < PAGER_STEP_PAGES; at = at->next) {
            struct leaver *leaver = LIST_THING(at, struct leaver, place);
            if (leaver->space == space && leaver->slot != SLOT_NONE) chosen[count++] = leaver;
        }
        if (count > 0) count = copy_out(pager, chosen, count, true);
    }
}

static void forget_all(struct space *space, struct list *list)
{
    struct pager *pager = space->pager;
    for (struct list *at = list->next; at != list;) {
        struct leaver *leaver = LIST_THING(at, struct leaver, place);
        at = at->next;
        if (leaver->space != space) continue;
        bool staged = leaver->state == LEAVER_STAGED;
        if (staged && leaver->slot != SLOT_NONE)
            slots_at(&pager->slots, leaver->slot)->place = SLOT_NOWHERE;
        pager->staged -= staged;
        list_remove(&leaver->place);
        leaver_free(pager, leaver);
        pager_give_room(pager, 1);
    }
}

/* The process is gone, and its staging with it. */
void leavers_forget(struct space *space)
{
    forget_all(space, &space->pager->staged_leavers);
    forget_all(space, &space->pager->done_leavers);
}

/* --- into staging --- */

/* Why a page could not be moved decides when it is tried again. */
static void not_moved(struct leaver *leaver, struct page *page, int error)
{
    struct space *space = leaver->space;
    uint64_t number = leaver->number;
    leaver_undo(leaver, page);
    if (error == ENOENT && page->missed) { /* nobody took it, and it is not there: so be it */
        if (page->index != SLOT_NONE) slot_release(space->pager, page->index);
        page->state = PAGE_UNTOUCHED;
        space->resident--;
        pager_give_room(space->pager, 1);
        return;
    }
    page->missed = error == ENOENT;
    /* Not writable; or shared since a fork. What is busy without one is pinned: a device may write
     * to it, whatever the protection, so it has to stay. */
    page->fixed = error == EINVAL || (error == EBUSY && space->forked);
    page_queue(space, number, page, QUEUE_KEPT);
}

static void moved_one(struct pager *pager, struct leaver *leaver, int error)
{
    struct page *page = owner_of(leaver);
    if (leaver->removed > 0) { /* forgotten meanwhile */
        uint32_t slot = leaver->slot;
        if (page->state == PAGE_TAKEN && page->index == leaver->index) page->state = PAGE_UNTOUCHED;
        if (error == 0 && slots_at(&pager->slots, slot)->pages == 1) {
            leaver->slot = SLOT_NONE;
            slots_drop(&pager->slots, slot);
            drop_later(pager, leaver);
        } else if (error == 0) { /* a fork's child still needs it */
            slots_drop(&pager->slots, slot);
            slots_at(&pager->slots, slot)->place = SLOT_LEAVING;
            slots_at(&pager->slots, slot)->index = leaver->index;
            leaver->owned = false;
            leaver->state = LEAVER_STAGED;
            list_push_back(&pager->staged_leavers, &leaver->place);
            pager->staged++;
        } else {
            slot_release(pager, slot);
            leaver_free(pager, leaver);
            pager_give_room(pager, 1);
        }
        return;
    }
    if (error != 0) {
        not_moved(leaver, page, error);
        return;
    }
    struct slot *slot = slots_at(&pager->slots, leaver->slot);
    slot->place = SLOT_LEAVING;
    slot->index = leaver->index;
    page->state = PAGE_AWAY;
    page->index = leaver->slot;
    leaver->space->away++;
    leaver->state = LEAVER_STAGED;
    list_push_back(&pager->staged_leavers, &leaver->place);
    pager->staged++;
    pager->figures.staged++;
}

static void moved(struct target_order *order)
{
    struct order *own = order->owner;
    struct pager *pager = own->pager;
    bool any = false, shared = false; /* shared: with a child, which may outlive this process */
    for (uint32_t i = 0; i < order->count; i++) {
        any = any || order->pages[i].error == 0;
        if (order->pages[i].error == ESRCH) own->space->dead = true;
        struct leaver *leaver = &pager->leavers[own->leavers[i]];
        shared = shared || slots_at(&pager->slots, leaver->slot)->pages > 1;
        moved_one(pager, leaver, order->pages[i].error);
    }
    if (!any) pager->take_again_ns = pager->now_ns + AGAIN_NS;
    pager->look_again = true;
    struct space *space = own->space;
    order_end(own);
    if (shared && !space->dead) leavers_flush(space);
}

/* --- where there is no moving --- */

/* Unless it is to stay so. */
static void unprotect(struct space *space, uint64_t number, const struct page *page)
{
    if (!page->shared)
        (void)!uffd_unprotect(space->uffd, address_of(number), UFFD_PAGE_BYTES);
}

static void dropped_one(struct pager *pager, struct leaver *leaver, int error)
{
    struct space *space = leaver->space;
    struct page *page = owner_of(leaver);
    bool mine = page->state == PAGE_TAKEN && page->index == leaver->index;
    uint64_t number = leaver->number;
    bool forgotten = leaver->removed > (error == 0 ? 1u : 0u);
    if (!forgotten && error != 0 && mine) { /* it is still there */
        if (!leaver->empty) {
            struct slot *slot = slots_at(&pager->slots, leaver->slot);
            if (slot->place == SLOT_SENDING && !slot->busy && slot->pages == 1)
                sending_cancel(pager, pager->sendings[slot->index]);
            page->state = PAGE_RESIDENT;
            page->index = leaver->slot;
        } else {
            page->state = PAGE_RESIDENT;
            page->index = SLOT_NONE;
        }
        space->resident++;
        if (!page->free) page_queue(space, number, page, QUEUE_KEPT);
        leaver_free(pager, leaver);
        unprotect(space, number, page);
        return;
    }
    if (forgotten && !leaver->empty) slot_release(pager, leaver->slot);
    if (mine) {
        page->state = forgotten || leaver->empty ? PAGE_UNTOUCHED : PAGE_AWAY;
        page->index = leaver->slot;
        space->away += page->state == PAGE_AWAY;
        page->shared = page->free = false;
    }
    share_leave(space, number, leaver->shared, leaver->free);
    leaver_free(pager, leaver);
    /* A writer that met the protection waits; the page is elsewhere now. */
    if (uffd_wake(space->uffd, address_of(number), UFFD_PAGE_BYTES) == ESRCH) space->dead = true;
}

static void dropped(struct target_order *order)
{
    struct order *own = order->owner;
    struct pager *pager = own->pager;
    bool any = false;
    for (uint32_t i = 0; i < order->count; i++) {
        any = any || order->pages[i].error == 0;
        if (order->pages[i].error == ESRCH) own->space->dead = true;
        dropped_one(pager, &pager->leavers[own->leavers[i]], order->pages[i].error);
    }
    if (!any) pager->take_again_ns = pager->now_ns + AGAIN_NS;
    pager->look_again = true;
    order_end(own);
}

/* Protects the page, copies it out, and adds it to the order that drops it. False with *stuck as it
 * was: this page cannot be read. */
static bool protect_out(struct space *space, uint64_t number, struct page *page,
                        struct order *own, bool *stuck)
{
    struct pager *pager = space->pager;
    struct sending *sending = sending_take(pager, false);
    *stuck = *stuck || sending == NULL;
    if (sending == NULL) return false;
    uint64_t address = address_of(number);
    int error = uffd_protect(space->uffd, address, UFFD_PAGE_BYTES);
    uint8_t *into = sending->bytes;
    bool read = error == 0 && space->target->table->read(space->target, &address, &into, 1) == 0;
    struct leaver *leaver = read ? leaver_take(space, number, page) : NULL;
    if (leaver == NULL) {
        *stuck = *stuck || read;
        give_buffer_back(pager, sending);
        if (error == 0) unprotect(space, number, page);
        if (error == ESRCH) space->dead = true;
        return false;
    }
    leaver->unstaged = true;
    leaver->state = LEAVER_GOING;
    if (!place_bytes(pager, leaver, sending)) give_buffer_back(pager, sending);
    if (leaver->shared && !leaver->empty) share_name_slot(space, number, leaver->slot);
    order_add(own, leaver, address, 0);
    pager->figures.staged++;
    return true;
}

/* --- whose turn it is --- */

struct taking {
    struct pager *pager;
    struct order *own;    /* of one space */
    uint32_t taken;
    bool stuck;           /* something has run out */
    bool passed_over;     /* a page that cannot go now */
};

static bool order_for(struct taking *taking, struct space *space, enum target_order_kind kind)
{
    struct order *own = taking->own;
    if (own != NULL && own->space == space && own->order.kind == kind) return true;
    if (own != NULL) order_give(own);
    taking->own = order_take(space, kind, kind == TARGET_MOVE ? moved : dropped);
    return taking->own != NULL;
}

static void take_one(struct taking *taking, struct space *space, uint64_t number)
{
    struct page *page = pagetable_find(&space->table, number);
    if (page == NULL || page->state != PAGE_RESIDENT || page->pins > 0) return;
    if (!space->target->ready) { /* its agent is still to come: it may need the page for that */
        taking->passed_over = true;
        if (!page->free) page_queue(space, number, page, QUEUE_KEPT);
        return;
    }
    bool done = false, moving = space->staging != 0 && !page->fixed && !page->shared;
    enum target_order_kind kind = moving ? TARGET_MOVE : TARGET_DROP;
    bool may = !taking->stuck && space->freezes == 0 && !space->dead;
    if (!may || !order_for(taking, space, kind)) {
        taking->stuck = true;
    } else if (!moving) {
        done = protect_out(space, number, page, taking->own, &taking->stuck);
    } else {
        struct leaver *leaver = leaver_take(space, number, page);
        done = leaver != NULL;
        taking->stuck = !done;
        if (done) order_add(taking->own, leaver, address_of(number), leaver_address(leaver));
    }
    taking->taken += done;
    if (done) return;
    taking->passed_over = true;
    if (!page->free) page_queue(space, number, page, QUEUE_KEPT);
}

/* What others share of the run goes with it: only then there is more room. */
static void take_with(struct taking *taking, struct space *space, uint64_t first, uint32_t count)
{
    for (struct space *kin = NULL; (kin = share_next_kin(space, kin)) != NULL;) {
        for (uint32_t i = 0; i < count; i++) {
            const struct page *page = pagetable_find(&space->table, first + i);
            const struct page *twin = pagetable_find(&kin->table, first + i);
            bool goes = page != NULL && page->state == PAGE_TAKEN && page->shared;
            if (goes && twin != NULL && twin->free) take_one(taking, kin, first + i);
        }
    }
}

static void queue_unqueued(void *context, uint64_t number, struct page *page)
{
    if (page->state == PAGE_RESIDENT && !page->queued && page->pins == 0 && !page->free)
        page_queue(context, number, page, QUEUE_KEPT);
}

/* The queue is empty, yet too much is resident: what found no memory to be queued is now. */
static void sweep_tables(struct pager *pager)
{
    if (pager->swept_tables) return;
    for (struct list *at = pager->spaces.next; at != &pager->spaces; at = at->next) {
        struct space *space = LIST_THING(at, struct space, place);
        pagetable_each(&space->table, 0, PAGETABLE_PAGES, queue_unqueued, space);
    }
    pager->swept_tables = true;
}

static void take_queued(struct taking *taking, uint32_t most)
{
    struct pager *pager = taking->pager;
    struct queue_run run;
    if (!queue_take(&pager->queue, most, &run)) {
        sweep_tables(pager);
        taking->stuck = true;
        return;
    }
    struct space *space = pager->by_number[run.first >> PAGER_SPACE_SHIFT];
    uint64_t first = run.first & ((1ull << PAGER_SPACE_SHIFT) - 1);
    for (uint32_t i = 0; i < run.count && space != NULL; i++) {
        struct page *page = pagetable_find(&space->table, first + i);
        if (page == NULL) continue;
        page->queued = false;
        if (!page->free) take_one(taking, space, first + i);
    }
    if (space != NULL) take_with(taking, space, first, run.count);
}

static bool take_some(struct pager *pager)
{
    struct taking taking = {.pager = pager};
    struct space *space;
    uint64_t number;
    for (unsigned looks = 0; taking.taken < PAGER_STEP_PAGES && !taking.stuck && looks < 64;
         looks++) {
        if (dismissed_next(pager, &space, &number)) {
            take_one(&taking, space, number);
            take_with(&taking, space, number, 1);
        }
        else
            take_queued(&taking, PAGER_STEP_PAGES - taking.taken);
    }
    bool any = taking.taken > 0 || (!taking.stuck && !taking.passed_over);
    if (taking.own != NULL) order_give(taking.own);
    return any;
}

bool take_step(struct pager *pager)
{
    uint64_t limit = pager_limit(pager), resident = pager_resident(pager);
    if (resident > limit - pager->reserve) pager->evicting = true;
    if (resident <= limit - 2 * pager->reserve) pager->evicting = false;
    if (!pager->evicting || pager->now_ns < pager->take_again_ns) return false;
    bool did = pager->staged < pager->staged_wanted && take_some(pager);
    bool urgent = resident > limit - pager->reserve / 2;
    if (pager->staged >= pager->staged_wanted || urgent || !did) did = send_oldest(pager) || did;
    if (!did) pager->take_again_ns = pager->now_ns + AGAIN_NS;
    return did;
}
