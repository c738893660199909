/* SPDX-License-Identifier: BSD-3-Clause
 * config - what the operator asked for: one plain structure, complete and checked.
 *
 *   rows of config_table.h --defaults--> values --FILE--> values --set KEY=VALUE--> values
 *                                                 `--- cross-checks ---> config, or errors
 *
 * Whoever holds a `struct config` may believe it: every value is within the bounds of its row, and
 * the values agree with each other. It is never changed once loaded; a reload loads another.
 *
 * Threads: any call on any thread; no state is kept. config_load reads a file and may block.
 */
#ifndef FARPAGE_SERVER_CONFIG_H
#define FARPAGE_SERVER_CONFIG_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attrs.h"
#include "base/log.h"
#include "base/status.h"
#include "protocol/limits.h"
#include "server/config/config_address.h"
#include "server/config/config_error.h"
#include "server/config/config_export.h"
#include "server/config/config_item.h"
#include "server/config/config_tenant.h"

enum {
    CONFIG_FILE_BYTES_MAX = 64 << 10,
    CONFIG_DEPTH_MAX = 16, /* of YAML within YAML; ours needs 3 */
    CONFIG_LISTENERS_MAX = 16,
    CONFIG_AREAS_MAX = 256,
    CONFIG_SPILL_BYTES_MIN = 4 << 20, /* a few extents */
    CONFIG_START_BYTES = 8 << 20,  /* the program without a thread, and some room for data */
    CONFIG_THREAD_BYTES = 1 << 20, /* each worker: stack, buffers, codec states once warm */
    CONFIG_KEYS_MAX = 192,     /* rows of the table */
    CONFIG_PATH_BYTES = 256,   /* of a file, with its final zero */
};

/* In the order of the choices in config_table.h. */
enum config_protocol { CONFIG_MEMCACHED, CONFIG_NBD, CONFIG_HTTP };
enum config_allocator { CONFIG_BLOCKS, CONFIG_ZSMALLOC, CONFIG_ZBUD };
enum config_incompressible { CONFIG_INCOMPRESSIBLE_KEEP, CONFIG_INCOMPRESSIBLE_REFUSE };
enum config_compaction { CONFIG_COMPACTION_AUTO, CONFIG_COMPACTION_MANUAL, CONFIG_COMPACTION_OFF };
enum config_algorithm { CONFIG_LZ4, CONFIG_LZ4HC, CONFIG_ZSTD, CONFIG_NONE };
enum config_dictionaries { CONFIG_DICTIONARIES_OFF, CONFIG_DICTIONARIES_AUTO };
enum config_draining { CONFIG_DRAINING_AUTO, CONFIG_DRAINING_MANUAL };
enum config_sandbox { CONFIG_SANDBOX_AUTO, CONFIG_SANDBOX_OFF, CONFIG_SANDBOX_ON };
enum config_area_compressor { CONFIG_AREA_DEFAULT, CONFIG_AREA_NONE };
enum config_reserved { CONFIG_RESERVED_AUTO, CONFIG_RESERVED_OFF, CONFIG_RESERVED_ON };
enum config_whose { CONFIG_NOBODYS, CONFIG_LOCAL, CONFIG_ANYBODYS };
enum config_verify { CONFIG_VERIFY_OFF, CONFIG_VERIFY_OPTIONAL, CONFIG_VERIFY_REQUIRED };
enum config_tls_version { CONFIG_TLS_1_2, CONFIG_TLS_1_3 };
enum config_stronger { CONFIG_STRONGER_OFF, CONFIG_STRONGER_LZ4HC, CONFIG_STRONGER_ZSTD };

struct config_listener {
    struct config_item item;
    struct config_address address;
    enum config_protocol protocol;
    enum config_switch tls, auth, insecure; /* auth: where auth.file is given */
    enum config_reserved reserved;
};

struct config_area {
    struct config_item item;
    char name[AREA_NAME_BYTES_MAX + 1];
    uint64_t size_bytes; /* == pages * config_area_page_bytes(), pages in 1 .. AREA_SLOTS_MAX */
    uint64_t page_bytes; /* 4, 16 or 64 KiB; 0: storage.page_bytes */
    uint32_t quota_pages; /* at most what it has; 0: none */
    uint64_t quota_bytes; /* at most size_bytes; 0: none */
    enum config_area_compressor compressor;
    char tenant[AREA_NAME_BYTES_MAX + 1]; /* one that is configured; "": the default one */
};

struct config {
    struct {
        uint32_t threads; /* 0: one per processor */
        uint32_t max_connections;
        uint32_t reserved_connections; /* beyond those */
        uint64_t request_timeout_ns;
        uint64_t idle_timeout_ns; /* 0: never */
        uint64_t first_request_timeout_ns; /* 0: never */
        uint64_t login_timeout_ns;
        enum config_sandbox sandbox;
        uint64_t stop_timeout_ns; /* 0: do not wait */
        uint64_t output_buffer_max_bytes;
        uint32_t requests_per_turn;
        enum config_switch flush_command, watch_command, dump_commands, shutdown_command;
        enum config_whose config_command;
        char restart_file[CONFIG_PATH_BYTES]; /* "": a start begins empty */
    } server;
    struct { /* what is needed is given, where a listener has tls on */
        char certificate[CONFIG_PATH_BYTES], key[CONFIG_PATH_BYTES]; /* both or none */
        char client_ca[CONFIG_PATH_BYTES]; /* given unless verify_clients is off */
        enum config_verify verify_clients;
        enum config_tls_version minimum_version;
    } tls;
    struct {
        char file[CONFIG_PATH_BYTES];
    } auth;
    struct {
        uint64_t memory_limit_bytes;
        uint64_t page_bytes; /* 4, 16 or 64 KiB */
        enum config_allocator allocator;
        uint32_t watermark_high, watermark_low; /* percent; low <= high, */
        uint32_t watermark_accept; /* low <= accept */
        enum config_switch pressure;
        uint32_t pressure_stall_percent, pressure_floor_percent;
        enum config_switch eviction;
        enum config_incompressible incompressible;
        enum config_compaction compaction;
        uint32_t compaction_duty_percent; /* of one processor, at most */
        enum config_switch huge_pages, lock_memory;
        char spill_path[CONFIG_PATH_BYTES]; /* "": nothing is spilled */
        uint64_t spill_size_bytes;          /* 0: all of a device */
        uint64_t spill_throttle_bytes;      /* a second; 0: none */
        enum config_switch spill_items;
        uint64_t spill_item_bytes; /* packed */
        uint64_t scrub_interval_ns;  /* 0: only when asked */
        uint32_t scrub_duty_percent; /* of one processor, at most */
        char state_dir[CONFIG_PATH_BYTES]; /* "": none; no export needs it then */
        uint32_t overcommit_percent;       /* at least 100 */
        uint64_t item_bytes_max; /* <= memory_limit_bytes / 2 */
    } storage;
    struct {
        enum config_algorithm algorithm;
        int32_t level; /* 0: the algorithm's own; else within its range */
        enum config_dictionaries dictionaries;
        enum config_switch from_clients;
    } compressor;
    struct {
        uint32_t maps_max;
        uint64_t mapped_max_bytes;
        uint64_t mapped_total_max_bytes; /* 0: a quarter of memory_limit_bytes; <= half of it */
        uint64_t map_lease_ns;           /* 0: none is needed */
    } session;
    struct {
        enum config_draining draining;
        enum config_stronger algorithm;
        int32_t level;    /* as the compressor's */
        uint64_t idle_ns; /* at least a second */
        uint32_t duty_percent; /* of one processor, at most */
    } recompress;
    struct {
        enum log_level level;
        enum log_format format;
        uint64_t slow_requests_ns; /* 0: none is */
    } log;
    uint32_t listeners_count; /* at least 1 */
    uint32_t areas_count;
    uint32_t exports_count;
    uint32_t tenants_count;
    struct config_listener listeners[CONFIG_LISTENERS_MAX];
    struct config_area areas[CONFIG_AREAS_MAX];
    struct config_export exports[CONFIG_EXPORTS_MAX];
    struct config_tenant tenants[CONFIG_TENANTS_MAX];
    struct config_origin origins[CONFIG_KEYS_MAX]; /* by row; of list keys see the items */
    char *file;                                    /* as it was named; NULL where there is none */
};

static inline uint64_t config_area_page_bytes(const struct config *config,
                                              const struct config_area *area)
{
    return area->page_bytes != 0 ? area->page_bytes : config->storage.page_bytes;
}

static inline uint64_t config_export_page_bytes(const struct config *config,
                                                const struct config_export *export)
{
    return export->page_bytes != 0 ? export->page_bytes : config->storage.page_bytes;
}

/* Loads the file (NULL: none) and then each "key=value" of `sets`, later ones winning; a list is
 * set whole, as YAML: areas=[{name: a, size: 64MiB}]. On FP_OK *config is the caller's. Otherwise
 * *config is NULL: FP_INVALID with every error found in *errors (initialised by the caller), or
 * FP_NO_MEMORY. The paths and sets are borrowed for the call. */
struct config_sources {
    const char *path; /* NULL: none */
    const char *const *sets;
    size_t set_count;
    uint64_t memory_limit_bytes; /* where nobody says; 0: what the table says. 16 MiB at least */
};
enum fp_status config_load_from(const struct config_sources *sources, struct config **config,
                                struct config_errors *errors) FP_MUST_CHECK FP_NONNULL(1, 2, 3);
/* The same, where the table says all that nobody else does. */
enum fp_status config_load(const char *path, const char *const *sets, size_t set_count,
                           struct config **config, struct config_errors *errors)
    FP_MUST_CHECK FP_NONNULL(4, 5);

void config_destroy(struct config **config) FP_NONNULL(1); /* takes it, leaves NULL */

/* Whether areas may be a tenant's of that name: a configured one's, or the default one's. */
bool config_knows_tenant(const struct config *config, const char *name) FP_NONNULL(1, 2);

const char *config_protocol_name(enum config_protocol protocol);
const char *config_algorithm_name(enum config_algorithm algorithm);
const char *config_stronger_name(enum config_stronger algorithm); /* "off", or an algorithm */
const char *config_allocator_name(enum config_allocator allocator);

#endif
