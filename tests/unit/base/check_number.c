/* SPDX-License-Identifier: BSD-3-Clause */
#include "base/number.h"

#include "suite.h"

enum reader { PLAIN, WIRE, SIZE, DURATION, READERS };
typedef bool number_read_f(struct slice text, uint64_t *value);
static number_read_f *const readers[READERS] = {number_u64, number_wire_u64, number_size,
                                                number_duration};

#define REFUSED UINT64_C(0xdead) /* left untouched */

static const struct row {
    enum reader reader;
    const char *text;
    uint64_t value;
} rows[] = {
    {PLAIN, "0", 0},
    {PLAIN, "18446744073709551615", UINT64_MAX},
    {PLAIN, "18446744073709551616", REFUSED},
    {PLAIN, "99999999999999999999999", REFUSED},
    {PLAIN, "", REFUSED},
    {PLAIN, "007", REFUSED},
    {PLAIN, "00", REFUSED},
    {PLAIN, "-1", REFUSED},
    {PLAIN, "+1", REFUSED},
    {PLAIN, " 1", REFUSED},
    {PLAIN, "1 ", REFUSED},
    {PLAIN, "0x10", REFUSED},
    {PLAIN, "1e3", REFUSED},
    {WIRE, "007", 7},
    {WIRE, "000000000000000000000000000001", 1},
    {WIRE, "18446744073709551615", UINT64_MAX},
    {WIRE, "18446744073709551616", REFUSED},
    {WIRE, "-0", REFUSED},
    {WIRE, "", REFUSED},
    {SIZE, "0", 0},
    {SIZE, "512", 512},
    {SIZE, "512B", 512},
    {SIZE, "4KiB", 4096},
    {SIZE, "4K", 4096},
    {SIZE, "512MiB", 512ull << 20},
    {SIZE, "3G", 3ull << 30},
    {SIZE, "16777215TiB", 16777215ull << 40},
    {SIZE, "16777216TiB", REFUSED},
    {SIZE, "64Q", REFUSED},
    {SIZE, "1 KiB", REFUSED},
    {SIZE, "1kib", REFUSED},
    {SIZE, "1.5G", REFUSED},
    {SIZE, "KiB", REFUSED},
    {SIZE, "-1K", REFUSED},
    {SIZE, "1KiBB", REFUSED},
    {DURATION, "0", 0},
    {DURATION, "1ns", 1},
    {DURATION, "250ms", 250000000},
    {DURATION, "5us", 5000},
    {DURATION, "2m", 120000000000},
    {DURATION, "1h", 3600000000000},
    {DURATION, "5124095h", 5124095ull * 3600000000000},
    {DURATION, "5124096h", REFUSED},
    {DURATION, "1", REFUSED},
    {DURATION, "1d", REFUSED},
    {DURATION, "s", REFUSED},
    {DURATION, "", REFUSED},
};

START_TEST(numbers_are_read_strictly)
{
    for (size_t i = 0; i < FP_COUNT_OF(rows); i++) {
        uint64_t value = REFUSED;
        bool good = readers[rows[i].reader](slice_text(rows[i].text), &value);
        ck_assert_msg(good == (rows[i].value != REFUSED), "'%s'", rows[i].text);
        if (good) ck_assert_msg(value == rows[i].value, "'%s'", rows[i].text);
    }
}
END_TEST

START_TEST(signed_numbers_reach_both_ends)
{
    static const struct {
        const char *text;
        bool good;
        int64_t value;
    } some[] = {
        {"0", true, 0},        {"-1", true, -1}, {"9223372036854775807", true, INT64_MAX},
        {"-0", true, 0},       {"--1", false, 0}, {"9223372036854775808", false, 0},
        {"-", false, 0},       {"", false, 0},   {"-9223372036854775807", true, -INT64_MAX},
        {"- 1", false, 0},     {"+1", false, 0}, {"-007", true, -7},
    };
    for (size_t i = 0; i < FP_COUNT_OF(some); i++) {
        int64_t value = 0;
        ck_assert_msg(number_wire_i64(slice_text(some[i].text), &value) == some[i].good, "'%s'",
                      some[i].text);
        ck_assert_msg(value == some[i].value, "'%s'", some[i].text);
    }
}
END_TEST

START_TEST(what_is_written_is_read_back)
{
    uint64_t state = 7;
    for (int i = 0; i < 20000; i++) {
        state = state * 6364136223846793005u + 1442695040888963407u;
        uint64_t value = i < 64 ? 1ull << i : state >> (i % 64);
        char text[NUMBER_TEXT_BYTES];
        uint64_t back;
        number_size_text(value, text);
        ck_assert_msg(number_size(slice_text(text), &back) && back == value, "%s", text);
        number_duration_text(value, text);
        ck_assert_msg(number_duration(slice_text(text), &back) && back == value, "%s", text);
    }
}
END_TEST

START_TEST(the_largest_unit_that_loses_nothing_is_written)
{
    char text[NUMBER_TEXT_BYTES];
    number_size_text(0, text);
    ck_assert_str_eq(text, "0B");
    number_size_text(64ull << 20, text);
    ck_assert_str_eq(text, "64MiB");
    number_size_text((64ull << 20) + 1, text);
    ck_assert_str_eq(text, "67108865B");
    number_duration_text(0, text);
    ck_assert_str_eq(text, "0");
    number_duration_text(90000000000, text);
    ck_assert_str_eq(text, "90s");
    number_duration_text(120000000000, text);
    ck_assert_str_eq(text, "2m");
}
END_TEST

START_TEST(people_get_three_digits)
{
    static const struct {
        uint64_t bytes;
        const char *text;
    } some[] = {
        {0, "0 B"},          {999, "999 B"},          {1000, "0.98 KiB"},     {1024, "1.00 KiB"},
        {1u << 20, "1.00 MiB"}, {1567641600, "1.46 GiB"}, {10485760, "10.0 MiB"},
        {UINT64_MAX, "16.0 EiB"},
    };
    for (size_t i = 0; i < FP_COUNT_OF(some); i++) {
        char text[NUMBER_TEXT_BYTES];
        number_size_short(some[i].bytes, text);
        ck_assert_str_eq(text, some[i].text);
    }
}
END_TEST

int main(void)
{
    return suite_run("number", numbers_are_read_strictly, signed_numbers_reach_both_ends,
                     what_is_written_is_read_back, the_largest_unit_that_loses_nothing_is_written,
                     people_get_three_digits);
}
