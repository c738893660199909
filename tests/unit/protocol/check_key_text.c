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

static bool base64_means(const char *text, const char *expected)
{
    uint8_t key[KEY_BYTES_MAX];
    size_t looked, size;
    if (!key_from_base64(slice_text(text), NULL, &looked)) return false;
    ck_assert(key_from_base64(slice_text(text), key, &size) && size == looked);
    return slice_is(slice_of(key, size), expected);
}

static bool is_no_base64(const char *text)
{
    uint8_t key[KEY_BYTES_MAX];
    size_t size;
    bool looked = key_from_base64(slice_text(text), NULL, &size);
    ck_assert(looked == key_from_base64(slice_text(text), key, &size));
    return !looked;
}

START_TEST(base64_is_read_where_it_is_whole)
{
    ck_assert(base64_means("Zg==", "f") && base64_means("Zm8=", "fo"));
    ck_assert(base64_means("Zm9v", "foo") && base64_means("Zm9vYmFy/w==", "foobar\xff"));
    ck_assert(base64_means("Zh==", "f")); /* as memcached: what does not count is not looked at */
    ck_assert(is_no_base64("") && is_no_base64("Z") && is_no_base64("Zm9") && is_no_base64("===="));
    ck_assert(is_no_base64("Z===") && is_no_base64("Zg=a") && is_no_base64("Zg==Zg=="));
    ck_assert(is_no_base64("Zm-v") && is_no_base64("Zm v") && is_no_base64("Zm\xff" "v"));
    uint8_t all[KEY_BYTES_MAX], back[KEY_BYTES_MAX + 2];
    char text[KEY_BASE64_BYTES_MAX];
    for (size_t i = 0; i < sizeof all; i++) all[i] = (uint8_t)(i * 7);
    for (size_t size = 1; size <= sizeof all; size++) {
        size_t got, text_bytes = key_base64(slice_of(all, size), text);
        ck_assert(key_from_base64(slice_of(text, text_bytes), back, &got));
        ck_assert(slice_equal(slice_of(back, got), slice_of(all, size)));
    }
}
END_TEST

START_TEST(only_blanks_and_controls_break_a_line)
{
    ck_assert(!key_breaks_lines(slice_text("k\xc3\xa4se:1")));
    ck_assert(key_breaks_lines(slice_text("a b")));
    ck_assert(key_breaks_lines(slice_text("a\r")));
    ck_assert(key_breaks_lines(slice_of("\0", 1)));
    ck_assert(key_breaks_lines(slice_text("\x7f")));
    char room[KEY_URI_BYTES_MAX];
    ck_assert(slice_is(key_of_line(slice_text("k\xc3\xa4se%:1"), room), "k\xc3\xa4se%:1"));
    ck_assert(slice_is(key_of_line(slice_text("a\r\nEND"), room), "a%0D%0AEND"));
}
END_TEST

int main(void)
{
    return suite_run("key_text", what_is_no_letter_is_written_in_hex, the_longest_key_fits,
                     base64_has_its_padding, base64_is_read_where_it_is_whole,
                     only_blanks_and_controls_break_a_line);
}
