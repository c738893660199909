/* SPDX-License-Identifier: BSD-3-Clause */
#include "protocol/key_text.h"

#include "tests/unit/base/suite.h"

static bool uri_is(struct slice key, const char *expected)
{
    char text[KEY_URI_BYTES_MAX];
    return slice_is(slice_of(text, key_uri(key, text)), expected);
}

static bool base64_is(const char *key, const char *expected)
{
    char text[KEY_BASE64_BYTES_MAX];
    return slice_is(slice_of(text, key_base64(slice_text(key), text)), expected);
}

START_TEST(what_is_no_letter_is_written_in_hex)
{
    ck_assert(uri_is(slice_text("a-Z_0.9~"), "a-Z_0.9~"));
    ck_assert(uri_is(slice_text("a:b/c%"), "a%3Ab%2Fc%25"));
    ck_assert(uri_is(slice_of("\0\x7f\xc3\xff", 4), "%00%7F%C3%FF"));
    ck_assert(uri_is(slice_of(NULL, 0), ""));
}
END_TEST

START_TEST(the_longest_key_fits)
{
    uint8_t key[KEY_BYTES_MAX];
    char uri[KEY_URI_BYTES_MAX], base64[KEY_BASE64_BYTES_MAX];
    memset(key, 0xff, sizeof key);
    ck_assert_uint_eq(key_uri(slice_of(key, sizeof key), uri), sizeof uri);
    ck_assert_uint_eq(key_base64(slice_of(key, sizeof key), base64), sizeof base64);
}
END_TEST

START_TEST(base64_has_its_padding)
{
    ck_assert(base64_is("", ""));
    ck_assert(base64_is("f", "Zg=="));
    ck_assert(base64_is("fo", "Zm8="));
    ck_assert(base64_is("foo", "Zm9v"));
    ck_assert(base64_is("foobar\xff", "Zm9vYmFy/w=="));
}
END_TEST

START_TEST(only_blanks_and_controls_break_a_line)
{
    ck_assert(!key_breaks_lines(slice_text("k\xc3\xa4se:1")));
    ck_assert(key_breaks_lines(slice_text("a b")));
    ck_assert(key_breaks_lines(slice_text("a\r")));
    ck_assert(key_breaks_lines(slice_of("\0", 1)));
    ck_assert(key_breaks_lines(slice_text("\x7f")));
}
END_TEST

int main(void)
{
    return suite_run("key_text", what_is_no_letter_is_written_in_hex, the_longest_key_fits,
                     base64_has_its_padding, only_blanks_and_controls_break_a_line);
}
