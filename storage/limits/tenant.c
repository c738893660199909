/* SPDX-License-Identifier: BSD-3-Clause */
#include "storage/limits/tenant.h"

#include <string.h>

#include "base/arith.h"
#include "base/check.h"

/* What packed bytes cost besides themselves, at most: gaps, tables. */
enum { OVERHEAD_PART = 16 };

static uint64_t look(const _Atomic uint64_t *value)
{
    return atomic_load_explicit(value, memory_order_relaxed);
}

static uint64_t sub_or_0(uint64_t from, uint64_t what)
{
    return from > what ? from - what : 0;
}

static uint32_t count_of(const struct tenants *tenants)
{
    return atomic_load_explicit(&tenants->count, memory_order_acquire);
}

void tenants_init(struct tenants *tenants)
{
    memset(tenants, 0, sizeof *tenants);
    memcpy(tenants->of[TENANT_DEFAULT].name, "default", sizeof "default");
    atomic_store(&tenants->of[TENANT_DEFAULT].configured, true);
    atomic_store(&tenants->count, 1);
}

/* --- their names and limits ------------------------------------------------------------------- */

static void set_limits(struct tenants *tenants, struct tenant *tenant,
                       const struct tenant_limits *limits)
{
    uint64_t before = look(&tenant->guaranteed_bytes);
    atomic_store(&tenant->quota_bytes, limits->quota_bytes);
    atomic_store(&tenant->quota_pages, limits->quota_pages);
    atomic_store(&tenant->guaranteed_bytes, limits->guaranteed_bytes);
    atomic_fetch_add(&tenants->guaranteed_bytes, limits->guaranteed_bytes - before);
}

static bool find(const struct tenants *tenants, struct slice name, uint8_t *number)
{
    for (uint32_t i = 0; i < count_of(tenants); i++) {
        if (!slice_is(name, tenants->of[i].name)) continue;
        *number = (uint8_t)i;
        return true;
    }
    return false;
}

bool tenants_find(const struct tenants *tenants, struct slice name, uint8_t *number)
{
    uint8_t found;
    if (!find(tenants, name, &found) || !atomic_load(&tenants->of[found].configured)) return false;
    *number = found;
    return true;
}

enum fp_status tenants_define(struct tenants *tenants, struct slice name,
                              const struct tenant_limits *limits, uint8_t *number)
{
    fp_assert(name.size_bytes > 0 && name.size_bytes < TENANT_NAME_CAPACITY);
    uint32_t count = count_of(tenants);
    if (!find(tenants, name, number)) {
        if (count == TENANTS_MAX) return FP_TOO_BIG;
        memcpy(tenants->of[count].name, name.bytes, name.size_bytes);
        *number = (uint8_t)count;
        atomic_store_explicit(&tenants->count, count + 1, memory_order_release);
    }
    struct tenant *tenant = &tenants->of[*number];
    set_limits(tenants, tenant, limits);
    atomic_store(&tenant->configured, true);
    return FP_OK;
}

void tenants_dismiss(struct tenants *tenants, uint8_t number)
{
    static const struct tenant_limits none = {0};
    struct tenant *tenant = &tenants->of[number];
    set_limits(tenants, tenant, &none);
    if (number != TENANT_DEFAULT) atomic_store(&tenant->configured, false);
}

/* --- quotas ----------------------------------------------------------------------------------- */

/* Grows only while it stays within the quota; what does not grow always may. */
static bool grow(_Atomic uint64_t *held, uint64_t more, uint64_t quota)
{
    uint64_t now = look(held);
    if (more == 0) return true;
    do {
        if (quota != 0 && (now > quota || more > quota - now)) return false;
    } while (!atomic_compare_exchange_weak_explicit(held, &now, now + more, memory_order_relaxed,
                                                    memory_order_relaxed));
    return true;
}

bool tenant_take(struct tenant *tenant, struct tenant_need need)
{
    if (!grow(&tenant->pages, need.pages, look(&tenant->quota_pages))) return false;
    if (grow(&tenant->bytes, need.bytes, look(&tenant->quota_bytes))) return true;
    atomic_fetch_sub_explicit(&tenant->pages, need.pages, memory_order_relaxed);
    return false;
}

/* --- who gives way ---------------------------------------------------------------------------- */

uint64_t tenants_guaranteed(const struct tenants *tenants, uint8_t number, uint64_t limit_bytes)
{
    uint64_t own = look(&tenants->of[number].guaranteed_bytes);
    uint64_t all = look(&tenants->guaranteed_bytes);
    uint64_t most = limit_bytes / 100 * TENANTS_GUARANTEED_PERCENT;
    if (all <= most) return own;
    return (uint64_t)((double)own * (double)most / (double)all);
}

uint64_t tenants_borrowed(const struct tenants *tenants, uint8_t number, uint64_t limit_bytes)
{
    return sub_or_0(look(&tenants->of[number].bytes),
                    tenants_guaranteed(tenants, number, limit_bytes));
}

static bool holds(const struct tenant *tenant, enum tenant_holding holding)
{
    return look(holding == TENANT_ITEMS ? &tenant->items : &tenant->pages) > 0;
}

bool tenants_most_borrowed(const struct tenants *tenants, enum tenant_holding holding,
                           uint64_t limit_bytes, uint8_t *number)
{
    uint64_t most = 0;
    for (uint32_t i = 0; i < count_of(tenants); i++) {
        uint64_t borrowed = tenants_borrowed(tenants, (uint8_t)i, limit_bytes);
        if (borrowed <= most || !holds(&tenants->of[i], holding)) continue;
        most = borrowed;
        *number = (uint8_t)i;
    }
    return most > 0;
}

bool tenants_next_in_need(const struct tenants *tenants, enum tenant_holding holding,
                          uint64_t limit_bytes, uint8_t *number)
{
    uint64_t least = UINT64_MAX;
    if (tenants_most_borrowed(tenants, holding, limit_bytes, number)) return true;
    for (uint32_t i = 0; i < count_of(tenants); i++) {
        uint64_t below = sub_or_0(tenants_guaranteed(tenants, (uint8_t)i, limit_bytes),
                                  look(&tenants->of[i].bytes));
        if (below >= least || !holds(&tenants->of[i], holding)) continue;
        least = below;
        *number = (uint8_t)i;
    }
    return least != UINT64_MAX;
}

bool tenants_leave_reserve(const struct tenants *tenants, uint8_t number, uint64_t bytes,
                           uint64_t total_bytes, uint64_t limit_bytes)
{
    if (look(&tenants->guaranteed_bytes) == 0) return true;
    if (atomic_load_explicit(&tenants->pages_give_way, memory_order_relaxed)) return true;
    uint64_t own = tenants_guaranteed(tenants, number, limit_bytes);
    if (look(&tenants->of[number].bytes) + bytes <= own) return true;
    uint64_t reserve = 0, gives_way = 0;
    for (uint32_t i = 0; i < count_of(tenants); i++) {
        const struct tenant *tenant = &tenants->of[i];
        uint64_t held = look(&tenant->bytes);
        uint64_t guaranteed = tenants_guaranteed(tenants, (uint8_t)i, limit_bytes);
        gives_way += min_u64(look(&tenant->item_bytes), sub_or_0(held, guaranteed));
        if (i != number) reserve += sub_or_0(guaranteed, held);
    }
    reserve += reserve / OVERHEAD_PART;
    return sub_or_0(total_bytes, gives_way) + bytes + reserve <= limit_bytes;
}
