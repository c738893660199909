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
};

struct zhandle { /* 0 is none; wrapped so that no integer passes for one */
    uint32_t number;
};

enum zwhat { ZNOTHING, ZVALUE, ZOBJECT };

struct zname { /* what a handle names, or did */
    enum zwhat what;
    uint32_t note;       /* of an object: the owner's, since alloc */
    uint32_t size_bytes; /* of an object that was ended: what was asked of alloc; else 0 */
    uint64_t value;
};

#endif
