/* SPDX-License-Identifier: BSD-3-Clause */
#include "storage/alloc/pages.h"

#include <pthread.h>
#include <stdbool.h>
#include <sys/mman.h>

#include "tests/unit/base/suite.h"
#include "tests/unit/storage/child.h"
#include "tests/unit/storage/kit.h"

enum { THREADS = 4, MIB = 1 << 20 };

static uint64_t chunk_bytes(void)
{
    return (uint64_t)PAGES_CHUNK_PAGES * PAGES_BYTES;
}

static bool is_zeros(const uint8_t *bytes, size_t size)
{
    for (size_t i = 0; i < size; i++)
        if (bytes[i] != 0) return false;
    return true;
}

START_TEST(a_reservation_costs_nothing_until_it_is_written)
{
    uint64_t bytes = 1024ull * MIB;
    uint8_t *base = pages_reserve(bytes);
    ck_assert_ptr_nonnull(base);
    ck_assert(kit_resident_pages(base, bytes) == 0);
    base[0] = base[bytes - 1] = 1;
    ck_assert(kit_resident_pages(base, bytes) == 2);
    ck_assert_int_eq(base[bytes / 2], 0);
    pages_release(base, bytes);
    pages_release(NULL, bytes);
}
END_TEST

START_TEST(what_is_discarded_goes_back_to_the_os_and_reads_as_zeros)
{
    uint64_t bytes = 16 * PAGES_BYTES;
    uint8_t *base = pages_reserve(bytes);
    memset(base, 0xa5, bytes);
    ck_assert(kit_resident_pages(base, bytes) == 16);
    pages_discard(base + 4 * PAGES_BYTES, 8 * PAGES_BYTES);
    ck_assert(kit_resident_pages(base, bytes) == 8);
    ck_assert(is_zeros(base + 4 * PAGES_BYTES, 8 * PAGES_BYTES));
    ck_assert_int_eq(base[4 * PAGES_BYTES - 1], 0xa5);
    ck_assert_int_eq(base[12 * PAGES_BYTES], 0xa5);
    pages_release(base, bytes);
}
END_TEST

START_TEST(what_is_locked_is_discarded_all_the_same)
{
    uint64_t bytes = 16 * PAGES_BYTES;
    uint8_t *before = pages_reserve(bytes);
    /* A limit on locking refuses us, and then says so. */
    if (pages_lock_all() != FP_OK) {
        printf("not tried: the system refuses to lock memory\n");
        return;
    }
    uint8_t *after = pages_reserve(bytes);
    uint8_t *both[] = {before, after};
    for (int i = 0; i < 2; i++) {
        ck_assert(kit_resident_pages(both[i], bytes) == 0); /* locked once it is touched */
        memset(both[i], 0xa5, bytes);
        pages_discard(both[i], 8 * PAGES_BYTES);
        ck_assert(kit_resident_pages(both[i], bytes) == 8);
        ck_assert(is_zeros(both[i], 8 * PAGES_BYTES));
        pages_release(both[i], bytes);
    }
    ck_assert(munlockall() == 0); /* under a limit the tests that follow reserve too much for it */
}
END_TEST

START_TEST(an_arena_of_huge_pages_keeps_its_promises)
{
    struct budget budget;
    struct arena *arena;
    struct page_run runs[PAGES_CHUNK_PAGES + 1];
    budget_init(&budget, UINT64_MAX);
    ck_assert_int_eq(arena_create(&budget, 2 * PAGES_CHUNK_PAGES, &arena), FP_OK);
    if (arena_use_huge_pages(arena) != FP_OK) {
        printf("not tried: this kernel has no huge pages\n");
        arena_destroy(&arena);
        return;
    }
    for (int round = 0; round < 2; round++) {
        for (unsigned i = 0; i < PAGES_CHUNK_PAGES; i++) {
            ck_assert_int_eq(arena_take(arena, 1, &runs[i]), FP_OK);
            ck_assert(is_zeros(arena_address(arena, runs[i]), PAGES_BYTES));
            memset(arena_address(arena, runs[i]), 0xa5, PAGES_BYTES);
        }
        arena_check(arena);
        for (unsigned i = 0; i < PAGES_CHUNK_PAGES; i++) arena_give(arena, 1, runs[i]);
        arena_trim(arena);
        uint8_t *base = arena_address(arena, (struct page_run){0});
        ck_assert(kit_resident_pages(base, 2 * chunk_bytes()) < PAGES_CHUNK_PAGES);
    }
    arena_destroy(&arena);
    ck_assert(budget_total(&budget) == 0);
}
END_TEST

START_TEST(impossible_sizes_are_refused)
{
    struct budget budget;
    struct arena *arena = NULL;
    budget_init(&budget, UINT64_MAX);
    ck_assert_ptr_null(pages_reserve(0));
    ck_assert_ptr_null(pages_reserve(UINT64_MAX));
    ck_assert_ptr_null(pages_reserve(1ull << 60));
    ck_assert_int_eq(arena_create(&budget, 0, &arena), FP_TOO_BIG);
    ck_assert_int_eq(arena_create(&budget, UINT64_MAX, &arena), FP_TOO_BIG);
    ck_assert_int_eq(arena_create(&budget, 1ull << 32, &arena), FP_TOO_BIG);
    ck_assert_ptr_null(arena);
}
END_TEST

/* Fills one chunk with runs of a length, each stamped with its number. */
static unsigned fill_chunk(struct arena *arena, unsigned run_pages, struct page_run *runs)
{
    unsigned count = 0;
    while (arena_take(arena, run_pages, &runs[count]) == FP_OK) {
        uint8_t *at = arena_address(arena, runs[count]);
        ck_assert(is_zeros(at, (size_t)run_pages * PAGES_BYTES));
        memset(at, (int)(count % 255 + 1), (size_t)run_pages * PAGES_BYTES);
        count++;
    }
    return count;
}

START_TEST(runs_of_every_length_fill_a_chunk_without_overlap_and_leave_it_clean)
{
    struct budget budget;
    struct arena *arena;
    struct page_run runs[PAGES_CHUNK_PAGES + 1];
    budget_init(&budget, UINT64_MAX);
    ck_assert_int_eq(arena_create(&budget, 1, &arena), FP_OK);
    ck_assert(arena_size_pages(arena) == PAGES_CHUNK_PAGES);
    uint8_t *base = arena_address(arena, (struct page_run){0});
    for (unsigned n = 1; n <= PAGES_RUN_MAX; n++) {
        unsigned count = fill_chunk(arena, n, runs);
        ck_assert_uint_eq(count, PAGES_CHUNK_PAGES / n);
        ck_assert(arena_held_pages(arena) == (uint64_t)count * n);
        ck_assert(budget_total(&budget) == (uint64_t)count * n * PAGES_BYTES);
        arena_check(arena);
        for (unsigned i = 0; i < count; i++) {
            const uint8_t *at = arena_address(arena, runs[i]);
            for (size_t b = 0; b < (size_t)n * PAGES_BYTES; b += 512)
                ck_assert_int_eq(at[b], (int)(i % 255 + 1));
            arena_give(arena, n, runs[i]);
        }
        uint64_t cached = n > PAGES_CACHE_RUN_MAX ? 0 : PAGES_CACHE_MAX / n * n;
        ck_assert(arena_held_pages(arena) == 0 && arena_cached_pages(arena) == cached);
        ck_assert(kit_resident_pages(base, chunk_bytes()) == cached);
        ck_assert(budget_total(&budget) == cached * PAGES_BYTES);
        ck_assert(budget_held(&budget, BUDGET_CACHED) == cached * PAGES_BYTES);
        arena_check(arena);
        arena_trim(arena);
        ck_assert(kit_resident_pages(base, chunk_bytes()) == 0);
        ck_assert(budget_total(&budget) == 0 && arena_cached_pages(arena) == 0);
        arena_check(arena);
    }
    arena_destroy(&arena);
    ck_assert_ptr_null(arena);
}
END_TEST

START_TEST(a_refusal_of_the_budget_takes_nothing)
{
    struct budget budget;
    struct arena *arena;
    struct page_run first, run;
    budget_init(&budget, 3 * PAGES_BYTES);
    ck_assert_int_eq(arena_create(&budget, 4096, &arena), FP_OK);
    ck_assert_int_eq(arena_take(arena, 2, &first), FP_OK);
    ck_assert_int_eq(arena_take(arena, 2, &run), FP_NO_MEMORY);
    ck_assert(arena_held_pages(arena) == 2 && budget_total(&budget) == 2 * PAGES_BYTES);
    ck_assert_int_eq(arena_take(arena, 1, &run), FP_OK);
    arena_give(arena, 1, run);
    arena_give(arena, 2, first);
    ck_assert(budget_total(&budget) == 0);
    arena_destroy(&arena);
}
END_TEST

START_TEST(a_refusal_for_want_of_address_space_charges_nothing)
{
    struct budget budget;
    struct arena *arena;
    struct page_run runs[PAGES_CHUNK_PAGES + 1], run;
    budget_init(&budget, UINT64_MAX);
    ck_assert_int_eq(arena_create(&budget, PAGES_CHUNK_PAGES, &arena), FP_OK);
    ck_assert_uint_eq(fill_chunk(arena, 1, runs), PAGES_CHUNK_PAGES);
    ck_assert_int_eq(arena_take(arena, 2, &run), FP_NO_MEMORY);
    ck_assert(budget_total(&budget) == chunk_bytes());
    arena_give(arena, 1, runs[77]);
    ck_assert_int_eq(arena_take(arena, 2, &run), FP_NO_MEMORY); /* the chunk is cut into ones */
    ck_assert_int_eq(arena_take(arena, 1, &run), FP_OK);
    ck_assert_uint_eq(run.first_page, runs[77].first_page);
    for (unsigned i = 0; i < PAGES_CHUNK_PAGES; i++) arena_give(arena, 1, runs[i]);
    arena_destroy(&arena);
}
END_TEST

struct taken {
    struct page_run run;
    unsigned pages; /* 0: none */
    uint8_t stamp;
};

static void step(struct arena *arena, struct rng *rng, struct taken *taken, uint8_t stamp)
{
    if (taken->pages != 0) {
        uint8_t *at = arena_address(arena, taken->run);
        size_t last = (size_t)taken->pages * PAGES_BYTES - 1;
        ck_assert(at[0] == taken->stamp && at[last] == taken->stamp);
        arena_give(arena, taken->pages, taken->run);
        taken->pages = 0;
        return;
    }
    unsigned pages = 1 + (unsigned)rng_below(rng, PAGES_RUN_MAX);
    if (arena_take(arena, pages, &taken->run) != FP_OK) return;
    uint8_t *at = arena_address(arena, taken->run);
    size_t last = (size_t)pages * PAGES_BYTES - 1;
    ck_assert(at[0] == 0 && at[last] == 0);
    at[0] = at[last] = stamp;
    *taken = (struct taken){.run = taken->run, .pages = pages, .stamp = stamp};
}

START_TEST(random_takes_and_gives_never_mix_two_runs)
{
    enum { HELD = 200, STEPS = 6000 };
    struct budget budget;
    struct arena *arena;
    struct taken held[HELD] = {0};
    struct rng rng = {.state = 1};
    unsigned cached = 0;
    budget_init(&budget, 1800 * PAGES_BYTES);
    ck_assert_int_eq(arena_create(&budget, 64 * PAGES_CHUNK_PAGES, &arena), FP_OK);
    for (unsigned i = 0; i < STEPS; i++) {
        step(arena, &rng, &held[rng_below(&rng, HELD)], (uint8_t)(i % 255 + 1));
        if (i % 8 == 0) arena_check(arena);
        ck_assert(budget_held(&budget, BUDGET_PAYLOAD) == arena_held_pages(arena) * PAGES_BYTES);
        ck_assert(budget_held(&budget, BUDGET_CACHED) == arena_cached_pages(arena) * PAGES_BYTES);
        cached += arena_cached_pages(arena) != 0;
        if (i % 64 == 0) arena_trim(arena);
    }
    ck_assert(cached > 0);
    for (unsigned i = 0; i < HELD; i++)
        if (held[i].pages != 0) step(arena, &rng, &held[i], 0);
    arena_trim(arena);
    ck_assert(budget_total(&budget) == 0);
    arena_destroy(&arena);
}
END_TEST

struct walker {
    pthread_t thread;
    struct arena *arena;
    uint64_t seed;
};

static void *walk(void *argument)
{
    enum { HELD = 16, STEPS = 3000 };
    struct walker *walker = argument;
    struct taken held[HELD] = {0};
    struct rng rng = {.state = walker->seed};
    for (unsigned i = 0; i < STEPS; i++)
        step(walker->arena, &rng, &held[rng_below(&rng, HELD)], (uint8_t)(i % 255 + 1));
    for (unsigned i = 0; i < HELD; i++)
        if (held[i].pages != 0) step(walker->arena, &rng, &held[i], 0);
    return NULL;
}

START_TEST(threads_get_runs_of_their_own)
{
    struct budget budget;
    struct arena *arena;
    struct walker walkers[THREADS];
    budget_init(&budget, 900 * PAGES_BYTES);
    ck_assert_int_eq(arena_create(&budget, 64 * PAGES_CHUNK_PAGES, &arena), FP_OK);
    for (unsigned i = 0; i < THREADS; i++) {
        walkers[i] = (struct walker){.arena = arena, .seed = i};
        ck_assert_int_eq(pthread_create(&walkers[i].thread, NULL, walk, &walkers[i]), 0);
    }
    for (unsigned i = 0; i < THREADS; i++)
        ck_assert_int_eq(pthread_join(walkers[i].thread, NULL), 0);
    arena_check(arena);
    arena_trim(arena);
    ck_assert(budget_total(&budget) == 0);
    arena_destroy(&arena);
}
END_TEST

/* --- the cache of freed runs ------------------------------------------------------------------ */

START_TEST(a_freed_run_waits_for_the_next_taker_of_its_length_who_finds_zeros)
{
    struct budget budget;
    struct arena *arena;
    struct page_run one, four, again;
    budget_init(&budget, UINT64_MAX);
    ck_assert_int_eq(arena_create(&budget, 1 << 12, &arena), FP_OK);
    ck_assert_int_eq(arena_take(arena, 1, &one), FP_OK);
    ck_assert_int_eq(arena_take(arena, 4, &four), FP_OK);
    memset(arena_address(arena, one), 0xa5, PAGES_BYTES);
    memset(arena_address(arena, four), 0xa5, 4 * PAGES_BYTES);
    arena_give(arena, 1, one);
    arena_give(arena, 4, four);
    ck_assert(arena_held_pages(arena) == 0 && arena_cached_pages(arena) == 5);
    ck_assert(budget_held(&budget, BUDGET_CACHED) == 5 * PAGES_BYTES);
    ck_assert_int_eq(arena_take(arena, 4, &again), FP_OK);
    ck_assert_uint_eq(again.first_page, four.first_page);
    ck_assert(kit_resident_pages(arena_address(arena, again), 4 * PAGES_BYTES) == 4);
    ck_assert(is_zeros(arena_address(arena, again), 4 * PAGES_BYTES));
    ck_assert(arena_held_pages(arena) == 4 && arena_cached_pages(arena) == 1);
    ck_assert(budget_held(&budget, BUDGET_PAYLOAD) == 4 * PAGES_BYTES);
    arena_check(arena);
    arena_give(arena, 4, again);
    arena_destroy(&arena); /* with both of them in the cache */
    ck_assert(budget_total(&budget) == 0);
}
END_TEST

START_TEST(a_trim_gives_all_that_is_kept_to_the_os)
{
    struct budget budget;
    struct arena *arena;
    struct page_run run;
    budget_init(&budget, UINT64_MAX);
    ck_assert_int_eq(arena_create(&budget, 1 << 12, &arena), FP_OK);
    ck_assert_int_eq(arena_take(arena, 16, &run), FP_OK);
    uint8_t *at = arena_address(arena, run);
    memset(at, 1, 16 * PAGES_BYTES);
    arena_give(arena, 16, run);
    ck_assert(kit_resident_pages(at, 16 * PAGES_BYTES) == 16);
    arena_trim(arena);
    ck_assert(kit_resident_pages(at, 16 * PAGES_BYTES) == 0);
    ck_assert(arena_cached_pages(arena) == 0 && budget_total(&budget) == 0);
    arena_destroy(&arena);
}
END_TEST

START_TEST(nothing_is_kept_where_the_budget_is_nearly_used_up)
{
    struct budget budget;
    struct arena *arena;
    struct page_run run;
    budget_init(&budget, PAGES_CACHE_HEADROOM_BYTES + 2 * PAGES_BYTES);
    ck_assert_int_eq(arena_create(&budget, 1 << 12, &arena), FP_OK);
    ck_assert(budget_charge(&budget, BUDGET_ITEMS, 2 * PAGES_BYTES));
    ck_assert_int_eq(arena_take(arena, 1, &run), FP_OK);
    arena_give(arena, 1, run);
    ck_assert(arena_cached_pages(arena) == 0 && budget_total(&budget) == 2 * PAGES_BYTES);
    budget_return(&budget, BUDGET_ITEMS, 2 * PAGES_BYTES);
    ck_assert_int_eq(arena_take(arena, 1, &run), FP_OK);
    arena_give(arena, 1, run);
    ck_assert(arena_cached_pages(arena) == 1);
    arena_destroy(&arena);
}
END_TEST

START_TEST(what_is_kept_is_in_nobodys_way)
{
    struct budget budget;
    struct arena *arena;
    struct page_run run;
    budget_init(&budget, UINT64_MAX);
    ck_assert_int_eq(arena_create(&budget, PAGES_CHUNK_PAGES, &arena), FP_OK);
    ck_assert_int_eq(arena_take(arena, 1, &run), FP_OK);
    arena_give(arena, 1, run); /* the only chunk stays cut into ones */
    ck_assert(arena_cached_pages(arena) == 1);
    ck_assert_int_eq(arena_take(arena, 2, &run), FP_OK); /* for want of address space */
    arena_give(arena, 2, run);
    ck_assert(arena_cached_pages(arena) == 2);
    budget_set_limit(&budget, 2 * PAGES_BYTES);
    ck_assert_int_eq(arena_take(arena, 1, &run), FP_OK); /* for want of memory */
    ck_assert(arena_cached_pages(arena) == 0 && budget_total(&budget) == PAGES_BYTES);
    arena_give(arena, 1, run);
    arena_destroy(&arena);
}
END_TEST

static void give_twice(void *argument)
{
    struct page_run run, other;
    if (arena_take(argument, 1, &run) != FP_OK || arena_take(argument, 1, &other) != FP_OK) return;
    arena_give(argument, 1, run);
    arena_give(argument, 1, run);
}

static void destroy_with_a_run_out(void *argument)
{
    struct page_run run;
    struct arena *arena = argument;
    if (arena_take(arena, 1, &run) == FP_OK) arena_destroy(&arena);
}

START_TEST(giving_twice_or_leaking_a_run_stops_the_program)
{
    struct budget budget;
    struct arena *arena;
    budget_init(&budget, UINT64_MAX);
    ck_assert_int_eq(arena_create(&budget, 4096, &arena), FP_OK);
    ck_assert(child_aborts(give_twice, arena));
    ck_assert(child_aborts(destroy_with_a_run_out, arena));
    arena_destroy(&arena);
}
END_TEST

int main(void)
{
    return suite_run("pages", a_reservation_costs_nothing_until_it_is_written,
                     what_is_discarded_goes_back_to_the_os_and_reads_as_zeros,
                     what_is_locked_is_discarded_all_the_same,
                     an_arena_of_huge_pages_keeps_its_promises, impossible_sizes_are_refused,
                     runs_of_every_length_fill_a_chunk_without_overlap_and_leave_it_clean,
                     a_refusal_of_the_budget_takes_nothing,
                     a_refusal_for_want_of_address_space_charges_nothing,
                     random_takes_and_gives_never_mix_two_runs, threads_get_runs_of_their_own,
                     a_freed_run_waits_for_the_next_taker_of_its_length_who_finds_zeros,
                     a_trim_gives_all_that_is_kept_to_the_os,
                     nothing_is_kept_where_the_budget_is_nearly_used_up,
                     what_is_kept_is_in_nobodys_way,
                     giving_twice_or_leaking_a_run_stops_the_program);
}
