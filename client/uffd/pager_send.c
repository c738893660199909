/* SPDX-License-Identifier: BSD-3-Clause
 * Life of what is sent: copied out of the program -> on the way -> acknowledged, and only then
 * does the server have it. Refused for want of room, or not answered, it stays in its buffer and
 * is sent again: there is no other copy. Whoever wants it meanwhile gets it from the buffer.
 *
 * A store that timed out may still be carried out one day: its slot is sent the same bytes again,
 * and is spoilt for any others. */
#include <stdio.h>
#include <stdlib.h>

#include "base/arith.h"
#include "base/clock.h"
#include "client/renewal.h"
#include "client/uffd/pager_steps.h"

enum {
    AGAIN_NS = 50000000,
    ACCEPTED_TO_TELL = 256,   /* stores in a row, until a full server is said to have room, */
    ACCEPTED_ENOUGH = 1024,   /* and until kept copies are left there again */
    SWEEP_PAGES = 256,        /* pieces of garbage that are invalidated together, */
    SWEEP_NS = 100000000,     /* or fewer after so long */
};

struct sending *sending_take(struct pager *pager, bool beyond)
{
    if (list_empty(&pager->free_sendings)) {
        if (pager->sending_count >= PAGER_SENDINGS && !beyond) return NULL;
        if (pager->sending_count == pager->sending_room) {
            size_t room = pager->sending_room * 2 + 64;
            struct sending **more = realloc(pager->sendings, room * sizeof *more);
            if (more == NULL) return NULL;
            pager->sendings = more;
            pager->sending_room = room;
        }
        struct sending *made = calloc(1, sizeof *made);
        if (made != NULL) made->bytes = aligned_alloc(UFFD_PAGE_BYTES, UFFD_PAGE_BYTES);
        if (made == NULL || made->bytes == NULL) {
            free(made);
            return NULL;
        }
        made->pager = pager;
        made->index = (uint32_t)pager->sending_count;
        pager->sendings[pager->sending_count++] = made;
        pager->free_sending_count++;
        list_push_back(&pager->free_sendings, &made->place);
    }
    struct sending *sending = LIST_THING(pager->free_sendings.next, struct sending, place);
    list_remove(&sending->place);
    pager->free_sending_count--;
    return sending;
}

void sending_drop(struct pager *pager, struct sending *sending)
{
    list_remove(&sending->place);
    list_push_front(&pager->free_sendings, &sending->place);
    pager->free_sending_count++;
    pager->look_again = true;
}

void sending_cancel(struct pager *pager, struct sending *sending)
{
    slots_at(&pager->slots, sending->slot)->place = SLOT_NOWHERE;
    sending_drop(pager, sending);
}

static void accepted(struct pager *pager)
{
    if (!pager->full && !pager->exclusive) return;
    pager->accepted++;
    if (pager->full && pager->accepted >= ACCEPTED_TO_TELL) {
        pager->full = false;
        struct pager_notice notice = {.kind = PAGER_ROOM, .text = "the server takes pages again"};
        pager_tell(pager, &notice);
    }
    if (pager->accepted >= ACCEPTED_ENOUGH) pager->exclusive = false;
}

void pager_is_full(struct pager *pager, enum farpage_status status, const char *text)
{
    pager->accepted = 0;
    if (pager->full) return;
    pager->full = true;
    struct pager_notice notice = {.kind = PAGER_FULL, .status = status, .text = text};
    pager_tell(pager, &notice);
    if (!pager->exclusive) {
        pager->exclusive = true;
        slots_give_up_kept(pager);
    }
}

static void refused(struct pager *pager, const struct farpage_answer *answer)
{
    pager->accepted = 0;
    if (answer->status == FARPAGE_LOST) pager_new_life(pager);
    bool no_room = answer->status == FARPAGE_NO_MEMORY || answer->status == FARPAGE_QUOTA ||
                   answer->status == FARPAGE_LIMIT;
    if (!no_room) return;
    char text[256];
    (void)snprintf(text, sizeof text, "the server takes no more pages: %.180s", answer->why);
    pager_is_full(pager, answer->status, text);
}

static void answered(void *context, const struct farpage_answer *answer)
{
    struct sending *sending = context;
    struct pager *pager = sending->pager;
    uint32_t number = sending->slot;
    struct slot *slot = slots_at(&pager->slots, number);
    list_remove(&sending->place);
    if (answer->status == FARPAGE_TIMEOUT || answer->status == FARPAGE_DISCONNECTED)
        slot->spoilt = true;
    if (answer->status == FARPAGE_OK) {
        slots_store(&pager->slots, number, &sending->fingerprint);
        accepted(pager);
    } else {
        refused(pager, answer);
    }
    if (answer->status == FARPAGE_OK || slot->pages == 0 || pager->ending) {
        slot->place = SLOT_NOWHERE;
        sending_drop(pager, sending);
        pager->look_again = true;
    } else {
        sending->again_ns = pager->now_ns + AGAIN_NS;
        list_push_back(&pager->refused, &sending->place);
    }
    slots_answered(&pager->slots, number);
}

static bool submit(struct pager *pager, struct sending *sending)
{
    struct farpage_request request = {
        .kind = FARPAGE_OP_STORE, .slot = sending->slot, .page = sending->bytes,
        .timeout_ms = pager->options.grace_ms};
    if (farpage_submit(pager->area, &request, answered, sending) != FARPAGE_OK) return false;
    struct slot *slot = slots_at(&pager->slots, sending->slot);
    slot->busy = true;
    slot->stored = false;
    list_remove(&sending->place);
    list_push_back(&pager->sending, &sending->place);
    pager->submitted++;
    pager->figures.stored++;
    return true;
}

void sending_begin(struct pager *pager, struct sending *sending, uint32_t number)
{
    struct slot *slot = slots_at(&pager->slots, number);
    sending->slot = number;
    slot->place = SLOT_SENDING;
    slot->index = sending->index;
    list_init(&sending->place);
    if (!pager->renewing && !pager->ending && submit(pager, sending)) return;
    sending->again_ns = pager->now_ns + AGAIN_NS;
    list_push_back(&pager->refused, &sending->place);
}

/* The area is opened again, as it is now: whatever it had is lost, what is here is sent anew. That
 * is not waited for: requests are, and whoever asks for nothing from there is served meanwhile. */
static void renew(struct pager *pager)
{
    area_renew_begin(pager->area);
    pager->renewing = false;
    pager->look_again = true;
}

void sending_again(struct pager *pager)
{
    if (pager->renewing) renew(pager);
    for (struct list *at = pager->refused.next; at != &pager->refused;) {
        struct sending *sending = LIST_THING(at, struct sending, place);
        at = at->next;
        if (pager->now_ns < sending->again_ns) return;
        if (!submit(pager, sending)) return;
    }
}

void slot_release(struct pager *pager, uint32_t number)
{
    struct slot *slot = slots_at(&pager->slots, number);
    if (slot->pages == 1 && !slot->busy) {
        if (slot->place == SLOT_SENDING) sending_cancel(pager, pager->sendings[slot->index]);
        if (slot->place == SLOT_LEAVING) leaver_disown(pager, &pager->leavers[slot->index]);
    }
    slots_drop(&pager->slots, number);
}

static void give_up(void *context, uint64_t number, struct page *page)
{
    struct space *space = context;
    (void)number;
    if (page->state != PAGE_RESIDENT || page->index == SLOT_NONE) return;
    slot_release(space->pager, page->index);
    page->index = SLOT_NONE;
}

void slots_give_up_kept(struct pager *pager)
{
    for (struct list *at = pager->spaces.next; at != &pager->spaces; at = at->next) {
        struct space *space = LIST_THING(at, struct space, place);
        pagetable_each(&space->table, 0, PAGETABLE_PAGES, give_up, space);
    }
    pager->sweep_ns = 0;
}

/* --- garbage --- */

struct sweep {
    struct pager *pager;
    uint32_t count, slots[SWEEP_PAGES];
};

static int by_number(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return x < y ? -1 : x > y;
}

static void swept(void *context, const struct farpage_answer *answer)
{
    struct sweep *sweep = context;
    struct slots *slots = &sweep->pager->slots;
    bool doubtful = answer->status == FARPAGE_TIMEOUT || answer->status == FARPAGE_DISCONNECTED;
    for (uint32_t i = 0; i < sweep->count; i++) {
        if (doubtful) slots_at(slots, sweep->slots[i])->spoilt = true;
        slots_answered(slots, sweep->slots[i]);
    }
    free(sweep);
}

/* One request for a run of neighbours. */
static void invalidate(struct pager *pager, const uint32_t *run, uint32_t count)
{
    struct sweep *sweep = malloc(sizeof *sweep);
    struct farpage_request request = {
        .kind = FARPAGE_OP_INVALIDATE, .slot = run[0], .count = count,
        .timeout_ms = pager->options.grace_ms};
    if (sweep != NULL) {
        sweep->pager = pager;
        sweep->count = count;
        for (uint32_t i = 0; i < count; i++) sweep->slots[i] = run[i];
        if (farpage_submit(pager->area, &request, swept, sweep) == FARPAGE_OK) {
            pager->submitted++;
            return;
        }
        free(sweep);
    }
    for (uint32_t i = 0; i < count; i++) { /* garbage it stays */
        slots_at(&pager->slots, run[i])->stored = true;
        slots_answered(&pager->slots, run[i]);
    }
}

void garbage_sweep(struct pager *pager)
{
    uint64_t garbage = pager->slots.garbage_count;
    if (garbage == 0 || pager->renewing) return;
    if (garbage < SWEEP_PAGES && pager->now_ns < pager->sweep_ns) return;
    pager->sweep_ns = pager->now_ns + SWEEP_NS;
    uint32_t slots[SWEEP_PAGES];
    size_t count = slots_sweep(&pager->slots, slots, SWEEP_PAGES);
    qsort(slots, count, sizeof *slots, by_number);
    for (size_t start = 0, end; start < count; start = end) {
        for (end = start + 1; end < count && slots[end] == slots[end - 1] + 1;) end++;
        invalidate(pager, slots + start, (uint32_t)(end - start));
    }
}
