/* SPDX-License-Identifier: BSD-3-Clause
 * trend - which pages to fetch besides the one that is demanded: what the last faults of a mapping
 * have in common, and how often that was right.
 *
 *     fault --- goes on with a stream? -- yes --> its window doubles, the next run behind the page
 *                      | no
 *                      '- three steps alike, or a majority of the last ones? --> a new stream,
 *                                                                   with the mapping's first window
 *
 * The majority is that of Leap (Al Maruf, Chowdhury, "Effectively Prefetching Remote Memory with
 * Leap", ATC 2020): the stride that more than half of the last 4, else 8, 16, 32 faults moved by,
 * found by Boyer and Moore's vote. Leap sees every access; here a page that was fetched ahead is
 * mapped and tells nobody that it is used. So who walks on is known by faulting right behind what
 * was fetched, and several walk at once (a partition from both ends, a merge): these are Jouppi's
 * stream buffers (ISCA 1990), of pages.
 *
 * A stream that nobody goes on with was waste: the mapping's first window halves, down to none for
 * random access, where a stream must show itself again before anything is fetched for it. Every
 * stream that goes on doubles it.
 *
 * Pages are numbers, address / 4096, as far apart as they are in memory. One trend for each mapping
 * and purpose: loading what is remote and filling first touches do not mix. 0.7 KiB, no heap.
 * Threads: the caller's. Blocks: never.
 */
#ifndef FARPAGE_CLIENT_UFFD_TREND_H
#define FARPAGE_CLIENT_UFFD_TREND_H
#include <stdbool.h>
#include <stdint.h>

#include "base/attrs.h"

enum {
    TREND_HISTORY_FAULTS = 32,
    TREND_STREAMS = 8,
    TREND_FIRST_PAGES = 4,      /* a mapping's first window to begin with */
    TREND_FIRST_PAGES_MAX = 8,  /* and at best */
    TREND_WINDOW_PAGES_MAX = 64 /* the most a caller may ask for */
};

struct trend_stream {
    int64_t stride;    /* in pages; 0: no stream is here */
    uint64_t at;       /* the page that faulted last */
    uint32_t window;   /* pages to fetch when it goes on */
    uint32_t fetched;  /* of the last run, pages said to be fetched: at + stride * (1 .. fetched) */
    uint64_t moved;    /* the fault it last went on with, by number */
    bool went_on;
};

struct trend {
    uint64_t history[TREND_HISTORY_FAULTS]; /* of pages that no stream expected; a ring */
    uint64_t remembered;                    /* how many ever; the newest is the last of these */
    struct trend_stream streams[TREND_STREAMS];
    uint32_t window_max, first_window;
    uint64_t faults;
    uint64_t fetched, used, wasted; /* pages of runs, as far as one can tell */
};

/* Pages first + stride * (0 .. count - 1); some may be local, unmapped or outside the mapping,
 * which the caller passes over. */
struct trend_run {
    uint64_t first;
    int64_t stride;
    uint32_t count;
};

/* No run has more than `window_max` pages (TREND_WINDOW_PAGES_MAX at most; 0: none ever). */
void trend_init(struct trend *trend, uint32_t window_max) FP_NONNULL(1);

/* `page` was demanded. What to fetch with it, at most `room` pages: 0 at the watermark, which the
 * stream is not blamed for. */
struct trend_run trend_fault(struct trend *trend, uint64_t page, uint32_t room) FP_NONNULL(1);

/* A page that was fetched ahead goes away and nobody has used it (evicted before, unmapped): the
 * window of its stream, or the mapping's first, halves. For callers that can tell. */
void trend_wasted(struct trend *trend, uint64_t page) FP_NONNULL(1);

/* The mapping moved by so many pages: everything in it is expected there. */
void trend_move(struct trend *trend, int64_t pages) FP_NONNULL(1);

#endif
