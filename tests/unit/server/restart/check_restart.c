/* SPDX-License-Identifier: BSD-3-Clause */
#include "server/restart/restart.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/unit/base/suite.h"
#include "tests/unit/storage/bench.h"

enum { PATH_BYTES = 128, PAGES = 1200 };

static char directory[PATH_BYTES], path[PATH_BYTES + 16], reason[RESTART_REASON_BYTES];
static const uint8_t boot_id[SNAPSHOT_BOOT_ID_BYTES] = {1, 2, 3};
static uint8_t *sample;

/* What go_on does at its n-th call. */
struct patience {
    int calls;
    bool kills;
};

static bool go_on(void *context, uint64_t done, uint64_t all)
{
    struct patience *patience = context;
    ck_assert(done <= all);
    if (patience->calls-- > 0) return true;
    if (patience->kills) (void)raise(SIGKILL);
    return false;
}

static void setup(struct bench *bench)
{
    (void)snprintf(directory, sizeof directory, "/tmp/check-restart-XXXXXX");
    ck_assert(mkdtemp(directory) != NULL);
    (void)snprintf(path, sizeof path, "%s/kept", directory);
    bench_setup(bench, (struct store_options){.page_bytes = 0}, PAGES);
    for (unsigned i = 0; i < PAGES; i++) {
        const uint8_t *page = sample + (size_t)(i % KIT_SAMPLE_PAGES) * KIT_PAGE_BYTES;
        ck_assert_int_eq(bench_store(bench, i, page), FP_OK);
    }
}

static void teardown(struct bench *bench)
{
    bench_teardown(bench);
    char temporary[sizeof path + RESTART_TEMPORARY_BYTES];
    (void)snprintf(temporary, sizeof temporary, "%s" RESTART_TEMPORARY, path);
    (void)unlink(path);
    (void)unlink(temporary);
    ck_assert_int_eq(rmdir(directory), 0);
}

static enum fp_status write_it(struct bench *bench, struct patience *patience)
{
    struct restart_written written;
    struct restart_writing writing = {.path = path, .boot_id = boot_id, .release = "test",
                                      .store = bench->store, .scratch = bench->scratch,
                                      .go_on = patience != NULL ? go_on : NULL,
                                      .context = patience};
    return restart_write(&writing, &written, reason);
}

static enum fp_status read_it(struct restart *restart, struct patience *patience)
{
    struct store *store;
    struct store_scratch *scratch;
    struct store_options options = {.memory_limit_bytes = 256ull * BENCH_MIB,
                                    .page_bytes = KIT_PAGE_BYTES, .allocator = "blocks",
                                    .compressor = {"lz4", 0, NULL}};
    ck_assert_int_eq(store_create(&options, &store), FP_OK);
    ck_assert_int_eq(store_scratch_create(store, &scratch), FP_OK);
    struct restart_reading reading = {.path = path, .same = true, .store = store,
                                      .scratch = scratch,
                                      .go_on = patience != NULL ? go_on : NULL,
                                      .context = patience};
    enum fp_status status = restart_read(&reading, restart, reason);
    restart_fini(restart);
    store_scratch_destroy(&scratch);
    store_destroy(&store);
    return status;
}

static bool is_there(const char *name)
{
    return access(name, F_OK) == 0;
}

START_TEST(what_is_written_is_taken_up_once)
{
    struct bench bench;
    struct restart restart;
    setup(&bench);
    ck_assert_int_eq(restart_check(path, reason), FP_OK);
    ck_assert_int_eq(read_it(&restart, NULL), FP_ABSENT);
    ck_assert_int_eq(write_it(&bench, NULL), FP_OK);
    ck_assert_int_eq(read_it(&restart, NULL), FP_OK);
    ck_assert(restart.taken && restart.restored.pages == PAGES);
    ck_assert_mem_eq(restart.boot_id, boot_id, sizeof boot_id);
    ck_assert_int_eq(restart_consume(path, reason), FP_OK);
    ck_assert_int_eq(restart_consume(path, reason), FP_IO);
    ck_assert_int_eq(read_it(&restart, NULL), FP_ABSENT);
    teardown(&bench);
}
END_TEST

START_TEST(a_signal_leaves_nothing_while_it_is_written_and_all_while_it_is_read)
{
    struct bench bench;
    struct restart restart;
    struct patience patience = {.calls = 3};
    setup(&bench);
    ck_assert_int_eq(write_it(&bench, &patience), FP_BUSY);
    ck_assert_int_eq(rmdir(directory), 0); /* it is empty */
    ck_assert_int_eq(mkdir(directory, 0700), 0);
    ck_assert_int_eq(write_it(&bench, NULL), FP_OK);
    patience.calls = 0;
    ck_assert_int_eq(read_it(&restart, &patience), FP_BUSY);
    ck_assert(!restart.taken);
    ck_assert_int_eq(read_it(&restart, NULL), FP_OK);
    teardown(&bench);
}
END_TEST

/* kill -9 at any step: the file that was there before is there still, and good. */
START_TEST(a_kill_while_it_is_written_leaves_the_old_one)
{
    struct bench bench;
    struct restart restart;
    int status;
    setup(&bench);
    ck_assert_int_eq(write_it(&bench, NULL), FP_OK);
    for (int calls = 0; calls < 6; calls += 2) {
        pid_t child = fork();
        ck_assert(child >= 0);
        if (child == 0) {
            struct patience patience = {.calls = calls, .kills = true};
            (void)!write_it(&bench, &patience);
            _exit(0);
        }
        ck_assert(waitpid(child, &status, 0) == child && WIFSIGNALED(status));
        ck_assert(is_there(path));
        ck_assert_int_eq(read_it(&restart, NULL), FP_OK);
    }
    ck_assert_int_eq(write_it(&bench, NULL), FP_OK); /* over what was left */
    ck_assert_int_eq(read_it(&restart, NULL), FP_OK);
    teardown(&bench);
}
END_TEST

START_TEST(a_file_that_is_cut_short_anywhere_is_refused)
{
    struct bench bench;
    struct restart restart;
    struct stat about;
    setup(&bench);
    ck_assert_int_eq(write_it(&bench, NULL), FP_OK);
    ck_assert_int_eq(stat(path, &about), 0);
    for (off_t size = about.st_size - 1; size > 0; size = size * 2 / 3) {
        ck_assert_int_eq(truncate(path, size), 0);
        ck_assert_int_ne(read_it(&restart, NULL), FP_OK);
        ck_assert_msg(strstr(reason, path) == reason && strstr(reason, "at byte ") != NULL, "%s",
                      reason);
        ck_assert(!restart.taken);
    }
    teardown(&bench);
}
END_TEST

START_TEST(a_directory_that_cannot_be_written_to_is_told_beforehand)
{
    (void)snprintf(path, sizeof path, "/nowhere/kept");
    ck_assert_int_eq(restart_check(path, reason), FP_IO);
    ck_assert(strstr(reason, "/nowhere/kept: its directory: No such file") == reason);
}
END_TEST

int main(void)
{
    sample = kit_sample();
    int failed = suite_run("restart", what_is_written_is_taken_up_once,
                           a_signal_leaves_nothing_while_it_is_written_and_all_while_it_is_read,
                           a_kill_while_it_is_written_leaves_the_old_one,
                           a_file_that_is_cut_short_anywhere_is_refused,
                           a_directory_that_cannot_be_written_to_is_told_beforehand);
    free(sample);
    return failed;
}
