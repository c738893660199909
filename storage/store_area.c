/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The register of areas: only ever grows, so an area's address is good for the store's life. */
#include "storage/store_internal.h"

static struct area *find_area(struct store *store, struct slice name, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        if (slice_is(name, store->areas[i]->name)) return store->areas[i];
    return NULL;
}

static bool slots_fit(struct store *store, uint64_t slots)
{
    uint64_t limit = budget_limit(&store->budget) / store->page_bytes;
    uint64_t sum = slots;
    const struct area *area;
    for (unsigned i = 0; (area = store_area(store, i)) != NULL; i++) sum += area->slot_count;
    return sum <= limit * STORE_SLOT_BYTES_PER_LIMIT_BYTE;
}

static enum fp_status add_area_locked(struct store *store, struct slice name, uint64_t slots,
                                      struct area **area)
{
    unsigned count = atomic_load(&store->area_count);
    if (count == STORE_AREAS_MAX || !slots_fit(store, slots)) return FP_TOO_BIG;
    struct area_options options = {.name = name,
                                   .slot_count = slots,
                                   .page_bytes = store->page_bytes,
                                   .generation = count + 1};
    enum fp_status status = area_create(store->zpool, &options, area);
    if (status != FP_OK) return status;
    store->areas[count] = *area;
    atomic_store(&store->area_count, count + 1);
    return FP_OK;
}

enum fp_status store_area_open(struct store *store, struct slice name, uint64_t slots,
                               struct area **area)
{
    lock_take(&store->areas_lock);
    enum fp_status status = FP_OK;
    struct area *found = find_area(store, name, atomic_load(&store->area_count));
    if (found == NULL)
        status = slots == 0 ? FP_ABSENT : add_area_locked(store, name, slots, &found);
    else if (slots != 0 && slots != found->slot_count)
        status = FP_EXISTS;
    lock_drop(&store->areas_lock);
    if (status == FP_OK) *area = found;
    return status;
}

struct area *store_area(struct store *store, unsigned index)
{
    return index < atomic_load(&store->area_count) ? store->areas[index] : NULL;
}
