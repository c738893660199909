/* SPDX-License-Identifier: BSD-3-Clause
 * Pages that travel packed are the pages that were stored, whatever packed them; bytes that are no
 * page are never one. */
#include <check.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/crc32c.h"
#include "client/include/farpage.h"
#include "client/packer.h"
#include "tests/unit/client/fake_server.h"

enum { SLOTS = 64, PAGE = 4096, ALL = (1u << FRAME_CODECS) - 1 };

static struct fake_server *server;
static struct farpage *client;
static struct farpage_area *area;

static void start(const struct fake_plan *plan, enum farpage_pack pack, int level)
{
    server = fake_server_create(plan);
    struct farpage_options options = {.server = fake_server_address(server), .timeout_ms = 20000};
    ck_assert_int_eq(farpage_connect(&options, &client), FARPAGE_OK);
    struct farpage_area_options wish = {
        .slots = SLOTS, .page_bytes = PAGE, .pack = pack, .pack_level = level};
    ck_assert_int_eq(farpage_area_open(client, "swap", &wish, &area), FARPAGE_OK);
}

static void stop(void)
{
    farpage_disconnect(&client);
    fake_server_destroy(&server);
}

/* Of the kinds there are: same-filled, much alike, not to be packed; another for each number. */
static void make_page(uint8_t *page, unsigned number)
{
    uint32_t random = number * 2654435761u + 1;
    for (size_t i = 0; i < PAGE; i++) {
        random = random * 1664525u + 1013904223u;
        if (number % 3 == 0) page[i] = (uint8_t)number;
        if (number % 3 == 1) page[i] = (uint8_t)"the quick brown fox"[(i + (random >> 30)) % 19];
        if (number % 3 == 2) page[i] = (uint8_t)(random >> 24);
    }
}

static void there_and_back(void)
{
    static uint8_t pages[SLOTS][PAGE], back[SLOTS][PAGE];
    struct farpage_op ops[SLOTS];
    memset(back, 0, sizeof back);
    for (unsigned i = 0; i < SLOTS; i++) {
        make_page(pages[i], i);
        ops[i] = (struct farpage_op){.kind = FARPAGE_OP_STORE, .slot = i, .page = pages[i]};
    }
    ck_assert_int_eq(farpage_batch(area, ops, SLOTS, 0), FARPAGE_OK);
    for (unsigned i = 0; i < SLOTS; i++) {
        ck_assert_int_eq(ops[i].status, FARPAGE_OK);
        ops[i] = (struct farpage_op){.kind = FARPAGE_OP_LOAD, .slot = i, .page = back[i]};
    }
    ck_assert_int_eq(farpage_batch(area, ops, SLOTS, 0), FARPAGE_OK);
    ck_assert_mem_eq(pages, back, sizeof pages);
    for (unsigned i = 0; i < 3; i++) { /* one by one, as well */
        ck_assert_int_eq(farpage_store(area, i, pages[i + 3]), FARPAGE_OK);
        ck_assert_int_eq(farpage_load(area, i, back[i]), FARPAGE_OK);
        ck_assert_mem_eq(pages[i + 3], back[i], PAGE);
    }
}

static const struct {
    enum farpage_pack pack;
    int level;
    uint8_t hint;
    bool packs;
} ways[] = {
    {FARPAGE_PACK_LZ4, 0, 0, true},   {FARPAGE_PACK_LZ4, 7, 0, true},
    {FARPAGE_PACK_LZ4HC, 9, 0, true}, {FARPAGE_PACK_ZSTD, 0, 0, true},
    {FARPAGE_PACK_ZSTD, 3, 0, true},  {FARPAGE_PACK_AUTO, 0, FRAME_CODEC_LZ4, true},
    {FARPAGE_PACK_AUTO, 0, FRAME_CODEC_ZSTD, true},
    {FARPAGE_PACK_AUTO, 0, 0, false}, {FARPAGE_PACK_OFF, 0, FRAME_CODEC_LZ4, false},
};

START_TEST(every_way_to_pack_brings_every_page_back)
{
    start(&(struct fake_plan){.codecs = ALL, .hint = ways[_i].hint}, ways[_i].pack,
          ways[_i].level);
    there_and_back();
    /* Two of three kinds shrink, but for a codec in a hurry. */
    unsigned packed = ways[_i].packs ? SLOTS - SLOTS / 3 + 2 : 0;
    if (ways[_i].level == 7) packed = SLOTS / 3 + 2;
    ck_assert_uint_eq(fake_server_packed(server), packed);
    stop();
}
END_TEST

START_TEST(what_the_server_does_not_take_travels_plain)
{
    start(&(struct fake_plan){.codecs = 1u << FRAME_CODEC_LZ4}, FARPAGE_PACK_ZSTD, 0);
    there_and_back();
    ck_assert_uint_eq(fake_server_packed(server), 0);
    stop();
    start(&(struct fake_plan){0}, FARPAGE_PACK_LZ4, 0);
    there_and_back();
    ck_assert_uint_eq(fake_server_packed(server), 0);
    stop();
}
END_TEST

START_TEST(a_server_that_takes_nothing_packed_any_more_gets_it_plain)
{
    start(&(struct fake_plan){.codecs = ALL,
                              .mischief = FAKE_STATUS,
                              .to = FRAME_STORE,
                              .times = 1,
                              .amount = FRAME_BAD_CODEC},
          FARPAGE_PACK_LZ4, 0);
    uint8_t page[PAGE], back[PAGE];
    make_page(page, 1);
    ck_assert_int_eq(farpage_store(area, 1, page), FARPAGE_OK);
    ck_assert_int_eq(farpage_load(area, 1, back), FARPAGE_OK);
    ck_assert_mem_eq(page, back, PAGE);
    stop();
}
END_TEST

START_TEST(there_is_no_such_way_to_pack)
{
    static const struct {
        int pack, level;
    } rows[] = {{99, 0}, {FARPAGE_PACK_LZ4HC, 13}, {FARPAGE_PACK_ZSTD, 20}, {FARPAGE_PACK_AUTO, 3}};
    server = fake_server_create(&(struct fake_plan){0});
    struct farpage_options options = {.server = fake_server_address(server)};
    ck_assert_int_eq(farpage_connect(&options, &client), FARPAGE_OK);
    struct farpage_area_options wish = {.slots = SLOTS,
                                        .pack = (enum farpage_pack)rows[_i].pack,
                                        .pack_level = rows[_i].level};
    ck_assert_int_eq(farpage_area_open(client, "swap", &wish, &area), FARPAGE_INVALID);
    ck_assert_str_ne(farpage_error(client), "");
    stop();
}
END_TEST

/* --- dictionaries --------------------------------------------------------------------------- */

/* One that pages of the second kind shrink with. */
static struct dictionary *train(void)
{
    enum { SAMPLES = 400 };
    static uint8_t samples[SAMPLES][PAGE];
    for (unsigned i = 0; i < SAMPLES; i++) make_page(samples[i], 3 * i + 1);
    struct dictionary_samples all = {samples[0], PAGE, SAMPLES};
    struct dictionary *dictionary;
    const char *reason;
    ck_assert_int_eq(dictionary_train(&all, 8192, &dictionary, &reason), FP_OK);
    return dictionary;
}

START_TEST(the_areas_dictionary_is_fetched_and_used)
{
    struct dictionary *dictionary = train();
    struct slice bytes = dictionary_bytes(dictionary);
    start(&(struct fake_plan){.codecs = ALL,
                              .dictionary_id = dictionary_id(dictionary),
                              .dictionary = bytes.bytes,
                              .dictionary_bytes = bytes.size_bytes},
          _i == 0 ? FARPAGE_PACK_LZ4 : FARPAGE_PACK_ZSTD, 0);
    there_and_back();
    there_and_back();
    ck_assert_uint_eq(fake_server_dictionaries(server), 1);
    ck_assert_uint_ge(fake_server_with_dictionary(server), SLOTS / 3);
    stop();
    dictionary_release(&dictionary);
}
END_TEST

/* Told that the dictionary is gone, the page goes again without it. */
START_TEST(a_dictionary_that_is_gone_is_done_without)
{
    struct dictionary *dictionary = train();
    struct slice bytes = dictionary_bytes(dictionary);
    start(&(struct fake_plan){.codecs = ALL,
                              .dictionary_id = dictionary_id(dictionary),
                              .dictionary = bytes.bytes,
                              .dictionary_bytes = bytes.size_bytes,
                              .mischief = FAKE_STATUS,
                              .to = FRAME_STORE,
                              .after = 10,
                              .times = 1,
                              .amount = FRAME_NO_DICTIONARY},
          FARPAGE_PACK_ZSTD, 0);
    uint8_t page[PAGE], back[PAGE];
    for (unsigned i = 0; i < 20; i++) {
        make_page(page, 3 * i + 1);
        ck_assert_msg(farpage_store(area, i, page) == FARPAGE_OK, "%u: %s", i,
                      farpage_area_error(area));
        ck_assert_int_eq(farpage_load(area, i, back), FARPAGE_OK);
        ck_assert_mem_eq(page, back, PAGE);
    }
    stop();
    dictionary_release(&dictionary);
}
END_TEST

/* Its id, and other bytes. */
START_TEST(a_dictionary_that_is_none_is_done_without)
{
    static const char bytes[] = "this is no dictionary, whatever the server says about it";
    start(&(struct fake_plan){.codecs = ALL,
                              .dictionary_id = 7,
                              .dictionary = bytes,
                              .dictionary_bytes = _i == 0 ? sizeof bytes : 0},
          FARPAGE_PACK_ZSTD, 0);
    there_and_back();
    there_and_back();
    ck_assert_uint_le(fake_server_dictionaries(server), 4);
    ck_assert_uint_eq(fake_server_with_dictionary(server), 0);
    stop();
}
END_TEST

/* --- bytes that may be anybody's ------------------------------------------------------------ */

static struct packer *make_packer(enum farpage_pack wish)
{
    struct packer *packer = malloc(sizeof *packer);
    struct reason reason;
    ck_assert_ptr_nonnull(packer);
    ck_assert_int_eq(packer_init(packer, wish, 0, &reason), FARPAGE_OK);
    packer_agree(packer, &(struct packer_terms){.codecs = ALL, .page_bytes = PAGE});
    ck_assert(packer_packs(packer));
    return packer;
}

static void end_packer(struct packer *packer)
{
    packer_fini(packer);
    free(packer);
}

/* The body of the reply that an entry comes back as. */
static size_t reply_of(struct packer *packer, const uint8_t *page, uint8_t *body)
{
    static uint8_t entry[FRAME_ENTRY_BYTES + PAGE];
    uint32_t dictionary_id;
    struct frame_entry read;
    (void)packer_put(packer, 1, page, entry, &dictionary_id);
    frame_entry_decode(entry, &read);
    ck_assert(frame_entry_good(entry, &read) && read.page_crc == crc32c(page, PAGE));
    struct frame_packed packed = {.codec = read.codec,
                                  .page_crc = read.page_crc & FRAME_PACKED_CRC_MASK};
    frame_packed_encode(&packed, body);
    memcpy(body + FRAME_PACKED_BYTES, entry + FRAME_ENTRY_BYTES, read.size_bytes);
    return FRAME_PACKED_BYTES + read.size_bytes;
}

START_TEST(a_damaged_page_is_never_another_page)
{
    struct packer *packer = make_packer(_i == 0 ? FARPAGE_PACK_LZ4 : FARPAGE_PACK_ZSTD);
    static uint8_t page[PAGE], back[PAGE], untouched[PAGE], body[FRAME_PACKED_BYTES + PAGE];
    memset(untouched, 0x5a, PAGE);
    for (unsigned kind = 0; kind < 2; kind++) {
        make_page(page, kind);
        size_t size = reply_of(packer, page, body);
        ck_assert_int_eq(packer_take(packer, slice_of(body, size), back), PACKER_GOOD);
        ck_assert_mem_eq(page, back, PAGE);
        /* Every bit of what is said about the page, and many of the page. */
        for (size_t bit = 0; bit < 8 * size; bit += bit < 8 * 64 ? 1 : 13) {
            if (bit / 8 >= 1 && bit / 8 < 4) continue; /* reserved */
            memset(back, 0x5a, PAGE);
            body[bit / 8] ^= (uint8_t)(1u << bit % 8);
            enum packer_result result = packer_take(packer, slice_of(body, size), back);
            body[bit / 8] ^= (uint8_t)(1u << bit % 8);
            /* GOOD: a bit that the codec has no use for. */
            ck_assert_mem_eq(back, result == PACKER_GOOD ? page : untouched, PAGE);
        }
        for (size_t cut = 0; cut < size; cut += cut < 64 ? 1 : 7) {
            ck_assert_int_ne(packer_take(packer, slice_of(body, cut), back), PACKER_GOOD);
        }
    }
    end_packer(packer);
}
END_TEST

START_TEST(what_cannot_be_a_packed_page_is_nonsense)
{
    struct packer *packer = make_packer(FARPAGE_PACK_LZ4);
    static uint8_t back[PAGE], body[FRAME_PACKED_BYTES + PAGE + 1];
    static const struct {
        struct frame_packed packed;
        size_t size_bytes;
    } rows[] = {
        {{.codec = FRAME_CODEC_PLAIN}, 100},
        {{.codec = FRAME_CODECS}, 100},
        {{.codec = 255}, 100},
        {{.codec = FRAME_CODEC_LZ4}, 0},
        {{.codec = FRAME_CODEC_LZ4}, PAGE},
        {{.codec = FRAME_CODEC_LZ4}, PAGE + 1},
        {{.codec = FRAME_CODEC_WORD}, 7},
        {{.codec = FRAME_CODEC_WORD}, 9},
        {{.codec = FRAME_CODEC_WORD, .dictionary_id = 1}, 8},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        frame_packed_encode(&rows[i].packed, body);
        struct slice all = slice_of(body, FRAME_PACKED_BYTES + rows[i].size_bytes);
        ck_assert_int_eq(packer_take(packer, all, back), PACKER_NONSENSE);
    }
    end_packer(packer);
}
END_TEST

START_TEST(a_dictionary_nobody_has_is_asked_for_once)
{
    struct packer *packer = make_packer(FARPAGE_PACK_LZ4);
    uint8_t back[PAGE], body[FRAME_PACKED_BYTES + 100] = {0};
    struct slice all = slice_of(body, sizeof body);
    for (uint32_t id = 1; id < 20; id++) {
        frame_packed_encode(
            &(struct frame_packed){.codec = FRAME_CODEC_ZSTD, .dictionary_id = id}, body);
        ck_assert_int_eq(packer_take(packer, all, back), PACKER_UNKNOWN);
        ck_assert_uint_eq(packer->wanted_id, id);
        packer_learn(packer, slice_of(NULL, 0));
        ck_assert_int_eq(packer_take(packer, all, back), PACKER_UNKNOWN);
        ck_assert_uint_eq(packer->wanted_id, 0);
    }
    end_packer(packer);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("packer");
    TCase *tcase = tcase_create("packer");
    tcase_set_timeout(tcase, 60);
    tcase_add_loop_test(tcase, every_way_to_pack_brings_every_page_back, 0, 9);
    tcase_add_test(tcase, what_the_server_does_not_take_travels_plain);
    tcase_add_test(tcase, a_server_that_takes_nothing_packed_any_more_gets_it_plain);
    tcase_add_loop_test(tcase, there_is_no_such_way_to_pack, 0, 4);
    tcase_add_loop_test(tcase, the_areas_dictionary_is_fetched_and_used, 0, 2);
    tcase_add_test(tcase, a_dictionary_that_is_gone_is_done_without);
    tcase_add_loop_test(tcase, a_dictionary_that_is_none_is_done_without, 0, 2);
    tcase_add_loop_test(tcase, a_damaged_page_is_never_another_page, 0, 2);
    tcase_add_test(tcase, what_cannot_be_a_packed_page_is_nonsense);
    tcase_add_test(tcase, a_dictionary_nobody_has_is_asked_for_once);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
