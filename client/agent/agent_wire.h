/* SPDX-License-Identifier: BSD-3-Clause
 * agent_wire - what the pager and its agent in a paged program say to each other.
 *
 * Life: the agent connects to the socket that FARPAGE_AGENT names and sends an agent_hello -> the
 * pager answers with an agent_welcome -> from then on both use the ring, and the socket only tells
 * each that the other is gone.
 *
 * The ring is the pager's, a memfd that nobody can resize, but the program may write anything into
 * it: the pager checks every value that it reads, and believes a result no further than it believes
 * the program's own memory.
 *
 * Threads: orders are given by one thread of the pager and carried out by one of the agent. Asks
 *          come from any thread of the program, one at a time.
 */
#ifndef FARPAGE_CLIENT_AGENT_AGENT_WIRE_H
#define FARPAGE_CLIENT_AGENT_AGENT_WIRE_H
#include <stdatomic.h>
#include <stdint.h>

/* "VERSION HOW TOKEN SOCKET": the version below, how userfaultfds are made (one letter of enum
 * agent_how), 32 hexadecimal digits, the absolute path of the pager's unix socket. */
#define AGENT_VARIABLE "FARPAGE_AGENT"

enum {
    AGENT_VERSION = 1,
    AGENT_MAGIC = 0x46504147,
    AGENT_TOKEN_BYTES = 16,
    AGENT_ORDERS = 512,         /* in the ring at once; a power of two */
    AGENT_ORDER_PAGES = 64,     /* in one order; a bit each */
    AGENT_PAGE_BYTES = 4096,
    AGENT_STAGE_BYTES = 64 << 20,
    AGENT_TRASH_BYTES = AGENT_ORDER_PAGES * AGENT_PAGE_BYTES,
    AGENT_WATCH_NS = 100000000, /* how long a pager's death may stay unnoticed */
};

enum agent_how {
    AGENT_BY_CALL = 'c',   /* userfaultfd(2), as root or where the sysctl allows it */
    AGENT_BY_DEVICE = 'd', /* /dev/userfaultfd */
    AGENT_USER_MODE = 'u', /* userfaultfd(2) that sees no fault of the kernel's own */
};

/* Two userfaultfds that have not been asked for any feature yet come with it: the process's, and
 * one for what is behind staging; or none, where `error` says why. The first is for nothing in a
 * forked child where the kernel gave the pager one, as it does if anything of the parent's was
 * registered. */
enum agent_gift { AGENT_GIFT_UFFD, AGENT_GIFT_TRASH, AGENT_GIFTS };

struct agent_hello {
    uint32_t magic, version;
    uint8_t token[AGENT_TOKEN_BYTES];
    int32_t pid;       /* as the program sees it; the pager believes the socket's */
    int32_t error;     /* errno of making the userfaultfds or staging, or 0 */
    uint64_t parent;   /* the id that the pager gave the process it was forked from; 0: none */
    uint32_t fork;     /* which of its forks; 0: a program that was just started */
    uint32_t unused;
    uint64_t own_from, own_to; /* the agent's code and data: never to be paged */
    /* Where userfaultfds came along: AGENT_STAGE_BYTES of staging, to be registered with the first,
     * and AGENT_TRASH_BYTES right behind it, with the second. */
    uint64_t stage_from;
};

/* Descriptors that come with AGENT_TAKEN; UFFD where it is not the hello's. The agent
 * keeps its own of a userfaultfd: with the last of them what is away would read as zeros. */
enum agent_fd { AGENT_FD_RING, AGENT_FD_BELL, AGENT_FD_UFFD, AGENT_FDS };

enum agent_verdict {
    AGENT_TAKEN,     /* it is paged: the ring and the bell come along */
    AGENT_LEFT,      /* it is not paged, and may run on: the pager has said why */
    AGENT_UNWANTED,  /* it cannot run on: memory of it is missing. The pager has said why */
};

struct agent_welcome {
    uint32_t magic;
    uint32_t verdict; /* enum agent_verdict */
    uint64_t id;      /* not 0 */
};

enum agent_order_kind {
    /* UFFDIO_MOVE from `from` to `to` in staging, by the process's userfaultfd: EAGAIN as long as
     * it has an event to be read. A page that cannot stays. */
    AGENT_MOVE,
    /* MADV_DONTNEED; in staging without an event that somebody would have to read, elsewhere only
     * of what is registered for write protection: EAGAIN, ENOENT as uffd.h says. */
    AGENT_DROP,
    AGENT_LOSE, /* who touches it gets SIGBUS from now on */
};

/* One order for pages side by side. Filled by the pager; `done` and `error` by the agent. */
struct agent_order {
    uint32_t kind; /* enum agent_order_kind */
    int32_t error;  /* errno of the last page that could not, or 0 */
    uint64_t to, from;
    uint64_t pages; /* 1 to AGENT_ORDER_PAGES */
    uint64_t done;  /* the bit of each page with which it was carried out */
};

enum agent_ask_kind {
    AGENT_ASK_MAPPED = 1, /* [from, from + bytes) is new: register it before it is used */
    AGENT_ASK_FREEZE, /* a fork is about to happen: take nothing out until thawed */
    AGENT_ASK_THAW,
};

/* What a thread of the program wants. `lock` 0 free, 1 taken, 2 taken and others wait. */
struct agent_ask {
    _Atomic uint32_t lock;
    _Atomic uint32_t asked;    /* counts; changed last by the asking thread. The agent rings */
    _Atomic uint32_t answered; /* as far as the pager has come; a futex */
    uint32_t kind;             /* enum agent_ask_kind */
    uint32_t fork;             /* of FREEZE */
    uint64_t from, bytes;
};

struct agent_ring {
    _Atomic uint32_t given;    /* orders, by the pager; wraps */
    _Atomic uint32_t done;     /* orders, by the agent; wraps */
    _Atomic uint32_t doorbell; /* a futex: changed by whoever wants the agent */
    _Atomic uint32_t asleep;   /* the agent waits at the doorbell: wake it */
    _Atomic uint32_t begun;    /* the agent's thread runs; until then who starts it needs memory */
    _Atomic uint32_t listening; /* the pager sleeps: write to the bell when something is done */
    _Atomic uint32_t announce_pages; /* mappings of so many pages are asked for; 0: none */
    struct agent_ask ask;
    struct agent_order orders[AGENT_ORDERS];
};

#endif
