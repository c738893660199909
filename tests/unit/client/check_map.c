/* SPDX-License-Identifier: BSD-3-Clause
 * Pages that are mapped, and areas that are moved: what must not be done twice is not, and where it
 * went is known. */
#include <check.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "client/include/farpage.h"
#include "protocol/frame_drain.h"
#include "protocol/frame_map.h"
#include "tests/unit/client/fake_server.h"

enum { SLOTS = 64, LARGE = 65536 };

static struct fake_server *server;
static struct farpage *client;
static struct farpage_area *area;
static uint8_t page[LARGE], back[LARGE];

static void start(const struct fake_plan *plan, uint32_t page_bytes, uint32_t flags)
{
    server = fake_server_create(plan);
    struct farpage_options options = {
        .server = fake_server_address(server), .timeout_ms = 20000, .flags = flags};
    ck_assert_int_eq(farpage_connect(&options, &client), FARPAGE_OK);
    struct farpage_area_options wish = {.slots = SLOTS, .page_bytes = page_bytes};
    ck_assert_int_eq(farpage_area_open(client, "swap", &wish, &area), FARPAGE_OK);
    for (size_t i = 0; i < LARGE; i++) page[i] = (uint8_t)(i * 31 >> 3);
    memset(back, 0x5a, LARGE);
}

static void stop(void)
{
    farpage_disconnect(&client);
    fake_server_destroy(&server);
}

START_TEST(a_page_is_mapped_read_written_and_published)
{
    uint32_t bytes = _i == 0 ? 4096 : LARGE;
    start(&(struct fake_plan){.page_bytes = bytes}, bytes, 0);
    struct farpage_map map;
    ck_assert_int_eq(farpage_store(area, 7, page), FARPAGE_OK);
    ck_assert_int_eq(farpage_map_page(area, 7, FARPAGE_MAP_RW, 0, &map), FARPAGE_OK);
    ck_assert_uint_eq(map.bytes, bytes);
    ck_assert_uint_eq(map.lease_seconds, 60);
    ck_assert_int_eq(farpage_map_read(area, &map, 1, bytes - 1, back), FARPAGE_OK);
    ck_assert_mem_eq(back, page + 1, bytes - 1);
    for (size_t i = 0; i < bytes; i++) page[i] ^= 0x55;
    ck_assert_int_eq(farpage_map_write(area, &map, 0, bytes, page), FARPAGE_OK);
    /* a page of 64 KiB does not go with one request */
    ck_assert_uint_eq(fake_server_map_writes(server), bytes == LARGE ? 2 : 1);
    ck_assert_int_eq(farpage_map_publish(area, &map), FARPAGE_OK);
    ck_assert_int_eq(farpage_load(area, 7, back), FARPAGE_OK);
    ck_assert_mem_eq(page, back, bytes);
    stop();
}
END_TEST

START_TEST(a_map_ends_with_its_connection)
{
    start(&(struct fake_plan){0}, 4096, 0);
    struct farpage_map map;
    ck_assert_int_eq(farpage_map_page(area, 7, FARPAGE_MAP_WO, 0, &map), FARPAGE_OK);
    fake_server_cut(server);
    ck_assert_int_eq(farpage_store(area, 1, page), FARPAGE_OK); /* connected again */
    ck_assert_int_eq(farpage_map_read(area, &map, 0, 8, back), FARPAGE_NO_MAP);
    ck_assert_int_eq(farpage_map_write(area, &map, 0, 8, page), FARPAGE_NO_MAP);
    ck_assert_int_eq(farpage_map_publish(area, &map), FARPAGE_NO_MAP);
    ck_assert_int_eq(farpage_map_discard(area, &map), FARPAGE_NO_MAP);
    ck_assert_ptr_nonnull(strstr(farpage_area_error(area), "ended with its connection"));
    ck_assert_uint_eq(back[0], 0x5a);
    stop();
}
END_TEST

static const struct {
    uint8_t to;
    enum farpage_status status;
} cuts[] = {
    {FRAME_MAP, FARPAGE_DISCONNECTED},   {FRAME_MREAD, FARPAGE_NO_MAP},
    {FRAME_MWRITE, FARPAGE_NO_MAP},      {FRAME_UNMAP, FARPAGE_DISCONNECTED},
};

static enum farpage_status use_map(void)
{
    struct farpage_map map;
    enum farpage_status status = farpage_map_page(area, 7, FARPAGE_MAP_RW, 5, &map);
    if (status == FARPAGE_OK) status = farpage_map_read(area, &map, 0, 8, back);
    if (status == FARPAGE_OK) status = farpage_map_write(area, &map, 0, 8, page);
    if (status == FARPAGE_OK) status = farpage_map_publish(area, &map);
    return status;
}

START_TEST(a_cut_in_a_maps_request_never_repeats_it)
{
    start(&(struct fake_plan){.mischief = FAKE_CUT, .to = cuts[_i].to, .times = 1}, 4096, 0);
    ck_assert_int_eq(use_map(), cuts[_i].status);
    ck_assert_int_eq(use_map(), FARPAGE_OK);
    stop();
}
END_TEST

static const struct {
    uint8_t to;
    uint16_t wire;
    enum farpage_status status;
} answers[] = {
    {FRAME_MAP, FRAME_BUSY, FARPAGE_BUSY},        {FRAME_MAP, FRAME_ABSENT, FARPAGE_ABSENT},
    {FRAME_MAP, FRAME_LIMIT, FARPAGE_LIMIT},      {FRAME_MREAD, FRAME_EXPIRED, FARPAGE_EXPIRED},
    {FRAME_MREAD, FRAME_MAP_MODE, FARPAGE_MAP_MODE},
    {FRAME_MWRITE, FRAME_NO_MAP, FARPAGE_NO_MAP}, {FRAME_UNMAP, FRAME_CHANGED, FARPAGE_CHANGED},
    {FRAME_UNMAP, FRAME_LOST, FARPAGE_LOST},      {FRAME_UNMAP, 99, FARPAGE_PROTOCOL},
};

START_TEST(what_the_server_says_of_a_map_is_said)
{
    start(&(struct fake_plan){.mischief = FAKE_STATUS,
                              .to = answers[_i].to,
                              .amount = answers[_i].wire},
          4096, 0);
    ck_assert_int_eq(use_map(), answers[_i].status);
    ck_assert_str_ne(farpage_area_error(area), "");
    stop();
}
END_TEST

static const struct frame_mapped mappings[] = {
    {.id = 0, .bytes = 4096}, {.id = 1, .bytes = 4097}, {.id = 1, .bytes = UINT32_MAX}, {0, 0, 0}};

START_TEST(a_mapping_without_sense_is_refused)
{
    uint8_t body[FRAME_MAPPED_BYTES];
    frame_mapped_encode(&mappings[_i], body);
    start(&(struct fake_plan){
              .mischief = FAKE_BODY, .to = FRAME_MAP, .amount = sizeof body, .body = body},
          4096, 0);
    ck_assert_int_eq(use_map(), FARPAGE_PROTOCOL);
    stop();
}
END_TEST

START_TEST(bytes_that_are_not_those_asked_for_are_refused)
{
    start(&(struct fake_plan){.mischief = FAKE_LENGTH_LESS, .to = FRAME_MREAD}, 4096, 0);
    ck_assert_int_eq(use_map(), FARPAGE_PROTOCOL);
    stop();
    start(&(struct fake_plan){.mischief = FAKE_FLIPPED_BODY, .to = FRAME_MREAD}, 4096, 0);
    ck_assert_int_eq(use_map(), FARPAGE_CORRUPT);
    ck_assert_uint_eq(back[0], 0x5a);
    stop();
}
END_TEST

START_TEST(what_makes_no_sense_is_not_sent)
{
    start(&(struct fake_plan){0}, 4096, 0);
    struct farpage_map map = {0};
    ck_assert_int_eq(farpage_map_read(area, &map, 0, 8, back), FARPAGE_NO_MAP);
    ck_assert_int_eq(farpage_map_page(area, SLOTS, FARPAGE_MAP_RO, 0, &map), FARPAGE_RANGE);
    ck_assert_int_eq(farpage_map_page(area, 0, (enum farpage_map_mode)4, 0, &map), FARPAGE_INVALID);
    ck_assert_int_eq(farpage_map_page(area, 0, FARPAGE_MAP_RO, 0, NULL), FARPAGE_INVALID);
    ck_assert_int_eq(farpage_map_page(area, 0, FARPAGE_MAP_RO, 0, &map), FARPAGE_OK);
    ck_assert_int_eq(farpage_map_read(area, &map, 0, 0, back), FARPAGE_INVALID);
    ck_assert_int_eq(farpage_map_read(area, &map, 0, 8, NULL), FARPAGE_INVALID);
    ck_assert_int_eq(farpage_map_read(area, &map, 4095, 2, back), FARPAGE_RANGE);
    ck_assert_int_eq(farpage_map_write(area, &map, UINT32_MAX, 2, page), FARPAGE_RANGE);
    ck_assert_int_eq(farpage_map_write(area, &map, 2, UINT32_MAX, page), FARPAGE_RANGE);
    ck_assert_uint_eq(fake_server_map_writes(server), 0);
    stop();
}
END_TEST

/* --- moves ---------------------------------------------------------------------------------- */

/* An area that takes no changes for a while: the store waits, and is carried out. */
START_TEST(a_store_waits_while_the_area_is_moved)
{
    start(&(struct fake_plan){
              .mischief = FAKE_STATUS, .to = FRAME_STORE, .times = 4, .amount = FRAME_DRAINING},
          4096, 0);
    ck_assert_int_eq(farpage_store(area, 3, page), FARPAGE_OK);
    ck_assert_int_eq(farpage_load(area, 3, back), FARPAGE_OK);
    ck_assert_mem_eq(page, back, 4096);
    stop();
}
END_TEST

static size_t moved_body(uint8_t *body, const char *address, uint64_t generation)
{
    struct frame_moved moved = {.generation = generation, .address = slice_text(address)};
    memcpy(moved.boot_id, "0123456789abcde", FRAME_BOOT_ID_BYTES);
    return frame_moved_encode(&moved, body);
}

START_TEST(where_an_area_was_moved_is_told)
{
    uint8_t body[512];
    size_t size_bytes = moved_body(body, "unix:/somewhere/else", 5);
    start(&(struct fake_plan){
              .mischief = FAKE_MOVED, .after = 4, .amount = size_bytes, .body = body},
          4096, 0);
    ck_assert_ptr_null(farpage_area_moved_to(area));
    enum farpage_status status = FARPAGE_OK;
    for (int i = 0; i < 10 && status == FARPAGE_OK; i++) status = farpage_store(area, 1, page);
    ck_assert_int_eq(status, FARPAGE_MOVED);
    ck_assert_int_eq(farpage_load(area, 1, back), FARPAGE_MOVED);
    ck_assert_str_eq(farpage_area_moved_to(area), "unix:/somewhere/else");
    ck_assert_ptr_nonnull(strstr(farpage_area_error(area), "unix:/somewhere/else"));
    stop();
}
END_TEST

/* The area is made on the other server by whoever moved it, with its pages. */
START_TEST(a_move_is_followed_where_that_is_wanted)
{
    struct fake_server *other = fake_server_create(&(struct fake_plan){0});
    struct farpage_options options = {.server = fake_server_address(other), .timeout_ms = 5000};
    struct farpage *mover;
    struct farpage_area *there;
    struct farpage_area_options wish = {.slots = SLOTS, .page_bytes = 4096};
    ck_assert_int_eq(farpage_connect(&options, &mover), FARPAGE_OK);
    ck_assert_int_eq(farpage_area_open(mover, "swap", &wish, &there), FARPAGE_OK);
    for (size_t i = 0; i < LARGE; i++) page[i] = (uint8_t)(i * 31 >> 3);
    ck_assert_int_eq(farpage_store(there, 1, page), FARPAGE_OK);
    uint8_t body[512];
    /* As the second row has it, the area there is not the one that was meant. */
    uint64_t generation = farpage_area_generation(there) + (unsigned)_i;
    size_t size_bytes = moved_body(body, fake_server_address(other), generation);
    start(&(struct fake_plan){
              .mischief = FAKE_MOVED, .after = 3, .amount = size_bytes, .body = body},
          4096, FARPAGE_FOLLOW_MOVES);
    enum farpage_status status = FARPAGE_OK;
    for (int i = 0; i < 10 && fake_server_greeted(other) < 3; i++) {
        status = farpage_store(area, 2, page);
    }
    ck_assert_int_eq(status, _i == 0 ? FARPAGE_OK : FARPAGE_LOST);
    status = farpage_load(area, 1, back);
    ck_assert_int_eq(status, _i == 0 ? FARPAGE_OK : FARPAGE_LOST);
    if (_i == 0) ck_assert_mem_eq(page, back, 4096);
    stop();
    farpage_disconnect(&mover);
    fake_server_destroy(&other);
}
END_TEST

/* Two servers that send the client to each other, or one to itself. */
START_TEST(nobody_is_sent_round_in_circles)
{
    uint8_t body[512];
    struct fake_plan plan = {.mischief = FAKE_MOVED, .after = 3, .body = body};
    start(&(struct fake_plan){0}, 4096, 0);
    stop();
    server = fake_server_create(&plan);
    fake_server_plan_amount(server, moved_body(body, fake_server_address(server), 77));
    struct farpage_options options = {.server = fake_server_address(server),
                                      .timeout_ms = 20000,
                                      .flags = FARPAGE_FOLLOW_MOVES};
    ck_assert_int_eq(farpage_connect(&options, &client), FARPAGE_OK);
    struct farpage_area_options wish = {.slots = SLOTS, .page_bytes = 4096};
    ck_assert_int_eq(farpage_area_open(client, "swap", &wish, &area), FARPAGE_OK);
    enum farpage_status status = FARPAGE_OK;
    for (int i = 0; i < 10 && status == FARPAGE_OK; i++) status = farpage_store(area, 1, page);
    ck_assert_int_eq(status, FARPAGE_MOVED);
    ck_assert_uint_lt(fake_server_greeted(server), 12);
    stop();
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("map");
    TCase *tcase = tcase_create("map");
    tcase_set_timeout(tcase, 60);
    tcase_add_loop_test(tcase, a_page_is_mapped_read_written_and_published, 0, 2);
    tcase_add_test(tcase, a_map_ends_with_its_connection);
    tcase_add_loop_test(tcase, a_cut_in_a_maps_request_never_repeats_it, 0, 4);
    tcase_add_loop_test(tcase, what_the_server_says_of_a_map_is_said, 0, 9);
    tcase_add_loop_test(tcase, a_mapping_without_sense_is_refused, 0, 4);
    tcase_add_test(tcase, bytes_that_are_not_those_asked_for_are_refused);
    tcase_add_test(tcase, what_makes_no_sense_is_not_sent);
    tcase_add_test(tcase, a_store_waits_while_the_area_is_moved);
    tcase_add_test(tcase, where_an_area_was_moved_is_told);
    tcase_add_loop_test(tcase, a_move_is_followed_where_that_is_wanted, 0, 2);
    tcase_add_test(tcase, nobody_is_sent_round_in_circles);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
