/* SPDX-License-Identifier: BSD-3-Clause */
#include "codec/codec_solo.h"

#include <string.h>

#include "codec/codec.h"
#include "tests/unit/base/suite.h"

enum { PAGE = 4096, SAMPLES = 256 };

static uint32_t next(uint32_t *state)
{
    return (*state = *state * 1664525 + 1013904223) >> 8;
}

/* Records that all pages draw from, in another order for each n. */
static void fill(uint8_t page[PAGE], uint32_t n)
{
    enum { RECORD = 32, RECORDS = 256 };
    uint32_t order = n * 2654435761u + 1;
    for (size_t at = 0; at < PAGE; at += RECORD) {
        uint32_t record = next(&order) % RECORDS + 1;
        for (size_t i = 0; i < RECORD; i++) page[at + i] = (uint8_t)next(&record);
    }
}

static struct dictionary *learn(void)
{
    static uint8_t pages[SAMPLES * PAGE];
    struct dictionary_samples samples = {pages, PAGE, SAMPLES};
    struct dictionary *dictionary = NULL;
    const char *reason;
    for (uint32_t i = 0; i < SAMPLES; i++) fill(pages + i * PAGE, i);
    ck_assert_int_eq(dictionary_train(&samples, 16384, &dictionary, &reason), FP_OK);
    return dictionary;
}

/* What `from` packs is what `to` unpacks; both have the dictionary, which may be NULL. */
static size_t expect_understood(const char *from, const char *to, struct dictionary *dictionary)
{
    struct compressor_config packs = {from, 0, dictionary}, unpacks = {to, 0, dictionary};
    struct codec_solo sender, receiver;
    uint8_t page[PAGE], out[PAGE], room[PAGE - 1];
    struct packed packed;
    fill(page, 77777);
    ck_assert_int_eq(codec_solo_init(&sender, &packs), FP_OK);
    ck_assert_int_eq(codec_solo_init(&receiver, &unpacks), FP_OK);
    ck_assert_int_eq(sender.codec->format, receiver.codec->format);
    ck_assert_int_eq(codec_solo_pack(&sender, (struct plain){page, PAGE},
                                     (struct space){room, sizeof room}, &packed), FP_OK);
    ck_assert_int_eq(codec_solo_unpack(&receiver, packed, (struct space){out, PAGE}), FP_OK);
    ck_assert_mem_eq(page, out, PAGE);
    /* Anything but just that page is refused. */
    struct space small = {out, PAGE - 1};
    ck_assert_int_eq(codec_solo_unpack(&receiver, packed, small), FP_CORRUPT);
    struct packed cut = {packed.bytes, packed.size_bytes - 1};
    ck_assert_int_eq(codec_solo_unpack(&receiver, cut, (struct space){out, PAGE}), FP_CORRUPT);
    codec_solo_fini(&sender);
    codec_solo_fini(&receiver);
    return packed.size_bytes;
}

START_TEST(who_packs_and_who_unpacks_need_agree_on_format_and_dictionary_only)
{
    static const char *const pairs[][2] = {
        {"lz4", "lz4"}, {"lz4hc", "lz4"}, {"lz4", "lz4hc"}, {"zstd", "zstd"}};
    struct dictionary *dictionary = learn();
    for (size_t i = 0; i < FP_COUNT_OF(pairs); i++) {
        size_t without = expect_understood(pairs[i][0], pairs[i][1], NULL);
        size_t with = expect_understood(pairs[i][0], pairs[i][1], dictionary);
        ck_assert_uint_lt(with, without);
    }
    dictionary_release(&dictionary);
}
END_TEST

START_TEST(what_only_unpacks_has_no_memory_to_pack_with)
{
    struct compressor_config config = {.algorithm = "lz4"};
    struct codec_solo solo;
    uint8_t page[PAGE] = {1}, room[PAGE];
    struct packed packed;
    ck_assert_int_eq(codec_solo_init(&solo, &config), FP_OK);
    ck_assert_ptr_null(solo.packer);
    ck_assert_int_eq(codec_solo_pack(&solo, (struct plain){page, PAGE},
                                     (struct space){room, PAGE}, &packed), FP_OK);
    ck_assert_ptr_nonnull(solo.packer);
    codec_solo_fini(&solo);
}
END_TEST

START_TEST(one_repeated_word_is_told_from_all_else)
{
    uint64_t pages[PAGE / 8], again[PAGE / 8], word = 0;
    for (size_t i = 0; i < PAGE / 8; i++) pages[i] = 0x0123456789abcdef;
    struct plain plain = {(uint8_t *)pages, PAGE};
    ck_assert(plain_is_same_filled(plain, &word));
    ck_assert_uint_eq(word, 0x0123456789abcdef);
    plain_fill((struct space){(uint8_t *)again, PAGE}, word);
    ck_assert_mem_eq(pages, again, PAGE);
    for (size_t at = 0; at < PAGE; at += 97) {
        ((uint8_t *)pages)[at] ^= 1;
        ck_assert(!plain_is_same_filled(plain, &word));
        ((uint8_t *)pages)[at] ^= 1;
    }
    ck_assert(!plain_is_same_filled((struct plain){(uint8_t *)pages, 4}, &word));
    ck_assert(!plain_is_same_filled((struct plain){(uint8_t *)pages, 12}, &word));
}
END_TEST

int main(void)
{
    return suite_run("codec_solo",
                     who_packs_and_who_unpacks_need_agree_on_format_and_dictionary_only,
                     what_only_unpacks_has_no_memory_to_pack_with,
                     one_repeated_word_is_told_from_all_else);
}
