/* SPDX-License-Identifier: BSD-3-Clause
 *
 * A row for each area, and for each block device. Clients make areas: so their rows are limited. */
#include <stdio.h>

#include "server/metrics/metrics_group.h"
#include "storage/area/area_stand.h"
#include "storage/store/page/store_area.h"

/* --- areas ------------------------------------------------------------------------------------ */

struct area_item {
    struct metric_labels labels;
    uint64_t slots, page_bytes, quota_pages, quota_bytes, serves;
    uint64_t stored, same_filled, incompressible, packed_bytes;
    uint64_t stores, loads, absent, corrupt, invalidations, refused, over_quota;
};

#define AREA_METRICS(X)                                                                            \
    X("farpage_area_serves", GAUGE, PLAIN, "1: it serves; 0: it is being drained, or moved.",      \
      serves)                                                                                      \
    X("farpage_area_slots", GAUGE, PLAIN, "Slots it has.", slots)                                  \
    X("farpage_area_page_bytes", GAUGE, PLAIN, "Size of one of its pages.", page_bytes)            \
    X("farpage_area_quota_pages", GAUGE, PLAIN, "Pages it may hold; 0: no limit.", quota_pages)    \
    X("farpage_area_quota_bytes", GAUGE, PLAIN, "Packed bytes it may hold; 0: no limit.",          \
      quota_bytes)                                                                                 \
    X("farpage_area_pages", GAUGE, PLAIN, "Pages it holds.", stored)                               \
    X("farpage_area_pages_same_filled", GAUGE, PLAIN, "Of those, one repeated word.",              \
      same_filled)                                                                                 \
    X("farpage_area_pages_incompressible", GAUGE, PLAIN, "Of those, kept as they are.",            \
      incompressible)                                                                              \
    X("farpage_area_packed_bytes", GAUGE, PLAIN, "The objects that hold them.", packed_bytes)      \
    X("farpage_area_stores_total", COUNTER, PLAIN, "Pages stored.", stores)                        \
    X("farpage_area_loads_total", COUNTER, PLAIN, "Pages loaded.", loads)                          \
    X("farpage_area_absent_total", COUNTER, PLAIN, "Loads that found nothing.", absent)            \
    X("farpage_area_invalidations_total", COUNTER, PLAIN, "Pages forgotten.", invalidations)       \
    X("farpage_area_refused_total", COUNTER, PLAIN, "Stores refused for want of memory.", refused) \
    X("farpage_area_over_quota_total", COUNTER, PLAIN, "Stores refused because of a quota.",       \
      over_quota)                                                                                  \
    X("farpage_area_corrupt_total", COUNTER, PLAIN, "Pages that did not match their checksum.",    \
      corrupt)

static const struct metric area_rows[] = {
#define X(name, kind, unit, help, member) METRIC_ROW(area_item, name, kind, unit, help, member)
    AREA_METRICS(X)
#undef X
};

static void fill_area(const struct area *area, struct area_item *item)
{
    const struct area_counters *counters = &area->counters;
    snprintf(item->labels.texts[0], METRIC_LABEL_BYTES, "%s", area->name);
    item->slots = area->slot_count;
    item->page_bytes = area->page_bytes;
    item->quota_pages = area->quota_pages;
    item->quota_bytes = area->quota_bytes;
    item->serves = area_stand(area) == AREA_SERVES;
    item->stored = atomic_load(&counters->stored);
    item->same_filled = atomic_load(&counters->same_filled);
    item->incompressible = atomic_load(&counters->incompressible);
    item->packed_bytes = atomic_load(&counters->packed_bytes);
    item->stores = atomic_load(&counters->stores);
    item->loads = atomic_load(&counters->loads);
    item->absent = atomic_load(&counters->absent);
    item->corrupt = atomic_load(&counters->corrupt);
    item->invalidations = atomic_load(&counters->invalidations);
    item->refused = atomic_load(&counters->refused);
    item->over_quota = atomic_load(&counters->over_quota);
}

static size_t fill_areas(struct shared *shared, void *items)
{
    struct area_item *item = items;
    struct area *area = NULL;
    size_t count = 0;
    while ((area = store_area_next(shared->store, area)) != NULL)
        if (count < METRICS_AREAS_MAX) fill_area(area, &item[count++]);
    return count;
}

const struct metric_group metrics_of_areas = {
    .metrics = area_rows, .metric_count = FP_COUNT_OF(area_rows), .labels = {"area"},
    .item_bytes = sizeof(struct area_item), .items_max = METRICS_AREAS_MAX, .fill = fill_areas};

/* --- exports ---------------------------------------------------------------------------------- */

struct export_item {
    struct metric_labels labels;
    uint64_t connections, size_bytes, lost;
    uint64_t counters[EXPORT_COUNTERS_COUNT];
};

#define EXPORT_METRICS(X)                                                                          \
    X("farpage_export_connections", GAUGE, PLAIN, "Connections that have it open.", connections)   \
    X("farpage_export_size_bytes", GAUGE, PLAIN, "Its size.", size_bytes)                          \
    X("farpage_export_lost", GAUGE, PLAIN, "1: by its plain name it is refused.", lost)            \
    X("farpage_export_reads_total", COUNTER, PLAIN, "Reads answered.", counters[EXPORT_reads])     \
    X("farpage_export_read_bytes_total", COUNTER, PLAIN, "Bytes of them.",                         \
      counters[EXPORT_read_bytes])                                                                 \
    X("farpage_export_writes_total", COUNTER, PLAIN, "Writes answered, refused ones included.",    \
      counters[EXPORT_writes])                                                                     \
    X("farpage_export_write_bytes_total", COUNTER, PLAIN, "Bytes of those that were kept.",        \
      counters[EXPORT_write_bytes])                                                                \
    X("farpage_export_trims_total", COUNTER, PLAIN, "Trims and write-zeroes answered.",            \
      counters[EXPORT_trims])                                                                      \
    X("farpage_export_trim_bytes_total", COUNTER, PLAIN, "Bytes of them.",                         \
      counters[EXPORT_trim_bytes])                                                                 \
    X("farpage_export_flushes_total", COUNTER, PLAIN, "Flushes.", counters[EXPORT_flushes])        \
    X("farpage_export_partial_pages_total", COUNTER, PLAIN, "Parts of pages written.",             \
      counters[EXPORT_partial_pages])                                                              \
    X("farpage_export_no_space_total", COUNTER, PLAIN,                                             \
      "Requests refused because memory or a quota was full.", counters[EXPORT_no_space])           \
    X("farpage_export_errors_total", COUNTER, PLAIN, "Requests refused for another reason.",       \
      counters[EXPORT_errors])

static const struct metric export_rows[] = {
#define X(name, kind, unit, help, member) METRIC_ROW(export_item, name, kind, unit, help, member)
    EXPORT_METRICS(X)
#undef X
};

struct exports_filling {
    struct exports *exports;
    struct export_item *items;
    size_t count;
};

static void fill_export(void *opaque, const struct export *export)
{
    struct exports_filling *filling = opaque;
    struct export_about about;
    if (filling->count == METRICS_EXPORTS_MAX) return;
    struct export_item *item = &filling->items[filling->count++];
    exports_about(filling->exports, export, &about);
    snprintf(item->labels.texts[0], METRIC_LABEL_BYTES, "%s", export->name);
    item->connections = export->connections;
    item->size_bytes = about.size_bytes;
    item->lost = about.lost;
    for (int i = 0; i < EXPORT_COUNTERS_COUNT; i++)
        item->counters[i] = atomic_load(&export->counters[i]);
}

static size_t fill_exports(struct shared *shared, void *items)
{
    struct exports_filling filling = {&shared->exports, items, 0};
    exports_each(&shared->exports, fill_export, &filling);
    return filling.count;
}

const struct metric_group metrics_of_exports = {
    .metrics = export_rows, .metric_count = FP_COUNT_OF(export_rows), .labels = {"export"},
    .item_bytes = sizeof(struct export_item), .items_max = METRICS_EXPORTS_MAX,
    .fill = fill_exports};
