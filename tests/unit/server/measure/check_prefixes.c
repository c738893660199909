/* SPDX-License-Identifier: BSD-3-Clause */
#include "server/measure/prefixes.h"

#include <stdio.h>

#include "tests/unit/base/suite.h"

static struct budget budget;
static struct prefixes prefixes;

static void setup(uint64_t limit_bytes)
{
    budget_init(&budget, limit_bytes);
    prefixes_init(&prefixes);
    prefixes.budget = &budget;
}

static void teardown(void)
{
    prefixes_fini(&prefixes);
    ck_assert_uint_eq(budget_total(&budget), 0);
}

static void note(const char *key, enum prefix_event event)
{
    prefixes_note(&prefixes, slice_text(key), event);
}

static void add_row(void *context, const struct prefix_row *row)
{
    char *at = (char *)context + strlen(context);
    snprintf(at, 64, "%.*s %d%d%d%d\n", (int)row->prefix.size_bytes,
             (const char *)row->prefix.bytes, (int)row->gets, (int)row->hits, (int)row->sets,
             (int)row->deletes);
}

static void count_row(void *context, const struct prefix_row *row)
{
    (void)row;
    ++*(unsigned *)context;
}

START_TEST(keys_are_counted_by_what_stands_before_the_colon)
{
    char text[512] = "";
    setup(1 << 20);
    note("a:1", PREFIX_HIT);
    note("a:2:3", PREFIX_MISS);
    note("a:", PREFIX_SET);
    note("a", PREFIX_SET);
    note("nothing", PREFIX_HIT);
    note("", PREFIX_HIT);
    note("a:1", PREFIX_DELETE);
    prefixes_each(&prefixes, add_row, text);
    ck_assert_str_eq(text, "a 2111\n");
    note(":x", PREFIX_SET);
    text[0] = '\0';
    prefixes_each(&prefixes, add_row, text);
    ck_assert(strstr(text, " 0010\n") != NULL && strstr(text, "a 2111\n") != NULL);
    prefixes_forget(&prefixes);
    text[0] = '\0';
    prefixes_each(&prefixes, add_row, text);
    ck_assert_str_eq(text, "");
    teardown();
}
END_TEST

START_TEST(there_are_only_so_many_and_only_what_memory_allows)
{
    char key[32];
    unsigned count = 0;
    setup(64 << 20);
    for (int i = 0; i < 3 * PREFIXES_MAX; i++) {
        snprintf(key, sizeof key, "prefix%d:", i);
        note(key, PREFIX_SET);
    }
    prefixes_each(&prefixes, count_row, &count);
    ck_assert_uint_eq(count, PREFIXES_MAX);
    ck_assert_uint_gt(budget_total(&budget), PREFIXES_MAX * 40);
    teardown();
    setup(PREFIXES_BUCKETS * sizeof(void *) + 500);
    for (int i = 0; i < 100; i++) {
        snprintf(key, sizeof key, "prefix%d:", i);
        note(key, PREFIX_SET);
    }
    count = 0;
    prefixes_each(&prefixes, count_row, &count);
    ck_assert(count > 0 && count < 20);
    teardown();
}
END_TEST

START_TEST(nothing_is_counted_until_somebody_asks)
{
    setup(1 << 20);
    ck_assert(!prefixes_counted(&prefixes));
    prefixes_switch(&prefixes, true);
    ck_assert(prefixes_counted(&prefixes));
    prefixes_switch(&prefixes, false);
    ck_assert(!prefixes_counted(&prefixes));
    teardown();
}
END_TEST

int main(void)
{
    return suite_run("prefixes", keys_are_counted_by_what_stands_before_the_colon,
                     there_are_only_so_many_and_only_what_memory_allows,
                     nothing_is_counted_until_somebody_asks);
}
