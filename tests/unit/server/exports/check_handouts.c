/* SPDX-License-Identifier: BSD-3-Clause */
#include "server/exports/handouts.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/unit/base/suite.h"

enum { PATH_BYTES = 128, THREADS = 4 };

static char directory[PATH_BYTES], path[PATH_BYTES + 16], reason[HANDOUTS_REASON_BYTES];
static struct budget budget;
static struct handouts handouts;

static void setup(void)
{
    (void)snprintf(directory, sizeof directory, "/tmp/check-handouts-XXXXXX");
    ck_assert(mkdtemp(directory) != NULL);
    (void)snprintf(path, sizeof path, "%s/exports", directory);
    budget_init(&budget, 1 << 20);
}

static void teardown(void)
{
    (void)unlink(path);
    ck_assert_int_eq(rmdir(directory), 0);
    ck_assert_uint_eq(budget_total(&budget), 0);
}

static enum fp_status start(const char *boot)
{
    handouts_init(&handouts);
    return handouts_open(&handouts, &budget, directory, boot, reason);
}

/* The server is gone, as if killed: nothing is written at its end. */
static void stop(void)
{
    handouts_fini(&handouts);
}

static void note(const char *name)
{
    ck_assert_int_eq(handouts_note(&handouts, slice_text(name), reason), FP_OK);
}

static bool lost(const char *name)
{
    return handouts_lost(&handouts, slice_text(name), NULL);
}

static void forget(const char *name)
{
    uint64_t number = handouts_drop(&handouts, slice_text(name));
    ck_assert(number != 0);
    ck_assert_int_eq(handouts_forget(&handouts, number), FP_OK);
}

static void write_file(const char *text)
{
    FILE *file = fopen(path, "w");
    ck_assert(file != NULL && fputs(text, file) >= 0 && fclose(file) == 0);
}

static long file_bytes(void)
{
    struct stat about;
    ck_assert_int_eq(stat(path, &about), 0);
    return (long)about.st_size;
}

START_TEST(what_was_handed_out_is_lost_to_the_next_server_until_it_is_forgotten)
{
    char was[HANDOUT_BOOT_BYTES];
    setup();
    ck_assert_int_eq(start("first"), FP_OK);
    note("a");
    note("b");
    note("a");
    ck_assert(!lost("a") && !lost("c"));
    stop();
    ck_assert_int_eq(start("second"), FP_OK);
    ck_assert(lost("a") && lost("b") && !lost("c"));
    ck_assert(handouts_lost(&handouts, slice_text("a"), was));
    ck_assert_str_eq(was, "first");
    forget("a");
    ck_assert(!lost("a"));
    note("a");
    ck_assert(!lost("a"));
    stop();
    ck_assert_int_eq(start("third"), FP_OK);
    ck_assert(handouts_lost(&handouts, slice_text("a"), was));
    ck_assert_str_eq(was, "second");
    ck_assert(handouts_lost(&handouts, slice_text("b"), was));
    ck_assert_str_eq(was, "first");
    forget("a");
    forget("b");
    stop();
    ck_assert_int_eq(start("fourth"), FP_OK);
    ck_assert(!lost("a") && !lost("b"));
    stop();
    teardown();
}
END_TEST

START_TEST(a_line_that_was_cut_short_counts_for_nothing_and_nonsense_stops_the_start)
{
    static const char *const bad[] = {
        "", "farpage exports 2\n", "farpage exports 1\n+ x a b\n", "farpage exports 1\n+ 1 a\n",
        "farpage exports 1\n* 1 a b\n", "farpage exports 1\n- 1 a\n", "farpage exports 1\n\n"};
    setup();
    write_file("farpage exports 1\n- 2\n+ 1 a boot\n+ 2 b boot\n+ 3 c boo");
    ck_assert_int_eq(start("next"), FP_OK);
    ck_assert(lost("a") && lost("b") && !lost("c"));
    note("d");
    stop();
    for (size_t i = 0; i < FP_COUNT_OF(bad); i++) {
        write_file(bad[i]);
        ck_assert_int_eq(start("next"), FP_IO);
        ck_assert(strstr(reason, "not what farpaged writes") != NULL);
        stop();
    }
    teardown();
}
END_TEST

START_TEST(two_servers_do_not_share_a_directory)
{
    struct handouts other;
    setup();
    ck_assert_int_eq(start("one"), FP_OK);
    handouts_init(&other);
    ck_assert_int_eq(handouts_open(&other, &budget, directory, "two", reason), FP_IO);
    ck_assert(strstr(reason, "another server") != NULL);
    handouts_fini(&other);
    stop();
    teardown();
}
END_TEST

START_TEST(nothing_is_kept_where_nothing_is_opened)
{
    handouts_init(&handouts);
    note("a");
    ck_assert(!lost("a") && handouts_drop(&handouts, slice_text("a")) == 0);
    handouts_trim(&handouts);
    handouts_fini(&handouts);
}
END_TEST

static void *come_and_go(void *opaque)
{
    char name[16], why[HANDOUTS_REASON_BYTES];
    (void)snprintf(name, sizeof name, "guest%d", *(const int *)opaque);
    for (int i = 0; i < HANDOUTS_LINES_MAX / THREADS; i++) {
        enum fp_status status = handouts_note(&handouts, slice_text(name), why);
        ck_assert(status == FP_OK || status == FP_BUSY);
        if (status == FP_BUSY) continue;
        (void)handouts_forget(&handouts, handouts_drop(&handouts, slice_text(name)));
        handouts_trim(&handouts);
    }
    return NULL;
}

START_TEST(a_long_file_is_trimmed_while_others_note)
{
    pthread_t threads[THREADS];
    int numbers[THREADS];
    setup();
    ck_assert_int_eq(start("one"), FP_OK);
    note("stays");
    for (int i = 0; i < THREADS; i++) {
        numbers[i] = i;
        ck_assert_int_eq(pthread_create(&threads[i], NULL, come_and_go, &numbers[i]), 0);
    }
    for (int i = 0; i < THREADS; i++) ck_assert_int_eq(pthread_join(threads[i], NULL), 0);
    ck_assert_int_lt(file_bytes(), (HANDOUTS_LINES_MAX + 2L * THREADS) * 32);
    ck_assert(handouts.lines <= HANDOUTS_LINES_MAX + 2 * THREADS + 2);
    note("late");
    stop();
    ck_assert_int_eq(start("two"), FP_OK);
    ck_assert(lost("stays") && lost("late"));
    stop();
    teardown();
}
END_TEST

START_TEST(who_always_adds_cannot_keep_the_file_from_being_trimmed)
{
    setup();
    ck_assert_int_eq(start("one"), FP_OK);
    note("a");
    handouts.writers++; /* one that the disk keeps waiting */
    int i;
    for (i = 0; i < 4 * HANDOUTS_LINES_MAX; i++) {
        if (handouts_note(&handouts, slice_text("b"), reason) != FP_OK) break;
        (void)handouts_forget(&handouts, handouts_drop(&handouts, slice_text("b")));
        handouts_trim(&handouts);
    }
    ck_assert_int_lt(i, 2 * HANDOUTS_LINES_MAX);
    ck_assert(strstr(reason, "ask again") != NULL);
    note("a"); /* is noted */
    handouts.writers--;
    handouts_trim(&handouts);
    note("b");
    stop();
    ck_assert_int_eq(start("two"), FP_OK);
    ck_assert(lost("a") && lost("b"));
    stop();
    teardown();
}
END_TEST

START_TEST(what_a_link_points_to_is_neither_written_nor_believed)
{
    char victim[PATH_BYTES + 16], new_path[PATH_BYTES + 16], text[8] = "";
    setup();
    (void)snprintf(victim, sizeof victim, "%s/victim", directory);
    (void)snprintf(new_path, sizeof new_path, "%s/exports.new", directory);
    FILE *file = fopen(victim, "w");
    ck_assert(file != NULL && fputs("mine", file) >= 0 && fclose(file) == 0);
    ck_assert_int_eq(symlink(victim, new_path), 0);
    ck_assert_int_eq(start("one"), FP_OK);
    stop();
    file = fopen(victim, "r");
    ck_assert(file != NULL && fgets(text, sizeof text, file) != NULL && fclose(file) == 0);
    ck_assert_str_eq(text, "mine");
    ck_assert_int_eq(unlink(path), 0);
    ck_assert_int_eq(symlink(victim, path), 0);
    ck_assert_int_eq(start("two"), FP_IO);
    stop();
    ck_assert_int_eq(unlink(victim), 0);
    teardown();
}
END_TEST

START_TEST(a_directory_that_everybody_may_write_to_is_refused)
{
    setup();
    ck_assert_int_eq(chmod(directory, 0777), 0);
    ck_assert_int_eq(start("one"), FP_IO);
    ck_assert(strstr(reason, "chmod o-w") != NULL);
    stop();
    teardown();
}
END_TEST

int main(void)
{
    return suite_run("handouts",
                     what_was_handed_out_is_lost_to_the_next_server_until_it_is_forgotten,
                     a_line_that_was_cut_short_counts_for_nothing_and_nonsense_stops_the_start,
                     two_servers_do_not_share_a_directory, nothing_is_kept_where_nothing_is_opened,
                     a_long_file_is_trimmed_while_others_note,
                     who_always_adds_cannot_keep_the_file_from_being_trimmed,
                     what_a_link_points_to_is_neither_written_nor_believed,
                     a_directory_that_everybody_may_write_to_is_refused);
}
