/* SPDX-License-Identifier: BSD-3-Clause */
#include <pthread.h>
#include <stdatomic.h>

#include "base/attrs.h"
#include "storage/compress/compressor.h"
#include "tests/unit/base/suite.h"
#include "tests/unit/storage/kit_dictionary.h"
#include "tests/unit/storage/kit_seats.h"

static const struct packed_kind lz4 = {.format = PACKED_LZ4}, zstd = {.format = PACKED_ZSTD};

static uint8_t adopt(struct compressor_pool *pool, struct compressor_dictionary *own,
                     struct packed_kind kind)
{
    uint8_t id = 0;
    ck_assert_int_eq(compressor_adopt(pool, own, kind, NULL, &id), FP_OK);
    return id;
}

static void expect(struct compressor_pool *pool, uint8_t id, enum compressor_state state,
                   uint64_t objects)
{
    struct compressor_row row = row_of(pool, id);
    ck_assert_int_eq(row.state, state);
    ck_assert_uint_eq(row.objects, objects);
    ck_assert_uint_eq(row.packs, 0);
}

START_TEST(what_is_packed_as_the_current_seat_packs_is_an_object_of_it)
{
    struct compressor_dictionary none = {.dictionary = NULL};
    struct compressor_pool *pool = pool_of("lz4hc", 9); /* the format is lz4's */
    for (int i = 0; i < 3; i++) ck_assert_uint_eq(adopt(pool, &none, lz4), 0);
    expect(pool, 0, COMPRESSOR_CURRENT, 3);
    for (int i = 0; i < 3; i++) compressor_object_died(pool, 0, NULL);
    compressor_pool_destroy(&pool);
}
END_TEST

START_TEST(another_format_has_a_seat_that_drains_from_the_start)
{
    struct compressor_dictionary none = {.dictionary = NULL};
    struct compressor_pool *pool = pool_of("lz4", 1);
    uint8_t id = adopt(pool, &none, zstd);
    ck_assert_uint_ne(id, 0);
    ck_assert_uint_eq(adopt(pool, &none, zstd), id);
    expect(pool, id, COMPRESSOR_DRAINING, 2);
    settle(pool); /* with objects it stays */
    expect(pool, id, COMPRESSOR_DRAINING, 2);
    for (int i = 0; i < 2; i++) compressor_object_died(pool, id, NULL);
    settle(pool);
    expect(pool, id, COMPRESSOR_EMPTY, 0);
    ck_assert_uint_eq(adopt(pool, &none, zstd), id); /* and comes back when it is needed */
    expect(pool, id, COMPRESSOR_DRAINING, 1);
    compressor_object_died(pool, id, NULL);
    compressor_pool_destroy(&pool);
}
END_TEST

/* Halfway down, too: between two steps of the upkeep. */
START_TEST(a_seat_may_be_needed_again_at_any_step_of_its_draining)
{
    struct compressor_dictionary none = {.dictionary = NULL};
    struct compressor_pool *pool = pool_of("lz4", 1);
    for (int steps = 0; steps < 5; steps++) {
        uint8_t id = adopt(pool, &none, zstd);
        compressor_object_died(pool, id, NULL);
        for (int i = 0; i < steps; i++) compressor_pool_upkeep(pool);
        ck_assert_uint_eq(adopt(pool, &none, zstd), id);
        settle(pool);
        expect(pool, id, COMPRESSOR_DRAINING, 1);
        compressor_object_died(pool, id, NULL);
        settle(pool);
    }
    compressor_pool_destroy(&pool);
}
END_TEST

START_TEST(after_a_swap_the_new_current_seat_is_preferred)
{
    struct compressor_dictionary none = {.dictionary = NULL};
    struct compressor_pool *pool = pool_of("lz4", 1);
    ck_assert_uint_eq(adopt(pool, &none, lz4), 0);
    ck_assert_int_eq(swap(pool, "zstd", 1), FP_OK);
    ck_assert_uint_eq(adopt(pool, &none, lz4), 0); /* it drains, but is there */
    expect(pool, 0, COMPRESSOR_DRAINING, 2);
    ck_assert_int_eq(swap(pool, "lz4", 8), FP_OK);
    uint8_t id = adopt(pool, &none, lz4);
    ck_assert_uint_ne(id, 0);
    expect(pool, id, COMPRESSOR_CURRENT, 1);
    expect(pool, 0, COMPRESSOR_DRAINING, 2);
    for (int i = 0; i < 2; i++) compressor_object_died(pool, 0, NULL);
    compressor_object_died(pool, id, NULL);
    compressor_pool_destroy(&pool);
}
END_TEST

START_TEST(a_dictionary_is_its_owners_or_there_is_none)
{
    struct compressor_dictionary own = {.dictionary = NULL}, none = {.dictionary = NULL};
    struct compressor_pool *pool = pool_of("lz4", 1);
    struct dictionary *dictionary = kit_dictionary(1);
    uint32_t name = dictionary_id(dictionary);
    struct packed_kind with = {PACKED_LZ4, name}, other = {PACKED_ZSTD, name};
    uint8_t id;
    ck_assert_int_eq(compressor_adopt(pool, &own, with, NULL, &id), FP_ABSENT);
    ck_assert_int_eq(compressor_dictionary_set(pool, &own, dictionary), FP_OK);
    ck_assert_int_eq(compressor_adopt(pool, &none, with, NULL, &id), FP_ABSENT);
    struct packed_kind wrong = {PACKED_LZ4, name + 1};
    ck_assert_int_eq(compressor_adopt(pool, &own, wrong, NULL, &id), FP_ABSENT);

    uint8_t current = adopt(pool, &own, with), prepared = adopt(pool, &own, other);
    expect(pool, current, COMPRESSOR_CURRENT, 1);
    expect(pool, prepared, COMPRESSOR_DRAINING, 1);
    ck_assert(row_of(pool, prepared).dictionary_id == name && current != prepared);
    ck_assert_uint_eq(adopt(pool, &own, other), prepared); /* prepared once */
    ck_assert_uint_eq(adopt(pool, &own, lz4), 0);          /* or without: the default's */

    ck_assert_int_eq(compressor_dictionary_set(pool, &own, NULL), FP_OK);
    ck_assert_int_eq(compressor_adopt(pool, &own, with, NULL, &id), FP_ABSENT);
    ck_assert_int_eq(compressor_adopt(pool, &own, other, NULL, &id), FP_ABSENT);
    compressor_object_died(pool, 0, NULL);
    compressor_object_died(pool, current, NULL);
    for (int i = 0; i < 2; i++) compressor_object_died(pool, prepared, NULL);
    settle(pool);
    expect(pool, current, COMPRESSOR_EMPTY, 0);
    expect(pool, prepared, COMPRESSOR_EMPTY, 0);
    compressor_pool_destroy(&pool);
    dictionary_release(&dictionary);
}
END_TEST

START_TEST(a_dictionary_is_found_by_its_id_while_objects_need_it)
{
    enum { OWNER = 7 };
    struct compressor_dictionary own = {.dictionary = NULL};
    struct compressor_pool *pool = pool_of("zstd", 1);
    struct dictionary *dictionary = kit_dictionary(1), *found;
    uint32_t name = dictionary_id(dictionary);
    dictionary_set_owner(dictionary, OWNER);
    ck_assert_ptr_null(compressor_dictionary_of(pool, &own, name, OWNER));
    ck_assert_int_eq(compressor_dictionary_set(pool, &own, dictionary), FP_OK);
    found = compressor_dictionary_of(pool, &own, name, 0);
    ck_assert_ptr_eq(found, dictionary); /* its own, whoever owned it before */
    dictionary_release(&found);
    uint8_t id = adopt(pool, &own, (struct packed_kind){PACKED_ZSTD, name});
    ck_assert_int_eq(compressor_dictionary_set(pool, &own, NULL), FP_OK);
    settle(pool);
    ck_assert_ptr_null(compressor_dictionary_of(pool, &own, name, OWNER + 1));
    ck_assert_ptr_null(compressor_dictionary_of(pool, &own, name + 1, OWNER));
    found = compressor_dictionary_of(pool, &own, name, OWNER);
    ck_assert_ptr_eq(found, dictionary);
    dictionary_release(&found);
    compressor_object_died(pool, id, NULL);
    settle(pool);
    ck_assert_ptr_null(compressor_dictionary_of(pool, &own, name, OWNER));
    compressor_pool_destroy(&pool);
    dictionary_release(&dictionary);
}
END_TEST

START_TEST(where_every_seat_holds_objects_none_is_adopted)
{
    struct compressor_dictionary none = {.dictionary = NULL};
    struct compressor_pool *pool = pool_of("lz4", 1);
    uint8_t id;
    for (int level = 1; level <= COMPRESSOR_SEATS; level++) {
        ck_assert_int_eq(adopt(pool, &none, lz4), level - 1);
        if (level < COMPRESSOR_SEATS) ck_assert_int_eq(swap(pool, "lz4", level + 1), FP_OK);
    }
    ck_assert_int_eq(compressor_adopt(pool, &none, zstd, NULL, &id), FP_BUSY);
    compressor_object_died(pool, 5, NULL);
    settle(pool);
    ck_assert_uint_eq(adopt(pool, &none, zstd), 5);
    for (unsigned i = 0; i < COMPRESSOR_SEATS; i++) compressor_object_died(pool, (uint8_t)i, NULL);
    compressor_pool_destroy(&pool);
}
END_TEST

/* --- many at a time --------------------------------------------------------------------------- */

enum { THREADS = 4, ROUNDS = 20000 };

static struct {
    struct compressor_pool *pool;
    struct compressor_dictionary own;
    struct dictionary *dictionary;
    _Atomic bool stop;
    _Atomic uint64_t adopted, absent;
} crowd;

static void *adopt_and_die(void *opaque)
{
    struct rng rng = {.state = (uintptr_t)opaque};
    struct codec_scratch *scratch = NULL;
    fp_assert(codec_scratch_create(crowd.pool, &scratch) == FP_OK);
    for (int i = 0; i < ROUNDS; i++) {
        struct packed_kind kind = {
            .format = rng_below(&rng, 2) ? PACKED_LZ4 : PACKED_ZSTD,
            .dictionary_id = rng_below(&rng, 2) ? dictionary_id(crowd.dictionary) : 0};
        uint8_t id;
        enum fp_status status = compressor_adopt(crowd.pool, &crowd.own, kind, scratch, &id);
        fp_assert(status == FP_OK || (status == FP_ABSENT && kind.dictionary_id != 0));
        atomic_fetch_add(status == FP_OK ? &crowd.adopted : &crowd.absent, 1);
        if (status != FP_OK) continue;
        struct compressor *seat = compressor_acquire_id(crowd.pool, id, scratch);
        fp_assert(seat != NULL);
        struct packed_kind got = compressor_kind(seat); /* it is what it was adopted for */
        fp_assert(got.format == kind.format && got.dictionary_id == kind.dictionary_id);
        compressor_release_id(&seat, scratch);
        compressor_object_died(crowd.pool, id, scratch);
    }
    codec_scratch_destroy(&scratch);
    return NULL;
}

static void *disturb(void *opaque)
{
    (void)opaque;
    for (int i = 0; !atomic_load(&crowd.stop); i++) {
        struct compressor_config next = {i % 3 == 0 ? "zstd" : "lz4", i % 5 + 1, NULL};
        (void)!compressor_pool_swap(crowd.pool, &next);
        struct dictionary *now = i % 4 == 0 ? NULL : crowd.dictionary;
        (void)!compressor_dictionary_set(crowd.pool, &crowd.own, now);
        compressor_pool_upkeep(crowd.pool);
    }
    return NULL;
}

START_TEST(adoptions_meet_swaps_dictionaries_and_upkeep)
{
    pthread_t threads[THREADS + 1];
    crowd.pool = pool_of("lz4", 1);
    crowd.dictionary = kit_dictionary(1);
    for (uintptr_t i = 0; i < THREADS; i++)
        fp_assert(pthread_create(&threads[i], NULL, adopt_and_die, (void *)(i + 1)) == 0);
    fp_assert(pthread_create(&threads[THREADS], NULL, disturb, NULL) == 0);
    for (int i = 0; i < THREADS; i++) fp_assert(pthread_join(threads[i], NULL) == 0);
    atomic_store(&crowd.stop, true);
    fp_assert(pthread_join(threads[THREADS], NULL) == 0);
    ck_assert_uint_gt(atomic_load(&crowd.adopted), ROUNDS);
    ck_assert_int_eq(compressor_dictionary_set(crowd.pool, &crowd.own, NULL), FP_OK);
    settle(crowd.pool);
    unsigned there = 0;
    for (unsigned i = 0; i < COMPRESSOR_SEATS; i++)
        there += row_of(crowd.pool, (uint8_t)i).state != COMPRESSOR_EMPTY;
    ck_assert_uint_eq(there, 1); /* the current one: each object was counted once, and died once */
    compressor_pool_destroy(&crowd.pool);
    dictionary_release(&crowd.dictionary);
}
END_TEST

int main(void)
{
    return suite_run("compressor_adopt",
                     what_is_packed_as_the_current_seat_packs_is_an_object_of_it,
                     another_format_has_a_seat_that_drains_from_the_start,
                     a_seat_may_be_needed_again_at_any_step_of_its_draining,
                     after_a_swap_the_new_current_seat_is_preferred,
                     a_dictionary_is_its_owners_or_there_is_none,
                     a_dictionary_is_found_by_its_id_while_objects_need_it,
                     where_every_seat_holds_objects_none_is_adopted,
                     adoptions_meet_swaps_dictionaries_and_upkeep);
}
