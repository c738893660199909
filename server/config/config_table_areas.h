/* SPDX-License-Identifier: BSD-3-Clause
 * config_table_areas - the rows of config_table.h for areas and for what shows them to others. */
#ifndef FARPAGE_SERVER_CONFIG_TABLE_AREAS_H
#define FARPAGE_SERVER_CONFIG_TABLE_AREAS_H

#define CONFIG_KEYS_OF_AREAS(X)                                                                    \
    X("areas[].name", KIND_NAME, struct config_area, name, NULL, 1, 0, NULL, NEEDED,               \
      "What clients call it.")                                                                     \
    X("areas[].size", KIND_SIZE, struct config_area, size_bytes, NULL, PAGE_BYTES_MIN,             \
      (int64_t)(AREA_SLOTS_MAX * PAGE_BYTES_MAX), NULL, NEEDED,                                    \
      "Its pages, uncompressed: a multiple of its page_size.")                                     \
    X("areas[].page_size", KIND_SIZE, struct config_area, page_bytes, "0B", 0, 0,                  \
      CONFIG_CHOICES("0B", "4KiB", "16KiB", "64KiB"), RESTART,                                     \
      "One of its pages; 0 means storage.page_size.")                                              \
    X("areas[].quota_pages", KIND_COUNT, struct config_area, quota_pages, "0", 0,                  \
      UINT32_MAX, NULL, RESTART,                                                                   \
      "Pages that may be stored in it at once; 0 means as many as it has.")                        \
    X("areas[].quota_bytes", KIND_SIZE, struct config_area, quota_bytes, "0B", 0,                  \
      (int64_t)(AREA_SLOTS_MAX * PAGE_BYTES_MAX), NULL, RESTART,                                   \
      "What its pages may take, packed; 0 means whatever storage.memory_limit leaves.")            \
    X("areas[].compressor", KIND_CHOICE, struct config_area, compressor, "default", 0, 0,          \
      CONFIG_CHOICES("default", "none"), RESTART,                                                  \
      "none: each page is kept as it is, so that no time taken tells what is in it (SECURITY.md).")\
    X("areas[].tenant", KIND_NAME, struct config_area, tenant, "", 0, 0, NULL, RESTART,            \
      "Whose it is, whoever stores in it; empty: default.")                                        \
    X("exports[].name", KIND_PATTERN, struct config_export, name, NULL, 1, 0, NULL, NEEDED,        \
      "What clients ask for. swap/* makes one for each name a client puts in the star's place.")   \
    X("exports[].size", KIND_SIZE, struct config_export, size_bytes, NULL, PAGE_BYTES_MIN,         \
      (int64_t)(AREA_SLOTS_MAX * PAGE_BYTES_MAX), NULL, NEEDED,                                    \
      "The size of the device: a multiple of its page_size.")                                      \
    X("exports[].area", KIND_NAME, struct config_export, area, "", 0, 0, NULL, RESTART,            \
      "The area that it shows; empty: one that is called as the export is.")                       \
    X("exports[].page_size", KIND_SIZE, struct config_export, page_bytes, "0B", 0, 0,              \
      CONFIG_CHOICES("0B", "4KiB", "16KiB", "64KiB"), RESTART,                                     \
      "The preferred block, which is packed as one; 0 means storage.page_size.")                   \
    X("exports[].read_only", KIND_CHOICE, struct config_export, read_only, "off", 0, 0,            \
      CONFIG_CHOICES("off", "on"), RESTART, "Whether writing is refused.")                         \
    X("exports[].description", KIND_TEXT, struct config_export, description, "", 0,                \
      CONFIG_DESCRIPTION_BYTES, NULL, RESTART, "For people who list the exports.")                 \
    X("exports[].lifetime", KIND_CHOICE, struct config_export, lifetime, "permanent", 0, 0,        \
      CONFIG_CHOICES("permanent", "connection"), RESTART,                                          \
      "connection, of a template: made when its first client comes, gone after its last.")         \
    X("exports[].grace", KIND_DURATION, struct config_export, grace_ns, "1m", 0,                   \
      CONFIG_HOURS(7 * 24), NULL, RESTART,                                                         \
      "How long a template's export waits for a client to come back before it is gone.")           \
    X("exports[].recreate", KIND_CHOICE, struct config_export, recreate, "asked", 0, 0,            \
      CONFIG_CHOICES("asked", "always"), RESTART,                                                  \
      "After a restart: refused until farpage export recreate (needs storage.state_dir), or "      \
      "handed out again, empty, as if it were the same disk.")                                     \
    X("exports[].instances_max", KIND_COUNT, struct config_export, instances_max, "8", 1, 512,     \
      NULL, RESTART, "So many exports of a template exist at once.")                               \
    X("exports[].tenant", KIND_NAME, struct config_export, tenant, "", 0, 0, NULL, RESTART,        \
      "Whose the areas are that it makes; empty: default.")                                        \
    X("tenants[].name", KIND_NAME, struct config_tenant, name, NULL, 1, 0, NULL, NEEDED_RELOAD,    \
      "What it is called; default is whoever belongs to no other.")                                \
    X("tenants[].members", KIND_TEXT, struct config_tenant, members, "", 0, CONFIG_MEMBERS_BYTES,  \
      NULL, RELOAD,                                                                                \
      "Who belongs to it, blank separated: user:NAME who authenticated, uid:NUMBER at a unix "     \
      "socket, cert:NAME in the client's certificate.")                                            \
    X("tenants[].quota_bytes", KIND_SIZE, struct config_tenant, quota_bytes, "0B", 0,              \
      CONFIG_TIB(64), NULL, RELOAD,                                                                \
      "What its items and pages may take, packed; its own items give way. 0 means no limit.")      \
    X("tenants[].quota_pages", KIND_COUNT, struct config_tenant, quota_pages, "0", 0, UINT32_MAX,  \
      NULL, RELOAD, "Pages that its areas may hold together; 0 means no limit.")                   \
    X("tenants[].guaranteed", KIND_SIZE, struct config_tenant, guaranteed_bytes, "0B", 0,          \
      CONFIG_TIB(64), NULL, RELOAD,                                                                \
      "What it can count on, packed, whatever others store; beyond it is borrowed.")

#endif
