/* SPDX-License-Identifier: BSD-3-Clause
 * Life of a load: asked for -> its answer -> copied to where its page is now, which may be
 * elsewhere than it was -> free. Whoever demands the page meanwhile is woken by the copy.
 *
 *     the page was forgotten meanwhile   its load is abandoned: the answer goes nowhere
 *     the copy must wait (EAGAIN)        the load stays among those that came, and is tried again
 *     a damaged answer                   demanded: it is asked for again, LOAD_ASKS_MAX times in
 *                                        all: what the wire did to it, the server still has
 *     a bad answer                       demanded: the page is lost
 *     either, fetched ahead              the page is away, as before
 *
 * The slot is the page's all the time: the load holds none of its own, but that of an abandoned
 * one, which must not be stored to before its answer: a load that overtakes is harmless. */
#include <errno.h>
#include <stdio.h>

#include "base/clock.h"
#include "client/uffd/pager_steps.h"

enum {
    GONE_NS = 1000000000,       /* without an answer: the server is said to be gone */
    GIVE_UP_NS = 200000000,     /* the page's mapping is not there, and no event says why */
    LOAD_ASKS_MAX = 3,
};

static void end(struct load *load)
{
    struct pager *pager = load->pager;
    list_remove(&load->place);
    load->space = NULL;
    load->came_ns = 0;
    list_push_front(&pager->free_loads, &load->place);
    pager->free_load_count++;
    pager->look_again = true;
}

static struct page *page_of(struct load *load)
{
    return pagetable_find(&load->space->table, load->number);
}

/* The page is away, as it was before. */
static void undo(struct load *load)
{
    struct page *page = page_of(load);
    page->state = PAGE_AWAY;
    page->index = load->slot;
    pager_give_room(load->pager, 1);
}

static void arrive(struct load *load)
{
    struct pager *pager = load->pager;
    struct page *page = page_of(load);
    uint32_t kept = load->slot;
    if (load->walked) page_arrived_walked(load->space, load->number, page, kept);
    else page_arrived(load->space, load->number, page, kept);
    load->space->away--;
    if (pager->exclusive) {
        slot_release(pager, kept);
        page->index = SLOT_NONE;
    }
    pager->figures.loaded++;
    if (load->demanded && load->told_ns != 0)
        histogram_add(&pager->figures.faults_ns[FIGURES_REMOTE],
                      clock_monotonic_ns() - load->told_ns);
    end(load);
}

/* False: the kernel cannot just now. */
static bool deliver(struct load *load)
{
    struct space *space = load->space;
    if (space == NULL) {
        end(load);
        return true;
    }
    enum uffd_how how = load->demanded ? UFFD_WAKE : UFFD_DONT_WAKE;
    uint64_t address = address_of(load->number);
    struct uffd_done done = uffd_copy(space->uffd, address, load->bytes, UFFD_PAGE_BYTES, how);
    bool there = done.error == 0 || done.error == EEXIST;
    if (done.error == EEXIST && uffd_wake(space->uffd, address, UFFD_PAGE_BYTES) == ESRCH)
        space->dead = true;
    if (there) {
        arrive(load);
        return true;
    }
    if (done.error == ESRCH) space->dead = true;
    bool mapped = done.error == EAGAIN || done.error == ENOMEM;
    if (mapped || clock_monotonic_ns() - load->came_ns < GIVE_UP_NS) return false;
    undo(load);
    if (uffd_wake(space->uffd, address, UFFD_PAGE_BYTES) == ESRCH) space->dead = true;
    end(load);
    return true;
}

static void say_lost(struct load *load, const struct farpage_answer *answer)
{
    char text[256];
    (void)snprintf(text, sizeof text, "the page cannot be got from the server: %.180s",
                   answer->why);
    struct pager_notice notice = {
        .kind = PAGER_LOST, .pid = load->space->target->pid, .address = address_of(load->number),
        .status = answer->status, .text = text};
    pager_tell(load->pager, &notice);
}

static void answered(void *context, const struct farpage_answer *answer);

static bool ask(struct load *load)
{
    struct pager *pager = load->pager;
    struct farpage_request request = {
        .kind = FARPAGE_OP_LOAD, .slot = load->slot, .page = load->bytes,
        .timeout_ms = pager->options.grace_ms};
    if (farpage_submit(pager->area, &request, answered, load) != FARPAGE_OK) return false;
    load->begun_ns = pager->now_ns;
    load->asks++;
    if (pager->submitted++ == 0) pager->figures.round_trips++;
    return true;
}

/* A page that does not match its checksum, or a connection that ended over a reply that makes no
 * sense, and was made anew. */
static bool ask_again(struct load *load, enum farpage_status status)
{
    struct pager *pager = load->pager;
    if (status != FARPAGE_CORRUPT && status != FARPAGE_PROTOCOL) return false;
    pager->figures.damaged++;
    if (load->space == NULL || !load->demanded) return false;
    if (load->asks >= LOAD_ASKS_MAX || pager->ending || !ask(load)) return false;
    load->came_ns = 0;
    list_remove(&load->place); /* the oldest come first */
    list_push_back(&pager->loading, &load->place);
    return true;
}

static void fail(struct load *load, const struct farpage_answer *answer)
{
    struct pager *pager = load->pager;
    struct space *space = load->space;
    if (answer->status == FARPAGE_LOST) pager_new_life(pager);
    if (space == NULL) {
        end(load);
        return;
    }
    struct page *page = page_of(load);
    undo(load);
    if (load->demanded) {
        if (answer->status != FARPAGE_LOST) {
            say_lost(load, answer);
            page_lose(space, load->number, page);
        }
        struct fault fault = {.number = load->number, .told_ns = load->told_ns};
        end(load);
        fault_take(space, &fault);
        return;
    }
    end(load);
}

static void answered(void *context, const struct farpage_answer *answer)
{
    struct load *load = context;
    struct pager *pager = load->pager;
    load->came_ns = clock_monotonic_ns();
    if (answer->status != FARPAGE_OK) {
        if (!ask_again(load, answer->status)) fail(load, answer);
        return;
    }
    if (pager->gone) {
        pager->gone = false;
        struct pager_notice notice = {.kind = PAGER_BACK, .text = "the server answers again"};
        pager_tell(pager, &notice);
    }
    if (deliver(load)) return;
    list_remove(&load->place);
    list_push_back(&pager->came, &load->place);
}

bool load_begin(struct space *space, uint64_t number, struct page *page, enum load_why why)
{
    struct pager *pager = space->pager;
    if (list_empty(&pager->free_loads)) return false;
    struct load *load = LIST_THING(pager->free_loads.next, struct load, place);
    load->space = space;
    load->number = number;
    load->slot = page->index;
    load->asks = 0;
    load->demanded = false;
    load->told_ns = 0;
    load->walked = why == LOAD_WALKED;
    if (!ask(load)) return false;
    list_remove(&load->place);
    pager->free_load_count--;
    list_push_back(&pager->loading, &load->place);
    page->state = PAGE_LOADING;
    page->index = load->index;
    if (why != LOAD_DEMANDED) pager->figures.prefetched++;
    return true;
}

void load_demand(struct pager *pager, struct load *load, const struct fault *fault)
{
    (void)pager;
    load->demanded = true;
    if (load->told_ns == 0) load->told_ns = fault->told_ns;
}

/* Its page is forgotten; the room and the slot are given back by whoever forgets. */
void load_abandon(struct load *load)
{
    load->space = NULL;
}

void load_deliver_again(struct pager *pager)
{
    for (struct list *at = pager->came.next; at != &pager->came;) {
        struct load *load = LIST_THING(at, struct load, place);
        at = at->next;
        (void)deliver(load);
    }
}

void load_watch_server(struct pager *pager)
{
    if (pager->gone || list_empty(&pager->loading)) return;
    const struct load *oldest = LIST_THING(pager->loading.next, const struct load, place);
    if (pager->now_ns < oldest->begun_ns + GONE_NS) return;
    pager->gone = true;
    char text[128];
    (void)snprintf(text, sizeof text,
                   "the server does not answer; pages wait for it, %u ms at most",
                   pager->options.grace_ms);
    struct pager_notice notice = {
        .kind = PAGER_GONE, .status = FARPAGE_UNREACHABLE, .text = text};
    pager_tell(pager, &notice);
}

void pager_new_life(struct pager *pager)
{
    if (pager->renewing) return;
    pager->renewing = true;
    slots_new_life(&pager->slots);
}
