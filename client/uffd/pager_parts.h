/* SPDX-License-Identifier: BSD-3-Clause
 * pager_parts - what a pager is made of. Its files: pager.c has its life and its loop,
 * pager_fault.c what faults ask for, pager_load.c what comes from the server, pager_back.c what
 * comes back before it has gone, pager_take.c what leaves the program, pager_send.c what goes to
 * the server, pager_event.c what programs do with their mappings, pager_share.c what forks share,
 * pager_want.c hints, space.c the spaces. */
#ifndef FARPAGE_CLIENT_UFFD_PAGER_PARTS_H
#define FARPAGE_CLIENT_UFFD_PAGER_PARTS_H
#include <pthread.h>

#include "client/list.h"
#include "client/uffd/figures.h"
#include "client/uffd/pager.h"
#include "client/uffd/queue.h"
#include "client/uffd/slots.h"
#include "client/uffd/space_parts.h"
#include "client/uffd/uffd.h"

enum {
    PAGER_LOADS = 256,          /* pages asked for at once, */
    PAGER_LOADS_DEMANDED = 64,  /* of which so many are for those that are demanded */
    PAGER_SENDINGS = 256,       /* pages copied out and not acknowledged */
    PAGER_ORDERS = 16,          /* under way at targets */
    PAGER_STEP_PAGES = 16,      /* taken, or sent, between two looks at the faults */
    PAGER_BRING_PAGES = 32,     /* copied out of staging at once */
    PAGER_SPACES_MAX = 4096,
    PAGER_SPACE_SHIFT = 36,     /* a queued page's number: its space's above this */
};

/* One thread that waits for a page, and could not be served yet. */
struct fault {
    uint64_t number;   /* of the page */
    uint64_t told_ns;  /* when the pager learned of it */
    bool protection;   /* it met a protected page */
    bool overdue;      /* it has waited for the grace */
};

struct waiting {
    struct list place;
    struct space *space;
    struct fault fault;
};

struct load {
    struct list place;    /* among the free, those under way, or those that came */
    struct pager *pager;
    struct space *space;  /* NULL: nobody wants it any more */
    uint64_t number;
    uint32_t slot, index;
    uint64_t begun_ns, told_ns; /* told: of the fault */
    uint64_t came_ns;     /* 0: not yet */
    bool demanded, walked; /* walked: fetched ahead of a walk that comes to it */
    uint8_t asks;         /* how often the server was asked */
    uint8_t *bytes;
};

enum leaver_state {
    LEAVER_TAKING,  /* TARGET_MOVE is under way */
    LEAVER_STAGED,
    LEAVER_GOING,   /* TARGET_DROP is due or under way: of staging, or (unstaged) of the program */
};

struct leaver {
    struct list place;    /* among the free, those staged, oldest first, or those to be dropped */
    struct space *space;
    uint64_t number;      /* of the page in the program */
    uint32_t slot, kept;  /* kept: its old one, where that is another; else SLOT_NONE */
    uint32_t index;       /* also its place in the staging of whatever space */
    uint8_t state;        /* enum leaver_state */
    bool owned;           /* a page of the space names it, by its own number or its slot's */
    bool unstaged;        /* it was protected where it is, and is dropped there */
    bool empty;           /* of an unstaged one: it is all zeros, */
    bool shared, free;    /* and as the page's */
    unsigned removed;     /* how many times the page was to be forgotten meanwhile */
};

struct sending {
    struct list place;     /* among the free, those under way, or those to be sent again */
    struct pager *pager;
    uint32_t slot, index;
    uint64_t again_ns;     /* refused: when it is sent again */
    struct fingerprint fingerprint;
    uint8_t *bytes;
};

struct order {
    struct target_order order; /* order.owner is this */
    struct list place;         /* among the free */
    struct pager *pager;
    struct space *space;
    uint32_t leavers[TARGET_ORDER_PAGES];
};

struct want { /* a hint or a pin under way */
    struct list place;
    struct space *space;
    uint64_t number, end; /* pages; what is below number is done */
    bool pin, failed;
    void (*done)(void *context, int error);
    void *context;
};

struct dismissal { /* pages that are to go first */
    struct list place;
    struct space *space;
    uint64_t number, end;
};

struct job {
    struct list place;
    void (*call)(void *context);
    void *context;
};

struct pager {
    struct pager_options options;
    struct farpage_area *area;
    struct slots slots;
    struct queue queue;
    struct fingerprint_key key;
    struct figures figures;
    struct list spaces;
    struct space *by_number[PAGER_SPACES_MAX];
    struct pager_watch *watches;
    uint64_t alarm_ns;
    uint64_t (*due)(void *context, uint64_t now_ns);
    void *due_context;

    uint64_t now_ns;           /* of this turn of the loop */
    uint64_t reserve, staged_wanted, unknown, pinned;
    uint64_t waited_ns;        /* when a fault last could not be served at once */
    uint64_t resident, resident_peak, staged, leaver_count;
    bool evicting;             /* from above the high watermark to below the low one */
    bool exclusive;            /* a load gives its slot up: the server is full */
    bool full, gone, renewing, ending;
    bool unsettled;            /* a space is */
    bool look_again;           /* somebody who waits may be served now */
    bool swept_tables;         /* since the queue was empty */
    uint64_t take_again_ns, sweep_ns;
    unsigned submitted;        /* since the area was processed last */
    unsigned accepted;         /* stores in a row since the server was full */

    struct load *loads;
    struct list free_loads, loading, came;
    size_t free_load_count;
    struct leaver *leavers;
    struct list free_leavers, staged_leavers, done_leavers; /* done: to be dropped from staging */
    struct sending **sendings;
    size_t sending_count, sending_room, free_sending_count;
    struct list free_sendings, sending, refused;
    struct order orders[PAGER_ORDERS];
    struct list free_orders;
    struct list waiting, free_waiting;
    size_t waiting_count;
    struct list wants, dismissals;
    uint8_t *load_bytes, *bring_bytes; /* bring: PAGER_BRING_PAGES, out of staging */

    pthread_mutex_t lock;      /* of the jobs */
    struct list jobs;
    int bell;                  /* an eventfd: jobs, or stop */
    _Atomic bool stopping;
    struct pollfd *polls;
    size_t poll_room;
};

static inline uint64_t number_of(uint64_t address)
{
    return address >> UFFD_PAGE_SHIFT;
}

static inline uint64_t address_of(uint64_t number)
{
    return number << UFFD_PAGE_SHIFT;
}

#endif
