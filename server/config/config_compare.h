/* SPDX-License-Identifier: BSD-3-Clause
 * config_compare - all values of a configuration, and what tells two apart. Pure; any thread. */
#ifndef FARPAGE_SERVER_CONFIG_COMPARE_H
#define FARPAGE_SERVER_CONFIG_COMPARE_H
#include "server/config/config.h"

/* Calls `visit` with every value: "storage.memory_limit" "1GiB", "areas[0].name" "swap". The texts
 * live for the call only. */
void config_visit(const struct config *config,
                  void (*visit)(void *context, const char *key, const char *value), void *context)
    FP_NONNULL(1, 2);

struct config_difference {
    const char *key; /* "log.level", "areas[2].size", or "areas" where their number differs */
    const char *running, *next;
    bool reloadable;
};

/* Calls `found` for each difference (its texts live for the call only). True where all of them may
 * be applied to a running server: where it is false, apply none. */
bool config_differences(const struct config *running, const struct config *next,
                        void (*found)(void *context, const struct config_difference *difference),
                        void *context) FP_NONNULL(1, 2, 3);

#endif
