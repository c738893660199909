/* SPDX-License-Identifier: BSD-3-Clause */
#include <inttypes.h>
#include <string.h>

#include "base/check.h"
#include "base/number.h"
#include "server/config/config_build.h"
#include "codec/compressor_text.h"

const struct config_origin *config_origin_of(const struct config *config, const char *path)
{
    const struct config_key *key = config_key_find(slice_text(path));
    fp_assert(key != NULL);
    return &config->origins[config_key_row(key)];
}

struct config_place config_place_of(const struct config_build *build,
                                    const struct config_origin *origin)
{
    /* The defaults agree with each other, and what a running server has does so too. */
    if (build->running) return (struct config_place){.source = &build->sets};
    fp_assert(origin->from != CONFIG_FROM_DEFAULT);
    const struct config_source *source =
        origin->from == CONFIG_FROM_FILE ? &build->file : &build->sets;
    return (struct config_place){source, origin->line, origin->column, origin->width};
}

/* Of two values that do not agree, the one to point at: the first, unless nobody gave it. */
static struct config_place place_of_either(const struct config_build *build,
                                           const struct config_origin *first,
                                           const struct config_origin *second)
{
    return config_place_of(build, first->from != CONFIG_FROM_DEFAULT ? first : second);
}

/* A size that must not be more than half of the memory limit, by the path of its key. */
static void check_half(struct config_build *build, const char *path, uint64_t bytes)
{
    const struct config *config = build->config;
    const struct config_origin *size = config_origin_of(config, path);
    const struct config_origin *limit = config_origin_of(config, "storage.memory_limit");
    if (size->bad || limit->bad) return;
    if (bytes <= config->storage.memory_limit_bytes / 2) return;
    char size_text[NUMBER_TEXT_BYTES];
    char limit_text[NUMBER_TEXT_BYTES];
    number_size_text(bytes, size_text);
    number_size_text(config->storage.memory_limit_bytes, limit_text);
    config_error_add(build->errors, place_of_either(build, size, limit),
                     "%s: %s is more than half of storage.memory_limit (%s)", path, size_text,
                     limit_text);
}

/* What the server needs before it keeps a byte; it measures itself again at the start. */
static void check_memory(struct config_build *build)
{
    const struct config *config = build->config;
    const struct config_origin *limit = config_origin_of(config, "storage.memory_limit");
    const struct config_origin *threads = config_origin_of(config, "server.threads");
    if (limit->bad || threads->bad || config->server.threads == 0) return;
    uint64_t needed = CONFIG_START_BYTES + (uint64_t)config->server.threads * CONFIG_THREAD_BYTES;
    if (config->storage.memory_limit_bytes >= needed) return;
    char needed_text[NUMBER_TEXT_BYTES];
    number_size_text(needed, needed_text);
    config_error_add(build->errors, place_of_either(build, limit, threads),
                     "storage.memory_limit: %" PRIu32 " threads need %s to start with",
                     config->server.threads, needed_text);
}

static void check_watermarks(struct config_build *build)
{
    const struct config *config = build->config;
    const struct config_origin *low = config_origin_of(config, "storage.watermark_low");
    const struct config_origin *high = config_origin_of(config, "storage.watermark_high");
    if (low->bad || high->bad) return;
    if (config->storage.watermark_low <= config->storage.watermark_high) return;
    config_error_add(build->errors, place_of_either(build, low, high),
                     "storage.watermark_low: %" PRIu32 " is more than storage.watermark_high (%"
                     PRIu32 ")",
                     config->storage.watermark_low, config->storage.watermark_high);
}

/* Nobody would bring it down to there. */
static void check_accept(struct config_build *build)
{
    const struct config *config = build->config;
    const struct config_origin *low = config_origin_of(config, "storage.watermark_low");
    const struct config_origin *accept = config_origin_of(config, "storage.watermark_accept");
    if (low->bad || accept->bad) return;
    if (config->storage.watermark_low <= config->storage.watermark_accept) return;
    config_error_add(build->errors, place_of_either(build, accept, low),
                     "storage.watermark_accept: %" PRIu32 " is less than storage.watermark_low (%"
                     PRIu32 ")",
                     config->storage.watermark_accept, config->storage.watermark_low);
}

static void check_spill(struct config_build *build)
{
    const struct config *config = build->config;
    const struct config_origin *path = config_origin_of(config, "storage.spill_path");
    const struct config_origin *size = config_origin_of(config, "storage.spill_size");
    char least[NUMBER_TEXT_BYTES];
    if (path->bad || size->bad || config->storage.spill_size_bytes == 0) return;
    number_size_text(CONFIG_SPILL_BYTES_MIN, least);
    if (config->storage.spill_path[0] == '\0')
        config_error_add(build->errors, place_of_either(build, size, path),
                         "storage.spill_size: nothing is spilled without storage.spill_path");
    else if (config->storage.spill_size_bytes < CONFIG_SPILL_BYTES_MIN)
        config_error_add(build->errors, place_of_either(build, size, path),
                         "storage.spill_size: it is %s at least", least);
}

/* A level, by the path of its key, and the name of the algorithm it must be one of. */
static void check_level(struct config_build *build, const char *path, int32_t level,
                        const struct config_origin *algorithm, const char *name)
{
    const struct config_origin *origin = config_origin_of(build->config, path);
    char wrong[COMPRESSOR_WRONG_BYTES];
    if (origin->bad || algorithm->bad) return;
    if (compressor_check(name, level, wrong) == FP_OK) return;
    config_error_add(build->errors, place_of_either(build, origin, algorithm), "%s: %s", path,
                     wrong);
}

static void check_levels(struct config_build *build)
{
    const struct config *config = build->config;
    check_level(build, "compressor.level", config->compressor.level,
                config_origin_of(config, "compressor.algorithm"),
                config_algorithm_name(config->compressor.algorithm));
    if (config->recompress.algorithm != CONFIG_STRONGER_OFF)
        check_level(build, "recompress.level", config->recompress.level,
                    config_origin_of(config, "recompress.algorithm"),
                    config_stronger_name(config->recompress.algorithm));
}

/* An item's key, or the item where the key is a default. */
struct config_place config_place_in_item(const struct config_build *build,
                                         const struct config_item *item, size_t key)
{
    return place_of_either(build, &item->origins[key], &item->origin);
}

static bool same_address(const struct config_address *a, const struct config_address *b)
{
    bool free_port = a->path[0] == '\0' && a->port == 0; /* each gets one of its own */
    return a->kind == b->kind && a->port == b->port && !free_port &&
           strcmp(a->host, b->host) == 0 && strcmp(a->path, b->path) == 0;
}

static void check_listeners(struct config_build *build)
{
    const struct config *config = build->config;
    for (uint32_t i = 0; i < config->listeners_count; i++) {
        const struct config_listener *later = &config->listeners[i];
        for (uint32_t k = 0; k < i; k++) {
            const struct config_listener *earlier = &config->listeners[k];
            if (later->item.origins[0].bad || earlier->item.origins[0].bad) continue;
            if (!same_address(&earlier->address, &later->address)) continue;
            char text[CONFIG_ADDRESS_TEXT_BYTES];
            config_address_text(&later->address, text);
            config_error_add(build->errors, config_place_in_item(build, &later->item, 0),
                             "listeners[%" PRIu32 "].address: \"%s\" is listeners[%" PRIu32
                             "]'s already",
                             i, text, k);
            break;
        }
    }
}

/* In the order of config_table.h. */
enum area_row { AREA_ROW_NAME, AREA_ROW_SIZE, AREA_ROW_PAGE_SIZE, AREA_ROW_QUOTA_PAGES,
                AREA_ROW_QUOTA_BYTES, AREA_ROW_COMPRESSOR, AREA_ROW_TENANT };

static void check_area_size(struct config_build *build, uint32_t i)
{
    const struct config *config = build->config;
    const struct config_area *area = &config->areas[i];
    uint64_t page_bytes = config_area_page_bytes(config, area);
    bool own = area->page_bytes != 0;
    char size[NUMBER_TEXT_BYTES];
    char page[NUMBER_TEXT_BYTES];
    number_size_text(area->size_bytes, size);
    number_size_text(page_bytes, page);
    struct config_place place = config_place_in_item(build, &area->item, AREA_ROW_SIZE);
    if (area->size_bytes % page_bytes != 0)
        config_error_add(build->errors, place,
                         "areas[%" PRIu32 "].size: %s is not a multiple of %s (%s)", i, size,
                         own ? "its page_size" : "storage.page_size", page);
    else if (area->size_bytes / page_bytes > AREA_SLOTS_MAX)
        config_error_add(build->errors, place,
                         "areas[%" PRIu32 "].size: %s is more than %" PRIu64 " pages of %s", i,
                         size, (uint64_t)AREA_SLOTS_MAX, page);
}

/* A quota that can never be reached is a slip. */
static void check_area_quotas(struct config_build *build, uint32_t i)
{
    const struct config *config = build->config;
    const struct config_area *area = &config->areas[i];
    uint64_t pages = area->size_bytes / config_area_page_bytes(config, area);
    const bool bad_pages = area->item.origins[AREA_ROW_QUOTA_PAGES].bad;
    const bool bad_bytes = area->item.origins[AREA_ROW_QUOTA_BYTES].bad;
    if (!bad_pages && area->quota_pages > pages)
        config_error_add(build->errors,
                         config_place_in_item(build, &area->item, AREA_ROW_QUOTA_PAGES),
                         "areas[%" PRIu32 "].quota_pages: %" PRIu32 " is more than the %" PRIu64
                         " pages it has",
                         i, area->quota_pages, pages);
    if (bad_bytes || area->quota_bytes <= area->size_bytes) return;
    char size[NUMBER_TEXT_BYTES];
    char quota[NUMBER_TEXT_BYTES];
    number_size_text(area->size_bytes, size);
    number_size_text(area->quota_bytes, quota);
    config_error_add(build->errors, config_place_in_item(build, &area->item, AREA_ROW_QUOTA_BYTES),
                     "areas[%" PRIu32 "].quota_bytes: %s is more than its size (%s)", i, quota,
                     size);
}

static void check_area(struct config_build *build, uint32_t i)
{
    const struct config_item *item = &build->config->areas[i].item;
    bool page_size_bad = item->origins[AREA_ROW_PAGE_SIZE].bad ||
                         config_origin_of(build->config, "storage.page_size")->bad;
    if (page_size_bad || item->origins[AREA_ROW_SIZE].bad) return;
    check_area_size(build, i);
    check_area_quotas(build, i);
}

static void check_area_tenant(struct config_build *build, uint32_t i)
{
    const struct config_area *area = &build->config->areas[i];
    if (config_knows_tenant(build->config, area->tenant)) return;
    config_error_add(build->errors, config_place_in_item(build, &area->item, AREA_ROW_TENANT),
                     "areas[%" PRIu32 "].tenant: there is no tenant \"%s\"", i, area->tenant);
}

static void check_area_name(struct config_build *build, uint32_t i)
{
    const struct config_area *areas = build->config->areas;
    for (uint32_t k = 0; k < i; k++) {
        if (areas[i].item.origins[AREA_ROW_NAME].bad) continue;
        if (areas[k].item.origins[AREA_ROW_NAME].bad) continue;
        if (strcmp(areas[i].name, areas[k].name) != 0) continue;
        config_error_add(build->errors, config_place_in_item(build, &areas[i].item, AREA_ROW_NAME),
                         "areas[%" PRIu32 "].name: \"%s\" is areas[%" PRIu32 "]'s already", i,
                         areas[i].name, k);
        return;
    }
}

void config_check(struct config_build *build)
{
    check_half(build, "session.mapped_total_max", build->config->session.mapped_total_max_bytes);
    check_memory(build);
    check_watermarks(build);
    check_accept(build);
    check_spill(build);
    check_levels(build);
    check_listeners(build);
    config_check_doors(build);
    for (uint32_t i = 0; i < build->config->areas_count; i++) {
        check_area_name(build, i);
        check_area_tenant(build, i);
        check_area(build, i);
    }
    config_check_exports(build);
    config_check_tenants(build);
}
