/* SPDX-License-Identifier: BSD-3-Clause
 * config_doors - what a configuration makes of its listeners, TLS and users together. Pure; any
 * thread. */
#ifndef FARPAGE_SERVER_CONFIG_DOORS_H
#define FARPAGE_SERVER_CONFIG_DOORS_H
#include "server/config/config.h"

/* Clients of that listener must authenticate. */
bool config_wants_login(const struct config *config, const struct config_listener *listener)
    FP_NONNULL(1, 2);

/* Not everybody who reaches its address may use the server, or that is meant. */
bool config_is_protected(const struct config *config, const struct config_listener *listener)
    FP_NONNULL(1, 2);

bool config_serves_monitors(const struct config *config) FP_NONNULL(1); /* a listener is http */
bool config_uses_tls(const struct config *config) FP_NONNULL(1); /* a listener has it on */

#endif
