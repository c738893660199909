/* SPDX-License-Identifier: BSD-3-Clause */
#include "protocol/frame_batch.h"

#include "edge.h"
#include "tests/unit/base/suite.h"

enum { PACKED = 300 };

static void fill(uint8_t bytes[PACKED])
{
    for (unsigned i = 0; i < PACKED; i++) bytes[i] = (uint8_t)(i * 37);
}

START_TEST(an_entry_comes_out_as_it_went_in)
{
    uint8_t at[FRAME_ENTRY_BYTES + PACKED];
    struct frame_entry in = {.slot = UINT64_C(0x123456789a),
                             .page_crc = 0xdeadbeef,
                             .size_bytes = PACKED,
                             .codec = FRAME_CODEC_ZSTD,
                             .dictionary_id = 0x01020304};
    struct frame_entry out;
    fill(at + FRAME_ENTRY_BYTES);
    frame_entry_encode(&in, at + FRAME_ENTRY_BYTES, at);
    frame_entry_decode(at, &out);
    ck_assert(out.slot == in.slot && out.page_crc == in.page_crc && out.codec == in.codec);
    ck_assert(out.size_bytes == PACKED && out.dictionary_id == in.dictionary_id && !out.reserved);
    ck_assert(frame_entry_good(at, &out));
    at[18] = 1;
    frame_entry_decode(at, &out);
    ck_assert(out.reserved);
}
END_TEST

/* The page of a plain entry has its own checksum, so that it is not read twice. */
START_TEST(any_bit_of_an_entry_is_under_its_check_but_a_plain_page)
{
    uint8_t at[FRAME_ENTRY_BYTES + PACKED];
    for (unsigned codec = FRAME_CODEC_PLAIN; codec < FRAME_CODECS; codec++) {
        struct frame_entry in = {.slot = 3, .size_bytes = PACKED, .codec = (uint8_t)codec}, out;
        fill(at + FRAME_ENTRY_BYTES);
        frame_entry_encode(&in, at + FRAME_ENTRY_BYTES, at);
        for (unsigned bit = 0; bit < 8 * sizeof at; bit++) {
            bool page = codec == FRAME_CODEC_PLAIN && bit >= 8 * FRAME_ENTRY_BYTES;
            at[bit / 8] ^= (uint8_t)(1u << bit % 8);
            frame_entry_decode(at, &out);
            out.size_bytes = PACKED; /* as much as there is */
            ck_assert_msg(frame_entry_good(at, &out) == page, "bit %u", bit);
            at[bit / 8] ^= (uint8_t)(1u << bit % 8);
        }
    }
}
END_TEST

START_TEST(slots_come_out_as_they_went_in)
{
    uint64_t in[FRAME_BATCH_MAX];
    uint8_t body[FRAME_SLOTS_MAX_BYTES];
    struct frame_slots out;
    for (uint32_t i = 0; i < FRAME_BATCH_MAX; i++) in[i] = UINT64_MAX / (i + 1);
    size_t size = frame_slots_encode(FRAME_LOAD_PACKED, in, FRAME_BATCH_MAX, body);
    ck_assert_uint_eq(size, sizeof body);
    ck_assert(frame_slots_decode(slice_of(body, size), FRAME_BATCH_MAX, &out));
    ck_assert(out.flags == FRAME_LOAD_PACKED && out.count == FRAME_BATCH_MAX);
    for (uint32_t i = 0; i < FRAME_BATCH_MAX; i++)
        ck_assert_uint_eq(frame_slots_at(&out, i), in[i]);
}
END_TEST

START_TEST(a_list_is_as_long_as_its_count_says)
{
    uint64_t in[FRAME_BATCH_MAX + 1] = {0};
    uint8_t body[FRAME_SLOTS_MAX_BYTES + 8];
    struct frame_slots out;
    struct edge edge = edge_create(sizeof body);
    frame_slots_encode(0, in, FRAME_BATCH_MAX + 1, body);
    for (uint32_t count = 0; count <= FRAME_BATCH_MAX + 1; count++) {
        size_t size = FRAME_SLOTS_BYTES + 8 * (size_t)count;
        struct slice exact = edge_place(&edge, slice_of(body, size));
        bool possible = count >= 1 && count <= FRAME_BATCH_MAX;
        ck_assert(frame_slots_decode(exact, count, &out) == possible);
        if (possible) ck_assert_uint_eq(frame_slots_at(&out, count - 1), 0);
        ck_assert(!frame_slots_decode(slice_of(body, size + 1), count, &out));
        ck_assert(!frame_slots_decode(slice_of(body, size - 1), count, &out));
    }
    ck_assert(!frame_slots_decode(slice_of(body, 0), 1, &out));
    ck_assert(!frame_slots_decode(slice_of(body, 8), UINT32_MAX, &out));
    edge_destroy(&edge);
}
END_TEST

START_TEST(a_packed_page_comes_out_as_it_went_in)
{
    uint8_t body[FRAME_PACKED_BYTES + PACKED];
    struct frame_packed in = {
        .codec = FRAME_CODEC_LZ4, .dictionary_id = 77, .page_crc = 0xffffffff};
    struct frame_packed out;
    struct slice bytes;
    frame_packed_encode(&in, body);
    ck_assert(frame_packed_decode(slice_of(body, sizeof body), &out, &bytes));
    ck_assert(out.codec == in.codec && out.dictionary_id == 77 && out.page_crc == 0xfffffffc);
    ck_assert(bytes.bytes == body + FRAME_PACKED_BYTES && bytes.size_bytes == PACKED);
    for (size_t size = 0; size <= FRAME_PACKED_BYTES; size++)
        ck_assert(!frame_packed_decode(slice_of(body, size), &out, &bytes));
    for (unsigned codec = 0; codec < 256; codec++) {
        body[0] = (uint8_t)codec;
        bool packs = codec == FRAME_CODEC_LZ4 || codec == FRAME_CODEC_ZSTD ||
                     codec == FRAME_CODEC_WORD;
        ck_assert(frame_packed_decode(slice_of(body, sizeof body), &out, &bytes) == packs);
    }
}
END_TEST

int main(void)
{
    return suite_run("frame_batch", an_entry_comes_out_as_it_went_in,
                     any_bit_of_an_entry_is_under_its_check_but_a_plain_page,
                     slots_come_out_as_they_went_in, a_list_is_as_long_as_its_count_says,
                     a_packed_page_comes_out_as_it_went_in);
}
