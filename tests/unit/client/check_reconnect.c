/* SPDX-License-Identifier: BSD-3-Clause
 * A connection that ends is made again and nobody notices, unless it is another area there; what is
 * late is answered, and nothing of the caller's is touched afterwards. */
#include <check.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "client/backoff.h"
#include "client/include/farpage.h"
#include "protocol/frame.h"
#include "tests/unit/client/fake_server.h"

enum { SLOTS = 64, PAGE = 4096 };

static struct fake_server *server;
static struct farpage *client;
static struct farpage_area *area;

static void start_with(const struct fake_plan *plan, uint32_t timeout_ms, uint32_t flags)
{
    server = fake_server_create(plan);
    struct farpage_options options = {
        .server = fake_server_address(server), .timeout_ms = timeout_ms, .flags = flags};
    ck_assert_int_eq(farpage_connect(&options, &client), FARPAGE_OK);
    struct farpage_area_options wish = {.slots = SLOTS, .page_bytes = PAGE};
    ck_assert_int_eq(farpage_area_open(client, "swap", &wish, &area), FARPAGE_OK);
}

static void start(const struct fake_plan *plan)
{
    start_with(plan, 5000, 0);
}

static void stop(void)
{
    farpage_disconnect(&client);
    fake_server_destroy(&server);
}

static uint64_t connections(void)
{
    struct farpage_area_info info;
    farpage_area_info(area, &info);
    return info.connections;
}

static void store(uint64_t slot, uint8_t letter)
{
    uint8_t page[PAGE];
    memset(page, letter, sizeof page);
    ck_assert_msg(farpage_store(area, slot, page) == FARPAGE_OK, "%s", farpage_area_error(area));
}

static void expect(uint64_t slot, uint8_t letter)
{
    uint8_t page[PAGE] = {0};
    ck_assert_msg(farpage_load(area, slot, page) == FARPAGE_OK, "%s", farpage_area_error(area));
    for (size_t i = 0; i < sizeof page; i++) ck_assert_uint_eq(page[i], letter);
}

START_TEST(a_cut_between_two_calls_is_not_noticed)
{
    start(&(struct fake_plan){0});
    store(3, 'a');
    for (uint64_t i = 2; i < 5; i++) {
        fake_server_cut(server);
        expect(3, 'a');
        ck_assert_uint_eq(connections(), i);
    }
    uint64_t nanoseconds;
    ck_assert_int_eq(farpage_ping(client, &nanoseconds), FARPAGE_OK);
    stop();
}
END_TEST

/* The 20th store's reply is cut off after some bytes; all those on the way are stored again. */
START_TEST(what_was_on_the_way_is_sent_again)
{
    static const size_t cuts[] = {0, 1, 39};
    struct fake_plan plan = {
        .mischief = FAKE_CUT, .to = FRAME_STORE, .after = 20, .times = 1, .amount = cuts[_i]};
    start(&plan);
    static uint8_t pages[SLOTS][PAGE];
    struct farpage_op ops[SLOTS];
    for (uint64_t i = 0; i < SLOTS; i++) {
        memset(pages[i], (int)i, PAGE);
        ops[i] = (struct farpage_op){.kind = FARPAGE_OP_STORE, .slot = i, .page = pages[i]};
    }
    ck_assert_int_eq(farpage_batch(area, ops, SLOTS, 16), FARPAGE_OK);
    for (uint64_t i = 0; i < SLOTS; i++) {
        ck_assert_int_eq(ops[i].status, FARPAGE_OK);
        expect(i, (uint8_t)i);
    }
    ck_assert_uint_eq(connections(), 2);
    stop();
}
END_TEST

/* Cut in the middle of the page, it is asked for once more. */
START_TEST(what_was_asked_for_is_asked_for_again)
{
    start(&(struct fake_plan){
        .mischief = FAKE_CUT, .to = FRAME_LOAD, .times = 3, .amount = 40 + 1000});
    store(3, 'b');
    expect(3, 'b');
    ck_assert_uint_eq(connections(), 4);
    stop();
}
END_TEST

START_TEST(a_server_that_was_started_anew_is_lost_and_never_absent)
{
    start(&(struct fake_plan){0});
    store(3, 'c');
    uint8_t page[PAGE] = {7};
    fake_server_reboot(server);
    for (int i = 0; i < 3; i++) {
        ck_assert_int_eq(farpage_load(area, 3, page), FARPAGE_LOST);
        ck_assert_int_eq(farpage_load(area, 4, page), FARPAGE_LOST);
        ck_assert_int_eq(farpage_store(area, 4, page), FARPAGE_LOST);
        ck_assert_int_eq(farpage_invalidate(area, 4, 1), FARPAGE_LOST);
    }
    ck_assert_ptr_nonnull(strstr(farpage_area_error(area), "is lost"));
    ck_assert_uint_eq(page[0], 7);
    ck_assert_int_eq(farpage_area_renew(area), FARPAGE_OK);
    ck_assert_int_eq(farpage_load(area, 3, page), FARPAGE_ABSENT);
    store(3, 'd');
    expect(3, 'd');
    ck_assert_int_eq(farpage_area_renew(area), FARPAGE_OK); /* nothing to do */
    expect(3, 'd');
    stop();
}
END_TEST

/* The same boot, but another generation: somebody deleted it and made another of that name. */
START_TEST(an_area_that_was_made_anew_is_lost)
{
    struct frame_opened other = {.slots = SLOTS, .page_bytes = PAGE, .generation = 78};
    uint8_t body[FRAME_OPENED_BYTES];
    frame_opened_encode(&other, body);
    start(&(struct fake_plan){.mischief = FAKE_BODY,
                              .to = FRAME_OPEN,
                              .after = 1,
                              .amount = sizeof body,
                              .body = body});
    store(3, 'e');
    fake_server_cut(server);
    uint8_t page[PAGE];
    ck_assert_int_eq(farpage_load(area, 3, page), FARPAGE_LOST);
    ck_assert_int_eq(farpage_area_renew(area), FARPAGE_OK);
    ck_assert_uint_eq(farpage_area_generation(area), 78);
    stop();
}
END_TEST

static const uint16_t losses[] = {FRAME_LOST, FRAME_NO_AREA};

START_TEST(an_area_that_is_gone_is_lost)
{
    start(&(struct fake_plan){
        .mischief = FAKE_STATUS, .to = FRAME_OPEN, .after = 1, .times = 1, .amount = losses[_i]});
    store(3, 'e');
    fake_server_cut(server);
    uint8_t page[PAGE];
    ck_assert_int_eq(farpage_load(area, 3, page), FARPAGE_LOST);
    ck_assert_int_eq(farpage_load(area, 3, page), FARPAGE_LOST);
    ck_assert_int_eq(farpage_area_renew(area), FARPAGE_OK);
    stop();
}
END_TEST

START_TEST(a_lost_area_of_an_open_connection_stays_lost)
{
    start(&(struct fake_plan){
        .mischief = FAKE_STATUS, .to = FRAME_LOAD, .times = 1, .amount = FRAME_LOST});
    store(3, 'f');
    uint8_t page[PAGE];
    ck_assert_int_eq(farpage_load(area, 3, page), FARPAGE_LOST);
    ck_assert_int_eq(farpage_load(area, 3, page), FARPAGE_LOST);
    stop();
}
END_TEST

START_TEST(without_reconnecting_a_cut_is_for_good)
{
    start_with(&(struct fake_plan){0}, 5000, FARPAGE_NO_RECONNECT);
    store(3, 'g');
    fake_server_cut(server);
    uint8_t page[PAGE];
    ck_assert_int_eq(farpage_load(area, 3, page), FARPAGE_DISCONNECTED);
    ck_assert_int_eq(farpage_load(area, 3, page), FARPAGE_DISCONNECTED);
    ck_assert_int_eq(farpage_ping(client, NULL), FARPAGE_DISCONNECTED);
    stop();
}
END_TEST

/* What may have been carried out, and must not be twice. */
START_TEST(a_command_is_never_sent_twice)
{
    start(&(struct fake_plan){.mischief = FAKE_CUT, .to = FRAME_COMMAND, .times = 1});
    ck_assert_int_eq(farpage_command(client, "two lines", NULL, NULL), FARPAGE_DISCONNECTED);
    ck_assert_int_eq(farpage_command(client, "two lines", NULL, NULL), FARPAGE_OK);
    stop();
}
END_TEST

START_TEST(a_server_that_is_gone_costs_no_more_than_the_deadline)
{
    start_with(&(struct fake_plan){0}, 300, 0);
    store(3, 'h');
    fake_server_destroy(&server);
    uint8_t page[PAGE];
    uint64_t before = clock_monotonic_ns();
    ck_assert_int_eq(farpage_load(area, 3, page), FARPAGE_TIMEOUT);
    uint64_t took_ms = (clock_monotonic_ns() - before) / 1000000;
    ck_assert_uint_ge(took_ms, 299);
    ck_assert_uint_lt(took_ms, 2000);
    ck_assert_ptr_nonnull(strstr(farpage_area_error(area), "within 300 ms: cannot connect to "));
    farpage_disconnect(&client);
}
END_TEST

/* However long it was away: each call's time holds an attempt. */
START_TEST(a_server_that_is_back_is_found_by_the_first_call)
{
    server = fake_server_create(&(struct fake_plan){0});
    struct farpage_options options = {.server = fake_server_address(server),
                                      .timeout_ms = 300,
                                      .backoff_ms_max = 60000};
    ck_assert_int_eq(farpage_connect(&options, &client), FARPAGE_OK);
    struct farpage_area_options wish = {.slots = SLOTS, .page_bytes = PAGE};
    ck_assert_int_eq(farpage_area_open(client, "swap", &wish, &area), FARPAGE_OK);
    store(3, 'm');
    const char *path = fake_server_address(server) + strlen("unix:");
    char away[256];
    snprintf(away, sizeof away, "%s.away", path);
    ck_assert_int_eq(rename(path, away), 0);
    fake_server_cut(server);
    uint8_t page[PAGE];
    for (int i = 0; i < 10; i++)
        ck_assert_int_eq(farpage_load(area, 3, page), FARPAGE_TIMEOUT);
    ck_assert_int_eq(rename(away, path), 0);
    expect(3, 'm');
    stop();
}
END_TEST

/* Nonsense is answered at once; the next call finds a server that behaves. */
START_TEST(nonsense_is_not_repeated_and_not_for_ever)
{
    start(&(struct fake_plan){.mischief = FAKE_WRONG_TAG, .to = FRAME_LOAD, .times = 1});
    store(3, 'i');
    uint8_t page[PAGE];
    ck_assert_int_eq(farpage_load(area, 3, page), FARPAGE_PROTOCOL);
    expect(3, 'i');
    ck_assert_uint_eq(connections(), 2);
    stop();
}
END_TEST

/* --- deadlines ------------------------------------------------------------------------------ */

START_TEST(a_late_reply_is_dropped_and_the_connection_goes_on)
{
    start_with(&(struct fake_plan){
                   .mischief = FAKE_LATE, .to = FRAME_LOAD, .times = 1, .amount = 800},
               500, 0);
    store(3, 'j');
    store(4, 'k');
    uint8_t page[PAGE] = {7};
    ck_assert_int_eq(farpage_load(area, 3, page), FARPAGE_TIMEOUT);
    ck_assert_str_eq(farpage_area_error(area), "the server did not answer within 500 ms");
    for (int i = 0; i < 120; i++) {
        expect(4, 'k');
        (void)poll(NULL, 0, 5);
    }
    ck_assert_uint_eq(page[0], 7); /* it came, and was not written */
    ck_assert_uint_eq(connections(), 1);
    expect(3, 'j');
    stop();
}
END_TEST

/* A store that is late while half of it is on the wire: its page may be reused at once, and what
 * follows is framed right. */
START_TEST(a_late_store_leaves_its_page_alone)
{
    struct fake_plan plan = {
        .mischief = FAKE_LATE, .to = FRAME_STORE, .times = 3, .amount = 800, .page_bytes = 65536};
    server = fake_server_create(&plan);
    struct farpage_options options = {.server = fake_server_address(server), .timeout_ms = 500};
    ck_assert_int_eq(farpage_connect(&options, &client), FARPAGE_OK);
    struct farpage_area_options wish = {.slots = SLOTS, .page_bytes = 65536};
    ck_assert_int_eq(farpage_area_open(client, "swap", &wish, &area), FARPAGE_OK);
    for (uint64_t slot = 0; slot < 3; slot++) {
        uint8_t *page = malloc(65536);
        ck_assert_ptr_nonnull(page);
        memset(page, 1, 65536);
        ck_assert_int_eq(farpage_store(area, slot, page), FARPAGE_TIMEOUT);
        free(page); /* AddressSanitizer watches */
    }
    uint8_t *page = malloc(65536);
    ck_assert_ptr_nonnull(page);
    memset(page, 2, 65536);
    ck_assert_int_eq(farpage_store(area, 9, page), FARPAGE_OK);
    ck_assert_int_eq(farpage_load(area, 9, page), FARPAGE_OK);
    ck_assert_int_eq(farpage_load(area, 1, page), FARPAGE_OK);
    ck_assert_uint_eq(page[65535], 1);
    free(page);
    stop();
}
END_TEST

/* Two timeouts of silence, and the connection is given up: the next one may be better. */
START_TEST(a_connection_that_says_nothing_is_made_again)
{
    start_with(&(struct fake_plan){
                   .mischief = FAKE_SILENT, .to = FRAME_LOAD, .times = 4, .amount = 0},
               100, 0);
    store(3, 'l');
    uint8_t page[PAGE];
    enum farpage_status status = FARPAGE_TIMEOUT;
    for (int i = 0; i < 6 && status == FARPAGE_TIMEOUT; i++) status = farpage_load(area, 3, page);
    ck_assert_int_eq(status, FARPAGE_OK);
    ck_assert_uint_ge(connections(), 2);
    stop();
}
END_TEST

START_TEST(the_backoff_doubles_and_is_bounded)
{
    uint64_t max = 1000000000;
    for (unsigned failures = 0; failures < 100; failures++) {
        uint64_t whole = failures < 7 ? 10000000ull << failures : max;
        ck_assert_uint_eq(backoff_ns(failures, max, 0), whole);
        for (uint64_t random = 1; random < 1000; random++) {
            uint64_t delay = backoff_ns(failures, max, random * 0x9e3779b97f4a7c15ull);
            ck_assert_uint_le(delay, whole);
            ck_assert_uint_ge(delay, whole / 2);
        }
    }
    ck_assert_uint_gt(backoff_ns(0, 0, 5), 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("reconnect");
    TCase *tcase = tcase_create("reconnect");
    tcase_set_timeout(tcase, 60);
    tcase_add_test(tcase, a_cut_between_two_calls_is_not_noticed);
    tcase_add_loop_test(tcase, what_was_on_the_way_is_sent_again, 0, 3);
    tcase_add_test(tcase, what_was_asked_for_is_asked_for_again);
    tcase_add_test(tcase, a_server_that_was_started_anew_is_lost_and_never_absent);
    tcase_add_test(tcase, an_area_that_was_made_anew_is_lost);
    tcase_add_loop_test(tcase, an_area_that_is_gone_is_lost, 0, 2);
    tcase_add_test(tcase, a_lost_area_of_an_open_connection_stays_lost);
    tcase_add_test(tcase, without_reconnecting_a_cut_is_for_good);
    tcase_add_test(tcase, a_command_is_never_sent_twice);
    tcase_add_test(tcase, a_server_that_is_gone_costs_no_more_than_the_deadline);
    tcase_add_test(tcase, a_server_that_is_back_is_found_by_the_first_call);
    tcase_add_test(tcase, nonsense_is_not_repeated_and_not_for_ever);
    tcase_add_test(tcase, a_late_reply_is_dropped_and_the_connection_goes_on);
    tcase_add_test(tcase, a_late_store_leaves_its_page_alone);
    tcase_add_test(tcase, a_connection_that_says_nothing_is_made_again);
    tcase_add_test(tcase, the_backoff_doubles_and_is_bounded);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
