/* SPDX-License-Identifier: BSD-3-Clause
 * config_table - every key of the configuration, one row each.
 *
 * The rows make the parser, --help, --dump-config, the annotated conf/farpaged.yaml and what a
 * reload may change. Defaults are written as an operator would write them, and read the same way.
 * Add a key: a member of struct config, a row here; then regenerate conf/farpaged.yaml.
 */
#ifndef FARPAGE_SERVER_CONFIG_TABLE_H
#define FARPAGE_SERVER_CONFIG_TABLE_H
#include "server/config/config.h"
#include "server/config/config_key.h"
#include "server/config/config_table_areas.h"
#include "server/config/config_table_doors.h"

/* MAP(name, help): keys of its own. LIST(name, item, member, least, most, help): items of keys. */
#define CONFIG_SECTIONS(MAP, LIST)                                                                 \
    MAP("server", "How clients are served.")                                                       \
    LIST("listeners", struct config_listener, listeners, 1, CONFIG_LISTENERS_MAX,                  \
         "Where clients come in.")                                                                 \
    MAP("tls", "What listeners with tls: on prove who they are with, and whom they believe.")      \
    MAP("auth", "Who may come in: a user and a password, as memcached's clients send them.")       \
    MAP("storage", "The memory that pages and items are kept in.")                                 \
    MAP("compressor", "How they are packed.")                                                      \
    MAP("session", "What one connection may have mapped.")                                         \
    MAP("recompress", "How what is stored is packed once more, in the background.")                \
    LIST("areas", struct config_area, areas, 0, CONFIG_AREAS_MAX,                                  \
         "Areas of page slots that exist from the start; clients may create more.")                \
    LIST("exports", struct config_export, exports, 0, CONFIG_EXPORTS_MAX,                          \
         "Areas as network block devices, for listeners whose protocol is nbd (docs/nbd.md).")     \
    LIST("tenants", struct config_tenant, tenants, 0, CONFIG_TENANTS_MAX,                          \
         "Who shares the server: what each may hold, and can count on (docs/limits.md).")          \
    MAP("log", "What is written to standard error.")

/* X(path, kind, structure, member, default or NULL, least, most, choices or NULL, when, help)
 * when: RELOAD or RESTART, after which a changed value takes effect; NEEDED: as RESTART, and each
 * item of the list must give it; NEEDED_RELOAD: the same as RELOAD. A list all of whose keys are
 * reloadable may become longer or shorter. */
#define CONFIG_KEYS(X)                                                                             \
    X("server.threads", KIND_COUNT, struct config, server.threads, "0", 0, 256, NULL, RESTART,     \
      "Worker threads, each with its own event loop; 0 means one per processor.")                  \
    X("server.max_connections", KIND_COUNT, struct config, server.max_connections, "1024", 1,      \
      1000000, NULL, RELOAD, "Connections open at once; more are refused when they come.")         \
    X("server.reserved_connections", KIND_COUNT, struct config, server.reserved_connections, "4",  \
      0, 1000, NULL, RELOAD,                                                                       \
      "So many more are let in where listeners[].reserved says so, for operators.")                \
    X("server.request_timeout", KIND_DURATION, struct config, server.request_timeout_ns, "30s",    \
      CONFIG_MS(100), CONFIG_HOURS(1), NULL, RELOAD,                                               \
      "A request begun must be complete, and a reply that waits must move, within this time.")     \
    X("server.idle_timeout", KIND_DURATION, struct config, server.idle_timeout_ns, "0", 0,         \
      CONFIG_HOURS(7 * 24), NULL, RELOAD,                                                          \
      "A connection that asks nothing for so long is closed; 0 means never.")                      \
    X("server.first_request_timeout", KIND_DURATION, struct config,                                \
      server.first_request_timeout_ns, "1m", 0, CONFIG_HOURS(7 * 24), NULL, RELOAD,                \
      "A connection that has never asked anything is closed after so long; 0 means never.")        \
    X("server.login_timeout", KIND_DURATION, struct config, server.login_timeout_ns, "20s",        \
      CONFIG_MS(100), CONFIG_HOURS(1), NULL, RELOAD,                                               \
      "A connection must have agreed on TLS and authenticated, where that is wanted, and one for " \
      "a block device have opened it, within this time.")                                          \
    X("server.stop_timeout", KIND_DURATION, struct config, server.stop_timeout_ns, "10s", 0,       \
      CONFIG_MS(600000), NULL, RESTART,                                                            \
      "How long a graceful stop waits for replies on their way; 0 means not at all.")              \
    X("server.sandbox", KIND_CHOICE, struct config, server.sandbox, "auto", 0, 0,                  \
      CONFIG_CHOICES("auto", "off", "on"), RESTART,                                                \
      "Give up what a server that serves never needs, such as starting programs; auto: where the " \
      "system lets it.")                                                                           \
    X("server.output_buffer_max", KIND_SIZE, struct config, server.output_buffer_max_bytes,        \
      "4MiB", CONFIG_KIB(64), CONFIG_GIB(1), NULL, RELOAD,                                         \
      "While so much waits to be sent to a client, no more of its requests are read.")             \
    X("server.requests_per_turn", KIND_COUNT, struct config, server.requests_per_turn, "64", 1,    \
      10000, NULL, RELOAD,                                                                         \
      "A connection's requests answered in a row before the others get their turn.")               \
    CONFIG_KEYS_OF_COMMANDS(X)                                                                     \
    CONFIG_KEYS_OF_DOORS(X)                                                                        \
    X("storage.memory_limit", KIND_SIZE, struct config, storage.memory_limit_bytes, "1GiB",        \
      CONFIG_MIB(16), CONFIG_TIB(64), NULL, RELOAD,                                                \
      "Memory the whole process may hold: payload, tables, buffers and the program itself. In a "  \
      "container that has a limit the default is 80 % of that; nowhere more than 80 % of RAM.")    \
    X("storage.page_size", KIND_SIZE, struct config, storage.page_bytes, "4KiB", 0, 0,             \
      CONFIG_CHOICES("4KiB", "16KiB", "64KiB"), RESTART,                                           \
      "One page of an area that is made without saying.")                                          \
    X("storage.allocator", KIND_CHOICE, struct config, storage.allocator, "blocks", 0, 0,          \
      CONFIG_CHOICES("blocks", "zsmalloc", "zbud"), RESTART,                                       \
      "The layout: best fit by bytes, size classes, or two objects a page.")                       \
    X("storage.watermark_high", KIND_COUNT, struct config, storage.watermark_high, "94", 10, 100,  \
      NULL, RELOAD,                                                                                \
      "Percent of memory_limit from which on room is made ahead of need: gaps are closed eagerly.")\
    X("storage.watermark_low", KIND_COUNT, struct config, storage.watermark_low, "90", 10, 100,    \
      NULL, RELOAD, "Percent of memory_limit at which that ends; at most watermark_high.")         \
    X("storage.watermark_accept", KIND_COUNT, struct config, storage.watermark_accept, "97", 10,   \
      100, NULL, RELOAD,                                                                           \
      "Once the limit was met, pages wait until no more than this percent is held; only where "    \
      "there is a storage.spill.")                                                                 \
    X("storage.pressure", KIND_CHOICE, struct config, storage.pressure, "off", 0, 0,               \
      CONFIG_CHOICES("off", "on"), RELOAD,                                                         \
      "On: while the host is short of memory the limit in force goes down, and comes back after.") \
    X("storage.pressure_stall", KIND_COUNT, struct config, storage.pressure_stall_percent, "10",   \
      1, 100, NULL, RELOAD,                                                                        \
      "Percent of time that some task waits for memory, from which on the host is short of it.")   \
    X("storage.pressure_floor", KIND_COUNT, struct config, storage.pressure_floor_percent, "50",   \
      10, 100, NULL, RELOAD, "Percent of memory_limit that pressure leaves at least.")             \
    X("storage.eviction", KIND_CHOICE, struct config, storage.eviction, "on", 0, 0,                \
      CONFIG_CHOICES("off", "on"), RELOAD,                                                         \
      "When memory is full items give way; off: nothing does, and what does not fit is refused.")  \
    X("storage.incompressible", KIND_CHOICE, struct config, storage.incompressible, "keep", 0, 0,  \
      CONFIG_CHOICES("keep", "refuse"), RELOAD,                                                    \
      "Pages that packing makes no smaller: kept as they are, or refused, for who has another "    \
      "place for them.")                                                                           \
    X("storage.compaction", KIND_CHOICE, struct config, storage.compaction, "auto", 0, 0,          \
      CONFIG_CHOICES("auto", "manual", "off"), RELOAD,                                             \
      "When gaps are closed: when it is worth it, when asked (compact), or never.")                \
    X("storage.compaction_duty", KIND_COUNT, struct config, storage.compaction_duty_percent, "20", \
      1, 100, NULL, RELOAD, "Percent of one processor that automatic compaction may take.")        \
    X("storage.huge_pages", KIND_CHOICE, struct config, storage.huge_pages, "off", 0, 0,           \
      CONFIG_CHOICES("off", "on"), RESTART,                                                        \
      "Pages of 2 MiB below the allocator: loads a little faster, memory given back late.")        \
    X("storage.lock_memory", KIND_CHOICE, struct config, storage.lock_memory, "off", 0, 0,         \
      CONFIG_CHOICES("off", "on"), RESTART,                                                        \
      "Keep the whole process out of swap; needs an unlimited RLIMIT_MEMLOCK.")                    \
    X("storage.spill_path", KIND_PATH, struct config, storage.spill_path, "", 0, 0, NULL, RESTART, \
      "Where cold pages go when memory is nearly full: a file to be made (and unlinked at once), " \
      "a directory, or a block device of its own; empty: nowhere.")                                \
    X("storage.spill_size", KIND_SIZE, struct config, storage.spill_size_bytes, "0B", 0,           \
      CONFIG_GIB(1024), NULL, RESTART,                                                             \
      "The most that it may take there; 0 is all of a block device.")                              \
    X("storage.spill_throttle", KIND_SIZE, struct config, storage.spill_throttle_bytes, "0B", 0,   \
      CONFIG_GIB(1024), NULL, RELOAD, "Bytes written there a second, at most; 0 means no bound.")  \
    X("storage.spill_items", KIND_CHOICE, struct config, storage.spill_items, "on", 0, 0,          \
      CONFIG_CHOICES("off", "on"), RELOAD,                                                         \
      "Items go there too, and who stores waits a moment for that; off: they give way as ever.")   \
    X("storage.spill_item_size", KIND_SIZE, struct config, storage.spill_item_bytes, "512B", 1,    \
      CONFIG_KIB(64), NULL, RELOAD,                                                                \
      "Items that are packed to less than this do not go there: their record would stay all the "  \
      "same.")                                                                                     \
    X("storage.scrub_interval", KIND_DURATION, struct config, storage.scrub_interval_ns, "24h", 0, \
      CONFIG_HOURS(366 * 24), NULL, RELOAD,                                                        \
      "All that is stored is compared with its checksums so often; 0 means when asked (scrub).")   \
    X("storage.scrub_duty", KIND_COUNT, struct config, storage.scrub_duty_percent, "5", 1, 100,    \
      NULL, RELOAD, "Percent of one processor that this may take.")                                \
    X("storage.state_dir", KIND_PATH, struct config, storage.state_dir, "", 0, 0, NULL, RESTART,   \
      "Where it is noted which exports were handed out, so that none is taken for another later.") \
    X("storage.overcommit", KIND_RATIO, struct config, storage.overcommit_percent, "1.0", 100,     \
      10000, NULL, RESTART,                                                                        \
      "How many times what storage.memory_limit can hold at worst all exports may be together.")   \
    X("storage.item_size_max", KIND_SIZE, struct config, storage.item_bytes_max, "1MiB",           \
      CONFIG_KIB(1), ITEM_BYTES_MAX, NULL, RELOAD,                                                 \
      "The largest value of a memcached item, before packing; packed it may take half of memory.") \
    X("compressor.algorithm", KIND_CHOICE, struct config, compressor.algorithm, "lz4", 0, 0,       \
      CONFIG_CHOICES("lz4", "lz4hc", "zstd", "none"), RELOAD,                                      \
      "lz4 is fast, zstd is small, lz4hc packs slowly and unpacks like lz4, none packs nothing.")  \
    X("compressor.level", KIND_INTEGER, struct config, compressor.level, "0", -50, 65537, NULL,    \
      RELOAD,                                                                                      \
      "0 means the algorithm's own. zstd: -50 to 19, higher is smaller. "                          \
      "lz4: 1 to 65537, higher is faster. lz4hc: 1 to 12. none: only 0.")                          \
    X("compressor.dictionaries", KIND_CHOICE, struct config, compressor.dictionaries, "off", 0, 0, \
      CONFIG_CHOICES("off", "auto"), RELOAD,                                                       \
      "auto: an area learns one from its pages by itself, kept where it saves more than 5 %.")     \
    X("compressor.from_clients", KIND_CHOICE, struct config, compressor.from_clients, "on", 0, 0,  \
      CONFIG_CHOICES("off", "on"), RELOAD,                                                         \
      "Clients may pack pages themselves and unpack what they load; off: all travels plain.")      \
    X("session.maps_max", KIND_COUNT, struct config, session.maps_max, "256", 0, 65536, NULL,      \
      RELOAD, "Maps of one connection at once; 0 means that nothing can be mapped.")               \
    X("session.mapped_max", KIND_SIZE, struct config, session.mapped_max_bytes, "16MiB",           \
      CONFIG_KIB(64), CONFIG_TIB(1), NULL, RELOAD,                                                 \
      "Bytes that one connection has mapped at once.")                                             \
    X("session.mapped_total_max", KIND_SIZE, struct config, session.mapped_total_max_bytes, "0B",  \
      0, CONFIG_TIB(64), NULL, RELOAD,                                                             \
      "Bytes mapped by all together, at most half of storage.memory_limit; 0 means a quarter.")    \
    X("session.map_lease", KIND_DURATION, struct config, session.map_lease_ns, "1m", 0,            \
      CONFIG_HOURS(7 * 24), NULL, RELOAD,                                                          \
      "A map that is not used for so long ends; clients may ask for less. 0 means never.")         \
    X("recompress.draining", KIND_CHOICE, struct config, recompress.draining, "auto", 0, 0,        \
      CONFIG_CHOICES("auto", "manual"), RELOAD,                                                    \
      "When what an earlier compressor packed is packed with the present one: soon after the "     \
      "change, or when asked (recompress start).")                                                 \
    X("recompress.algorithm", KIND_CHOICE, struct config, recompress.algorithm, "off", 0, 0,       \
      CONFIG_CHOICES("off", "lz4hc", "zstd"), RELOAD,                                              \
      "A stronger compressor for what nobody reads; kept only where it takes less memory.")        \
    X("recompress.level", KIND_INTEGER, struct config, recompress.level, "0", -50, 65537, NULL,    \
      RELOAD, "Its level, as compressor.level.")                                                   \
    X("recompress.idle", KIND_DURATION, struct config, recompress.idle_ns, "1m", CONFIG_MS(1000),  \
      CONFIG_HOURS(7 * 24), NULL, RELOAD,                                                          \
      "What was not read for so long is cold; a page at the latest after twice as long.")          \
    X("recompress.duty", KIND_COUNT, struct config, recompress.duty_percent, "20", 1, 100, NULL,   \
      RELOAD, "Percent of one processor that recompression may take.")                             \
    CONFIG_KEYS_OF_AREAS(X)                                                                        \
    X("log.level", KIND_CHOICE, struct config, log.level, "info", 0, 0,                            \
      CONFIG_CHOICES("error", "warn", "info", "debug"), RELOAD,                                    \
      "The least urgent events that are written.")                                                 \
    X("log.format", KIND_CHOICE, struct config, log.format, "text", 0, 0,                          \
      CONFIG_CHOICES("text", "logfmt", "json"), RELOAD, "How a line looks.")                       \
    X("log.slow_requests", KIND_DURATION, struct config, log.slow_requests_ns, "100ms", 0,         \
      CONFIG_HOURS(1), NULL, RELOAD,                                                               \
      "A request that the server worked on for so long is written, with its parts; 0: none is.")

#endif
