/* SPDX-License-Identifier: BSD-3-Clause */
#include "codec/compressor_text.h"

#include "storage/compress/compressor.h"
#include "tests/unit/base/suite.h"

START_TEST(a_name_with_or_without_a_level_is_read_and_written)
{
    static const struct {
        const char *text, *algorithm;
        int level;
        const char *again;
    } cases[] = {
        {"none", "none", 0, "none"},        {"none:0", "none", 0, "none"},
        {"lz4", "lz4", 0, "lz4:1"},         {"lz4:8", "lz4", 8, "lz4:8"},
        {"lz4:65537", "lz4", 65537, "lz4:65537"}, {"lz4hc", "lz4hc", 0, "lz4hc:9"},
        {"lz4hc:12", "lz4hc", 12, "lz4hc:12"},    {"zstd:0", "zstd", 0, "zstd:1"},
        {"zstd:-3", "zstd", -3, "zstd:-3"}, {"zstd:19", "zstd", 19, "zstd:19"},
    };
    for (size_t i = 0; i < FP_COUNT_OF(cases); i++) {
        struct compressor_config config = {0};
        char wrong[COMPRESSOR_WRONG_BYTES], again[COMPRESSOR_TEXT_BYTES];
        enum fp_status status = compressor_parse(slice_text(cases[i].text), &config, wrong);
        ck_assert_msg(status == FP_OK, "%s: %s", cases[i].text, wrong);
        ck_assert_str_eq(config.algorithm, cases[i].algorithm);
        ck_assert_int_eq(config.level, cases[i].level);
        compressor_text(&config, again);
        ck_assert_str_eq(again, cases[i].again);
    }
}
END_TEST

START_TEST(a_mistake_is_answered_with_what_is_allowed)
{
#define ALL "none, lz4[:1 to 65537], lz4hc[:1 to 12] or zstd[:-50 to 19]"
#define LZ4 "1 to 65537, the levels of lz4 (0: its own)"
    static const struct {
        const char *text, *wrong;
    } cases[] = {
        {"", "'' is not " ALL},
        {"snappy", "'snappy' is not " ALL},
        {"LZ4", "'LZ4' is not " ALL},
        {" lz4", "' lz4' is not " ALL},
        {":3", "'' is not " ALL},
        {"a-name-that-is-much-longer-than-thirty-two",
         "'a-name-that-is-much-longer-than-' is not " ALL},
        {"lz4:", "nothing is not within " LZ4},
        {"lz4:-1", "-1 is not within " LZ4},
        {"lz4:65538", "65538 is not within " LZ4},
        {"lz4:fast", "fast is not within " LZ4},
        {"lz4:3 ", "3  is not within " LZ4},
        {"lz4:1:2", "1:2 is not within " LZ4},
        {"lz4:99999999999999999999", "99999999999999999999 is not within " LZ4},
        {"zstd:--3", "--3 is not within -50 to 19, the levels of zstd (0: its own)"},
        {"zstd:-0", "-0 is not within -50 to 19, the levels of zstd (0: its own)"},
        {"lz4hc:13", "13 is not within 1 to 12, the levels of lz4hc (0: its own)"},
        {"none:1", "none has no levels, only 0"},
    };
    for (size_t i = 0; i < FP_COUNT_OF(cases); i++) {
        struct compressor_config config = {"untouched", 7};
        char wrong[COMPRESSOR_WRONG_BYTES] = "";
        ck_assert_int_eq(compressor_parse(slice_text(cases[i].text), &config, wrong), FP_INVALID);
        ck_assert_str_eq(wrong, cases[i].wrong);
        ck_assert_str_eq(config.algorithm, "untouched");
        ck_assert_int_eq(config.level, 7);
    }
    char wrong[COMPRESSOR_WRONG_BYTES] = "";
    ck_assert_int_eq(compressor_check("zstd", -50, wrong), FP_OK);
    ck_assert_int_eq(compressor_check("lz4", -1, wrong), FP_INVALID);
    ck_assert_str_eq(wrong, "-1 is not within " LZ4);
}
END_TEST

int main(void)
{
    return suite_run("compressor_text", a_name_with_or_without_a_level_is_read_and_written,
                     a_mistake_is_answered_with_what_is_allowed);
}
