/* SPDX-License-Identifier: BSD-3-Clause
 * What --local may say, and how much that is. */
#include "client/cli/run/run_limit.h"

#include <string.h>

#include "tests/unit/base/suite.h"

#define GIB (1ull << 30)

static const struct {
    const char *text;
    uint64_t total, bytes;
} good[] = {
    {"16MiB", 0, 16ull << 20},        {"512M", 0, 512ull << 20},
    {"2GiB", 0, 2 * GIB},             {"16777217", 0, 16ull << 20}, /* whole pages */
    {"25%", 4 * GIB, 1073741824},     {"100%", GIB, GIB - 4096},
    {"12.5%", 8 * GIB, 1073737728},   {"0.25%", 1000 * GIB, 2684350464},
};

START_TEST(a_size_or_a_percentage_is_taken)
{
    struct complaint complaint = {{0}};
    uint64_t bytes;
    ck_assert_msg(run_limit_parse(good[_i].text, good[_i].total, &bytes, &complaint), "%s: %s",
                  good[_i].text, complaint.text);
    ck_assert_uint_eq(bytes % 4096, 0);
    ck_assert_msg(bytes <= good[_i].bytes && bytes + 8192 > good[_i].bytes, "%s: %llu",
                  good[_i].text, (unsigned long long)bytes);
}
END_TEST

static const struct {
    const char *text, *reason;
} bad[] = {
    {"", "neither a size"},          {"many", "neither a size"},
    {"-1", "neither a size"},        {"15MiB", "less than the 16 MiB"},
    {"0", "less than the 16 MiB"},   {"1%", "less than the 16 MiB"},
    {"%", "not a percentage"},       {"101%", "not a percentage"},
    {"100.01%", "not a percentage"}, {"1.%", "not a percentage"},
    {"1.234%", "not a percentage"},  {"1.x%", "not a percentage"},
    {"0%", "not a percentage"},      {"99999999999999999999%", "not a percentage"},
};

START_TEST(anything_else_is_refused_with_the_reason)
{
    struct complaint complaint = {{0}};
    uint64_t bytes;
    ck_assert_msg(!run_limit_parse(bad[_i].text, GIB, &bytes, &complaint), "%s", bad[_i].text);
    ck_assert_msg(strstr(complaint.text, bad[_i].reason) != NULL, "%s: %s", bad[_i].text,
                  complaint.text);
}
END_TEST

int main(void)
{
    int failed = suite_run_each("run_limit", FP_COUNT_OF(good), a_size_or_a_percentage_is_taken);
    return failed | suite_run_each("run_limit", FP_COUNT_OF(bad),
                                   anything_else_is_refused_with_the_reason);
}
