/* SPDX-License-Identifier: BSD-3-Clause
 * config_item - what an item of a list begins with, where its values were given, and values that
 * are no plain numbers. Pure; any thread. */
#ifndef FARPAGE_SERVER_CONFIG_ITEM_H
#define FARPAGE_SERVER_CONFIG_ITEM_H
#include <stdbool.h>
#include <stdint.h>

#include "base/attrs.h"

enum {
    CONFIG_ITEM_KEYS_MAX = 12, /* rows of one list */
    CONFIG_HOST_BYTES = 46,    /* the longest IPv6 address in text, with its final zero */
    CONFIG_SOCKET_BYTES = 108, /* sun_path, with its final zero */
};

/* In the order of the choices in config_table.h. */
enum config_switch { CONFIG_SWITCH_OFF, CONFIG_SWITCH_ON };

/* Where a value was last given. Line and column count from 1; "line" of --set is its ordinal. */
struct config_origin {
    enum { CONFIG_FROM_DEFAULT, CONFIG_FROM_FILE, CONFIG_FROM_SET } from;
    uint32_t line, column, width;
    bool bad; /* it was given but not understood: only seen while loading */
};

struct config_item {
    struct config_origin origin;                         /* of the item as a whole */
    struct config_origin origins[CONFIG_ITEM_KEYS_MAX]; /* of its keys, as the table's rows */
};

struct config_address {
    enum { CONFIG_IPV4, CONFIG_IPV6, CONFIG_ANY, CONFIG_UNIX } kind;
    uint16_t port;                  /* 0: any that is free; also of CONFIG_UNIX */
    char host[CONFIG_HOST_BYTES];   /* numeric, no brackets; of CONFIG_ANY "*": IPv4 and IPv6 */
    char path[CONFIG_SOCKET_BYTES]; /* of CONFIG_UNIX: absolute; else "" */
};

/* "unix:/run/farpage.sock", "[::1]:11211"; what the address in the file looked like, tidied. */
enum { CONFIG_ADDRESS_TEXT_BYTES = CONFIG_SOCKET_BYTES + 8 };
void config_address_text(const struct config_address *address,
                         char text[CONFIG_ADDRESS_TEXT_BYTES]) FP_NONNULL(1);

#endif
