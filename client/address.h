/* SPDX-License-Identifier: BSD-3-Clause
 * address - where a server is, as a person writes it: HOST:PORT, [IPV6]:PORT, unix:/path. Pure. */
#ifndef FARPAGE_CLIENT_ADDRESS_H
#define FARPAGE_CLIENT_ADDRESS_H
#include <stdbool.h>

#include "base/attrs.h"
#include "client/reason.h"

enum {
    ADDRESS_HOST_BYTES_MAX = 253, /* a name in the DNS */
    ADDRESS_PATH_BYTES_MAX = 107, /* what sockaddr_un has room for, with its final zero */
};

#define ADDRESS_DEFAULT "127.0.0.1:11211"

struct address {
    bool is_unix;
    char host[ADDRESS_HOST_BYTES_MAX + 1]; /* TCP only, without brackets */
    char port[6];                          /* TCP only, decimal, 1 to 65535 */
    char path[ADDRESS_PATH_BYTES_MAX + 1]; /* unix only */
};

/* False, with the reason, where `text` is no address. */
bool address_parse(const char *text, struct address *address, struct reason *reason) FP_MUST_CHECK
    FP_NONNULL(1, 2, 3);

#endif
