/* SPDX-License-Identifier: BSD-3-Clause
 * The kernel reads and writes what is remote, for files, pipes, sockets; signals come meanwhile. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/pager/exercise.h"

static int scratch_file(void)
{
    char path[] = "/tmp/exercise-XXXXXX";
    int fd = mkstemp(path);
    require(fd >= 0);
    require(unlink(path) == 0);
    return fd;
}

static void write_all(int fd, const void *bytes, size_t size)
{
    for (size_t at = 0; at < size;) {
        ssize_t some = write(fd, (const uint8_t *)bytes + at, size - at);
        if (some < 0 && errno == EINTR) continue;
        require(some > 0);
        at += (size_t)some;
    }
}

static void read_all(int fd, void *bytes, size_t size)
{
    for (size_t at = 0; at < size;) {
        ssize_t some = read(fd, (uint8_t *)bytes + at, size - at);
        if (some < 0 && errno == EINTR) continue;
        require(some > 0);
        at += (size_t)some;
    }
}

/* read(2) and write(2) of many pages at once, of which most are not there. */
static void files(size_t bytes)
{
    size_t pages = bytes / PAGE_BYTES;
    uint8_t *base = map_pages(bytes);
    pages_fill(base, 0, pages, 1);
    int fd = scratch_file();
    write_all(fd, base, bytes);
    pages_fill(base, 0, pages, 2);
    require(lseek(fd, 0, SEEK_SET) == 0);
    read_all(fd, base, bytes);
    pages_verify(base, 0, pages, 1);
    for (size_t i = 0; i < pages; i += 5) /* at odd places, over the edges of pages */
        require(pread(fd, base + i * PAGE_BYTES + 100, 300, (off_t)(i * PAGE_BYTES + 100)) == 300);
    pages_verify(base, 0, pages, 1);
    require(close(fd) == 0);
}

static void vectors(size_t bytes)
{
    enum { PARTS = 64 };
    size_t pages = bytes / PAGE_BYTES, step = pages / PARTS;
    uint8_t *base = map_pages(bytes);
    pages_fill(base, 0, pages, 1);
    int fd = scratch_file();
    struct iovec parts[PARTS];
    for (size_t round = 0; round < step; round++) {
        for (size_t i = 0; i < PARTS; i++)
            parts[i] = (struct iovec){base + (i * step + round) * PAGE_BYTES, PAGE_BYTES};
        require(pwritev(fd, parts, PARTS, 0) == PARTS * PAGE_BYTES);
        for (size_t i = 0; i < PARTS; i++) page_fill(parts[i].iov_base, 0, 9);
        require(preadv(fd, parts, PARTS, 0) == PARTS * PAGE_BYTES);
    }
    pages_verify(base, 0, pages, 1);
    require(close(fd) == 0);
}

/* A child sends all it has, and it is the same here. */
static void sockets(size_t bytes)
{
    size_t pages = bytes / PAGE_BYTES;
    uint8_t *base = map_pages(bytes);
    int ends[2];
    require(socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0);
    pid_t child = fork();
    require(child >= 0);
    if (child == 0) {
        require(close(ends[0]) == 0);
        pages_fill(base, 0, pages, 5);
        write_all(ends[1], base, bytes);
        read_all(ends[1], base, bytes);
        pages_verify(base, 0, pages, 5);
        _exit(0);
    }
    require(close(ends[1]) == 0);
    for (size_t at = 0; at < bytes;) {
        ssize_t some = recv(ends[0], base + at, bytes - at, 0);
        require(some > 0);
        at += (size_t)some;
    }
    pages_verify(base, 0, pages, 5);
    for (size_t at = 0; at < bytes;) {
        ssize_t some = send(ends[0], base + at, bytes - at, 0);
        require(some > 0);
        at += (size_t)some;
    }
    require_child(child);
    require(close(ends[0]) == 0);
}

/* Small results that the kernel writes into pages that went long ago. */
static void results(size_t bytes)
{
    size_t pages = bytes / PAGE_BYTES;
    uint8_t *base = map_pages(bytes);
    pages_fill(base, 0, pages, 1);
    for (size_t i = 0; i < pages; i += 7) {
        uint8_t *page = base + i * PAGE_BYTES;
        struct stat *status = (struct stat *)(void *)(page + 512);
        require(stat("/", status) == 0);
        require(S_ISDIR(status->st_mode));
        require(getcwd((char *)page + 1024, 1024) == (char *)page + 1024);
        require(page[1024] == '/');
        page_fill(page, i, 1);
    }
    pages_verify(base, 0, pages, 1);
}

/* --- signals ---------------------------------------------------------------------------------- */

static uint8_t *touched_by_signals;
static size_t touched_pages;
static volatile sig_atomic_t ticks;

static void on_tick(int signal)
{
    (void)signal;
    ticks++;
    size_t page = (size_t)ticks * 31 % touched_pages; /* a fault inside the handler, most times */
    page_verify(touched_by_signals + page * PAGE_BYTES, page, 7);
}

static void every_ms(long ms, int flags)
{
    struct sigaction action = {.sa_handler = on_tick, .sa_flags = flags};
    require(sigaction(SIGALRM, &action, NULL) == 0);
    struct itimerval timer = {.it_interval = {.tv_usec = ms * 1000}, .it_value = {.tv_usec = 500}};
    require(setitimer(ITIMER_REAL, &timer, NULL) == 0);
}

static void interrupted_walks(uint8_t *base, size_t pages)
{
    for (int round = 0; round < 2; round++) pages_verify(base, 0, pages, 7);
    int fd = scratch_file();
    write_all(fd, base, pages * PAGE_BYTES);
    require(lseek(fd, 0, SEEK_SET) == 0);
    read_all(fd, base, pages * PAGE_BYTES);
    pages_verify(base, 0, pages, 7);
    require(close(fd) == 0);
}

static void signals(size_t bytes)
{
    touched_pages = bytes / PAGE_BYTES;
    touched_by_signals = map_pages(bytes);
    pages_fill(touched_by_signals, 0, touched_pages, 7);
    every_ms(2, 0);
    interrupted_walks(touched_by_signals, touched_pages);
    while (ticks < 10) page_verify(touched_by_signals, 0, 7);
    every_ms(0, 0);
}

/* The handler's own stack is memory like any other, and may be away. */
static void signal_stacks(size_t bytes)
{
    enum { STACK_PAGES = 64 };
    stack_t stack = {.ss_sp = map_pages((size_t)STACK_PAGES * PAGE_BYTES),
                     .ss_size = (size_t)STACK_PAGES * PAGE_BYTES};
    require(sigaltstack(&stack, NULL) == 0);
    touched_pages = bytes / PAGE_BYTES;
    touched_by_signals = map_pages(bytes);
    pages_fill(touched_by_signals, 0, touched_pages, 7);
    for (int i = 0; i < 4; i++) {
        struct sigaction action = {.sa_handler = on_tick, .sa_flags = SA_ONSTACK};
        require(sigaction(SIGUSR1, &action, NULL) == 0);
        pages_verify(touched_by_signals, 0, touched_pages, 7); /* pushes the stack out */
        require(raise(SIGUSR1) == 0);
    }
    require(ticks == 4);
}

const struct exercise exercises_calls[] = {
    {"files", files},     {"vectors", vectors}, {"sockets", sockets},
    {"results", results}, {"signals", signals}, {"signal_stacks", signal_stacks},
    {NULL, NULL},
};
