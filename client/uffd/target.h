/* SPDX-License-Identifier: BSD-3-Clause
 * target - whose memory is paged: what only the owner of an address space can do with it, and how
 * the pager reads it.
 *
 * The pager's own process is one (target_own.h); `farpage run` makes one of each process that has
 * its agent. UFFDIO_COPY, ZEROPAGE, POISON, WRITEPROTECT and WAKE work from outside, so the pager
 * does them itself with the userfaultfd it was given; UFFDIO_MOVE and madvise do not.
 *
 * Staging is a range of the target's address space, private, anonymous, writable, left out of a
 * fork (MADV_DONTFORK), without huge pages, and registered with the program's userfaultfd: a move
 * through that one answers EAGAIN as long as the pager has a change of the program's mappings still
 * to read, so that a page of something that is new at an old address is never taken. What madvise
 * drops there is told to the pager as an event, for which the caller waits; the pager passes over
 * it. A target that is called by the pager itself must not wait so: see target_own.c.
 *
 * A target belongs to its space from pager_adopt on and is destroyed with it.
 *
 * Threads: all is called on the pager's thread, and `done` must be. Blocks: nothing here may, not
 * for the program and not for an event that the pager has still to read: orders are carried out by
 * somebody else, or at once.
 */
#ifndef FARPAGE_CLIENT_UFFD_TARGET_H
#define FARPAGE_CLIENT_UFFD_TARGET_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attrs.h"

enum { TARGET_ORDER_PAGES = 64 };

enum target_order_kind {
    TARGET_MOVE, /* UFFDIO_MOVE of the page at `from` to `to` in staging, waking nobody */
    TARGET_DROP, /* MADV_DONTNEED of `from`, in staging, or in the program where it is protected */
    TARGET_LOSE, /* no UFFD_POISON: what touches `from` must get SIGBUS from now on */
};

struct target_page {
    uint64_t from, to;
    int error; /* out: 0 or errno. MOVE: EBUSY, ENOENT, EINVAL, EAGAIN as uffd.h says */
};

/* Filled and owned by the pager, not touched by it until `done`. Pages are in no order; those next
 * to each other are often so in memory too, and worth one call of the kernel. */
struct target_order {
    enum target_order_kind kind;
    uint32_t count;
    struct target_page pages[TARGET_ORDER_PAGES];
    /* Called once, by the target, also within `give`; ESRCH each where the process is gone. */
    void (*done)(struct target_order *order);
    void *owner; /* done's own */
    struct target_order *next; /* the target's own */
};

struct target;

struct target_table {
    /* Maps and registers staging of so many bytes; *start is where. 0 or errno. Called once, first.
     * NULL, or an error: there is no moving, the pager protects instead. */
    int (*stage)(struct target *target, uint64_t bytes, uint64_t *start);

    /* Takes an order. They may be carried out one after the other or at once, and done in any
     * order. What was given is told within bounded time. */
    void (*give)(struct target *target, struct target_order *order);

    /* Copies pages that are there, protected or in staging, so that nobody writes to them:
     * addresses[i] to into[i]. 0, or errno and nothing is to be believed. */
    int (*read)(struct target *target, const uint64_t *addresses, uint8_t *const *into,
                size_t count);

    /* UFFDIO_MOVE of one page from staging to where it is wanted, through the program's uffd, which
     * wakes who waits. 0 or errno. NULL: not worth the way, the page is read and copied. */
    int (*bring)(struct target *target, uint64_t to, uint64_t from);

    /* The orders that were given are done with ESRCH where they are not carried out yet; nothing is
     * called any more afterwards. Unmaps what `stage` mapped, where the process lives on. */
    void (*destroy)(struct target *target);
};

/* The head of whatever implements it. */
struct target {
    const struct target_table *table;
    int pid;     /* of the process, as this one sees it; for SIGBUS without UFFD_POISON */
    int pagemap; /* /proc/PID/pagemap, owned by the target; -1: not known what is there */
    bool ready;  /* orders are carried out: as long as not, nothing is taken out of the process */
    struct space *space; /* the pager's to set: whose it is, once it was adopted */
};

#endif
