/* SPDX-License-Identifier: BSD-3-Clause
 *
 * `stats settings`: memcached's names, for its tools; then ours, as in the file. */
#include <stdio.h>

#include "protocol/limits.h"
#include "server/config/config_compare.h"
#include "server/stats/stats_internal.h"

static void emit_setting(void *context, const char *key, const char *value,
                         const struct config_origin *origin)
{
    (void)origin;
    stats_text(context, key, value);
}

static void yes_or_no(const struct stats_sink *sink, const char *name, bool yes)
{
    stats_text(sink, name, yes ? "yes" : "no");
}

/* The first of each kind that speaks memcached's protocol, which is all that memcached has. */
static void emit_listeners(const struct config *config, const struct stats_sink *sink)
{
    const struct config_address *tcp = NULL, *local = NULL;
    for (uint32_t i = config->listeners_count; i-- > 0;) {
        const struct config_address *address = &config->listeners[i].address;
        if (config->listeners[i].protocol != CONFIG_MEMCACHED) continue;
        if (address->kind == CONFIG_UNIX) local = address;
        else if (address->kind != CONFIG_HANDED) tcp = address;
    }
    stats_number(sink, "tcpport", tcp != NULL ? tcp->port : 0);
    stats_number(sink, "udpport", 0);
    stats_text(sink, "inter", tcp != NULL ? tcp->host : "NULL");
    stats_text(sink, "domain_socket", local != NULL ? local->path : "NULL");
}

static void emit_limits(struct shared *shared, const struct stats_sink *sink)
{
    const struct settings *settings = &shared->settings;
    stats_number(sink, "maxbytes", budget_wanted(store_budget(shared->store)));
    stats_number(sink, "maxconns", atomic_load(&settings->max_connections));
    stats_number(sink, "item_size_max", setting(&settings->item_bytes_max));
    stats_number(sink, "num_threads", shared->worker_count);
    stats_number(sink, "verbosity", 0);
    stats_number(sink, "idle_timeout", setting(&settings->idle_timeout_ns) / 1000000000);
    stats_number(sink, "reqs_per_event", atomic_load(&settings->requests_per_turn));
    stats_number(sink, "tcp_backlog", SETTINGS_LISTEN_BACKLOG);
    stats_number(sink, "client_flags_size", sizeof(uint32_t));
}

/* What memcached can be told to do otherwise, and whether we do it. */
static void emit_switches(struct shared *shared, const struct stats_sink *sink)
{
    const struct settings *settings = &shared->settings;
    bool automatic = atomic_load(&settings->compaction) == CONFIG_COMPACTION_AUTO;
    stats_text(sink, "evictions", store_evicts(shared->store) ? "on" : "off");
    yes_or_no(sink, "cas_enabled", true);
    yes_or_no(sink, "flush_enabled", atomic_load(&settings->flush_command));
    yes_or_no(sink, "dump_enabled", atomic_load(&settings->dump_commands));
    yes_or_no(sink, "watch_enabled", atomic_load(&settings->watch_command));
    yes_or_no(sink, "detail_enabled", prefixes_counted(&shared->prefixes));
    yes_or_no(sink, "auth_enabled_sasl", false);
    yes_or_no(sink, "auth_enabled_ascii", credentials_want_login(&shared->credentials));
    yes_or_no(sink, "shutdown_command", atomic_load(&settings->shutdown_command));
    yes_or_no(sink, "maxconns_fast", true);
    yes_or_no(sink, "lru_crawler", false); /* memcached's; its tools then ask no more about it */
    yes_or_no(sink, "lru_maintainer_thread", false);
    yes_or_no(sink, "slab_reassign", false);
    stats_number(sink, "slab_automove", automatic);
    yes_or_no(sink, "track_sizes", true);
    stats_text(sink, "stat_key_prefix", ":");
    stats_text(sink, "hash_algorithm", "xxh3");
    stats_text(sink, "binding_protocol", "ascii");
}

void stats_settings(struct shared *shared, const struct stats_sink *sink)
{
    struct stats_sink mutable_sink = *sink;
    emit_limits(shared, sink);
    emit_switches(shared, sink);
    lock_take(&shared->config_lock);
    if (shared->config != NULL) {
        emit_listeners(shared->config, sink);
        config_visit(shared->config, emit_setting, &mutable_sink);
    }
    lock_drop(&shared->config_lock);
}
