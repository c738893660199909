/* SPDX-License-Identifier: BSD-3-Clause
 * Which addresses of block devices are taken, and as what. */
#include "client/cli/swap/swap_address.h"

#include <stdio.h>
#include <string.h>

#include "tests/unit/base/suite.h"

static const struct {
    const char *text, *host, *socket, *export, *canonical;
    unsigned port;
} good[] = {
    {"nbd://10.0.0.7/swap", "10.0.0.7", "", "swap", "nbd://10.0.0.7/swap", 10809},
    {"10.0.0.7/swap", "10.0.0.7", "", "swap", "nbd://10.0.0.7/swap", 10809},
    {"nbd://a.example:1/swap/web1", "a.example", "", "swap/web1", "nbd://a.example:1/swap/web1", 1},
    {"nbd://h/", "h", "", "", "nbd://h/", 10809},
    {"nbd://h/two%20words%25", "h", "", "two words%", "nbd://h/two%20words%25", 10809},
    {"nbd://h/a?b", "h", "", "a?b", "nbd://h/a%3Fb", 10809},
    {"nbd://h/a@b.1", "h", "", "a@b.1", "nbd://h/a@b.1", 10809},
    {"nbd://[::1]:65535/x", "::1", "", "x", "nbd://[::1]:65535/x", 65535},
    {"[fe80::1%25eth0]/x", "fe80::1%eth0", "", "x", "nbd://[fe80::1%25eth0]/x", 10809},
    {"nbd+unix:///x?socket=/run/nbd.sock", "", "/run/nbd.sock", "x",
     "nbd+unix:///x?socket=/run/nbd.sock", 10809},
    {"nbd+unix:///?socket=/a%3fb", "", "/a?b", "", "nbd+unix:///?socket=/a%3Fb", 10809},
};

START_TEST(a_good_one_is_taken_apart_and_put_together_again)
{
    struct swap_address address, again;
    struct complaint complaint = {{0}};
    char text[SWAP_ADDRESS_BYTES];
    ck_assert_msg(swap_address_parse(good[_i].text, &address, &complaint), "%s: %s", good[_i].text,
                  complaint.text);
    ck_assert_str_eq(address.host, good[_i].host);
    ck_assert_str_eq(address.socket, good[_i].socket);
    ck_assert_str_eq(address.export, good[_i].export);
    ck_assert_uint_eq(address.port, good[_i].port);
    swap_address_text(&address, text);
    ck_assert_str_eq(text, good[_i].canonical);
    ck_assert(swap_address_parse(text, &again, &complaint));
    ck_assert_str_eq(again.export, address.export);
    ck_assert_str_eq(again.host, address.host);
}
END_TEST

static const struct {
    const char *text, *reason;
} bad[] = {
    {"", "names no export"},
    {"10.0.0.7", "names no export"},
    {"nbd://10.0.0.7", "names no export"},
    {"nbd:///x", "names no host"},
    {"nbd://:10809/x", "names no host"},
    {"nbd://h:0/x", "'0' is not a port"},
    {"nbd://h:65536/x", "'65536' is not a port"},
    {"nbd://h:/x", "'' is not a port"},
    {"nbd://h:x/x", "'x' is not a port"},
    {"nbd://[::1/x", "has no ']'"},
    {"nbd://[::1]x/x", "'x' is not a port"},
    {"nbd://-persist/x", "begins with '-'"},
    {"nbd://h/-c", "begins with '-'"},
    {"nbd://h/a%0ab", "a byte that cannot be in one"},
    {"nbd://h/a%00b", "a byte that cannot be in one"},
    {"nbd://h/a%", "a byte that cannot be in one"},
    {"nbd://h/a%4", "a byte that cannot be in one"},
    {"nbd://h/a%xy", "a byte that cannot be in one"},
    {"nbds://h/x", "WireGuard"},
    {"nbds+unix:///x?socket=/a", "WireGuard"},
    {"http://h/x", "begins with neither"},
    {"nbd+unix://h/x?socket=/a", "a unix socket's is"},
    {"nbd+unix:///x", "a unix socket's is"},
    {"nbd+unix:///x?socket=a", "begins with '/'"},
};

START_TEST(a_bad_one_is_refused_with_the_reason)
{
    struct swap_address address;
    struct complaint complaint = {{0}};
    ck_assert_msg(!swap_address_parse(bad[_i].text, &address, &complaint), "%s", bad[_i].text);
    ck_assert_msg(strstr(complaint.text, bad[_i].reason) != NULL, "%s: %s", bad[_i].text,
                  complaint.text);
}
END_TEST

START_TEST(what_is_too_long_is_refused)
{
    struct swap_address address;
    struct complaint complaint = {{0}};
    char text[800];
    snprintf(text, sizeof text, "nbd://%0255d/%0255d", 1, 2);
    ck_assert(swap_address_parse(text, &address, &complaint));
    snprintf(text, sizeof text, "nbd://%0256d/x", 1);
    ck_assert(!swap_address_parse(text, &address, &complaint));
    snprintf(text, sizeof text, "nbd://h/%0256d", 1);
    ck_assert(!swap_address_parse(text, &address, &complaint));
    snprintf(text, sizeof text, "nbd+unix:///x?socket=/%0107d", 1);
    ck_assert(!swap_address_parse(text, &address, &complaint));
    ck_assert_str_eq(complaint.text, "the socket is longer than 107 bytes");
}
END_TEST

int main(void)
{
    int failed = suite_run_each("swap_address", FP_COUNT_OF(good),
                                a_good_one_is_taken_apart_and_put_together_again);
    failed |=
        suite_run_each("swap_address", FP_COUNT_OF(bad), a_bad_one_is_refused_with_the_reason);
    return failed | suite_run("swap_address", what_is_too_long_is_refused);
}
