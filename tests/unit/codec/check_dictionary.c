/* SPDX-License-Identifier: BSD-3-Clause */
#include "codec/dictionary.h"

#include "base/crc32c.h"
#include "storage/compress/compressor.h"
#include "codec/dictionary_gain.h"
#include "tests/unit/base/suite.h"
#include "tests/unit/storage/kit_dictionary.h"
#include "tests/unit/storage/kit_seats.h"

static const char *const algorithms[] = {"lz4", "lz4hc", "zstd"};
enum { ALGORITHMS = FP_COUNT_OF(algorithms) };

static enum fp_status create(const void *bytes, size_t size, const char **reason)
{
    struct dictionary *dictionary = NULL;
    *reason = "";
    enum fp_status status = dictionary_create(slice_of(bytes, size), &dictionary, reason);
    if (status != FP_OK) ck_assert_ptr_null(dictionary);
    dictionary_release(&dictionary);
    return status;
}

static void expect_refused(const void *bytes, size_t size, const char *why)
{
    const char *reason;
    ck_assert_int_eq(create(bytes, size, &reason), FP_INVALID);
    ck_assert_msg(strstr(reason, why) != NULL, "%s", reason);
}

START_TEST(bytes_that_are_no_dictionary_are_refused_with_the_reason)
{
    enum { ROOM = DICTIONARY_BYTES_MAX + 1 };
    struct dictionary *good = kit_dictionary(1);
    struct slice whole = dictionary_bytes(good);
    struct rng rng = {.state = 1};
    uint8_t *bytes = calloc(1, ROOM);
    const char *reason;
    expect_refused(NULL, 0, "at least 256 bytes");
    expect_refused(bytes, 255, "at least 256 bytes");
    expect_refused(bytes, (size_t)1 << 30, "at most 256 KiB"); /* without looking at any */
    expect_refused(bytes, ROOM, "at most 256 KiB");
    expect_refused(bytes, ROOM - 1, "this is no dictionary");
    rng_fill(&rng, bytes, ROOM);
    expect_refused(bytes, 4096, "this is no dictionary");
    memcpy(bytes, whole.bytes, 8); /* the header, then noise */
    expect_refused(bytes, 4096, "tables do not decode");
    ck_assert_int_eq(create(whole.bytes, whole.size_bytes, &reason), FP_OK);
    free(bytes);
    dictionary_release(&good);
}
END_TEST

/* Whatever is damaged: refused, or a dictionary that every algorithm can work with. */
START_TEST(a_damaged_dictionary_is_refused_or_works)
{
    struct dictionary *good = kit_dictionary(1);
    struct slice whole = dictionary_bytes(good);
    uint8_t *bytes = malloc(whole.size_bytes), *sample = kit_sample();
    uint8_t room[KIT_PAGE_BYTES], out[KIT_PAGE_BYTES];
    struct codec_scratch *scratch = NULL;
    size_t header = (size_t)(dictionary_content(good).bytes - whole.bytes);
    unsigned refused = 0, worked = 0;
    ck_assert_int_eq(codec_scratch_create(NULL, &scratch), FP_OK);
    for (size_t bit = 0; bit < (header + 8) * 8; bit++) {
        struct dictionary *damaged = NULL;
        const char *reason;
        memcpy(bytes, whole.bytes, whole.size_bytes);
        bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
        if (dictionary_create(slice_of(bytes, whole.size_bytes), &damaged, &reason) != FP_OK) {
            refused++;
            continue;
        }
        struct compressor_config config = {algorithms[bit % ALGORITHMS], 0, damaged};
        struct compressor_pool *pool = NULL;
        if (compressor_pool_create(&config, NULL, &pool) == FP_OK) {
            struct compressor *seat = compressor_acquire(pool, NULL);
            struct packed packed;
            struct plain plain = {sample + bit % 500 * KIT_PAGE_BYTES, KIT_PAGE_BYTES};
            if (compressor_pack(seat, scratch, plain, (struct space){room, sizeof room - 1},
                                &packed) == FP_OK) {
                ck_assert_int_eq(compressor_unpack(seat, scratch, packed,
                                                   (struct space){out, sizeof out}), FP_OK);
                ck_assert_mem_eq(out, plain.bytes, sizeof out);
            }
            compressor_release(&seat, NULL);
            compressor_pool_destroy(&pool);
            worked++;
        }
        dictionary_release(&damaged);
    }
    ck_assert(refused > 0 && worked > 0);
    codec_scratch_destroy(&scratch);
    free(bytes);
    free(sample);
    dictionary_release(&good);
}
END_TEST

START_TEST(too_few_samples_or_all_alike_train_nothing)
{
    static uint8_t pages[200 * KIT_PAGE_BYTES];
    struct dictionary *dictionary = NULL;
    const char *reason = NULL;
    struct dictionary_samples samples = {pages, KIT_PAGE_BYTES, 0};
    for (samples.count = 0; samples.count <= 200; samples.count += 50) {
        ck_assert_int_eq(dictionary_train(&samples, 4096, &dictionary, &reason), FP_INVALID);
        ck_assert_ptr_null(dictionary);
        ck_assert(strstr(reason, "some hundred sample pages") != NULL);
    }
}
END_TEST

START_TEST(an_equal_dictionary_is_one_of_the_same_bytes)
{
    struct dictionary *a = kit_dictionary(1), *other = kit_dictionary(3), *same = NULL;
    const char *reason;
    ck_assert_int_eq(dictionary_create(dictionary_bytes(a), &same, &reason), FP_OK);
    ck_assert(dictionary_equal(a, a) && dictionary_equal(a, same) && dictionary_equal(NULL, NULL));
    ck_assert(!dictionary_equal(a, other) && !dictionary_equal(a, NULL));
    ck_assert(dictionary_id(a) == dictionary_id(same) && dictionary_id(a) != dictionary_id(other));
    ck_assert_uint_le(dictionary_bytes(a).size_bytes, KIT_DICTIONARY_BYTES);
    dictionary_release(&a);
    dictionary_release(&same);
    dictionary_release(&other);
}
END_TEST

/* --- in a seat -------------------------------------------------------------------------------- */

struct kept { /* a page packed by a seat */
    uint8_t bytes[KIT_PAGE_BYTES];
    struct packed packed;
};

static uint64_t keep(struct compressor_pool *pool, const uint8_t *page, struct kept *kept)
{
    struct codec_scratch *scratch = NULL;
    struct compressor *seat = compressor_acquire(pool, NULL);
    struct space space = {kept->bytes, sizeof kept->bytes - 1};
    ck_assert_int_eq(codec_scratch_create(NULL, &scratch), FP_OK);
    ck_assert_int_eq(compressor_pack(seat, scratch, (struct plain){page, KIT_PAGE_BYTES}, space,
                                     &kept->packed), FP_OK);
    (void)!compressor_object_born(seat, NULL);
    compressor_release(&seat, NULL);
    codec_scratch_destroy(&scratch);
    return kept->packed.size_bytes;
}

static bool comes_back(struct compressor_pool *pool, uint8_t id, const uint8_t *page,
                       const struct kept *kept)
{
    struct codec_scratch *scratch = NULL;
    uint8_t out[KIT_PAGE_BYTES];
    struct compressor *seat = compressor_acquire_id(pool, id, NULL);
    ck_assert_ptr_nonnull(seat);
    ck_assert_int_eq(codec_scratch_create(NULL, &scratch), FP_OK);
    enum fp_status status =
        compressor_unpack(seat, scratch, kept->packed, (struct space){out, sizeof out});
    compressor_release_id(&seat, NULL);
    codec_scratch_destroy(&scratch);
    return status == FP_OK && memcmp(out, page, sizeof out) == 0;
}

START_TEST(a_dictionary_lives_as_long_as_its_seat)
{
    struct compressor_pool *pool = NULL;
    struct dictionary *dictionary = kit_dictionary(1);
    uint32_t dictionary_name = dictionary_id(dictionary);
    struct compressor_config plain = {algorithms[_i]}, with = {algorithms[_i], 0, dictionary};
    uint8_t *page = kit_sample();
    struct kept kept;
    ck_assert_int_eq(compressor_pool_create(&plain, NULL, &pool), FP_OK);
    ck_assert(row_of(pool, 0).dictionary_bytes == 0 && row_of(pool, 0).dictionary_id == 0);
    ck_assert_int_eq(compressor_pool_swap(pool, &with), FP_OK);
    dictionary_release(&dictionary); /* the seat has a use of its own */
    ck_assert_uint_eq(row_of(pool, 1).dictionary_id, dictionary_name);
    ck_assert_uint_gt(row_of(pool, 1).dictionary_bytes, KIT_DICTIONARY_BYTES / 2);
    (void)keep(pool, page, &kept);
    ck_assert_int_eq(compressor_pool_swap(pool, &plain), FP_OK);
    settle(pool);
    ck_assert_int_eq(row_of(pool, 1).state, COMPRESSOR_DRAINING);
    ck_assert_uint_gt(row_of(pool, 1).dictionary_bytes, 0);
    ck_assert(comes_back(pool, 1, page, &kept));
    compressor_object_died(pool, 1, NULL);
    settle(pool);
    ck_assert_int_eq(row_of(pool, 1).state, COMPRESSOR_EMPTY);
    ck_assert(row_of(pool, 1).dictionary_bytes == 0 && row_of(pool, 1).dictionary_id == 0);
    compressor_pool_destroy(&pool);
    free(page);
}
END_TEST

START_TEST(a_dictionary_takes_memory_in_proportion)
{
    static const struct {
        const char *algorithm;
        int level;
        size_t tables_bytes_max;
    } cases[] = {{"lz4", 1, 17 << 10}, {"lz4hc", 9, 257 << 10}, {"zstd", -3, 60 << 10},
                 {"zstd", 1, 60 << 10}, {"zstd", 3, 80 << 10},  {"zstd", 19, 200 << 10}};
    struct dictionary *dictionary = kit_dictionary(1);
    for (size_t i = 0; i < FP_COUNT_OF(cases); i++) {
        struct compressor_config config = {cases[i].algorithm, cases[i].level, dictionary};
        struct compressor_pool *pool = NULL;
        ck_assert_int_eq(compressor_pool_create(&config, NULL, &pool), FP_OK);
        uint64_t bytes = row_of(pool, 0).dictionary_bytes;
        ck_assert_uint_gt(bytes, dictionary_bytes(dictionary).size_bytes);
        ck_assert_msg(bytes <= dictionary_bytes(dictionary).size_bytes + cases[i].tables_bytes_max,
                      "%s:%d: %llu bytes", config.algorithm, config.level,
                      (unsigned long long)bytes);
        compressor_pool_destroy(&pool);
    }
    dictionary_release(&dictionary);
}
END_TEST

START_TEST(seats_are_told_apart_by_their_dictionaries)
{
    struct compressor_pool *pool = NULL;
    const char *reason;
    struct dictionary *a = kit_dictionary(1), *other = kit_dictionary(3), *same = NULL;
    ck_assert_int_eq(dictionary_create(dictionary_bytes(a), &same, &reason), FP_OK);
    struct compressor_config none = {algorithms[_i]}, with = {algorithms[_i], 0, a};
    struct compressor_config again = {algorithms[_i], 0, same}, next = {algorithms[_i], 0, other};
    uint8_t *page = kit_sample();
    struct kept kept;
    ck_assert_int_eq(compressor_pool_create(&with, NULL, &pool), FP_OK);
    ck_assert_int_eq(compressor_pool_swap(pool, &again), FP_EXISTS);
    (void)keep(pool, page, &kept);
    ck_assert_int_eq(compressor_pool_swap(pool, &none), FP_OK);
    ck_assert_int_eq(compressor_pool_swap(pool, &next), FP_OK);
    settle(pool);
    ck_assert_uint_eq(row_of(pool, 1).state, COMPRESSOR_EMPTY); /* that of no dictionary */
    ck_assert_uint_eq(row_of(pool, 2).dictionary_id, dictionary_id(other));
    ck_assert_int_eq(compressor_pool_swap(pool, &again), FP_OK);
    ck_assert(row_of(pool, 0).resurrected && row_of(pool, 0).state == COMPRESSOR_CURRENT);
    ck_assert_uint_le(row_of(pool, 0).state_age_ms, row_of(pool, 0).age_ms);
    compressor_object_died(pool, 0, NULL);
    compressor_pool_destroy(&pool);
    dictionary_release(&a);
    dictionary_release(&same);
    dictionary_release(&other);
    free(page);
}
END_TEST

enum { ALIKE = 256 };

/* Pages with phrases in common, of which each shows some, once: nothing within a page repeats. */
static uint8_t *pages_alike(struct rng *rng)
{
    uint8_t *pages = malloc(ALIKE * KIT_PAGE_BYTES);
    uint8_t phrases[64][64];
    rng_fill(rng, phrases[0], sizeof phrases);
    for (size_t at = 0; at < ALIKE * KIT_PAGE_BYTES; at += 128) {
        memcpy(pages + at, phrases[rng_below(rng, 64)], 64);
        rng_fill(rng, pages + at + 64, 64);
    }
    return pages;
}

START_TEST(a_dictionary_packs_pages_it_has_not_seen_and_is_needed_to_unpack_them)
{
    struct compressor_pool *pools[2] = {NULL, NULL};
    struct rng rng = {.state = 9};
    uint8_t *pages = pages_alike(&rng);
    struct dictionary_samples samples = {pages, KIT_PAGE_BYTES, ALIKE / 2};
    struct dictionary *dictionary = NULL;
    const char *reason;
    ck_assert_int_eq(dictionary_train(&samples, 8192, &dictionary, &reason), FP_OK);
    struct compressor_config configs[2] = {{algorithms[_i]}, {algorithms[_i], 0, dictionary}};
    for (int with = 0; with < 2; with++)
        ck_assert_int_eq(compressor_pool_create(&configs[with], NULL, &pools[with]), FP_OK);
    dictionary_release(&dictionary);
    for (int page = ALIKE / 2; page < ALIKE; page++) {
        const uint8_t *plain = pages + page * KIT_PAGE_BYTES;
        struct kept kept;
        ck_assert_uint_lt(keep(pools[1], plain, &kept), KIT_PAGE_BYTES * 7 / 10);
        ck_assert(comes_back(pools[1], 0, plain, &kept));
        struct compressor_pool *without = pools[0];
        struct compressor *seat = compressor_acquire(without, NULL);
        (void)!compressor_object_born(seat, NULL);
        compressor_release(&seat, NULL);
        ck_assert(!comes_back(without, 0, plain, &kept));
        compressor_object_died(without, 0, NULL);
        compressor_object_died(pools[1], 0, NULL);
    }
    compressor_pool_destroy(&pools[0]);
    compressor_pool_destroy(&pools[1]);
    free(pages);
}
END_TEST

/* --- is it worth it? -------------------------------------------------------------------------- */

START_TEST(a_dictionary_is_kept_only_if_unseen_pages_gain_five_percent)
{
    struct compressor_config config = {algorithms[_i]};
    struct dictionary_gain gain;
    struct dictionary *kept = NULL;
    struct rng rng = {.state = 3};
    uint8_t *pages = pages_alike(&rng);
    struct dictionary_samples samples = {pages, KIT_PAGE_BYTES, ALIKE};
    memset(pages, 0, 16 * KIT_PAGE_BYTES); /* same-filled: neither trained on nor measured */
    ck_assert_int_eq(dictionary_gain_try(&samples, &config, 8192, &kept, &gain), FP_OK);
    ck_assert(gain.worth_it && kept != NULL && gain.percent > 20);
    ck_assert(gain.trained_pages == ALIKE / 2 - 16 && gain.held_out_pages == ALIKE / 2);
    ck_assert_uint_eq(gain.plain_bytes, ALIKE / 2 * KIT_PAGE_BYTES);
    ck_assert_uint_lt(gain.with_bytes, gain.without_bytes);
    dictionary_release(&kept);

    rng_fill(&rng, pages, ALIKE * KIT_PAGE_BYTES); /* nothing in common */
    enum fp_status status = dictionary_gain_try(&samples, &config, 8192, &kept, &gain);
    ck_assert(status == FP_OK || status == FP_INVALID);
    ck_assert(!gain.worth_it && kept == NULL);
    free(pages);
}
END_TEST

START_TEST(a_gain_of_nothing_or_with_nonsense_is_refused)
{
    static uint8_t zeros[64 * KIT_PAGE_BYTES];
    struct compressor_config config = {algorithms[_i]}, wrong = {"snappy"};
    struct dictionary_gain gain;
    struct dictionary *kept = NULL;
    struct dictionary_samples none = {zeros, KIT_PAGE_BYTES, 0}, zero = {zeros, KIT_PAGE_BYTES, 64};
    uint8_t *sample = kit_sample();
    struct dictionary_samples good = {sample, KIT_PAGE_BYTES, 200};
    ck_assert_int_eq(dictionary_gain_try(&none, &config, 4096, &kept, &gain), FP_INVALID);
    ck_assert_int_eq(dictionary_gain_try(&zero, &config, 4096, &kept, &gain), FP_INVALID);
    ck_assert_int_eq(dictionary_gain_try(&good, &wrong, 4096, &kept, &gain), FP_INVALID);
    ck_assert_ptr_null(kept);
    free(sample);
}
END_TEST

int main(void)
{
    int failed = suite_run("dictionary", bytes_that_are_no_dictionary_are_refused_with_the_reason,
                           a_damaged_dictionary_is_refused_or_works,
                           too_few_samples_or_all_alike_train_nothing,
                           an_equal_dictionary_is_one_of_the_same_bytes);
    failed |= suite_run_each("dictionary in a seat", ALGORITHMS,
                             a_dictionary_lives_as_long_as_its_seat,
                             a_dictionary_takes_memory_in_proportion,
                             seats_are_told_apart_by_their_dictionaries,
                             a_dictionary_packs_pages_it_has_not_seen_and_is_needed_to_unpack_them,
                             a_dictionary_is_kept_only_if_unseen_pages_gain_five_percent,
                             a_gain_of_nothing_or_with_nonsense_is_refused);
    return failed;
}
