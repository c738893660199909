/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Exports that do not go together with each other, with the areas they show, or with themselves. */
#include <inttypes.h>
#include <string.h>

#include "base/arith.h"
#include "base/number.h"
#include "server/config/config_build.h"

enum {
    WORST_PART = 128, /* what tells pages apart takes so small a part of them, at most */
    DEVICES_BYTES = 2 << 20, /* of the connections that are let in also when memory is full */
};

/* In the order of config_table.h. */
enum export_row { ROW_NAME, ROW_SIZE, ROW_AREA, ROW_PAGE_SIZE, ROW_READ_ONLY, ROW_DESCRIPTION,
                  ROW_LIFETIME, ROW_GRACE, ROW_RECREATE, ROW_INSTANCES_MAX, ROW_TENANT };

static bool is_bad(const struct config_export *export, enum export_row row)
{
    return export->item.origins[row].bad;
}

static void complain(struct config_build *build, uint32_t i, enum export_row row, const char *key,
                     const char *why)
{
    struct config_place place = config_place_in_item(build, &build->config->exports[i].item, row);
    config_error_add(build->errors, place, "exports[%" PRIu32 "].%s: %s", i, key, why);
}

static void check_size(struct config_build *build, uint32_t i)
{
    const struct config_export *export = &build->config->exports[i];
    uint64_t page_bytes = config_export_page_bytes(build->config, export);
    char size[NUMBER_TEXT_BYTES], page[NUMBER_TEXT_BYTES], why[160];
    if (is_bad(export, ROW_SIZE) || is_bad(export, ROW_PAGE_SIZE)) return;
    number_size_text(export->size_bytes, size);
    number_size_text(page_bytes, page);
    if (export->size_bytes % page_bytes != 0) {
        snprintf(why, sizeof why, "%s is not a multiple of its pages (%s)", size, page);
        complain(build, i, ROW_SIZE, "size", why);
    } else if (export->size_bytes / page_bytes > AREA_SLOTS_MAX) {
        snprintf(why, sizeof why, "%s is more than %" PRIu64 " pages of %s", size,
                 (uint64_t)AREA_SLOTS_MAX, page);
        complain(build, i, ROW_SIZE, "size", why);
    }
}

static void check_name(struct config_build *build, uint32_t i)
{
    const struct config_export *exports = build->config->exports;
    char why[160];
    for (uint32_t k = 0; k < i; k++) {
        if (is_bad(&exports[i], ROW_NAME) || is_bad(&exports[k], ROW_NAME)) continue;
        if (strcmp(exports[i].name, exports[k].name) != 0) continue;
        snprintf(why, sizeof why, "\"%s\" is exports[%" PRIu32 "]'s already", exports[i].name, k);
        complain(build, i, ROW_NAME, "name", why);
        return;
    }
}

static void check_template(struct config_build *build, uint32_t i)
{
    const struct config_export *export = &build->config->exports[i];
    if (is_bad(export, ROW_NAME) || is_bad(export, ROW_LIFETIME)) return;
    bool template = config_export_is_template(export);
    if (template && export->lifetime != CONFIG_CONNECTION)
        complain(build, i, ROW_LIFETIME, "lifetime", "a template's must be 'connection'");
    if (!template && export->lifetime == CONFIG_CONNECTION)
        complain(build, i, ROW_LIFETIME, "lifetime",
                 "'connection' is for templates, whose name ends in \"/*\"");
    if (template && export->area[0] != '\0')
        complain(build, i, ROW_AREA, "area", "a template's exports have areas of their own");
}

static void check_same_shape(struct config_build *build, uint32_t i, const char *other,
                             uint64_t size_bytes, uint64_t page_bytes)
{
    const struct config *config = build->config;
    const struct config_export *export = &config->exports[i];
    char why[200];
    if (export->size_bytes == size_bytes && config_export_page_bytes(config, export) == page_bytes)
        return;
    snprintf(why, sizeof why, "area \"%s\" is %s's, which has another size or page_size",
             config_export_area(export), other);
    complain(build, i, ROW_SIZE, "size", why);
}

/* Whoever shows an area says the same of it. */
static void check_area(struct config_build *build, uint32_t i)
{
    const struct config *config = build->config;
    const struct config_export *export = &config->exports[i];
    char other[32];
    if (config_export_is_template(export)) return;
    for (uint32_t k = 0; k < config->areas_count; k++) {
        const struct config_area *area = &config->areas[k];
        if (strcmp(area->name, config_export_area(export)) != 0) continue;
        snprintf(other, sizeof other, "areas[%" PRIu32 "]", k);
        check_same_shape(build, i, other, area->size_bytes, config_area_page_bytes(config, area));
    }
    for (uint32_t k = 0; k < i; k++) {
        const struct config_export *earlier = &config->exports[k];
        if (config_export_is_template(earlier)) continue;
        if (strcmp(config_export_area(earlier), config_export_area(export)) != 0) continue;
        snprintf(other, sizeof other, "exports[%" PRIu32 "]", k);
        check_same_shape(build, i, other, earlier->size_bytes,
                         config_export_page_bytes(config, earlier));
    }
}

static void check_tenant(struct config_build *build, uint32_t i)
{
    const struct config_export *export = &build->config->exports[i];
    char why[160];
    if (config_knows_tenant(build->config, export->tenant)) return;
    snprintf(why, sizeof why, "there is no tenant \"%s\"", export->tenant);
    complain(build, i, ROW_TENANT, "tenant", why);
}

static void check_listeners(struct config_build *build)
{
    const struct config *config = build->config;
    for (uint32_t i = 0; i < config->listeners_count; i++) {
        const struct config_listener *listener = &config->listeners[i];
        if (listener->protocol != CONFIG_NBD) continue;
        if (config->exports_count > 0) continue;
        config_error_add(build->errors, config_place_in_item(build, &listener->item, 1),
                         "listeners[%" PRIu32 "].protocol: nbd, and no exports are configured", i);
    }
}

/* Who noted nothing before the restart cannot tell afterwards. */
static void check_recreate(struct config_build *build, uint32_t i)
{
    const struct config *config = build->config;
    const struct config_export *export = &config->exports[i];
    if (is_bad(export, ROW_RECREATE) || config_origin_of(config, "storage.state_dir")->bad) return;
    if (export->recreate == CONFIG_RECREATE_ALWAYS || config->storage.state_dir[0] != '\0') return;
    complain(build, i, ROW_RECREATE, "recreate",
             "'asked' needs storage.state_dir, where it is noted what was handed out; "
             "'always' does without, and a client that comes back after a restart finds zeros");
}

bool config_serves_devices(const struct config *config)
{
    for (uint32_t i = 0; i < config->listeners_count; i++)
        if (config->listeners[i].protocol == CONFIG_NBD) return true;
    return false;
}

/* --- whether they fit ------------------------------------------------------------------------- */

uint64_t config_exports_worst_bytes(const struct config *config)
{
    uint64_t sum = 0;
    for (uint32_t i = 0; i < config->exports_count; i++) {
        const struct config_export *export = &config->exports[i];
        uint64_t count = config_export_is_template(export) ? export->instances_max : 1, all;
        if (!mul_u64(export->size_bytes, count, &all) || !add_u64(sum, all, &sum))
            return UINT64_MAX;
    }
    return add_u64(sum, sum / WORST_PART, &sum) ? sum : UINT64_MAX;
}

uint64_t config_exports_room_bytes(const struct config *config)
{
    uint64_t threads = config->server.threads != 0 ? config->server.threads : 1;
    uint64_t fixed = CONFIG_START_BYTES + DEVICES_BYTES + threads * CONFIG_THREAD_BYTES;
    uint64_t limit = config->storage.memory_limit_bytes;
    uint64_t below = config->storage.spill_size_bytes; /* of a whole device it is not known here */
    return limit > fixed ? limit - fixed + below : 1;
}

/* In hundredths, rounded up. */
static uint64_t overcommit_of(const struct config *config)
{
    uint64_t worst = config_exports_worst_bytes(config), room = config_exports_room_bytes(config);
    return worst / (room / 100 + 1) + 1;
}

static void check_sizes(struct config_build *build)
{
    const struct config *config = build->config;
    const struct config_origin *limit = config_origin_of(config, "storage.memory_limit");
    const struct config_origin *factor = config_origin_of(config, "storage.overcommit");
    char worst[NUMBER_TEXT_BYTES], room[NUMBER_TEXT_BYTES];
    if (limit->bad || factor->bad || config->exports_count == 0) return;
    for (uint32_t i = 0; i < config->exports_count; i++)
        if (is_bad(&config->exports[i], ROW_SIZE) || is_bad(&config->exports[i], ROW_NAME)) return;
    uint64_t needed = overcommit_of(config);
    if (config_exports_worst_bytes(config) <= config_exports_room_bytes(config)) return;
    if (needed <= config->storage.overcommit_percent) return;
    number_size_short(config_exports_worst_bytes(config), worst);
    number_size_short(config_exports_room_bytes(config), room);
    uint32_t last = config->exports_count - 1;
    config_error_add(build->errors,
                     config_place_in_item(build, &config->exports[last].item, ROW_SIZE),
                     "exports: all together they take %s where nothing packs, and "
                     "storage.memory_limit leaves %s; lower a size, raise the limit, or say "
                     "storage.overcommit: %" PRIu64 ".%02" PRIu64,
                     worst, room, needed / 100, needed % 100);
}

void config_check_exports(struct config_build *build)
{
    check_listeners(build);
    check_sizes(build);
    for (uint32_t i = 0; i < build->config->exports_count; i++) {
        check_size(build, i);
        check_name(build, i);
        check_template(build, i);
        check_area(build, i);
        check_recreate(build, i);
        check_tenant(build, i);
    }
}
