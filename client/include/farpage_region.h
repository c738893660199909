/* SPDX-License-Identifier: BSD-3-Clause
 * farpage_region - memory larger than there is: of each region at most so many bytes are resident,
 * the rest is on the server. Included by farpage.h. Linux, by userfaultfd: docs/pager.md says what
 * it takes, what a fault costs, and what is done when the server is gone or full.
 *
 *     struct farpage_region *region;
 *     struct farpage_region_options wish = {.bytes = 8ull << 30, .local_bytes = 1ull << 30};
 *     if (farpage_region_create(client, &wish, &region)) ...
 *     char *memory = farpage_region_memory(region);
 *     ... use it like any other, on any thread ...
 *     farpage_region_destroy(&region);
 *
 * It reads as zeros where it was never written. A page that the server lost or damaged raises
 * SIGBUS in who touches it, never other bytes. A child of fork() does not have the region. It must
 * not be unmapped, moved or protected by the program; madvise(MADV_DONTNEED) may forget parts of
 * it.
 *
 * A region has a thread of its own, and that one a second where the kernel cannot move pages.
 *
 * Threads: any, for memory, hints, pins and figures; create and destroy as farpage_area_open and
 *          farpage_area_close. Nothing here may be called from the region's notice. */
#ifndef FARPAGE_REGION_H
#define FARPAGE_REGION_H
#ifndef FARPAGE_H
#error "include farpage.h, which includes this"
#endif

#ifdef __cplusplus
extern "C" {
#endif

struct farpage_region;

/* What the region's thread does while nobody faults. */
enum farpage_region_mode {
    FARPAGE_REGION_HANDLER, /* it sleeps; waking it costs some microseconds a fault */
    FARPAGE_REGION_SPIN,    /* it looks all the time: the quickest, for a processor of its own */
    FARPAGE_REGION_PINNED,  /* it sleeps, on the processor that the region was created on */
};

enum farpage_region_flags {
    /* Do without what kernels before Linux 6.8 lack: for tests, and for comparison. */
    FARPAGE_REGION_PROTECT = 1u << 0,
    /* Where the process has no right to more: its system calls then fail with EFAULT on pages that
     * are not resident. Without it, the region is not created. */
    FARPAGE_REGION_USER_MODE = 1u << 1,
};

enum farpage_region_event {
    FARPAGE_REGION_LOST,    /* the page at `address` is lost: SIGBUS for who touches it */
    FARPAGE_REGION_GONE,    /* the server does not answer; who needs a page waits */
    FARPAGE_REGION_BACK,    /* it answers again */
    FARPAGE_REGION_FULL,    /* the server takes no more pages; what fits stays here */
    FARPAGE_REGION_ROOM,    /* it takes them again */
    FARPAGE_REGION_CROWDED, /* a page had no room anywhere for the grace: SIGBUS for who waited */
};

struct farpage_region_notice {
    enum farpage_region_event event;
    enum farpage_status status;
    const void *address; /* NULL: no page is meant */
    const char *text;    /* one sentence for a person, good during the call */
};

/* Called on the region's thread, and must not touch the region. */
typedef void farpage_region_noticed(void *context, const struct farpage_region_notice *notice);

struct farpage_region_options {
    uint64_t bytes;         /* whole pages of 4096 */
    uint64_t local_bytes;   /* resident at most; 1 MiB at least. Tables and buffers come on top */
    const char *area;       /* its name on the server; NULL: one that nobody else has */
    enum farpage_region_mode mode;
    uint32_t flags;         /* enum farpage_region_flags */
    uint32_t grace_ms;      /* how long a page waits for a server that is gone or full; 0: 30000 */
    uint32_t ahead_pages;   /* fetched ahead of one fault at most, up to 64; 0: 32. 1: none is */
    enum farpage_pack pack; /* as of struct farpage_area_options */
    int pack_level;
    farpage_region_noticed *notice; /* NULL: nobody wants to know */
    void *notice_context;
    char *why;              /* as of struct farpage_area_options */
    size_t why_bytes;
};

/* Creates it, with a transient area. FARPAGE_REFUSED: the kernel cannot, or does not let us, and
 * farpage_error() says what would help. */
FARPAGE_API FARPAGE_MUST_CHECK enum farpage_status
farpage_region_create(struct farpage *client, const struct farpage_region_options *options,
                      struct farpage_region **region);

/* Unmaps it, forgets what it held, and sets *region to NULL. Nobody may use it any more. NULL
 * inside is fine. */
FARPAGE_API void farpage_region_destroy(struct farpage_region **region);

FARPAGE_API void *farpage_region_memory(const struct farpage_region *region);

/* Hints, of [memory, memory + bytes), whole pages: bring it while there is room; let it go before
 * others. They return at once. */
FARPAGE_API FARPAGE_MUST_CHECK enum farpage_status
farpage_region_will_need(struct farpage_region *region, const void *memory, uint64_t bytes);
FARPAGE_API FARPAGE_MUST_CHECK enum farpage_status
farpage_region_will_not_need(struct farpage_region *region, const void *memory, uint64_t bytes);

/* Brings it and keeps it here until it was unpinned as often. Blocks until it is there.
 * FARPAGE_LIMIT: pins may take a part of local_bytes only; FARPAGE_CORRUPT: a page of it is lost.
 * */
FARPAGE_API FARPAGE_MUST_CHECK enum farpage_status
farpage_region_pin(struct farpage_region *region, const void *memory, uint64_t bytes);
FARPAGE_API FARPAGE_MUST_CHECK enum farpage_status
farpage_region_unpin(struct farpage_region *region, const void *memory, uint64_t bytes);

struct farpage_region_figures {
    uint64_t resident_bytes, resident_bytes_peak; /* never more than local_bytes */
    uint64_t remote_bytes;     /* on the server only, or on their way there */
    uint64_t overhead_bytes;   /* tables and buffers, without the connection's */
    uint64_t first_touches;    /* faults: filled with zeros, */
    uint64_t wanted_back;      /* before the page had gone, */
    uint64_t loads;            /* got from the server */
    uint64_t prefetched_pages; /* got beside one that was demanded, */
    uint64_t prefetched_used;  /* and somebody went on behind them, as far as one can tell */
    uint64_t stored_pages;     /* sent to the server, */
    uint64_t dropped_clean;    /* not sent: the server had them, */
    uint64_t dropped_zero;     /* or they were zeros */
    uint64_t fault_ns_p50, fault_ns_p99; /* of loads: from learning of a fault to the page */
    int moves; /* whether the kernel moves pages, or they are protected and copied */
};

/* Blocks until the region's thread has told. */
FARPAGE_API FARPAGE_MUST_CHECK enum farpage_status
farpage_region_figures(struct farpage_region *region, struct farpage_region_figures *figures);

#ifdef __cplusplus
}
#endif
#endif
