/* SPDX-License-Identifier: BSD-3-Clause
 * config_value - one value: its text, its bytes, and what its row lets it be.
 *
 * Strict: 0100, 1e3, yes and 64Q are no numbers; nothing is rounded, clamped or wrapped.
 * Pure; any thread. */
#ifndef FARPAGE_SERVER_CONFIG_VALUE_H
#define FARPAGE_SERVER_CONFIG_VALUE_H
#include <stdbool.h>

#include "base/attrs.h"
#include "base/slice.h"
#include "server/config/config_table.h"

enum { CONFIG_WHY_BYTES = 320, CONFIG_VALUE_BYTES = CONFIG_PATH_BYTES };

/* Reads `text` into *value, which is as the key's kind says. False, and *value as it was, where it
 * is not one: `why` then goes on a sentence that begins with the key's path. */
bool config_value_read(const struct config_key *key, struct slice text, void *value,
                       char why[CONFIG_WHY_BYTES]) FP_MUST_CHECK FP_NONNULL(1, 3);

/* The inverse. */
void config_value_text(const struct config_key *key, const void *value,
                       char text[CONFIG_VALUE_BYTES]) FP_NONNULL(1, 2);

/* For people: "0 to 256", "lz4, zstd or none". */
void config_value_takes(const struct config_key *key, char text[CONFIG_WHY_BYTES]) FP_NONNULL(1);

/* The part of config_value_read that knows addresses. */
bool config_address_read(struct slice text, struct config_address *address,
                         char why[CONFIG_WHY_BYTES]) FP_MUST_CHECK FP_NONNULL(2);

#endif
