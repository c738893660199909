/* SPDX-License-Identifier: BSD-3-Clause
 *
 * What is about blocks: density without compaction, and sliding. */
#include "storage/alloc/blocks.h"

#include <inttypes.h>

#include "base/clock.h"
#include "tests/unit/base/suite.h"
#include "tests/unit/storage/pool.h"

START_TEST(best_fit_stays_dense_without_compaction)
{
    struct bench bench;
    struct crowd crowd;
    setup(&bench, "blocks", UINT64_MAX);
    crowd_init(&crowd, &bench, 82000, 21);
    crowd_fill(&crowd);
    printf("filled %.4f\n", crowd_density(&crowd));
    ck_assert(crowd_density(&crowd) >= 0.97);
    for (int round = 0; round < 2; round++) {
        crowd_churn(&crowd, crowd.count);
        printf("churned %.4f\n", crowd_density(&crowd));
        ck_assert(crowd_density(&crowd) >= 0.97);
    }
    crowd_thin(&crowd, 2);
    printf("half discarded %.4f\n", crowd_density(&crowd));
    while (!zpool_compact(bench.pool, 1000).done) {}
    printf("compacted %.4f\n", crowd_density(&crowd));
    ck_assert(crowd_density(&crowd) >= 0.97);
    zpool_check(bench.pool);
    crowd_fini(&crowd);
    teardown(&bench);
}
END_TEST

/* One block's worth in four shards: freeing every other object leaves gaps too small for the new
 * ones, which therefore fit only after sliding, and no new block may be needed. */
START_TEST(sliding_makes_room_and_keeps_bytes)
{
    enum { SMALL = 1000, LARGE = 1900, OBJECTS = 64, MORE = 28 };
    struct zhandle small[OBJECTS], large[MORE];
    static uint8_t bytes[OBJECTS][SMALL], other[MORE][LARGE];
    struct bench bench;
    struct rng rng = {.state = 2};
    setup(&bench, "blocks", UINT64_MAX);
    rng_fill(&rng, bytes[0], sizeof bytes);
    rng_fill(&rng, other[0], sizeof other);
    for (int i = 0; i < OBJECTS; i++) small[i] = keep(&bench, bytes[i], SMALL);
    uint64_t held = arena_held_pages(bench.arena);
    ck_assert(held == 16);
    for (int i = 0; i < OBJECTS; i++) /* handles i, i + 4, .. share a shard, and so a block */
        if (i / 4 % 2 == 0) zpool_free(bench.pool, &small[i]);
    for (int i = 0; i < MORE / 2; i++) large[i] = keep(&bench, other[i], LARGE);
    ck_assert(arena_held_pages(bench.arena) == held);
    zpool_check(bench.pool);
    for (int i = 0; i < OBJECTS; i++)
        if (small[i].number != 0) ck_assert(holds(&bench, small[i], bytes[i], SMALL));
    for (int i = 0; i < MORE / 2; i++) ck_assert(holds(&bench, large[i], other[i], LARGE));
    for (int i = 0; i < OBJECTS; i++)
        if (small[i].number != 0) zpool_free(bench.pool, &small[i]);
    for (int i = 0; i < MORE / 2; i++) zpool_free(bench.pool, &large[i]);
    teardown(&bench);
}
END_TEST

/* The same, with an object pinned: its neighbours may come and go, it stays, and nothing of it is
 * written over when the others want its place. */
START_TEST(a_pinned_block_is_not_slid)
{
    enum { SMALL = 1000, LARGE = 1900, OBJECTS = 64 };
    struct zhandle small[OBJECTS], large[OBJECTS];
    static uint8_t bytes[OBJECTS][SMALL], other[LARGE];
    struct bench bench;
    struct rng rng = {.state = 4};
    struct zmap map;
    setup(&bench, "blocks", UINT64_MAX);
    rng_fill(&rng, bytes[0], sizeof bytes);
    rng_fill(&rng, other, sizeof other);
    for (int i = 0; i < OBJECTS; i++) small[i] = keep(&bench, bytes[i], SMALL);
    ck_assert_int_eq(zpool_map(bench.pool, small[30], ZACCESS_READ, &map), FP_OK);
    for (int i = 0; i < OBJECTS; i++)
        if (i / 4 % 2 == 0) zpool_free(bench.pool, &small[i]);
    for (int i = 0; i < OBJECTS; i++) large[i] = keep(&bench, other, LARGE);
    ck_assert(memcmp(map.bytes, bytes[30], SMALL) == 0);
    ck_assert(holds(&bench, small[30], bytes[30], SMALL));
    zpool_unmap(bench.pool, &map);
    zpool_check(bench.pool);
    for (int i = 0; i < OBJECTS; i++) {
        ck_assert(holds(&bench, large[i], other, LARGE));
        zpool_free(bench.pool, &large[i]);
        if (small[i].number != 0) zpool_free(bench.pool, &small[i]);
    }
    teardown(&bench);
}
END_TEST

/* Frees an object and allocates it again, many times. How long that took. */
static uint64_t churn_ns(uint32_t size_bytes)
{
    enum { OBJECTS = 20000, STEPS = 10000 };
    static struct zhandle handles[OBJECTS];
    struct bench bench;
    struct rng rng = {.state = 3};
    setup(&bench, "blocks", UINT64_MAX);
    for (int i = 0; i < OBJECTS; i++)
        ck_assert_int_eq(zpool_alloc(bench.pool, size_bytes, 0, &handles[i]), FP_OK);
    uint64_t begun_ns = clock_monotonic_ns();
    for (int i = 0; i < STEPS; i++) {
        struct zhandle *again = &handles[rng_below(&rng, OBJECTS)];
        zpool_free(bench.pool, again);
        ck_assert_int_eq(zpool_alloc(bench.pool, size_bytes, 0, again), FP_OK);
    }
    uint64_t took_ns = clock_monotonic_ns() - begun_ns;
    for (int i = 0; i < OBJECTS; i++) zpool_free(bench.pool, &handles[i]);
    teardown(&bench);
    return took_ns;
}

/* A block has up to 1024 small ones, whose entries are used again in any order: it takes some ten
 * times as long as with large ones, and a thousand times where each is sorted in by insertion. */
START_TEST(small_objects_come_and_go_nearly_as_quickly_as_large_ones)
{
    uint64_t large_ns = churn_ns(320), small_ns = churn_ns(5);
    printf("large %" PRIu64 " us, small %" PRIu64 " us\n", large_ns / 1000, small_ns / 1000);
    ck_assert(small_ns < 100 * large_ns);
}
END_TEST

/* A damaged cell may lead to bytes that a client chose: read as an entry that says the right owner,
 * they may lend nothing beyond the block. */
START_TEST(an_entry_that_leads_out_of_its_block_is_corrupt)
{
    enum { SIZE = 4000, OBJECTS = 9, ENTRY = 1023, WITHIN = 8192 - 2 * SIZE };
    struct zhandle handles[OBJECTS] = {{0}}; /* 0, 4 and 8 share a block; 8 holds ENTRY */
    static uint8_t bytes[SIZE];
    struct bench bench;
    struct zmap map;
    setup(&bench, "blocks", UINT64_MAX);
    for (uint32_t i = 0; i < OBJECTS; i++) {
        struct block_entry forged = {
            .owner = handles[0].number, .offset_units = 2047, .size_less_one = UINT16_MAX};
        memcpy(bytes + WITHIN, &forged, sizeof forged);
        handles[i] = keep(&bench, bytes, SIZE);
    }
    _Atomic uint64_t *cell = cells_at(&bench.pool->cells, handles[0].number);
    uint64_t good = atomic_load(cell);
    struct blocks_place place = blocks_place_of(good);
    place.detail = ENTRY;
    atomic_store(cell, cell_moved(good, blocks_place_bits(place)));
    ck_assert_int_eq(zpool_map(bench.pool, handles[0], ZACCESS_READ, &map), FP_CORRUPT);
    atomic_store(cell, good);
    for (int i = 0; i < OBJECTS; i++) zpool_free(bench.pool, &handles[i]);
    teardown(&bench);
}
END_TEST

int main(void)
{
    return suite_run("blocks", best_fit_stays_dense_without_compaction,
                     sliding_makes_room_and_keeps_bytes, a_pinned_block_is_not_slid,
                     small_objects_come_and_go_nearly_as_quickly_as_large_ones,
                     an_entry_that_leads_out_of_its_block_is_corrupt);
}
