/* SPDX-License-Identifier: BSD-3-Clause
 * An area in somebody's own event loop, and areas on threads of their own. */
#include <check.h>
#include <poll.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "client/include/farpage.h"
#include "protocol/frame.h"
#include "tests/unit/client/fake_server.h"

enum { SLOTS = 2000, PAGE = 4096, THREADS = 8 };

static struct fake_server *server;
static struct farpage *client;
static struct farpage_area *area;

static void start(const struct fake_plan *plan)
{
    server = fake_server_create(plan);
    struct farpage_options options = {.server = fake_server_address(server), .timeout_ms = 60000};
    ck_assert_int_eq(farpage_connect(&options, &client), FARPAGE_OK);
    struct farpage_area_options wish = {.slots = SLOTS, .page_bytes = PAGE};
    ck_assert_int_eq(farpage_area_open(client, "swap", &wish, &area), FARPAGE_OK);
}

static void stop(void)
{
    farpage_disconnect(&client);
    fake_server_destroy(&server);
}

static void turn(void)
{
    struct pollfd entry = {farpage_area_fd(area), farpage_area_events(area), 0};
    int ready = poll(&entry, 1, farpage_area_wait_ms(area));
    farpage_area_process(area, ready > 0 ? entry.revents : 0);
}

struct tally {
    unsigned answers[32];
    unsigned all;
    bool in_callback;
};

static struct tally tally;

static void count(void *context, const struct farpage_answer *answer)
{
    struct tally *into = context;
    into->answers[answer->status]++;
    into->all++;
    ck_assert_ptr_nonnull(answer->why);
    ck_assert_int_eq(answer->why[0] == '\0', answer->status == FARPAGE_OK);
}

static enum farpage_status submit(enum farpage_op_kind kind, uint64_t slot, void *page)
{
    struct farpage_request request = {.kind = kind, .slot = slot, .count = 1, .page = page};
    return farpage_submit(area, &request, count, &tally);
}

START_TEST(every_request_is_answered_once)
{
    start(&(struct fake_plan){0});
    tally = (struct tally){0};
    static uint8_t pages[SLOTS][PAGE], back[SLOTS][PAGE];
    for (uint64_t i = 0; i < SLOTS; i++) {
        memset(pages[i], (int)(i * 7), PAGE);
        ck_assert_int_eq(submit(FARPAGE_OP_STORE, i, pages[i]), FARPAGE_OK);
    }
    ck_assert_uint_eq(farpage_area_waiting(area), SLOTS);
    while (farpage_area_waiting(area) > 0) turn();
    ck_assert_uint_eq(tally.answers[FARPAGE_OK], SLOTS);
    for (uint64_t i = 0; i < SLOTS; i++) {
        ck_assert_int_eq(submit(FARPAGE_OP_LOAD, i, back[i]), FARPAGE_OK);
    }
    while (farpage_area_waiting(area) > 0) turn();
    ck_assert_uint_eq(tally.answers[FARPAGE_OK], 2 * SLOTS);
    ck_assert_mem_eq(pages, back, sizeof pages);
    ck_assert_int_eq(submit(FARPAGE_OP_INVALIDATE, 5, NULL), FARPAGE_OK);
    while (farpage_area_waiting(area) > 0) turn();
    ck_assert_int_eq(submit(FARPAGE_OP_LOAD, 5, back[5]), FARPAGE_OK);
    while (farpage_area_waiting(area) > 0) turn();
    ck_assert_uint_eq(tally.answers[FARPAGE_ABSENT], 1);
    stop();
}
END_TEST

static void again(void *context, const struct farpage_answer *answer)
{
    unsigned *left = context;
    static uint8_t page[PAGE];
    ck_assert_int_eq(answer->status, FARPAGE_OK);
    ck_assert_int_eq(farpage_store(area, 0, page), FARPAGE_INVALID);
    ck_assert_int_eq(farpage_area_renew(area), FARPAGE_INVALID);
    farpage_area_process(area, POLLIN); /* does nothing */
    if (--*left == 0) return;
    struct farpage_request request = {.kind = FARPAGE_OP_STORE, .slot = *left, .page = page};
    ck_assert_int_eq(farpage_submit(area, &request, again, left), FARPAGE_OK);
}

START_TEST(a_callback_may_submit_and_may_not_wait)
{
    start(&(struct fake_plan){0});
    unsigned left = 100;
    uint8_t page[PAGE] = {1};
    struct farpage_request request = {.kind = FARPAGE_OP_STORE, .slot = 0, .page = page};
    ck_assert_int_eq(farpage_submit(area, &request, again, &left), FARPAGE_OK);
    while (farpage_area_waiting(area) > 0) turn();
    ck_assert_uint_eq(left, 0);
    stop();
}
END_TEST

START_TEST(each_request_has_a_deadline_of_its_own)
{
    start(&(struct fake_plan){.mischief = FAKE_SILENT, .to = FRAME_LOAD});
    tally = (struct tally){0};
    static uint8_t pages[3][PAGE];
    static const uint32_t timeouts[] = {90, 30, 60};
    for (uint64_t i = 0; i < 3; i++) {
        struct farpage_request request = {.kind = FARPAGE_OP_LOAD,
                                          .slot = i,
                                          .page = pages[i],
                                          .timeout_ms = timeouts[i]};
        ck_assert_int_eq(farpage_submit(area, &request, count, &tally), FARPAGE_OK);
    }
    uint64_t begun = clock_monotonic_ns();
    for (unsigned answered = 1; answered <= 3; answered++) {
        while (tally.all < answered) turn();
        uint64_t took_ms = (clock_monotonic_ns() - begun) / 1000000;
        ck_assert_uint_ge(took_ms, 30 * answered - 1);
    }
    ck_assert_uint_eq(tally.answers[FARPAGE_TIMEOUT], 3);
    ck_assert_int_eq(submit(FARPAGE_OP_STORE, 1, pages[0]), FARPAGE_OK);
    while (farpage_area_waiting(area) > 0) turn();
    ck_assert_uint_eq(tally.answers[FARPAGE_OK], 1);
    stop();
}
END_TEST

START_TEST(requests_wait_while_nobody_is_there)
{
    start(&(struct fake_plan){0});
    tally = (struct tally){0};
    static uint8_t page[PAGE] = {3};
    ck_assert_int_eq(submit(FARPAGE_OP_STORE, 1, page), FARPAGE_OK);
    turn();
    fake_server_cut(server);
    for (uint64_t i = 2; i < 10; i++) {
        ck_assert_int_eq(submit(FARPAGE_OP_STORE, i, page), FARPAGE_OK);
        turn();
    }
    while (farpage_area_waiting(area) > 0) turn();
    ck_assert_uint_eq(tally.answers[FARPAGE_OK], 9);
    stop();
}
END_TEST

START_TEST(closing_answers_whoever_waits)
{
    start(&(struct fake_plan){.mischief = FAKE_SILENT, .to = FRAME_LOAD});
    tally = (struct tally){0};
    static uint8_t page[PAGE];
    for (uint64_t i = 0; i < 5; i++) {
        ck_assert_int_eq(submit(FARPAGE_OP_LOAD, i, page), FARPAGE_OK);
        if (i == 2) turn();
    }
    farpage_area_close(&area);
    ck_assert_ptr_null(area);
    ck_assert_uint_eq(tally.answers[FARPAGE_DISCONNECTED], 5);
    farpage_area_close(&area);
    stop();
}
END_TEST

static void close_it(void *context, const struct farpage_answer *answer)
{
    (void)context;
    (void)answer;
    farpage_area_close(&area);
}

START_TEST(an_area_may_be_closed_by_its_own_callback)
{
    start(&(struct fake_plan){0});
    struct farpage_area *mine = area;
    uint8_t page[PAGE] = {1};
    struct farpage_request request = {.kind = FARPAGE_OP_STORE, .slot = 0, .page = page};
    ck_assert_int_eq(farpage_submit(mine, &request, close_it, NULL), FARPAGE_OK);
    while (area != NULL) {
        struct pollfd entry = {farpage_area_fd(mine), farpage_area_events(mine), 0};
        (void)poll(&entry, 1, farpage_area_wait_ms(mine));
        farpage_area_process(mine, entry.revents);
    }
    stop();
}
END_TEST

START_TEST(what_makes_no_sense_is_not_queued)
{
    start(&(struct fake_plan){0});
    static uint8_t page[PAGE];
    tally = (struct tally){0};
    ck_assert_int_eq(submit(FARPAGE_OP_STORE, SLOTS, page), FARPAGE_RANGE);
    ck_assert_int_eq(submit(FARPAGE_OP_LOAD, 0, NULL), FARPAGE_INVALID);
    ck_assert_int_eq(submit((enum farpage_op_kind)77, 0, page), FARPAGE_INVALID);
    ck_assert_int_eq(farpage_submit(area, NULL, count, NULL), FARPAGE_INVALID);
    ck_assert_uint_eq(farpage_area_waiting(area), 0);
    struct farpage_request nothing = {.kind = FARPAGE_OP_INVALIDATE, .slot = 3};
    ck_assert_int_eq(farpage_submit(area, &nothing, count, &tally), FARPAGE_OK);
    while (farpage_area_waiting(area) > 0) turn();
    ck_assert_uint_eq(tally.answers[FARPAGE_OK], 1);
    ck_assert_uint_eq(fake_server_invalidations(server), 0);
    for (unsigned i = 0; i < 1 << 16; i++) {
        ck_assert_int_eq(submit(FARPAGE_OP_STORE, i % SLOTS, page), FARPAGE_OK);
    }
    ck_assert_int_eq(submit(FARPAGE_OP_STORE, 0, page), FARPAGE_LIMIT);
    while (farpage_area_waiting(area) > 0) turn();
    ck_assert_uint_eq(tally.answers[FARPAGE_OK], 1 + (1 << 16));
    stop();
}
END_TEST

/* --- threads -------------------------------------------------------------------------------- */

static void *use_area(void *context)
{
    const unsigned *number = context;
    char name[16] = "thread-0", why[128] = "";
    name[7] = (char)('0' + *number);
    struct farpage_area *mine;
    struct farpage_area_options wish = {
        .slots = SLOTS, .page_bytes = PAGE, .why = why, .why_bytes = sizeof why};
    bool good = farpage_area_open(client, "thread of nobody", &wish, &mine) == FARPAGE_BAD_AREA;
    good = good && strstr(why, "name") != NULL;
    good = good && farpage_area_open(client, name, &wish, &mine) == FARPAGE_OK;
    uint8_t page[PAGE], back[PAGE];
    for (uint64_t i = 0; good && i < 100; i++) {
        memset(page, (int)(i * 8 + *number), PAGE);
        good = farpage_store(mine, i, page) == FARPAGE_OK &&
               farpage_load(mine, i, back) == FARPAGE_OK && memcmp(page, back, PAGE) == 0;
    }
    if (*number % 2 == 0) farpage_area_close(&mine);
    return good ? context : NULL;
}

START_TEST(each_thread_has_an_area)
{
    start(&(struct fake_plan){0});
    pthread_t threads[THREADS - 1];
    unsigned numbers[THREADS - 1];
    for (unsigned i = 0; i < THREADS - 1; i++) {
        numbers[i] = i;
        ck_assert_int_eq(pthread_create(&threads[i], NULL, use_area, &numbers[i]), 0);
    }
    for (int i = 0; i < 200; i++) ck_assert_int_eq(farpage_ping(client, NULL), FARPAGE_OK);
    for (unsigned i = 0; i < THREADS - 1; i++) {
        void *result;
        ck_assert_int_eq(pthread_join(threads[i], &result), 0);
        ck_assert_ptr_eq(result, &numbers[i]);
    }
    stop();
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("event");
    TCase *tcase = tcase_create("event");
    tcase_set_timeout(tcase, 60);
    tcase_add_test(tcase, every_request_is_answered_once);
    tcase_add_test(tcase, a_callback_may_submit_and_may_not_wait);
    tcase_add_test(tcase, each_request_has_a_deadline_of_its_own);
    tcase_add_test(tcase, requests_wait_while_nobody_is_there);
    tcase_add_test(tcase, closing_answers_whoever_waits);
    tcase_add_test(tcase, an_area_may_be_closed_by_its_own_callback);
    tcase_add_test(tcase, what_makes_no_sense_is_not_queued);
    tcase_add_test(tcase, each_thread_has_an_area);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
