/* SPDX-License-Identifier: BSD-3-Clause
 * The seats: emptied once and by an upkeep, wanted again, beside the current one, charged. */
#include "base/budget.h"
#include "storage/compress/compressor.h"
#include "tests/unit/base/suite.h"
#include "tests/unit/storage/kit_dictionary.h"
#include "tests/unit/storage/kit_seats.h"

static struct dictionary *dictionary; /* made in main */

/* The swap comes while the one user is about to let go: its own put is the last there is. */
START_TEST(a_seat_killed_before_its_last_put_empties_once_and_may_be_filled_again)
{
    struct compressor_config with = {"zstd", 1, dictionary};
    struct compressor_pool *pool = NULL;
    ck_assert_int_eq(compressor_pool_create(&with, NULL, &pool), FP_OK);
    for (int i = 0; i < 20; i++) {
        struct compressor *seat = compressor_acquire(pool, NULL);
        uint8_t id = compressor_id(seat);
        ck_assert_int_eq(swap(pool, "none", 0), FP_OK);
        if (i % 2) settle(pool); /* the switch to one count is over, or yet to come */
        ck_assert_int_eq(row_of(pool, id).state, COMPRESSOR_DRAINING);
        ck_assert_uint_gt(row_of(pool, id).dictionary_bytes, 0);
        compressor_release(&seat, NULL);
        settle(pool);
        ck_assert_int_eq(row_of(pool, id).state, COMPRESSOR_EMPTY);
        ck_assert_uint_eq(row_of(pool, id).dictionary_bytes, 0);
        ck_assert_int_eq(compressor_pool_swap(pool, &with), FP_OK);
        settle(pool);
    }
    compressor_pool_destroy(&pool);
}
END_TEST

START_TEST(a_seat_wanted_again_at_any_moment_of_its_draining_is_current_and_whole)
{
    struct compressor_pool *pool = pool_of("lz4", 1);
    for (int upkeeps = 0; upkeeps < 4; upkeeps++)
        for (int objects = 0; objects < 2; objects++) {
            struct compressor *seat = compressor_acquire(pool, NULL);
            if (objects) ck_assert(compressor_object_born(seat, NULL));
            uint8_t id = compressor_id(seat), was = id;
            compressor_release(&seat, NULL);
            ck_assert_int_eq(swap(pool, "lz4", 2), FP_OK);
            for (int i = 0; i < upkeeps; i++) compressor_pool_upkeep(pool);
            ck_assert_int_eq(swap(pool, "lz4", 1), FP_OK);
            seat = compressor_acquire(pool, NULL);
            id = compressor_id(seat);
            ck_assert(!objects || id == was);
            ck_assert(compressor_object_born(seat, NULL));
            settle(pool);
            ck_assert_int_eq(row_of(pool, id).state, COMPRESSOR_CURRENT);
            ck_assert(row_of(pool, id).users == 1);
            ck_assert_uint_eq(row_of(pool, id).objects, 1u + (unsigned)objects);
            compressor_release(&seat, NULL);
            compressor_object_died(pool, id, NULL);
            if (objects) compressor_object_died(pool, was, NULL);
        }
    compressor_pool_destroy(&pool);
}
END_TEST

START_TEST(a_dictionary_beside_the_current_seat_follows_a_swap_and_nobody_waits)
{
    struct compressor_pool *pool = pool_of("lz4", 1);
    struct compressor_dictionary own = {0}, other = {0};
    ck_assert_int_eq(compressor_dictionary_set(pool, &own, dictionary), FP_OK);
    ck_assert_int_eq(compressor_dictionary_set(pool, &other, dictionary), FP_OK);
    struct compressor *seat = compressor_acquire_with(pool, &own, NULL);
    uint8_t first = compressor_id(seat);
    ck_assert(first != 0 && compressor_seat_is_current(pool, 0));
    ck_assert(compressor_seat_is_current(pool, first));
    ck_assert_uint_eq(row_of(pool, first).dictionary_id, dictionary_id(dictionary));
    compressor_release(&seat, NULL);

    ck_assert_int_eq(swap(pool, "zstd", 1), FP_OK);
    seat = compressor_acquire_with(pool, &own, NULL); /* at once, without the dictionary */
    uint8_t without = compressor_id(seat);
    ck_assert_uint_eq(row_of(pool, without).dictionary_id, 0);
    ck_assert(!compressor_seat_is_current(pool, first));
    compressor_release(&seat, NULL);
    settle(pool);
    ck_assert_int_eq(row_of(pool, first).state == COMPRESSOR_EMPTY ||
                         strcmp(row_of(pool, first).algorithm, "zstd") == 0, 1);
    seat = compressor_acquire_with(pool, &own, NULL);
    uint8_t second = compressor_id(seat);
    ck_assert(second != without && compressor_seat_is_current(pool, without));
    ck_assert_str_eq(row_of(pool, second).algorithm, "zstd");
    ck_assert_uint_eq(row_of(pool, second).dictionary_id, dictionary_id(dictionary));
    compressor_release(&seat, NULL);

    ck_assert_int_eq(compressor_dictionary_set(pool, &own, NULL), FP_OK);
    settle(pool);
    ck_assert(compressor_seat_is_current(pool, second)); /* the other has it still */
    ck_assert_int_eq(compressor_dictionary_set(pool, &other, NULL), FP_OK);
    settle(pool);
    ck_assert_int_eq(row_of(pool, second).state, COMPRESSOR_EMPTY);
    compressor_pool_destroy(&pool);
}
END_TEST

START_TEST(dictionaries_and_packers_are_charged_and_given_back)
{
    struct compressor_config lz4 = {"lz4", 1}, with = {"zstd", 1, dictionary};
    struct compressor_pool *pool = NULL;
    struct codec_scratch *scratch = NULL;
    struct compressor_dictionary own = {0};
    struct budget budget;
    uint8_t page[KIT_PAGE_BYTES] = {1}, room[KIT_PAGE_BYTES];
    struct packed packed;
    budget_init(&budget, 1 << 20);
    ck_assert_int_eq(compressor_pool_create(&lz4, &budget, &pool), FP_OK);
    ck_assert_int_eq(codec_scratch_create(pool, &scratch), FP_OK);
    ck_assert_uint_eq(budget_total(&budget), 0);
    size_t before = codec_scratch_bytes(scratch);
    struct compressor *seat = compressor_acquire(pool, scratch);
    ck_assert_int_eq(compressor_pack(seat, scratch, (struct plain){page, sizeof page},
                                     (struct space){room, sizeof room}, &packed), FP_OK);
    compressor_release(&seat, scratch);
    ck_assert_uint_eq(budget_held(&budget, BUDGET_COMPRESSORS),
                      codec_scratch_bytes(scratch) - before);
    ck_assert_int_eq(compressor_dictionary_set(pool, &own, dictionary), FP_OK);
    uint64_t held = codec_scratch_bytes(scratch) - before + row_of(pool, 1).dictionary_bytes;
    ck_assert_uint_eq(budget_held(&budget, BUDGET_COMPRESSORS), held);
    budget_set_limit(&budget, held + 1000);
    ck_assert_int_eq(compressor_pool_swap(pool, &with), FP_NO_MEMORY);
    ck_assert(compressor_seat_is_current(pool, 0) && compressor_swap_count(pool) == 0);
    ck_assert_int_eq(compressor_dictionary_set(pool, &own, NULL), FP_OK);
    settle(pool);
    codec_scratch_destroy(&scratch);
    ck_assert_uint_eq(budget_total(&budget), 0);
    compressor_pool_destroy(&pool);
}
END_TEST

START_TEST(what_a_thread_counted_stays_counted_when_it_is_gone)
{
    struct compressor_pool *pool = pool_of("lz4", 1);
    uint8_t page[KIT_PAGE_BYTES] = {1}, room[KIT_PAGE_BYTES];
    struct packed packed;
    for (int i = 0; i < 3; i++) {
        struct codec_scratch *scratch = NULL;
        ck_assert_int_eq(codec_scratch_create(pool, &scratch), FP_OK);
        struct compressor *seat = compressor_acquire(pool, scratch);
        ck_assert_int_eq(compressor_pack(seat, scratch, (struct plain){page, sizeof page},
                                         (struct space){room, sizeof room}, &packed), FP_OK);
        codec_scratch_destroy(&scratch); /* with its use: another thread gives it back */
        ck_assert_uint_eq(row_of(pool, 0).users, 1);
        compressor_release(&seat, NULL);
    }
    ck_assert(row_of(pool, 0).packs == 3 && row_of(pool, 0).users == 0);
    ck_assert(row_of(pool, 0).plain_bytes == 3 * sizeof page);
    compressor_pool_destroy(&pool);
}
END_TEST

int main(void)
{
    dictionary = kit_dictionary(1);
    int failed = suite_run(
        "compressor_seats", a_seat_killed_before_its_last_put_empties_once_and_may_be_filled_again,
        a_seat_wanted_again_at_any_moment_of_its_draining_is_current_and_whole,
        a_dictionary_beside_the_current_seat_follows_a_swap_and_nobody_waits,
        dictionaries_and_packers_are_charged_and_given_back,
        what_a_thread_counted_stays_counted_when_it_is_gone);
    dictionary_release(&dictionary);
    return failed;
}
