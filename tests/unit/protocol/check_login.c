/* SPDX-License-Identifier: BSD-3-Clause */
#include "protocol/login.h"

#include <stdio.h>
#include <string.h>

#include "tests/unit/base/suite.h"

static struct login login;
static const char *refusal;

static enum login_parse parse(const char *text)
{
    refusal = "";
    return login_parse(slice_text(text), &login, &refusal);
}

START_TEST(a_login_is_a_set_of_user_and_password)
{
    static const char *const texts[] = {
        "set auth 0 0 9\r\nuser pass\r\nget x\r\n", "set x 1 2 9\nuser pass\n",
        " set  auth  0  0  9 \r\nuser pass\n",      "set a b c 9 noreply\r\nuser pass\r\n",
    };
    for (size_t i = 0; i < FP_COUNT_OF(texts); i++) {
        ck_assert_int_eq(parse(texts[i]), LOGIN_READY);
        ck_assert(slice_is(login.user, "user") && slice_is(login.password, "pass"));
    }
    ck_assert_int_eq(parse("set a 0 0 12\r\nuser a b  c:\r\n"), LOGIN_READY);
    ck_assert(slice_is(login.password, "a b  c:"));
}
END_TEST

START_TEST(what_comes_in_pieces_is_waited_for)
{
    static const char text[] = "set auth 0 0 9\r\nuser pass\r\n";
    for (size_t size = 1; size < sizeof text - 1; size++)
        ck_assert_int_eq(login_parse(slice_of(text, size), &login, &refusal), LOGIN_PARTIAL);
}
END_TEST

START_TEST(all_else_is_unauthenticated)
{
    static const char *const texts[] = {"version\r\n", "get x\r\n", "\r\n", "set a 0 0\r\n",
                                        "SET a 0 0 9\r\n", "set a 0 0 -1\r\n", "add a 0 0 9\r\n"};
    for (size_t i = 0; i < FP_COUNT_OF(texts); i++) {
        ck_assert_int_eq(parse(texts[i]), LOGIN_REFUSED);
        ck_assert_str_eq(refusal, "CLIENT_ERROR unauthenticated");
        ck_assert_uint_eq(login.size_bytes, strlen(texts[i]));
    }
    ck_assert_int_eq(parse("set a 0 0 8\r\nuserpass\r\n"), LOGIN_REFUSED);
    ck_assert_str_eq(refusal, "CLIENT_ERROR bad authentication token format");
    ck_assert_int_eq(parse("set a 0 0 5\r\nuser \r\n"), LOGIN_REFUSED);
    ck_assert_int_eq(parse("set a 0 0 0\r\n\r\n"), LOGIN_REFUSED);
}
END_TEST

START_TEST(what_is_too_long_or_lost_ends_it)
{
    char line[LOGIN_LINE_BYTES_MAX + 2];
    memset(line, 'a', sizeof line - 1);
    line[sizeof line - 1] = '\0';
    ck_assert_int_eq(parse(line), LOGIN_LOST);
    line[LOGIN_LINE_BYTES_MAX] = '\0';
    ck_assert_int_eq(parse(line), LOGIN_PARTIAL);
    ck_assert_int_eq(parse("set a 0 0 513\r\n"), LOGIN_LOST);
    ck_assert_int_eq(parse("set a 0 0 512\r\n"), LOGIN_PARTIAL);
    ck_assert_int_eq(parse("set a 0 0 18446744073709551615\r\n"), LOGIN_LOST);
    ck_assert_int_eq(parse("set a 0 0 9\r\nuser passw\r\n"), LOGIN_LOST);
    ck_assert_int_eq(parse("GET / HTTP/1.1\r\n"), LOGIN_LOST);
    ck_assert_str_eq(refusal, "");
}
END_TEST

int main(void)
{
    return suite_run("login", a_login_is_a_set_of_user_and_password,
                     what_comes_in_pieces_is_waited_for, all_else_is_unauthenticated,
                     what_is_too_long_or_lost_ends_it);
}
