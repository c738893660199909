/* SPDX-License-Identifier: BSD-3-Clause
 * budget - how much memory the process may hold, and who holds it.
 *
 * Everything that grows with use is charged here before it is allocated, under one of the uses
 * below, and given back when freed. The sum passes the limit only by what was charged before it was
 * lowered, and by what exists already and is charged anyway: the program itself at its start, and
 * what a client has sent or has yet to read, which its connection bounds.
 *
 * A limit may be lowered at once, or approached: then it follows the total down as somebody gives
 * memory back, so that who takes some meanwhile need not give back all that is too much.
 *
 * Invariant: sum of held_bytes[] == total_bytes, at rest.
 * Threads: any; lock-free. Blocks: never.
 */
#ifndef FARPAGE_BASE_BUDGET_H
#define FARPAGE_BASE_BUDGET_H
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/attrs.h"

#define BUDGET_USES(X)                                                                             \
    X(BUDGET_FIXED, "fixed", "the program itself: code, stacks, per-thread working memory")        \
    X(BUDGET_PAYLOAD, "payload", "pages of the allocator, full or not")                            \
    X(BUDGET_CACHED, "cached", "pages that were freed and are kept for the next taker")            \
    X(BUDGET_ALLOCATOR, "allocator", "handles and zspage descriptors")                             \
    X(BUDGET_SLOTS, "slots", "areas; 8 bytes for each slot where any of 1024 is used")             \
    X(BUDGET_ITEMS, "items", "keys and item records")                                              \
    X(BUDGET_KEYDIR, "keydir", "tables from key to item")                                          \
    X(BUDGET_CONNECTIONS, "connections", "connections and their buffers")                          \
    X(BUDGET_MAPS, "maps", "what clients have mapped: unpacked, or as they write it")              \
    X(BUDGET_COMPRESSORS, "compressors", "threads' packers; dictionaries of seats, with tables")   \
    X(BUDGET_SPILL, "spill", "extents of the file below memory; what is on its way there or back") \
    X(BUDGET_SNAPSHOT, "snapshot", "what a snapshot is composed in, and pages kept for it")       \
    X(BUDGET_HEAP, "heap", "what the process holds beyond all that, where it is much")

enum budget_use {
#define X(use, name, text) use,
    BUDGET_USES(X)
#undef X
    BUDGET_USES_COUNT
};

struct budget {
    _Atomic uint64_t limit_bytes;  /* in force */
    _Atomic uint64_t wanted_bytes; /* what it shall be */
    _Atomic uint64_t total_bytes;
    _Atomic uint64_t held_bytes[BUDGET_USES_COUNT];
};

void budget_init(struct budget *budget, uint64_t limit_bytes) FP_NONNULL(1);

/* Charges `bytes`; false, and nothing charged, where that would pass the limit. */
bool budget_charge(struct budget *budget, enum budget_use use, uint64_t bytes)
    FP_MUST_CHECK FP_NONNULL(1);

/* Charges even past the limit: for what exists already (fixed costs, an accepted connection). */
void budget_charge_anyway(struct budget *budget, enum budget_use use, uint64_t bytes) FP_NONNULL(1);

/* What *charged says becomes what `now` says, even past the limit. */
void budget_recharge(struct budget *budget, enum budget_use use, uint64_t *charged, uint64_t now)
    FP_NONNULL(1, 3);

void budget_return(struct budget *budget, enum budget_use use, uint64_t bytes) FP_NONNULL(1);

/* Charged bytes change their use; the total stays. */
void budget_move(struct budget *budget, enum budget_use from, enum budget_use to, uint64_t bytes)
    FP_NONNULL(1);

/* A lower limit than what is held is accepted: nothing new is charged until enough is returned. */
void budget_set_limit(struct budget *budget, uint64_t limit_bytes) FP_NONNULL(1);

/* The same in steps: where more is held, the limit is that for now. */
void budget_approach_limit(struct budget *budget, uint64_t limit_bytes) FP_NONNULL(1);
/* One step: what was returned since may not be charged any more. False: more is held than that. */
bool budget_settle(struct budget *budget) FP_NONNULL(1);

uint64_t budget_limit(const struct budget *budget) FP_NONNULL(1); /* in force */
uint64_t budget_wanted(const struct budget *budget) FP_NONNULL(1);
uint64_t budget_total(const struct budget *budget) FP_NONNULL(1);
uint64_t budget_held(const struct budget *budget, enum budget_use use) FP_NONNULL(1);
const char *budget_use_name(enum budget_use use);

#endif
