/* SPDX-License-Identifier: BSD-3-Clause */
#include "storage/zpool.h"

#include <pthread.h>

#include "tests/unit/base/suite.h"
#include "tests/unit/storage/child.h"
#include "tests/unit/storage/kit.h"

enum { THREADS = 4, WINDOW = 64 };

struct bench { /* a pool with what it stands on */
    struct budget budget;
    struct arena *arena;
    struct zpool *pool;
};

static void setup(struct bench *bench, uint64_t limit_bytes)
{
    budget_init(&bench->budget, limit_bytes);
    ck_assert_int_eq(arena_create(&bench->budget, 1 << 18, &bench->arena), FP_OK);
    struct zpool_options options = {.arena = bench->arena, .budget = &bench->budget};
    ck_assert_int_eq(zpool_create(kit_allocator(), &options, &bench->pool), FP_OK);
}

static void teardown(struct bench *bench)
{
    zpool_check(bench->pool);
    ck_assert(budget_held(&bench->budget, BUDGET_PAYLOAD) == 0);
    zpool_destroy(&bench->pool);
    ck_assert_ptr_null(bench->pool);
    arena_destroy(&bench->arena);
    ck_assert(budget_total(&bench->budget) == 0);
}

static struct zhandle keep(struct bench *bench, const uint8_t *bytes, size_t size)
{
    struct zhandle handle;
    struct zmap map;
    ck_assert_int_eq(zpool_alloc(bench->pool, size, &handle), FP_OK);
    ck_assert_int_eq(zpool_map(bench->pool, handle, ZACCESS_WRITE, &map), FP_OK);
    ck_assert(map.capacity_bytes >= size);
    memcpy(map.bytes, bytes, size);
    zpool_unmap(bench->pool, &map);
    return handle;
}

static bool holds(struct bench *bench, struct zhandle handle, const uint8_t *bytes, size_t size)
{
    struct zmap map;
    if (zpool_map(bench->pool, handle, ZACCESS_READ, &map) != FP_OK) return false;
    bool same = memcmp(map.bytes, bytes, size) == 0;
    zpool_unmap(bench->pool, &map);
    return same;
}

/* Each size stays for WINDOW others, so that a write past an end would hit a neighbour. */
START_TEST(every_size_keeps_its_bytes_among_its_neighbours)
{
    struct bench bench;
    struct zhandle handles[WINDOW] = {0};
    struct rng rng = {.state = 7};
    uint8_t *bytes = malloc(ZPOOL_OBJECT_BYTES_MAX + WINDOW);
    rng_fill(&rng, bytes, ZPOOL_OBJECT_BYTES_MAX + WINDOW);
    setup(&bench, UINT64_MAX);
    for (size_t size = 1; size <= ZPOOL_OBJECT_BYTES_MAX + WINDOW; size++) {
        size_t slot = size % WINDOW, old = size - WINDOW;
        if (handles[slot].bits != 0) {
            ck_assert(holds(&bench, handles[slot], bytes + slot, old));
            zpool_free(bench.pool, &handles[slot]);
            ck_assert(handles[slot].bits == 0);
        }
        if (size <= ZPOOL_OBJECT_BYTES_MAX) handles[slot] = keep(&bench, bytes + slot, size);
        if (size % 4096 == 0) zpool_check(bench.pool);
    }
    teardown(&bench);
    free(bytes);
}
END_TEST

START_TEST(a_larger_object_never_costs_less_and_no_object_wastes_much)
{
    struct bench bench;
    setup(&bench, UINT64_MAX);
    size_t last = 0;
    for (size_t size = 1; size <= ZPOOL_OBJECT_BYTES_MAX; size++) {
        size_t cost = zpool_cost_bytes(bench.pool, size);
        ck_assert(cost >= last && cost >= size);
        /* A step, an owner, and an eighth of it for what does not fill a zspage. */
        size_t step = size <= PAGES_BYTES ? 36 : 516;
        ck_assert_msg(cost <= (size + step) * 9 / 8, "%zu bytes cost %zu", size, cost);
        if (size % PAGES_BYTES == 0) ck_assert(cost == size);
        last = cost;
    }
    teardown(&bench);
}
END_TEST

START_TEST(the_class_table_makes_sense)
{
    struct bench bench;
    uint32_t last_cost = 0;
    setup(&bench, UINT64_MAX);
    unsigned count = zpool_class_count(bench.pool);
    ck_assert(count > 50 && count < 300);
    for (unsigned i = 0; i < count; i++) {
        struct zpool_class row;
        zpool_class(bench.pool, i, &row);
        uint32_t bytes = row.pages_per_zspage * PAGES_BYTES;
        ck_assert(row.pages_per_zspage >= 1 && row.pages_per_zspage <= PAGES_RUN_MAX);
        ck_assert(row.slots_per_zspage >= 1 && row.slots_per_zspage < 4096);
        ck_assert(row.slot_bytes * row.slots_per_zspage <= bytes);
        ck_assert((row.slot_bytes + 8) * row.slots_per_zspage > bytes); /* nothing is left over */
        ck_assert(bytes / row.slots_per_zspage >= last_cost);
        ck_assert(row.object_count == 0 && row.slot_count == 0 && row.freeable_pages == 0);
        last_cost = bytes / row.slots_per_zspage;
    }
    teardown(&bench);
}
END_TEST

START_TEST(a_zspage_is_filled_before_the_next_is_taken)
{
    struct bench bench;
    static const size_t sizes[] = {1, 28, 29, 100, 1000, 2000, 3000, 4000, 4096, 5000, 9000, 65536};
    setup(&bench, UINT64_MAX);
    for (size_t s = 0; s < FP_COUNT_OF(sizes); s++) {
        struct zhandle handles[4096];
        struct zpool_class row = {0};
        unsigned index = 0, count = 0;
        do {
            ck_assert_int_eq(zpool_alloc(bench.pool, sizes[s], &handles[count++]), FP_OK);
            for (index = 0; row.object_count == 0; index++) zpool_class(bench.pool, index, &row);
        } while (count < row.slots_per_zspage);
        ck_assert(arena_held_pages(bench.arena) == row.pages_per_zspage);
        struct zpool_fill fill = zpool_fill(bench.pool);
        ck_assert(fill.object_count == count && fill.zspage_count == 1);
        ck_assert(fill.held_pages == row.pages_per_zspage);
        ck_assert(fill.slot_bytes == (uint64_t)row.slot_bytes * count);
        ck_assert_int_eq(zpool_alloc(bench.pool, sizes[s], &handles[count++]), FP_OK);
        ck_assert(arena_held_pages(bench.arena) == 2 * row.pages_per_zspage);
        while (count > 0) zpool_free(bench.pool, &handles[--count]);
    }
    teardown(&bench);
}
END_TEST

START_TEST(what_is_freed_goes_back_to_the_os)
{
    enum { OBJECTS = 4000 };
    static struct zhandle handles[OBJECTS];
    struct bench bench;
    struct rng rng = {.state = 3};
    static uint8_t bytes[ZPOOL_OBJECT_BYTES_MAX];
    memset(bytes, 0x5a, sizeof bytes);
    setup(&bench, UINT64_MAX);
    uint8_t *base = arena_address(bench.arena, (struct page_run){0});
    uint64_t span = arena_size_pages(bench.arena) * PAGES_BYTES;
    for (int i = 0; i < OBJECTS; i++)
        handles[i] = keep(&bench, bytes, 1 + rng_below(&rng, ZPOOL_OBJECT_BYTES_MAX / 8));
    uint64_t held = arena_held_pages(bench.arena);
    uint64_t resident = kit_resident_pages(base, span);
    ck_assert(resident <= held && resident > held * 9 / 10);
    for (int i = 0; i < OBJECTS; i++) zpool_free(bench.pool, &handles[i]);
    ck_assert(kit_resident_pages(base, span) == 0);
    teardown(&bench);
}
END_TEST

START_TEST(sparse_zspages_empty_themselves_because_new_objects_go_to_the_fullest)
{
    enum { SIZE = 700, MANY = 400 };
    static struct zhandle handles[MANY];
    struct bench bench;
    struct zpool_class row = {0};
    setup(&bench, UINT64_MAX);
    for (int i = 0; i < MANY; i++)
        ck_assert_int_eq(zpool_alloc(bench.pool, SIZE, &handles[i]), FP_OK);
    for (unsigned i = 0; row.object_count == 0; i++) zpool_class(bench.pool, i, &row);
    unsigned slots = row.slots_per_zspage;
    ck_assert(slots > 2);
    zpool_free(bench.pool, &handles[0]);                                   /* one is nearly full */
    for (unsigned i = 0; i < slots - 1; i++) zpool_free(bench.pool, &handles[slots + i]);
    struct zhandle handle;
    uint64_t zspages = zpool_fill(bench.pool).zspage_count;
    ck_assert_int_eq(zpool_alloc(bench.pool, SIZE, &handle), FP_OK);
    zpool_check(bench.pool);
    zpool_free(bench.pool, &handles[2 * slots - 1]); /* the last of the sparse one */
    ck_assert(zpool_fill(bench.pool).zspage_count == zspages - 1);
    zpool_free(bench.pool, &handle);
    for (int i = 0; i < MANY; i++)
        if (handles[i].bits != 0) zpool_free(bench.pool, &handles[i]);
    teardown(&bench);
}
END_TEST

START_TEST(the_row_of_a_class_tells_what_compaction_could_win)
{
    enum { SIZE = 1000 };
    struct zhandle handles[512];
    struct bench bench;
    struct zpool_class row = {0};
    unsigned index = 0;
    setup(&bench, UINT64_MAX);
    ck_assert_int_eq(zpool_alloc(bench.pool, SIZE, &handles[0]), FP_OK);
    for (; row.object_count == 0; index++) zpool_class(bench.pool, index, &row);
    unsigned slots = row.slots_per_zspage;
    for (unsigned i = 1; i < 2 * slots; i++)
        ck_assert_int_eq(zpool_alloc(bench.pool, SIZE, &handles[i]), FP_OK);
    for (unsigned i = 0; i < 2 * slots; i += 2) zpool_free(bench.pool, &handles[i]);
    zpool_class(bench.pool, index - 1, &row);
    ck_assert(row.zspage_count == 2 && row.slot_count == 2 * slots);
    ck_assert(row.object_count == slots && row.freeable_pages == row.pages_per_zspage);
    for (unsigned i = 1; i < 2 * slots; i += 2) zpool_free(bench.pool, &handles[i]);
    teardown(&bench);
}
END_TEST

START_TEST(a_refusal_changes_nothing_and_a_free_helps)
{
    struct bench bench;
    struct zhandle handles[64] = {0}, extra = {0};
    unsigned count = 0;
    setup(&bench, 20 * PAGES_BYTES);
    while (zpool_alloc(bench.pool, PAGES_BYTES, &handles[count]) == FP_OK) count++;
    ck_assert_uint_eq(count, 19); /* the 20th page's worth holds handles and descriptors */
    uint64_t total = budget_total(&bench.budget);
    for (int i = 0; i < 100; i++)
        ck_assert_int_eq(zpool_alloc(bench.pool, PAGES_BYTES, &extra), FP_NO_MEMORY);
    ck_assert_int_eq(zpool_alloc(bench.pool, 100, &extra), FP_NO_MEMORY);
    ck_assert(extra.bits == 0);
    /* A handle and a descriptor stay behind as free ones, once, not a hundred times. */
    ck_assert(budget_total(&bench.budget) <= total + 64);
    zpool_check(bench.pool);
    zpool_free(bench.pool, &handles[3]);
    ck_assert_int_eq(zpool_alloc(bench.pool, PAGES_BYTES, &handles[3]), FP_OK);
    for (unsigned i = 0; i < count; i++) zpool_free(bench.pool, &handles[i]);
    teardown(&bench);
}
END_TEST

START_TEST(handles_and_descriptors_are_used_again)
{
    enum { OBJECTS = 500 };
    struct bench bench;
    struct zhandle handles[OBJECTS];
    uint64_t first = 0;
    setup(&bench, UINT64_MAX);
    for (int round = 0; round < 5; round++) {
        for (size_t i = 0; i < OBJECTS; i++)
            ck_assert_int_eq(zpool_alloc(bench.pool, 4 + i * 20, &handles[i]), FP_OK);
        uint64_t held = budget_held(&bench.budget, BUDGET_ALLOCATOR);
        if (round == 0) first = held;
        ck_assert(held == first && held == zpool_fill(bench.pool).table_bytes);
        for (size_t i = 0; i < OBJECTS; i++) zpool_free(bench.pool, &handles[i]);
    }
    teardown(&bench);
}
END_TEST

START_TEST(pins_count_and_are_seen)
{
    struct bench bench;
    struct zmap first, second;
    setup(&bench, UINT64_MAX);
    struct zhandle handle = keep(&bench, (const uint8_t *)"pinned", 6);
    ck_assert_int_eq(zpool_map(bench.pool, handle, ZACCESS_READ, &first), FP_OK);
    ck_assert_int_eq(zpool_map(bench.pool, handle, ZACCESS_READ, &second), FP_OK);
    ck_assert_ptr_eq(first.bytes, second.bytes);
    ck_assert(zpool_fill(bench.pool).pinned_count == 2);
    zpool_unmap(bench.pool, &first);
    ck_assert_ptr_null(first.bytes);
    ck_assert(zpool_fill(bench.pool).pinned_count == 1);
    zpool_unmap(bench.pool, &second);
    ck_assert(zpool_fill(bench.pool).pinned_count == 0);
    zpool_free(bench.pool, &handle);
    teardown(&bench);
}
END_TEST

/* A handle out of damaged memory must not lead to an object of somebody else. */
START_TEST(a_handle_of_no_object_is_corrupt)
{
    enum { OBJECTS = 300 };
    struct bench bench;
    struct zhandle handles[OBJECTS], stale[OBJECTS];
    struct zmap map;
    static const size_t sizes[] = {40, 3000, 4096, 8192};
    static const uint8_t bytes[8192];
    setup(&bench, UINT64_MAX);
    for (int i = 0; i < OBJECTS; i++)
        stale[i] = handles[i] = keep(&bench, bytes, sizes[i % 4]);
    static const uint64_t wrong[] = {0, OBJECTS + 1, 1ull << 32, (1ull << 32) + 1, UINT64_MAX};
    for (size_t i = 0; i < FP_COUNT_OF(wrong); i++) {
        struct zhandle handle = {.bits = wrong[i]};
        ck_assert_int_eq(zpool_map(bench.pool, handle, ZACCESS_READ, &map), FP_CORRUPT);
    }
    for (int i = 0; i < OBJECTS; i += 3) zpool_free(bench.pool, &handles[i]);
    for (int i = 0; i < OBJECTS; i += 3)
        ck_assert_int_eq(zpool_map(bench.pool, stale[i], ZACCESS_READ, &map), FP_CORRUPT);
    ck_assert(zpool_fill(bench.pool).pinned_count == 0);
    for (int i = 0; i < OBJECTS; i++)
        if (handles[i].bits != 0) zpool_free(bench.pool, &handles[i]);
    teardown(&bench);
}
END_TEST

START_TEST(a_backend_nobody_wrote_is_refused)
{
    struct zpool *pool = NULL;
    struct zpool_options options = {0};
    ck_assert_int_eq(zpool_create("zsmallo", &options, &pool), FP_INVALID);
    ck_assert_int_eq(zpool_create("", &options, &pool), FP_INVALID);
    ck_assert_ptr_null(pool);
    zpool_destroy(&pool);
}
END_TEST

struct worker {
    pthread_t thread;
    struct bench *bench;
    uint64_t seed;
};

static void *churn(void *argument)
{
    enum { HELD = 128, STEPS = 20000, SIZES = 2500 };
    struct worker *worker = argument;
    struct rng rng = {.state = worker->seed};
    struct zhandle handles[HELD] = {0};
    size_t sizes[HELD] = {0};
    uint8_t bytes[SIZES];
    memset(bytes, (int)worker->seed + 1, sizeof bytes);
    for (int i = 0; i < STEPS; i++) {
        size_t at = rng_below(&rng, HELD);
        if (handles[at].bits == 0) {
            sizes[at] = 1 + rng_below(&rng, SIZES);
            handles[at] = keep(worker->bench, bytes, sizes[at]);
        } else {
            ck_assert(holds(worker->bench, handles[at], bytes, sizes[at]));
            if (i % 2) zpool_free(worker->bench->pool, &handles[at]);
        }
    }
    for (int i = 0; i < HELD; i++)
        if (handles[i].bits != 0) zpool_free(worker->bench->pool, &handles[i]);
    return NULL;
}

START_TEST(threads_churn_without_touching_each_others_bytes)
{
    struct bench bench;
    struct worker workers[THREADS];
    setup(&bench, UINT64_MAX);
    for (unsigned i = 0; i < THREADS; i++) {
        workers[i] = (struct worker){.bench = &bench, .seed = i};
        ck_assert_int_eq(pthread_create(&workers[i].thread, NULL, churn, &workers[i]), 0);
    }
    for (unsigned i = 0; i < THREADS; i++)
        ck_assert_int_eq(pthread_join(workers[i].thread, NULL), 0);
    teardown(&bench);
}
END_TEST

static void free_twice(void *argument)
{
    struct bench *bench = argument;
    struct zhandle other, handle;
    if (zpool_alloc(bench->pool, 100, &other) != FP_OK) return;
    if (zpool_alloc(bench->pool, 100, &handle) != FP_OK) return;
    struct zhandle copy = handle;
    zpool_free(bench->pool, &handle);
    zpool_free(bench->pool, &copy);
}

static void free_nothing(void *argument)
{
    struct zhandle none = {0};
    zpool_free(((struct bench *)argument)->pool, &none);
}

static void alloc_too_much(void *argument)
{
    struct zhandle handle;
    (void)!zpool_alloc(((struct bench *)argument)->pool, ZPOOL_OBJECT_BYTES_MAX + 1, &handle);
}

static void destroy_with_an_object(void *argument)
{
    struct bench *bench = argument;
    struct zhandle handle;
    if (zpool_alloc(bench->pool, 1, &handle) == FP_OK) zpool_destroy(&bench->pool);
}

START_TEST(our_own_mistakes_stop_the_program)
{
    struct bench bench;
    setup(&bench, UINT64_MAX);
    ck_assert(child_aborts(free_twice, &bench));
    ck_assert(child_aborts(free_nothing, &bench));
    ck_assert(child_aborts(alloc_too_much, &bench));
    ck_assert(child_aborts(destroy_with_an_object, &bench));
    teardown(&bench);
}
END_TEST

int main(void)
{
    return suite_run(
        "zpool", every_size_keeps_its_bytes_among_its_neighbours,
        a_larger_object_never_costs_less_and_no_object_wastes_much, the_class_table_makes_sense,
        a_zspage_is_filled_before_the_next_is_taken, what_is_freed_goes_back_to_the_os,
        sparse_zspages_empty_themselves_because_new_objects_go_to_the_fullest,
        the_row_of_a_class_tells_what_compaction_could_win,
        a_refusal_changes_nothing_and_a_free_helps, handles_and_descriptors_are_used_again,
        pins_count_and_are_seen,
        a_handle_of_no_object_is_corrupt, a_backend_nobody_wrote_is_refused,
        threads_churn_without_touching_each_others_bytes, our_own_mistakes_stop_the_program);
}
