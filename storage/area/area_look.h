/* SPDX-License-Identifier: BSD-3-Clause
 * area_look - what the rows of an area hold, for who copies an area while it is used.
 *
 * Threads: any. Locks: RANK_SLOTS.
 */
#ifndef FARPAGE_STORAGE_AREA_LOOK_H
#define FARPAGE_STORAGE_AREA_LOOK_H
#include "storage/area/area.h"

/* A row as it is at one moment, for who copies an area that is used meanwhile: a copy made after
 * the look is a good one as long as `changes` stays the same. */
struct area_row_look {
    uint64_t first; /* slot */
    uint32_t changes;
    uint32_t used_slots;
    uint8_t used[AREA_ROW_SLOTS / 8]; /* a bit for each slot, the lowest of a byte first */
};

/* Looks at the row of *slot, or at the next one that was ever stored to, and moves *slot behind it.
 * False: there is none up to *slot, which is slot_count or after AREA_SKIP_ROWS rows. */
bool area_look_row(struct area *area, uint64_t *slot, struct area_row_look *look)
    FP_MUST_CHECK FP_NONNULL(1, 2, 3);

#endif
