/* SPDX-License-Identifier: BSD-3-Clause */
#include "client/uffd/target_agent.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/arith.h"
#include "base/check.h"
#include "client/uffd/uffd.h"

enum { READ_PAGES = 64 };

static struct target_agent *of(struct target *target)
{
    return (struct target_agent *)(void *)target; /* its head */
}

/* --- orders --------------------------------------------------------------------------------- */

/* How many pages from `at` on lie side by side, at both ends. */
static uint32_t run_length(const struct target_order *order, uint32_t at)
{
    const struct target_page *first = &order->pages[at];
    uint32_t count = 1;
    for (; at + count < order->count; count++) {
        uint64_t bytes = (uint64_t)count * UFFD_PAGE_BYTES;
        const struct target_page *page = &order->pages[at + count];
        bool beside = page->from == first->from + bytes &&
                      (order->kind != TARGET_MOVE || page->to == first->to + bytes);
        if (!beside) break;
    }
    return count;
}

static enum agent_order_kind kind_of(enum target_order_kind kind)
{
    return kind == TARGET_MOVE ? AGENT_MOVE : kind == TARGET_DROP ? AGENT_DROP : AGENT_LOSE;
}

/* As much as the ring takes. */
static void put_out(struct target_agent *target)
{
    if (!target->linked) return;
    for (uint32_t i = target->first; i != target->last; i++) {
        struct target_agent_work *work = &target->works[i % TARGET_AGENT_WORKS];
        const struct target_order *order = work->order;
        while (work->put < order->count) {
            struct agent_order *out = agent_link_order(&target->link);
            if (out == NULL) break;
            out->kind = kind_of(order->kind);
            out->from = order->pages[work->put].from;
            out->to = order->pages[work->put].to;
            out->pages = run_length(order, work->put);
            work->put += (uint32_t)out->pages;
        }
        if (work->put < order->count) break;
    }
    agent_link_give(&target->link);
}

/* The oldest is through: it is the pager's again. */
static void finish_first(struct target_agent *target)
{
    struct target_order *order = target->works[target->first++ % TARGET_AGENT_WORKS].order;
    order->done(order);
}

static void tell(struct target_agent *target, const struct agent_order *said)
{
    struct target_agent_work *work = &target->works[target->first % TARGET_AGENT_WORKS];
    fp_assert(target->first != target->last && work->told + said->pages <= work->put);
    for (uint32_t i = 0; i < said->pages; i++) {
        bool done = (said->done >> i & 1) != 0;
        work->order->pages[work->told++].error = done ? 0 : said->error;
    }
    if (work->told == work->order->count) finish_first(target);
}

static void fail(struct target_order *order, int error)
{
    for (uint32_t i = 0; i < order->count; i++) order->pages[i].error = error;
    order->done(order);
}

static void give(struct target *as_target, struct target_order *order)
{
    struct target_agent *target = of(as_target);
    if (target->gone || target->last - target->first == TARGET_AGENT_WORKS) {
        fail(order, target->gone ? ESRCH : EAGAIN);
        return;
    }
    struct target_agent_work work = {.order = order};
    target->works[target->last++ % TARGET_AGENT_WORKS] = work;
    put_out(target);
}

void target_agent_ready(struct target_agent *target)
{
    struct agent_order said;
    if (!target->linked) return;
    agent_link_hush(&target->link);
    target->target.ready = !target->gone && agent_link_begun(&target->link);
    do {
        while (!target->gone && agent_link_done(&target->link, &said)) tell(target, &said);
        put_out(target);
    } while (!target->gone && !agent_link_listen(&target->link));
}

void target_agent_lost(struct target_agent *target)
{
    target->gone = true;
    target->target.ready = false;
    while (target->first != target->last) {
        struct target_agent_work work = target->works[target->first++ % TARGET_AGENT_WORKS];
        for (uint32_t i = work.told; i < work.order->count; i++)
            work.order->pages[i].error = ESRCH;
        work.order->done(work.order);
    }
}

/* --- memory --------------------------------------------------------------------------------- */

static int stage(struct target *as_target, uint64_t bytes, uint64_t *start)
{
    struct target_agent *target = of(as_target);
    if (target->trash_uffd < 0) return ENOTSUP;
    if (bytes > AGENT_STAGE_BYTES) return ENOMEM;
    *start = target->stage_from;
    int error = uffd_register(target->uffd, target->stage_from, AGENT_STAGE_BYTES, false);
    if (error != 0) return error;
    return uffd_register(target->trash_uffd, target->stage_from + AGENT_STAGE_BYTES,
                         AGENT_TRASH_BYTES, false);
}

/* Where process_vm_readv is refused although we were let look: the process has become another
 * user, say. */
static int read_slowly(const struct target_agent *target, const uint64_t *addresses,
                       uint8_t *const *into, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        ssize_t got = pread(target->mem, into[i], UFFD_PAGE_BYTES, (off_t)addresses[i]);
        if (got != UFFD_PAGE_BYTES) return got < 0 ? errno : ESRCH;
    }
    return 0;
}

static int read_pages(struct target *as_target, const uint64_t *addresses, uint8_t *const *into,
                      size_t count)
{
    const struct target_agent *target = of(as_target);
    for (size_t at = 0; at < count; at += READ_PAGES) {
        struct iovec to[READ_PAGES], from[READ_PAGES];
        size_t pages = count - at < READ_PAGES ? count - at : READ_PAGES;
        for (size_t i = 0; i < pages; i++) {
            to[i] = (struct iovec){into[at + i], UFFD_PAGE_BYTES};
            from[i] = (struct iovec){(void *)(uintptr_t)addresses[at + i], UFFD_PAGE_BYTES};
        }
        ssize_t got = process_vm_readv(target->target.pid, to, pages, from, pages, 0);
        if (got == (ssize_t)(pages * UFFD_PAGE_BYTES)) continue;
        int error = got >= 0 ? EFAULT : errno;
        if (error == EPERM) error = read_slowly(target, addresses + at, into + at, pages);
        if (error != 0) return error;
    }
    return 0;
}

static void destroy(struct target *as_target)
{
    struct target_agent *target = of(as_target);
    target_agent_lost(target);
    if (target->linked) agent_link_close(&target->link);
    target->linked = false;
    if (target->mem >= 0) close(target->mem);
    if (target->target.pagemap >= 0) close(target->target.pagemap);
    if (target->trash_uffd >= 0) close(target->trash_uffd);
    target->destroyed(target);
}

static const struct target_table table = {
    .stage = stage, .give = give, .read = read_pages, .destroy = destroy};

void target_agent_init(struct target_agent *target, void (*destroyed)(struct target_agent *target))
{
    *target = (struct target_agent){
        .target = {.table = &table, .pagemap = -1}, .mem = -1, .uffd = -1, .trash_uffd = -1,
        .link = {.socket = -1, .bell = -1}, .destroyed = destroyed};
}

int target_agent_open(int pid, const char *name)
{
    char path[48];
    snprintf(path, sizeof path, "/proc/%d/%s", pid, name);
    return open(path, O_RDONLY | O_CLOEXEC);
}

int target_agent_find(struct target_agent *target, int pid)
{
    target->target.pid = pid;
    target->mem = target_agent_open(pid, "mem");
    if (target->mem < 0) return errno;
    target->target.pagemap = target_agent_open(pid, "pagemap");
    return target->target.pagemap < 0 ? errno : 0;
}

void target_agent_stage(struct target_agent *target, int uffd, int trash, uint64_t from)
{
    target->uffd = uffd;
    target->trash_uffd = trash;
    target->stage_from = from;
}

void target_agent_linked(struct target_agent *target)
{
    target->linked = true;
    put_out(target);
}
