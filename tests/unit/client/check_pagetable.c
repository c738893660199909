/* SPDX-License-Identifier: BSD-3-Clause
 * Every page has one entry, wherever it is, and a table costs what is touched. */
#include <check.h>

#include "client/uffd/pagetable.h"
#include "tests/unit/base/suite.h"

static struct pagetable table;

START_TEST(an_entry_is_found_where_it_was_made)
{
    static const uint64_t numbers[] = {0, 1, 4095, 4096, 1 << 24, (1ull << 36) - 1};
    ck_assert(pagetable_init(&table));
    for (size_t i = 0; i < FP_COUNT_OF(numbers); i++) {
        struct page *page = pagetable_make(&table, numbers[i]);
        ck_assert_ptr_nonnull(page);
        ck_assert_int_eq(page->state, PAGE_UNTOUCHED);
        page->index = (uint32_t)i + 1;
    }
    for (size_t i = 0; i < FP_COUNT_OF(numbers); i++) {
        ck_assert_uint_eq(pagetable_find(&table, numbers[i])->index, i + 1);
        ck_assert_ptr_eq(pagetable_make(&table, numbers[i]), pagetable_find(&table, numbers[i]));
    }
    ck_assert_ptr_null(pagetable_find(&table, 1 << 30));
    ck_assert_ptr_null(pagetable_make(&table, 1ull << 36));
    ck_assert_ptr_null(pagetable_find(&table, UINT64_MAX));
    ck_assert_uint_lt(table.bytes, 1 << 20);
    pagetable_fini(&table);
}
END_TEST

static uint64_t seen, last;

static void see(void *context, uint64_t number, struct page *page)
{
    (void)context;
    ck_assert(seen == 0 || number > last);
    ck_assert_ptr_eq(page, pagetable_find(&table, number));
    last = number;
    seen++;
}

START_TEST(each_walks_over_what_there_is_in_order)
{
    ck_assert(pagetable_init(&table));
    ck_assert_ptr_nonnull(pagetable_make(&table, 5));
    ck_assert_ptr_nonnull(pagetable_make(&table, 1ull << 35));
    seen = 0;
    pagetable_each(&table, 0, UINT64_MAX, see, NULL);
    ck_assert_uint_eq(seen, 2 * PAGETABLE_LEAF_PAGES);
    seen = 0;
    pagetable_each(&table, 4000, 1ull << 34, see, NULL);
    ck_assert_uint_eq(seen, PAGETABLE_LEAF_PAGES - 4000);
    ck_assert_uint_eq(last, PAGETABLE_LEAF_PAGES - 1);
    pagetable_fini(&table);
}
END_TEST

int main(void)
{
    return suite_run("pagetable", an_entry_is_found_where_it_was_made,
                     each_walks_over_what_there_is_in_order);
}
