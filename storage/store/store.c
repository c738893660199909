/* SPDX-License-Identifier: BSD-3-Clause */
#include "storage/store/store.h"
#include "storage/area/area_stand.h"

#include <stdlib.h>

#include "base/arith.h"
#include "storage/store/spill/store_spill.h"
#include "storage/store/store_dictionary.h"
#include "storage/store/store_internal.h"

/* Address space beyond the limit, because runs of one length cannot always use the gaps of another
 * and because the limit may be raised while the server runs. It costs nothing until used. */
static uint64_t arena_pages_for(uint64_t memory_limit_bytes)
{
    uint64_t wanted = memory_limit_bytes / PAGES_BYTES * 16 + (1u << 18);
    return min_u64(wanted, (uint64_t)(UINT32_MAX / PAGES_CHUNK_PAGES - 1) * PAGES_CHUNK_PAGES);
}

static enum fp_status create_parts(struct store *store, const struct store_options *options)
{
    enum fp_status status = compressor_pool_create(&options->compressor, &store->budget,
                                                   &store->compressors);
    if (status != FP_OK) return status;
    uint64_t pages = arena_pages_for(options->memory_limit_bytes);
    status = arena_create(&store->budget, pages, &store->arena);
    if (status != FP_OK) return status;
    struct zpool_options pool = {.arena = store->arena, .budget = &store->budget};
    return zpool_create(options->allocator, &pool, &store->zpool);
}

enum fp_status store_create(const struct store_options *options, struct store **out)
{
    fp_assert(store_page_bytes_possible(options->page_bytes));
    struct store *store = aligned_alloc(64, div_up_u64(sizeof *store, 64) * 64);
    if (store == NULL) return FP_NO_MEMORY;
    memset(store, 0, sizeof *store);
    budget_init(&store->budget, options->memory_limit_bytes);
    store->page_bytes = options->page_bytes;
    watermarks_set(&store->watermarks, (struct watermark_levels){100, 100, 100});
    tenants_init(&store->tenants);
    lock_init(&store->areas_lock, RANK_AREAS);
    lock_init(&store->dictionaries_lock, RANK_DICTIONARIES);
    keydir_init(&store->keydir, &store->budget, options->hash_seed);
    enum fp_status status = create_parts(store, options);
    if (status != FP_OK) {
        store_destroy(&store);
        return status;
    }
    *out = store;
    return FP_OK;
}

static void forget_everything(struct store *store)
{
    struct store_scratch scratch = {0};
    while (store->zpool != NULL && store_drop_one(store, &scratch)) {}
    for (unsigned i = 0; i < store->area_places; i++) {
        struct area *area = store->areas[i];
        if (area == NULL) continue;
        area_thaw(area);
        for (uint64_t slot = 0; slot < area->slot_count;)
            store_page_empty_some(store, &scratch, area, &slot, area->slot_count);
        (void)store_dictionary_drop(store, area);
        area_destroy(&store->areas[i]);
    }
}

void store_destroy(struct store **store_ptr)
{
    struct store *store = *store_ptr;
    if (store == NULL) return;
    forget_everything(store);
    store_spill_close(store);
    keydir_fini(&store->keydir);
    zpool_destroy(&store->zpool);
    arena_destroy(&store->arena);
    compressor_pool_destroy(&store->compressors);
    lock_fini(&store->dictionaries_lock);
    lock_fini(&store->areas_lock);
    free(store);
    *store_ptr = NULL;
}

enum fp_status store_scratch_create(struct store *store, struct store_scratch **out)
{
    struct store_scratch *scratch = calloc(1, sizeof *scratch);
    if (scratch == NULL) return FP_NO_MEMORY;
    scratch->packed = malloc(ZPOOL_OBJECT_BYTES_MAX);
    if (scratch->packed == NULL ||
        codec_scratch_create(store->compressors, &scratch->codec) != FP_OK) {
        store_scratch_destroy(&scratch);
        return FP_NO_MEMORY;
    }
    *out = scratch;
    return FP_OK;
}

void store_scratch_destroy(struct store_scratch **scratch)
{
    if (*scratch == NULL) return;
    codec_scratch_destroy(&(*scratch)->codec);
    free((*scratch)->packed);
    free(*scratch);
    *scratch = NULL;
}

struct budget *store_budget(struct store *store)
{
    return &store->budget;
}

struct zpool *store_zpool(struct store *store)
{
    return store->zpool;
}

struct compressor_pool *store_compressors(struct store *store)
{
    return store->compressors;
}

const struct store_counters *store_counters(const struct store *store)
{
    return &store->counters;
}

struct tenants *store_tenants(struct store *store)
{
    return &store->tenants;
}

struct watermarks *store_watermarks(struct store *store)
{
    return &store->watermarks;
}

/* So many items are left when pages begin to be written back: who cannot wait for the disk, such as
 * a new area or a connection, finds something to give way until that gets on. */
enum { CUSHION_PART = 8 /* of the limit */ };

uint64_t store_settled_bytes(const struct store *store)
{
    uint64_t total = budget_total(&store->budget), limit = budget_wanted(&store->budget), sum = 0;
    bool gone_at_once = store_evicts(store) && !store_spill_takes_items(store);
    uint32_t count = gone_at_once ? atomic_load(&store->tenants.count) : 0;
    for (uint32_t i = 0; i < count; i++)
        sum += min_u64(atomic_load_explicit(&store->tenants.of[i].item_bytes, memory_order_relaxed),
                       tenants_borrowed(&store->tenants, (uint8_t)i, limit));
    uint64_t cushion = limit / CUSHION_PART;
    return total - min_u64(total, sum > cushion ? sum - cushion : 0);
}

uint64_t store_excess_bytes(struct store *store)
{
    bool counts_all = watermarks_full(&store->watermarks) || store_spill_has_items(store);
    uint64_t bytes = counts_all ? budget_total(&store->budget) : store_settled_bytes(store);
    return watermarks_excess(&store->watermarks, bytes, budget_wanted(&store->budget));
}

uint32_t store_page_bytes(const struct store *store)
{
    return store->page_bytes;
}

uint64_t store_item_count(struct store *store)
{
    return keydir_item_count(&store->keydir);
}

static void tally_items(struct store *store, struct tenant *sums)
{
    for (unsigned i = 0; i < KEYDIR_SHARDS; i++) {
        const struct keydir_shard *shard = &store->keydir.shards[i];
        for (uint64_t place = 0; place < shard->capacity; place++) {
            const struct item *item = shard->table[place];
            if (item == NULL) continue;
            tenant_change(&sums[item->tenant], item_memory_bytes(item), 0);
            tenant_change_items(&sums[item->tenant], item_memory_bytes(item), 1);
        }
    }
}

/* Whose everything is; with nothing on its way. */
static void check_tenants(struct store *store)
{
    struct tenants sums;
    tenants_init(&sums);
    tally_items(store, sums.of);
    for (unsigned i = 0; i < store->area_places; i++) {
        const struct area *area = store->areas[i];
        if (area == NULL) continue;
        tenant_change(&sums.of[area->tenant], atomic_load(&area->counters.packed_bytes),
                      atomic_load(&area->counters.stored));
    }
    for (int i = 0; i < TENANTS_MAX; i++) {
        const struct tenant *tenant = &store->tenants.of[i], *sum = &sums.of[i];
        bool arriving = atomic_load(&store->arriving_bytes) > 0;
        fp_assert(atomic_load(&tenant->pages) == atomic_load(&sum->pages));
        fp_assert(atomic_load(&tenant->items) == atomic_load(&sum->items));
        fp_assert(atomic_load(&tenant->item_bytes) == atomic_load(&sum->item_bytes));
        fp_assert(arriving || atomic_load(&tenant->bytes) == atomic_load(&sum->bytes));
    }
}

void store_check(struct store *store)
{
    check_tenants(store);
    keydir_check(&store->keydir);
    zpool_check(store->zpool);
    for (unsigned i = 0; i < store->area_places; i++)
        if (store->areas[i] != NULL) area_check(store->areas[i]);
    uint64_t sum = 0;
    for (int use = 0; use < BUDGET_USES_COUNT; use++)
        sum += budget_held(&store->budget, (enum budget_use)use);
    fp_assert(sum == budget_total(&store->budget));
    fp_assert(budget_held(&store->budget, BUDGET_PAYLOAD) ==
              arena_held_pages(store->arena) * PAGES_BYTES);
}
