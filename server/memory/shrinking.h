/* SPDX-License-Identifier: BSD-3-Clause
 * shrinking - how far memory is with becoming less, for whoever asks: `stats shrink`.
 *
 * Life of a run: idle -(more is held than may be)-> working -(it fits)-> idle
 *                                     '-(nothing gives way)-> stuck -(it fits)-> idle
 * A limit that is changed meanwhile begins another run. The counts are those of the run under way,
 * or of the last one.
 *
 * Threads: written by the maintainer; any may look. Lock-free. Blocks: never.
 */
#ifndef FARPAGE_SERVER_SHRINKING_H
#define FARPAGE_SERVER_SHRINKING_H
#include <stdatomic.h>
#include <stdint.h>

#include "base/attrs.h"

enum shrink_state { SHRINK_IDLE, SHRINK_WORKING, SHRINK_STUCK };

/* What keeps memory that is too much: why nothing gives way. */
#define SHRINK_REASONS(X)                                                                          \
    X(SHRINK_NOTHING, "-")                                                                         \
    X(SHRINK_NO_TIER, "pages of areas give way only to a file below memory, and there is none")    \
    X(SHRINK_TIER_FULL, "the file below memory is full or refuses, and pages stay")                \
    X(SHRINK_NO_EVICTION, "storage.eviction is off, and items stay")                               \
    X(SHRINK_PROGRAM, "what is left is the program itself, its tables, connections and maps")
enum shrink_reason {
#define X(reason, text) reason,
    SHRINK_REASONS(X)
#undef X
};

struct shrinking {
    _Atomic int state, reason; /* enums; reason: of SHRINK_STUCK */
    _Atomic uint64_t runs;     /* that have begun */
    _Atomic uint64_t limit_bytes, from_bytes; /* what is to be held; what was held at its start */
    _Atomic uint64_t begun_ns, took_ns;       /* took_ns while it works: up to the last step */
    _Atomic uint64_t bytes_per_s; /* by which what is held became less, lately; 0: not known */
    _Atomic uint64_t items_gone, pages_written_back, pages_compacted;
};

const char *shrink_state_name(int state);
const char *shrink_reason_text(int reason);
/* Of what was too much at its start, how much is gone; held_bytes: now. */
unsigned shrinking_percent(const struct shrinking *shrinking, uint64_t held_bytes) FP_NONNULL(1);

#endif
