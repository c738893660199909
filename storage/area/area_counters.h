/* SPDX-License-Identifier: BSD-3-Clause
 * area_counters - what is counted of an area. Threads: any; relaxed, exact when nobody writes. */
#ifndef FARPAGE_STORAGE_AREA_COUNTERS_H
#define FARPAGE_STORAGE_AREA_COUNTERS_H
#include <stdatomic.h>
#include <stdint.h>

struct area_counters {
    _Atomic uint64_t stored, same_filled, incompressible, packed_bytes;
    _Atomic uint64_t spilled, spilled_bytes; /* of those, the ones in the file below memory */
    _Atomic uint64_t stores, loads, absent, corrupt, invalidations, refused, over_quota;
    _Atomic uint64_t duplicates; /* stores over a page that was there */
};

#endif
