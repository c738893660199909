/* SPDX-License-Identifier: BSD-3-Clause
 * recompression - how the job that packs stored objects once more goes: told by anybody, done by
 * the recompressor, shown in `stats recompress`.
 *
 * Life of a run: none -(asked, or due by itself)-> running <-(pause, resume)-> paused
 *                running or paused -(cancel)-> none    running -(all was looked at)-> none
 *
 * Threads: any; lock-free. Blocks: never.
 */
#ifndef FARPAGE_SERVER_RECOMPRESSION_H
#define FARPAGE_SERVER_RECOMPRESSION_H
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "storage/store/recompress/store_recompress.h"

/* Why a run runs. */
#define RECOMPRESSION_RUNS(X)                                                                      \
    X(RECOMPRESSION_NONE, "none")                                                                  \
    X(RECOMPRESSION_ASKED, "asked")                                                                \
    X(RECOMPRESSION_DRAINING, "draining")                                                          \
    X(RECOMPRESSION_COLD, "cold")
enum recompression_run {
#define X(name, text) name,
    RECOMPRESSION_RUNS(X)
#undef X
};

#define RECOMPRESSION_ENDS(X)                                                                      \
    X(RECOMPRESSION_NEVER, "none")                                                                 \
    X(RECOMPRESSION_DONE, "done")                                                                  \
    X(RECOMPRESSION_CANCELLED, "cancelled")
enum recompression_end {
#define X(name, text) name,
    RECOMPRESSION_ENDS(X)
#undef X
};

struct recompression {
    /* Said by operators; cleared by the recompressor, but for `paused`. */
    _Atomic bool asked, cancelled, paused;
    _Atomic bool running;
    _Atomic uint32_t run, end; /* enums: of the run under way, or the last one; of the last one */
    /* Of that run: pages and items, and its time without pauses. */
    _Atomic uint64_t to_look, looked, spent_ns;
    struct { /* since the start, all runs */
#define X(name, text) _Atomic uint64_t name;
        RECOMPRESS_COUNTS(X)
#undef X
    } counts;
    int wake_fd; /* eventfd of the recompressor; -1 before it is made */
};

enum recompression_told { RECOMPRESSION_OK, RECOMPRESSION_NOT_NOW };

/* Asks for a run over everything; one that is under way goes on and is followed by it.
 * RECOMPRESSION_NOT_NOW: it is paused. */
enum recompression_told recompression_start(struct recompression *recompression);
void recompression_pause(struct recompression *recompression);
void recompression_resume(struct recompression *recompression);
/* Ends the run under way, and forgets one that was asked for. NOT_NOW: there is none. */
enum recompression_told recompression_cancel(struct recompression *recompression);
void recompression_wake(struct recompression *recompression);

const char *recompression_state(const struct recompression *recompression);
const char *recompression_run_name(uint32_t run);
const char *recompression_end_name(uint32_t end);
unsigned recompression_percent(const struct recompression *recompression); /* of the run */
/* Until the run ends, at the pace it had so far; 0 where none runs. */
uint64_t recompression_seconds_left(const struct recompression *recompression);

#endif
