/* SPDX-License-Identifier: BSD-3-Clause */
#include "storage/spill/spill_file.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/unit/base/suite.h"
#include "tests/unit/storage/kit.h"
#include "tests/unit/storage/unnamed.h"

enum { EXTENT_BYTES = 64 << 10, OBJECT_BYTES = 1500, EXTENTS = 4 };

static struct budget budget;
static struct spill_file *file;
static char path[64];
static char why[SPILL_WHY_BYTES];

static enum fp_status open_at(const char *where, uint64_t size_bytes)
{
    struct spill_file_options options = {
        .path = where, .size_bytes = size_bytes, .extent_bytes = EXTENT_BYTES, .budget = &budget};
    return spill_file_open(&options, &file, why);
}

static void setup(void)
{
    budget_init(&budget, 64 << 20);
    snprintf(path, sizeof path, "spill-%d", (int)getpid());
    ck_assert_msg(open_at(path, EXTENTS * EXTENT_BYTES) == FP_OK, "%s", why);
}

static void teardown(void)
{
    spill_file_assert(file);
    spill_file_close(&file);
    ck_assert_uint_eq(budget_total(&budget), 0);
}

/* --- records ---------------------------------------------------------------------------------- */

struct written {
    struct spill_extent extent;
    uint64_t place[64];
    unsigned count;
};

static uint8_t *aligned(size_t bytes)
{
    uint8_t *room = aligned_alloc(SPILL_ALIGN_BYTES, bytes);
    ck_assert_ptr_nonnull(room);
    memset(room, 0, bytes);
    return room;
}

/* An extent of `count` objects, each of bytes that its number makes. */
static struct written write_extent(unsigned count)
{
    struct written written = {.count = count};
    uint8_t *room = aligned(EXTENT_BYTES);
    uint32_t at = 0, span = spill_record_span(OBJECT_BYTES);
    ck_assert_int_eq(spill_extent_take(file, SPILL_LAST_TOO, &written.extent), FP_OK);
    for (unsigned i = 0; i < count; i++, at += span) {
        struct rng rng = {i + 1};
        rng_fill(&rng, room + at + SPILL_RECORD_BYTES, OBJECT_BYTES);
        spill_record_write((struct spill_record){.sequence = written.extent.sequence,
                                                 .slot = i,
                                                 .owner = i + 1,
                                                 .size_bytes = OBJECT_BYTES},
                           room + at);
        written.place[i] = spill_extent_place(file, &written.extent, at);
    }
    size_t size = (at + SPILL_ALIGN_BYTES - 1u) / SPILL_ALIGN_BYTES * SPILL_ALIGN_BYTES;
    ck_assert_int_eq(spill_extent_write(file, &written.extent, room, size), FP_OK);
    for (unsigned i = 0; i < count; i++)
        spill_record_born(file, written.place[i], OBJECT_BYTES);
    spill_extent_done(file, &written.extent);
    free(room);
    return written;
}

static void forget(const struct written *written)
{
    for (unsigned i = 0; i < written->count; i++)
        spill_record_died(file, written->place[i], OBJECT_BYTES);
}

static enum fp_status read_one(uint64_t place, unsigned number)
{
    struct spill_read read = {.place = place, .size_bytes = OBJECT_BYTES};
    uint8_t expected[OBJECT_BYTES];
    struct rng rng = {number + 1};
    rng_fill(&rng, expected, sizeof expected);
    spill_read_hold(file, &read);
    enum fp_status status = spill_read_run(file, &read);
    if (status == FP_OK) {
        ck_assert_uint_eq(read.record.slot, number);
        ck_assert_mem_eq(read.bytes, expected, sizeof expected);
    }
    spill_read_end(file, &read);
    return status;
}

/* --- the tests -------------------------------------------------------------------------------- */

START_TEST(what_is_written_comes_back)
{
    setup();
    struct written written = write_extent(40);
    for (unsigned i = 0; i < 40; i++) ck_assert_int_eq(read_one(written.place[i], i), FP_OK);
    struct spill_file_fill fill = spill_file_fill(file);
    ck_assert_uint_eq(fill.record_count, 40);
    ck_assert_uint_eq(fill.used_bytes, EXTENT_BYTES);
    ck_assert_uint_eq(fill.live_bytes, 40 * spill_record_span(OBJECT_BYTES));
    forget(&written);
    ck_assert_uint_eq(spill_file_fill(file).used_bytes, 0);
    teardown();
}
END_TEST

START_TEST(the_file_is_private_and_has_no_name)
{
    setup();
    struct stat stat_of;
    ck_assert_int_ne(access(path, F_OK), 0);
    int fd = reopen_unnamed(path);
    ck_assert_int_eq(fstat(fd, &stat_of), 0);
    ck_assert_uint_eq(stat_of.st_mode & 0777, 0600);
    close(fd);
    teardown();
}
END_TEST

START_TEST(a_full_file_says_so_and_takes_more_when_something_went)
{
    setup();
    struct written written[EXTENTS];
    struct spill_extent extent;
    for (unsigned i = 0; i < EXTENTS; i++) written[i] = write_extent(3);
    ck_assert_int_eq(spill_extent_take(file, SPILL_LAST_TOO, &extent), FP_TOO_BIG);
    forget(&written[1]);
    ck_assert_int_eq(spill_extent_take(file, SPILL_NOT_LAST, &extent), FP_TOO_BIG);
    written[1] = write_extent(5);
    ck_assert_int_eq(spill_extent_take(file, SPILL_LAST_TOO, &extent), FP_TOO_BIG);
    for (unsigned i = 0; i < 5; i++) ck_assert_int_eq(read_one(written[1].place[i], i), FP_OK);
    for (unsigned i = 0; i < EXTENTS; i++) forget(&written[i]);
    teardown();
}
END_TEST

START_TEST(an_extent_is_not_written_again_while_somebody_reads_of_it)
{
    setup();
    struct written first = write_extent(1);
    struct spill_read read = {.place = first.place[0], .size_bytes = OBJECT_BYTES};
    spill_read_hold(file, &read);
    forget(&first);
    struct written others[EXTENTS - 1];
    struct spill_extent extent;
    for (unsigned i = 0; i + 1 < EXTENTS; i++) {
        others[i] = write_extent(1);
        ck_assert_uint_ne(others[i].extent.number, first.extent.number);
    }
    ck_assert_int_eq(spill_extent_take(file, SPILL_LAST_TOO, &extent), FP_TOO_BIG);
    ck_assert_int_eq(spill_read_run(file, &read), FP_OK);
    spill_read_end(file, &read);
    ck_assert_int_eq(spill_extent_take(file, SPILL_LAST_TOO, &extent), FP_OK);
    ck_assert_uint_eq(extent.number, first.extent.number);
    spill_extent_done(file, &extent);
    for (unsigned i = 0; i + 1 < EXTENTS; i++) forget(&others[i]);
    teardown();
}
END_TEST

START_TEST(flipped_bytes_are_found_wherever_they_are)
{
    setup();
    struct written written = write_extent(2);
    off_t begin = (off_t)(written.place[0] * SPILL_UNIT_BYTES);
    int fd = reopen_unnamed(path);
    for (off_t at = 0; at < SPILL_RECORD_BYTES + OBJECT_BYTES; at += at < 48 ? 4 : 97) {
        uint8_t byte;
        ck_assert_int_eq(pread(fd, &byte, 1, begin + at), 1);
        byte ^= 0x10;
        ck_assert_int_eq(pwrite(fd, &byte, 1, begin + at), 1);
        ck_assert_msg(read_one(written.place[0], 0) == FP_CORRUPT, "byte %d", (int)at);
        byte ^= 0x10;
        ck_assert_int_eq(pwrite(fd, &byte, 1, begin + at), 1);
    }
    ck_assert_int_eq(read_one(written.place[0], 0), FP_OK);
    ck_assert_int_eq(read_one(written.place[1], 1), FP_OK);
    ck_assert_uint_gt(spill_file_fill(file).corrupt, 0);
    close(fd);
    forget(&written);
    teardown();
}
END_TEST

START_TEST(bytes_of_an_older_writing_are_not_taken_for_what_should_be_there)
{
    setup();
    struct written old = write_extent(1);
    uint8_t *before = aligned(EXTENT_BYTES);
    int fd = reopen_unnamed(path);
    off_t begin = (off_t)(old.place[0] * SPILL_UNIT_BYTES);
    ck_assert_int_eq(pread(fd, before, SPILL_ALIGN_BYTES, begin), SPILL_ALIGN_BYTES);
    forget(&old);
    struct written now = write_extent(1);
    ck_assert_uint_eq(now.place[0], old.place[0]);
    ck_assert_int_eq(pwrite(fd, before, SPILL_ALIGN_BYTES, begin), SPILL_ALIGN_BYTES);
    ck_assert_int_eq(read_one(now.place[0], 0), FP_CORRUPT);
    close(fd);
    free(before);
    forget(&now);
    teardown();
}
END_TEST

START_TEST(a_truncated_file_is_no_page)
{
    setup();
    struct written written = write_extent(40);
    int fd = reopen_unnamed(path);
    ck_assert_int_eq(ftruncate(fd, (off_t)(written.place[20] * SPILL_UNIT_BYTES)), 0);
    ck_assert_int_eq(read_one(written.place[0], 0), FP_OK);
    ck_assert_int_eq(read_one(written.place[39], 39), FP_CORRUPT);
    close(fd);
    forget(&written);
    teardown();
}
END_TEST

START_TEST(a_sparse_extent_is_found_to_be_emptied)
{
    setup();
    struct written many = write_extent(40), few = write_extent(3);
    struct spill_extent extent;
    uint8_t *room = aligned(EXTENT_BYTES);
    struct spill_record record;
    uint32_t hand = 0, span = spill_record_span(OBJECT_BYTES);
    ck_assert(!spill_extent_sparse(file, &hand, 2 * span, &extent));
    ck_assert(spill_extent_sparse(file, &hand, 3 * span, &extent));
    ck_assert_uint_eq(extent.number, few.extent.number);
    ck_assert_int_eq(spill_extent_read(file, &extent, room), FP_OK);
    ck_assert(spill_record_read(room, OBJECT_BYTES, &record));
    ck_assert_uint_eq(record.sequence, extent.sequence);
    spill_extent_let_go(file, &extent);
    free(room);
    forget(&many);
    forget(&few);
    teardown();
}
END_TEST

static blkcnt_t blocks_of(int fd)
{
    struct stat stat_of;
    ck_assert(fsync(fd) == 0 && fstat(fd, &stat_of) == 0);
    return stat_of.st_blocks;
}

START_TEST(free_extents_beyond_some_go_back_to_the_file_system)
{
    enum { MANY = 60, STAY = 8 };
    struct written written[MANY];
    budget_init(&budget, 64 << 20);
    snprintf(path, sizeof path, "spill-%d", (int)getpid());
    ck_assert_msg(open_at(path, MANY * EXTENT_BYTES) == FP_OK, "%s", why);
    int fd = reopen_unnamed(path);
    for (unsigned i = 0; i < MANY; i++) written[i] = write_extent(40);
    blkcnt_t full = blocks_of(fd);
    ck_assert_uint_eq(spill_file_give_back(file, 100), 0);
    for (unsigned i = STAY; i < MANY; i++) forget(&written[i]);
    ck_assert_uint_eq(spill_file_give_back(file, 5), 5);
    ck_assert_uint_eq(spill_file_give_back(file, 100), MANY - STAY - 2 - SPILL_KEPT_MIN - 5);
    ck_assert_uint_eq(spill_file_give_back(file, 100), 0);
    struct spill_file_fill fill = spill_file_fill(file);
    ck_assert_uint_eq(fill.disk_bytes, (STAY + 2 + SPILL_KEPT_MIN) * EXTENT_BYTES);
    ck_assert_uint_eq(fill.given_back_bytes + fill.disk_bytes, MANY * EXTENT_BYTES);
    ck_assert_int_lt(blocks_of(fd), full / 2);
    spill_file_assert(file);
    for (unsigned i = 0; i < STAY; i++)
        ck_assert_int_eq(read_one(written[i].place[39], 39), FP_OK);
    for (unsigned i = STAY; i < MANY; i++) written[i] = write_extent(40);
    ck_assert_uint_eq(spill_file_fill(file).disk_bytes, MANY * EXTENT_BYTES);
    for (unsigned i = 0; i < MANY; i++) {
        ck_assert_int_eq(read_one(written[i].place[7], 7), FP_OK);
        forget(&written[i]);
    }
    close(fd);
    teardown();
}
END_TEST

START_TEST(a_table_of_extents_is_charged_as_it_is_used)
{
    setup();
    struct spill_file *large;
    struct spill_file_options options = {.path = ".",
                                         .size_bytes = 1ull << 39,
                                         .extent_bytes = EXTENT_BYTES,
                                         .budget = &budget};
    ck_assert_msg(spill_file_open(&options, &large, why) == FP_OK, "%s", why);
    ck_assert_uint_eq(budget_held(&budget, BUDGET_SPILL), 0);
    struct spill_extent extent;
    ck_assert_int_eq(spill_extent_take(large, SPILL_NOT_LAST, &extent), FP_OK);
    ck_assert_uint_eq(budget_held(&budget, BUDGET_SPILL), 4096);
    spill_extent_done(large, &extent);
    spill_file_close(&large);
    teardown();
}
END_TEST

static void setup_path(void)
{
    budget_init(&budget, 64 << 20);
    snprintf(path, sizeof path, "spill-%d", (int)getpid());
}

/* --- the path --------------------------------------------------------------------------------- */

static void make(const char *bytes)
{
    FILE *other = fopen(path, "w");
    ck_assert_ptr_nonnull(other);
    fputs(bytes, other);
    fclose(other);
}

static void refuses(const char *where, uint64_t size, const char *reason)
{
    ck_assert_int_eq(open_at(where, size), FP_INVALID);
    ck_assert_msg(strstr(why, reason) != NULL, "%s", why);
    ck_assert_msg(strstr(why, where) == why, "%s", why);
}

START_TEST(a_file_of_somebody_else_is_left_alone)
{
    setup_path();
    char text[16] = "";
    make("dear diary");
    refuses(path, 1 << 20, "no spill file");
    ck_assert(!spill_file_check(path, 1 << 20, why));
    FILE *other = fopen(path, "r");
    ck_assert_ptr_nonnull(fgets(text, sizeof text, other));
    fclose(other);
    ck_assert_str_eq(text, "dear diary");
    unlink(path);
}
END_TEST

START_TEST(a_link_is_not_followed_and_an_empty_file_is_ours)
{
    setup_path();
    char link[80];
    make("");
    snprintf(link, sizeof link, "%s-link", path);
    ck_assert_int_eq(symlink(path, link), 0);
    refuses(link, 1 << 20, "symbolic link");
    ck_assert(!spill_file_check(link, 1 << 20, why));
    unlink(link);
    ck_assert(spill_file_check(path, 1 << 20, why));
    ck_assert_int_eq(open_at(path, 1 << 20), FP_OK);
    spill_file_close(&file);
    ck_assert_int_ne(access(path, F_OK), 0);
}
END_TEST

START_TEST(what_cannot_be_is_said_before_anything_is_made)
{
    setup_path();
    refuses(path, EXTENT_BYTES, "too small");
    ck_assert_int_eq(open_at("no-such-directory/spill", 1 << 20), FP_IO);
    ck_assert(!spill_file_check("no-such-directory/spill", 1 << 20, why));
    ck_assert_msg(strstr(why, "No such file") != NULL, "%s", why);
    ck_assert(!spill_file_check(path, 0, why));
    ck_assert(spill_file_check(path, 1 << 20, why));
    ck_assert_int_ne(access(path, F_OK), 0);
    ck_assert(!spill_file_check("/dev/null", 1 << 20, why));
}
END_TEST

int main(void)
{
    return suite_run("spill_file", what_is_written_comes_back,
                     the_file_is_private_and_has_no_name,
                     a_full_file_says_so_and_takes_more_when_something_went,
                     an_extent_is_not_written_again_while_somebody_reads_of_it,
                     flipped_bytes_are_found_wherever_they_are,
                     bytes_of_an_older_writing_are_not_taken_for_what_should_be_there,
                     a_truncated_file_is_no_page,
                     a_sparse_extent_is_found_to_be_emptied,
                     free_extents_beyond_some_go_back_to_the_file_system,
                     a_table_of_extents_is_charged_as_it_is_used,
                     a_file_of_somebody_else_is_left_alone,
                     a_link_is_not_followed_and_an_empty_file_is_ours,
                     what_cannot_be_is_said_before_anything_is_made);
}
