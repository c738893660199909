/* SPDX-License-Identifier: BSD-3-Clause
 * What a person may write for a server, and what is refused with a reason. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "client/address.h"

static const struct {
    const char *text, *host, *port, *path;
} good[] = {
    {"127.0.0.1:11211", "127.0.0.1", "11211", ""},
    {"localhost:1", "localhost", "1", ""},
    {"a.example:65535", "a.example", "65535", ""},
    {"[::1]:11211", "::1", "11211", ""},
    {"[fe80::1%eth0]:11211", "fe80::1%eth0", "11211", ""},
    {"unix:/run/farpage.sock", "", "", "/run/farpage.sock"},
    {"unix:relative", "", "", "relative"},
    {"unix:/with:colon", "", "", "/with:colon"},
};

START_TEST(good_addresses_are_taken_apart)
{
    struct address address;
    struct reason reason;
    ck_assert(address_parse(good[_i].text, &address, &reason));
    ck_assert_str_eq(address.host, good[_i].host);
    ck_assert_str_eq(address.port, good[_i].port);
    ck_assert_str_eq(address.path, good[_i].path);
    ck_assert_int_eq(address.is_unix, good[_i].path[0] != '\0');
}
END_TEST

static const struct {
    const char *text, *reason;
} bad[] = {
    {"", "HOST:PORT"},
    {"localhost", "HOST:PORT"},
    {":11211", "the host is missing"},
    {"localhost:", "not a port"},
    {"localhost:0", "not a port"},
    {"localhost:65536", "not a port"},
    {"localhost:99999999999999999999", "not a port"},
    {"localhost:080", "not a port"},
    {"localhost:80x", "not a port"},
    {"localhost:-1", "not a port"},
    {"localhost: 80", "not a port"},
    {"::1:11211", "brackets"},
    {"[::1]", "[IPV6]:PORT"},
    {"[]:11211", "[IPV6]:PORT"},
    {"[::1:11211", "[IPV6]:PORT"},
    {"[", "HOST:PORT"},
    {":", "the host is missing"},
    {"unix:", "needs a path"},
    {"\x1b[31m\n:1:2", "'?[31m'"},
};

START_TEST(bad_addresses_are_refused_with_the_reason)
{
    struct address address;
    struct reason reason;
    ck_assert(!address_parse(bad[_i].text, &address, &reason));
    ck_assert_msg(strstr(reason.text, bad[_i].reason) != NULL, "'%s' does not say '%s'",
                  reason.text, bad[_i].reason);
    ck_assert(strchr(reason.text, '\n') == NULL && strchr(reason.text, '\x1b') == NULL);
}
END_TEST

START_TEST(what_is_too_long_is_refused)
{
    char text[5 + ADDRESS_HOST_BYTES_MAX + 16];
    struct address address;
    struct reason reason;
    memset(text, 'a', sizeof text);
    memcpy(text, "unix:", 5);
    text[5 + ADDRESS_PATH_BYTES_MAX] = '\0';
    ck_assert(address_parse(text, &address, &reason));
    text[5 + ADDRESS_PATH_BYTES_MAX] = 'a';
    text[5 + ADDRESS_PATH_BYTES_MAX + 1] = '\0';
    ck_assert(!address_parse(text, &address, &reason));
    ck_assert_ptr_nonnull(strstr(reason.text, "longer"));

    memset(text, 'a', sizeof text);
    memcpy(text + ADDRESS_HOST_BYTES_MAX, ":1", 3);
    ck_assert(address_parse(text, &address, &reason));
    memset(text, 'a', sizeof text);
    memcpy(text + ADDRESS_HOST_BYTES_MAX + 1, ":1", 3);
    ck_assert(!address_parse(text, &address, &reason));
    ck_assert_ptr_nonnull(strstr(reason.text, "too long"));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("address");
    TCase *tcase = tcase_create("address");
    tcase_add_loop_test(tcase, good_addresses_are_taken_apart, 0,
                        (int)(sizeof good / sizeof *good));
    tcase_add_loop_test(tcase, bad_addresses_are_refused_with_the_reason, 0,
                        (int)(sizeof bad / sizeof *bad));
    tcase_add_test(tcase, what_is_too_long_is_refused);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
