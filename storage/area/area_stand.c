/* SPDX-License-Identifier: BSD-3-Clause */
#include "storage/area/area_stand.h"

#include <string.h>

bool area_freeze(struct area *area)
{
    int serves = AREA_SERVES;
    if (!atomic_compare_exchange_strong(&area->stand, &serves, AREA_FROZEN)) return false;
    for (unsigned i = 0; i < AREA_STRIPES; i++) { /* who looked before has changed it by now */
        lock_take(&area->stripes[i]);
        lock_drop(&area->stripes[i]);
    }
    return true;
}

void area_thaw(struct area *area)
{
    int frozen = AREA_FROZEN;
    (void)atomic_compare_exchange_strong(&area->stand, &frozen, AREA_SERVES);
}

bool area_move(struct area *area, struct slice forward)
{
    int frozen = AREA_FROZEN;
    fp_assert(forward.size_bytes <= AREA_FORWARD_BYTES_MAX);
    if (area_stand(area) != AREA_FROZEN) return false;
    memcpy(area->forward.bytes, forward.bytes, forward.size_bytes);
    area->forward.size_bytes = (uint32_t)forward.size_bytes;
    return atomic_compare_exchange_strong(&area->stand, &frozen, AREA_MOVED);
}
