/* SPDX-License-Identifier: BSD-3-Clause
 *
 * What every backend must keep, proved with each of them. */
#include "storage/alloc/zpool_backend.h"

#include <pthread.h>

#include "tests/unit/base/suite.h"
#include "tests/unit/storage/child.h"
#include "tests/unit/storage/pool.h"

enum { THREADS = 4, WINDOW = 64 };

/* Each size stays for WINDOW others, so that a write past an end would hit a neighbour. Above two
 * pages every 7th size is enough: 7 meets every remainder of a unit, a chunk and a step. */
START_TEST(every_size_keeps_its_bytes_among_its_neighbours)
{
    struct bench bench;
    struct zhandle handles[WINDOW] = {0};
    size_t sizes[WINDOW] = {0}, count = 0;
    struct rng rng = {.state = 7};
    uint8_t *bytes = malloc(ZPOOL_OBJECT_BYTES_MAX + WINDOW);
    rng_fill(&rng, bytes, ZPOOL_OBJECT_BYTES_MAX + WINDOW);
    setup(&bench, pool_backends[_i], UINT64_MAX);
    for (size_t size = 1; size <= ZPOOL_OBJECT_BYTES_MAX; count++) {
        size_t slot = count % WINDOW;
        if (handles[slot].number != 0) {
            ck_assert(holds(&bench, handles[slot], bytes + slot, sizes[slot]));
            zpool_free(bench.pool, &handles[slot]);
            ck_assert(handles[slot].number == 0);
        }
        handles[slot] = keep(&bench, bytes + slot, size);
        sizes[slot] = size;
        if (count % 1024 == 0) zpool_check(bench.pool);
        if (size == ZPOOL_OBJECT_BYTES_MAX) break;
        size += size < 2 * PAGES_BYTES ? 1 : 7;
        if (size > ZPOOL_OBJECT_BYTES_MAX) size = ZPOOL_OBJECT_BYTES_MAX;
    }
    for (size_t slot = 0; slot < WINDOW; slot++) {
        ck_assert(holds(&bench, handles[slot], bytes + slot, sizes[slot]));
        zpool_free(bench.pool, &handles[slot]);
    }
    teardown(&bench);
    free(bytes);
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
    setup(&bench, pool_backends[_i], UINT64_MAX);
    uint8_t *base = arena_address(bench.arena, (struct page_run){0});
    uint64_t span = arena_size_pages(bench.arena) * PAGES_BYTES;
    for (int i = 0; i < OBJECTS; i++)
        handles[i] = keep(&bench, bytes, 1 + rng_below(&rng, ZPOOL_OBJECT_BYTES_MAX / 8));
    uint64_t held = arena_held_pages(bench.arena);
    uint64_t resident = kit_resident_pages(base, span);
    ck_assert(resident <= held && resident > held * 9 / 10);
    for (int i = 0; i < OBJECTS; i++) zpool_free(bench.pool, &handles[i]);
    ck_assert(kit_resident_pages(base, span) <= arena_cached_pages(bench.arena));
    arena_trim(bench.arena);
    ck_assert(kit_resident_pages(base, span) == 0);
    teardown(&bench);
}
END_TEST

START_TEST(a_refusal_changes_nothing_and_a_free_helps)
{
    struct bench bench;
    struct zhandle handles[64] = {0}, extra = {0};
    unsigned count = 0;
    setup(&bench, pool_backends[_i], 20 * PAGES_BYTES);
    while (zpool_alloc(bench.pool, PAGES_BYTES, 0, &handles[count]) == FP_OK) count++;
    ck_assert_uint_eq(count, 19); /* the 20th page's worth holds handles and descriptors */
    uint64_t total = budget_total(&bench.budget);
    for (int i = 0; i < 100; i++)
        ck_assert_int_eq(zpool_alloc(bench.pool, PAGES_BYTES, 0, &extra), FP_NO_MEMORY);
    ck_assert_int_eq(zpool_alloc(bench.pool, 100, 0, &extra), FP_NO_MEMORY);
    ck_assert(extra.number == 0);
    /* A handle and a descriptor stay behind as free ones, once, not a hundred times. */
    ck_assert(budget_total(&bench.budget) <= total + 64);
    zpool_check(bench.pool);
    zpool_free(bench.pool, &handles[3]);
    ck_assert_int_eq(zpool_alloc(bench.pool, PAGES_BYTES, 0, &handles[3]), FP_OK);
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
    setup(&bench, pool_backends[_i], UINT64_MAX);
    for (int round = 0; round < 5; round++) {
        for (size_t i = 0; i < OBJECTS; i++)
            ck_assert_int_eq(zpool_alloc(bench.pool, 4 + i * 20, 0, &handles[i]), FP_OK);
        uint64_t held = budget_held(&bench.budget, BUDGET_ALLOCATOR);
        if (round == 0) first = held;
        /* Handles come in another order, so objects may lie otherwise: a few more zspages. */
        ck_assert(held <= first + first / 10 && held == zpool_fill(bench.pool).table_bytes);
        for (size_t i = 0; i < OBJECTS; i++) zpool_free(bench.pool, &handles[i]);
    }
    teardown(&bench);
}
END_TEST

START_TEST(pins_count_and_are_seen)
{
    struct bench bench;
    struct zmap first, second;
    setup(&bench, pool_backends[_i], UINT64_MAX);
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

/* Whoever replaces what is mapped hands it over: the mapper keeps address and bytes, also while
 * everything around them goes and is compacted. */
START_TEST(what_is_mapped_may_get_another_handle)
{
    enum { OBJECTS = 300, KEEP = 10 };
    static const size_t sizes[] = {40, 1200, 4096, 9000};
    static uint8_t bytes[OBJECTS][9000];
    static struct zhandle handles[OBJECTS], others[OBJECTS];
    static struct zmap maps[OBJECTS];
    struct bench bench;
    struct rng rng = {.state = 5};
    setup(&bench, pool_backends[_i], UINT64_MAX);
    for (int i = 0; i < OBJECTS; i++) {
        rng_fill(&rng, bytes[i], sizes[i % 4]);
        handles[i] = keep(&bench, bytes[i], sizes[i % 4]);
    }
    for (int i = 0; i < OBJECTS; i++) {
        if (i % KEEP > 3) continue; /* one of each size */
        ck_assert_int_eq(zpool_map(bench.pool, handles[i], ZACCESS_READ, &maps[i]), FP_OK);
        ck_assert_int_eq(zpool_handle_take(bench.pool, &others[i]), FP_OK);
        zpool_move(bench.pool, handles[i], others[i]);
        ck_assert_int_eq(zpool_look(bench.pool, handles[i]).what, ZNOTHING);
        zpool_handle_give(bench.pool, &handles[i]);
    }
    for (int i = 0; i < OBJECTS; i++)
        if (i % KEEP > 3) zpool_free(bench.pool, &handles[i]);
    while (!zpool_compact(bench.pool, 64).done) {}
    zpool_check(bench.pool);
    for (int i = 0; i < OBJECTS; i++) {
        if (i % KEEP > 3) continue;
        ck_assert(memcmp(maps[i].bytes, bytes[i], sizes[i % 4]) == 0);
        ck_assert(holds(&bench, others[i], bytes[i], sizes[i % 4]));
        zpool_unmap(bench.pool, &maps[i]);
        zpool_free(bench.pool, &others[i]);
    }
    ck_assert(zpool_fill(bench.pool).pinned_count == 0);
    teardown(&bench);
}
END_TEST

START_TEST(a_handle_of_nothing_is_taken_and_given_back)
{
    struct bench bench;
    struct zhandle none, value;
    setup(&bench, pool_backends[_i], UINT64_MAX);
    ck_assert_int_eq(zpool_handle_take(bench.pool, &none), FP_OK);
    ck_assert(none.number != 0 && zpool_look(bench.pool, none).what == ZNOTHING);
    ck_assert_int_eq(zpool_alloc_value(bench.pool, 77, &value), FP_OK);
    zpool_move(bench.pool, value, none);
    ck_assert(zpool_look(bench.pool, none).value == 77);
    ck_assert_int_eq(zpool_look(bench.pool, value).what, ZNOTHING);
    zpool_handle_give(bench.pool, &value);
    ck_assert(value.number == 0);
    zpool_free(bench.pool, &none);
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
    setup(&bench, pool_backends[_i], UINT64_MAX);
    for (int i = 0; i < OBJECTS; i++)
        stale[i] = handles[i] = keep(&bench, bytes, sizes[i % 4]);
    static const uint32_t wrong[] = {0, OBJECTS + 1, 1u << 31, (1u << 31) + 1, UINT32_MAX};
    for (size_t i = 0; i < FP_COUNT_OF(wrong); i++) {
        struct zhandle handle = {.number = wrong[i]};
        ck_assert_int_eq(zpool_map(bench.pool, handle, ZACCESS_READ, &map), FP_CORRUPT);
    }
    for (int i = 0; i < OBJECTS; i += 3) zpool_free(bench.pool, &handles[i]);
    for (int i = 0; i < OBJECTS; i += 3)
        ck_assert_int_eq(zpool_map(bench.pool, stale[i], ZACCESS_READ, &map), FP_CORRUPT);
    ck_assert(zpool_fill(bench.pool).pinned_count == 0);
    for (int i = 0; i < OBJECTS; i++)
        if (handles[i].number != 0) zpool_free(bench.pool, &handles[i]);
    teardown(&bench);
}
END_TEST

/* A damaged cell leads to nothing, or to a place whose owner is somebody else. */
START_TEST(a_damaged_cell_is_corrupt)
{
    struct bench bench;
    struct zmap map;
    static const uint8_t bytes[PAGES_BYTES];
    setup(&bench, pool_backends[_i], UINT64_MAX);
    bool has_runs = strcmp(pool_backends[_i], "blocks") == 0;
    struct zhandle one = keep(&bench, bytes, 1000), other = keep(&bench, bytes, 1000);
    _Atomic uint64_t *cell = cells_at(&bench.pool->cells, one.number);
    uint64_t good = atomic_load(cell);
    ck_assert_int_eq(zpool_map(bench.pool, one, ZACCESS_READ, &map), FP_OK);
    const uint8_t *right = map.bytes;
    zpool_unmap(bench.pool, &map);
    for (unsigned bit = 0; bit < 64; bit++) {
        /* A run of its own has no owner to ask: the page's checksum finds it. */
        if (has_runs && bit == CELL_PLACE_SHIFT) continue;
        atomic_store(cell, good ^ 1ull << bit);
        enum fp_status status = zpool_map(bench.pool, one, ZACCESS_READ, &map);
        ck_assert(status == FP_CORRUPT || (status == FP_OK && map.bytes == right));
        if (status == FP_OK) zpool_unmap(bench.pool, &map); /* the bit has no meaning */
    }
    atomic_store(cell, atomic_load(cells_at(&bench.pool->cells, other.number)));
    ck_assert_int_eq(zpool_map(bench.pool, one, ZACCESS_READ, &map), FP_CORRUPT);
    atomic_store(cell, good);
    ck_assert(holds(&bench, one, bytes, 1000) && zpool_fill(bench.pool).pinned_count == 0);
    zpool_free(bench.pool, &one);
    zpool_free(bench.pool, &other);
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
        if (handles[at].number == 0) {
            sizes[at] = 1 + rng_below(&rng, SIZES);
            handles[at] = keep(worker->bench, bytes, sizes[at]);
        } else {
            ck_assert(holds(worker->bench, handles[at], bytes, sizes[at]));
            if (i % 2) zpool_free(worker->bench->pool, &handles[at]);
        }
    }
    for (int i = 0; i < HELD; i++)
        if (handles[i].number != 0) zpool_free(worker->bench->pool, &handles[i]);
    return NULL;
}

START_TEST(threads_churn_without_touching_each_others_bytes)
{
    struct bench bench;
    struct worker workers[THREADS];
    setup(&bench, pool_backends[_i], UINT64_MAX);
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
    if (zpool_alloc(bench->pool, 100, 0, &other) != FP_OK) return;
    if (zpool_alloc(bench->pool, 100, 0, &handle) != FP_OK) return;
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
    (void)!zpool_alloc(((struct bench *)argument)->pool, ZPOOL_OBJECT_BYTES_MAX + 1, 0, &handle);
}

static void give_what_names_something(void *argument)
{
    struct bench *bench = argument;
    struct zhandle handle;
    if (zpool_alloc(bench->pool, 1, 0, &handle) == FP_OK) zpool_handle_give(bench->pool, &handle);
}

static void move_onto_something(void *argument)
{
    struct bench *bench = argument;
    struct zhandle one, other;
    if (zpool_alloc(bench->pool, 1, 0, &one) != FP_OK) return;
    if (zpool_alloc(bench->pool, 1, 0, &other) == FP_OK) zpool_move(bench->pool, one, other);
}

static void destroy_with_an_object(void *argument)
{
    struct bench *bench = argument;
    struct zhandle handle;
    if (zpool_alloc(bench->pool, 1, 0, &handle) == FP_OK) zpool_destroy(&bench->pool);
}

START_TEST(our_own_mistakes_stop_the_program)
{
    struct bench bench;
    setup(&bench, pool_backends[_i], UINT64_MAX);
    ck_assert(child_aborts(free_twice, &bench));
    ck_assert(child_aborts(free_nothing, &bench));
    ck_assert(child_aborts(alloc_too_much, &bench));
    ck_assert(child_aborts(give_what_names_something, &bench));
    ck_assert(child_aborts(move_onto_something, &bench));
    ck_assert(child_aborts(destroy_with_an_object, &bench));
    teardown(&bench);
}
END_TEST

START_TEST(an_object_costs_at_least_its_bytes_and_a_page_exactly_a_page)
{
    struct bench bench;
    setup(&bench, pool_backends[_i], UINT64_MAX);
    for (size_t size = 1; size <= ZPOOL_OBJECT_BYTES_MAX; size++) {
        size_t cost = zpool_cost_bytes(bench.pool, size);
        ck_assert(cost >= size);
        if (size % PAGES_BYTES == 0) ck_assert(cost == size);
    }
    uint64_t before = arena_held_pages(bench.arena);
    struct zhandle handle;
    ck_assert_int_eq(zpool_alloc(bench.pool, PAGES_BYTES, 0, &handle), FP_OK);
    ck_assert(arena_held_pages(bench.arena) == before + 1);
    zpool_free(bench.pool, &handle);
    teardown(&bench);
}
END_TEST

START_TEST(an_object_is_born_touched_and_keeps_the_hint_wherever_it_goes)
{
    enum { OBJECTS = 400, KEEP = 8 };
    static struct zhandle handles[OBJECTS];
    struct bench bench;
    struct zhandle row, first;
    setup(&bench, pool_backends[_i], UINT64_MAX);
    for (int i = 0; i < OBJECTS; i++) {
        ck_assert_int_eq(zpool_alloc(bench.pool, 900, (uint32_t)i, &handles[i]), FP_OK);
        uint64_t said = zpool_says(bench.pool, handles[i]);
        ck_assert(zpool_touched(bench.pool, handles[i]));
        zpool_untouch(bench.pool, handles[i]);
        ck_assert(!zpool_touched(bench.pool, handles[i]));
        ck_assert(zpool_says(bench.pool, handles[i]) == said);
        if (i % (2 * KEEP) == 0) zpool_touch(bench.pool, handles[i]);
        ck_assert(zpool_says(bench.pool, handles[i]) == said);
    }
    for (int i = 0; i < OBJECTS; i++)
        if (i % KEEP != 0) zpool_free(bench.pool, &handles[i]);
    while (!zpool_compact(bench.pool, 64).done) {}
    for (int i = 0; i < OBJECTS; i += KEEP) {
        ck_assert(zpool_touched(bench.pool, handles[i]) == (i % (2 * KEEP) == 0));
        ck_assert(zpool_look(bench.pool, handles[i]).note == (uint32_t)i);
    }
    ck_assert_int_eq(zpool_row_take(bench.pool, &row), FP_OK);
    first = row;
    zpool_touch(bench.pool, first); /* of nothing: it still names nothing */
    ck_assert(!zpool_touched(bench.pool, first) && zpool_says(bench.pool, first) == 0);
    zpool_replace(bench.pool, first, &handles[KEEP]);
    ck_assert(!zpool_touched(bench.pool, first));
    zpool_clear(bench.pool, first);
    zpool_row_give(bench.pool, &row);
    for (int i = 0; i < OBJECTS; i += KEEP)
        if (handles[i].number != 0) zpool_free(bench.pool, &handles[i]);
    teardown(&bench);
}
END_TEST

START_TEST(the_rows_of_the_classes_add_up)
{
    enum { OBJECTS = 2000 };
    static struct zhandle handles[OBJECTS];
    struct bench bench;
    struct rng rng = {.state = 11};
    uint64_t kept_bytes = 0;
    setup(&bench, pool_backends[_i], UINT64_MAX);
    for (int i = 0; i < OBJECTS; i++) {
        size_t size = i % 5 ? 1 + rng_below(&rng, 5000) : 1 + rng_below(&rng, 16) * PAGES_BYTES;
        if (size > PAGES_BYTES && i % 2) size--;
        ck_assert_int_eq(zpool_alloc(bench.pool, size, 0, &handles[i]), FP_OK);
        if (i % 3 != 0) kept_bytes += size;
    }
    for (int i = 0; i < OBJECTS; i += 3) zpool_free(bench.pool, &handles[i]);
    struct zpool_fill fill = zpool_fill(bench.pool);
    uint64_t objects = 0, freeable = 0, pages = 0, bytes = 0;
    for (unsigned i = 0; i < zpool_class_count(bench.pool); i++) {
        struct zpool_class row;
        uint64_t zspages = 0;
        zpool_class(bench.pool, i, &row);
        objects += row.object_count;
        freeable += row.freeable_pages;
        pages += row.zspage_count * row.pages_per_zspage;
        bytes += row.object_bytes;
        for (unsigned k = 0; k < ZPOOL_FULLNESS_GROUPS; k++) zspages += row.fullness[k];
        ck_assert(row.object_count <= row.slot_count && zspages == row.zspage_count);
        ck_assert(row.object_bytes + row.rounding_bytes + row.header_bytes + row.free_bytes ==
                  row.zspage_count * row.pages_per_zspage * PAGES_BYTES);
        ck_assert(row.free_bytes + row.rounding_bytes >= row.freeable_pages * PAGES_BYTES);
    }
    ck_assert(fill.object_count == OBJECTS - (OBJECTS + 2) / 3 && objects == fill.object_count);
    ck_assert(fill.object_bytes == kept_bytes && bytes == kept_bytes);
    ck_assert(fill.held_pages == arena_held_pages(bench.arena) && pages == fill.held_pages);
    ck_assert(fill.object_bytes + fill.rounding_bytes + fill.header_bytes + fill.free_bytes ==
              fill.held_pages * PAGES_BYTES);
    ck_assert(zpool_freeable_pages(bench.pool) <= freeable);
    for (int i = 0; i < OBJECTS; i++)
        if (handles[i].number != 0) zpool_free(bench.pool, &handles[i]);
    teardown(&bench);
}
END_TEST

int main(void)
{
    return suite_run_each(
        "zpool", POOL_BACKENDS, every_size_keeps_its_bytes_among_its_neighbours,
        an_object_costs_at_least_its_bytes_and_a_page_exactly_a_page,
        what_is_freed_goes_back_to_the_os, the_rows_of_the_classes_add_up,
        an_object_is_born_touched_and_keeps_the_hint_wherever_it_goes,
        a_refusal_changes_nothing_and_a_free_helps, handles_and_descriptors_are_used_again,
        pins_count_and_are_seen, what_is_mapped_may_get_another_handle,
        a_handle_of_nothing_is_taken_and_given_back, a_handle_of_no_object_is_corrupt,
        a_damaged_cell_is_corrupt,
        a_backend_nobody_wrote_is_refused, threads_churn_without_touching_each_others_bytes,
        our_own_mistakes_stop_the_program);
}
