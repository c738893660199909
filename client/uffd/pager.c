/* SPDX-License-Identifier: BSD-3-Clause
 * Life of a pager: create makes its tables; run turns until stop; destroy lets go of the spaces
 * first, for what they hold is in the tables.
 *
 * A turn: what the programs say (faults before anything else) -> what the server says -> who waits
 * and may be served now -> a step of what was hinted, a step of eviction -> wait, unless there is
 * more to do. Nothing in a turn blocks, and nothing takes longer than some pages' work. */
#include "client/uffd/pager.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "base/arith.h"
#include "base/check.h"
#include "base/clock.h"
#include "client/uffd/pager_steps.h"

enum {
    GRACE_MS_DEFAULT = 30000,
    POLLS_OWN = 2,               /* the bell, the server */
    READS_IN_A_TURN = 4,
    PARKED_NS = 100000,          /* something the kernel could not do just now is tried again */
    WAITING_NS = 2000000,
};

/* --- budget --- */

uint64_t pager_limit(const struct pager *pager)
{
    uint64_t limit = pager->options.budget->limit_pages, least = PAGER_LIMIT_PAGES_MIN;
    return limit > pager->unknown + least ? limit - pager->unknown : least;
}

uint64_t pager_resident(const struct pager *pager)
{
    return atomic_load_explicit(&pager->options.budget->resident_pages, memory_order_relaxed);
}

bool pager_take_room(struct pager *pager, uint64_t pages, uint64_t limit)
{
    _Atomic uint64_t *resident = &pager->options.budget->resident_pages;
    if (atomic_fetch_add_explicit(resident, pages, memory_order_relaxed) + pages > limit) {
        atomic_fetch_sub_explicit(resident, pages, memory_order_relaxed);
        return false;
    }
    pager->resident += pages;
    pager->resident_peak = max_u64(pager->resident_peak, pager->resident);
    return true;
}

void pager_give_room(struct pager *pager, uint64_t pages)
{
    if (pages == 0) return;
    fp_assert(pager->resident >= pages);
    pager->resident -= pages;
    atomic_fetch_sub_explicit(&pager->options.budget->resident_pages, pages,
                              memory_order_relaxed);
    pager->look_again = true;
}

void pager_unknown_pages(struct pager *pager, uint64_t pages)
{
    pager->unknown = pages;
}

void pager_tell(struct pager *pager, const struct pager_notice *notice)
{
    if (pager->options.notice != NULL) pager->options.notice(pager->options.context, notice);
}

/* --- create, destroy --- */

static const char *not_sensible(const struct pager_options *options)
{
    if (options->area == NULL || options->budget == NULL) return "no area, or no budget";
    if (farpage_area_page_bytes(options->area) != UFFD_PAGE_BYTES)
        return "the area's pages are not of 4096 bytes";
    if (options->budget->limit_pages < PAGER_LIMIT_PAGES_MIN)
        return "a pager needs a budget of 1 MiB at least";
    if (options->prefetch_pages_max > TREND_WINDOW_PAGES_MAX)
        return "at most 64 pages can be fetched ahead";
    return NULL;
}

static void init_lists(struct pager *pager)
{
    struct list *lists[] = {
        &pager->spaces, &pager->free_loads, &pager->loading, &pager->came, &pager->free_leavers,
        &pager->staged_leavers, &pager->done_leavers, &pager->free_sendings, &pager->sending,
        &pager->refused,
        &pager->free_orders, &pager->waiting, &pager->free_waiting, &pager->wants,
        &pager->dismissals, &pager->jobs};
    for (size_t i = 0; i < FP_COUNT_OF(lists); i++) list_init(lists[i]);
    for (size_t i = 0; i < PAGER_ORDERS; i++) {
        pager->orders[i].pager = pager;
        list_push_back(&pager->free_orders, &pager->orders[i].place);
    }
}

/* The reserve is what faults take from while pages go: small beside the budget, and large beside
 * what one fault may bring. Staging is a part of the budget too: pages there are resident. */
static void share_out(struct pager *pager)
{
    uint64_t limit = pager->options.budget->limit_pages;
    pager->reserve = min_u64(max_u64(limit / 32, 32), 2048);
    pager->staged_wanted = min_u64(max_u64(limit / 8, 32), 8192);
    pager->leaver_count = pager->staged_wanted + 4 * TARGET_ORDER_PAGES;
}

static bool make_tables(struct pager *pager)
{
    pager->loads = calloc(PAGER_LOADS, sizeof *pager->loads);
    pager->load_bytes = aligned_alloc(UFFD_PAGE_BYTES, PAGER_LOADS * UFFD_PAGE_BYTES);
    pager->bring_bytes = aligned_alloc(UFFD_PAGE_BYTES, PAGER_BRING_PAGES * UFFD_PAGE_BYTES);
    pager->leavers = calloc(pager->leaver_count, sizeof *pager->leavers);
    if (pager->loads == NULL || pager->load_bytes == NULL || pager->bring_bytes == NULL ||
        pager->leavers == NULL)
        return false;
    for (uint32_t i = 0; i < PAGER_LOADS; i++) {
        pager->loads[i].pager = pager;
        pager->loads[i].index = i;
        pager->loads[i].bytes = pager->load_bytes + (size_t)i * UFFD_PAGE_BYTES;
        list_push_back(&pager->free_loads, &pager->loads[i].place);
    }
    pager->free_load_count = PAGER_LOADS;
    for (uint32_t i = 0; i < pager->leaver_count; i++) {
        pager->leavers[i].index = i;
        list_push_back(&pager->free_leavers, &pager->leavers[i].place);
    }
    return slots_init(&pager->slots, farpage_area_slots(pager->area)) &&
           fingerprint_key_make(&pager->key);
}

struct pager *pager_create(const struct pager_options *options, const char **why)
{
    const char *unused;
    if (why == NULL) why = &unused;
    *why = not_sensible(options);
    if (*why != NULL) return NULL;
    *why = "out of memory";
    struct pager *pager = calloc(1, sizeof *pager);
    if (pager == NULL) return NULL;
    pager->options = *options;
    if (pager->options.grace_ms == 0) pager->options.grace_ms = GRACE_MS_DEFAULT;
    pager->area = options->area;
    pager->alarm_ns = UINT64_MAX;
    pager->bell = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    init_lists(pager);
    share_out(pager);
    queue_init(&pager->queue, options->budget->limit_pages);
    figures_init(&pager->figures);
    bool locked = pthread_mutex_init(&pager->lock, NULL) == 0;
    if (!locked || pager->bell < 0 || !make_tables(pager)) {
        pager->area = NULL;
        pager_destroy(&pager);
        return NULL;
    }
    return pager;
}

static void free_each(struct list *list, size_t offset)
{
    while (!list_empty(list)) {
        struct list *place = list->next;
        list_remove(place);
        free((char *)place - offset);
    }
}

void pager_destroy(struct pager **taken)
{
    struct pager *pager = *taken;
    *taken = NULL;
    if (pager == NULL) return;
    while (!list_empty(&pager->spaces))
        pager_release(LIST_THING(pager->spaces.next, struct space, place));
    pager->ending = true;
    if (pager->area != NULL) farpage_area_close(&pager->area); /* what is under way is answered */
    for (size_t i = 0; i < pager->sending_count; i++) {
        free(pager->sendings[i]->bytes);
        free(pager->sendings[i]);
    }
    free(pager->sendings);
    free_each(&pager->free_waiting, offsetof(struct waiting, place));
    free_each(&pager->waiting, offsetof(struct waiting, place));
    free_each(&pager->jobs, offsetof(struct job, place));
    free_each(&pager->dismissals, offsetof(struct dismissal, place));
    if (pager->slots.pieces != NULL) slots_fini(&pager->slots);
    queue_fini(&pager->queue);
    free(pager->loads);
    free(pager->load_bytes);
    free(pager->bring_bytes);
    free(pager->leavers);
    free(pager->polls);
    if (pager->bell >= 0) (void)close(pager->bell);
    (void)pthread_mutex_destroy(&pager->lock);
    free(pager);
}

/* --- what others want --- */

static void ring(struct pager *pager)
{
    uint64_t one = 1;
    ssize_t wrote = write(pager->bell, &one, sizeof one);
    (void)wrote; /* full: it rings already */
}

bool pager_post(struct pager *pager, void (*call)(void *context), void *context)
{
    struct job *job = malloc(sizeof *job);
    if (job == NULL) return false;
    job->call = call;
    job->context = context;
    (void)pthread_mutex_lock(&pager->lock);
    list_push_back(&pager->jobs, &job->place);
    (void)pthread_mutex_unlock(&pager->lock);
    ring(pager);
    return true;
}

void pager_stop(struct pager *pager)
{
    atomic_store(&pager->stopping, true);
    ring(pager);
}

static void do_jobs(struct pager *pager)
{
    uint64_t rings;
    ssize_t got = read(pager->bell, &rings, sizeof rings);
    (void)got;
    for (;;) {
        struct job *job = NULL;
        (void)pthread_mutex_lock(&pager->lock);
        if (!list_empty(&pager->jobs)) {
            job = LIST_THING(pager->jobs.next, struct job, place);
            list_remove(&job->place);
        }
        (void)pthread_mutex_unlock(&pager->lock);
        if (job == NULL) return;
        job->call(job->context);
        free(job);
    }
}

void pager_watch(struct pager *pager, struct pager_watch *watch)
{
    watch->next = pager->watches;
    watch->back = &pager->watches;
    if (watch->next != NULL) watch->next->back = &watch->next;
    pager->watches = watch;
}

void pager_unwatch(struct pager *pager, struct pager_watch *watch)
{
    (void)pager;
    if (watch->back == NULL) return;
    *watch->back = watch->next;
    if (watch->next != NULL) watch->next->back = watch->back;
    watch->next = NULL;
    watch->back = NULL;
}

void pager_alarm(struct pager *pager, uint64_t at_ns,
                 uint64_t (*due)(void *context, uint64_t now_ns), void *context)
{
    pager->alarm_ns = at_ns;
    pager->due = due;
    pager->due_context = context;
}

const struct figures *pager_figures(struct pager *pager)
{
    struct farpage_area_info info;
    farpage_area_info(pager->area, &info);
    pager->figures.sent_bytes = info.sent_bytes;
    pager->figures.received_bytes = info.received_bytes;
    return &pager->figures;
}

/* --- a turn --- */

static void hear_space(struct space *space)
{
    struct uffd_event events[UFFD_EVENTS_MAX];
    for (int i = 0; i < READS_IN_A_TURN && !space->dead; i++) {
        int count = uffd_read(space->uffd, events);
        if (count < 0) space->dead = true;
        if (count > 0) space->pager->now_ns = clock_monotonic_ns();
        for (int j = 0; j < count; j++) event_happened(space, &events[j]);
        if (count < UFFD_EVENTS_MAX) return;
    }
}

static void bury(struct pager *pager)
{
    for (struct list *at = pager->spaces.next; at != &pager->spaces;) {
        struct space *space = LIST_THING(at, struct space, place);
        at = at->next;
        if (!space->dead) continue;
        if (pager->options.ended != NULL) pager->options.ended(pager->options.context, space);
        pager_release(space);
    }
}

static size_t poll_list(struct pager *pager)
{
    size_t count = POLLS_OWN;
    for (struct list *at = pager->spaces.next; at != &pager->spaces; at = at->next) count++;
    for (struct pager_watch *at = pager->watches; at != NULL; at = at->next) count++;
    if (count > pager->poll_room) {
        struct pollfd *polls = realloc(pager->polls, 2 * count * sizeof *polls);
        if (polls == NULL) return 0;
        pager->polls = polls;
        pager->poll_room = 2 * count;
    }
    pager->polls[0] = (struct pollfd){pager->bell, POLLIN, 0};
    pager->polls[1] = (struct pollfd){farpage_area_fd(pager->area),
                                      farpage_area_events(pager->area), 0};
    count = POLLS_OWN;
    for (struct list *at = pager->spaces.next; at != &pager->spaces; at = at->next)
        pager->polls[count++] =
            (struct pollfd){LIST_THING(at, struct space, place)->uffd, POLLIN, 0};
    for (struct pager_watch *at = pager->watches; at != NULL; at = at->next)
        pager->polls[count++] = (struct pollfd){at->fd, at->events, 0};
    return count;
}

static uint64_t rest_ns(const struct pager *pager, bool busy)
{
    if (busy || pager->options.mode == PAGER_SPIN) return 0;
    uint64_t rest = UINT64_MAX;
    int area_ms = farpage_area_wait_ms(pager->area);
    if (area_ms >= 0) rest = (uint64_t)area_ms * 1000000;
    if (!list_empty(&pager->came) || pager->unsettled) rest = min_u64(rest, PARKED_NS);
    bool lately = pager->now_ns < pager->waited_ns + 5 * WAITING_NS;
    if (!list_empty(&pager->waiting)) rest = min_u64(rest, lately ? PARKED_NS : WAITING_NS);
    if (pager->evicting) rest = min_u64(rest, WAITING_NS);
    if (!list_empty(&pager->refused) || !list_empty(&pager->loading) || pager->renewing)
        rest = min_u64(rest, 50 * WAITING_NS);
    if (pager->alarm_ns != UINT64_MAX) {
        uint64_t now = clock_monotonic_ns();
        rest = min_u64(rest, pager->alarm_ns > now ? pager->alarm_ns - now : 0);
    }
    return rest;
}

/* Only what said so is asked: which space, in its list's order, is told by poll's answer. */
static void hear_all(struct pager *pager, size_t count, int ready)
{
    size_t at = POLLS_OWN;
    for (struct list *place = pager->spaces.next; place != &pager->spaces && at < count;
         place = place->next, at++)
        LIST_THING(place, struct space, place)->polled = ready > 0 ? pager->polls[at].revents : 0;
    short said = ready > 0 ? pager->polls[1].revents : 0;
    bool rang = ready > 0 && pager->polls[0].revents != 0;
    pager->unsettled = false;
    for (struct list *place = pager->spaces.next; place != &pager->spaces;) {
        struct space *space = LIST_THING(place, struct space, place);
        place = place->next;
        if (space->polled != 0) hear_space(space);
        space->polled = 0;
        space_settle(space);
        share_settle(space);
        pager->unsettled = pager->unsettled || space->moved_in.count > 0 || space->protecting;
    }
    if (said != 0 || pager->submitted > 0 || farpage_area_wait_ms(pager->area) == 0) {
        pager->submitted = 0;
        farpage_area_process(pager->area, said);
    }
    for (; ready > 0 && at < count; at++) {
        for (struct pager_watch *watch = pager->watches; watch != NULL; watch = watch->next) {
            if (watch->fd != pager->polls[at].fd || pager->polls[at].revents == 0) continue;
            watch->ready(watch, pager->polls[at].revents);
            break; /* whatever it did to the others */
        }
    }
    if (rang) do_jobs(pager);
}

static bool work(struct pager *pager)
{
    load_deliver_again(pager);
    sending_again(pager);
    if (pager->look_again || !list_empty(&pager->waiting)) fault_look_again(pager);
    bool more = want_step(pager);
    leavers_drop(pager);
    more = take_step(pager) || more;
    load_watch_server(pager);
    garbage_sweep(pager);
    if (pager->submitted > 0) {
        pager->submitted = 0;
        farpage_area_process(pager->area, 0);
    }
    if (pager->now_ns >= pager->alarm_ns) {
        pager->alarm_ns = UINT64_MAX;
        uint64_t next = pager->due(pager->due_context, pager->now_ns);
        pager->alarm_ns = min_u64(next, pager->alarm_ns);
    }
    bury(pager);
    return more;
}

void pager_run(struct pager *pager)
{
    bool busy = true;
    while (!atomic_load_explicit(&pager->stopping, memory_order_acquire)) {
        uint64_t rest = rest_ns(pager, busy);
        struct timespec until = {.tv_sec = (time_t)(rest / 1000000000),
                                 .tv_nsec = (long)(rest % 1000000000)};
        size_t count = poll_list(pager);
        int ready = ppoll(pager->polls, count, rest == UINT64_MAX ? NULL : &until, NULL);
        pager->now_ns = clock_monotonic_ns();
        hear_all(pager, count, ready);
        busy = work(pager);
    }
    atomic_store(&pager->stopping, false);
}

void pager_state(const struct pager *pager, struct pager_state *state)
{
    *state = (struct pager_state){
        .resident_pages = pager->resident,
        .resident_pages_peak = pager->resident_peak,
        .staged_pages = pager->staged,
        .slots_used = pager->slots.used + pager->slots.garbage_count,
        .waiting_faults = pager->waiting_count,
        .full = pager->full,
        .gone = pager->gone,
    };
    state->sending_pages = pager->sending_count - pager->free_sending_count;
    state->overhead_bytes = sizeof *pager + pager->slots.bytes +
                            PAGER_LOADS * (sizeof *pager->loads + UFFD_PAGE_BYTES) +
                            PAGER_BRING_PAGES * UFFD_PAGE_BYTES +
                            pager->leaver_count * sizeof *pager->leavers +
                            pager->sending_count * (sizeof **pager->sendings + UFFD_PAGE_BYTES);
    for (const struct list *at = pager->spaces.next; at != &pager->spaces; at = at->next) {
        const struct space *space = LIST_THING(at, const struct space, place);
        state->away_pages += space->away;
        state->overhead_bytes += sizeof *space + space->table.bytes;
    }
}
