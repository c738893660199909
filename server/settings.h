/* SPDX-License-Identifier: BSD-3-Clause
 * settings - the part of the configuration that connections look at and a reload may change. */
#ifndef FARPAGE_SERVER_SETTINGS_H
#define FARPAGE_SERVER_SETTINGS_H
#include <stdatomic.h>
#include <stdint.h>

#include "server/config/config.h"

enum { SETTINGS_LISTEN_BACKLOG = 1024 };

struct settings {
    _Atomic uint64_t request_timeout_ns;
    _Atomic uint64_t idle_timeout_ns; /* 0: never */
    _Atomic uint64_t first_request_timeout_ns; /* 0: never */
    _Atomic uint64_t login_timeout_ns;
    _Atomic uint64_t slow_requests_ns; /* 0: none is */
    _Atomic uint64_t output_buffer_max_bytes;
    _Atomic uint64_t item_bytes_max;
    _Atomic uint64_t spill_throttle_bytes; /* a second; 0: none */
    _Atomic uint32_t compaction; /* enum config_compaction */
    _Atomic uint32_t compaction_duty_percent;
    _Atomic uint32_t pressure, pressure_stall_percent, pressure_floor_percent; /* the first: enum
                                                                               * config_switch */
    _Atomic uint32_t dictionaries; /* enum config_dictionaries */
    _Atomic uint32_t from_clients; /* enum config_switch: pages may travel packed */
    _Atomic uint32_t recompress_draining; /* enum config_draining */
    _Atomic uint64_t recompress_stronger; /* settings_stronger(): algorithm and level in one */
    _Atomic uint64_t recompress_idle_ns;
    _Atomic uint32_t recompress_duty_percent;
    _Atomic uint64_t scrub_interval_ns; /* 0: only when asked */
    _Atomic uint32_t scrub_duty_percent;
    _Atomic uint32_t session_maps_max;
    _Atomic uint64_t session_mapped_max_bytes;
    _Atomic uint64_t session_mapped_total_max_bytes;
    _Atomic uint64_t session_map_lease_ns; /* 0: none is needed */
    _Atomic uint32_t requests_per_turn;
    _Atomic uint32_t max_connections;
    _Atomic uint32_t reserved_connections; /* beyond those */
    _Atomic uint32_t flush_command; /* enum config_switch: a client may forget all items */
    _Atomic uint32_t watch_command, dump_commands; /* enum config_switch */
    _Atomic uint32_t config_command;   /* enum config_whose */
    _Atomic uint32_t shutdown_command; /* enum config_switch: a client may stop the server */
};

/* The stronger compressor in one word: nobody sees one's level with another's name. */
static inline uint64_t settings_stronger(enum config_stronger algorithm, int32_t level)
{
    return (uint64_t)algorithm << 32 | (uint32_t)level;
}

static inline uint64_t settings_mapped_total(const struct config *config)
{
    uint64_t bytes = config->session.mapped_total_max_bytes;
    return bytes != 0 ? bytes : config->storage.memory_limit_bytes / 4;
}

static inline void settings_apply(struct settings *settings, const struct config *config)
{
    atomic_store(&settings->request_timeout_ns, config->server.request_timeout_ns);
    atomic_store(&settings->idle_timeout_ns, config->server.idle_timeout_ns);
    atomic_store(&settings->first_request_timeout_ns, config->server.first_request_timeout_ns);
    atomic_store(&settings->reserved_connections, config->server.reserved_connections);
    atomic_store(&settings->slow_requests_ns, config->log.slow_requests_ns);
    atomic_store(&settings->login_timeout_ns, config->server.login_timeout_ns);
    atomic_store(&settings->output_buffer_max_bytes, config->server.output_buffer_max_bytes);
    atomic_store(&settings->item_bytes_max, config->storage.item_bytes_max);
    atomic_store(&settings->spill_throttle_bytes, config->storage.spill_throttle_bytes);
    atomic_store(&settings->compaction, config->storage.compaction);
    atomic_store(&settings->compaction_duty_percent, config->storage.compaction_duty_percent);
    atomic_store(&settings->pressure, config->storage.pressure);
    atomic_store(&settings->pressure_stall_percent, config->storage.pressure_stall_percent);
    atomic_store(&settings->pressure_floor_percent, config->storage.pressure_floor_percent);
    atomic_store(&settings->dictionaries, config->compressor.dictionaries);
    atomic_store(&settings->from_clients, config->compressor.from_clients);
    atomic_store(&settings->recompress_draining, config->recompress.draining);
    atomic_store(&settings->recompress_stronger,
                 settings_stronger(config->recompress.algorithm, config->recompress.level));
    atomic_store(&settings->recompress_idle_ns, config->recompress.idle_ns);
    atomic_store(&settings->recompress_duty_percent, config->recompress.duty_percent);
    atomic_store(&settings->scrub_interval_ns, config->storage.scrub_interval_ns);
    atomic_store(&settings->scrub_duty_percent, config->storage.scrub_duty_percent);
    atomic_store(&settings->session_maps_max, config->session.maps_max);
    atomic_store(&settings->session_mapped_max_bytes, config->session.mapped_max_bytes);
    atomic_store(&settings->session_mapped_total_max_bytes, settings_mapped_total(config));
    atomic_store(&settings->session_map_lease_ns, config->session.map_lease_ns);
    atomic_store(&settings->requests_per_turn, config->server.requests_per_turn);
    atomic_store(&settings->max_connections, config->server.max_connections);
    atomic_store(&settings->flush_command, config->server.flush_command);
    atomic_store(&settings->watch_command, config->server.watch_command);
    atomic_store(&settings->dump_commands, config->server.dump_commands);
    atomic_store(&settings->config_command, config->server.config_command);
    atomic_store(&settings->shutdown_command, config->server.shutdown_command);
}

static inline uint64_t setting(const _Atomic uint64_t *value)
{
    return atomic_load_explicit(value, memory_order_relaxed);
}

#endif
