/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Who may come in where: what listeners, TLS and authentication ask of each other. */
#include <inttypes.h>

#include "server/config/config_build.h"

/* In the order of config_table.h. */
enum listener_row { LISTENER_ROW_ADDRESS, LISTENER_ROW_PROTOCOL, LISTENER_ROW_TLS };

static bool given(const char *path)
{
    return path[0] != '\0';
}

static bool is_bad(const struct config *config, const char *path)
{
    return config_origin_of(config, path)->bad;
}

static struct config_place place_of_key(const struct config_build *build, const char *path)
{
    return config_place_of(build, config_origin_of(build->config, path));
}

/* What a listener with TLS needs; said once, at the first of them. */
static void check_identity(struct config_build *build)
{
    const struct config *config = build->config;
    bool certificate = given(config->tls.certificate), key = given(config->tls.key);
    if (is_bad(config, "tls.certificate") || is_bad(config, "tls.key")) return;
    if (certificate != key) {
        const char *path = certificate ? "tls.certificate" : "tls.key";
        config_error_add(build->errors, place_of_key(build, path),
                         "%s: it is of no use without tls.%s", path,
                         certificate ? "key" : "certificate");
        return;
    }
    for (uint32_t i = 0; i < config->listeners_count && !certificate; i++) {
        const struct config_listener *listener = &config->listeners[i];
        if (listener->tls != CONFIG_SWITCH_ON) continue;
        config_error_add(build->errors,
                         config_place_in_item(build, &listener->item, LISTENER_ROW_TLS),
                         "listeners[%" PRIu32 "].tls: on needs tls.certificate and tls.key", i);
        return;
    }
}

static void check_clients(struct config_build *build)
{
    const struct config *config = build->config;
    bool asked = config->tls.verify_clients != CONFIG_VERIFY_OFF;
    if (is_bad(config, "tls.client_ca") || is_bad(config, "tls.verify_clients")) return;
    if (asked && !given(config->tls.client_ca))
        config_error_add(build->errors, place_of_key(build, "tls.verify_clients"),
                         "tls.verify_clients: whose certificates? tls.client_ca names the file");
    else if (!asked && given(config->tls.client_ca))
        config_error_add(build->errors, place_of_key(build, "tls.client_ca"),
                         "tls.client_ca: nobody is asked for a certificate; set "
                         "tls.verify_clients to required or optional");
}

void config_check_doors(struct config_build *build)
{
    check_identity(build);
    check_clients(build);
}
