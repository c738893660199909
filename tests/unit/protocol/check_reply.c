/* SPDX-License-Identifier: BSD-3-Clause */
#include "protocol/reply.h"

#include <check.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

static void expect_value_line(const char *want, const char *key, uint32_t flags, uint64_t bytes,
                              const uint64_t *cas)
{
    char line[REPLY_VALUE_LINE_BYTES_MAX];
    size_t size = reply_value_line(line, slice_text(key), flags, bytes, cas);
    ck_assert(slice_is(slice_of(line, size), want));
}

START_TEST(a_value_line_has_key_flags_and_length)
{
    expect_value_line("VALUE foo 5 3\r\n", "foo", 5, 3, NULL);
    expect_value_line("VALUE k 0 0\r\n", "k", 0, 0, NULL);
    expect_value_line("VALUE k 4294967295 1073741824\r\n", "k", UINT32_MAX, ITEM_BYTES_MAX, NULL);
}
END_TEST

START_TEST(a_cas_is_there_where_it_is_wanted)
{
    static const uint64_t none = 0, some = 42, most = UINT64_MAX;
    expect_value_line("VALUE foo 5 3 42\r\n", "foo", 5, 3, &some);
    expect_value_line("VALUE foo 5 3 0\r\n", "foo", 5, 3, &none);
    expect_value_line("VALUE foo 5 3 18446744073709551615\r\n", "foo", 5, 3, &most);
}
END_TEST

START_TEST(the_longest_value_line_fits)
{
    static const uint64_t most = UINT64_MAX;
    char key[KEY_BYTES_MAX + 1];
    memset(key, 'k', KEY_BYTES_MAX);
    key[KEY_BYTES_MAX] = '\0';
    char *line = malloc(REPLY_VALUE_LINE_BYTES_MAX); /* so that ASan sees its end */
    ck_assert_ptr_nonnull(line);
    size_t size = reply_value_line(line, slice_text(key), UINT32_MAX, ITEM_BYTES_MAX, &most);
    ck_assert_uint_le(size, REPLY_VALUE_LINE_BYTES_MAX);
    ck_assert_uint_eq(size, 6 + 250 + 1 + 10 + 1 + 10 + 1 + 20 + 2);
    free(line);
}
END_TEST

START_TEST(a_number_line_is_what_printf_writes)
{
    static const uint64_t some[] = {0, 1, 9, 10, 99, 100, 4294967295u, UINT64_MAX - 1, UINT64_MAX};
    uint64_t number = 1;
    for (size_t i = 0; i < 2000; i++) {
        uint64_t n = i < FP_COUNT_OF(some) ? some[i] : number >> (i % 64);
        number = number * 6364136223846793005u + 1442695040888963407u;
        char line[REPLY_NUMBER_LINE_BYTES_MAX], want[32];
        size_t size = reply_number_line(line, n);
        snprintf(want, sizeof want, "%" PRIu64 "\r\n", n);
        ck_assert(slice_is(slice_of(line, size), want));
    }
}
END_TEST

START_TEST(the_longest_lines_of_maps_fit)
{
    struct reply_mapped mapped = {UINT64_MAX, UINT64_MAX, UINT64_MAX, UINT32_MAX};
    char *line = malloc(REPLY_MAPPED_LINE_BYTES_MAX); /* so that ASan sees its end */
    char *data = malloc(REPLY_DATA_LINE_BYTES_MAX);
    ck_assert(line != NULL && data != NULL);
    ck_assert(slice_is(slice_of(line, reply_mapped_line(line, &mapped)),
                       "MAPPED 18446744073709551615 4294967295 18446744073709551615 "
                       "18446744073709551615\r\n"));
    mapped = (struct reply_mapped){.id = 1, .bytes = 5, .cas = 42, .flags = 7};
    ck_assert(slice_is(slice_of(line, reply_mapped_line(line, &mapped)), "MAPPED 1 7 5 42\r\n"));
    ck_assert(slice_is(slice_of(data, reply_data_line(data, UINT64_MAX)),
                       "DATA 18446744073709551615\r\n"));
    ck_assert(slice_is(slice_of(data, reply_data_line(data, 0)), "DATA 0\r\n"));
    free(line);
    free(data);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("reply");
    TCase *tcase = tcase_create("lines");
    tcase_add_test(tcase, a_value_line_has_key_flags_and_length);
    tcase_add_test(tcase, a_cas_is_there_where_it_is_wanted);
    tcase_add_test(tcase, the_longest_value_line_fits);
    tcase_add_test(tcase, a_number_line_is_what_printf_writes);
    tcase_add_test(tcase, the_longest_lines_of_maps_fit);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
