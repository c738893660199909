/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Life of a row: none -(first page put)-> taken from the allocator -(last page taken out)-> none
 *
 * A quota is kept by the counters themselves: what a store adds is reserved in them before it is
 * put, so that two threads never pass it together, and given back where the store fails.
 */
#include "storage/area/area.h"

#include <stdlib.h>
#include <string.h>

#include "base/arith.h"
#include "storage/alloc/pages.h"
#include "storage/area/area_copy.h"
#include "storage/area/area_look.h"
#include "storage/area/area_pin.h"
#include "storage/area/area_stand.h"

enum { SKIPPED_PAGE_ROWS = 64 }; /* so many rows' time takes one page that was never touched */

static struct area_table_page *table_page(const struct area *area, uint64_t index)
{
    return &area->table[index / AREA_TABLE_ROWS];
}

static struct area_row *row_at(const struct area *area, uint64_t index)
{
    return &table_page(area, index)->rows[index % AREA_TABLE_ROWS];
}

static struct area_row *row_of(const struct area *area, uint64_t slot)
{
    return row_at(area, slot / AREA_ROW_SLOTS);
}

/* Read without the stripe's lock it is a hint. */
static uint32_t used_of(const struct area_row *row)
{
    return atomic_load_explicit(&row->used_slots, memory_order_relaxed);
}

static struct lock *stripe_of(struct area *area, uint64_t slot)
{
    return &area->stripes[area_stripe(slot)];
}

uint32_t area_row_used(const struct area *area, uint64_t row)
{
    return used_of(row_at(area, row));
}

enum fp_status area_create(struct zpool *zpool, const struct area_options *options,
                           struct area **out)
{
    fp_assert(options->slot_count > 0 && options->name.size_bytes < AREA_NAME_CAPACITY);
    /* Beyond 48 bits there is no address space anyway, and no product below wraps. */
    if (options->slot_count >> 48 != 0) return FP_NO_MEMORY;
    if (!budget_charge(options->budget, BUDGET_SLOTS, sizeof(struct area))) return FP_NO_MEMORY;
    struct area *area = calloc(1, sizeof *area);
    uint64_t rows = div_up_u64(options->slot_count, AREA_ROW_SLOTS);
    void *table = pages_reserve(div_up_u64(rows, AREA_TABLE_ROWS) * AREA_TABLE_BYTES);
    if (area == NULL || table == NULL) {
        pages_release(table, div_up_u64(rows, AREA_TABLE_ROWS) * AREA_TABLE_BYTES);
        free(area);
        budget_return(options->budget, BUDGET_SLOTS, sizeof *area);
        return FP_NO_MEMORY;
    }
    memcpy(area->name, options->name.bytes, options->name.size_bytes);
    area->slot_count = options->slot_count;
    area->page_bytes = options->page_bytes;
    area->generation = options->generation;
    area->quota_pages = options->quota_pages;
    area->quota_bytes = options->quota_bytes;
    area->lifetime = options->lifetime;
    area->as_they_are = options->as_they_are;
    area->tenant = options->tenant;
    area->tenants = options->tenants;
    area->zpool = zpool;
    area->budget = options->budget;
    area->copies = options->copies;
    atomic_init(&area->uncopied, UINT64_MAX);
    area->row_count = rows;
    area->table = table;
    atomic_init(&area->uses, 1);
    for (unsigned i = 0; i < AREA_STRIPES; i++) lock_init(&area->stripes[i], RANK_SLOTS);
    *out = area;
    return FP_OK;
}

void area_destroy(struct area **area_ptr)
{
    struct area *area = *area_ptr;
    if (area == NULL) return;
    fp_assert(atomic_load(&area->counters.stored) == 0);
    fp_assert(area->dictionary.kept == NULL);
    for (unsigned i = 0; i < AREA_STRIPES; i++) {
        fp_assert(area->pins[i] == NULL && area->copy_rows[i] == NULL);
        lock_fini(&area->stripes[i]);
    }
    pages_release(area->table, div_up_u64(area->row_count, AREA_TABLE_ROWS) * AREA_TABLE_BYTES);
    budget_return(area->budget, BUDGET_SLOTS, area_held_bytes(area));
    free(area);
    *area_ptr = NULL;
}

void area_acquire(struct area *area)
{
    fp_assert(atomic_fetch_add(&area->uses, 1) > 0);
}

void area_release(struct area **area)
{
    if (*area != NULL) fp_assert(atomic_fetch_sub(&(*area)->uses, 1) > 1); /* the store has one */
    *area = NULL;
}

bool area_delete(struct area *area)
{
    return atomic_exchange(&area->stand, AREA_DELETED) != AREA_DELETED;
}

uint64_t area_held_bytes(const struct area *area)
{
    return sizeof *area + atomic_load_explicit(&area->table_bytes, memory_order_relaxed);
}

void area_slot_take(struct area *area, uint64_t slot)
{
    fp_assert(slot < area->slot_count);
    lock_take(stripe_of(area, slot));
}

void area_slot_drop(struct area *area, uint64_t slot)
{
    lock_drop(stripe_of(area, slot));
}

struct zhandle area_handle_locked(const struct area *area, uint64_t slot)
{
    const struct area_row *row = row_of(area, slot);
    if (used_of(row) == 0) return (struct zhandle){0};
    uint32_t first = atomic_load_explicit(&row->first, memory_order_relaxed);
    return (struct zhandle){first + (uint32_t)(slot % AREA_ROW_SLOTS)};
}

/* --- counts ----------------------------------------------------------------------------------- */

/* What was added to stored and packed_bytes before the change that it is for. */
struct growth {
    uint64_t pages, bytes;
};

static struct tenant *tenant_of(const struct area *area)
{
    return &area->tenants->of[area->tenant];
}

static void count_spilled(struct area_counters *counters, struct zname next, struct zname old)
{
    uint64_t pages = (uint64_t)(next.what == ZSPILLED) - (old.what == ZSPILLED);
    uint64_t bytes = (next.what == ZSPILLED ? entry_packed_bytes(next) : 0u) -
                     (uint64_t)(old.what == ZSPILLED ? entry_packed_bytes(old) : 0u);
    atomic_fetch_add_explicit(&counters->spilled, pages, memory_order_relaxed);
    atomic_fetch_add_explicit(&counters->spilled_bytes, bytes, memory_order_relaxed);
}

/* Counts that a slot names `next` now and no longer `old`. Numbers wrap, their sum is right. */
static void count_change(struct area *area, struct zname next, struct zname old,
                         struct growth reserved)
{
    struct area_counters *counters = &area->counters;
    uint64_t pages = (uint64_t)(next.what != ZNOTHING) - (old.what != ZNOTHING) - reserved.pages;
    uint64_t bytes = (uint64_t)entry_packed_bytes(next) - entry_packed_bytes(old) - reserved.bytes;
    uint64_t same = (uint64_t)entry_same_filled(next) - entry_same_filled(old);
    uint64_t plain = (uint64_t)entry_incompressible(next) - entry_incompressible(old);
    if (pages != 0) atomic_fetch_add_explicit(&counters->stored, pages, memory_order_relaxed);
    if (same != 0) atomic_fetch_add_explicit(&counters->same_filled, same, memory_order_relaxed);
    if (plain != 0)
        atomic_fetch_add_explicit(&counters->incompressible, plain, memory_order_relaxed);
    if (bytes != 0)
        atomic_fetch_add_explicit(&counters->packed_bytes, bytes, memory_order_relaxed);
    tenant_change(tenant_of(area), bytes, pages);
    if (next.what == ZSPILLED || old.what == ZSPILLED) count_spilled(counters, next, old);
}

/* --- quotas ----------------------------------------------------------------------------------- */

/* The name with its object's size, which only the allocator knows. */
static struct zname name_with_size(const struct area *area, struct zhandle handle)
{
    struct zname name = zpool_look(area->zpool, handle);
    struct zmap map;
    if (name.what != ZOBJECT) return name;
    fp_assert(zpool_map(area->zpool, handle, ZACCESS_READ, &map) == FP_OK);
    name.size_bytes = map.size_bytes;
    zpool_unmap(area->zpool, &map);
    return name;
}

/* What a quota counts grows only while it stays within it; what shrinks always may. */
static bool grow(_Atomic uint64_t *counter, uint64_t more, uint64_t quota)
{
    uint64_t now = atomic_load_explicit(counter, memory_order_relaxed);
    if (more == 0) return true;
    do {
        if (quota != 0 && (now > quota || more > quota - now)) return false;
    } while (!atomic_compare_exchange_weak_explicit(counter, &now, now + more,
                                                    memory_order_relaxed, memory_order_relaxed));
    return true;
}

static void growth_undo(struct area *area, struct growth growth)
{
    atomic_fetch_sub_explicit(&area->counters.stored, growth.pages, memory_order_relaxed);
    atomic_fetch_sub_explicit(&area->counters.packed_bytes, growth.bytes, memory_order_relaxed);
    tenant_change(tenant_of(area), -growth.bytes, -growth.pages);
}

static bool tenant_quota_take(struct area *area, struct growth growth, enum quota_met *met)
{
    struct tenant *tenant = tenant_of(area);
    *met = QUOTA_RESERVED;
    if (growth.bytes > 0 &&
        !tenants_leave_reserve(area->tenants, area->tenant, growth.bytes,
                               budget_total(area->budget), budget_wanted(area->budget)))
        return false;
    *met = QUOTA_OF_TENANT_PAGES;
    if (!tenant_take(tenant, (struct tenant_need){.pages = growth.pages})) return false;
    *met = QUOTA_OF_TENANT_BYTES;
    if (tenant_take(tenant, (struct tenant_need){.bytes = growth.bytes})) return true;
    tenant_change(tenant, 0, -growth.pages);
    return false;
}

static bool is_limited(const struct area *area)
{
    return area->quota_pages != 0 || area->quota_bytes != 0 ||
           tenant_is_limited(tenant_of(area)) ||
           atomic_load_explicit(&area->tenants->guaranteed_bytes, memory_order_relaxed) != 0;
}

static enum fp_status quota_take_locked(struct area *area, struct zhandle handle,
                                        struct stored *next, struct growth *growth)
{
    *growth = (struct growth){0};
    next->quota = QUOTA_OF_AREA;
    if (!is_limited(area)) return FP_OK;
    struct zname old = name_with_size(area, handle);
    uint64_t before = entry_packed_bytes(old), after = entry_packed_bytes(next->name);
    struct growth wanted = {old.what == ZNOTHING, after > before ? after - before : 0};
    struct area_counters *counters = &area->counters;
    if (!grow(&counters->stored, wanted.pages, area->quota_pages)) return FP_QUOTA;
    if (grow(&counters->packed_bytes, wanted.bytes, area->quota_bytes)) {
        *growth = wanted;
        if (tenant_quota_take(area, wanted, &next->quota)) return FP_OK;
        *growth = (struct growth){0};
        atomic_fetch_sub_explicit(&counters->packed_bytes, wanted.bytes, memory_order_relaxed);
    }
    atomic_fetch_sub_explicit(&counters->stored, wanted.pages, memory_order_relaxed);
    return FP_QUOTA;
}

/* --- changes ---------------------------------------------------------------------------------- */

/* Two rows of one page may be first at the same time: then one of them gives its charge back. */
static bool table_charge(struct area *area, uint64_t slot)
{
    struct area_table_page *page = table_page(area, slot / AREA_ROW_SLOTS);
    if (atomic_load_explicit(&page->charged, memory_order_relaxed) != 0) return true;
    if (!budget_charge(area->budget, BUDGET_SLOTS, AREA_TABLE_BYTES)) return false;
    if (atomic_exchange(&page->charged, 1) == 0)
        atomic_fetch_add_explicit(&area->table_bytes, AREA_TABLE_BYTES, memory_order_relaxed);
    else
        budget_return(area->budget, BUDGET_SLOTS, AREA_TABLE_BYTES);
    return true;
}

static enum fp_status row_prepare_locked(struct area *area, uint64_t slot)
{
    struct area_row *row = row_of(area, slot);
    struct zhandle first;
    if (used_of(row) > 0) return FP_OK;
    if (!table_charge(area, slot)) return FP_NO_MEMORY;
    enum fp_status status = zpool_row_take(area->zpool, &first);
    if (status == FP_OK)
        atomic_store_explicit(&row->first, first.number, memory_order_relaxed);
    return status;
}

static void row_changed_locked(struct area_row *row)
{
    atomic_fetch_add_explicit(&row->changes, 1, memory_order_relaxed);
}

static void row_count_locked(struct area *area, struct area_row *row, uint32_t change)
{
    uint32_t used = used_of(row) + change;
    atomic_store_explicit(&row->used_slots, used, memory_order_relaxed);
    if (used > 0) return;
    struct zhandle first = {atomic_load_explicit(&row->first, memory_order_relaxed)};
    zpool_row_give(area->zpool, &first);
}

static enum fp_status put_locked(struct area *area, uint64_t slot, struct stored *next,
                                 struct zname *old)
{
    struct growth growth;
    enum fp_status status = area_writes(area);
    if (status == FP_OK)
        status = quota_take_locked(area, area_handle_locked(area, slot), next, &growth);
    if (status != FP_OK) return status;
    status = row_prepare_locked(area, slot);
    if (status != FP_OK) {
        growth_undo(area, growth);
        return status;
    }
    struct area_row *row = row_of(area, slot);
    uint32_t first = atomic_load_explicit(&row->first, memory_order_relaxed);
    struct zhandle handle = {first + (uint32_t)(slot % AREA_ROW_SLOTS)};
    struct zname named;
    area_copy_before_locked(area, slot);
    bool mapped = area_pin_hand_over_locked(area, slot, &named);
    *old = zpool_replace(area->zpool, handle, &next->handle);
    if (!mapped) named = *old;
    count_change(area, next->name, named, growth);
    if (named.what != ZNOTHING)
        atomic_fetch_add_explicit(&area->counters.duplicates, 1, memory_order_relaxed);
    row_count_locked(area, row, named.what == ZNOTHING);
    row_changed_locked(row);
    return FP_OK;
}

enum fp_status area_put(struct area *area, uint64_t slot, struct stored *next, struct zname *old)
{
    area_slot_take(area, slot);
    enum fp_status status = put_locked(area, slot, next, old);
    area_slot_drop(area, slot);
    return status;
}

enum fp_status area_put_pinned(struct area *area, const struct area_pin *pin, struct stored *next,
                               struct zname *old)
{
    area_slot_take(area, pin->slot);
    enum fp_status status = area_writes(area);
    if (status == FP_OK) status = FP_EXISTS;
    if (area_pin_current_locked(area, pin)) status = put_locked(area, pin->slot, next, old);
    area_slot_drop(area, pin->slot);
    return status;
}

struct zname area_replace_locked(struct area *area, uint64_t slot, struct stored *next)
{
    struct lock *stripe = stripe_of(area, slot);
    lock_assert_held(stripe);
    fp_assert(!area_pinned_locked(area, slot));
    struct zhandle handle = area_handle_locked(area, slot);
    bool touched = zpool_touched(area->zpool, handle);
    struct zname old = zpool_replace(area->zpool, handle, &next->handle);
    fp_assert(old.what != ZNOTHING);
    if (!touched) zpool_untouch(area->zpool, handle);
    count_change(area, next->name, old, (struct growth){0});
    return old;
}

struct zname area_spill_locked(struct area *area, uint64_t slot, uint64_t place)
{
    lock_assert_held(stripe_of(area, slot));
    fp_assert(!area_pinned_locked(area, slot));
    struct zhandle handle = area_handle_locked(area, slot);
    struct zname old = zpool_spill(area->zpool, handle, place);
    count_change(area, zpool_look(area->zpool, handle), old, (struct growth){0});
    return old;
}

/* Moves *slot over rows that hold nothing. True: the caller has to come back, or it is the end.
 * What is stored there while this looks is stored after the clearing, in the order of things. */
static bool skip_unused(const struct area *area, uint64_t *slot, uint64_t end)
{
    if (atomic_load(&area->counters.stored) == 0) {
        *slot = end;
        return true;
    }
    for (unsigned i = 0; i < AREA_SKIP_ROWS && *slot < end;) {
        uint64_t index = *slot / AREA_ROW_SLOTS, next = index + 1;
        if (used_of(row_at(area, index)) != 0) return false;
        const struct area_table_page *page = table_page(area, index);
        bool untouched = atomic_load_explicit(&page->charged, memory_order_relaxed) == 0;
        if (untouched) next = (index / AREA_TABLE_ROWS + 1) * AREA_TABLE_ROWS;
        i += untouched ? SKIPPED_PAGE_ROWS : 1;
        *slot = min_u64(next * AREA_ROW_SLOTS, end);
    }
    return true;
}

uint64_t area_skip_unused(const struct area *area, uint64_t slot)
{
    if (slot < area->slot_count) (void)skip_unused(area, &slot, area->slot_count);
    return slot;
}

/* False: it was empty. */
static bool clear_slot_locked(struct area *area, uint64_t slot, struct zname *ended)
{
    struct zhandle handle = area_handle_locked(area, slot);
    struct zname named = zpool_look(area->zpool, handle);
    if (named.what == ZNOTHING) return false;
    area_copy_before_locked(area, slot);
    bool mapped = area_pin_hand_over_locked(area, slot, &named);
    *ended = zpool_clear(area->zpool, handle);
    if (!mapped) named = *ended;
    count_change(area, (struct zname){.what = ZNOTHING}, named, (struct growth){0});
    row_count_locked(area, row_of(area, slot), (uint32_t)-1);
    row_changed_locked(row_of(area, slot));
    return true;
}

enum fp_status area_clear_pinned(struct area *area, const struct area_pin *pin,
                                 struct zname *ended)
{
    *ended = (struct zname){.what = ZNOTHING};
    area_slot_take(area, pin->slot);
    enum fp_status status = area_writes(area);
    if (status == FP_OK && !area_pin_current_locked(area, pin)) status = FP_EXISTS;
    if (status == FP_OK) (void)clear_slot_locked(area, pin->slot, ended);
    area_slot_drop(area, pin->slot);
    return status;
}

unsigned area_clear_some(struct area *area, uint64_t *slot, uint64_t end, struct zname *ended,
                         unsigned max)
{
    fp_assert(*slot < end && end <= area->slot_count);
    if (skip_unused(area, slot, end)) return 0;
    const struct area_row *row = row_of(area, *slot);
    uint64_t stop = min_u64((*slot / AREA_ROW_SLOTS + 1) * AREA_ROW_SLOTS, end);
    unsigned count = 0;
    struct lock *stripe = stripe_of(area, *slot);
    lock_take(stripe);
    while (*slot < stop && count < max && area_stand(area) != AREA_FROZEN) {
        if (used_of(row) == 0) {
            *slot = stop;
            break;
        }
        count += clear_slot_locked(area, *slot, &ended[count]);
        ++*slot;
    }
    lock_drop(stripe);
    return count;
}

/* --- looking at rows -------------------------------------------------------------------------- */

static void look_locked(const struct area *area, uint64_t index, struct area_row_look *look)
{
    const struct area_row *row = row_at(area, index);
    uint64_t end = min_u64((index + 1) * AREA_ROW_SLOTS, area->slot_count);
    *look = (struct area_row_look){
        .first = index * AREA_ROW_SLOTS,
        .changes = atomic_load_explicit(&row->changes, memory_order_relaxed),
        .used_slots = used_of(row)};
    for (uint64_t slot = look->first; slot < end && look->used_slots > 0; slot++) {
        uint64_t at = slot - look->first;
        struct zname name = zpool_look(area->zpool, area_handle_locked(area, slot));
        if (name.what != ZNOTHING) look->used[at / 8] |= (uint8_t)(1u << at % 8);
    }
}

bool area_look_row(struct area *area, uint64_t *slot, struct area_row_look *look)
{
    if (*slot >= area->slot_count) return false;
    uint64_t index = *slot / AREA_ROW_SLOTS;
    uint64_t stop = min_u64(index + AREA_SKIP_ROWS, area->row_count);
    while (index < stop &&
           atomic_load_explicit(&row_at(area, index)->changes, memory_order_relaxed) == 0)
        index++;
    *slot = min_u64(index * AREA_ROW_SLOTS, area->slot_count);
    if (index == stop) return false;
    area_slot_take(area, *slot);
    look_locked(area, index, look);
    area_slot_drop(area, *slot);
    *slot = min_u64((index + 1) * AREA_ROW_SLOTS, area->slot_count);
    return true;
}

/* --- checks ----------------------------------------------------------------------------------- */

/* Adds up what the slots of one row name. */
static void tally_row_locked(const struct area *area, uint64_t index, struct area_counters *sum)
{
    uint64_t first = index * AREA_ROW_SLOTS, before = sum->stored;
    uint64_t end = min_u64(first + AREA_ROW_SLOTS, area->slot_count);
    uint32_t used = used_of(row_at(area, index));
    for (uint64_t slot = first; slot < end && used > 0; slot++) {
        struct zname name = name_with_size(area, area_handle_locked(area, slot));
        sum->stored += name.what != ZNOTHING;
        sum->same_filled += entry_same_filled(name);
        sum->incompressible += entry_incompressible(name);
        sum->packed_bytes += entry_packed_bytes(name);
        sum->spilled += name.what == ZSPILLED;
        sum->spilled_bytes += name.what == ZSPILLED ? entry_packed_bytes(name) : 0u;
    }
    fp_assert(sum->stored - before == used);
}

void area_check(struct area *area)
{
    struct area_counters sum = {0};
    for (uint64_t index = 0; index < area->row_count; index++) {
        area_slot_take(area, index * AREA_ROW_SLOTS);
        tally_row_locked(area, index, &sum);
        area_slot_drop(area, index * AREA_ROW_SLOTS);
    }
    fp_assert(sum.stored == atomic_load(&area->counters.stored));
    fp_assert(sum.same_filled == atomic_load(&area->counters.same_filled));
    fp_assert(sum.incompressible == atomic_load(&area->counters.incompressible));
    fp_assert(sum.packed_bytes == atomic_load(&area->counters.packed_bytes));
    fp_assert(sum.spilled == atomic_load(&area->counters.spilled));
    fp_assert(sum.spilled_bytes == atomic_load(&area->counters.spilled_bytes));
}
