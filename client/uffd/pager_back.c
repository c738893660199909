/* SPDX-License-Identifier: BSD-3-Clause
 * Pages on their way out that are wanted back: out of the buffer that is being sent, or out of
 * staging; moved where the target can, else copied. A walk has those that it comes to next brought
 * along, in one read of staging, one copy for those side by side, and one order to drop them there:
 * one by one each would cost its thread a sleep. */
#include <errno.h>

#include "base/check.h"
#include "client/uffd/pager_steps.h"

static bool copy_back(struct space *space, const struct fault *fault, struct page *page,
                      const uint8_t *bytes)
{
    struct pager *pager = space->pager;
    if (!pager_take_room(pager, 1, pager_limit(pager))) return false;
    struct uffd_done done = uffd_copy(space->uffd, address_of(fault->number), bytes,
                                      UFFD_PAGE_BYTES, UFFD_WAKE);
    if (done.error != 0 && done.error != EEXIST) {
        pager_give_room(pager, 1);
        if (done.error == ESRCH) space->dead = true;
        if (done.error == EAGAIN || done.error == ENOMEM) return false;
        fault_wake(space, fault->number);
        return true;
    }
    if (done.error == EEXIST) fault_wake(space, fault->number);
    page_arrived(space, fault->number, page, page->index);
    space->away--;
    fault_figure(space, fault, FIGURES_STAGED);
    return true;
}

static bool out_of_sending(struct space *space, const struct fault *fault, struct page *page,
                           uint32_t number)
{
    struct pager *pager = space->pager;
    struct slot *slot = slots_at(&pager->slots, number);
    struct sending *sending = pager->sendings[slot->index];
    if (!copy_back(space, fault, page, sending->bytes)) return false;
    if (page->state == PAGE_RESIDENT && !slot->busy && slot->pages == 1) {
        sending_cancel(pager, sending); /* it was refused, and need not be sent now */
        slot_release(pager, number);
        page->index = SLOT_NONE;
    }
    return true;
}

static bool out_of_staging(struct space *space, const struct fault *fault, struct page *page,
                           uint32_t number)
{
    struct pager *pager = space->pager;
    struct slot *slot = slots_at(&pager->slots, number);
    struct leaver *leaver = &pager->leavers[slot->index];
    if (leaver->state != LEAVER_STAGED) return false;
    struct target *owner = leaver->space->target;
    if (leaver->space == space && slot->pages == 1 && owner->table->bring != NULL) {
        int error = owner->table->bring(owner, address_of(fault->number), leaver_address(leaver));
        if (error == EAGAIN || error == ENOMEM) return false;
        if (error == 0) {
            leaver_returned(pager, leaver);
            page_arrived(space, fault->number, page, number);
            space->away--;
            if (!slots_stored(&pager->slots, number)) {
                slot_release(pager, number);
                page->index = SLOT_NONE;
            }
            fault_figure(space, fault, FIGURES_STAGED);
            return true;
        }
    }
    uint64_t address = leaver_address(leaver);
    uint8_t bytes[UFFD_PAGE_BYTES] __attribute__((aligned(64)));
    uint8_t *into = bytes;
    if (owner->table->read(owner, &address, &into, 1) != 0) return false;
    if (!copy_back(space, fault, page, bytes)) return false;
    if (leaver->space == space && leaver->owned && leaver->number == fault->number &&
        page->state == PAGE_RESIDENT)
        leaver_disown(pager, leaver);
    return true;
}

bool back_demanded(struct space *space, const struct fault *fault, struct page *page)
{
    const struct slot *slot = slots_at(&space->pager->slots, page->index);
    return slot->place == SLOT_SENDING ? out_of_sending(space, fault, page, page->index)
                                       : out_of_staging(space, fault, page, page->index);
}

/* --- brought along --- */

void back_add(struct back *back, uint64_t number)
{
    if (back->count < PAGER_BRING_PAGES) back->numbers[back->count++] = number;
}

/* NULL: it is not staged any more, or others need its bytes there. */
static struct leaver *staged_alone(struct space *space, uint64_t number)
{
    struct pager *pager = space->pager;
    const struct page *page = pagetable_find(&space->table, number);
    if (page == NULL || page->state != PAGE_AWAY) return NULL;
    const struct slot *slot = slots_at(&pager->slots, page->index);
    if (slot->place != SLOT_LEAVING || slot->pages > 1) return NULL;
    struct leaver *leaver = &pager->leavers[slot->index];
    bool its = leaver->space == space && leaver->owned && leaver->number == number;
    return its && leaver->state == LEAVER_STAGED ? leaver : NULL;
}

/* Pages [first, first + count) are side by side, their bytes at `bytes`: how many were copied. */
static size_t copy_along(struct back *back, struct leaver **leavers, const uint8_t *bytes,
                         size_t count)
{
    struct space *space = back->space;
    struct pager *pager = space->pager;
    if (!pager_take_room(pager, count, back->most)) return 0;
    struct uffd_done done = uffd_copy(space->uffd, address_of(leavers[0]->number), bytes,
                                      count << UFFD_PAGE_SHIFT, UFFD_DONT_WAKE);
    if (done.error == ESRCH) space->dead = true;
    size_t copied = done.bytes >> UFFD_PAGE_SHIFT;
    pager_give_room(pager, count - copied);
    for (size_t i = 0; i < copied; i++) {
        struct page *page = pagetable_find(&space->table, leavers[i]->number);
        page_arrived(space, leavers[i]->number, page, page->index);
        space->away--;
        leaver_disown(pager, leavers[i]);
    }
    pager->figures.staged_ahead += copied;
    return copied;
}

/* Whoever already waits for one of them is read of later, finds it there, and is woken then. */
static void copy_all(struct back *back, struct leaver **leavers, size_t count)
{
    struct space *space = back->space;
    uint64_t addresses[PAGER_BRING_PAGES];
    uint8_t *into[PAGER_BRING_PAGES];
    for (size_t i = 0; i < count; i++) {
        addresses[i] = leaver_address(leavers[i]);
        into[i] = space->pager->bring_bytes + (i << UFFD_PAGE_SHIFT);
    }
    if (space->target->table->read(space->target, addresses, into, count) != 0) return;
    for (size_t start = 0, end; start < count; start = end) {
        for (end = start + 1; end < count && leavers[end]->number == leavers[end - 1]->number + 1;)
            end++;
        if (copy_along(back, leavers + start, into[start], end - start) < end - start) return;
    }
}

static void move_all(struct back *back, struct leaver **leavers, size_t count)
{
    struct space *space = back->space;
    for (size_t i = 0; i < count; i++) {
        struct fault nobody = {.number = leavers[i]->number};
        struct page *page = pagetable_find(&space->table, nobody.number);
        if (!out_of_staging(space, &nobody, page, page->index)) return;
        space->pager->figures.staged_ahead++;
    }
}

/* Where it is in a buffer. */
static void unsend(struct back *back, uint64_t number)
{
    struct space *space = back->space;
    struct pager *pager = space->pager;
    struct page *page = pagetable_find(&space->table, number);
    if (page == NULL || page->state != PAGE_AWAY || pager_resident(pager) >= back->most) return;
    if (slots_at(&pager->slots, page->index)->place != SLOT_SENDING) return;
    struct fault nobody = {.number = number};
    pager->figures.staged_ahead += out_of_sending(space, &nobody, page, page->index);
}

void back_bring(struct back *back)
{
    struct space *space = back->space;
    struct leaver *leavers[PAGER_BRING_PAGES];
    size_t count = 0;
    bool down = back->count > 1 && back->numbers[1] < back->numbers[0];
    for (size_t i = 0; i < back->count; i++) { /* upwards, that those side by side are seen */
        uint64_t number = back->numbers[down ? back->count - 1 - i : i];
        struct leaver *leaver = staged_alone(space, number);
        if (leaver != NULL) leavers[count++] = leaver;
        else unsend(back, number);
    }
    if (count == 0 || space->dead) return;
    if (space->target->table->bring != NULL) move_all(back, leavers, count);
    else copy_all(back, leavers, count);
}
