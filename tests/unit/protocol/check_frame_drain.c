/* SPDX-License-Identifier: BSD-3-Clause */
#include "protocol/frame_drain.h"

#include "edge.h"
#include "tests/unit/base/suite.h"

START_TEST(a_row_comes_out_as_it_went_in)
{
    uint8_t used[FRAME_ROW_SLOTS / 8] = {[0] = 0x81, [127] = 0x40}, at[FRAME_ROW_BYTES];
    struct frame_row in = {.first = 5 << 10, .changes = 0xfffffffe, .used_slots = 3, .used = used};
    struct frame_row out;
    frame_row_encode(&in, at);
    ck_assert(frame_row_decode(at, &out));
    ck_assert(out.first == in.first && out.changes == in.changes && out.used_slots == 3);
    ck_assert(frame_row_has(&out, 0) && frame_row_has(&out, 7) && frame_row_has(&out, 1022));
    ck_assert(!frame_row_has(&out, 1) && !frame_row_has(&out, 1023));
}
END_TEST

START_TEST(an_impossible_row_is_refused)
{
    uint8_t used[FRAME_ROW_SLOTS / 8] = {1}, at[FRAME_ROW_BYTES];
    struct frame_row row = {.first = 1024, .used_slots = 1, .used = used};
    frame_row_encode(&row, at);
    ck_assert(frame_row_decode(at, &row));
    row.used_slots = 2; /* but one bit */
    frame_row_encode(&row, at);
    ck_assert(!frame_row_decode(at, &row));
    row = (struct frame_row){.first = 1025, .used_slots = 1, .used = used}; /* within a row */
    frame_row_encode(&row, at);
    ck_assert(!frame_row_decode(at, &row));
    row = (struct frame_row){.first = AREA_SLOTS_MAX, .used_slots = 1, .used = used};
    frame_row_encode(&row, at);
    ck_assert(!frame_row_decode(at, &row));
}
END_TEST

START_TEST(where_pages_moved_to_comes_out_as_it_went_in)
{
    uint8_t body[FRAME_MOVED_BYTES + MOVED_ADDRESS_BYTES_MAX];
    struct frame_moved in = {
        .boot_id = {1, [15] = 2}, .generation = 7, .address = slice_text("[::1]:11211")};
    struct frame_moved out;
    size_t size = frame_moved_encode(&in, body);
    ck_assert(frame_moved_decode(slice_of(body, size), &out));
    ck_assert_mem_eq(out.boot_id, in.boot_id, sizeof in.boot_id);
    ck_assert(out.generation == 7 && slice_is(out.address, "[::1]:11211"));
}
END_TEST

START_TEST(an_address_is_printable_and_of_some_length)
{
    static const uint8_t bad[] = {0, '\n', ' ', 0x7f, 0x80, 0xff};
    uint8_t body[FRAME_MOVED_BYTES + MOVED_ADDRESS_BYTES_MAX + 1];
    struct frame_moved out;
    memset(body, 'a', sizeof body);
    ck_assert(frame_moved_decode(slice_of(body, FRAME_MOVED_BYTES + 1), &out));
    ck_assert(frame_moved_decode(slice_of(body, sizeof body - 1), &out));
    ck_assert(!frame_moved_decode(slice_of(body, sizeof body), &out));
    for (size_t i = 0; i < sizeof bad; i++) {
        body[FRAME_MOVED_BYTES + 3] = bad[i];
        ck_assert(!frame_moved_decode(slice_of(body, FRAME_MOVED_BYTES + 5), &out));
    }
}
END_TEST

START_TEST(bodies_of_any_length_are_read_within_bounds)
{
    uint8_t bytes[512];
    struct edge edge = edge_create(sizeof bytes);
    memset(bytes, 'x', sizeof bytes);
    for (size_t size = 0; size <= sizeof bytes; size++) {
        struct slice body = edge_place(&edge, slice_of(bytes, size));
        struct frame_moved moved;
        struct frame_asked asked;
        bool fits = size > FRAME_MOVED_BYTES &&
                    size <= FRAME_MOVED_BYTES + MOVED_ADDRESS_BYTES_MAX;
        ck_assert(frame_moved_decode(body, &moved) == fits);
        ck_assert(!frame_asked_decode(body, &asked)); /* of 24 bytes the last are not 0 */
        uint64_t next;
        uint32_t rows;
        ck_assert(frame_stored_decode(body, &next, &rows) == (size == 8 || size == 152 ||
                                                              size == 296 || size == 440));
    }
    edge_destroy(&edge);
}
END_TEST

START_TEST(what_was_asked_comes_out_as_it_went_in)
{
    struct frame_asked out;
    struct frame_asked in = {
        .stored = 1ull << 33, .asked = 1, .willing = 0x01020304, .refused = 3};
    uint8_t body[FRAME_ASKED_BYTES];
    frame_asked_encode(&in, body);
    ck_assert(frame_asked_decode(slice_of(body, sizeof body), &out));
    ck_assert(out.stored == 1ull << 33 && out.asked == 1);
    ck_assert(out.willing == 0x01020304 && out.refused == 3);
    ck_assert(!frame_asked_decode(slice_of(body, sizeof body - 1), &out));
}
END_TEST

int main(void)
{
    return suite_run("frame_drain", a_row_comes_out_as_it_went_in, an_impossible_row_is_refused,
                     where_pages_moved_to_comes_out_as_it_went_in,
                     an_address_is_printable_and_of_some_length,
                     bodies_of_any_length_are_read_within_bounds,
                     what_was_asked_comes_out_as_it_went_in);
}
