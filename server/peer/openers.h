/* SPDX-License-Identifier: BSD-3-Clause
 * openers - who has which area open: exclusively or shared, since when, from where.
 *
 * Life of an opener: made by its session -(openers_open)-> has the area -(close)-> ended
 *                                             '-(taken over by the same client)-> lost -(close)-'
 *
 * Whoever has an area exclusively keeps all others out, save the same client coming back: its
 * connection may have broken without the server noticing yet. Then the old opener is lost; a
 * request of its that is being carried out at that moment is waited for, so that none takes effect
 * after the new one was let in. Nor does anybody keep others out who has hung up, though his worker
 * has not come round to it.
 *
 * A transient area is deleted with its last opener.
 *
 * One opener at a time may be there to drain the area (FRAME_OPEN_DRAIN): it is in nobody's way and
 * nobody is in its, and what it froze serves again when it ends. But those who could not follow the
 * area elsewhere (block devices) and who drains it keep each other out.
 *
 * Threads: any; an opener belongs to its session's thread, but what is atomic.
 * Locks:   RANK_OPENERS, and within it RANK_AREAS. Blocks: never.
 */
#ifndef FARPAGE_SERVER_OPENERS_H
#define FARPAGE_SERVER_OPENERS_H
#include <stdatomic.h>
#include <stdbool.h>

#include "base/lock.h"
#include "protocol/frame.h"
#include "protocol/limits.h"
#include "server/peer/conns.h"
#include "storage/area/area_stand.h"
#include "storage/store/page/store_area.h"

struct opener {
    struct conn_row *row; /* of its connection, which is open as long as the opener is */
    bool notices;         /* its client takes them; set before it is opened */
    bool stays_here;      /* it could not follow its area elsewhere; set before, too */
    /* Written by openers.c under its lock, but read by the session that it belongs to: */
    struct area *area; /* a use */
    uint32_t flags;    /* enum frame_open_flags: SHARED, ZEROS and DRAIN */
    /* private to openers.c */
    uint8_t client_id[FRAME_CLIENT_ID_BYTES];
    uint64_t since_ns; /* Unix time */
    struct opener *next, *prev; /* of the area's */
    bool linked;
    _Atomic bool lost, in_use;
    bool asked;                         /* to take the area's pages, in the present drain */
    _Atomic uint32_t ask_seconds;       /* not told yet; 0: nothing to tell */
    _Atomic int answer;                 /* enum opener_answer */
};

enum opener_answer { OPENER_SAID_NOTHING, OPENER_WILLING, OPENER_REFUSES };

struct openers {
    struct lock lock;
    bool keeps_transient; /* the server stops, and what it keeps goes on in the next */
};

void openers_init(struct openers *openers) FP_NONNULL(1);
void openers_fini(struct openers *openers) FP_NONNULL(1);

struct open_request {
    struct store *store;
    const struct frame_open *open;
    const uint8_t *boot_id; /* this server's */
    uint8_t tenant;         /* whose an area is that is made */
};

/* Lets the opener, which has only its row yet, have the area that the request names; makes it
 * where the request says so. FP_LOST: it is not the one that was expected. FP_ABSENT. FP_EXISTS: it
 * has other slots or pages. FP_MOVED: it is elsewhere; only who drains may have it. FP_BUSY: `why`
 * says who has it. FP_TOO_BIG, FP_NO_MEMORY: as
 * store_area_create. FP_NOT_STORED: who had it is still at work; ask again after other requests. */
enum fp_status openers_open(struct openers *openers, const struct open_request *request,
                            struct opener *opener, char why[REFUSAL_BYTES_MAX])
    FP_MUST_CHECK FP_NONNULL(1, 2, 3, 4);

/* The same for an opener that has it already: what it asks for now is to hold from here on.
 * FP_NOT_STORED also where it was taken over, or the area deleted, in between. */
enum fp_status openers_open_again(struct openers *openers, const struct open_request *request,
                                  struct opener *opener, char why[REFUSAL_BYTES_MAX])
    FP_MUST_CHECK FP_NONNULL(1, 2, 3, 4);

/* Ends the use of the area. */
void openers_close(struct openers *openers, struct store *store, struct opener *opener)
    FP_NONNULL(1, 2, 3);

/* Deletes the area, which the caller goes on having open. FP_BUSY: `why` says who else has it open,
 * or that it is the configuration's. FP_LOST: it is deleted already, or was taken over. */
enum fp_status openers_delete(struct openers *openers, struct store *store, struct opener *opener,
                              char why[REFUSAL_BYTES_MAX]) FP_MUST_CHECK FP_NONNULL(1, 2, 3, 4);

/* Deletes the area if nobody has it open. False: somebody has. */
bool openers_delete_unused(struct openers *openers, struct store *store, struct area *area)
    FP_MUST_CHECK FP_NONNULL(1, 2, 3);

/* From here on transient areas do not end with their last opener. */
void openers_keep_transient(struct openers *openers) FP_NONNULL(1);
/* Deletes the transient areas up to that generation which nobody has open. */
void openers_delete_transient(struct openers *openers, struct store *store,
                              uint64_t last_generation) FP_NONNULL(1, 2);

/* Around each request for the area. False: it was taken over, or the area was deleted. */
bool opener_enter(struct opener *opener) FP_MUST_CHECK FP_NONNULL(1);
void opener_leave(struct opener *opener) FP_NONNULL(1);
static inline bool opener_lost(const struct opener *opener) /* once so, always so */
{
    return atomic_load(&opener->lost) || area_deleted(opener->area);
}

/* It has the area to drain it, and not to change it. */
static inline bool opener_drains(const struct opener *opener)
{
    return (opener->flags & FRAME_OPEN_DRAIN) != 0;
}

struct openers_asked {
    uint32_t asked, willing, refused;
};
/* Lets the clients of all other openers that take notices know that they are to take the area's
 * pages within so many seconds (1 or more). Earlier answers are forgotten. */
void openers_ask(struct openers *openers, struct area *area, uint32_t seconds) FP_NONNULL(1, 2);
struct openers_asked openers_asked(struct openers *openers, const struct area *area)
    FP_NONNULL(1, 2);

/* Calls `each` for all who have the area open, with the lock held: it must be quick and take no
 * lock. */
void openers_each(struct openers *openers, const struct area *area,
                  void (*each)(void *context, const struct opener *opener), void *context)
    FP_NONNULL(1, 2, 3);

#endif
