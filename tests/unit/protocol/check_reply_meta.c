/* SPDX-License-Identifier: BSD-3-Clause */
#include "protocol/reply_meta.h"

#include "tests/unit/base/suite.h"

START_TEST(a_line_has_its_flags_in_order)
{
    struct reply_meta reply;
    reply_meta_begin(&reply, "HD");
    ck_assert(slice_is(reply_meta_end(&reply), "HD\r\n"));
    reply_meta_value(&reply, 2);
    reply_meta_number(&reply, 's', 2);
    reply_meta_time(&reply, -1);
    reply_meta_word(&reply, slice_text("Oabc"));
    reply_meta_key(&reply, slice_text("foo"), false);
    reply_meta_number(&reply, 'c', UINT64_MAX);
    reply_meta_flag(&reply, 'W');
    ck_assert(slice_is(reply_meta_end(&reply),
                       "VA 2 s2 t-1 Oabc kfoo c18446744073709551615 W\r\n"));
    reply_meta_begin(&reply, "EN");
    reply_meta_time(&reply, 0);
    reply_meta_key(&reply, slice_of("\0\1\2\3", 4), true);
    ck_assert(slice_is(reply_meta_end(&reply), "EN t0 kAAECAw== b\r\n"));
}
END_TEST

START_TEST(all_that_can_be_asked_for_fits)
{
    struct reply_meta reply;
    uint8_t key[KEY_BYTES_MAX], opaque[OPAQUE_BYTES_MAX];
    memset(key, 0xff, sizeof key);
    memset(opaque, 'O', sizeof opaque);
    reply_meta_value(&reply, UINT64_MAX);
    for (const char *flag = "scflth"; *flag != '\0'; flag++)
        reply_meta_number(&reply, *flag, UINT64_MAX);
    reply_meta_word(&reply, slice_of(opaque, sizeof opaque));
    reply_meta_key(&reply, slice_of(key, sizeof key), true);
    for (const char *mark = "ZXW"; *mark != '\0'; mark++) reply_meta_flag(&reply, *mark);
    ck_assert_uint_le(reply_meta_end(&reply).size_bytes, sizeof reply.bytes);
}
END_TEST

int main(void)
{
    return suite_run("reply_meta", a_line_has_its_flags_in_order, all_that_can_be_asked_for_fits);
}
