/* SPDX-License-Identifier: BSD-3-Clause
 * area_stand - whether an area may be read and changed.
 *
 *   serves -(freeze)-> frozen -(move)-> moved -(delete)-> deleted
 *          <-(thaw)---'        deletion may come at any time
 *
 * What is done under a slot's lock sees how it stands; freeze waits for all who looked before.
 *
 * Threads: any. Locks: freeze takes RANK_SLOTS, one stripe at a time.
 */
#ifndef FARPAGE_STORAGE_AREA_STAND_H
#define FARPAGE_STORAGE_AREA_STAND_H
#include "storage/area/area.h"

/* Once it returns, no change is under way any more. False: it does not serve, or is frozen. */
bool area_freeze(struct area *area) FP_MUST_CHECK FP_NONNULL(1);
void area_thaw(struct area *area) FP_NONNULL(1); /* serves again, where it was frozen */
/* What was frozen is elsewhere from here on; `forward` says where, AREA_FORWARD_BYTES_MAX at most.
 * False: it is not frozen. */
bool area_move(struct area *area, struct slice forward) FP_MUST_CHECK FP_NONNULL(1);

/* Under a slot's lock it is certain; elsewhere it may be another at once. */
static inline enum area_stand area_stand(const struct area *area)
{
    return (enum area_stand)atomic_load(&area->stand);
}
static inline bool area_deleted(const struct area *area)
{
    return area_stand(area) == AREA_DELETED;
}
/* Whether what it holds may be shown: FP_OK, FP_MOVED or FP_LOST. */
static inline enum fp_status area_reads(const struct area *area)
{
    enum area_stand stand = area_stand(area);
    if (stand <= AREA_FROZEN) return FP_OK;
    return stand == AREA_MOVED ? FP_MOVED : FP_LOST;
}
/* Whether it may be changed: FP_FROZEN, too. */
static inline enum fp_status area_writes(const struct area *area)
{
    return area_stand(area) == AREA_FROZEN ? FP_FROZEN : area_reads(area);
}

#endif
