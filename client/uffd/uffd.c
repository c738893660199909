/* SPDX-License-Identifier: BSD-3-Clause
 * The one file that names userfaultfd's and pagemap's definitions, and carries those that
 * Debian's headers lack. A kernel says itself what it can: UFFDIO_API with no features answers
 * all that it knows. */
#include "client/uffd/uffd.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/arith.h"

/* Linux 6.1 */
enum { DEVICE_NEW = 0 };
#ifndef USERFAULTFD_IOC_NEW
#define USERFAULTFD_IOC_NEW _IO(0xAA, DEVICE_NEW)
#endif
/* Linux 5.11 */
#ifndef UFFD_USER_MODE_ONLY
#define UFFD_USER_MODE_ONLY 1
#endif

/* Linux 6.6, 6.8: features that the headers of 6.1 do not have. */
#define FEATURE_POISON (1ull << 14)
#define FEATURE_MOVE (1ull << 16)

struct kernel_poison {
    struct uffdio_range range;
    uint64_t mode;
    int64_t updated;
};
#define IOCTL_POISON _IOWR(UFFDIO, 0x08, struct kernel_poison)

struct kernel_move {
    uint64_t to, from, bytes, mode;
    int64_t moved;
};
#define IOCTL_MOVE _IOWR(UFFDIO, 0x05, struct kernel_move)
#define MOVE_DONT_WAKE 1ull

/* Linux 6.7: PAGEMAP_SCAN */
struct kernel_region {
    uint64_t start, end, categories;
};
struct kernel_scan {
    uint64_t size, flags, start, end, walk_end, regions, regions_count, pages_max;
    uint64_t inverted, wanted_all, wanted_any, returned;
};
#define IOCTL_SCAN _IOWR('f', 16, struct kernel_scan)
#define SCAN_PRESENT (1ull << 3)
#define SCAN_SWAPPED (1ull << 4)

#define CHANGES (UFFD_FEATURE_EVENT_REMAP | UFFD_FEATURE_EVENT_REMOVE | UFFD_FEATURE_EVENT_UNMAP)

static const struct {
    uint32_t ability;
    uint64_t features;
} ABILITIES[] = {
    {UFFD_PROTECT, UFFD_FEATURE_PAGEFAULT_FLAG_WP},
    {UFFD_MOVE, FEATURE_MOVE},
    {UFFD_POISON, FEATURE_POISON},
    {UFFD_FORKS, UFFD_FEATURE_EVENT_FORK},
    {UFFD_CHANGES, CHANGES},
    {UFFD_THREADS, UFFD_FEATURE_THREAD_ID},
};

static int open_device(void)
{
    int device = open("/dev/userfaultfd", O_RDWR | O_CLOEXEC);
    if (device < 0) return -1;
    int fd = ioctl(device, USERFAULTFD_IOC_NEW, O_CLOEXEC | O_NONBLOCK);
    int error = errno;
    (void)close(device);
    errno = error;
    return fd;
}

static int open_somehow(bool user_mode, enum uffd_way *way)
{
    *way = UFFD_BY_CALL;
    int fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK);
    if (fd >= 0 || errno == ENOSYS || errno == EMFILE || errno == ENFILE) return fd;
    *way = UFFD_BY_DEVICE;
    fd = open_device();
    if (fd >= 0) return fd;
    if (user_mode) {
        *way = UFFD_USER_MODE;
        fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK | UFFD_USER_MODE_ONLY);
        if (fd >= 0) return fd;
    }
    errno = EPERM;
    return -1;
}

/* What a kernel can do is asked of a descriptor of its own: one that has agreed cannot again. */
static int ask_features(bool user_mode, uint64_t *features)
{
    enum uffd_way way;
    int fd = open_somehow(user_mode, &way);
    if (fd < 0) return -1;
    struct uffdio_api api = {.api = UFFD_API};
    int answer = ioctl(fd, UFFDIO_API, &api);
    int error = errno;
    (void)close(fd);
    errno = error;
    *features = api.features;
    return answer;
}

static int agree(bool user_mode, uint64_t features, enum uffd_way *way)
{
    int fd = open_somehow(user_mode, way);
    if (fd < 0) return -1;
    struct uffdio_api api = {.api = UFFD_API, .features = features};
    if (ioctl(fd, UFFDIO_API, &api) == 0) return fd;
    int error = errno;
    (void)close(fd);
    errno = error;
    return -1;
}

int uffd_open(uint32_t wanted, bool user_mode, uint32_t *got, enum uffd_way *way)
{
    uint64_t known, features = 0;
    *got = 0;
    if (ask_features(user_mode, &known) != 0) return -1;
    for (size_t i = 0; i < FP_COUNT_OF(ABILITIES); i++) {
        if ((wanted & ABILITIES[i].ability) == 0) continue;
        if ((known & ABILITIES[i].features) != ABILITIES[i].features) continue;
        features |= ABILITIES[i].features;
        *got |= ABILITIES[i].ability;
    }
    int fd = agree(user_mode, features, way);
    if (fd < 0 && errno == EPERM && (*got & UFFD_FORKS) != 0) { /* it takes CAP_SYS_PTRACE */
        *got &= ~(uint32_t)UFFD_FORKS;
        fd = agree(user_mode, features & ~(uint64_t)UFFD_FEATURE_EVENT_FORK, way);
    }
    return fd;
}

int uffd_agree(int fd, uint32_t abilities)
{
    struct uffdio_api api = {.api = UFFD_API};
    for (size_t i = 0; i < FP_COUNT_OF(ABILITIES); i++) {
        if ((abilities & ABILITIES[i].ability) != 0) api.features |= ABILITIES[i].features;
    }
    return ioctl(fd, UFFDIO_API, &api) == 0 ? 0 : errno;
}

int uffd_register(int fd, uint64_t start, uint64_t bytes, bool protect)
{
    struct uffdio_register wish = {.range = {start, bytes}, .mode = UFFDIO_REGISTER_MODE_MISSING};
    if (protect) wish.mode |= UFFDIO_REGISTER_MODE_WP;
    return ioctl(fd, UFFDIO_REGISTER, &wish) == 0 ? 0 : errno;
}

int uffd_unregister(int fd, uint64_t start, uint64_t bytes)
{
    struct uffdio_range range = {start, bytes};
    return ioctl(fd, UFFDIO_UNREGISTER, &range) == 0 ? 0 : errno;
}

/* The kernel's count of bytes is an errno where it is negative, and EAGAIN also where some were
 * carried out: what counts is what was done. */
static struct uffd_done outcome(int answer, int64_t count)
{
    struct uffd_done done = {.error = answer == 0 ? 0 : errno};
    if (count > 0) done.bytes = (uint64_t)count;
    if (done.error == 0 && count < 0) done.error = (int)-count;
    return done;
}

struct uffd_done uffd_copy(int fd, uint64_t to, const void *from, uint64_t bytes,
                           enum uffd_how how)
{
    struct uffdio_copy wish = {.dst = to, .src = (uint64_t)(uintptr_t)from, .len = bytes};
    if (how == UFFD_DONT_WAKE) wish.mode = UFFDIO_COPY_MODE_DONTWAKE;
    int answer = ioctl(fd, UFFDIO_COPY, &wish);
    return outcome(answer, wish.copy);
}

struct uffd_done uffd_zero(int fd, uint64_t to, uint64_t bytes, enum uffd_how how)
{
    struct uffdio_zeropage wish = {.range = {to, bytes}};
    if (how == UFFD_DONT_WAKE) wish.mode = UFFDIO_ZEROPAGE_MODE_DONTWAKE;
    int answer = ioctl(fd, UFFDIO_ZEROPAGE, &wish);
    return outcome(answer, wish.zeropage);
}

struct uffd_done uffd_move(int fd, uint64_t to, uint64_t from, uint64_t bytes,
                           enum uffd_how how)
{
    struct kernel_move wish = {.to = to, .from = from, .bytes = bytes};
    if (how == UFFD_DONT_WAKE) wish.mode = MOVE_DONT_WAKE;
    int answer = ioctl(fd, IOCTL_MOVE, &wish);
    return outcome(answer, wish.moved);
}

int uffd_poison(int fd, uint64_t at, uint64_t bytes)
{
    struct kernel_poison wish = {.range = {at, bytes}};
    int answer = ioctl(fd, IOCTL_POISON, &wish);
    return outcome(answer, wish.updated).error;
}

static int write_protect(int fd, uint64_t at, uint64_t bytes, uint64_t mode)
{
    struct uffdio_writeprotect wish = {.range = {at, bytes}, .mode = mode};
    return ioctl(fd, UFFDIO_WRITEPROTECT, &wish) == 0 ? 0 : errno;
}

int uffd_protect(int fd, uint64_t at, uint64_t bytes)
{
    return write_protect(fd, at, bytes, UFFDIO_WRITEPROTECT_MODE_WP);
}

int uffd_unprotect(int fd, uint64_t at, uint64_t bytes)
{
    return write_protect(fd, at, bytes, 0);
}

int uffd_wake(int fd, uint64_t at, uint64_t bytes)
{
    struct uffdio_range range = {at, bytes};
    return ioctl(fd, UFFDIO_WAKE, &range) == 0 ? 0 : errno;
}

static uint64_t page_of(uint64_t address)
{
    return address & ~(uint64_t)(UFFD_PAGE_BYTES - 1);
}

static struct uffd_event understand(const struct uffd_msg *said)
{
    struct uffd_event event = {.kind = UFFD_TOLD_OTHER, .fd = -1};
    if (said->event == UFFD_EVENT_PAGEFAULT) {
        uint64_t flags = said->arg.pagefault.flags;
        event.kind = (flags & UFFD_PAGEFAULT_FLAG_WP) != 0 ? UFFD_TOLD_WRITE : UFFD_TOLD_MISSING;
        event.write = (flags & UFFD_PAGEFAULT_FLAG_WRITE) != 0;
        event.start = page_of(said->arg.pagefault.address);
        event.end = event.start + UFFD_PAGE_BYTES;
        event.thread = said->arg.pagefault.feat.ptid;
    } else if (said->event == UFFD_EVENT_FORK) {
        event.kind = UFFD_TOLD_FORK;
        event.fd = (int)said->arg.fork.ufd;
    } else if (said->event == UFFD_EVENT_REMAP) {
        event.kind = UFFD_TOLD_REMAP;
        event.start = said->arg.remap.from;
        event.to = said->arg.remap.to;
        event.end = event.start + said->arg.remap.len;
    } else if (said->event == UFFD_EVENT_REMOVE || said->event == UFFD_EVENT_UNMAP) {
        event.kind = said->event == UFFD_EVENT_UNMAP ? UFFD_TOLD_UNMAP : UFFD_TOLD_REMOVE;
        event.start = said->arg.remove.start;
        event.end = said->arg.remove.end;
    }
    return event;
}

int uffd_read(int fd, struct uffd_event events[UFFD_EVENTS_MAX])
{
    struct uffd_msg said[UFFD_EVENTS_MAX];
    ssize_t bytes = read(fd, said, sizeof said);
    if (bytes < 0) return errno == EAGAIN || errno == EINTR ? 0 : -1;
    int count = (int)((size_t)bytes / sizeof *said);
    for (int i = 0; i < count; i++) events[i] = understand(&said[i]);
    return count;
}

/* --- what is there ------------------------------------------------------------------------ */

enum { RUNS_AT_ONCE = 64, ENTRIES_AT_ONCE = 512 };

struct runs {
    uint64_t start, end; /* the one that may still grow; empty: none */
    void (*each)(void *context, uint64_t start, uint64_t end);
    void *context;
};

static void run_end(struct runs *runs)
{
    if (runs->start < runs->end) runs->each(runs->context, runs->start, runs->end);
    runs->start = runs->end = 0;
}

static void run_add(struct runs *runs, uint64_t start, uint64_t end)
{
    if (start != runs->end) {
        run_end(runs);
        runs->start = start;
    }
    runs->end = end;
}

static int scan(int pagemap, uint64_t start, uint64_t end, struct runs *runs)
{
    struct kernel_region regions[RUNS_AT_ONCE];
    while (start < end) {
        struct kernel_scan wish = {.size = sizeof wish, .start = start, .end = end,
                                   .regions = (uint64_t)(uintptr_t)regions,
                                   .regions_count = RUNS_AT_ONCE,
                                   .wanted_any = SCAN_PRESENT | SCAN_SWAPPED,
                                   .returned = SCAN_PRESENT};
        int found = ioctl(pagemap, IOCTL_SCAN, &wish);
        if (found < 0 && errno == EINTR) continue;
        if (found < 0) return errno;
        for (int i = 0; i < found; i++) run_add(runs, regions[i].start, regions[i].end);
        if (wish.walk_end <= start) break; /* it went nowhere: it never will */
        start = wish.walk_end;
    }
    return 0;
}

static int read_table(int pagemap, uint64_t start, uint64_t end, struct runs *runs)
{
    uint64_t entries[ENTRIES_AT_ONCE];
    while (start < end) {
        uint64_t wanted = min_u64((end - start) >> UFFD_PAGE_SHIFT, ENTRIES_AT_ONCE);
        off_t at = (off_t)((start >> UFFD_PAGE_SHIFT) * sizeof *entries);
        ssize_t got = pread(pagemap, entries, wanted * sizeof *entries, at);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return errno;
        uint64_t count = (uint64_t)got / sizeof *entries;
        if (count == 0) return ESRCH;
        for (uint64_t i = 0; i < count; i++, start += UFFD_PAGE_BYTES) {
            if (entries[i] >> 62 != 0) run_add(runs, start, start + UFFD_PAGE_BYTES);
        }
    }
    return 0;
}

int uffd_present(int pagemap, uint64_t start, uint64_t end,
                 void (*each)(void *context, uint64_t start, uint64_t end), void *context)
{
    struct runs runs = {.each = each, .context = context};
    int error = scan(pagemap, start, end, &runs);
    if (error == ENOTTY || error == EINVAL) error = read_table(pagemap, start, end, &runs);
    run_end(&runs);
    return error;
}
