/* SPDX-License-Identifier: BSD-3-Clause
 * scrub - how the job stands that looks at all that is stored: told by anybody, done by the
 * scrubber, shown in `stats scrub`.
 *
 * Life of a run: none -(asked, or storage.scrub_interval is over)-> running -(stop)-> none
 *                                                       running -(all was looked at)-> none
 *
 * Threads: any; lock-free. Blocks: never.
 */
#ifndef FARPAGE_SERVER_SCRUB_H
#define FARPAGE_SERVER_SCRUB_H
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/attrs.h"
#include "storage/store/store_scrub.h"

enum scrub_end { SCRUB_NEVER, SCRUB_DONE, SCRUB_STOPPED };

struct scrub {
    _Atomic bool asked, stopped; /* said by operators; cleared by the scrubber */
    _Atomic bool running;
    _Atomic uint32_t end; /* enum scrub_end, of the last run */
    /* Of the run under way, or the last one: pages and items, damaged ones, its time. */
    _Atomic uint64_t to_look, looked, damaged, spent_ns;
    _Atomic uint64_t runs;         /* that were completed */
    _Atomic uint64_t ended_unix_s; /* the last of them; 0: none was */
    struct { /* since the start, all runs */
#define X(name, text) _Atomic uint64_t name;
        SCRUB_COUNTS(X)
#undef X
    } counts;
    int wake_fd; /* eventfd of the scrubber; -1 before it is made */
};

/* Asks for a run; one that is under way goes on and is not followed by another. */
void scrub_start(struct scrub *scrub) FP_NONNULL(1);
bool scrub_stop(struct scrub *scrub) FP_NONNULL(1); /* false: none runs */
void scrub_wake(struct scrub *scrub) FP_NONNULL(1);

const char *scrub_state(const struct scrub *scrub) FP_NONNULL(1); /* "running" */
const char *scrub_end_name(uint32_t end);
unsigned scrub_percent(const struct scrub *scrub) FP_NONNULL(1); /* of the run */
uint64_t scrub_seconds_left(const struct scrub *scrub) FP_NONNULL(1); /* 0 where none runs */

#endif
