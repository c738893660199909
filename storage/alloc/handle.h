/* SPDX-License-Identifier: BSD-3-Clause
 * handle - the name by which things are kept in a zpool, and what it can name. Pure.
 */
#ifndef FARPAGE_STORAGE_HANDLE_H
#define FARPAGE_STORAGE_HANDLE_H
#include <stdint.h>

enum {
    ZPOOL_NOTE_BITS = 24,
    ZPOOL_VALUE_BITS = 62,
    ZPOOL_ROW_HANDLES = 1024,
    ZPOOL_SPILLED_NOTE_BITS = 10, /* of the note, the lowest: all that is kept of one spilled */
    ZPOOL_SPILLED_PLACE_BITS = 35,
};

struct zhandle { /* 0 is none; wrapped so that no integer passes for one */
    uint32_t number;
};

enum zwhat { ZNOTHING, ZVALUE, ZOBJECT, ZSPILLED };

struct zname { /* what a handle names, or did */
    enum zwhat what;
    uint32_t note;       /* of an object: the owner's, since alloc; of one spilled, part of it */
    uint32_t size_bytes; /* of an object that was ended: what was asked of alloc; of one spilled
                          * always; else 0 */
    uint64_t value;      /* of one spilled: its place, which is its owner's business */
};

#endif
