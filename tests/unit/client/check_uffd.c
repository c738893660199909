/* SPDX-License-Identifier: BSD-3-Clause
 * What the kernel does with a userfaultfd is what the pager is told that it did. Where the kernel
 * lets us have none, there is nothing to see: the program says so and is skipped. */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "client/uffd/uffd.h"
#include "tests/unit/base/suite.h"

enum { PAGES = 8, PAGE = UFFD_PAGE_BYTES, ALL = 63 };

static int fd;
static uint32_t able;
static uint8_t *memory, bytes[PAGE * PAGES];

static uint64_t at(unsigned page)
{
    return (uint64_t)(uintptr_t)memory + (uint64_t)page * PAGE;
}

static void begin(uint32_t wanted)
{
    enum uffd_way way;
    fd = uffd_open(wanted, false, &able, &way);
    ck_assert_int_ge(fd, 0);
    memory = mmap(NULL, PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    ck_assert_ptr_ne(memory, MAP_FAILED);
    ck_assert_int_eq(madvise(memory, PAGES * PAGE, MADV_NOHUGEPAGE), 0);
    ck_assert_int_eq(uffd_register(fd, at(0), PAGES * PAGE, true), 0);
    memset(bytes, 'f', sizeof bytes);
}

static void end(void)
{
    ck_assert_int_eq(close(fd), 0);
    ck_assert_int_eq(munmap(memory, PAGES * PAGE), 0);
}

START_TEST(a_copy_says_how_far_it_came)
{
    begin(UFFD_PROTECT);
    ck_assert_int_eq(uffd_copy(fd, at(2), bytes, PAGE, UFFD_WAKE).error, 0);
    struct uffd_done done = uffd_copy(fd, at(0), bytes, 4 * PAGE, UFFD_WAKE);
    ck_assert_int_ne(done.error, 0);
    ck_assert_uint_eq(done.bytes, 2 * PAGE);
    done = uffd_copy(fd, at(2), bytes, PAGE, UFFD_WAKE);
    ck_assert_int_eq(done.error, EEXIST);
    ck_assert_uint_eq(done.bytes, 0);
    done = uffd_zero(fd, at(3), PAGE, UFFD_DONT_WAKE);
    ck_assert_int_eq(done.error, 0);
    ck_assert_uint_eq(done.bytes, PAGE);
    ck_assert_int_eq(memory[2 * PAGE], 'f');
    ck_assert_int_eq(memory[3 * PAGE], 0);
    end();
}
END_TEST

START_TEST(a_page_moves_or_stays_where_it_is)
{
    begin(UFFD_PROTECT | UFFD_MOVE);
    if ((able & UFFD_MOVE) != 0) {
        ck_assert_int_eq(uffd_copy(fd, at(0), bytes, PAGE, UFFD_WAKE).error, 0);
        ck_assert_int_eq(uffd_move(fd, at(5), at(0), PAGE, UFFD_WAKE).error, 0);
        ck_assert_int_eq(memory[5 * PAGE], 'f');
        ck_assert_int_eq(uffd_move(fd, at(6), at(0), PAGE, UFFD_WAKE).error, ENOENT);
        ck_assert_int_eq(uffd_copy(fd, at(0), bytes, PAGE, UFFD_WAKE).error, 0);
        ck_assert_int_eq(uffd_move(fd, at(5), at(0), PAGE, UFFD_WAKE).error, EEXIST);
        ck_assert_int_eq(memory[0], 'f');
    }
    end();
}
END_TEST

/* Atomic, because the other thread looks while this one is stopped in the middle of it; relaxed,
 * because ThreadSanitizer holds a lock across any other store, and this one may take its time. */
static void *touch(void *page)
{
    atomic_store_explicit((_Atomic uint8_t *)page, 'w', memory_order_relaxed);
    return NULL;
}

static struct uffd_event next_event(void)
{
    struct uffd_event events[UFFD_EVENTS_MAX];
    for (;;) {
        int count = uffd_read(fd, events);
        ck_assert_int_ge(count, 0);
        if (count > 0) return events[0];
    }
}

START_TEST(a_thread_waits_for_a_page_and_for_a_protected_one)
{
    begin(UFFD_PROTECT | UFFD_THREADS);
    pthread_t thread;
    ck_assert_int_eq(pthread_create(&thread, NULL, touch, memory + PAGE + 5), 0);
    struct uffd_event event = next_event();
    ck_assert_int_eq(event.kind, UFFD_TOLD_MISSING);
    ck_assert(event.write && event.thread != 0);
    ck_assert_uint_eq(event.start, at(1));
    ck_assert_int_eq(uffd_copy(fd, at(1), bytes, PAGE, UFFD_WAKE).error, 0);
    ck_assert_int_eq(pthread_join(thread, NULL), 0);
    ck_assert_int_eq(memory[PAGE + 5], 'w');

    ck_assert_int_eq(uffd_protect(fd, at(1), PAGE), 0);
    ck_assert_int_eq(pthread_create(&thread, NULL, touch, memory + PAGE + 6), 0);
    event = next_event();
    ck_assert_int_eq(event.kind, UFFD_TOLD_WRITE);
    ck_assert_uint_eq(event.start, at(1));
    _Atomic uint8_t *seen = (_Atomic uint8_t *)(memory + PAGE + 6);
    ck_assert_int_eq(atomic_load_explicit(seen, memory_order_relaxed), 'f');
    ck_assert_int_eq(uffd_unprotect(fd, at(1), PAGE), 0);
    ck_assert_int_eq(pthread_join(thread, NULL), 0);
    ck_assert_int_eq(memory[PAGE + 6], 'w');
    end();
}
END_TEST

static void *forget(void *page)
{
    return madvise(page, 2 * PAGE, MADV_DONTNEED) == 0 ? page : NULL;
}

START_TEST(who_forgets_pages_waits_until_it_is_read)
{
    begin(UFFD_PROTECT | UFFD_CHANGES);
    ck_assert_int_eq(uffd_copy(fd, at(3), bytes, PAGE, UFFD_WAKE).error, 0);
    pthread_t thread;
    ck_assert_int_eq(pthread_create(&thread, NULL, forget, memory + 3 * PAGE), 0);
    struct uffd_event event = next_event();
    ck_assert_int_eq(event.kind, UFFD_TOLD_REMOVE);
    ck_assert_uint_eq(event.start, at(3));
    ck_assert_uint_eq(event.end, at(5));
    void *answer;
    ck_assert_int_eq(pthread_join(thread, &answer), 0);
    ck_assert_ptr_nonnull(answer);
    end();
}
END_TEST

static void note(void *context, uint64_t start, uint64_t stop)
{
    char *told = context;
    size_t used = strlen(told);
    (void)snprintf(told + used, 64 - used, "%d-%d ", (int)((start - at(0)) / PAGE),
                   (int)((stop - at(0)) / PAGE));
}

START_TEST(what_is_there_is_told_in_runs)
{
    begin(UFFD_PROTECT);
    char told[64] = "";
    ck_assert_int_eq(uffd_copy(fd, at(1), bytes, 3 * PAGE, UFFD_WAKE).error, 0);
    ck_assert_int_eq(uffd_copy(fd, at(6), bytes, 2 * PAGE, UFFD_WAKE).error, 0);
    int pagemap = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
    ck_assert_int_ge(pagemap, 0);
    ck_assert_int_eq(uffd_present(pagemap, at(0), at(PAGES), note, told), 0);
    ck_assert_str_eq(told, "1-4 6-8 ");
    told[0] = '\0';
    ck_assert_int_eq(uffd_present(pagemap, at(4), at(6), note, told), 0);
    ck_assert_str_eq(told, "");
    ck_assert_int_eq(close(pagemap), 0);
    end();
}
END_TEST

static void skip_where_there_is_none(void)
{
    enum uffd_way way;
    int probe = uffd_open(ALL, false, &able, &way);
    if (probe < 0 || (able & UFFD_PROTECT) == 0) {
        (void)printf("skipped: no userfaultfd with write protection: %s\n", strerror(errno));
        exit(77);
    }
    (void)close(probe);
}

int main(void)
{
    skip_where_there_is_none();
    return suite_run("uffd", a_copy_says_how_far_it_came, a_page_moves_or_stays_where_it_is,
                     a_thread_waits_for_a_page_and_for_a_protected_one,
                     who_forgets_pages_waits_until_it_is_read, what_is_there_is_told_in_runs);
}
