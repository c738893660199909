/* SPDX-License-Identifier: BSD-3-Clause */
#include "storage/limits/tenant.h"

#include <pthread.h>
#include <stdio.h>

#include "tests/unit/base/suite.h"

static struct tenants tenants;

static uint8_t define(const char *name, struct tenant_limits limits)
{
    uint8_t number = 255;
    ck_assert_int_eq(tenants_define(&tenants, slice_text(name), &limits, &number), FP_OK);
    return number;
}

START_TEST(a_name_keeps_its_number_and_what_it_holds)
{
    uint8_t found;
    tenants_init(&tenants);
    uint8_t web = define("web", (struct tenant_limits){.quota_bytes = 100});
    ck_assert(web != TENANT_DEFAULT && tenants_find(&tenants, slice_text("web"), &found));
    ck_assert(found == web && !tenants_find(&tenants, slice_text("we"), &found));
    tenant_change(&tenants.of[web], 90, 0);
    tenants_dismiss(&tenants, web);
    ck_assert(!tenants_find(&tenants, slice_text("web"), &found));
    ck_assert(tenant_take(&tenants.of[web], (struct tenant_need){.bytes = 1000}));
    ck_assert(define("db", (struct tenant_limits){0}) != web);
    ck_assert(define("web", (struct tenant_limits){.quota_bytes = 100}) == web);
    ck_assert(atomic_load(&tenants.of[web].bytes) == 1090);
    ck_assert(!tenant_take(&tenants.of[web], (struct tenant_need){.bytes = 1}));
    ck_assert(define("default", (struct tenant_limits){.quota_pages = 1}) == TENANT_DEFAULT);
}
END_TEST

START_TEST(there_is_an_end_to_names)
{
    char name[16];
    uint8_t number;
    static const struct tenant_limits none = {0};
    tenants_init(&tenants);
    for (int i = 1; i < TENANTS_MAX; i++) {
        ck_assert(tenants_room(&tenants) == (uint32_t)(TENANTS_MAX - i));
        (void)snprintf(name, sizeof name, "t%d", i);
        (void)define(name, none);
    }
    ck_assert_int_eq(tenants_define(&tenants, slice_text("more"), &none, &number), FP_TOO_BIG);
    ck_assert_int_eq(tenants_define(&tenants, slice_text("t7"), &none, &number), FP_OK);
}
END_TEST

START_TEST(a_quota_refuses_what_grows_beyond_it_and_takes_nothing)
{
    tenants_init(&tenants);
    uint8_t a = define("a", (struct tenant_limits){.quota_bytes = 100, .quota_pages = 2});
    struct tenant *tenant = &tenants.of[a];
    ck_assert(tenant_take(tenant, (struct tenant_need){.bytes = 60, .pages = 1}));
    ck_assert(!tenant_take(tenant, (struct tenant_need){.bytes = 41, .pages = 1}));
    ck_assert(atomic_load(&tenant->bytes) == 60 && atomic_load(&tenant->pages) == 1);
    ck_assert(tenant_take(tenant, (struct tenant_need){.bytes = 40, .pages = 1}));
    ck_assert(!tenant_take(tenant, (struct tenant_need){.pages = 1}));
    ck_assert(!tenant_take(tenant, (struct tenant_need){.bytes = UINT64_MAX}));
    (void)define("a", (struct tenant_limits){.quota_bytes = 50});
    ck_assert(tenant_take(tenant, (struct tenant_need){.pages = 5}));
    ck_assert(!tenant_take(tenant, (struct tenant_need){.bytes = 1}));
}
END_TEST

enum { THREADS = 4, TAKES = 20000 };

static void *take_and_give(void *opaque)
{
    struct tenant *tenant = opaque;
    uint64_t had = 0;
    for (int i = 0; i < TAKES; i++) {
        if (tenant_take(tenant, (struct tenant_need){.bytes = 3, .pages = 1})) had++;
        if (atomic_load(&tenant->bytes) > 1000) return opaque;
        if (had > 80) tenant_change(tenant, (uint64_t)-3, (uint64_t)-1), had--;
    }
    tenant_change(tenant, (uint64_t)-3 * had, -had);
    return NULL;
}

START_TEST(threads_never_pass_a_quota_together)
{
    pthread_t threads[THREADS];
    tenants_init(&tenants);
    uint8_t a = define("a", (struct tenant_limits){.quota_bytes = 1000});
    struct tenant *tenant = &tenants.of[a];
    for (int i = 0; i < THREADS; i++)
        ck_assert_int_eq(pthread_create(&threads[i], NULL, take_and_give, tenant), 0);
    for (int i = 0; i < THREADS; i++) {
        void *passed;
        ck_assert_int_eq(pthread_join(threads[i], &passed), 0);
        ck_assert_ptr_null(passed);
    }
    ck_assert(atomic_load(&tenant->bytes) == 0 && atomic_load(&tenant->pages) == 0);
}
END_TEST

static void holds(uint8_t number, uint64_t bytes, uint64_t item_bytes, uint64_t pages)
{
    tenant_change(&tenants.of[number], bytes, pages);
    tenant_change_items(&tenants.of[number], item_bytes, item_bytes > 0);
}

START_TEST(who_borrows_most_gives_way_first)
{
    uint8_t victim = 255;
    tenants_init(&tenants);
    uint8_t a = define("a", (struct tenant_limits){.guaranteed_bytes = 400});
    uint8_t b = define("b", (struct tenant_limits){.guaranteed_bytes = 100});
    holds(a, 450, 450, 0);
    holds(b, 300, 0, 3);
    ck_assert(tenants_most_borrowed(&tenants, TENANT_ITEMS, 1000, &victim) && victim == a);
    ck_assert(tenants_most_borrowed(&tenants, TENANT_PAGES, 1000, &victim) && victim == b);
    holds(TENANT_DEFAULT, 60, 60, 0);
    ck_assert(tenants_most_borrowed(&tenants, TENANT_ITEMS, 1000, &victim));
    ck_assert(victim == TENANT_DEFAULT);
    holds(TENANT_DEFAULT, (uint64_t)-60, (uint64_t)-60, 0);
    atomic_store(&tenants.of[TENANT_DEFAULT].items, 0);
    holds(a, (uint64_t)-60, (uint64_t)-60, 0);
    victim = 255;
    ck_assert(!tenants_most_borrowed(&tenants, TENANT_ITEMS, 1000, &victim) && victim == 255);
    ck_assert(tenants_next_in_need(&tenants, TENANT_ITEMS, 1000, &victim) && victim == a);
    ck_assert(tenants_borrowed(&tenants, b, 1000) == 200);
}
END_TEST

START_TEST(guarantees_shrink_with_a_limit_that_was_lowered_below_them)
{
    tenants_init(&tenants);
    uint8_t a = define("a", (struct tenant_limits){.guaranteed_bytes = 600});
    uint8_t b = define("b", (struct tenant_limits){.guaranteed_bytes = 150});
    ck_assert_uint_eq(tenants_guaranteed(&tenants, a, 1000), 600);
    ck_assert_uint_eq(tenants_guaranteed(&tenants, a, 500), 300);
    ck_assert_uint_eq(tenants_guaranteed(&tenants, b, 500), 75);
    tenants_dismiss(&tenants, a);
    ck_assert_uint_eq(tenants_guaranteed(&tenants, b, 500), 150);
}
END_TEST

START_TEST(pages_do_not_borrow_what_others_count_on)
{
    tenants_init(&tenants);
    ck_assert(tenants_leave_reserve(&tenants, TENANT_DEFAULT, 1000, 900, 1000)); /* nobody does */
    uint8_t a = define("a", (struct tenant_limits){.guaranteed_bytes = 320});
    holds(TENANT_DEFAULT, 500, 0, 5);
    ck_assert(tenants_leave_reserve(&tenants, TENANT_DEFAULT, 100, 560, 1000));
    ck_assert(!tenants_leave_reserve(&tenants, TENANT_DEFAULT, 101, 560, 1000));
    ck_assert(tenants_leave_reserve(&tenants, a, 320, 1000, 1000)); /* its own */
    ck_assert(!tenants_leave_reserve(&tenants, a, 321, 1000, 1000));
    holds(TENANT_DEFAULT, 100, 100, 0); /* items, that can give way */
    ck_assert(tenants_leave_reserve(&tenants, TENANT_DEFAULT, 100, 660, 1000));
    holds(a, 320, 320, 0); /* what is guaranteed and used is no reserve, and gives no way */
    ck_assert(tenants_leave_reserve(&tenants, TENANT_DEFAULT, 120, 980, 1000));
    ck_assert(!tenants_leave_reserve(&tenants, TENANT_DEFAULT, 121, 980, 1000));
    atomic_store(&tenants.pages_give_way, true);
    ck_assert(tenants_leave_reserve(&tenants, TENANT_DEFAULT, 121, 980, 1000));
}
END_TEST

int main(void)
{
    return suite_run("tenant", a_name_keeps_its_number_and_what_it_holds, there_is_an_end_to_names,
                     a_quota_refuses_what_grows_beyond_it_and_takes_nothing,
                     threads_never_pass_a_quota_together, who_borrows_most_gives_way_first,
                     guarantees_shrink_with_a_limit_that_was_lowered_below_them,
                     pages_do_not_borrow_what_others_count_on);
}
