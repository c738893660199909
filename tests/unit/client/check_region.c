/* SPDX-License-Identifier: BSD-3-Clause
 * What a region promises: every byte comes back, or SIGBUS with a sentence; never more resident
 * than was agreed on; and nothing is left on the server. Each test runs for both ways of evicting.
 * */
#include <check.h>
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "client/include/farpage.h"
#include "client/uffd/uffd.h"
#include "protocol/frame.h"
#include "tests/unit/base/suite.h"
#include "tests/unit/client/fake_server.h"

enum { PAGE = 4096, LOCAL = 256, PAGES = 3 * LOCAL, EVENTS = FARPAGE_REGION_CROWDED + 1 };

static struct fake_server *server;
static struct farpage *client;
static struct farpage_region *region;
static uint8_t *memory;
static _Atomic unsigned told[EVENTS];
static char said[300];

static void notice(void *context, const struct farpage_region_notice *notice)
{
    (void)context;
    ck_assert_ptr_nonnull(notice->text);
    if (notice->event == FARPAGE_REGION_LOST || notice->event == FARPAGE_REGION_CROWDED)
        ck_assert_ptr_nonnull(notice->address);
    (void)snprintf(said, sizeof said, "%s", notice->text);
    atomic_fetch_add(&told[notice->event], 1);
}

static bool is_lost[PAGES]; /* as lost_pages found them */

static void begin_with(const struct fake_plan *plan, uint32_t grace_ms, int way)
{
    for (int i = 0; i < EVENTS; i++) atomic_store(&told[i], 0);
    memset(is_lost, 0, sizeof is_lost);
    server = fake_server_create(plan);
    struct farpage_options options = {.server = fake_server_address(server), .timeout_ms = 10000};
    ck_assert_int_eq(farpage_connect(&options, &client), FARPAGE_OK);
    struct farpage_region_options wish = {
        .bytes = PAGES * PAGE, .local_bytes = LOCAL * PAGE, .grace_ms = grace_ms,
        .flags = way == 1 ? FARPAGE_REGION_PROTECT : 0, .notice = notice};
    enum farpage_status status = farpage_region_create(client, &wish, &region);
    ck_assert_msg(status == FARPAGE_OK, "%s", farpage_error(client));
    memory = farpage_region_memory(region);
}

static void begin(int way)
{
    struct fake_plan plan = {0};
    begin_with(&plan, 0, way);
}

static struct farpage_region_figures figures(void)
{
    struct farpage_region_figures figures;
    ck_assert_int_eq(farpage_region_figures(region, &figures), FARPAGE_OK);
    ck_assert_uint_le(figures.resident_bytes_peak, LOCAL * PAGE);
    return figures;
}

static void end(void)
{
    farpage_region_destroy(&region);
    ck_assert_ptr_null(region);
    farpage_disconnect(&client);
    fake_server_destroy(&server);
}

/* A word of every page is its number and `round`, the others are noise that packs badly. */
static void write_page(unsigned page, unsigned round)
{
    uint32_t *words = (uint32_t *)(void *)(memory + (size_t)page * PAGE);
    for (unsigned i = 0; i < PAGE / 4; i++) words[i] = (page + 1) * 2654435761u + i * round;
}

static bool is_page(unsigned page, unsigned round)
{
    const uint32_t *words = (const uint32_t *)(const void *)(memory + (size_t)page * PAGE);
    for (unsigned i = 0; i < PAGE / 4; i++)
        if (words[i] != (page + 1) * 2654435761u + i * round) return false;
    return true;
}

static void write_all(unsigned round)
{
    for (unsigned i = 0; i < PAGES; i++) write_page(i, round);
}

static void expect_all(unsigned round)
{
    for (unsigned i = 0; i < PAGES; i++) ck_assert_msg(is_page(i, round), "page %u", i);
}

START_TEST(every_byte_comes_back)
{
    begin(_i);
    for (unsigned i = 0; i < PAGES; i++) ck_assert_uint_eq(memory[(size_t)i * PAGE + i], 0);
    write_all(1);
    expect_all(1);
    for (unsigned i = 0; i < PAGES; i += 3) write_page(i, 2);
    for (unsigned i = PAGES; i-- > 0;) ck_assert(is_page(i, i % 3 == 0 ? 2 : 1));
    struct farpage_region_figures seen = figures();
    ck_assert_uint_gt(seen.remote_bytes, 0);
    ck_assert_uint_le(seen.resident_bytes, LOCAL * PAGE);
    ck_assert_int_eq(seen.moves != 0, _i == 0 && seen.moves != 0);
    end();
}
END_TEST

START_TEST(what_did_not_change_is_not_sent_again)
{
    begin(_i);
    write_all(1);
    expect_all(1);
    uint64_t stored = figures().stored_pages;
    for (int i = 0; i < 3; i++) expect_all(1);
    struct farpage_region_figures seen = figures();
    ck_assert_uint_le(seen.stored_pages, stored + LOCAL);
    ck_assert_uint_gt(seen.dropped_clean, PAGES);
    for (unsigned i = 0; i < PAGES; i++) write_page(i, 1); /* the bytes it had */
    ck_assert_uint_le(figures().stored_pages, stored + LOCAL);
    end();
}
END_TEST

START_TEST(zeros_are_not_sent)
{
    begin(_i);
    volatile uint8_t *touched = memory;
    for (unsigned i = 0; i < PAGES; i++) touched[(size_t)i * PAGE] = 0;
    struct farpage_region_figures seen = figures();
    ck_assert_uint_eq(seen.stored_pages, 0);
    ck_assert_uint_gt(seen.dropped_zero, PAGES / 2);
    for (unsigned i = 0; i < PAGES; i++) ck_assert_uint_eq(memory[(size_t)i * PAGE], 0);
    end();
}
END_TEST

START_TEST(who_walks_on_new_memory_is_run_ahead_of)
{
    enum { WALK = LOCAL / 2 }; /* nothing has to go for it */
    for (int down = 0; down < 2; down++) {
        begin(_i);
        for (unsigned i = 0; i < WALK; i++) write_page(down ? WALK - 1 - i : i, 1);
        ck_assert_uint_lt(figures().first_touches, WALK / 8);
        for (unsigned i = 0; i < WALK; i++) ck_assert(is_page(i, 1));
        end();
    }
}
END_TEST

START_TEST(what_is_forgotten_reads_as_zeros)
{
    begin(_i);
    write_all(1);
    ck_assert_int_eq(madvise(memory + 10 * PAGE, 500 * PAGE, MADV_DONTNEED), 0);
    ck_assert_int_eq(madvise(memory + (PAGES - 8) * PAGE, 8 * PAGE, MADV_DONTNEED), 0);
    for (unsigned i = 0; i < PAGES; i++) {
        bool forgotten = (i >= 10 && i < 510) || i >= PAGES - 8;
        if (forgotten)
            ck_assert_uint_eq(memory[(size_t)i * PAGE + 7], 0);
        else
            ck_assert(is_page(i, 1));
    }
    end();
}
END_TEST

START_TEST(hints_bring_and_dismiss)
{
    begin(_i);
    write_all(1);
    ck_assert_int_eq(farpage_region_will_not_need(region, memory + 500 * PAGE, 200 * PAGE),
                     FARPAGE_OK);
    ck_assert_int_eq(farpage_region_will_need(region, memory, 50 * PAGE), FARPAGE_OK);
    expect_all(1);
    ck_assert_int_eq(farpage_region_will_need(region, memory + 1, PAGE), FARPAGE_INVALID);
    ck_assert_int_eq(farpage_region_will_need(region, memory + PAGE, PAGES * PAGE),
                     FARPAGE_RANGE);
    ck_assert_int_eq(farpage_region_pin(region, memory - PAGE, PAGE), FARPAGE_RANGE);
    end();
}
END_TEST

START_TEST(what_is_pinned_stays)
{
    begin(_i);
    write_all(1);
    ck_assert_int_eq(farpage_region_pin(region, memory + 100 * PAGE, 20 * PAGE), FARPAGE_OK);
    ck_assert_int_eq(farpage_region_pin(region, memory, PAGES * PAGE), FARPAGE_LIMIT);
    expect_all(1);
    expect_all(1);
    uint64_t before = figures().loads + figures().wanted_back;
    for (unsigned i = 100; i < 120; i++) ck_assert(is_page(i, 1));
    ck_assert_uint_eq(figures().loads + figures().wanted_back, before);
    ck_assert_int_eq(farpage_region_unpin(region, memory + 100 * PAGE, 20 * PAGE), FARPAGE_OK);
    for (int i = 0; i < 2; i++) expect_all(1);
    end();
}
END_TEST

START_TEST(a_cut_connection_is_noticed_by_nobody)
{
    begin(_i);
    write_all(1);
    for (unsigned i = 0; i < PAGES; i++) {
        if (i % 100 == 50) fake_server_cut(server);
        ck_assert(is_page(i, 1));
        if (i % 2 == 0) write_page(i, 2);
    }
    for (unsigned i = 0; i < PAGES; i++) ck_assert(is_page(i, i % 2 == 0 ? 2 : 1));
    ck_assert_uint_eq(told[FARPAGE_REGION_LOST], 0);
    end();
}
END_TEST

/* --- lost --- */

static sigjmp_buf back;

static void bus(int signal)
{
    (void)signal;
    siglongjmp(back, 1);
}

/* False: SIGBUS, or SIGSEGV, which no page of ours may raise. */
static bool readable(unsigned page, uint8_t *byte)
{
    struct sigaction action = {.sa_handler = bus}, before;
    ck_assert_int_eq(sigaction(SIGBUS, &action, &before), 0);
    volatile bool good = false;
    if (sigsetjmp(back, 1) == 0) {
        *byte = *(volatile uint8_t *)(memory + (size_t)page * PAGE + 9);
        good = true;
    }
    ck_assert_int_eq(sigaction(SIGBUS, &before, NULL), 0);
    return good;
}

/* What was lost stays lost; what was here may have gone where it is lost since. */
static unsigned lost_pages(unsigned round)
{
    unsigned lost = 0;
    for (unsigned i = 0; i < PAGES; i++) {
        uint8_t byte;
        bool here = readable(i, &byte);
        ck_assert_msg(!here || !is_lost[i], "page %u was lost before", i);
        ck_assert_msg(!here || is_page(i, round), "page %u is other bytes", i);
        is_lost[i] = !here;
        lost += is_lost[i];
    }
    return lost;
}

/* What the wire did to a page, the server still has. Twice in a row is not often enough to lose it,
 * where a reply that makes no sense ends the connection neither. */
START_TEST(a_page_that_comes_damaged_is_asked_for_again)
{
    struct fake_plan plan = {.mischief = FAKE_FLIPPED_BODY, .to = FRAME_LOAD, .after = 20,
                             .times = 2};
    if (_i == 1) plan.mischief = FAKE_WRONG_SLOT;
    begin_with(&plan, 0, _i);
    write_all(1);
    expect_all(1);
    ck_assert_uint_eq(told[FARPAGE_REGION_LOST], 0);
    end();
}
END_TEST

START_TEST(a_server_that_lies_always_costs_pages_never_other_bytes)
{
    struct fake_plan plan = {.mischief = FAKE_FLIPPED_BODY, .to = FRAME_LOAD};
    begin_with(&plan, 0, _i);
    write_all(1);
    unsigned lost = lost_pages(1);
    ck_assert_uint_gt(lost, PAGES / 2);
    ck_assert_uint_eq(lost, told[FARPAGE_REGION_LOST]);
    ck_assert_ptr_nonnull(strstr(said, "checksum"));
    ck_assert_uint_ge(lost_pages(1), lost); /* and so it stays */
    if (_i == 0) { /* what was put over a page where there is no poison stays over it */
        ck_assert_int_eq(madvise(memory, PAGES * PAGE, MADV_DONTNEED), 0);
        write_page(3, 1);
        ck_assert(is_page(3, 1)); /* but what is forgotten is as new */
    }
    end();
}
END_TEST

START_TEST(a_server_started_anew_has_lost_what_only_it_had)
{
    begin(_i);
    write_all(1);
    fake_server_reboot(server);
    unsigned lost = lost_pages(1);
    ck_assert_uint_gt(lost, PAGES / 5);
    ck_assert_uint_lt(lost, PAGES); /* what was here is here */
    if (_i == 0) {
        ck_assert_int_eq(madvise(memory, PAGES * PAGE, MADV_DONTNEED), 0);
        write_all(2);
        expect_all(2); /* and it goes on */
    }
    end();
}
END_TEST

/* The area is opened a second time to learn that it is lost, and a third time anew: meanwhile who
 * has lost a page is told so, and what needs nothing from there goes on. */
START_TEST(a_server_that_is_slow_to_open_anew_holds_up_nobody_else)
{
    struct fake_plan plan = {.mischief = FAKE_LATE, .to = FRAME_OPEN, .after = 2, .times = 1,
                             .amount = 3000};
    begin_with(&plan, 0, _i);
    write_all(1);
    uint64_t begun = clock_monotonic_ns();
    fake_server_reboot(server);
    uint8_t byte;
    for (unsigned i = 0; told[FARPAGE_REGION_LOST] == 0 && i < PAGES; i++) (void)readable(i, &byte);
    ck_assert_uint_gt(told[FARPAGE_REGION_LOST], 0);
    ck_assert_int_eq(madvise(memory, PAGE, MADV_DONTNEED), 0); /* waits until the pager reads so */
    ck_assert_uint_lt(clock_monotonic_ns() - begun, 2500000000);
    end();
}
END_TEST

START_TEST(a_silent_server_costs_the_grace_and_then_the_page)
{
    struct fake_plan plan = {.mischief = FAKE_SILENT, .to = FRAME_LOAD};
    if (_i == 1) return; /* how pages leave makes no difference, and it takes a second */
    begin_with(&plan, 1300, _i);
    write_all(1);
    uint8_t byte;
    ck_assert(!readable(5, &byte));
    ck_assert_uint_eq(told[FARPAGE_REGION_GONE], 1);
    ck_assert_uint_ge(told[FARPAGE_REGION_LOST], 1);
    end();
}
END_TEST

START_TEST(a_full_server_is_told_and_waited_for)
{
    struct fake_plan plan = {.mischief = FAKE_STATUS, .to = FRAME_STORE, .after = 300,
                             .times = 600, .amount = FRAME_NO_MEMORY};
    begin_with(&plan, 20000, _i);
    write_all(1);
    expect_all(1);
    ck_assert_uint_ge(told[FARPAGE_REGION_FULL], 1);
    ck_assert_uint_ge(told[FARPAGE_REGION_ROOM], 1);
    ck_assert_uint_eq(told[FARPAGE_REGION_CROWDED] + told[FARPAGE_REGION_LOST], 0);
    end();
}
END_TEST

START_TEST(where_nothing_has_room_a_new_page_is_sigbus_and_the_others_live)
{
    struct fake_plan plan = {.mischief = FAKE_STATUS, .to = FRAME_STORE,
                             .amount = FRAME_NO_MEMORY};
    begin_with(&plan, 300, _i);
    unsigned written = 0;
    uint8_t byte;
    while (written < PAGES && readable(written, &byte)) write_page(written++, 1);
    ck_assert_uint_ge(written, LOCAL);
    ck_assert_uint_lt(written, PAGES);
    ck_assert_uint_eq(told[FARPAGE_REGION_FULL], 1);
    ck_assert_uint_ge(told[FARPAGE_REGION_CROWDED], 1);
    end();
}
END_TEST

/* --- threads, children, mistakes --- */

static _Atomic bool good;

static void *walk(void *context)
{
    unsigned start = *(unsigned *)context;
    for (unsigned round = 1; round <= 2; round++) {
        for (unsigned i = start; i < PAGES; i += 4) write_page(i, round + start);
        for (unsigned i = start; i < PAGES; i += 4)
            if (!is_page(i, round + start)) atomic_store(&good, false);
    }
    return NULL;
}

START_TEST(threads_share_it)
{
    begin(_i);
    atomic_store(&good, true);
    pthread_t threads[4];
    unsigned starts[4] = {0, 1, 2, 3};
    for (int i = 0; i < 4; i++)
        ck_assert_int_eq(pthread_create(&threads[i], NULL, walk, &starts[i]), 0);
    for (int i = 0; i < 4; i++) ck_assert_int_eq(pthread_join(threads[i], NULL), 0);
    ck_assert(atomic_load(&good));
    (void)figures();
    end();
}
END_TEST

START_TEST(a_child_does_not_have_it)
{
    begin(_i);
    write_all(1);
    pid_t child = fork();
    if (child == 0) {
        (void)signal(SIGSEGV, SIG_DFL);
        _exit(memory[0] == 0 ? 1 : 2);
    }
    int status;
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert(WIFSIGNALED(status) || WEXITSTATUS(status) > 2); /* sanitizers exit */
    expect_all(1);
    end();
}
END_TEST

START_TEST(what_makes_no_sense_is_said)
{
    struct fake_plan plan = {0};
    server = fake_server_create(&plan);
    struct farpage_options options = {.server = fake_server_address(server)};
    ck_assert_int_eq(farpage_connect(&options, &client), FARPAGE_OK);
    struct farpage_region_options wrong[] = {
        {.bytes = 0, .local_bytes = 1 << 20},
        {.bytes = 5000, .local_bytes = 1 << 20},
        {.bytes = 1 << 20, .local_bytes = 4096},
        {.bytes = 1 << 20, .local_bytes = 1 << 20, .ahead_pages = 65},
        {.bytes = 1 << 20, .local_bytes = 1 << 20, .flags = 1 << 9},
        {.bytes = 1 << 20, .local_bytes = 1 << 20, .mode = 9},
    };
    for (size_t i = 0; i < FP_COUNT_OF(wrong); i++) {
        ck_assert_int_eq(farpage_region_create(client, &wrong[i], &region), FARPAGE_INVALID);
        ck_assert_ptr_null(region);
        ck_assert_str_ne(farpage_error(client), "");
    }
    farpage_region_destroy(&region);
    farpage_disconnect(&client);
    fake_server_destroy(&server);
}
END_TEST

static void skip_where_there_is_none(void)
{
    uint32_t able;
    enum uffd_way way;
    int probe = uffd_open(UFFD_PROTECT, false, &able, &way);
    if (probe < 0 || (able & UFFD_PROTECT) == 0) {
        (void)printf("skipped: no userfaultfd with write protection: %s\n", strerror(errno));
        exit(77);
    }
    (void)close(probe);
}

int main(void)
{
    skip_where_there_is_none();
    int failed = suite_run_each(
        "region", 2, every_byte_comes_back, what_did_not_change_is_not_sent_again,
        zeros_are_not_sent, who_walks_on_new_memory_is_run_ahead_of,
        what_is_forgotten_reads_as_zeros, hints_bring_and_dismiss,
        what_is_pinned_stays, a_cut_connection_is_noticed_by_nobody,
        a_page_that_comes_damaged_is_asked_for_again,
        a_server_that_lies_always_costs_pages_never_other_bytes,
        a_server_started_anew_has_lost_what_only_it_had,
        a_server_that_is_slow_to_open_anew_holds_up_nobody_else,
        a_silent_server_costs_the_grace_and_then_the_page, a_full_server_is_told_and_waited_for,
        where_nothing_has_room_a_new_page_is_sigbus_and_the_others_live, threads_share_it,
        a_child_does_not_have_it);
    return suite_run("region, asked for nonsense", what_makes_no_sense_is_said) | failed;
}
