/* SPDX-License-Identifier: BSD-3-Clause */
#include "protocol/frame_map.h"

#include "edge.h"
#include "tests/unit/base/suite.h"

START_TEST(what_is_asked_and_answered_comes_out_as_it_went_in)
{
    uint8_t body[FRAME_MAPPED_BYTES + 3] = {0};
    uint32_t lease_s, offset;
    struct slice bytes;
    struct frame_mapped in = {.id = 1ull << 40, .bytes = 65536, .lease_s = 60}, out;
    struct frame_map_range range = {.offset = 7, .bytes = UINT32_MAX}, got;
    frame_map_encode(90, body);
    ck_assert(frame_map_decode(slice_of(body, FRAME_MAP_BYTES), &lease_s) && lease_s == 90);
    frame_mapped_encode(&in, body);
    ck_assert(frame_mapped_decode(slice_of(body, FRAME_MAPPED_BYTES), &out));
    ck_assert(out.id == in.id && out.bytes == in.bytes && out.lease_s == in.lease_s);
    frame_mread_encode(&range, body);
    ck_assert(frame_mread_decode(slice_of(body, FRAME_MAP_RANGE_BYTES), &got));
    ck_assert(got.offset == 7 && got.bytes == UINT32_MAX);
    frame_mwrite_encode(9, body);
    memcpy(body + FRAME_MAP_RANGE_BYTES, "abc", 3);
    struct slice whole = slice_of(body, FRAME_MAP_RANGE_BYTES + 3);
    ck_assert(frame_mwrite_decode(whole, &offset, &bytes));
    ck_assert(offset == 9 && slice_is(bytes, "abc"));
}
END_TEST

/* Each length is read at the end of what may be read. */
START_TEST(a_body_of_another_length_or_with_more_in_it_is_refused)
{
    struct edge edge = edge_create(64);
    static const uint8_t zeros[32];
    uint8_t reserved[FRAME_MAP_BYTES] = {[7] = 1};
    uint32_t number;
    struct slice bytes;
    struct frame_mapped mapped;
    struct frame_map_range range;
    for (size_t size = 0; size <= sizeof zeros; size++) {
        struct slice body = edge_place(&edge, slice_of(zeros, size));
        ck_assert(frame_map_decode(body, &number) == (size == FRAME_MAP_BYTES));
        ck_assert(frame_mapped_decode(body, &mapped) == (size == FRAME_MAPPED_BYTES));
        ck_assert(frame_mread_decode(body, &range) == (size == FRAME_MAP_RANGE_BYTES));
        ck_assert(frame_mwrite_decode(body, &number, &bytes) == (size >= FRAME_MAP_RANGE_BYTES));
    }
    edge_destroy(&edge);
    ck_assert(!frame_map_decode(slice_of(reserved, sizeof reserved), &number));
    ck_assert(!frame_mwrite_decode(slice_of(reserved, sizeof reserved), &number, &bytes));
}
END_TEST

int main(void)
{
    return suite_run("frame_map", what_is_asked_and_answered_comes_out_as_it_went_in,
                     a_body_of_another_length_or_with_more_in_it_is_refused);
}
