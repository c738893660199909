/* SPDX-License-Identifier: BSD-3-Clause
 * Each call of farpage.h against a server that behaves. */
#include <check.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/include/farpage.h"
#include "tests/unit/client/fake_server.h"

static struct fake_server *server;
static struct farpage *client;

static void start(void)
{
    server = fake_server_create(&(struct fake_plan){0});
    struct farpage_options options = {.server = fake_server_address(server), .timeout_ms = 5000};
    ck_assert_int_eq(farpage_connect(&options, &client), FARPAGE_OK);
}

static void stop(void)
{
    farpage_disconnect(&client);
    ck_assert_ptr_null(client);
    fake_server_destroy(&server);
}

static struct farpage_area *open_area(const char *name, uint64_t slots)
{
    struct farpage_area *area;
    enum farpage_status status =
        farpage_area_open(client, name, &(struct farpage_area_options){slots}, &area);
    ck_assert_msg(status == FARPAGE_OK, "%s", farpage_error(client));
    return area;
}

START_TEST(a_page_comes_back_byte_for_byte)
{
    struct farpage_area *area = open_area("swap", 16);
    uint8_t page[4096], back[4096];
    for (size_t i = 0; i < sizeof page; i++) page[i] = (uint8_t)(i * 7);
    ck_assert_int_eq(farpage_store(area, 7, page), FARPAGE_OK);
    ck_assert_int_eq(farpage_load(area, 7, back), FARPAGE_OK);
    ck_assert_mem_eq(page, back, sizeof page);
}
END_TEST

START_TEST(the_server_tells_who_it_is)
{
    const struct farpage_server_info *info = farpage_server(client);
    ck_assert_uint_eq(info->version, 1);
    ck_assert_uint_eq(info->page_bytes, 4096);
    ck_assert_mem_eq(info->boot_id, "0123456789abcde", 16);
    uint64_t nanoseconds = 0;
    ck_assert_int_eq(farpage_ping(client, &nanoseconds), FARPAGE_OK);
    ck_assert_uint_gt(nanoseconds, 0);
    ck_assert_int_eq(farpage_ping(client, NULL), FARPAGE_OK);
}
END_TEST

START_TEST(an_absent_slot_leaves_the_page_untouched)
{
    struct farpage_area *area = open_area("swap", 16);
    uint8_t page[4096];
    memset(page, 0x5a, sizeof page);
    ck_assert_int_eq(farpage_load(area, 3, page), FARPAGE_ABSENT);
    ck_assert_str_eq(farpage_area_error(area), "load from slot 3 of area 'swap': nothing is stored "
                                            "there");
    for (size_t i = 0; i < sizeof page; i++) ck_assert_uint_eq(page[i], 0x5a);
}
END_TEST

START_TEST(slots_beyond_the_end_are_refused_without_asking)
{
    struct farpage_area *area = open_area("swap", 16);
    uint8_t page[4096] = {0};
    ck_assert_int_eq(farpage_store(area, 16, page), FARPAGE_RANGE);
    ck_assert_str_eq(farpage_area_error(area),
                     "store to slot 16 of area 'swap': the area ends after slot 15");
    ck_assert_int_eq(farpage_load(area, UINT64_MAX, page), FARPAGE_RANGE);
    ck_assert_int_eq(farpage_invalidate(area, 1, 16), FARPAGE_RANGE);
    ck_assert_int_eq(farpage_invalidate(area, 2, UINT64_MAX), FARPAGE_RANGE);
    ck_assert_uint_eq(fake_server_invalidations(server), 0);
}
END_TEST

START_TEST(invalidated_pages_are_gone)
{
    struct farpage_area *area = open_area("swap", 16);
    uint8_t page[4096] = {1};
    for (uint64_t slot = 0; slot < 16; slot++) {
        ck_assert_int_eq(farpage_store(area, slot, page), FARPAGE_OK);
    }
    ck_assert_int_eq(farpage_invalidate(area, 4, 3), FARPAGE_OK);
    ck_assert_int_eq(farpage_invalidate(area, 4, 0), FARPAGE_OK);
    for (uint64_t slot = 0; slot < 16; slot++) {
        bool gone = slot >= 4 && slot < 7;
        ck_assert_int_eq(farpage_load(area, slot, page), gone ? FARPAGE_ABSENT : FARPAGE_OK);
    }
    ck_assert_uint_eq(fake_server_invalidations(server), 1);
}
END_TEST

START_TEST(a_range_too_long_for_one_request_is_split)
{
    uint64_t slots = 1ull << 34;
    struct farpage_area *area = open_area("large", slots);
    ck_assert_uint_eq(farpage_area_slots(area), slots);
    ck_assert_int_eq(farpage_invalidate(area, 0, slots), FARPAGE_OK);
    ck_assert_uint_eq(fake_server_invalidations(server), 1);
    ck_assert_int_eq(farpage_invalidate(area, 0, slots - 1), FARPAGE_OK);
    ck_assert_uint_eq(fake_server_invalidations(server), 1 + 5);
}
END_TEST

START_TEST(areas_are_opened_by_name)
{
    struct farpage_area *area = open_area("swap", 16);
    ck_assert_uint_eq(farpage_area_slots(area), 16);
    ck_assert_uint_eq(farpage_area_generation(area), 77);
    ck_assert_int_eq(farpage_area_open(client, "swap", NULL, &area), FARPAGE_OK);
    ck_assert_uint_eq(farpage_area_slots(area), 16);
    ck_assert_int_eq(farpage_area_open(client, "none", NULL, &area), FARPAGE_NO_AREA);
    ck_assert_ptr_null(area);
    ck_assert_str_eq(farpage_error(client), "opening area 'none': there is no such area");
    struct farpage_area_options other = {.slots = 17};
    ck_assert_int_eq(farpage_area_open(client, "swap", &other, &area), FARPAGE_BAD_AREA);
    ck_assert_str_eq(farpage_error(client), "area 'swap' exists with 16 slots, not 17");
    ck_assert_int_eq(farpage_area_open(client, "a b", NULL, &area), FARPAGE_BAD_AREA);
    ck_assert_int_eq(farpage_area_open(client, "", NULL, &area), FARPAGE_BAD_AREA);
    other.slots = (1ull << 34) + 1;
    ck_assert_int_eq(farpage_area_open(client, "huge", &other, &area), FARPAGE_BAD_AREA);
}
END_TEST

static void gather(void *context, const char *name, const char *value)
{
    char *text = context;
    size_t used = strlen(text);
    snprintf(text + used, 256 - used, "%s=%s;", name, value);
}

START_TEST(statistics_come_line_by_line)
{
    char text[256] = "";
    ck_assert_int_eq(farpage_stats(client, NULL, gather, text), FARPAGE_OK);
    ck_assert_str_eq(text, "pid=7;farpage_resident_bytes=1048576;name=with blanks;");
    text[0] = '\0';
    ck_assert_int_eq(farpage_stats(client, "areas", gather, text), FARPAGE_OK);
    ck_assert_str_eq(text, "swap:slots=16;swap:stored=2;");
    text[0] = '\0';
    ck_assert_int_eq(farpage_stats(client, "nothing", gather, text), FARPAGE_OK);
    ck_assert_str_eq(text, "");
    ck_assert_int_eq(farpage_stats(client, "missing", gather, text), FARPAGE_REFUSED);
    ck_assert_str_eq(farpage_error(client), "statistics: the server has no statistics of that "
                                            "name");
}
END_TEST

START_TEST(a_compaction_is_started_or_asked_about)
{
    char text[256] = "";
    ck_assert_int_eq(farpage_compact(client, 1, gather, text), FARPAGE_OK);
    ck_assert_str_eq(text, "state=running;moved_objects=0;");
    text[0] = '\0';
    ck_assert_int_eq(farpage_compact(client, 0, gather, text), FARPAGE_OK);
    ck_assert_str_eq(text, "state=idle;moved_objects=5;");
}
END_TEST

static void gather_line(void *context, const char *line)
{
    char *text = context;
    size_t used = strlen(text);
    snprintf(text + used, 256 - used, "%s;", line);
}

START_TEST(a_command_is_answered_in_lines_or_refused_in_the_servers_words)
{
    char text[256] = "", long_line[2050];
    ck_assert_int_eq(farpage_command(client, "compressor set zstd:3", gather_line, text),
                     FARPAGE_OK);
    ck_assert_str_eq(text, "OK zstd:3, was lz4:1;");
    text[0] = '\0';
    ck_assert_int_eq(farpage_command(client, "two lines", gather_line, text), FARPAGE_OK);
    ck_assert_str_eq(text, "one 1;two 2;");
    ck_assert_int_eq(farpage_command(client, "wrong", gather_line, text), FARPAGE_REFUSED);
    ck_assert_str_eq(farpage_error(client), "wrong is not?[31m allowed");
    ck_assert_int_eq(farpage_command(client, "unknown", NULL, NULL), FARPAGE_REFUSED);
    ck_assert_str_eq(farpage_error(client), "command: the server knows no such command");
    memset(long_line, 'x', sizeof long_line);
    long_line[2049] = '\0';
    ck_assert_int_eq(farpage_command(client, long_line, NULL, NULL), FARPAGE_INVALID);
    ck_assert_int_eq(farpage_command(client, "", NULL, NULL), FARPAGE_INVALID);
    ck_assert_int_eq(farpage_command(client, "a\nb", NULL, NULL), FARPAGE_INVALID);
    ck_assert_int_eq(farpage_command(client, NULL, NULL, NULL), FARPAGE_INVALID);
    ck_assert_int_eq(farpage_ping(client, NULL), FARPAGE_OK);
}
END_TEST

START_TEST(arguments_without_sense_are_refused)
{
    struct farpage_area *area;
    ck_assert_int_eq(farpage_connect(NULL, NULL), FARPAGE_INVALID);
    ck_assert_int_eq(farpage_ping(NULL, NULL), FARPAGE_INVALID);
    ck_assert_int_eq(farpage_stats(client, "", NULL, NULL), FARPAGE_INVALID);
    ck_assert_int_eq(farpage_compact(client, 1, NULL, NULL), FARPAGE_INVALID);
    ck_assert_int_eq(farpage_compact(NULL, 1, gather, NULL), FARPAGE_INVALID);
    ck_assert_int_eq(farpage_area_open(client, NULL, NULL, &area), FARPAGE_INVALID);
    ck_assert_int_eq(farpage_store(NULL, 0, ""), FARPAGE_INVALID);
    area = open_area("swap", 16);
    ck_assert_int_eq(farpage_load(area, 0, NULL), FARPAGE_INVALID);
    ck_assert_int_eq(farpage_batch(area, NULL, 1, 0), FARPAGE_INVALID);
    ck_assert_int_eq(farpage_batch(area, NULL, 0, 0), FARPAGE_OK);
    ck_assert_str_eq(farpage_error(NULL), "out of memory");
    ck_assert_str_eq(farpage_status_text(FARPAGE_ABSENT), "absent");
    ck_assert_str_eq(farpage_status_text((enum farpage_status)99), "unknown status");
    farpage_disconnect(NULL);
}
END_TEST

START_TEST(nobody_there_is_unreachable)
{
    static const struct {
        const char *address;
        enum farpage_status status;
    } rows[] = {
        {"unix:/nonexistent/socket", FARPAGE_UNREACHABLE},
        {"127.0.0.1:1", FARPAGE_UNREACHABLE},
        {"nowhere", FARPAGE_INVALID},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct farpage *none;
        struct farpage_options options = {.server = rows[i].address, .timeout_ms = 1000};
        ck_assert_int_eq(farpage_connect(&options, &none), rows[i].status);
        ck_assert_ptr_nonnull(none);
        ck_assert_str_ne(farpage_error(none), "");
        ck_assert_int_eq(farpage_ping(none, NULL), FARPAGE_DISCONNECTED);
        farpage_disconnect(&none);
        ck_assert_ptr_null(none);
        farpage_disconnect(&none);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("calls");
    TCase *tcase = tcase_create("calls");
    tcase_add_checked_fixture(tcase, start, stop);
    tcase_add_test(tcase, a_page_comes_back_byte_for_byte);
    tcase_add_test(tcase, the_server_tells_who_it_is);
    tcase_add_test(tcase, an_absent_slot_leaves_the_page_untouched);
    tcase_add_test(tcase, slots_beyond_the_end_are_refused_without_asking);
    tcase_add_test(tcase, invalidated_pages_are_gone);
    tcase_add_test(tcase, a_range_too_long_for_one_request_is_split);
    tcase_add_test(tcase, areas_are_opened_by_name);
    tcase_add_test(tcase, statistics_come_line_by_line);
    tcase_add_test(tcase, a_compaction_is_started_or_asked_about);
    tcase_add_test(tcase, a_command_is_answered_in_lines_or_refused_in_the_servers_words);
    tcase_add_test(tcase, arguments_without_sense_are_refused);
    tcase_add_test(tcase, nobody_there_is_unreachable);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
