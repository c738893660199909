/* SPDX-License-Identifier: BSD-3-Clause
 * Staging is dropped in two steps, because madvise on what is registered with the program's
 * userfaultfd waits for the pager, which is who calls here: pages are moved on, in one call for
 * neighbours, to a range of ours that is registered with another one, which tells nobody anything;
 * there madvise may. */
#include "client/uffd/target_own.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/check.h"
#include "client/uffd/uffd.h"

enum { TRASH_BYTES = TARGET_ORDER_PAGES * UFFD_PAGE_BYTES };

struct own {
    struct target target;
    struct pager *pager;
    int uffd, trash_uffd;
    uint8_t *staging, *trash; /* NULL: none */
    uint64_t staging_bytes;
    struct pager_watch watch; /* of the second thread's bell */
    bool started;
    pthread_t hand;
    pthread_mutex_t lock;
    pthread_cond_t wanted;
    struct target_order *first, **last, *done; /* to do, in order; done, in any */
    bool ending, ended;
};

static struct own *own_of(struct target *target)
{
    return (struct own *)target;
}

static bool staged(const struct own *own, uint64_t address)
{
    uint64_t start = (uint64_t)(uintptr_t)own->staging;
    return own->staging != NULL && address >= start && address - start < own->staging_bytes;
}

static uint8_t *reserve(uint64_t bytes)
{
    void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED) return NULL;
    (void)madvise(memory, bytes, MADV_NOHUGEPAGE); /* EINVAL: a kernel without huge pages */
    if (madvise(memory, bytes, MADV_DONTFORK) == 0) return memory;
    (void)munmap(memory, bytes);
    return NULL;
}

static void unstage(struct own *own)
{
    if (own->staging != NULL) {
        uint64_t start = (uint64_t)(uintptr_t)own->staging;
        (void)!uffd_unregister(own->uffd, start, own->staging_bytes);
        (void)munmap(own->staging, own->staging_bytes);
    }
    if (own->trash_uffd >= 0) (void)close(own->trash_uffd);
    if (own->trash != NULL) (void)munmap(own->trash, TRASH_BYTES);
    own->staging = own->trash = NULL;
    own->trash_uffd = -1;
}

static int stage(struct target *target, uint64_t bytes, uint64_t *start)
{
    struct own *own = own_of(target);
    uint32_t got;
    enum uffd_way way;
    own->staging_bytes = bytes;
    own->trash_uffd = uffd_open(UFFD_MOVE, true, &got, &way);
    own->trash = reserve(TRASH_BYTES);
    own->staging = reserve(bytes);
    int error = own->trash == NULL || own->staging == NULL ? ENOMEM : 0;
    if (own->trash_uffd < 0 || (got & UFFD_MOVE) == 0) error = ENOTSUP;
    *start = (uint64_t)(uintptr_t)own->staging;
    if (error == 0)
        error = uffd_register(own->trash_uffd, (uint64_t)(uintptr_t)own->trash, TRASH_BYTES, false);
    if (error == 0) error = uffd_register(own->uffd, *start, bytes, false);
    if (error != 0) unstage(own);
    return error;
}

/* Pages [i, ...) of the order whose places follow each other. */
static uint32_t neighbours(const struct target_order *order, uint32_t i)
{
    const struct target_page *pages = order->pages;
    bool both = order->kind == TARGET_MOVE;
    uint32_t count = 1;
    for (; i + count < order->count; count++) {
        uint64_t bytes = (uint64_t)count * UFFD_PAGE_BYTES;
        if (pages[i + count].from != pages[i].from + bytes) break;
        if (both && pages[i + count].to != pages[i].to + bytes) break;
    }
    return count;
}

/* A call that ends early has met one page that it could not move, or does not say: what is left is
 * tried again, and who fails as the first of a call has that error. */
static void move(struct own *own, struct target_order *order)
{
    for (uint32_t i = 0; i < order->count;) {
        struct target_page *page = &order->pages[i];
        uint64_t bytes = (uint64_t)neighbours(order, i) * UFFD_PAGE_BYTES;
        struct uffd_done done = uffd_move(own->uffd, page->to, page->from, bytes, UFFD_DONT_WAKE);
        uint32_t moved = (uint32_t)(done.bytes / UFFD_PAGE_BYTES);
        for (uint32_t j = 0; j < moved; j++) page[j].error = 0;
        if (moved == 0) page[moved++].error = done.error != 0 ? done.error : EAGAIN;
        i += moved;
    }
}

static void empty_staging(struct own *own, struct target_order *order)
{
    uint64_t trash = (uint64_t)(uintptr_t)own->trash;
    for (uint32_t i = 0; i < order->count;) {
        uint32_t count = neighbours(order, i);
        uint64_t bytes = (uint64_t)count * UFFD_PAGE_BYTES;
        struct uffd_done done = {0};
        for (uint64_t at = 0; at < bytes; at += done.bytes) {
            done = uffd_move(own->trash_uffd, trash + at, order->pages[i].from + at, bytes - at,
                             UFFD_DONT_WAKE);
            if (done.bytes == 0 && done.error != EAGAIN) break;
        }
        fp_assert(done.bytes > 0); /* nobody else knows these pages */
        (void)madvise(own->trash, bytes, MADV_DONTNEED);
        for (uint32_t j = 0; j < count; j++) order->pages[i + j].error = 0;
        i += count;
    }
}

/* --- the second thread --- */

/* A mapping that has no memory behind it: whoever touches it gets SIGBUS. Who does is woken by the
 * kernel, which ThreadSanitizer does not see: it would take mmap(3) for a write that races. */
static int put_nothing_over(uint64_t address)
{
    int fd = memfd_create("farpage-lost", MFD_CLOEXEC);
    if (fd < 0) return errno;
    long over = syscall(SYS_mmap, address, (size_t)UFFD_PAGE_BYTES, PROT_READ | PROT_WRITE,
                        MAP_SHARED | MAP_FIXED, fd, (off_t)0);
    int error = over == -1 ? errno : 0;
    (void)close(fd);
    return error;
}

static void carry_out(struct target_order *order)
{
    for (uint32_t i = 0; i < order->count;) {
        uint32_t count = neighbours(order, i);
        uint64_t from = order->pages[i].from;
        int error;
        if (order->kind == TARGET_DROP) {
            size_t bytes = (size_t)count * UFFD_PAGE_BYTES;
            error = madvise((void *)(uintptr_t)from, bytes, MADV_DONTNEED) == 0 ? 0 : errno;
        } else {
            count = 1;
            error = put_nothing_over(from);
        }
        for (uint32_t j = 0; j < count; j++) order->pages[i + j].error = error;
        i += count;
    }
}

static void *work(void *context)
{
    struct own *own = context;
    (void)pthread_mutex_lock(&own->lock);
    for (;;) {
        while (own->first == NULL && !own->ending)
            (void)pthread_cond_wait(&own->wanted, &own->lock);
        struct target_order *order = own->first;
        if (order == NULL) break; /* it is ending, and all is done */
        own->first = order->next;
        if (own->first == NULL) own->last = &own->first;
        (void)pthread_mutex_unlock(&own->lock);
        carry_out(order);
        (void)pthread_mutex_lock(&own->lock);
        order->next = own->done;
        own->done = order;
        uint64_t one = 1;
        ssize_t wrote = write(own->watch.fd, &one, sizeof one);
        (void)wrote;
    }
    own->ended = true;
    (void)pthread_mutex_unlock(&own->lock);
    return NULL;
}

static void hear_hand(struct pager_watch *watch, short revents)
{
    struct own *own = watch->context;
    uint64_t rings;
    ssize_t got = read(watch->fd, &rings, sizeof rings);
    (void)got;
    (void)revents;
    (void)pthread_mutex_lock(&own->lock);
    struct target_order *done = own->done;
    own->done = NULL;
    (void)pthread_mutex_unlock(&own->lock);
    while (done != NULL) {
        struct target_order *order = done;
        done = order->next;
        order->done(order);
    }
}

static bool start(struct own *own)
{
    if (own->started) return true;
    own->watch.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (own->watch.fd < 0) return false;
    sigset_t all, before;
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    own->started = pthread_create(&own->hand, NULL, work, own) == 0;
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (own->started) {
        pager_watch(own->pager, &own->watch);
    } else {
        (void)close(own->watch.fd);
    }
    return own->started;
}

static void hand_over(struct own *own, struct target_order *order)
{
    if (!start(own)) {
        for (uint32_t i = 0; i < order->count; i++) order->pages[i].error = EAGAIN;
        order->done(order);
        return;
    }
    order->next = NULL;
    (void)pthread_mutex_lock(&own->lock);
    *own->last = order;
    own->last = &order->next;
    (void)pthread_cond_signal(&own->wanted);
    (void)pthread_mutex_unlock(&own->lock);
}

/* --- the table --- */

static void give(struct target *target, struct target_order *order)
{
    struct own *own = own_of(target);
    if (order->kind == TARGET_MOVE) {
        move(own, order);
    } else if (order->kind == TARGET_DROP && staged(own, order->pages[0].from)) {
        empty_staging(own, order);
    } else {
        hand_over(own, order);
        return;
    }
    order->done(order);
}

/* The program may unmap what is read, at any time: the kernel says so, where memcpy would not. */
static int read_program(const struct own *own, uint64_t address, uint8_t *into)
{
    struct iovec to = {into, UFFD_PAGE_BYTES};
    struct iovec from = {(void *)(uintptr_t)address, UFFD_PAGE_BYTES};
    ssize_t got = process_vm_readv(own->target.pid, &to, 1, &from, 1, 0);
    if (got == UFFD_PAGE_BYTES) return 0;
    return got < 0 ? errno : EFAULT;
}

static int read_pages(struct target *target, const uint64_t *addresses, uint8_t *const *into,
                      size_t count)
{
    struct own *own = own_of(target);
    for (size_t i = 0; i < count; i++) {
        if (staged(own, addresses[i])) {
            memcpy(into[i], (const void *)(uintptr_t)addresses[i], UFFD_PAGE_BYTES);
            continue;
        }
        int error = read_program(own, addresses[i], into[i]);
        if (error != 0) return error;
    }
    return 0;
}

static int bring(struct target *target, uint64_t to, uint64_t from)
{
    return uffd_move(own_of(target)->uffd, to, from, UFFD_PAGE_BYTES, UFFD_WAKE).error;
}

/* What it still does may wait for an event, which nobody but this thread reads. */
static void await_hand(struct own *own)
{
    for (bool ended = false; !ended;) {
        struct uffd_event events[UFFD_EVENTS_MAX];
        int count = uffd_read(own->uffd, events);
        for (int i = 0; i < count; i++)
            if (events[i].kind == UFFD_TOLD_FORK) (void)close(events[i].fd);
        (void)pthread_mutex_lock(&own->lock);
        own->ending = true;
        ended = own->ended;
        (void)pthread_cond_signal(&own->wanted);
        (void)pthread_mutex_unlock(&own->lock);
        if (!ended) (void)poll(NULL, 0, 1);
    }
}

static void destroy(struct target *target)
{
    struct own *own = own_of(target);
    if (own->started) {
        await_hand(own);
        (void)pthread_join(own->hand, NULL);
        hear_hand(&own->watch, 0);
        pager_unwatch(own->pager, &own->watch);
        (void)close(own->watch.fd);
    }
    unstage(own);
    if (target->pagemap >= 0) (void)close(target->pagemap);
    (void)pthread_cond_destroy(&own->wanted);
    (void)pthread_mutex_destroy(&own->lock);
    free(own);
}

static const struct target_table TABLE = {
    .stage = stage, .give = give, .read = read_pages, .bring = bring, .destroy = destroy};

struct target *target_own_create(struct pager *pager, int uffd)
{
    struct own *own = calloc(1, sizeof *own);
    if (own == NULL) return NULL;
    own->target.table = &TABLE;
    own->target.pid = (int)getpid();
    own->target.ready = true;
    own->target.pagemap = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
    own->pager = pager;
    own->uffd = uffd;
    own->trash_uffd = own->watch.fd = -1;
    own->watch.events = POLLIN;
    own->watch.ready = hear_hand;
    own->watch.context = own;
    own->last = &own->first;
    if (pthread_mutex_init(&own->lock, NULL) == 0 && pthread_cond_init(&own->wanted, NULL) == 0)
        return &own->target;
    free(own);
    errno = ENOMEM;
    return NULL;
}
