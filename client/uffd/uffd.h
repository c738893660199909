/* SPDX-License-Identifier: BSD-3-Clause
 * uffd - userfaultfd(2) as the pager uses it: what the kernel offers, and its calls, each of which
 * says how far it came.
 *
 * Debian 12's headers end with Linux 6.1; what came later is defined in uffd.c and asked of the
 * running kernel. Needed is write protection (5.7, but right only since 5.10); moving (6.8) and
 * poisoning (6.6) are used where they are.
 *
 * Every call answers 0 or an errno; those that work page by page also say how many bytes they
 * carried out, which may be some where the rest failed. Of these errors
 *     EAGAIN  something else is changing the mappings and waits for its event to be read: read the
 *             events, then try the rest again; a while may pass until it stops
 *     EEXIST  a page is there already          ENOENT  no page is there, or no such mapping
 *     EBUSY   the page is shared, by a fork, or pinned: it cannot be moved
 *     EINVAL  the range is not (or no longer) as the call wants it
 *     ESRCH   the process is gone
 * are the world's; a caller handles each.
 *
 * Addresses and lengths are in bytes and whole pages of 4096. Threads: any. Blocks: never longer
 * than the kernel works; no call waits for an event but madvise and its like of whoever changes a
 * mapping, which are not here.
 */
#ifndef FARPAGE_CLIENT_UFFD_UFFD_H
#define FARPAGE_CLIENT_UFFD_UFFD_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attrs.h"

enum { UFFD_PAGE_BYTES = 4096, UFFD_PAGE_SHIFT = 12 };

enum uffd_way {
    UFFD_BY_CALL,   /* userfaultfd(2): root, CAP_SYS_PTRACE, or vm.unprivileged_userfaultfd = 1 */
    UFFD_BY_DEVICE, /* /dev/userfaultfd (6.1), by its permissions */
    UFFD_USER_MODE, /* for everybody; read(2) and its like fail with EFAULT on what is not there */
};

/* What can be had, or is agreed on. */
enum uffd_ability {
    UFFD_PROTECT = 1u << 0,  /* write protection */
    UFFD_MOVE = 1u << 1,     /* pages can be moved within an address space (6.8) */
    UFFD_POISON = 1u << 2,   /* what is lost can be made to raise SIGBUS (6.6) */
    UFFD_FORKS = 1u << 3,    /* a child's memory comes along; needs CAP_SYS_PTRACE */
    UFFD_CHANGES = 1u << 4,  /* mremap, munmap and madvise are told, and wait until they are read */
    UFFD_THREADS = 1u << 5,  /* which thread faults is told */
};

/* A new userfaultfd of the calling process that never blocks, with as many of the `wanted`
 * abilities as there are: *got has them. Tries the ways in their order, the last one only where
 * `user_mode` allows it. -1: errno; EPERM none of the ways is open, ENOSYS the kernel has none. */
int uffd_open(uint32_t wanted, bool user_mode, uint32_t *got, enum uffd_way *way)
    FP_MUST_CHECK FP_NONNULL(3, 4);

/* Agrees with the kernel on these abilities, which uffd_open got, for a descriptor that another
 * process has made and that has agreed on nothing yet. 0 or errno. */
int uffd_agree(int fd, uint32_t abilities) FP_MUST_CHECK;

/* Faults on what is not there in [start, start + bytes) are told from now on, and with `protect`
 * writes to what is protected. The range is private anonymous memory of one process, or EINVAL. */
int uffd_register(int fd, uint64_t start, uint64_t bytes, bool protect) FP_MUST_CHECK;
int uffd_unregister(int fd, uint64_t start, uint64_t bytes) FP_MUST_CHECK;

struct uffd_done {
    uint64_t bytes; /* carried out */
    int error;      /* 0: all of them */
};

enum uffd_how {
    UFFD_WAKE = 0,
    UFFD_DONT_WAKE = 1, /* who waits for the page goes on waiting */
};

/* Puts a copy of `from`, of the calling process, where nothing is. */
struct uffd_done uffd_copy(int fd, uint64_t to, const void *from, uint64_t bytes,
                           enum uffd_how how) FP_MUST_CHECK FP_NONNULL(3);
/* The kernel's one page of zeros: costs no memory until somebody writes to it. */
struct uffd_done uffd_zero(int fd, uint64_t to, uint64_t bytes, enum uffd_how how) FP_MUST_CHECK;
/* Takes pages out of one place of the calling process and puts them where nothing is, atomically:
 * nobody sees both or none. `to` is registered with fd; both are writable and unlocked, or EINVAL.
 * What moved is not protected any more. */
struct uffd_done uffd_move(int fd, uint64_t to, uint64_t from, uint64_t bytes,
                           enum uffd_how how) FP_MUST_CHECK;
/* Who touches it gets SIGBUS, calls of the kernel EFAULT. */
int uffd_poison(int fd, uint64_t at, uint64_t bytes) FP_MUST_CHECK;
/* Protects pages that are there against writes, or frees them again, which wakes who waits. */
int uffd_protect(int fd, uint64_t at, uint64_t bytes) FP_MUST_CHECK;
int uffd_unprotect(int fd, uint64_t at, uint64_t bytes) FP_MUST_CHECK;
/* Who waits for a page of the range tries again. */
int uffd_wake(int fd, uint64_t at, uint64_t bytes) FP_MUST_CHECK;

enum uffd_event_kind {
    UFFD_TOLD_MISSING, /* a thread waits for the page of `start` */
    UFFD_TOLD_WRITE,   /* a thread waits to write to it; it is protected */
    UFFD_TOLD_FORK,    /* `fd` is the child's, the reader's to close */
    UFFD_TOLD_REMAP,   /* [start, end) is at `to` now, and registered there */
    UFFD_TOLD_REMOVE,  /* what is in [start, end) is about to be forgotten */
    UFFD_TOLD_UNMAP,   /* [start, end) is gone */
    UFFD_TOLD_OTHER,   /* of a kernel newer than this */
};

struct uffd_event {
    enum uffd_event_kind kind;
    bool write;          /* MISSING: it wants to write */
    int fd;              /* FORK */
    uint32_t thread;     /* MISSING, WRITE: its id, where UFFD_THREADS; else 0 */
    uint64_t start, end; /* a fault's end is one page on */
    uint64_t to;         /* REMAP */
};

enum { UFFD_EVENTS_MAX = 16 };

/* What happened, oldest first, at most UFFD_EVENTS_MAX. Answers how many; 0: nothing now; -1:
 * errno, the process is gone or the descriptor is no good. Who caused a FORK, REMAP, REMOVE or
 * UNMAP waits until it is read here. */
int uffd_read(int fd, struct uffd_event events[UFFD_EVENTS_MAX]) FP_MUST_CHECK FP_NONNULL(2);

/* Runs of pages in [start, end) that hold memory, also swapped out, of the process whose
 * /proc/PID/pagemap is open as `pagemap`. Calls `each` for every run in order. PAGEMAP_SCAN (6.7)
 * where it is, else the table is read, 8 bytes a page. Answers 0 or an errno. */
int uffd_present(int pagemap, uint64_t start, uint64_t end,
                 void (*each)(void *context, uint64_t start, uint64_t end), void *context)
    FP_MUST_CHECK FP_NONNULL(4);

#endif
