/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Who may come in where: what listeners, TLS and authentication ask of each other. */
#include <inttypes.h>

#include "base/check.h"
#include "server/config/config_build.h"
#include "server/config/config_doors.h"

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

static struct config_place place_of_listener(const struct config_build *build, uint32_t i,
                                             const char *path)
{
    const struct config_key *first = config_key_find(slice_text("listeners[].address"));
    const struct config_key *key = config_key_find(slice_text(path));
    fp_assert(first != NULL && key != NULL);
    return config_place_in_item(build, &build->config->listeners[i].item,
                                config_key_row(key) - config_key_row(first));
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
        if (config->listeners[i].tls != CONFIG_SWITCH_ON) continue;
        config_error_add(build->errors, place_of_listener(build, i, "listeners[].tls"),
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

bool config_is_protected(const struct config *config, const struct config_listener *listener)
{
    bool verifies = listener->tls == CONFIG_SWITCH_ON &&
                    config->tls.verify_clients == CONFIG_VERIFY_REQUIRED;
    return config_is_local(&listener->address) || verifies ||
           config_wants_login(config, listener) || listener->insecure == CONFIG_SWITCH_ON;
}

/* Nobody opens a server to a network without having meant it. */
static void check_protection(struct config_build *build)
{
    const struct config *config = build->config;
    bool unknown = is_bad(config, "auth.file") || is_bad(config, "tls.verify_clients");
    for (uint32_t i = 0; i < config->listeners_count && !unknown; i++) {
        const struct config_listener *listener = &config->listeners[i];
        bool bad = false;
        for (size_t k = 0; k < CONFIG_ITEM_KEYS_MAX; k++) bad |= listener->item.origins[k].bad;
        if (bad || config_is_protected(config, listener)) continue;
        char text[CONFIG_ADDRESS_TEXT_BYTES];
        config_address_text(&listener->address, text);
        config_error_add(build->errors, place_of_listener(build, i, "listeners[].address"),
                         "listeners[%" PRIu32 "].address: anybody who reaches \"%s\" could use "
                         "the server; set %stls: on with tls.verify_clients: required, or "
                         "insecure: on if that is meant",
                         i, text,
                         listener->protocol != CONFIG_NBD ? "auth.file, or " : "");
    }
}

void config_check_doors(struct config_build *build)
{
    check_identity(build);
    check_clients(build);
    check_protection(build);
}
