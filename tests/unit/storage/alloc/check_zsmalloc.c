/* SPDX-License-Identifier: BSD-3-Clause
 *
 * What is about size classes and zspages. */
#include "storage/alloc/zsmalloc.h"

#include "tests/unit/base/suite.h"
#include "tests/unit/storage/pool.h"

START_TEST(a_larger_object_never_costs_less_and_no_object_wastes_much)
{
    struct bench bench;
    setup(&bench, "zsmalloc", UINT64_MAX);
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
    setup(&bench, "zsmalloc", UINT64_MAX);
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
    setup(&bench, "zsmalloc", UINT64_MAX);
    for (size_t s = 0; s < FP_COUNT_OF(sizes); s++) {
        struct zhandle handles[4096];
        struct zpool_class row = {0};
        unsigned index = 0, count = 0;
        do {
            ck_assert_int_eq(zpool_alloc(bench.pool, sizes[s], 0, &handles[count++]), FP_OK);
            for (index = 0; row.object_count == 0; index++) zpool_class(bench.pool, index, &row);
        } while (count < row.slots_per_zspage);
        ck_assert(arena_held_pages(bench.arena) == row.pages_per_zspage);
        struct zpool_fill fill = zpool_fill(bench.pool);
        ck_assert(fill.object_count == count && fill.zspage_count == 1);
        ck_assert(fill.held_pages == row.pages_per_zspage);
        ck_assert(fill.object_bytes == sizes[s] * count && fill.free_bytes == 0);
        ck_assert_int_eq(zpool_alloc(bench.pool, sizes[s], 0, &handles[count++]), FP_OK);
        ck_assert(arena_held_pages(bench.arena) == 2 * row.pages_per_zspage);
        while (count > 0) zpool_free(bench.pool, &handles[--count]);
    }
    teardown(&bench);
}
END_TEST

START_TEST(sparse_zspages_empty_themselves_because_new_objects_go_to_the_fullest)
{
    enum { SIZE = 700, MANY = 400 };
    static struct zhandle handles[MANY];
    struct bench bench;
    struct zpool_class row = {0};
    setup(&bench, "zsmalloc", UINT64_MAX);
    for (int i = 0; i < MANY; i++)
        ck_assert_int_eq(zpool_alloc(bench.pool, SIZE, 0, &handles[i]), FP_OK);
    for (unsigned i = 0; row.object_count == 0; i++) zpool_class(bench.pool, i, &row);
    unsigned slots = row.slots_per_zspage;
    ck_assert(slots > 2);
    zpool_free(bench.pool, &handles[0]);                                   /* one is nearly full */
    for (unsigned i = 0; i < slots - 1; i++) zpool_free(bench.pool, &handles[slots + i]);
    struct zhandle handle;
    uint64_t zspages = zpool_fill(bench.pool).zspage_count;
    ck_assert_int_eq(zpool_alloc(bench.pool, SIZE, 0, &handle), FP_OK);
    zpool_check(bench.pool);
    zpool_free(bench.pool, &handles[2 * slots - 1]); /* the last of the sparse one */
    ck_assert(zpool_fill(bench.pool).zspage_count == zspages - 1);
    zpool_free(bench.pool, &handle);
    for (int i = 0; i < MANY; i++)
        if (handles[i].number != 0) zpool_free(bench.pool, &handles[i]);
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
    setup(&bench, "zsmalloc", UINT64_MAX);
    ck_assert_int_eq(zpool_alloc(bench.pool, SIZE, 0, &handles[0]), FP_OK);
    for (; row.object_count == 0; index++) zpool_class(bench.pool, index, &row);
    unsigned slots = row.slots_per_zspage;
    for (unsigned i = 1; i < 2 * slots; i++)
        ck_assert_int_eq(zpool_alloc(bench.pool, SIZE, 0, &handles[i]), FP_OK);
    for (unsigned i = 0; i < 2 * slots; i += 2) zpool_free(bench.pool, &handles[i]);
    zpool_class(bench.pool, index - 1, &row);
    ck_assert(row.zspage_count == 2 && row.slot_count == 2 * slots);
    ck_assert(row.object_count == slots && row.freeable_pages == row.pages_per_zspage);
    for (unsigned i = 1; i < 2 * slots; i += 2) zpool_free(bench.pool, &handles[i]);
    teardown(&bench);
}
END_TEST

START_TEST(an_object_with_a_zspage_of_its_own_never_moves)
{
    enum { OBJECTS = 64 };
    struct zhandle handles[OBJECTS];
    uint8_t *at[OBJECTS];
    struct bench bench;
    struct zmap map;
    setup(&bench, "zsmalloc", UINT64_MAX);
    for (unsigned i = 0; i < OBJECTS; i++) {
        ck_assert_int_eq(zpool_alloc(bench.pool, PAGES_BYTES * (1u + i % 2u), 0, &handles[i]),
                         FP_OK);
        ck_assert_int_eq(zpool_map(bench.pool, handles[i], ZACCESS_READ, &map), FP_OK);
        at[i] = map.bytes;
        zpool_unmap(bench.pool, &map);
    }
    for (unsigned i = 0; i < OBJECTS; i += 3) zpool_free(bench.pool, &handles[i]);
    ck_assert(zpool_freeable_pages(bench.pool) == 0);
    struct zpool_step step = zpool_compact(bench.pool, 1000);
    ck_assert(step.done && step.moved_count == 0 && step.freed_pages == 0);
    for (unsigned i = 0; i < OBJECTS; i++) {
        if (handles[i].number == 0) continue;
        ck_assert_int_eq(zpool_map(bench.pool, handles[i], ZACCESS_READ, &map), FP_OK);
        ck_assert_ptr_eq(map.bytes, at[i]);
        zpool_unmap(bench.pool, &map);
        zpool_free(bench.pool, &handles[i]);
    }
    teardown(&bench);
}
END_TEST

/* Each of many zspages keeps one object: they end up in as few as can hold them. */
START_TEST(compaction_leaves_less_than_a_zspage_free_in_each_class)
{
    enum { SIZE = 700, MANY = 1000 };
    static struct zhandle handles[MANY];
    static const uint8_t bytes[SIZE];
    struct bench bench;
    struct zpool_class row = {0};
    unsigned index = 0;
    setup(&bench, "zsmalloc", UINT64_MAX);
    for (unsigned i = 0; i < MANY; i++) handles[i] = keep(&bench, bytes, SIZE);
    for (; row.object_count == 0; index++) zpool_class(bench.pool, index, &row);
    for (unsigned i = 0; i < MANY; i++)
        if (i % row.slots_per_zspage != 0) zpool_free(bench.pool, &handles[i]);
    while (!zpool_compact(bench.pool, 5).done) zpool_check(bench.pool);
    zpool_class(bench.pool, index - 1, &row);
    ck_assert(row.zspage_count == (row.object_count - 1) / row.slots_per_zspage + 1);
    ck_assert(row.freeable_pages == 0 && zpool_freeable_pages(bench.pool) == 0);
    for (unsigned i = 0; i < MANY; i++)
        if (handles[i].number != 0) zpool_free(bench.pool, &handles[i]);
    teardown(&bench);
}
END_TEST

/* The sparsest zspages hold a pinned object each, so a mover meets them first. */
START_TEST(compaction_goes_on_past_pinned_zspages)
{
    enum { SIZE = 700, PINNED = 10, ZSPAGES = 40, MANY = 4000 };
    static struct zhandle handles[MANY];
    static uint8_t bytes[SIZE];
    struct bench bench;
    struct zmap maps[PINNED];
    struct zpool_class row = {0};
    unsigned index = 0, count = 0;
    memset(bytes, 0x33, SIZE);
    setup(&bench, "zsmalloc", UINT64_MAX);
    handles[count++] = keep(&bench, bytes, SIZE);
    for (; row.object_count == 0; index++) zpool_class(bench.pool, index, &row);
    unsigned slots = row.slots_per_zspage;
    while (count < ZSPAGES * slots) handles[count++] = keep(&bench, bytes, SIZE);
    for (unsigned i = 0; i < PINNED; i++)
        ck_assert_int_eq(zpool_map(bench.pool, handles[i * slots], ZACCESS_READ, &maps[i]), FP_OK);
    for (unsigned i = 0; i < count; i++)
        if (i < PINNED * slots ? i % slots != 0 : i % 2 != 0)
            zpool_free(bench.pool, &handles[i]);
    struct zpool_step step = zpool_compact(bench.pool, UINT32_MAX);
    ck_assert(step.done && step.skipped_pinned_count >= PINNED && step.moved_count > 0);
    zpool_class(bench.pool, index - 1, &row);
    uint64_t least = (row.object_count - 1) / slots + 1;
    ck_assert(row.zspage_count <= (least > PINNED ? least : PINNED) + 1);
    for (unsigned i = 0; i < PINNED; i++) {
        ck_assert(memcmp(maps[i].bytes, bytes, SIZE) == 0);
        zpool_unmap(bench.pool, &maps[i]);
    }
    for (unsigned i = 0; i < count; i++) {
        if (handles[i].number == 0) continue;
        ck_assert(holds(&bench, handles[i], bytes, SIZE));
        zpool_free(bench.pool, &handles[i]);
    }
    teardown(&bench);
}
END_TEST

int main(void)
{
    return suite_run(
        "zsmalloc", a_larger_object_never_costs_less_and_no_object_wastes_much,
        the_class_table_makes_sense, a_zspage_is_filled_before_the_next_is_taken,
        sparse_zspages_empty_themselves_because_new_objects_go_to_the_fullest,
        the_row_of_a_class_tells_what_compaction_could_win,
        an_object_with_a_zspage_of_its_own_never_moves,
        compaction_leaves_less_than_a_zspage_free_in_each_class,
        compaction_goes_on_past_pinned_zspages);
}
