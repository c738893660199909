/* SPDX-License-Identifier: BSD-3-Clause
 * A server that lies, stalls or dies costs an error and nothing else. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "client/include/farpage.h"
#include "protocol/frame.h"
#include "tests/unit/client/fake_server.h"

enum { TIMEOUT_MS = 300, PATIENCE_MS = 20000 }; /* where silence is met; where it is not */

struct outcome {
    enum farpage_status status;
    char error[256];
    bool open_afterwards; /* the same connection still answered another request */
};

static void ignore_line(void *context, const char *name, const char *value)
{
    (void)context;
    ck_assert(name != NULL && value != NULL);
}

/* Every request once; the first that fails decides. */
static enum farpage_status every_call(struct farpage *client, struct farpage_area **opened)
{
    struct farpage_area_options size = {.slots = 16, .page_bytes = 4096};
    uint8_t page[4096] = {1, 2, 3};
    enum farpage_status status = farpage_ping(client, NULL);
    if (status == FARPAGE_OK) status = farpage_stats(client, "", ignore_line, NULL);
    if (status == FARPAGE_OK) status = farpage_compact(client, 1, ignore_line, NULL);
    if (status == FARPAGE_OK) status = farpage_command(client, "compressor", NULL, NULL);
    if (status == FARPAGE_OK) status = farpage_area_open(client, "a", &size, opened);
    if (status != FARPAGE_OK) return status;
    struct farpage_area *area = *opened;
    status = farpage_store(area, 3, page);
    if (status == FARPAGE_OK) status = farpage_load(area, 3, page);
    if (status == FARPAGE_OK) status = farpage_invalidate(area, 0, 16);
    return status;
}

static struct outcome meet(const struct fake_plan *plan)
{
    struct fake_server *server = fake_server_create(plan);
    bool quiet = plan->mischief == FAKE_SILENT || plan->mischief == FAKE_DRIPS ||
                 (plan->mischief == FAKE_STATUS && plan->amount == FRAME_DRAINING);
    struct farpage_options options = {.server = fake_server_address(server),
                                      .timeout_ms = quiet ? TIMEOUT_MS : PATIENCE_MS,
                                      .flags = FARPAGE_NO_RECONNECT};
    struct farpage *client;
    struct farpage_area *area = NULL;
    struct outcome outcome = {.status = farpage_connect(&options, &client)};
    if (outcome.status == FARPAGE_OK) outcome.status = every_call(client, &area);
    const char *error = area != NULL ? farpage_area_error(area) : farpage_error(client);
    strncpy(outcome.error, error, sizeof outcome.error - 1);
    enum farpage_status after =
        area != NULL ? farpage_invalidate(area, 0, 1) : farpage_ping(client, NULL);
    outcome.open_afterwards = after != FARPAGE_DISCONNECTED;
    farpage_disconnect(&client);
    fake_server_destroy(&server);
    return outcome;
}

/* An area has a connection of its own: what spoils its opening leaves the client's as it was. */
static bool apart(uint8_t opcode)
{
    return opcode == FRAME_OPEN;
}

static const uint8_t opcodes[] = {FRAME_HELLO, FRAME_PING, FRAME_STATS,      FRAME_OPEN,
                                  FRAME_STORE, FRAME_LOAD, FRAME_INVALIDATE, FRAME_COMPACT,
                                  FRAME_COMMAND};
enum { OPCODES = sizeof opcodes };

static const enum mischief lies[] = {
    FAKE_WRONG_MAGIC, FAKE_WRONG_HEADER_CRC, FAKE_WRONG_TAG, FAKE_WRONG_OPCODE, FAKE_WRONG_STATUS,
    FAKE_WRONG_SLOT, FAKE_WRONG_AREA, FAKE_WRONG_COUNT,
    FAKE_LENGTH_HUGE, FAKE_RESERVED_SET,     FAKE_TEXT,      FAKE_LAST_WORDS,
};
enum { LIES = sizeof lies / sizeof *lies };

START_TEST(a_lie_in_any_reply_is_a_protocol_error)
{
    struct fake_plan plan = {.mischief = lies[_i % LIES], .to = opcodes[_i / LIES]};
    struct outcome outcome = meet(&plan);
    ck_assert_msg(outcome.status == FARPAGE_PROTOCOL, "opcode %u, lie %d: %s (%s)", plan.to,
                  plan.mischief, farpage_status_text(outcome.status), outcome.error);
    ck_assert_str_ne(outcome.error, "");
    ck_assert_int_eq(outcome.open_afterwards, apart(plan.to));
}
END_TEST

START_TEST(a_body_of_the_wrong_length_is_a_protocol_error)
{
    struct outcome outcome =
        meet(&(struct fake_plan){.mischief = FAKE_LENGTH_LESS, .to = opcodes[_i]});
    ck_assert_int_eq(outcome.status, FARPAGE_PROTOCOL);
    ck_assert_int_eq(outcome.open_afterwards, apart(opcodes[_i]));
}
END_TEST

START_TEST(a_body_that_fails_its_checksum_is_found)
{
    struct outcome outcome =
        meet(&(struct fake_plan){.mischief = FAKE_WRONG_BODY_CRC, .to = opcodes[_i]});
    bool page = opcodes[_i] == FRAME_LOAD;
    ck_assert_int_eq(outcome.status, page ? FARPAGE_CORRUPT : FARPAGE_PROTOCOL);
    ck_assert_int_eq(outcome.open_afterwards, page || apart(opcodes[_i]));
}
END_TEST

START_TEST(a_second_reply_finds_no_one)
{
    struct outcome outcome = meet(&(struct fake_plan){.mischief = FAKE_TWICE, .to = opcodes[_i]});
    bool unused = opcodes[_i] == FRAME_INVALIDATE || opcodes[_i] == FRAME_COMMAND;
    ck_assert_int_eq(outcome.status, unused ? FARPAGE_OK : FARPAGE_DISCONNECTED);
    ck_assert_int_eq(outcome.open_afterwards, opcodes[_i] == FRAME_COMMAND);
}
END_TEST

START_TEST(a_server_cut_off_after_any_byte_is_a_disconnect)
{
    static const size_t bodies[OPCODES] = {40, 8, 53, 24, 0, 4096, 0, 30, 21};
    size_t whole = FRAME_HEADER_BYTES + bodies[_i];
    for (size_t cut = 0; cut < whole; cut += cut < 100 ? 1 : 499) {
        struct fake_plan plan = {.mischief = FAKE_CUT, .to = opcodes[_i], .amount = cut};
        struct outcome outcome = meet(&plan);
        ck_assert_msg(outcome.status == FARPAGE_DISCONNECTED, "cut at %zu: %s", cut,
                      farpage_status_text(outcome.status));
        bool unheard = opcodes[_i] == FRAME_HELLO && cut == 0;
        ck_assert_str_eq(outcome.error,
                         unheard ? "the server closed the connection; does it want TLS?"
                                 : "the server closed the connection");
        ck_assert_int_eq(outcome.open_afterwards, apart(opcodes[_i]));
    }
}
END_TEST

/* --- many pages in one frame ---------------------------------------------------------------- */

enum { BATCHED = 8 };

struct batched {
    enum farpage_status result;
    struct farpage_op ops[BATCHED];
};

/* Stores, loads and forgets eight pages, each in one frame; the first that fails decides. */
static struct batched meet_batched(const struct fake_plan *plan)
{
    struct fake_server *server = fake_server_create(plan);
    struct farpage_options options = {.server = fake_server_address(server),
                                      .timeout_ms = PATIENCE_MS,
                                      .flags = FARPAGE_NO_RECONNECT};
    struct farpage *client;
    struct farpage_area *area;
    struct farpage_area_options size = {.slots = 16, .page_bytes = 4096};
    ck_assert_int_eq(farpage_connect(&options, &client), FARPAGE_OK);
    ck_assert_int_eq(farpage_area_open(client, "a", &size, &area), FARPAGE_OK);
    static uint8_t pages[BATCHED][4096];
    struct batched batched = {.result = FARPAGE_OK};
    static const enum farpage_op_kind kinds[] = {FARPAGE_OP_STORE, FARPAGE_OP_LOAD,
                                                 FARPAGE_OP_INVALIDATE};
    for (int kind = 0; kind < 3 && batched.result == FARPAGE_OK; kind++) {
        for (int i = 0; i < BATCHED; i++) {
            batched.ops[i] = (struct farpage_op){
                .kind = kinds[kind], .slot = 8u + (unsigned)i, .count = 1, .page = pages[i]};
        }
        batched.result = farpage_batch(area, batched.ops, BATCHED, 0);
        for (int i = 0; i < BATCHED; i++) {
            if (batched.ops[i].status != FARPAGE_OK) kind = 3;
        }
    }
    farpage_disconnect(&client);
    fake_server_destroy(&server);
    return batched;
}

START_TEST(a_lie_within_a_batch_is_a_protocol_error)
{
    struct fake_plan plan = {.mischief = lies[_i / 2],
                             .to = _i % 2 == 0 ? FRAME_STORE : FRAME_LOAD,
                             .after = 3};
    struct batched batched = meet_batched(&plan);
    ck_assert_int_eq(batched.result, FARPAGE_PROTOCOL);
    for (int i = 0; i < BATCHED; i++) {
        ck_assert_int_eq(batched.ops[i].status, i < 3 ? FARPAGE_OK : FARPAGE_PROTOCOL);
    }
}
END_TEST

START_TEST(a_batch_cut_off_is_a_disconnect)
{
    struct fake_plan plan = {
        .mischief = FAKE_CUT, .to = FRAME_LOAD, .after = 3, .amount = (size_t)_i * 41};
    struct batched batched = meet_batched(&plan);
    ck_assert_int_eq(batched.result, FARPAGE_DISCONNECTED);
    for (int i = 0; i < BATCHED; i++) {
        ck_assert_int_eq(batched.ops[i].status, i < 3 ? FARPAGE_OK : FARPAGE_DISCONNECTED);
    }
}
END_TEST

START_TEST(a_batch_may_be_refused_as_a_whole)
{
    static const uint8_t to[] = {FRAME_STORE_BATCH, FRAME_LOAD_BATCH, FRAME_INVALIDATE_BATCH};
    static const struct {
        uint16_t wire;
        enum farpage_status result, each;
    } rows[] = {
        {FRAME_NO_MEMORY, FARPAGE_OK, FARPAGE_NO_MEMORY},
        {FRAME_NO_AREA, FARPAGE_OK, FARPAGE_NO_AREA},
        {FRAME_LOST, FARPAGE_LOST, FARPAGE_LOST},
        {99, FARPAGE_PROTOCOL, FARPAGE_PROTOCOL},
    };
    struct fake_plan plan = {
        .mischief = FAKE_WHOLE, .to = to[_i / 4], .amount = rows[_i % 4].wire};
    struct batched batched = meet_batched(&plan);
    ck_assert_int_eq(batched.result, rows[_i % 4].result);
    for (int i = 0; i < BATCHED; i++) {
        ck_assert_int_eq(batched.ops[i].status, rows[_i % 4].each);
    }
}
END_TEST

START_TEST(silence_is_a_timeout)
{
    uint64_t before = clock_monotonic_ns();
    struct outcome outcome = meet(&(struct fake_plan){.mischief = FAKE_SILENT, .to = opcodes[_i]});
    uint64_t took_ms = (clock_monotonic_ns() - before) / 1000000;
    ck_assert_int_eq(outcome.status, FARPAGE_TIMEOUT);
    ck_assert_uint_ge(took_ms, TIMEOUT_MS - 50);
    ck_assert_uint_lt(took_ms, 2 * TIMEOUT_MS + 2000); /* the call and the one afterwards */
}
END_TEST

START_TEST(a_server_that_drips_is_a_timeout)
{
    struct outcome outcome = meet(&(struct fake_plan){.mischief = FAKE_DRIPS, .amount = 20});
    ck_assert_int_eq(outcome.status, FARPAGE_TIMEOUT);
}
END_TEST

START_TEST(what_memcached_says_is_quoted)
{
    struct outcome outcome = meet(&(struct fake_plan){.mischief = FAKE_TEXT, .to = FRAME_HELLO});
    ck_assert_str_eq(outcome.error, "the server does not speak farpage frames; it said 'ERROR'");
}
END_TEST

static const struct {
    uint16_t wire;
    enum farpage_status status;
    bool open_afterwards;
} answers[] = {
    {FRAME_ABSENT, FARPAGE_ABSENT, true},
    {FRAME_CORRUPT, FARPAGE_CORRUPT, true},
    {FRAME_NO_MEMORY, FARPAGE_NO_MEMORY, true},
    {FRAME_RANGE, FARPAGE_RANGE, true},
    {FRAME_NO_AREA, FARPAGE_NO_AREA, true},
    {FRAME_BAD_AREA, FARPAGE_BAD_AREA, true},
    {FRAME_BAD_LENGTH, FARPAGE_REFUSED, true},
    {FRAME_BAD_CHECKSUM, FARPAGE_CORRUPT, true},
    {FRAME_BAD_OPCODE, FARPAGE_REFUSED, true},
    {FRAME_BAD_VERSION, FARPAGE_PROTOCOL, false},
    {FRAME_NO_HELLO, FARPAGE_PROTOCOL, false},
    {FRAME_BAD_HEADER, FARPAGE_PROTOCOL, false},
    {FRAME_LIMIT, FARPAGE_LIMIT, true},
    {FRAME_NO_SECTION, FARPAGE_REFUSED, true},
    {FRAME_OFF, FARPAGE_REFUSED, true},
    {FRAME_NO_COMMAND, FARPAGE_REFUSED, true},
    {FRAME_REFUSED, FARPAGE_REFUSED, true},
    {FRAME_BUSY, FARPAGE_BUSY, true},
    {FRAME_CHANGED, FARPAGE_CHANGED, true},
    {FRAME_EXPIRED, FARPAGE_EXPIRED, true},
    {FRAME_NO_MAP, FARPAGE_NO_MAP, true},
    {FRAME_LOST, FARPAGE_LOST, true},
    {FRAME_QUOTA, FARPAGE_QUOTA, true},
    {FRAME_MAP_MODE, FARPAGE_MAP_MODE, true},
    {FRAME_NO_DICTIONARY, FARPAGE_REFUSED, true},
    {FRAME_BAD_CODEC, FARPAGE_REFUSED, true},
    {FRAME_PACKED, FARPAGE_PROTOCOL, false},
    {FRAME_DRAINING, FARPAGE_DRAINING, true},
    {FRAME_MOVED, FARPAGE_MOVED, true},
    {FRAME_BAD_FIELD, FARPAGE_REFUSED, true},
    {FRAME_REFUSED + 1, FARPAGE_PROTOCOL, false},
    {65535, FARPAGE_PROTOCOL, false},
};
enum { ANSWERS = sizeof answers / sizeof *answers };

START_TEST(each_status_of_the_wire_has_one_here)
{
    struct fake_plan plan = {.mischief = FAKE_STATUS, .to = FRAME_LOAD, .amount = answers[_i].wire};
    struct outcome outcome = meet(&plan);
    ck_assert_msg(outcome.status == answers[_i].status, "%u became %s", answers[_i].wire,
                  farpage_status_text(outcome.status));
    ck_assert_int_eq(outcome.open_afterwards, answers[_i].open_afterwards);
    ck_assert_str_ne(outcome.error, "");
}
END_TEST

START_TEST(no_version_in_common_is_a_protocol_error)
{
    struct fake_plan plan = {
        .mischief = FAKE_STATUS, .to = FRAME_HELLO, .amount = FRAME_BAD_VERSION};
    struct outcome outcome = meet(&plan);
    ck_assert_int_eq(outcome.status, FARPAGE_PROTOCOL);
    ck_assert_ptr_nonnull(strstr(outcome.error, "version"));
}
END_TEST

static const struct frame_welcome welcomes[] = {
    {.version = 2, .page_bytes = 4096, .body_bytes_max = 65536},
    {.version = 0, .page_bytes = 4096, .body_bytes_max = 65536},
    {.version = 1, .page_bytes = 0, .body_bytes_max = 65536},
    {.version = 1, .page_bytes = 8192, .body_bytes_max = 65536},
    {.version = 1, .page_bytes = UINT32_MAX, .body_bytes_max = UINT32_MAX},
    {.version = 1, .page_bytes = 65536, .body_bytes_max = 4096},
    {.version = 1, .features = 1, .page_bytes = 4096, .body_bytes_max = 65536},
};

START_TEST(a_welcome_without_sense_is_refused)
{
    uint8_t body[FRAME_WELCOME_BYTES];
    frame_welcome_encode(&welcomes[_i], body);
    struct outcome outcome = meet(&(struct fake_plan){
        .mischief = FAKE_BODY, .to = FRAME_HELLO, .amount = sizeof body, .body = body});
    ck_assert_int_eq(outcome.status, FARPAGE_PROTOCOL);
}
END_TEST

static const struct frame_opened openings[] = {
    {.slots = 0, .page_bytes = 4096},
    {.slots = 17, .page_bytes = 4096},
    {.slots = UINT64_MAX, .page_bytes = 4096},
    {.slots = 16, .page_bytes = 65536},
};

START_TEST(an_opening_without_sense_is_refused)
{
    uint8_t body[FRAME_OPENED_BYTES];
    frame_opened_encode(&openings[_i], body);
    struct outcome outcome = meet(&(struct fake_plan){
        .mischief = FAKE_BODY, .to = FRAME_OPEN, .amount = sizeof body, .body = body});
    ck_assert_int_eq(outcome.status, FARPAGE_PROTOCOL);
}
END_TEST

static const struct {
    const char *text;
    size_t size_bytes;
    enum farpage_status status;
} statistics[] = {
    {"a 1\0\n", 5, FARPAGE_PROTOCOL},   {"a 1", 3, FARPAGE_PROTOCOL},
    {"\n\n \n", 4, FARPAGE_OK},         {"a\n", 2, FARPAGE_OK},
    {"a 1\r\nb 2\r\n", 10, FARPAGE_OK},
};

START_TEST(statistics_without_sense_are_refused)
{
    struct outcome outcome = meet(&(struct fake_plan){.mischief = FAKE_BODY,
                                                      .to = FRAME_STATS,
                                                      .amount = statistics[_i].size_bytes,
                                                      .body = statistics[_i].text});
    ck_assert_int_eq(outcome.status, statistics[_i].status);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("nonsense");
    TCase *tcase = tcase_create("nonsense");
    tcase_set_timeout(tcase, 60);
    tcase_add_loop_test(tcase, a_lie_in_any_reply_is_a_protocol_error, 0, LIES * OPCODES);
    tcase_add_loop_test(tcase, a_body_of_the_wrong_length_is_a_protocol_error, 0, OPCODES);
    tcase_add_loop_test(tcase, a_body_that_fails_its_checksum_is_found, 0, OPCODES);
    tcase_add_loop_test(tcase, a_second_reply_finds_no_one, 0, OPCODES);
    tcase_add_loop_test(tcase, a_server_cut_off_after_any_byte_is_a_disconnect, 0, OPCODES);
    tcase_add_loop_test(tcase, a_lie_within_a_batch_is_a_protocol_error, 0, 2 * LIES);
    tcase_add_loop_test(tcase, a_batch_cut_off_is_a_disconnect, 0, 100);
    tcase_add_loop_test(tcase, a_batch_may_be_refused_as_a_whole, 0, 12);
    tcase_add_loop_test(tcase, silence_is_a_timeout, 0, OPCODES);
    tcase_add_test(tcase, a_server_that_drips_is_a_timeout);
    tcase_add_test(tcase, what_memcached_says_is_quoted);
    tcase_add_loop_test(tcase, each_status_of_the_wire_has_one_here, 0, ANSWERS);
    tcase_add_test(tcase, no_version_in_common_is_a_protocol_error);
    tcase_add_loop_test(tcase, a_welcome_without_sense_is_refused, 0, 7);
    tcase_add_loop_test(tcase, an_opening_without_sense_is_refused, 0, 4);
    tcase_add_loop_test(tcase, statistics_without_sense_are_refused, 0, 5);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
