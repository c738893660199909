/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The register of areas.
 *
 * Life of an area: made -> in the register, found by its name -(delete)-> the name is free again;
 *   emptied in steps by whoever calls store_area_reap_step -> when only the register's use is left
 *   and nothing is stored -> destroyed, and its place is free again
 *
 * An area that was moved is emptied in the same steps, and stays until it is deleted.
 *
 * A use may be taken by name only before the deletion, so once the register's is the only one and
 * the area is deleted, nobody can come by any more.
 */
#include "storage/store/page/store_area.h"
#include "storage/area/area_stand.h"

#include "base/arith.h"
#include "storage/store/store_dictionary.h"
#include "storage/store/store_internal.h"

static struct area *find_locked(struct store *store, struct slice name)
{
    lock_assert_held(&store->areas_lock);
    for (unsigned i = 0; i < store->area_places; i++) {
        struct area *area = store->areas[i];
        if (area != NULL && !area_deleted(area) && slice_is(name, area->name)) return area;
    }
    return NULL;
}

static unsigned free_place_locked(const struct store *store)
{
    for (unsigned i = 0; i < store->area_places; i++)
        if (store->areas[i] == NULL) return i;
    return store->area_places;
}

static enum fp_status add_locked(struct store *store, const struct area_options *wanted,
                                 struct area **area)
{
    unsigned place = free_place_locked(store);
    if (place == STORE_AREAS_MAX) return FP_TOO_BIG;
    struct area_options options = *wanted;
    if (options.generation == 0) options.generation = store->last_generation + 1;
    options.copies = &store->copies;
    options.budget = &store->budget;
    options.tenants = &store->tenants;
    if (options.page_bytes == 0) options.page_bytes = store->page_bytes;
    enum fp_status status = area_create(store->zpool, &options, area);
    if (status != FP_OK) return status;
    store->last_generation = max_u64(store->last_generation, options.generation);
    (*area)->index = place;
    store->areas[place] = *area;
    if (place == store->area_places) store->area_places++;
    return FP_OK;
}

enum fp_status store_area_create(struct store *store, const struct area_options *options,
                                 struct area **area)
{
    fp_assert(options->page_bytes == 0 || store_page_bytes_possible(options->page_bytes));
    lock_take(&store->areas_lock);
    enum fp_status status =
        find_locked(store, options->name) != NULL ? FP_EXISTS : add_locked(store, options, area);
    if (status == FP_OK) area_acquire(*area);
    lock_drop(&store->areas_lock);
    return status;
}

enum fp_status store_area_acquire(struct store *store, struct slice name, struct area **area)
{
    lock_take(&store->areas_lock);
    struct area *found = find_locked(store, name);
    if (found != NULL) area_acquire(*area = found);
    lock_drop(&store->areas_lock);
    return found != NULL ? FP_OK : FP_ABSENT;
}

struct area *store_area_from(struct store *store, unsigned index)
{
    struct area *found = NULL;
    lock_take(&store->areas_lock);
    for (unsigned i = index; i < store->area_places && found == NULL; i++)
        if (store->areas[i] != NULL && !area_deleted(store->areas[i])) found = store->areas[i];
    if (found != NULL) area_acquire(found);
    lock_drop(&store->areas_lock);
    return found;
}

struct area *store_area_next(struct store *store, struct area *area)
{
    unsigned index = area != NULL ? area->index + 1 : 0;
    area_release(&area);
    return store_area_from(store, index);
}

void store_area_give(struct store *store, struct area *area, uint8_t tenant)
{
    uint64_t bytes = atomic_load(&area->counters.packed_bytes);
    uint64_t pages = atomic_load(&area->counters.stored);
    tenant_change(&store->tenants.of[area->tenant], -bytes, -pages);
    area->tenant = tenant;
    tenant_change(&store->tenants.of[tenant], bytes, pages);
}

/* --- deletion, and moving away ---------------------------------------------------------------- */

static void leaves_locked(struct store *store, struct area *area, bool leaving)
{
    lock_assert_held(&store->areas_lock);
    if (area->leaving == leaving) return;
    area->leaving = leaving;
    atomic_fetch_add(&store->areas_leaving, leaving ? 1 : (unsigned)-1);
}

/* Sums over areas look at those that are there. */
static void keep_counts(struct store *store, struct area *area)
{
    store_count(&store->counters.ended_duplicates, atomic_exchange(&area->counters.duplicates, 0));
}

bool store_area_delete(struct store *store, struct area *area)
{
    lock_take(&store->areas_lock);
    bool deleted = area_delete(area);
    if (deleted) atomic_fetch_add(&store->areas_dying, 1);
    leaves_locked(store, area, false);
    keep_counts(store, area);
    lock_drop(&store->areas_lock);
    return deleted;
}

bool store_area_move(struct store *store, struct area *area, struct slice forward)
{
    lock_take(&store->areas_lock);
    bool moved = area_move(area, forward);
    if (moved) leaves_locked(store, area, true);
    lock_drop(&store->areas_lock);
    return moved;
}

unsigned store_areas_dying(const struct store *store)
{
    return atomic_load_explicit(&store->areas_dying, memory_order_relaxed);
}

/* A use of the next area that is to be emptied or ended, in turn; or NULL. */
static struct area *take_dying(struct store *store)
{
    struct area *found = NULL;
    lock_take(&store->areas_lock);
    for (unsigned i = 0; i < store->area_places && found == NULL; i++) {
        struct area *area = store->areas[(store->reap_index + i) % store->area_places];
        if (area == NULL || (!area_deleted(area) && !area->leaving)) continue;
        if (area_copy_waits(area)) continue; /* its pages are still wanted */
        bool idle = area_deleted(area) && atomic_load(&area->uses) == 1;
        if (idle || area->leaving || atomic_load(&area->counters.stored) > 0) found = area;
    }
    if (found != NULL) {
        area_acquire(found);
        store->reap_index = found->index;
    }
    lock_drop(&store->areas_lock);
    return found;
}

/* Ends the use of such an area, and the area where nobody else has one. */
static void leave_dying(struct store *store, struct area *area)
{
    lock_take(&store->areas_lock);
    bool empty = atomic_load(&area->counters.stored) == 0;
    bool last = area_deleted(area) && atomic_load(&area->uses) == 2 && empty;
    if (empty) leaves_locked(store, area, false);
    if (last) {
        store->areas[area->index] = NULL;
        while (store->area_places > 0 && store->areas[store->area_places - 1] == NULL)
            store->area_places--;
    }
    store->reap_index++;
    struct area *left = area;
    if (!last) area_release(&left);
    lock_drop(&store->areas_lock);
    if (!last) return;
    keep_counts(store, area);
    (void)store_dictionary_drop(store, area);
    area_destroy(&area);
    atomic_fetch_sub(&store->areas_dying, 1);
}

bool store_area_reap_step(struct store *store, struct store_scratch *scratch, uint64_t *ended)
{
    *ended = 0;
    if (store_areas_dying(store) + atomic_load(&store->areas_leaving) == 0) return false;
    struct area *area = take_dying(store);
    if (area == NULL) return false;
    uint64_t slot = atomic_load_explicit(&area->reaped_slot, memory_order_relaxed);
    uint64_t before = atomic_load(&area->counters.stored);
    if (slot >= area->slot_count) slot = 0;
    store_page_empty_some(store, scratch, area, &slot, area->slot_count);
    atomic_store_explicit(&area->reaped_slot, slot, memory_order_relaxed);
    uint64_t after = atomic_load(&area->counters.stored);
    *ended = before > after ? before - after : 0;
    if (area_stand(area) == AREA_MOVED) store_count(&store->counters.unused_pages, *ended);
    leave_dying(store, area);
    return true;
}

enum fp_status store_area_open(struct store *store, struct slice name, uint64_t slots,
                               struct area **area)
{
    struct area_options options = {.name = name, .slot_count = slots};
    enum fp_status status = FP_EXISTS;
    if (slots != 0) status = store_area_create(store, &options, area);
    if (status != FP_EXISTS) return status;
    struct area *found;
    status = store_area_acquire(store, name, &found);
    if (status != FP_OK) return status;
    if (slots == 0 || found->slot_count == slots) *area = found;
    else area_release(&found);
    return found != NULL ? FP_OK : FP_EXISTS;
}
