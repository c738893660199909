/* SPDX-License-Identifier: BSD-3-Clause */
#include "server/door/auth.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/unit/base/suite.h"

/* SHA-256 of "token". */
#define HEX "3c469e9d6c5875d37a43f353d4f88e61fcf812c66eee3457465a40b0da4153e0"

static struct auth *auth;
static char reason[AUTH_REASON_BYTES];

static bool admits(const char *user, const char *password)
{
    return auth_admits(auth, slice_text(user), slice_text(password));
}

static void expect_wrong(const char *text, const char *why)
{
    ck_assert_int_eq(auth_parse(slice_text(text), &auth, reason), FP_INVALID);
    ck_assert_ptr_null(auth);
    ck_assert_msg(strncmp(reason, why, strlen(why)) == 0, "%s", reason);
}

START_TEST(users_come_in_with_their_own_password)
{
    static const char text[] = "# who may\r\nalice:secret\r\n\nbob:a:b c\ncarol:sha256:" HEX;
    ck_assert_int_eq(auth_parse(slice_text(text), &auth, reason), FP_OK);
    ck_assert_uint_eq(auth_users(auth), 3);
    ck_assert(admits("alice", "secret") && admits("bob", "a:b c") && admits("carol", "token"));
    ck_assert(!admits("alice", "secret\r") && !admits("alice", "secre"));
    ck_assert(!admits("carol", HEX) && !admits("carol", "sha256:" HEX));
    ck_assert(!admits("bob", "secret") && !admits("dave", "secret"));
    ck_assert(!admits("", "") && !admits("# who may", "") && !admits("alice", ""));
    auth_destroy(&auth);
}
END_TEST

START_TEST(what_is_wrong_is_said_with_its_line)
{
    expect_wrong("", "1: there is no user in it");
    expect_wrong("# only this\n", "1: there is no user in it");
    expect_wrong("a:b\nc\n", "2: not user:password");
    expect_wrong(":b", "1: no user before");
    expect_wrong("a:\n", "1: no password behind");
    expect_wrong("a b:c\n", "1: a blank within");
    expect_wrong("a:b\n\na:c\n", "3: this user has a line already");
    expect_wrong("a:sha256:" HEX "0\n", "1: sha256: is followed by 64 hex digits");
    expect_wrong("a:b\tc\n", "1: a control character");
    expect_wrong("a:sha256:\n", "1: sha256: is followed by 64 hex digits");
}
END_TEST

START_TEST(there_is_room_for_as_many_as_the_limit_says)
{
    static char text[AUTH_USERS_MAX * 16 + 32];
    size_t used = 0;
    for (int i = 0; i < AUTH_USERS_MAX; i++)
        used += (size_t)snprintf(text + used, sizeof text - used, "user%d:p%d\n", i, i);
    ck_assert_int_eq(auth_parse(slice_text(text), &auth, reason), FP_OK);
    ck_assert(admits("user0", "p0") && admits("user255", "p255") && !admits("user255", "p0"));
    auth_destroy(&auth);
    snprintf(text + used, sizeof text - used, "one:more\n");
    expect_wrong(text, "257: more users than 256");
}
END_TEST

START_TEST(a_file_is_read_as_it_is_and_only_where_it_is_private)
{
    char path[] = "/tmp/check-auth-XXXXXX";
    int fd = mkstemp(path);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(write(fd, "a:b", 3), 3);
    ck_assert_int_eq(auth_read(path, &auth, reason), FP_OK);
    ck_assert(admits("a", "b"));
    auth_destroy(&auth);
    ck_assert_int_eq(fchmod(fd, 0640), 0);
    ck_assert_int_eq(auth_read(path, &auth, reason), FP_OK);
    auth_destroy(&auth);
    ck_assert_int_eq(fchmod(fd, 0644), 0);
    ck_assert_int_eq(auth_read(path, &auth, reason), FP_IO);
    ck_assert_ptr_nonnull(strstr(reason, "chmod o-rwx"));
    ck_assert_int_eq(fchmod(fd, 0600), 0);
    ck_assert_int_eq(ftruncate(fd, AUTH_FILE_BYTES_MAX + 1), 0);
    ck_assert_int_eq(auth_read(path, &auth, reason), FP_IO);
    ck_assert_int_eq(ftruncate(fd, AUTH_FILE_BYTES_MAX), 0);
    ck_assert_int_eq(auth_read(path, &auth, reason), FP_INVALID); /* zeros */
    ck_assert_int_eq(strncmp(reason, path, strlen(path)), 0);
    close(fd);
    unlink(path);
    ck_assert_int_eq(auth_read(path, &auth, reason), FP_IO);
    ck_assert_int_eq(auth_read("/tmp", &auth, reason), FP_IO);
}
END_TEST

int main(void)
{
    return suite_run("auth", users_come_in_with_their_own_password,
                     what_is_wrong_is_said_with_its_line,
                     there_is_room_for_as_many_as_the_limit_says,
                     a_file_is_read_as_it_is_and_only_where_it_is_private);
}
