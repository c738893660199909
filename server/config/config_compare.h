/* SPDX-License-Identifier: BSD-3-Clause
 * config_compare - all values of a configuration, what tells two apart, and one that differs from
 * another in a key. Pure; any thread. */
#ifndef FARPAGE_SERVER_CONFIG_COMPARE_H
#define FARPAGE_SERVER_CONFIG_COMPARE_H
#include "server/config/config.h"

enum { CONFIG_ORIGIN_BYTES = 128 };

/* Calls `visit` with every value: "storage.memory_limit" "1GiB", "areas[0].name" "swap", and where
 * it was given. The texts live for the call only. */
void config_visit(const struct config *config,
                  void (*visit)(void *context, const char *key, const char *value,
                                const struct config_origin *origin),
                  void *context) FP_NONNULL(1, 2);

/* "default", "set" (to the running server), "--set:1", "/etc/farpage/farpaged.yaml:12"; one word of
 * printable ASCII. */
void config_origin_text(const struct config *config, const struct config_origin *origin,
                        char text[CONFIG_ORIGIN_BYTES]) FP_NONNULL(1, 2);

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

/* What `running` is with "key=value"; neither is changed. On FP_OK *next is the caller's.
 * FP_INVALID with the errors, which name no line; FP_NO_MEMORY. */
enum fp_status config_change(const struct config *running, const char *pair, struct config **next,
                             struct config_errors *errors) FP_MUST_CHECK FP_NONNULL(1, 2, 3, 4);

/* Of an error the part behind the place. */
const char *config_error_message(const struct config_error *error) FP_NONNULL(1);

#endif
