/* SPDX-License-Identifier: BSD-3-Clause
 * edge - bytes that end where the address space does: reading one more is a fault in any build. */
#ifndef FARPAGE_TESTS_UNIT_PROTOCOL_EDGE_H
#define FARPAGE_TESTS_UNIT_PROTOCOL_EDGE_H
#include <check.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/slice.h"

struct edge {
    uint8_t *map;
    size_t map_bytes; /* without the page that faults */
};

static inline struct edge edge_create(size_t room_bytes)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    struct edge edge = {.map_bytes = (room_bytes / page + 1) * page};
    edge.map = mmap(NULL, edge.map_bytes + page, PROT_READ | PROT_WRITE,
                    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    ck_assert(edge.map != MAP_FAILED);
    ck_assert_int_eq(mprotect(edge.map + edge.map_bytes, page, PROT_NONE), 0);
    return edge;
}

static inline void edge_destroy(struct edge *edge)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    ck_assert_int_eq(munmap(edge->map, edge->map_bytes + page), 0);
    edge->map = NULL;
}

/* A copy of `bytes`, good until the next call. */
static inline struct slice edge_place(struct edge *edge, struct slice bytes)
{
    ck_assert_uint_le(bytes.size_bytes, edge->map_bytes);
    uint8_t *at = edge->map + edge->map_bytes - bytes.size_bytes;
    if (bytes.size_bytes > 0) memmove(at, bytes.bytes, bytes.size_bytes);
    return slice_of(at, bytes.size_bytes);
}

#endif
