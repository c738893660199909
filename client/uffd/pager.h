/* SPDX-License-Identifier: BSD-3-Clause
 * pager - keeps at most so many pages of some processes resident, and the rest on a server.
 * docs/pager.md has the design: the life of a fault, of an eviction, what states a page has.
 *
 *     pager_create -> pager_adopt (space.h: one process) -> space_cover (its mappings)
 *     pager_run, on one thread, serves faults until pager_stop -> pager_destroy
 *
 * A pager is one handler: one thread, one area with its connection, tables without locks.
 * The area is the pager's alone and has as many slots as can ever be needed. Several pagers share
 * nothing but their budget.
 *
 * The library prints nothing: what a person should know is a notice.
 *
 * Threads: one thread runs it and calls everything else here, but where a call says "any thread".
 *          Before pager_run that is whoever created it. Nothing of the pager's, its client's, or of
 *          whoever is called by it may lie in memory that it pages.
 */
#ifndef FARPAGE_CLIENT_UFFD_PAGER_H
#define FARPAGE_CLIENT_UFFD_PAGER_H
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attrs.h"
#include "client/include/farpage.h"

struct pager;
struct space;
struct target;

/* Pages of all pagers together. */
struct pager_budget {
    uint64_t limit_pages;
    _Atomic uint64_t resident_pages; /* known to be: in the programs, and in staging */
};

enum pager_mode {
    PAGER_HANDLER, /* sleeps until something happens: no processor is lost, waking takes its time */
    PAGER_SPIN,    /* looks all the time while a program runs: a processor's worth, the quickest */
};

enum pager_evict {
    PAGER_EVICT_BEST,    /* move where the kernel and the target can */
    PAGER_EVICT_MOVE,    /* or pager_adopt fails */
    PAGER_EVICT_PROTECT, /* write-protect, copy, drop: what kernels before 6.8 are left with */
};

enum pager_notice_kind {
    PAGER_LOST,    /* the page at `address` is lost or damaged: who touches it gets SIGBUS */
    PAGER_GONE,    /* the server does not answer; faults wait, at most for the grace */
    PAGER_BACK,    /* it answers again */
    PAGER_FULL,    /* the server takes no more: what fits stays here */
    PAGER_ROOM,    /* it takes pages again */
    PAGER_CROWDED, /* a fault waited for the grace and there was no room anywhere: SIGBUS */
};

struct pager_notice {
    enum pager_notice_kind kind;
    int pid;             /* 0: no process is meant */
    uint64_t address;    /* 0: no page */
    enum farpage_status status;
    const char *text;    /* a sentence for a person, without a line end; good during the call */
};

struct pager_options {
    /* Open, FARPAGE_AREA_TRANSIENT as a rule, with pages of 4096 bytes. The pager's from
     * pager_create on, unless that fails, and closed by pager_destroy. */
    struct farpage_area *area;
    struct pager_budget *budget; /* borrowed; limit_pages >= PAGER_LIMIT_PAGES_MIN */
    enum pager_mode mode;
    enum pager_evict evict;
    uint32_t grace_ms;           /* how long a fault waits for the server, or for room; 0: 30000 */
    uint32_t prefetch_pages_max; /* ahead of one fault, 0 to 64 */
    bool user_mode;              /* the kernel's own faults are not told: nothing is protected that
                                    a fork shares, and it counts for each */
    /* Called on the pager's thread; it may not call the pager. NULL: nobody wants to know. */
    void (*notice)(void *context, const struct pager_notice *notice);
    /* A process below us forked, and the kernel gave us its userfaultfd: makes the target that goes
     * with it, or NULL, and the child gets SIGBUS for what is not there. NULL: children are not
     * paged. `parent` is its space. */
    struct target *(*forked)(void *context, struct space *parent, int uffd);
    /* The process of a space is gone; its slots are given back when this returns. May be NULL. */
    void (*ended)(void *context, struct space *space);
    void *context; /* of the three */
};

enum { PAGER_LIMIT_PAGES_MIN = 256, PAGER_SLOTS_MAX_BITS = 32 };

/* NULL: out of memory, or options that make no sense: *why (may be NULL) is a sentence. */
struct pager *pager_create(const struct pager_options *options, const char **why)
    FP_MUST_CHECK FP_NONNULL(1);

/* Lets go of every space, as pager_release does, and sets *pager to NULL. Not while it runs. */
void pager_destroy(struct pager **pager) FP_NONNULL(1);

/* Serves until pager_stop; then returns with everything as it is, and may be called again. While it
 * does not run, whoever faults waits. */
void pager_run(struct pager *pager) FP_NONNULL(1);
void pager_stop(struct pager *pager) FP_NONNULL(1); /* any thread, and signal handlers */

/* Has `job` called on the pager's thread, soon, in the order of posting. Any thread. False: out of
 * memory. */
bool pager_post(struct pager *pager, void (*job)(void *context), void *context)
    FP_MUST_CHECK FP_NONNULL(1, 2);

/* --- what else happens on its thread --- */

/* A descriptor that the pager's loop waits for as well: `ready` is called with what poll(2) said.
 * The watch is the caller's memory until pager_unwatch, which `ready` may call. */
struct pager_watch {
    int fd;
    short events;
    void (*ready)(struct pager_watch *watch, short revents);
    void *context; /* ready's own */
    struct pager_watch *next, **back; /* the pager's */
};
void pager_watch(struct pager *pager, struct pager_watch *watch) FP_NONNULL(1, 2);
void pager_unwatch(struct pager *pager, struct pager_watch *watch) FP_NONNULL(1, 2);

/* Calls `due` at CLOCK_MONOTONIC `at_ns` or soon after; it answers when next, UINT64_MAX never. One
 * at a time: a second call replaces the first. */
void pager_alarm(struct pager *pager, uint64_t at_ns,
                 uint64_t (*due)(void *context, uint64_t now_ns), void *context) FP_NONNULL(1);

/* More pages are resident than the pager knows (touched before they were covered, a fork's copies):
 * so many less are left for the others. Replaces what was said before. */
void pager_unknown_pages(struct pager *pager, uint64_t pages) FP_NONNULL(1);

/* --- figures --- */

struct figures; /* client/uffd/figures.h */
const struct figures *pager_figures(struct pager *pager) FP_NONNULL(1);

struct pager_state {
    uint64_t resident_pages, resident_pages_peak; /* of this pager's spaces, staging included */
    uint64_t staged_pages;
    uint64_t sending_pages;      /* copied out, and not acknowledged by the server */
    uint64_t away_pages;         /* that only the server has; a fork's count for each process */
    uint64_t slots_used;         /* on the server, kept copies of resident pages included */
    uint64_t overhead_bytes;     /* tables and buffers of the pager, without its client */
    uint64_t waiting_faults;
    bool full, gone;             /* as by the last notices */
};
void pager_state(const struct pager *pager, struct pager_state *state) FP_NONNULL(1, 2);

#endif
