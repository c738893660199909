/* SPDX-License-Identifier: BSD-3-Clause
 *
 * What is stored, in what memory, packed with what. */
#include <inttypes.h>
#include <stdio.h>

#include "server/metrics/metrics_group.h"
#include "storage/store/item/store_value.h"
#include "storage/store/page/store_area.h"

/* --- memory ----------------------------------------------------------------------------------- */

struct memory_item {
    struct metric_labels labels;
    uint64_t bytes;
};

static const struct metric memory_rows[] = {
    {"farpage_memory_bytes", METRIC_GAUGE, METRIC_PLAIN,
     "What is charged to the memory limit, by its cause.", offsetof(struct memory_item, bytes)},
};

static size_t fill_memory(struct shared *shared, void *items)
{
    struct memory_item *item = items;
    for (int use = 0; use < BUDGET_USES_COUNT; use++, item++) {
        snprintf(item->labels.texts[0], METRIC_LABEL_BYTES, "%s",
                 budget_use_name((enum budget_use)use));
        item->bytes = budget_held(store_budget(shared->store), (enum budget_use)use);
    }
    return BUDGET_USES_COUNT;
}

const struct metric_group metrics_of_memory = {
    .metrics = memory_rows, .metric_count = FP_COUNT_OF(memory_rows), .labels = {"use"},
    .item_bytes = sizeof(struct memory_item), .items_max = BUDGET_USES_COUNT, .fill = fill_memory};

/* --- the pool --------------------------------------------------------------------------------- */

struct pool_item {
    struct metric_labels labels;
    uint64_t limit_bytes, used_bytes;
    struct zpool_fill fill;
    uint64_t held_bytes, pages, same_filled, incompressible, pages_bytes, pages_packed_bytes, areas,
        areas_dying, maps, mapped_bytes, swaps, items, arriving_packed_bytes;
    uint64_t moved, freed, skipped, jobs, freeable_bytes, compacting, recompressing;
    struct recompress_counts recompress;
#define X(name, text) uint64_t name;
    STORE_COUNTERS(X)
#undef X
};

#define POOL_METRICS(X)                                                                            \
    X("farpage_memory_limit_bytes", GAUGE, PLAIN, "storage.memory_limit, or what it was set to.",  \
      limit_bytes)                                                                                 \
    X("farpage_memory_used_bytes", GAUGE, PLAIN, "All that is charged to it.", used_bytes)         \
    X("farpage_areas", GAUGE, PLAIN, "Areas.", areas)                                              \
    X("farpage_areas_deleted", GAUGE, PLAIN, "Areas deleted and not empty, or still in use.",      \
      areas_dying)                                                                                 \
    X("farpage_pages", GAUGE, PLAIN, "Pages in all areas.", pages)                                 \
    X("farpage_pages_bytes", GAUGE, PLAIN, "What they are unpacked.", pages_bytes)                 \
    X("farpage_pages_packed_bytes", GAUGE, PLAIN, "The objects that hold them.",                   \
      pages_packed_bytes)                                                                          \
    X("farpage_pages_same_filled", GAUGE, PLAIN, "Pages kept as one repeated word.", same_filled)  \
    X("farpage_pages_incompressible", GAUGE, PLAIN, "Pages kept as they are.", incompressible)     \
    X("farpage_items", GAUGE, PLAIN, "Items stored now.", items)                                   \
    X("farpage_items_stored_total", COUNTER, PLAIN, "Items ever stored.", items_total)             \
    X("farpage_items_bytes", GAUGE, PLAIN, "Their values, unpacked.", item_value_bytes)            \
    X("farpage_items_packed_bytes", GAUGE, PLAIN, "The objects that hold them.",                   \
      item_packed_bytes)                                                                           \
    X("farpage_items_arriving_packed_bytes", GAUGE, PLAIN, "Of long values on their way in.",      \
      arriving_packed_bytes)                                                                       \
    X("farpage_items_evicted_total", COUNTER, PLAIN, "Items that gave way while valid.",           \
      item_evictions)                                                                              \
    X("farpage_items_reclaimed_total", COUNTER, PLAIN,                                             \
      "Items that gave way after they had expired.", item_reclaims)                                \
    X("farpage_items_crawled_total", COUNTER, PLAIN, "Items that the crawler looked at.",          \
      crawler_items_checked)                                                                       \
    X("farpage_items_crawler_reclaimed_total", COUNTER, PLAIN, "Dead items that it ended.",        \
      crawler_reclaimed)                                                                           \
    X("farpage_crawler_passes_total", COUNTER, PLAIN, "Times it has looked at all.",               \
      crawler_passes)                                                                              \
    X("farpage_direct_reclaims_total", COUNTER, PLAIN,                                             \
      "Items that gave way because a request wanted memory.", direct_reclaims)                     \
    X("farpage_stores_without_memory_total", COUNTER, PLAIN,                                       \
      "Stores refused because memory was full.", no_memory)                                        \
    X("farpage_corrupt_total", COUNTER, PLAIN,                                                     \
      "Pages and values that did not match their checksum and were not returned.", corrupt)        \
    X("farpage_maps", GAUGE, PLAIN, "Maps of pages and items now.", maps)                          \
    X("farpage_mapped_bytes", GAUGE, PLAIN, "Bytes that are mapped.", mapped_bytes)                \
    X("farpage_pinned_objects", GAUGE, PLAIN, "Objects pinned by maps.", fill.pinned_count)        \
    X("farpage_pool_held_bytes", GAUGE, PLAIN, "What the allocator has from the system.",          \
      held_bytes)                                                                                  \
    X("farpage_pool_objects", GAUGE, PLAIN, "Objects in it.", fill.object_count)                   \
    X("farpage_pool_objects_bytes", GAUGE, PLAIN, "What they were asked to hold.",                 \
      fill.object_bytes)                                                                           \
    X("farpage_pool_rounding_bytes", GAUGE, PLAIN, "Objects up to their slots.",                   \
      fill.rounding_bytes)                                                                         \
    X("farpage_pool_headers_bytes", GAUGE, PLAIN, "What is kept beside the objects.",              \
      fill.header_bytes)                                                                           \
    X("farpage_pool_free_bytes", GAUGE, PLAIN, "Gaps: room for more objects.", fill.free_bytes)    \
    X("farpage_pool_tables_bytes", GAUGE, PLAIN, "Handles and descriptors, beside it.",            \
      fill.table_bytes)                                                                            \
    X("farpage_compaction_running", GAUGE, PLAIN, "1 while a job waits or runs.", compacting)      \
    X("farpage_compaction_jobs_total", COUNTER, PLAIN, "Jobs that were asked for and are done.",   \
      jobs)                                                                                        \
    X("farpage_compaction_moved_objects_total", COUNTER, PLAIN, "Objects moved.", moved)           \
    X("farpage_compaction_freed_pages_total", COUNTER, PLAIN, "Pages given back to the system.",   \
      freed)                                                                                       \
    X("farpage_compaction_skipped_pinned_total", COUNTER, PLAIN,                                   \
      "Objects walked past because they or a neighbour were mapped.", skipped)                     \
    X("farpage_compaction_freeable_bytes", GAUGE, PLAIN, "What it could win now, estimated.",      \
      freeable_bytes)                                                                              \
    X("farpage_compressor_swaps_total", COUNTER, PLAIN, "Changes of the current compressor.",      \
      swaps)                                                                                       \
    X("farpage_recompress_running", GAUGE, PLAIN, "1 while a run is under way.", recompressing)    \
    X("farpage_recompress_looked_total", COUNTER, PLAIN, "Pages and items looked at.",             \
      recompress.looked)                                                                           \
    X("farpage_recompress_rewritten_total", COUNTER, PLAIN, "Of those, kept anew.",                \
      recompress.rewritten)                                                                        \
    X("farpage_recompress_saved_bytes_total", COUNTER, PLAIN, "By those that became cheaper.",     \
      recompress.saved_bytes)                                                                      \
    X("farpage_recompress_added_bytes_total", COUNTER, PLAIN,                                      \
      "By those that became dearer to leave their seat.", recompress.added_bytes)

static const struct metric pool_rows[] = {
#define X(name, kind, unit, help, member) METRIC_ROW(pool_item, name, kind, unit, help, member)
    POOL_METRICS(X)
#undef X
};

static void sum_areas(struct shared *shared, struct pool_item *item)
{
    struct area *area = NULL;
    while ((area = store_area_next(shared->store, area)) != NULL) {
        uint64_t stored = atomic_load(&area->counters.stored);
        item->areas++;
        item->pages += stored;
        item->pages_bytes += stored * area->page_bytes;
        item->same_filled += atomic_load(&area->counters.same_filled);
        item->incompressible += atomic_load(&area->counters.incompressible);
        item->pages_packed_bytes += atomic_load(&area->counters.packed_bytes);
    }
    item->areas_dying = store_areas_dying(shared->store);
}

static void fill_jobs(struct shared *shared, struct pool_item *item)
{
    const struct compaction *compaction = &shared->compaction;
    const struct recompression *recompression = &shared->recompression;
    enum compaction_state state = compaction_state(compaction);
    item->compacting = state == COMPACTION_WAITING || state == COMPACTION_RUNNING;
    item->moved = atomic_load(&compaction->total.moved_objects);
    item->freed = atomic_load(&compaction->total.freed_pages);
    item->skipped = atomic_load(&compaction->total.skipped_pinned);
    item->jobs = atomic_load(&compaction->ended);
    item->freeable_bytes = zpool_freeable_pages(store_zpool(shared->store)) * PAGES_BYTES;
    item->recompressing = atomic_load(&recompression->running);
#define X(name, text) item->recompress.name = atomic_load(&recompression->counts.name);
    RECOMPRESS_COUNTS(X)
#undef X
}

static size_t fill_pool(struct shared *shared, void *items)
{
    struct pool_item *item = items;
    struct store *store = shared->store;
    const struct store_counters *counters = store_counters(store);
    item->limit_bytes = budget_wanted(store_budget(store));
    item->used_bytes = budget_total(store_budget(store));
    item->fill = zpool_fill(store_zpool(store));
    item->held_bytes = item->fill.held_pages * PAGES_BYTES;
    item->items = store_item_count(store);
    item->arriving_packed_bytes = store_values_packed_bytes(store);
    item->swaps = compressor_swap_count(store_compressors(store));
    item->mapped_bytes = atomic_load(&shared->maps.bytes);
    item->maps = maps_register_count(&shared->maps);
#define X(name, text) item->name = atomic_load(&counters->name);
    STORE_COUNTERS(X)
#undef X
    sum_areas(shared, item);
    fill_jobs(shared, item);
    return 1;
}

const struct metric_group metrics_of_pool = {
    .metrics = pool_rows, .metric_count = FP_COUNT_OF(pool_rows),
    .item_bytes = sizeof(struct pool_item), .items_max = 1, .fill = fill_pool};

/* --- seats ------------------------------------------------------------------------------------ */

struct seat_item {
    struct metric_labels labels;
    struct compressor_row row;
    uint64_t current;
};

#define SEAT_METRICS(X)                                                                            \
    X("farpage_seat_current", GAUGE, PLAIN, "1: packs; 0: drains.", current)                       \
    X("farpage_seat_objects", GAUGE, PLAIN, "Objects packed with it, and reads under way.",        \
      row.objects)                                                                                 \
    X("farpage_seat_users", GAUGE, PLAIN, "Packs under way.", row.users)                           \
    X("farpage_seat_dictionary_bytes", GAUGE, PLAIN, "Its dictionary with the tables of it.",      \
      row.dictionary_bytes)                                                                        \
    X("farpage_seat_packs_total", COUNTER, PLAIN, "Packs tried.", row.packs)                       \
    X("farpage_seat_incompressible_total", COUNTER, PLAIN, "Packs that did not shrink.",           \
      row.incompressible)                                                                          \
    X("farpage_seat_unpacks_total", COUNTER, PLAIN, "Unpacks.", row.unpacks)                       \
    X("farpage_seat_failures_total", COUNTER, PLAIN, "Unpacks whose bytes could not be decoded.",  \
      row.failures)                                                                                \
    X("farpage_seat_plain_bytes_total", COUNTER, PLAIN, "What was packed, before.",                \
      row.plain_bytes)                                                                             \
    X("farpage_seat_packed_bytes_total", COUNTER, PLAIN, "And after.", row.packed_bytes)

static const struct metric seat_rows[] = {
#define X(name, kind, unit, help, member) METRIC_ROW(seat_item, name, kind, unit, help, member)
    SEAT_METRICS(X)
#undef X
};

static size_t fill_seats(struct shared *shared, void *items)
{
    struct seat_item *item = items;
    size_t count = 0;
    for (int id = 0; id < COMPRESSOR_SEATS && count < METRICS_SEATS_MAX; id++) {
        struct compressor_row *row = &item[count].row;
        char(*texts)[METRIC_LABEL_BYTES] = item[count].labels.texts;
        compressor_row(store_compressors(shared->store), (uint8_t)id, row);
        if (row->state == COMPRESSOR_EMPTY) continue;
        snprintf(texts[0], METRIC_LABEL_BYTES, "%d", id);
        snprintf(texts[1], METRIC_LABEL_BYTES, "%s", row->algorithm);
        snprintf(texts[2], METRIC_LABEL_BYTES, "%d", row->level);
        snprintf(texts[3], METRIC_LABEL_BYTES, "%" PRIu32, row->dictionary_id);
        item[count++].current = row->state == COMPRESSOR_CURRENT;
    }
    return count;
}

const struct metric_group metrics_of_seats = {
    .metrics = seat_rows, .metric_count = FP_COUNT_OF(seat_rows),
    .labels = {"seat", "algorithm", "level", "dictionary"}, .item_bytes = sizeof(struct seat_item),
    .items_max = METRICS_SEATS_MAX, .fill = fill_seats};
