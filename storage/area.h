/* SPDX-License-Identifier: BSD-3-Clause
 * area - a named, sized array of slots, each an entry or nothing. Knows no page, only entries.
 *
 * The table is a reservation cut into chunks of AREA_CHUNK_SLOTS slots, 12 KiB each: an area of a
 * terabyte costs nothing until it is used, and a chunk whose last entry goes is given back.
 *
 * Invariant: used_slots[c] == entries in chunk c; the sum over chunks == counters.stored.
 * Threads: any. A slot's lock (one of AREA_STRIPES, by chunk) guards its entry.
 * Locks:   slots calls take RANK_SLOTS or say that it must be held.
 */
#ifndef FARPAGE_STORAGE_AREA_H
#define FARPAGE_STORAGE_AREA_H
#include <stdatomic.h>

#include "base/budget.h"
#include "base/lock.h"
#include "base/slice.h"
#include "storage/entry.h"

enum {
    AREA_CHUNK_SLOTS = 1024,
    AREA_STRIPES = 64,
    AREA_NAME_CAPACITY = 65,
    AREA_SKIP_CHUNKS = 1 << 16,
};

/* What an area holds, for people. Relaxed: exact when nobody writes. */
struct area_counters {
    _Atomic uint64_t stored, same_filled, incompressible, packed_bytes;
    _Atomic uint64_t stores, loads, absent, corrupt, invalidations, refused;
};

struct area {
    char name[AREA_NAME_CAPACITY];
    uint64_t slot_count;
    uint32_t page_bytes;
    uint64_t generation; /* never the same for two areas of one run of the server */
    struct area_counters counters;
    /* private to area.c */
    struct budget *budget;
    uint8_t *table;
    uint64_t chunk_count;
    _Atomic uint16_t *used_slots; /* per chunk, in a reservation; written under its stripe */
    struct lock stripes[AREA_STRIPES];
};

struct area_options {
    struct slice name;
    uint64_t slot_count;
    uint32_t page_bytes;
    uint64_t generation;
};

/* FP_NO_MEMORY: no address space or heap for it. */
enum fp_status area_create(struct budget *budget, const struct area_options *options,
                           struct area **area) FP_MUST_CHECK FP_NONNULL(1, 2, 3);
/* Every slot must be empty. */
void area_destroy(struct area **area) FP_NONNULL(1);

void area_slot_take(struct area *area, uint64_t slot) FP_NONNULL(1); /* its stripe's lock */
void area_slot_drop(struct area *area, uint64_t slot) FP_NONNULL(1);

/* The entry of a slot; enter holding its lock. */
struct entry area_get_locked(const struct area *area, uint64_t slot) FP_NONNULL(1);

/* Puts `next` (possibly absent) into the slot and returns what was there, the caller's now.
 * FP_NO_MEMORY: the table cannot grow; nothing has changed. Takes and drops the slot's lock. */
enum fp_status area_put(struct area *area, uint64_t slot, struct entry next, struct entry *old)
    FP_MUST_CHECK FP_NONNULL(1, 4);

/* Takes out up to `max` entries from [*slot, end) and moves *slot behind what was looked at.
 * Returns how many. Done when *slot == end. Looks at the slots of one chunk at most, and skips
 * AREA_SKIP_CHUNKS unused ones, so that a caller can bound its time. */
unsigned area_clear_some(struct area *area, uint64_t *slot, uint64_t end, struct entry *entries,
                         unsigned max) FP_NONNULL(1, 2, 4);

void area_check(struct area *area) FP_NONNULL(1); /* recomputes the counts: slow */

#endif
