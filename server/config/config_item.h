/* SPDX-License-Identifier: BSD-3-Clause
 * config_item - what an item of a list begins with, and where its values were given. Pure; any
 * thread. */
#ifndef FARPAGE_SERVER_CONFIG_ITEM_H
#define FARPAGE_SERVER_CONFIG_ITEM_H
#include <stdbool.h>
#include <stdint.h>

enum { CONFIG_ITEM_KEYS_MAX = 12 }; /* rows of one list */

/* In the order of the choices in config_table.h. */
enum config_switch { CONFIG_SWITCH_OFF, CONFIG_SWITCH_ON };

/* Where a value was last given; RUNNING: to the running server. Line and column count from 1;
 * "line" of --set is its ordinal. */
struct config_origin {
    enum { CONFIG_FROM_DEFAULT, CONFIG_FROM_FILE, CONFIG_FROM_SET, CONFIG_FROM_RUNNING } from;
    uint32_t line, column, width;
    bool bad; /* it was given but not understood: only seen while loading */
};

struct config_item {
    struct config_origin origin;                         /* of the item as a whole */
    struct config_origin origins[CONFIG_ITEM_KEYS_MAX]; /* of its keys, as the table's rows */
};

#endif
