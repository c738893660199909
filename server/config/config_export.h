/* SPDX-License-Identifier: BSD-3-Clause
 * config_export - an area as a block device, as the operator asked for it. Pure; any thread. */
#ifndef FARPAGE_SERVER_CONFIG_EXPORT_H
#define FARPAGE_SERVER_CONFIG_EXPORT_H
#include "base/attrs.h"
#include "protocol/limits.h"
#include "server/config/config_item.h"

enum { CONFIG_EXPORTS_MAX = 64, CONFIG_DESCRIPTION_BYTES = 96 };

/* In the order of the choices in config_table.h. */
enum config_lifetime { CONFIG_PERMANENT, CONFIG_CONNECTION };
enum config_recreate { CONFIG_RECREATE_ASKED, CONFIG_RECREATE_ALWAYS };

struct config_export { /* an area as a block device */
    struct config_item item;
    char name[AREA_NAME_BYTES_MAX + 1]; /* or a template, "swap/" and a star */
    char area[AREA_NAME_BYTES_MAX + 1]; /* "": as the export is called */
    uint64_t size_bytes;                /* as an area's */
    uint64_t page_bytes;                /* 0: storage.page_bytes */
    enum config_switch read_only;
    char description[CONFIG_DESCRIPTION_BYTES + 1]; /* may be "" */
    enum config_lifetime lifetime; /* CONFIG_CONNECTION of templates, and of no others */
    uint64_t grace_ns;             /* of a template's: from its last client on */
    enum config_recreate recreate; /* what a restart means to clients that come back */
    uint32_t instances_max;        /* of a template: so many exist at once */
    char tenant[AREA_NAME_BYTES_MAX + 1]; /* whose areas it makes; as an area's */
};

/* Its name ends in a star, which stands for what a client puts there. */
bool config_export_is_template(const struct config_export *export) FP_NONNULL(1);
/* The area of an export that is no template. */
static inline const char *config_export_area(const struct config_export *export)
{
    return export->area[0] != '\0' ? export->area : export->name;
}

struct config;
/* Whether a listener lets block devices in. */
bool config_serves_devices(const struct config *config) FP_NONNULL(1);
/* What all exports together take where nothing packs, and what storage.memory_limit leaves for
 * them. More of the first than of the second is overcommitted. */
uint64_t config_exports_worst_bytes(const struct config *config) FP_NONNULL(1);
uint64_t config_exports_room_bytes(const struct config *config) FP_NONNULL(1);

#endif
