/* SPDX-License-Identifier: BSD-3-Clause
 * tenant - whose what is stored is: how much each holds, may hold, and can count on.
 *
 * A tenant owns areas, and every item that it stored last. What it holds is counted in packed
 * bytes: of a page its object without the head, of an item its record and its objects, as `stats
 * items` has them. Tenant 0, the default, is everybody whom no configuration names.
 *
 *   0 ........ guaranteed ........ quota
 *      its own      |   borrowed     |  refused, or its own items give way
 *
 * What others leave may be borrowed. Where memory is short, whoever has borrowed most gives way
 * first. Pages give way only to a tier below, so they may not borrow what is guaranteed to others
 * and not used by them; items may, because they give it back at once.
 *
 * Life of a tenant: defined by its first name, and there until the store ends: what is no longer
 * configured keeps what it holds, with no limit and no guarantee, and nobody new belongs to it.
 *
 * Invariant: items + pages of all tenants' bytes == what all items and areas hold.
 * Threads: any. What is counted is atomic, and each tenant has cache lines of its own; a name never
 *          changes once its number was given out. Locks: tenants_define wants the caller's.
 */
#ifndef FARPAGE_STORAGE_TENANT_H
#define FARPAGE_STORAGE_TENANT_H
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/attrs.h"
#include "base/slice.h"
#include "base/status.h"

enum {
    TENANTS_MAX = 64, /* the default one among them; names ever given in one run */
    TENANT_DEFAULT = 0,
    TENANT_NAME_CAPACITY = 65,
    TENANTS_GUARANTEED_PERCENT = 75, /* of the memory limit: the most that all can count on */
};

struct tenant_limits {
    uint64_t quota_bytes, quota_pages; /* 0: none */
    uint64_t guaranteed_bytes;         /* <= quota_bytes, where that is not 0 */
};

struct tenant {
    char name[TENANT_NAME_CAPACITY];
    _Atomic bool configured;
    _Atomic uint64_t quota_bytes, quota_pages, guaranteed_bytes;
    _Atomic uint64_t bytes;      /* held: of items, pages, and values on their way in */
    _Atomic uint64_t item_bytes; /* of those, items' */
    _Atomic uint64_t items, pages;
    _Atomic uint64_t over_quota;         /* stores refused because of a limit of its own, */
    _Atomic uint64_t over_reserve;       /* or because others count on the memory */
    _Atomic uint64_t evictions;          /* its valid items that gave way */
    _Atomic uint64_t written_back_pages; /* its pages that went to the tier below */
} __attribute__((aligned(64)));

struct tenants {
    _Atomic uint32_t count; /* numbers given out; 1 at least */
    _Atomic uint64_t guaranteed_bytes; /* of all */
    _Atomic bool pages_give_way; /* to a tier below, as things are: then they may be borrowed */
    struct tenant of[TENANTS_MAX];
};

/* What somebody wants more than he has. */
struct tenant_need {
    uint64_t bytes, pages;
};

void tenants_init(struct tenants *tenants) FP_NONNULL(1);

/* Gives the name its number, the one it had before where it had one, and these limits. FP_TOO_BIG:
 * TENANTS_MAX names were given out. The caller sees that one thread does so at a time. */
enum fp_status tenants_define(struct tenants *tenants, struct slice name,
                              const struct tenant_limits *limits, uint8_t *number)
    FP_MUST_CHECK FP_NONNULL(1, 3, 4);
/* No limits from here on; nobody new belongs to it. Not of the default one. */
void tenants_dismiss(struct tenants *tenants, uint8_t number) FP_NONNULL(1);
/* False: no configured tenant is called so. */
bool tenants_find(const struct tenants *tenants, struct slice name, uint8_t *number)
    FP_MUST_CHECK FP_NONNULL(1, 3);
/* How many names can still be defined. */
static inline uint32_t tenants_room(const struct tenants *tenants)
{
    return TENANTS_MAX - atomic_load(&tenants->count);
}

/* Whether tenant_take may refuse it anything. */
static inline bool tenant_is_limited(const struct tenant *tenant)
{
    return (atomic_load_explicit(&tenant->quota_bytes, memory_order_relaxed) |
            atomic_load_explicit(&tenant->quota_pages, memory_order_relaxed)) != 0;
}

/* Counts in what is wanted, where that stays within the quotas; else false, and nothing changed. */
bool tenant_take(struct tenant *tenant, struct tenant_need need) FP_MUST_CHECK FP_NONNULL(1);
/* Counts in what there is already, or back what it no longer holds. Numbers wrap. */
static inline void tenant_change(struct tenant *tenant, uint64_t bytes, uint64_t pages)
{
    if (bytes != 0) atomic_fetch_add_explicit(&tenant->bytes, bytes, memory_order_relaxed);
    if (pages != 0) atomic_fetch_add_explicit(&tenant->pages, pages, memory_order_relaxed);
}
static inline void tenant_change_items(struct tenant *tenant, uint64_t bytes, uint64_t items)
{
    if (bytes != 0) atomic_fetch_add_explicit(&tenant->item_bytes, bytes, memory_order_relaxed);
    if (items != 0) atomic_fetch_add_explicit(&tenant->items, items, memory_order_relaxed);
}

/* --- who gives way ---------------------------------------------------------------------------- */

/* What it can count on with such a memory limit: all that is guaranteed to it, or its part of what
 * TENANTS_GUARANTEED_PERCENT of a limit are that was lowered below the guarantees of all. */
uint64_t tenants_guaranteed(const struct tenants *tenants, uint8_t number, uint64_t limit_bytes)
    FP_NONNULL(1);
/* What it holds beyond that. */
uint64_t tenants_borrowed(const struct tenants *tenants, uint8_t number, uint64_t limit_bytes)
    FP_NONNULL(1);

enum tenant_holding { TENANT_ITEMS, TENANT_PAGES };

/* Who has borrowed most of those that hold any: his items or pages give way first. `number` is
 * written only where true. */
bool tenants_most_borrowed(const struct tenants *tenants, enum tenant_holding holding,
                           uint64_t limit_bytes, uint8_t *number)
    FP_MUST_CHECK FP_NONNULL(1, 4);
/* Who is furthest beyond, or least below, what he can count on: for when somebody must. */
bool tenants_next_in_need(const struct tenants *tenants, enum tenant_holding holding,
                          uint64_t limit_bytes, uint8_t *number) FP_MUST_CHECK FP_NONNULL(1, 4);

/* Whether a page of so many bytes may be stored although it is borrowed: what is held without
 * items that can give way, and what others can still count on, must fit beside it. A look at each
 * tenant, but only where somebody is guaranteed anything and memory is that short. */
bool tenants_leave_reserve(const struct tenants *tenants, uint8_t number, uint64_t bytes,
                           uint64_t total_bytes, uint64_t limit_bytes)
    FP_MUST_CHECK FP_NONNULL(1);

#endif
