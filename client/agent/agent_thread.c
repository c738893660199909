/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Life: closes every descriptor but its four, in a table that it shares with nobody, so that it
 * keeps no pipe of the program's open and the program cannot close its own -> carries out orders in
 * the order given -> sleeps at the doorbell -> the pager is gone: ends the program.
 *
 * It runs without libc and touches no private memory of the program but what an order names: any
 * other page may be away, and the thread that brings it back might be waiting for this one. A
 * fault that an order causes is answered by the pager, which never waits for an order to answer. */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/mman.h>

#include "base/attrs.h"
#include "client/agent/agent.h"
#include "client/agent/calls.h"

/* As the kernel has it since 6.8; the headers of today's distributions lack it. */
struct move {
    uint64_t to, from, bytes, mode;
    int64_t moved;
};
#define MOVE_CALL 0xc028aa05u
enum { DONT_WAKE = 1, WITH_HOLES = 2, PAGE_SHIFT = 12 };

struct protect {
    uint64_t from, bytes, mode;
};
#define PROTECT_CALL 0xc018aa06u
enum { PROTECT = 1 };

/* --- orders --------------------------------------------------------------------------------- */

static uint64_t bits(uint64_t count)
{
    return count >= 64 ? UINT64_MAX : (1ull << count) - 1;
}

/* As many as go in one call; then those behind the page that did not. */
static void do_move(const struct agent_thread *thread, struct agent_order *order)
{
    for (uint64_t at = 0; at < order->pages;) {
        struct move move = {.to = order->to + (at << PAGE_SHIFT),
                            .from = order->from + (at << PAGE_SHIFT),
                            .bytes = (order->pages - at) << PAGE_SHIFT, .mode = DONT_WAKE};
        long result = CALL(SYS_ioctl, thread->uffd, MOVE_CALL, (long)&move);
        uint64_t moved = move.moved > 0 ? (uint64_t)move.moved >> PAGE_SHIFT : 0;
        order->done |= bits(moved) << at;
        at += moved;
        if (at >= order->pages) break;
        order->error = result < 0 ? (int32_t)-result : EAGAIN;
        if (order->error == EAGAIN || order->error == ENOTTY || order->error == EBADF) break;
        at++;
    }
}

static long dont_need(uint64_t from, uint64_t bytes)
{
    return bytes == 0 ? 0 : CALL(SYS_madvise, (long)from, (long)bytes, MADV_DONTNEED);
}

static bool is_staged(const struct agent_thread *thread, const struct agent_order *order)
{
    return thread->stage_from != 0 && order->from >= thread->stage_from &&
           order->from - thread->stage_from < AGENT_STAGE_BYTES;
}

/* By way of the trash: for what madvise drops in staging this thread would wait until the pager has
 * read so, and for ever if the pager dies. How much of it went; the rest is not to be moved. */
static uint64_t throw_away(const struct agent_thread *thread, const struct agent_order *order)
{
    uint64_t trash = thread->stage_from + AGENT_STAGE_BYTES;
    uint64_t bytes = order->pages << PAGE_SHIFT, gone = 0;
    while (gone < bytes) {
        struct move move = {.to = trash + gone, .from = order->from + gone, .bytes = bytes - gone,
                            .mode = DONT_WAKE | WITH_HOLES};
        long result = CALL(SYS_ioctl, thread->trash, MOVE_CALL, (long)&move);
        if (move.moved > 0) gone += (uint64_t)move.moved;
        else if (result != -EAGAIN) break;
    }
    (void)dont_need(trash, gone);
    return gone;
}

static void drop_staged(const struct agent_thread *thread, struct agent_order *order)
{
    uint64_t gone = throw_away(thread, order);
    long result = dont_need(order->from + gone, (order->pages << PAGE_SHIFT) - gone);
    order->done = result == 0 ? bits(order->pages) : 0;
    order->error = (int32_t)-result;
}

/* Pages that the pager has protected, it protects again: the kernel refuses where something else is
 * mapped there by now (ENOENT), and while an event is to be read that might say so (EAGAIN). */
static long still_ours(const struct agent_thread *thread, uint64_t from, uint64_t bytes)
{
    struct protect protect = {from, bytes, PROTECT};
    return CALL(SYS_ioctl, thread->uffd, PROTECT_CALL, (long)&protect);
}

/* In one call, else page by page. A call that failed may have dropped some: those are dropped once
 * more without being asked for, or they would be told to be there. */
static void drop_in_place(const struct agent_thread *thread, struct agent_order *order)
{
    uint64_t bytes = order->pages << PAGE_SHIFT;
    bool ours = still_ours(thread, order->from, bytes) == 0;
    if (ours && dont_need(order->from, bytes) == 0) {
        order->done = bits(order->pages);
        return;
    }
    for (uint64_t i = 0; i < order->pages; i++) {
        uint64_t from = order->from + (i << PAGE_SHIFT);
        long result = ours ? 0 : still_ours(thread, from, 1 << PAGE_SHIFT);
        if (result == 0) result = dont_need(from, 1 << PAGE_SHIFT);
        if (result == 0) order->done |= 1ull << i;
        else order->error = (int32_t)-result;
    }
}

/* A page of a file that has none. */
static void do_lose(struct agent_order *order)
{
    static const char name[] = "farpage-lost";
    long fd = CALL(SYS_memfd_create, (long)name, 0);
    long result = fd;
    if (fd >= 0) {
        result = CALL(SYS_mmap, (long)order->from, (long)(order->pages << PAGE_SHIFT),
                      PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, 0);
        (void)CALL(SYS_close, fd);
    }
    bool failed = result < 0 && result > -4096;
    order->done = failed ? 0 : bits(order->pages);
    order->error = failed ? (int32_t)-result : 0;
}

static void carry_out(const struct agent_thread *thread, struct agent_order *order)
{
    order->done = 0;
    order->error = 0;
    switch (order->kind) {
    case AGENT_MOVE: do_move(thread, order); break;
    case AGENT_DROP:
        if (is_staged(thread, order)) drop_staged(thread, order);
        else drop_in_place(thread, order);
        break;
    case AGENT_LOSE: do_lose(order); break;
    default: order->error = EINVAL;
    }
}

static void ring_bell(const struct agent_thread *thread)
{
    uint64_t one = 1;
    (void)CALL(SYS_write, thread->bell, (long)&one, sizeof one);
}

/* False where there was nothing to do. */
static bool work(const struct agent_thread *thread)
{
    struct agent_ring *ring = thread->ring;
    uint32_t done = atomic_load_explicit(&ring->done, memory_order_relaxed);
    uint32_t given = atomic_load_explicit(&ring->given, memory_order_acquire);
    if (given == done) return false;
    for (; done != given; done++) {
        carry_out(thread, &ring->orders[done % AGENT_ORDERS]);
        atomic_store_explicit(&ring->done, done + 1, memory_order_release);
    }
    atomic_thread_fence(memory_order_seq_cst); /* done, then listening: the pager in reverse */
    if (atomic_exchange(&ring->listening, 0) != 0) ring_bell(thread);
    return true;
}

/* A thread of the program has no descriptor to ring with: this one has. */
static bool pass_ask_on(const struct agent_thread *thread, uint32_t *passed)
{
    uint32_t asked = atomic_load(&thread->ring->ask.asked);
    if (asked == *passed) return false;
    *passed = asked;
    ring_bell(thread);
    return true;
}

/* --- the end -------------------------------------------------------------------------------- */

static bool pager_is_gone(const struct agent_thread *thread)
{
    struct pollfd ends = {.fd = thread->socket, .events = POLLIN};
    const long now[2] = {0, 0};
    long result = CALL(SYS_ppoll, (long)&ends, 1, (long)now, 0, 8);
    return result > 0 && (ends.revents & (POLLHUP | POLLERR | POLLNVAL)) != 0;
}

/* To the program's own stderr as it is now: a copy would keep a pipe open that it has closed. */
FP_NORETURN static void end_program(void)
{
    static const char line[] = "farpage: the pager is gone, and memory of this program with it: "
                               "the program is ended\n";
    long stderr_now = CALL(SYS_openat, -100, (long)"/proc/self/fd/2", 1 /* O_WRONLY */);
    if (stderr_now >= 0) (void)CALL(SYS_write, stderr_now, (long)line, sizeof line - 1);
    (void)CALL(SYS_kill, CALL(SYS_getpid, 0), SIGKILL);
    for (;;) (void)CALL(SYS_exit_group, 137); /* a namespace's first process cannot kill itself */
}

/* --- the thread ----------------------------------------------------------------------------- */

static void close_between(long first, long last)
{
    if (first <= last) (void)CALL(SYS_close_range, first, last, 0);
}

static void close_others(const struct agent_thread *thread)
{
    int kept[] = {thread->socket, thread->bell, thread->trash, thread->uffd};
    enum { KEPT = FP_COUNT_OF(kept) };
    for (int i = 0; i < KEPT; i++) { /* sorts them */
        for (int j = i; j > 0 && kept[j - 1] > kept[j]; j--) {
            int higher = kept[j - 1];
            kept[j - 1] = kept[j];
            kept[j] = higher;
        }
    }
    for (int i = 0; i < KEPT; i++) {
        close_between(i == 0 ? 0 : kept[i - 1] + 1, kept[i] - 1);
    }
    close_between(kept[KEPT - 1] + 1, 0x7fffffff);
}

int agent_thread_main(void *context)
{
    const struct agent_thread *thread = context;
    struct agent_ring *ring = thread->ring;
    static const char name[] = "farpage-agent";
    uint32_t passed = 0;
    close_others(thread);
    (void)CALL(SYS_prctl, 15 /* PR_SET_NAME */, (long)name);
    atomic_store(&ring->begun, 1);
    ring_bell(thread);
    for (;;) {
        uint32_t seen = atomic_load(&ring->doorbell);
        bool worked = work(thread), passed_on = pass_ask_on(thread, &passed);
        if (worked || passed_on) continue;
        atomic_store(&ring->asleep, 1);
        if (atomic_load(&ring->doorbell) == seen)
            futex_wait(&ring->doorbell, seen, AGENT_WATCH_NS);
        atomic_store(&ring->asleep, 0);
        if (atomic_load(&ring->doorbell) == seen && pager_is_gone(thread)) end_program();
    }
}
