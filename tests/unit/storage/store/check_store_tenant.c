/* SPDX-License-Identifier: BSD-3-Clause
 * Whose what is stored is: charged to its tenant, refused by his quota, given way to by others. */
#include "storage/keydir/item_class.h"
#include "storage/store/item/store_meta.h"
#include "storage/store/item/store_value.h"
#include "tests/unit/base/suite.h"
#include "tests/unit/storage/bench_text.h"

enum { VALUE = 4000, MANY = 300 };

static uint8_t a, b; /* tenants */

static uint8_t define(const char *name, struct tenant_limits limits)
{
    uint8_t number = 255;
    ck_assert_int_eq(
        tenants_define(store_tenants(bench.store), slice_text(name), &limits, &number), FP_OK);
    return number;
}

static void setup_with(uint64_t mib, struct tenant_limits of_a, struct tenant_limits of_b)
{
    bench_setup(&bench, (struct store_options){.memory_limit_bytes = mib * BENCH_MIB}, 4096);
    a = define("a", of_a);
    b = define("b", of_b);
}

static const struct tenant_limits none;

static struct tenant *tenant(uint8_t number)
{
    return &store_tenants(bench.store)->of[number];
}

static enum fp_status set_noise(uint8_t who, const char *prefix, unsigned n, size_t size)
{
    static uint8_t value[64 << 10];
    struct rng rng = {.state = n};
    char key[32];
    (void)snprintf(key, sizeof key, "%s%u", prefix, n);
    rng_fill(&rng, value, size);
    bench.scratch->tenant = who;
    return bench_set(&bench, key, slice_of(value, size));
}

static unsigned count_there(const char *prefix, unsigned end)
{
    unsigned count = 0;
    for (unsigned n = 0; n < end; n++) {
        char key[32];
        (void)snprintf(key, sizeof key, "%s%u", prefix, n);
        count += !bench_lacks(&bench, key);
    }
    return count;
}

static struct area *area_of(uint8_t who, const char *name)
{
    struct area_options options = {.name = slice_text(name), .slot_count = 8192, .tenant = who};
    struct area *area = NULL;
    ck_assert_int_eq(store_area_create(bench.store, &options, &area), FP_OK);
    return area;
}

static enum fp_status store_noise(struct area *area, uint64_t slot)
{
    uint8_t page[KIT_PAGE_BYTES];
    struct rng rng = {.state = slot};
    rng_fill(&rng, page, sizeof page);
    bench.area = area;
    return bench_store(&bench, slot, page);
}

START_TEST(an_item_belongs_to_who_stored_it_last)
{
    setup_with(64, none, none);
    ck_assert_int_eq(set_noise(a, "k", 1, 5000), FP_OK);
    uint64_t bytes = atomic_load(&tenant(a)->bytes);
    ck_assert(bytes > 5000 && atomic_load(&tenant(a)->item_bytes) == bytes);
    ck_assert_int_eq(set_noise(b, "k", 1, 5000), FP_OK);
    ck_assert(atomic_load(&tenant(a)->bytes) == 0 && atomic_load(&tenant(a)->items) == 0);
    ck_assert(atomic_load(&tenant(b)->bytes) == bytes && atomic_load(&tenant(b)->items) == 1);
    ck_assert_int_eq(set_noise(b, "k", 1, 300), FP_OK);
    ck_assert_uint_lt(atomic_load(&tenant(b)->bytes), 500);
    bench.scratch->tenant = a;
    ck_assert_int_eq(put(ITEM_APPEND, "k1", "more", 0), FP_OK);
    ck_assert(atomic_load(&tenant(b)->bytes) == 0 && atomic_load(&tenant(a)->items) == 1);
    store_check(bench.store);
    bench.scratch->tenant = b;
    store_flush(bench.store, bench.scratch, 0);
    ck_assert_int_eq(drop("k1"), FP_ABSENT);
    ck_assert(atomic_load(&tenant(a)->bytes) == 0 && atomic_load(&tenant(a)->items) == 0);
    teardown();
}
END_TEST

START_TEST(own_items_give_way_to_what_a_quota_has_no_room_for)
{
    setup_with(64, (struct tenant_limits){.quota_bytes = 100000}, none);
    for (unsigned n = 0; n < MANY; n++) {
        ck_assert_int_eq(set_noise(b, "b", n, VALUE), FP_OK);
        ck_assert_int_eq(set_noise(a, "a", n, VALUE), FP_OK);
        ck_assert(atomic_load(&tenant(a)->bytes) <= 100000);
    }
    ck_assert_uint_eq(count_there("b", MANY), MANY);
    unsigned left = count_there("a", MANY);
    ck_assert(left >= 22 && left <= 24);
    ck_assert(atomic_load(&tenant(a)->evictions) == MANY - left);
    ck_assert(atomic_load(&tenant(a)->over_quota) == 0);
    /* What can never fit is refused, and nothing gives way in vain. */
    ck_assert_int_eq(set_noise(a, "big", 1, 60000), FP_OK);
    left = count_there("a", MANY);
    define("a", (struct tenant_limits){.quota_bytes = 50000});
    ck_assert_int_eq(set_noise(a, "huge", 1, 60000), FP_QUOTA);
    ck_assert(count_there("a", MANY) == left && atomic_load(&tenant(a)->over_quota) == 1);
    teardown();
}
END_TEST

START_TEST(without_eviction_a_quota_refuses_and_what_does_not_grow_goes_on)
{
    setup_with(64, (struct tenant_limits){.quota_bytes = 10000}, none);
    store_set_eviction(bench.store, false);
    ck_assert_int_eq(set_noise(a, "k", 1, VALUE), FP_OK);
    ck_assert_int_eq(set_noise(a, "k", 2, VALUE), FP_OK);
    ck_assert_int_eq(set_noise(a, "k", 3, VALUE), FP_QUOTA);
    ck_assert_int_eq(set_noise(a, "k", 2, VALUE), FP_OK);
    ck_assert_int_eq(set_noise(a, "k", 2, VALUE + 3000), FP_QUOTA);
    ck_assert_uint_eq(count_there("k", 5), 2);
    ck_assert_int_eq(drop("k1"), FP_OK);
    ck_assert_int_eq(set_noise(a, "k", 3, VALUE), FP_OK);
    struct item_look look = {.key = slice_text("made"), .creates = true};
    struct item_seen seen = {0};
    for (unsigned n = 4; set_noise(a, "k", n, 100) == FP_OK; n++) {}
    struct item *item = store_meta_get(bench.store, bench.scratch, &look, &seen);
    if (item != NULL) store_item_release(bench.store, bench.scratch, &item);
    ck_assert(atomic_load(&tenant(a)->bytes) <= 10000);
    teardown();
}
END_TEST

START_TEST(pages_count_for_the_owner_of_their_area_whoever_stores_them)
{
    setup_with(64, (struct tenant_limits){.quota_pages = 3}, none);
    struct area *first = area_of(a, "first"), *second = area_of(a, "second");
    bench.scratch->tenant = b;
    ck_assert_int_eq(store_noise(first, 1), FP_OK);
    ck_assert_int_eq(store_noise(first, 2), FP_OK);
    ck_assert_int_eq(store_noise(second, 1), FP_OK);
    ck_assert_int_eq(store_noise(second, 2), FP_QUOTA);
    ck_assert_int_eq(store_noise(second, 1), FP_OK);
    ck_assert(bench.scratch->tenant == b && atomic_load(&tenant(b)->bytes) == 0);
    ck_assert(atomic_load(&tenant(a)->pages) == 3 && atomic_load(&tenant(a)->over_quota) == 1);
    ck_assert(atomic_load(&tenant(a)->bytes) == 3 * (KIT_PAGE_BYTES));
    store_check(bench.store);
    bench.area = first;
    bench_invalidate(&bench, 0, 10);
    ck_assert_int_eq(store_noise(second, 2), FP_OK);
    ck_assert(store_area_delete(bench.store, second));
    for (uint64_t ended = 0; store_area_reap_step(bench.store, bench.scratch, &ended);) {
        area_release(&second);
    }
    ck_assert(atomic_load(&tenant(a)->pages) == 0 && atomic_load(&tenant(a)->bytes) == 0);
    teardown();
}
END_TEST

START_TEST(own_items_give_way_to_own_pages)
{
    setup_with(64, (struct tenant_limits){.quota_bytes = 200000}, none);
    for (unsigned n = 0; n < MANY; n++) ck_assert_int_eq(set_noise(a, "a", n, VALUE), FP_OK);
    for (unsigned n = 0; n < 50; n++) ck_assert_int_eq(set_noise(b, "b", n, VALUE), FP_OK);
    struct area *area = area_of(a, "pages");
    uint64_t slot = 0;
    while (store_noise(area, slot) == FP_OK) slot++;
    ck_assert_uint_eq(slot, 200000 / KIT_PAGE_BYTES);
    ck_assert(atomic_load(&tenant(a)->over_quota) == 1);
    ck_assert_uint_eq(count_there("b", 50), 50);
    ck_assert_uint_lt(count_there("a", MANY), 2);
    teardown();
}
END_TEST

START_TEST(who_borrows_gives_way_to_who_has_a_guarantee)
{
    setup_with(4, (struct tenant_limits){.guaranteed_bytes = 2 * BENCH_MIB}, none);
    for (unsigned n = 0; n < 1500; n++) ck_assert_int_eq(set_noise(b, "b", n, VALUE), FP_OK);
    ck_assert(atomic_load(&tenant(b)->evictions) > 0);
    for (unsigned n = 0; n < MANY; n++) ck_assert_int_eq(set_noise(a, "a", n, VALUE), FP_OK);
    ck_assert_uint_eq(count_there("a", MANY), MANY);
    for (unsigned n = 0; n < 1500; n++) ck_assert_int_eq(set_noise(b, "c", n, VALUE), FP_OK);
    ck_assert_uint_eq(count_there("a", MANY), MANY); /* however much somebody scans */
    ck_assert(atomic_load(&tenant(a)->evictions) == 0);
    /* Beyond its guarantee it borrows, too, and who has borrowed more gives way. */
    for (unsigned n = 0; n < 1500; n++) ck_assert_int_eq(set_noise(a, "d", n, VALUE), FP_OK);
    uint64_t limit = 4 * BENCH_MIB, of_a = tenants_borrowed(store_tenants(bench.store), a, limit);
    uint64_t of_b = tenants_borrowed(store_tenants(bench.store), b, limit);
    ck_assert(of_a > 0 && of_b > 0 && of_a < of_b + 20000 && of_b < of_a + 20000);
    teardown();
}
END_TEST

START_TEST(pages_leave_what_is_guaranteed_to_others)
{
    setup_with(4, (struct tenant_limits){.guaranteed_bytes = 2 * BENCH_MIB}, none);
    struct area *greedy = area_of(b, "greedy"), *own = area_of(a, "own");
    uint64_t slot = 0;
    enum fp_status status;
    while ((status = store_noise(greedy, slot)) == FP_OK) slot++;
    ck_assert_int_eq(status, FP_QUOTA);
    ck_assert(atomic_load(&tenant(b)->over_reserve) == 1);
    ck_assert_int_eq(store_noise(greedy, 0), FP_OK); /* it does not grow */
    for (slot = 0; (slot + 1) * KIT_PAGE_BYTES <= 2 * BENCH_MIB - 65536; slot++)
        ck_assert_int_eq(store_noise(own, slot), FP_OK);
    teardown();
}
END_TEST

START_TEST(a_long_value_is_its_tenants_while_it_arrives)
{
    static uint8_t piece[ITEM_PIECE_BYTES];
    struct rng rng = {.state = 8};
    struct store_value *value;
    setup_with(64, (struct tenant_limits){.quota_bytes = 100000}, none);
    for (unsigned n = 0; n < 20; n++) ck_assert_int_eq(set_noise(a, "a", n, VALUE), FP_OK);
    ck_assert_int_eq(store_value_begin(bench.store, bench.scratch, 1u << 20, &value), FP_OK);
    rng_fill(&rng, piece, sizeof piece);
    for (int i = 0; i < 6; i++) {
        ck_assert_int_eq(store_value_add(bench.store, bench.scratch, value, piece), FP_OK);
        ck_assert(atomic_load(&tenant(a)->bytes) <= 100000);
    }
    ck_assert_uint_lt(count_there("a", 20), 2);
    ck_assert_int_eq(store_value_add(bench.store, bench.scratch, value, piece), FP_QUOTA);
    store_value_end(bench.store, bench.scratch, &value);
    ck_assert_uint_lt(atomic_load(&tenant(a)->bytes), 5000);
    ck_assert_int_eq(store_value_begin(bench.store, bench.scratch, 5 * sizeof piece, &value),
                     FP_OK);
    for (int i = 0; i < 5; i++)
        ck_assert_int_eq(store_value_add(bench.store, bench.scratch, value, piece), FP_OK);
    struct item_put whole = {.key = slice_text("long"), .whole = &value};
    ck_assert_int_eq(store_item_put(bench.store, bench.scratch, &whole, 1u << 20), FP_OK);
    ck_assert(atomic_load(&tenant(a)->bytes) == atomic_load(&tenant(a)->item_bytes));
    teardown();
}
END_TEST

int main(void)
{
    return suite_run("store_tenant", an_item_belongs_to_who_stored_it_last,
                     own_items_give_way_to_what_a_quota_has_no_room_for,
                     without_eviction_a_quota_refuses_and_what_does_not_grow_goes_on,
                     pages_count_for_the_owner_of_their_area_whoever_stores_them,
                     own_items_give_way_to_own_pages,
                     who_borrows_gives_way_to_who_has_a_guarantee,
                     pages_leave_what_is_guaranteed_to_others,
                     a_long_value_is_its_tenants_while_it_arrives);
}
