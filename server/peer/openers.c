/* SPDX-License-Identifier: BSD-3-Clause */
#include "server/peer/openers.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include "base/check.h"
#include "base/clock.h"

enum { SINCE_TEXT_BYTES = 32 };

void openers_init(struct openers *openers)
{
    lock_init(&openers->lock, RANK_OPENERS);
}

void openers_fini(struct openers *openers)
{
    lock_fini(&openers->lock);
}

/* --- an area's openers ------------------------------------------------------------------------ */

static void link_locked(struct opener *opener, struct area *area)
{
    opener->area = area;
    opener->prev = NULL;
    opener->next = area->openers;
    if (opener->next != NULL) opener->next->prev = opener;
    area->openers = opener;
    opener->linked = true;
}

static void unlink_locked(struct opener *opener)
{
    if (!opener->linked) return;
    if (opener_drains(opener)) area_thaw(opener->area);
    if (opener->prev != NULL) opener->prev->next = opener->next;
    else opener->area->openers = opener->next;
    if (opener->next != NULL) opener->next->prev = opener->prev;
    opener->linked = false;
}

static bool is_exclusive(const struct opener *opener)
{
    return (opener->flags & FRAME_OPEN_SHARED) == 0;
}

static bool drains(uint32_t flags)
{
    return (flags & FRAME_OPEN_DRAIN) != 0;
}

/* Whether who has it keeps out who asks; `open` NULL: who asks wants it to end. */
static bool is_in_the_way(const struct opener *holder, const struct frame_open *open)
{
    if (open == NULL || (drains(open->flags) && holder->stays_here)) return true;
    if (drains(open->flags) || opener_drains(holder))
        return drains(open->flags) && opener_drains(holder);
    return (open->flags & FRAME_OPEN_SHARED) == 0 || is_exclusive(holder);
}

static bool same_client(const struct opener *opener, const struct frame_open *open)
{
    static const uint8_t none[FRAME_CLIENT_ID_BYTES];
    return memcmp(opener->client_id, open->client_id, sizeof none) == 0 &&
           memcmp(opener->client_id, none, sizeof none) != 0;
}

/* --- in somebody's way ------------------------------------------------------------------------ */

static void explain(const struct opener *holder, unsigned others, char why[REFUSAL_BYTES_MAX])
{
    char since[SINCE_TEXT_BYTES] = "", more[32] = "";
    time_t seconds = (time_t)(holder->since_ns / 1000000000);
    struct tm parts;
    if (gmtime_r(&seconds, &parts) != NULL)
        (void)strftime(since, sizeof since, "%Y-%m-%dT%H:%M:%SZ", &parts);
    if (others > 0) (void)snprintf(more, sizeof more, ", and by %u more", others);
    const char *how = is_exclusive(holder) ? "open exclusively" : "open shared";
    if (opener_drains(holder)) how = "being drained";
    (void)snprintf(why, REFUSAL_BYTES_MAX, "area '%s' is %s by %s since %s%s", holder->area->name,
                   how, holder->row->peer, since, more);
}

/* Its client is gone and has left nothing to be carried out. */
static bool has_hung_up(const struct opener *holder)
{
    uint8_t byte;
    if (atomic_load(&holder->row->state) != CONN_IDLE) return false;
    ssize_t got = recv(holder->row->fd, &byte, sizeof byte, MSG_PEEK | MSG_DONTWAIT);
    if (got >= 0) return got == 0;
    return errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR;
}

/* FP_OK: nobody is in the way any more. `self` (may be NULL) never is; open: is_in_the_way. */
static enum fp_status make_way_locked(struct area *area, const struct frame_open *open,
                                      const struct opener *self, char why[REFUSAL_BYTES_MAX])
{
    const struct opener *in_the_way = NULL;
    unsigned others = 0;
    for (struct opener *holder = area->openers, *next; holder != NULL; holder = next) {
        next = holder->next;
        if (holder == self) continue;
        bool alike = open != NULL && drains(open->flags) == opener_drains(holder);
        bool comes_back = alike && is_exclusive(holder) && same_client(holder, open);
        bool would_be = is_in_the_way(holder, open);
        if (comes_back || (would_be && has_hung_up(holder))) atomic_store(&holder->lost, true);
        if (atomic_load(&holder->lost)) {
            if (atomic_load(&holder->in_use)) return FP_NOT_STORED;
            unlink_locked(holder);
        } else if (would_be) {
            others += in_the_way != NULL;
            in_the_way = holder;
        }
    }
    if (in_the_way == NULL) return FP_OK;
    explain(in_the_way, others, why);
    return FP_BUSY;
}

/* --- opening ---------------------------------------------------------------------------------- */

static bool expects(const struct open_request *request)
{
    return (request->open->flags & FRAME_OPEN_EXPECT) != 0;
}

static enum fp_status make_area(const struct open_request *request, struct area **area)
{
    const struct frame_open *open = request->open;
    bool transient = (open->flags & FRAME_OPEN_TRANSIENT) != 0;
    if ((open->flags & FRAME_OPEN_CREATE) == 0) return FP_ABSENT;
    struct area_options options = {.name = open->name,
                                   .slot_count = open->slots,
                                   .page_bytes = open->page_bytes,
                                   .quota_pages = open->quota_pages,
                                   .quota_bytes = open->quota_bytes,
                                   .tenant = request->tenant,
                                   .lifetime = transient ? AREA_TRANSIENT : AREA_STAYS};
    return store_area_create(request->store, &options, area);
}

/* A use of the area. An area that is not the expected one is lost, whatever else is true of it. */
static enum fp_status find_area(const struct open_request *request, struct area **area)
{
    const struct frame_open *open = request->open;
    if (expects(request) && memcmp(open->boot_id, request->boot_id, FRAME_BOOT_ID_BYTES) != 0)
        return FP_LOST;
    struct area *found = NULL;
    enum fp_status status = store_area_acquire(request->store, open->name, &found);
    if (status != FP_OK) return expects(request) ? FP_LOST : make_area(request, area);
    bool moved = area_stand(found) == AREA_MOVED && !drains(open->flags);
    if (expects(request) && open->generation != found->generation) status = FP_LOST;
    else if (moved) status = FP_MOVED;
    else if (open->slots != 0 && open->slots != found->slot_count) status = FP_EXISTS;
    else if (open->page_bytes != 0 && open->page_bytes != found->page_bytes) status = FP_EXISTS;
    if (status == FP_OK) *area = found;
    else area_release(&found);
    return status;
}

/* Nobody who could not follow it comes to an area that may go elsewhere. */
static enum fp_status stays_with_locked(const struct opener *opener, const struct area *area,
                                        char why[REFUSAL_BYTES_MAX])
{
    if (!opener->stays_here) return FP_OK;
    for (const struct opener *holder = area->openers; holder != NULL; holder = holder->next) {
        if (!opener_drains(holder) || opener_lost(holder)) continue;
        explain(holder, 0, why);
        return FP_BUSY;
    }
    return FP_OK;
}

static void take_locked(struct opener *opener, const struct frame_open *open)
{
    bool drained = opener->area != NULL && opener_drains(opener);
    if (drained && !drains(open->flags)) area_thaw(opener->area);
    opener->flags = open->flags & (FRAME_OPEN_SHARED | FRAME_OPEN_ZEROS | FRAME_OPEN_DRAIN);
    memcpy(opener->client_id, open->client_id, sizeof opener->client_id);
}

enum fp_status openers_open(struct openers *openers, const struct open_request *request,
                            struct opener *opener, char why[REFUSAL_BYTES_MAX])
{
    struct area *area = NULL;
    lock_take(&openers->lock);
    enum fp_status status = find_area(request, &area);
    if (status == FP_OK) status = make_way_locked(area, request->open, NULL, why);
    if (status == FP_OK) status = stays_with_locked(opener, area, why);
    if (status == FP_OK) {
        take_locked(opener, request->open);
        opener->since_ns = clock_unix_ns();
        link_locked(opener, area);
    } else {
        area_release(&area);
    }
    lock_drop(&openers->lock);
    return status;
}

enum fp_status openers_open_again(struct openers *openers, const struct open_request *request,
                                  struct opener *opener, char why[REFUSAL_BYTES_MAX])
{
    struct area *area = NULL;
    lock_take(&openers->lock);
    enum fp_status status = find_area(request, &area);
    /* It may have been taken over, or its area deleted, since the session looked. */
    bool still = opener->linked && !atomic_load(&opener->lost) && opener->area == area;
    if (status == FP_OK && !still) status = FP_NOT_STORED;
    if (status == FP_OK) status = make_way_locked(area, request->open, opener, why);
    if (status == FP_OK) take_locked(opener, request->open);
    lock_drop(&openers->lock);
    area_release(&area);
    return status;
}

/* --- the end ---------------------------------------------------------------------------------- */

void openers_close(struct openers *openers, struct store *store, struct opener *opener)
{
    struct area *area = opener->area;
    lock_take(&openers->lock);
    bool was = opener->linked;
    unlink_locked(opener);
    /* Of one that moved stays what tells its clients where to: they may be about to ask. */
    bool ends = area->lifetime == AREA_TRANSIENT && area_stand(area) != AREA_MOVED;
    if (was && area->openers == NULL && ends && !openers->keeps_transient)
        (void)!store_area_delete(store, area); /* which its opener may have done already */
    lock_drop(&openers->lock);
    area_release(&opener->area);
}

enum fp_status openers_delete(struct openers *openers, struct store *store, struct opener *opener,
                              char why[REFUSAL_BYTES_MAX])
{
    struct area *area = opener->area;
    enum fp_status status = FP_BUSY;
    lock_take(&openers->lock);
    if (area->lifetime == AREA_CONFIGURED)
        (void)snprintf(why, REFUSAL_BYTES_MAX, "area '%s' is the configuration's", area->name);
    else
        status = make_way_locked(area, NULL, opener, why);
    if (status == FP_OK && !store_area_delete(store, area)) status = FP_LOST;
    lock_drop(&openers->lock);
    return status;
}

bool openers_delete_unused(struct openers *openers, struct store *store, struct area *area)
{
    lock_take(&openers->lock);
    bool unused = area->openers == NULL;
    if (unused) (void)!store_area_delete(store, area); /* which a client may have done already */
    lock_drop(&openers->lock);
    return unused;
}

void openers_keep_transient(struct openers *openers)
{
    lock_take(&openers->lock);
    openers->keeps_transient = true;
    lock_drop(&openers->lock);
}

void openers_delete_transient(struct openers *openers, struct store *store,
                              uint64_t last_generation)
{
    struct area *area = NULL;
    while ((area = store_area_next(store, area)) != NULL)
        if (area->lifetime == AREA_TRANSIENT && area->generation <= last_generation)
            (void)!openers_delete_unused(openers, store, area);
}

/* --- meanwhile -------------------------------------------------------------------------------- */

/* in_use first, then lost; who takes over does it the other way round. So either sees the other. */
bool opener_enter(struct opener *opener)
{
    atomic_store(&opener->in_use, true);
    if (!opener_lost(opener)) return true;
    opener_leave(opener);
    return false;
}

void opener_leave(struct opener *opener)
{
    atomic_store_explicit(&opener->in_use, false, memory_order_release);
}

void openers_each(struct openers *openers, const struct area *area,
                  void (*each)(void *context, const struct opener *opener), void *context)
{
    lock_take(&openers->lock);
    for (const struct opener *opener = area->openers; opener != NULL; opener = opener->next)
        if (!atomic_load(&opener->lost)) each(context, opener);
    lock_drop(&openers->lock);
}

/* --- asking them to take the pages ------------------------------------------------------------ */

void openers_ask(struct openers *openers, struct area *area, uint32_t seconds)
{
    lock_take(&openers->lock);
    for (struct opener *opener = area->openers; opener != NULL; opener = opener->next) {
        opener->asked = opener->notices && !opener_drains(opener);
        if (!opener->asked) continue;
        atomic_store(&opener->answer, OPENER_SAID_NOTHING);
        atomic_store(&opener->ask_seconds, seconds);
        atomic_store(&opener->row->noticed, true);
    }
    lock_drop(&openers->lock);
}

struct openers_asked openers_asked(struct openers *openers, const struct area *area)
{
    struct openers_asked sum = {0};
    lock_take(&openers->lock);
    for (const struct opener *opener = area->openers; opener != NULL; opener = opener->next) {
        if (!opener->asked || atomic_load(&opener->lost)) continue;
        sum.asked++;
        sum.willing += atomic_load(&opener->answer) == OPENER_WILLING;
        sum.refused += atomic_load(&opener->answer) == OPENER_REFUSES;
    }
    lock_drop(&openers->lock);
    return sum;
}
