/* SPDX-License-Identifier: BSD-3-Clause
 * space_parts - what a space is made of. */
#ifndef FARPAGE_CLIENT_UFFD_SPACE_PARTS_H
#define FARPAGE_CLIENT_UFFD_SPACE_PARTS_H
#include "client/list.h"
#include "client/uffd/nearby.h"
#include "client/uffd/pagetable.h"
#include "client/uffd/space.h"
#include "client/uffd/trend.h"

/* What is covered, and how it is walked through. */
struct mapping {
    uint64_t start, end;        /* pages */
    struct trend remote, first; /* of loads; of first touches */
};

struct range { /* pages */
    uint64_t first, end;
};

struct ranges {
    struct range *ranges;
    size_t count, room;
};

struct space {
    struct list place;
    struct pager *pager;
    struct target *target;
    int uffd;
    uint32_t able, number;
    bool dead;                  /* its process is gone */
    bool forked;                /* or a child: pages may be shared with another process */
    struct list kin;            /* a ring of those that came from one by forks: pager_share.c */
    bool protecting;            /* what is shared is still to be protected */
    uint64_t free;              /* of its resident pages, those that another's count for */
    uint64_t leaving;           /* pages that are not resident any more, and still here */
    uint64_t staging;           /* address; 0: pages cannot be moved */
    struct pagetable table;
    struct mapping **mappings;  /* in order */
    size_t mapping_count, mapping_room;
    struct nearby nearby;       /* faults that are part of no walk */
    bool queued_forgotten;      /* by the pages_forget under way: some were queued */
    struct ranges moved_in;     /* by mremap, while mappings are changing */
    struct ranges doubts;       /* of these, what was said to be unmapped, before or since */
    uint64_t resident, away;
    unsigned freezes, orders;   /* orders under way */
    void (*frozen)(void *context);
    void *frozen_context, *context;
    short polled;
};

#endif
