/* SPDX-License-Identifier: BSD-3-Clause
 * farpage_drain - taking an area's pages away from its server while it is used. Included by
 * farpage.h, which has the rules of threads and errors.
 *
 * The area is opened with FARPAGE_AREA_DRAIN, beside whoever has it open, and does not reconnect:
 * where the connection ends before farpage_area_finish(), it serves on as if nothing had been.
 * Through it pages are loaded, never stored.
 *
 *   rows -> copied, again where they changed -> freeze -> the last that changed -> finish
 *
 * This is what `farpage drain` is made of. */
#ifndef FARPAGE_DRAIN_H
#define FARPAGE_DRAIN_H
#ifndef FARPAGE_H
#error "include farpage.h, which includes this"
#endif

#ifdef __cplusplus
extern "C" {
#endif

enum { FARPAGE_ROW_SLOTS = 1024 };

struct farpage_row {
    uint64_t first;            /* slot; a multiple of FARPAGE_ROW_SLOTS */
    uint32_t changes;          /* a copy made after this is good as long as it stays */
    uint32_t used_slots;
    const unsigned char *used; /* a bit for each slot, the lowest of a byte first; for the call */
};

/* Calls `each` for some rows from *slot on that were ever stored to, in order, and moves *slot
 * behind them; where it is farpage_area_slots(), those were the last. */
FARPAGE_API FARPAGE_MUST_CHECK enum farpage_status
farpage_area_rows(struct farpage_area *area, uint64_t *slot,
                  void (*each)(void *context, const struct farpage_row *row), void *context);

/* Stores and invalidations are answered FARPAGE_DRAINING from here on, and none is under way any
 * more; loads go on. */
FARPAGE_API FARPAGE_MUST_CHECK enum farpage_status farpage_area_freeze(struct farpage_area *area);
/* Takes that back, where it was. FARPAGE_MOVED: it is elsewhere already. */
FARPAGE_API FARPAGE_MUST_CHECK enum farpage_status farpage_area_thaw(struct farpage_area *area);

struct farpage_moved {
    const char *address;       /* "HOST:PORT", "unix:/path" or "file:NAME", printable, no blanks */
    unsigned char boot_id[16]; /* which area it is at that server; */
    uint64_t generation;       /* zeros where it is none */
};

/* Of a frozen area: its pages are there now. The server gives their memory back and answers every
 * request for the area FARPAGE_MOVED. */
FARPAGE_API FARPAGE_MUST_CHECK enum farpage_status
farpage_area_finish(struct farpage_area *area, const struct farpage_moved *moved);

struct farpage_asked {
    uint64_t stored_pages;
    uint32_t sessions, willing, refused; /* asked; their answers so far */
};

/* Asks the clients that have the area open to take their pages within so many seconds. */
FARPAGE_API FARPAGE_MUST_CHECK enum farpage_status
farpage_area_ask(struct farpage_area *area, uint32_t seconds, struct farpage_asked *asked);
/* What came of it so far. */
FARPAGE_API FARPAGE_MUST_CHECK enum farpage_status
farpage_area_asked(struct farpage_area *area, struct farpage_asked *asked);

#ifdef __cplusplus
}
#endif
#endif
