/* SPDX-License-Identifier: BSD-3-Clause
 * zpool_fill - what a zpool says it holds, for people. Pure; comes with zpool.h. */
#ifndef FARPAGE_STORAGE_ZPOOL_FILL_H
#define FARPAGE_STORAGE_ZPOOL_FILL_H
#include <stdint.h>

enum { ZPOOL_FULLNESS_GROUPS = 11 };
struct zpool_class { /* one row of `stats classes`; its pages are object, rounding, header and free
                      * bytes and nothing else */
    uint32_t slot_bytes;
    uint32_t slots_per_zspage;
    uint32_t pages_per_zspage;
    uint64_t object_count;
    uint64_t slot_count;
    uint64_t zspage_count;
    uint64_t freeable_pages; /* what compaction could win at most, from the counts alone */
    uint64_t object_bytes;   /* what was asked of alloc */
    uint64_t rounding_bytes; /* objects to slots, and what no slot can use */
    uint64_t header_bytes;   /* what the backend keeps beside objects */
    uint64_t free_bytes;     /* for more objects: what is partly filled */
    uint64_t fullness[ZPOOL_FULLNESS_GROUPS]; /* zspages by used tenths; the last one is full */
};
struct zpool_fill { /* the sums of all rows, and what is no class's */
    uint64_t object_count;
    uint64_t zspage_count;
    uint64_t held_pages;
    uint64_t object_bytes, rounding_bytes, header_bytes, free_bytes; /* add up to held_pages */
    uint64_t table_bytes; /* descriptors and handles, without those in rows */
    uint64_t pinned_count;
};

#endif
