/* SPDX-License-Identifier: BSD-3-Clause */
#include "protocol/frame.h"

#include <stdlib.h>

#include "base/crc32c.h"
#include "edge.h"
#include "protocol/limits.h"

static struct frame some_frame(uint8_t magic)
{
    return (struct frame){.magic = magic,
                          .opcode = FRAME_STORE,
                          .status = magic == FRAME_MAGIC_REPLY ? FRAME_NO_MEMORY : 0,
                          .tag = 0x01020304,
                          .slot = 0x1122334455667788,
                          .area = 0x0a0b0c0d,
                          .count = 0xfffffffe,
                          .body_bytes = 4096,
                          .body_crc = 0xdeadbeef};
}

static void expect_same(const struct frame *a, const struct frame *b)
{
    ck_assert_uint_eq(a->magic, b->magic);
    ck_assert_uint_eq(a->opcode, b->opcode);
    ck_assert_uint_eq(a->status, b->status);
    ck_assert_uint_eq(a->tag, b->tag);
    ck_assert(a->slot == b->slot);
    ck_assert_uint_eq(a->area, b->area);
    ck_assert_uint_eq(a->count, b->count);
    ck_assert_uint_eq(a->body_bytes, b->body_bytes);
    ck_assert_uint_eq(a->body_crc, b->body_crc);
}

START_TEST(a_frame_comes_out_as_it_went_in)
{
    static const uint8_t magics[] = {FRAME_MAGIC_REQUEST, FRAME_MAGIC_REPLY};
    for (size_t i = 0; i < FP_COUNT_OF(magics); i++) {
        struct frame in = some_frame(magics[i]), out;
        uint8_t header[FRAME_HEADER_BYTES];
        frame_encode(&in, header);
        ck_assert(frame_decode(header, magics[i], &out));
        expect_same(&in, &out);
    }
}
END_TEST

/* The bytes of the table in frame.h, so that no change of ours can agree with itself. */
START_TEST(the_bytes_are_those_of_the_table)
{
    static const uint8_t want[36] = {0xfb, 5,    0,    3,    1,    2,    3,    4,    0x11,
                                     0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88, 0x0a, 0x0b,
                                     0x0c, 0x0d, 0xff, 0xff, 0xff, 0xfe, 0,    0,    0x10,
                                     0,    0xde, 0xad, 0xbe, 0xef, 0,    0,    0,    0};
    struct frame frame = some_frame(FRAME_MAGIC_REPLY);
    uint8_t header[FRAME_HEADER_BYTES];
    frame_encode(&frame, header);
    ck_assert_mem_eq(header, want, sizeof want);
    uint32_t crc = crc32c(want, sizeof want);
    for (int i = 0; i < 4; i++) ck_assert_uint_eq(header[36 + i], (uint8_t)(crc >> (24 - 8 * i)));
}
END_TEST

START_TEST(every_flipped_bit_of_a_header_is_noticed)
{
    struct frame in = some_frame(FRAME_MAGIC_REQUEST), out;
    uint8_t header[FRAME_HEADER_BYTES];
    frame_encode(&in, header);
    for (unsigned bit = 0; bit < FRAME_HEADER_BYTES * 8; bit++) {
        header[bit / 8] ^= (uint8_t)(1u << bit % 8);
        ck_assert_msg(!frame_decode(header, FRAME_MAGIC_REQUEST, &out), "bit %u", bit);
        header[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    ck_assert(frame_decode(header, FRAME_MAGIC_REQUEST, &out));
}
END_TEST

START_TEST(a_refused_header_leaves_the_frame_alone)
{
    uint8_t header[FRAME_HEADER_BYTES] = {0};
    struct frame before = some_frame(FRAME_MAGIC_REQUEST), frame = before;
    ck_assert(!frame_decode(header, FRAME_MAGIC_REQUEST, &frame));
    expect_same(&before, &frame);
}
END_TEST

START_TEST(a_reply_is_no_request_and_a_request_has_no_status)
{
    struct frame in = some_frame(FRAME_MAGIC_REPLY), out;
    uint8_t header[FRAME_HEADER_BYTES];
    frame_encode(&in, header);
    ck_assert(!frame_decode(header, FRAME_MAGIC_REQUEST, &out));
    in.magic = FRAME_MAGIC_REQUEST; /* with the status still set */
    frame_encode(&in, header);
    ck_assert(!frame_decode(header, FRAME_MAGIC_REQUEST, &out));
}
END_TEST

START_TEST(fields_that_a_request_does_not_use_are_0)
{
    static const struct {
        struct frame frame;
        bool good;
    } rows[] = {
        {{.opcode = FRAME_PING}, true},
        {{.opcode = FRAME_PING, .slot = 1ull << 40}, false},
        {{.opcode = FRAME_PING, .area = 1}, false},
        {{.opcode = FRAME_PING, .count = 1}, false},
        {{.opcode = FRAME_LOAD, .slot = 7, .area = 1, .count = 1}, true},
        {{.opcode = FRAME_LOAD, .slot = 7, .area = 1}, false}, /* a page is one */
        {{.opcode = FRAME_LOAD, .slot = 7, .area = 1, .count = 2}, false},
        {{.opcode = FRAME_INVALIDATE, .slot = 7, .area = 1, .count = 99}, true},
        {{.opcode = FRAME_COMPACT, .count = 1}, true},
        {{.opcode = FRAME_COMPACT, .area = 1}, false},
        {{.opcode = 255, .area = 1}, false},
    };
    for (size_t i = 0; i < FP_COUNT_OF(rows); i++)
        ck_assert_msg(frame_fields_good(&rows[i].frame) == rows[i].good, "row %zu", i);
}
END_TEST

START_TEST(a_body_is_good_with_its_length_and_checksum_only)
{
    uint8_t body[4096];
    for (size_t i = 0; i < sizeof body; i++) body[i] = (uint8_t)(i * 7);
    struct frame frame = {.body_bytes = sizeof body, .body_crc = crc32c(body, sizeof body)};
    ck_assert(frame_body_good(&frame, slice_of(body, sizeof body)));
    ck_assert(!frame_body_good(&frame, slice_of(body, sizeof body - 1)));
    body[4095] ^= 0x80;
    ck_assert(!frame_body_good(&frame, slice_of(body, sizeof body)));
    frame = (struct frame){.body_bytes = 0, .body_crc = 0};
    ck_assert(frame_body_good(&frame, slice_of(NULL, 0)));
    frame.body_crc = 1;
    ck_assert(!frame_body_good(&frame, slice_of(NULL, 0)));
}
END_TEST

START_TEST(hello_and_welcome_come_out_as_they_went_in)
{
    struct frame_hello hello = {.version_lowest = 1, .version_highest = 0x0203, .features = 9}, h;
    uint8_t body[FRAME_WELCOME_BYTES];
    frame_hello_encode(&hello, body);
    ck_assert(frame_hello_decode(slice_of(body, FRAME_HELLO_BYTES), &h));
    ck_assert(h.version_lowest == 1 && h.version_highest == 0x0203 && h.features == 9);
    ck_assert(!frame_hello_decode(slice_of(body, FRAME_HELLO_BYTES - 1), &h));
    ck_assert(!frame_hello_decode(slice_of(body, FRAME_HELLO_BYTES + 1), &h));

    struct frame_welcome welcome = {.version = 1,
                                    .features = 2,
                                    .boot_id = "0123456789abcde",
                                    .page_bytes = 4096,
                                    .body_bytes_max = FRAME_BODY_BYTES_MAX,
                                    .requests_ahead_max = 128},
                         w;
    frame_welcome_encode(&welcome, body);
    ck_assert(frame_welcome_decode(slice_of(body, sizeof body), &w));
    ck_assert(w.version == 1 && w.features == 2 && w.page_bytes == 4096);
    ck_assert(w.body_bytes_max == FRAME_BODY_BYTES_MAX && w.requests_ahead_max == 128);
    ck_assert_mem_eq(w.boot_id, welcome.boot_id, sizeof w.boot_id);
    ck_assert(!frame_welcome_decode(slice_of(body, sizeof body - 1), &w));
}
END_TEST

START_TEST(open_comes_out_as_it_went_in)
{
    uint8_t body[FRAME_OPEN_BYTES + AREA_NAME_BYTES_MAX + 1];
    struct frame_open open = {.flags = FRAME_OPEN_CREATE,
                              .page_bytes = 16384,
                              .slots = AREA_SLOTS_MAX,
                              .quota_pages = 1,
                              .quota_bytes = UINT64_MAX,
                              .boot_id = "fifteen letters",
                              .generation = 3,
                              .client_id = "and some others",
                              .reserved = 5,
                              .name = slice_text("swap/one")},
                      o;
    size_t size = frame_open_encode(&open, body);
    ck_assert_uint_eq(size, FRAME_OPEN_BYTES + 8);
    ck_assert(frame_open_decode(slice_of(body, size), &o));
    ck_assert(o.flags == FRAME_OPEN_CREATE && o.page_bytes == 16384 && o.slots == AREA_SLOTS_MAX);
    ck_assert(o.quota_pages == 1 && o.quota_bytes == UINT64_MAX);
    ck_assert(o.generation == 3 && o.reserved == 5);
    ck_assert_mem_eq(o.boot_id, "fifteen letters", sizeof o.boot_id);
    ck_assert_mem_eq(o.client_id, "and some others", sizeof o.client_id);
    ck_assert(slice_is(o.name, "swap/one"));
}
END_TEST

START_TEST(opened_comes_out_as_it_went_in)
{
    uint8_t body[FRAME_OPENED_BYTES];
    struct frame_opened opened = {.slots = 7,
                                  .page_bytes = 4096,
                                  .dictionary_id = 9,
                                  .generation = UINT64_MAX,
                                  .codec = 2,
                                  .level = -50,
                                  .flags = FRAME_OPEN_TRANSIENT,
                                  .stored = 3},
                        p;
    frame_opened_encode(&opened, body);
    ck_assert(frame_opened_decode(slice_of(body, FRAME_OPENED_BYTES), &p));
    ck_assert(p.slots == 7 && p.page_bytes == 4096 && p.generation == UINT64_MAX);
    ck_assert(p.dictionary_id == 9 && p.codec == 2 && p.level == -50);
    ck_assert(p.flags == FRAME_OPEN_TRANSIENT && p.stored == 3);
    ck_assert(!frame_opened_decode(slice_of(body, FRAME_OPENED_BYTES - 1), &p));
}
END_TEST

/* Each body at the edge of the address space, one byte shorter and longer than can be. */
START_TEST(bodies_of_any_length_are_read_within_bounds)
{
    struct edge edge = edge_create(160);
    uint8_t bytes[160];
    memset(bytes, 'a', sizeof bytes);
    for (size_t size = 0; size <= sizeof bytes; size++) {
        struct slice body = edge_place(&edge, slice_of(bytes, size));
        struct frame_hello hello;
        struct frame_welcome welcome;
        struct frame_open open;
        struct frame_opened opened;
        ck_assert(frame_hello_decode(body, &hello) == (size == FRAME_HELLO_BYTES));
        ck_assert(frame_welcome_decode(body, &welcome) == (size == FRAME_WELCOME_BYTES));
        ck_assert(frame_opened_decode(body, &opened) == (size == FRAME_OPENED_BYTES));
        bool fits = size > FRAME_OPEN_BYTES && size <= FRAME_OPEN_BYTES + AREA_NAME_BYTES_MAX;
        ck_assert(frame_open_decode(body, &open) == fits);
        if (fits) ck_assert(open.name.bytes + open.name.size_bytes == body.bytes + size);
    }
    edge_destroy(&edge);
}
END_TEST

START_TEST(area_names_are_plain)
{
    static const char *const good[] = {"a", "0", "swap", "vm-1/swap_0.main", "A.b"};
    static const char *const bad[] = {"", ".", "/etc", "-x", "_x", "a b", "a\n", "\xc3\xa4", "a:b"};
    for (size_t i = 0; i < FP_COUNT_OF(good); i++)
        ck_assert_msg(frame_area_name_good(slice_text(good[i])), "%s", good[i]);
    for (size_t i = 0; i < FP_COUNT_OF(bad); i++)
        ck_assert_msg(!frame_area_name_good(slice_text(bad[i])), "%s", bad[i]);
    char name[AREA_NAME_BYTES_MAX + 1];
    memset(name, 'n', sizeof name);
    ck_assert(frame_area_name_good(slice_of(name, AREA_NAME_BYTES_MAX)));
    ck_assert(!frame_area_name_good(slice_of(name, AREA_NAME_BYTES_MAX + 1)));
    ck_assert(!frame_area_name_good(slice_of("a\0b", 3)));
}
END_TEST

START_TEST(every_status_and_opcode_has_its_text)
{
    ck_assert_str_eq(frame_status_text(FRAME_OK), "ok");
    ck_assert_str_eq(frame_status_text(FRAME_NO_SECTION), "no section");
    ck_assert_str_eq(frame_status_text(FRAME_LOST), "lost");
    ck_assert_str_eq(frame_status_text(99), "unknown status");
    ck_assert(frame_status_known(FRAME_OK) && !frame_status_known(99));
    ck_assert_str_eq(frame_status_text(UINT16_MAX), "unknown status");
    ck_assert_str_eq(frame_opcode_text(FRAME_INVALIDATE), "invalidate");
    ck_assert_ptr_null(frame_opcode_text(0));
    ck_assert_ptr_null(frame_opcode_text(99));
    ck_assert_ptr_null(frame_opcode_text(255));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("frame");
    TCase *tcase = tcase_create("version 1");
    tcase_add_test(tcase, a_frame_comes_out_as_it_went_in);
    tcase_add_test(tcase, the_bytes_are_those_of_the_table);
    tcase_add_test(tcase, every_flipped_bit_of_a_header_is_noticed);
    tcase_add_test(tcase, a_refused_header_leaves_the_frame_alone);
    tcase_add_test(tcase, a_reply_is_no_request_and_a_request_has_no_status);
    tcase_add_test(tcase, fields_that_a_request_does_not_use_are_0);
    tcase_add_test(tcase, a_body_is_good_with_its_length_and_checksum_only);
    tcase_add_test(tcase, hello_and_welcome_come_out_as_they_went_in);
    tcase_add_test(tcase, open_comes_out_as_it_went_in);
    tcase_add_test(tcase, opened_comes_out_as_it_went_in);
    tcase_add_test(tcase, bodies_of_any_length_are_read_within_bounds);
    tcase_add_test(tcase, area_names_are_plain);
    tcase_add_test(tcase, every_status_and_opcode_has_its_text);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
