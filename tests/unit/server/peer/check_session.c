/* SPDX-License-Identifier: BSD-3-Clause */
#include "server/peer/session.h"

#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/check.h"
#include "tests/unit/base/suite.h"

enum { CLIENTS = 3 };
static const uint8_t boot_id[FRAME_BOOT_ID_BYTES] = "of this server";

static struct store *store;
static struct openers openers;
static struct client { /* a session and the socket it belongs to */
    struct session session;
    struct conn_row row;
    int far_end;
} clients[CLIENTS];
static char why[REFUSAL_BYTES_MAX];

static void setup(void)
{
    struct store_options options = {.memory_limit_bytes = 64 << 20,
                                    .page_bytes = 4096,
                                    .allocator = "blocks",
                                    .compressor = {"lz4", 1, NULL}};
    ck_assert_int_eq(store_create(&options, &store), FP_OK);
    openers_init(&openers);
    memset(clients, 0, sizeof clients);
    for (int i = 0; i < CLIENTS; i++) {
        int ends[2];
        ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
        clients[i].session.row = &clients[i].row;
        clients[i].row.fd = ends[0];
        clients[i].far_end = ends[1];
        (void)snprintf(clients[i].row.peer, sizeof clients[i].row.peer, "client-%d", i);
    }
}

static void hang_up(int who)
{
    if (clients[who].far_end >= 0) close(clients[who].far_end);
    clients[who].far_end = -1;
}

static void teardown(void)
{
    for (int i = 0; i < CLIENTS; i++) {
        session_fini(&clients[i].session, &openers, store);
        ck_assert_uint_eq(atomic_load(&clients[i].row.areas), 0);
        close(clients[i].row.fd);
        hang_up(i);
    }
    ck_assert_uint_eq(budget_held(store_budget(store), BUDGET_CONNECTIONS), 0);
    openers_fini(&openers);
    store_destroy(&store);
}

static enum fp_status try_open(int who, struct frame_open open, uint32_t *number)
{
    struct open_request request = {.store = store, .open = &open, .boot_id = boot_id};
    if (open.name.size_bytes == 0) open.name = slice_text("vm");
    return session_open_area(&clients[who].session, &openers, &request, number, why);
}

static uint32_t must_open(int who, struct frame_open open)
{
    uint32_t number = 0;
    ck_assert_int_eq(try_open(who, open, &number), FP_OK);
    return number;
}

static void close_area(int who, uint32_t number)
{
    session_close_area(&clients[who].session, &openers, store, number);
}

static struct opener *opener(int who, uint32_t number)
{
    return session_opener(&clients[who].session, number);
}

static const struct frame_open create = {.flags = FRAME_OPEN_CREATE, .slots = 10},
                               create_shared = {.flags = FRAME_OPEN_CREATE | FRAME_OPEN_SHARED,
                                                .slots = 10},
                               transient = {.flags = FRAME_OPEN_CREATE | FRAME_OPEN_TRANSIENT |
                                                     FRAME_OPEN_SHARED,
                                            .slots = 10},
                               shared = {.flags = FRAME_OPEN_SHARED}, alone = {.flags = 0};

static struct frame_open as_client(struct frame_open open, const char *id)
{
    memcpy(open.client_id, id, strlen(id));
    return open;
}

START_TEST(an_exclusive_opener_keeps_all_others_out)
{
    uint32_t number;
    uint32_t mine = must_open(0, create);
    ck_assert_int_eq(try_open(1, shared, &number), FP_BUSY);
    ck_assert_ptr_nonnull(strstr(why, "area 'vm' is open exclusively by client-0 since 20"));
    ck_assert_int_eq(try_open(1, alone, &number), FP_BUSY);
    ck_assert_uint_eq(must_open(0, alone), mine);
    close_area(0, mine);
    ck_assert_ptr_null(session_area(&clients[0].session, mine));
    (void)must_open(1, alone);
}
END_TEST

START_TEST(sharers_keep_out_who_wants_it_alone_and_no_other)
{
    uint32_t number;
    uint32_t first = must_open(0, create_shared);
    (void)must_open(1, shared);
    ck_assert_int_eq(try_open(2, alone, &number), FP_BUSY);
    ck_assert_ptr_nonnull(strstr(why, "is open shared by client-"));
    ck_assert_ptr_nonnull(strstr(why, ", and by 1 more"));
    ck_assert_int_eq(try_open(0, alone, &number), FP_BUSY); /* nor can one of them have it so */
    (void)must_open(2, shared);
    ck_assert_uint_eq(opener(0, first)->flags, FRAME_OPEN_SHARED);
}
END_TEST

START_TEST(who_takes_over_waits_for_the_request_that_is_carried_out)
{
    uint32_t number;
    uint32_t old = must_open(0, as_client(create, "me"));
    ck_assert(opener_enter(opener(0, old)));
    ck_assert_int_eq(try_open(1, as_client(alone, "you"), &number), FP_BUSY);
    ck_assert_int_eq(try_open(1, as_client(alone, "me"), &number), FP_NOT_STORED);
    ck_assert_int_eq(try_open(1, as_client(alone, "me"), &number), FP_NOT_STORED);
    opener_leave(opener(0, old));
    ck_assert(!opener_enter(opener(0, old))); /* and no other is begun */
    uint32_t new = must_open(1, as_client(alone, "me"));
    ck_assert(opener_enter(opener(1, new)) && opener_lost(opener(0, old)));
    opener_leave(opener(1, new));
    close_area(0, old);
    ck_assert_int_eq(try_open(0, alone, &number), FP_BUSY);
}
END_TEST

/* The session looked at its opener a moment before another worker took the area over. */
START_TEST(what_was_taken_over_meanwhile_is_not_opened_again)
{
    struct frame_open open = as_client(alone, "me");
    struct open_request request = {.store = store, .open = &open, .boot_id = boot_id};
    open.name = slice_text("vm");
    uint32_t old = must_open(0, as_client(create, "me"));
    uint32_t new = must_open(1, as_client(alone, "me"));
    ck_assert_int_eq(openers_open_again(&openers, &request, opener(0, old), why), FP_NOT_STORED);
    ck_assert(opener_lost(opener(0, old)) && !opener_lost(opener(1, new)));

    /* Nor is an area of that name that was made since. */
    ck_assert_int_eq(openers_delete(&openers, store, opener(1, new), why), FP_OK);
    (void)must_open(2, create);
    ck_assert_int_eq(openers_open_again(&openers, &request, opener(1, new), why), FP_NOT_STORED);
}
END_TEST

START_TEST(who_drains_and_who_uses_an_area_are_not_the_same_client)
{
    static const struct frame_open drain = {.flags = FRAME_OPEN_DRAIN};
    uint32_t mine = must_open(0, as_client(create, "me"));
    uint32_t mover = must_open(1, as_client(drain, "me"));
    ck_assert(!opener_lost(opener(0, mine)));
    uint32_t again = must_open(2, as_client(alone, "me"));
    ck_assert(opener_lost(opener(0, mine)));
    ck_assert(!opener_lost(opener(1, mover)) && !opener_lost(opener(2, again)));
}
END_TEST

START_TEST(no_client_id_is_nobodys)
{
    uint32_t number;
    (void)must_open(0, create);
    ck_assert_int_eq(try_open(1, alone, &number), FP_BUSY);
}
END_TEST

START_TEST(who_hung_up_keeps_nobody_out_unless_work_of_his_is_left)
{
    uint32_t number;
    uint32_t old = must_open(0, create);
    atomic_store(&clients[0].row.state, CONN_READING);
    hang_up(0);
    ck_assert_int_eq(try_open(1, alone, &number), FP_BUSY);
    atomic_store(&clients[0].row.state, CONN_IDLE);
    number = must_open(1, alone);
    ck_assert(opener_lost(opener(0, old)));
    ck_assert_int_eq(write(clients[1].far_end, "x", 1), 1); /* a request not looked at yet */
    hang_up(1);
    ck_assert_int_eq(try_open(2, alone, &number), FP_BUSY);
}
END_TEST

START_TEST(a_transient_area_ends_with_its_last_opener)
{
    uint32_t number;
    uint32_t first = must_open(0, transient);
    uint32_t second = must_open(1, shared);
    close_area(0, first);
    close_area(1, second);
    ck_assert_int_eq(try_open(0, shared, &number), FP_ABSENT);
    ck_assert_uint_eq(store_areas_dying(store), 1);
    (void)must_open(0, create_shared);
    close_area(0, 1);
    (void)must_open(0, shared); /* what is not transient stays */
}
END_TEST

START_TEST(an_area_of_another_life_is_lost_and_never_made)
{
    uint32_t number;
    uint32_t mine = must_open(0, create_shared);
    struct frame_open expected = create_shared;
    expected.flags |= FRAME_OPEN_EXPECT;
    memcpy(expected.boot_id, boot_id, sizeof boot_id);
    expected.generation = opener(0, mine)->area->generation;
    (void)must_open(1, expected);
    expected.boot_id[3] ^= 1;
    ck_assert_int_eq(try_open(2, expected, &number), FP_LOST);
    expected.boot_id[3] ^= 1;
    expected.generation++;
    ck_assert_int_eq(try_open(2, expected, &number), FP_LOST);
    expected.generation--;
    expected.name = slice_text("none");
    ck_assert_int_eq(try_open(2, expected, &number), FP_LOST);
    ck_assert_int_eq(try_open(2, (struct frame_open){.name = slice_text("none")}, &number),
                     FP_ABSENT);
}
END_TEST

START_TEST(only_what_nobody_else_has_open_is_deleted)
{
    uint32_t number;
    uint32_t first = must_open(0, create_shared), second = must_open(1, shared);
    ck_assert_int_eq(openers_delete(&openers, store, opener(0, first), why), FP_BUSY);
    ck_assert_ptr_nonnull(strstr(why, "open shared by client-1"));
    close_area(1, second);
    ck_assert_int_eq(openers_delete(&openers, store, opener(0, first), why), FP_OK);
    ck_assert_int_eq(openers_delete(&openers, store, opener(0, first), why), FP_LOST);
    ck_assert(!opener_enter(opener(0, first)));
    number = must_open(0, create); /* another of its name has a number of its own */
    ck_assert(number != first && opener_enter(opener(0, number)));
    opener_leave(opener(0, number));
}
END_TEST

START_TEST(a_session_has_a_limit_and_numbers_come_back)
{
    uint32_t number;
    char name[16];
    for (int i = 0; i < SESSION_AREAS_MAX; i++) {
        struct frame_open open = create;
        (void)snprintf(name, sizeof name, "a%d", i);
        open.name = slice_text(name);
        ck_assert_uint_eq(must_open(0, open), (uint32_t)i + 1);
    }
    ck_assert_int_eq(try_open(0, create, &number), FP_TOO_BIG);
    ck_assert_uint_eq(atomic_load(&clients[0].row.areas), SESSION_AREAS_MAX);
    ck_assert_int_eq(try_open(1, alone, &number), FP_ABSENT); /* nothing was made */
    close_area(0, 7);
    ck_assert_uint_eq(must_open(0, create), 7);
    ck_assert_ptr_null(session_opener(&clients[0].session, 0));
    ck_assert_ptr_null(session_opener(&clients[0].session, SESSION_AREAS_MAX + 1));
    ck_assert_ptr_null(session_opener(&clients[0].session, UINT32_MAX));
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        an_exclusive_opener_keeps_all_others_out,
        sharers_keep_out_who_wants_it_alone_and_no_other,
        who_takes_over_waits_for_the_request_that_is_carried_out,
        what_was_taken_over_meanwhile_is_not_opened_again,
        who_drains_and_who_uses_an_area_are_not_the_same_client,
        no_client_id_is_nobodys,
        who_hung_up_keeps_nobody_out_unless_work_of_his_is_left,
        a_transient_area_ends_with_its_last_opener,
        an_area_of_another_life_is_lost_and_never_made,
        only_what_nobody_else_has_open_is_deleted,
        a_session_has_a_limit_and_numbers_come_back};
    Suite *suite = suite_create("session");
    TCase *tcase = tcase_create("areas");
    tcase_add_checked_fixture(tcase, setup, teardown);
    for (size_t i = 0; i < FP_COUNT_OF(tests); i++) tcase_add_test(tcase, tests[i]);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
