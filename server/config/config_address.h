/* SPDX-License-Identifier: BSD-3-Clause
 * config_address - where to listen, as the configuration has it. Pure; any thread. */
#ifndef FARPAGE_SERVER_CONFIG_ADDRESS_H
#define FARPAGE_SERVER_CONFIG_ADDRESS_H
#include <stdbool.h>
#include <stdint.h>

#include "base/attrs.h"

enum {
    CONFIG_HOST_BYTES = 46,    /* the longest IPv6 address in text, with its final zero */
    CONFIG_SOCKET_BYTES = 108, /* sun_path, with its final zero */
    CONFIG_ADDRESS_TEXT_BYTES = CONFIG_SOCKET_BYTES + 8,
};

struct config_address {
    enum { CONFIG_IPV4, CONFIG_IPV6, CONFIG_ANY, CONFIG_UNIX, CONFIG_HANDED } kind;
    uint16_t port;                  /* 0: any that is free; also of the last two */
    char host[CONFIG_HOST_BYTES];   /* numeric, no brackets; of CONFIG_ANY "*": IPv4 and IPv6 */
    char path[CONFIG_SOCKET_BYTES]; /* absolute; of CONFIG_HANDED a name; of the others "" */
};

/* "unix:/run/farpage.sock", "[::1]:11211"; what the address in the file looked like, tidied. */
void config_address_text(const struct config_address *address,
                         char text[CONFIG_ADDRESS_TEXT_BYTES]) FP_NONNULL(1);

/* Reached by this machine's programs only: a unix socket, or loopback. Of a socket that is handed
 * over true: where it is bound is not known before it is there. */
bool config_is_local(const struct config_address *address) FP_NONNULL(1);

#endif
