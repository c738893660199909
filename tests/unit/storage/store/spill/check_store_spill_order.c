/* SPDX-License-Identifier: BSD-3-Clause
 * Whose pages go to the file first, and who waits for that. */
#include "storage/store/spill/store_spill.h"
#include "tests/unit/base/suite.h"
#include "tests/unit/storage/bench.h"

enum { PAGES = 300, EXTENT_BYTES = 64 << 10, FILE_BYTES = 16 << 20 };

static const struct spill_limits limits = {.bytes = EXTENT_BYTES, .looks = 1000};
static struct bench bench;

static void setup(uint64_t memory_bytes)
{
    char why[SPILL_WHY_BYTES];
    struct spill_file_options file = {
        .path = ".", .size_bytes = FILE_BYTES, .extent_bytes = EXTENT_BYTES};
    bench_setup(&bench, (struct store_options){.memory_limit_bytes = memory_bytes}, 8192);
    ck_assert_msg(store_spill_open(bench.store, &file, why) == FP_OK, "%s", why);
}

static struct area *area_of(const char *name, uint64_t guaranteed_bytes)
{
    struct tenant_limits of = {.guaranteed_bytes = guaranteed_bytes};
    struct area_options options = {.name = slice_text(name), .slot_count = 8192};
    struct area *area = NULL;
    ck_assert_int_eq(tenants_define(store_tenants(bench.store), options.name, &of,
                                    &options.tenant), FP_OK);
    ck_assert_int_eq(store_area_create(bench.store, &options, &area), FP_OK);
    return area;
}

static enum fp_status store_one(struct area *area, uint64_t slot)
{
    uint8_t page[KIT_PAGE_BYTES];
    struct rng rng = {.state = slot};
    rng_fill(&rng, page, sizeof page);
    bench.area = area;
    return bench_store(&bench, slot, page);
}

static void fill(struct area *area, uint64_t pages)
{
    for (uint64_t slot = 0; slot < pages; slot++) ck_assert_int_eq(store_one(area, slot), FP_OK);
}

static void touch_all(struct area *area, uint64_t pages)
{
    uint8_t out[KIT_PAGE_BYTES];
    bench.area = area;
    for (uint64_t slot = 0; slot < pages; slot++) (void)bench_load(&bench, slot, out);
}

static uint64_t spilled(const struct area *area)
{
    return atomic_load(&area->counters.spilled);
}

static void spill_until(const struct area *area, uint64_t pages)
{
    struct spill_step done;
    for (int i = 0; i < 1000 && spilled(area) < pages; i++)
        ck_assert_int_eq(store_spill_step(bench.store, bench.scratch, limits, &done), FP_OK);
    ck_assert(spilled(area) >= pages);
}

START_TEST(pages_of_who_borrows_most_go_first)
{
    setup(64 * BENCH_MIB);
    struct area *modest = area_of("modest", 4 * BENCH_MIB), *greedy = area_of("greedy", 0);
    fill(modest, PAGES);
    fill(greedy, PAGES);
    spill_until(greedy, PAGES);
    ck_assert_uint_eq(spilled(modest), 0);
    uint64_t written = atomic_load(&store_tenants(bench.store)->of[greedy->tenant]
                                        .written_back_pages);
    ck_assert_uint_eq(written, PAGES);
    spill_until(modest, PAGES); /* nobody else has any */
    bench_teardown(&bench);
}
END_TEST

START_TEST(where_all_of_his_are_in_use_others_go)
{
    struct spill_step done;
    setup(64 * BENCH_MIB);
    struct area *modest = area_of("modest", 4 * BENCH_MIB), *greedy = area_of("greedy", 0);
    fill(modest, PAGES);
    fill(greedy, PAGES);
    for (int i = 0; i < 1000 && spilled(modest) == 0; i++) {
        touch_all(greedy, PAGES);
        ck_assert_int_eq(store_spill_step(bench.store, bench.scratch, limits, &done), FP_OK);
    }
    ck_assert(spilled(modest) > 0 && spilled(greedy) == 0);
    bench_teardown(&bench);
}
END_TEST

START_TEST(once_the_limit_was_met_pages_wait_until_the_accept_mark)
{
    uint64_t slot = 0;
    struct spill_step done;
    setup(4 * BENCH_MIB);
    struct area *area = area_of("swap2", 0);
    struct budget *budget = store_budget(bench.store);
    const struct store_counters *counters = store_counters(bench.store);
    watermarks_set(store_watermarks(bench.store), (struct watermark_levels){94, 80, 85});
    bench.scratch->may_wait = true;
    enum fp_status status;
    while ((status = store_one(area, slot)) == FP_OK) slot++;
    ck_assert_int_eq(status, FP_LATER);
    ck_assert_uint_eq(atomic_load(&counters->pool_limit_hit), 1);
    while (budget_total(budget) > 4 * BENCH_MIB / 100 * 90) {
        ck_assert_int_eq(store_one(area, slot), FP_LATER); /* it would fit */
        ck_assert_int_eq(store_spill_step(bench.store, bench.scratch, limits, &done), FP_OK);
        (void)zpool_compact(store_zpool(bench.store), 10000);
        arena_trim(zpool_arena(store_zpool(bench.store)));
    }
    ck_assert_int_eq(store_one(area, slot), FP_LATER);
    uint8_t zeros[KIT_PAGE_BYTES] = {0};
    ck_assert_int_eq(bench_store(&bench, 8000, zeros), FP_OK); /* takes no room */
    while (budget_total(budget) > 4 * BENCH_MIB / 100 * 85) {
        ck_assert_int_eq(store_spill_step(bench.store, bench.scratch, limits, &done), FP_OK);
        (void)zpool_compact(store_zpool(bench.store), 10000);
        arena_trim(zpool_arena(store_zpool(bench.store)));
    }
    ck_assert_int_eq(store_one(area, slot), FP_OK);
    ck_assert_uint_eq(atomic_load(&counters->reject_reclaim_fail), 0);
    bench_teardown(&bench);
}
END_TEST

START_TEST(items_that_can_give_way_are_no_reason_to_write_pages_back)
{
    uint8_t value[4000];
    char key[16];
    struct rng rng = {.state = 4};
    setup(4 * BENCH_MIB);
    struct area *area = area_of("swap2", 0);
    watermarks_set(store_watermarks(bench.store), (struct watermark_levels){94, 90, 97});
    fill(area, PAGES);
    rng_fill(&rng, value, sizeof value);
    for (unsigned i = 0; i < 2000; i++) {
        (void)snprintf(key, sizeof key, "k%u", i);
        ck_assert_int_eq(bench_set(&bench, key, slice_of(value, sizeof value)), FP_OK);
    }
    ck_assert(budget_total(store_budget(bench.store)) > 4 * BENCH_MIB / 100 * 95);
    ck_assert_uint_eq(store_excess_bytes(bench.store), 0);
    store_set_eviction(bench.store, false);
    ck_assert(store_excess_bytes(bench.store) > 0);
    bench_teardown(&bench);
}
END_TEST

int main(void)
{
    return suite_run("store_spill_order", pages_of_who_borrows_most_go_first,
                     where_all_of_his_are_in_use_others_go,
                     once_the_limit_was_met_pages_wait_until_the_accept_mark,
                     items_that_can_give_way_are_no_reason_to_write_pages_back);
}
