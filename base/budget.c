/* SPDX-License-Identifier: BSD-3-Clause */
#include "base/budget.h"

#include "base/check.h"

void budget_init(struct budget *budget, uint64_t limit_bytes)
{
    atomic_init(&budget->limit_bytes, limit_bytes);
    atomic_init(&budget->wanted_bytes, limit_bytes);
    atomic_init(&budget->total_bytes, 0);
    for (int i = 0; i < BUDGET_USES_COUNT; i++) atomic_init(&budget->held_bytes[i], 0);
}

bool budget_charge(struct budget *budget, enum budget_use use, uint64_t bytes)
{
    uint64_t limit = budget_limit(budget);
    uint64_t total = atomic_load_explicit(&budget->total_bytes, memory_order_relaxed);
    do {
        if (bytes > limit || total > limit - bytes) return false;
    } while (!atomic_compare_exchange_weak_explicit(&budget->total_bytes, &total, total + bytes,
                                                    memory_order_relaxed, memory_order_relaxed));
    atomic_fetch_add_explicit(&budget->held_bytes[use], bytes, memory_order_relaxed);
    return true;
}

void budget_charge_anyway(struct budget *budget, enum budget_use use, uint64_t bytes)
{
    atomic_fetch_add_explicit(&budget->total_bytes, bytes, memory_order_relaxed);
    atomic_fetch_add_explicit(&budget->held_bytes[use], bytes, memory_order_relaxed);
}

void budget_return(struct budget *budget, enum budget_use use, uint64_t bytes)
{
    uint64_t held =
        atomic_fetch_sub_explicit(&budget->held_bytes[use], bytes, memory_order_relaxed);
    fp_assert(held >= bytes);
    atomic_fetch_sub_explicit(&budget->total_bytes, bytes, memory_order_relaxed);
}

void budget_move(struct budget *budget, enum budget_use from, enum budget_use to, uint64_t bytes)
{
    atomic_fetch_add_explicit(&budget->held_bytes[to], bytes, memory_order_relaxed);
    uint64_t held =
        atomic_fetch_sub_explicit(&budget->held_bytes[from], bytes, memory_order_relaxed);
    fp_assert(held >= bytes);
}

void budget_set_limit(struct budget *budget, uint64_t limit_bytes)
{
    atomic_store_explicit(&budget->wanted_bytes, limit_bytes, memory_order_relaxed);
    atomic_store_explicit(&budget->limit_bytes, limit_bytes, memory_order_relaxed);
}

void budget_approach_limit(struct budget *budget, uint64_t limit_bytes)
{
    uint64_t total = budget_total(budget);
    atomic_store_explicit(&budget->wanted_bytes, limit_bytes, memory_order_relaxed);
    atomic_store_explicit(&budget->limit_bytes, total > limit_bytes ? total : limit_bytes,
                          memory_order_relaxed);
}

bool budget_settle(struct budget *budget)
{
    uint64_t total = budget_total(budget), wanted = budget_wanted(budget);
    uint64_t limit = budget_limit(budget);
    uint64_t next = total > wanted ? total : wanted;
    /* Whoever has set another one meanwhile is right. */
    if (next < limit)
        (void)atomic_compare_exchange_strong(&budget->limit_bytes, &limit, next);
    return total <= wanted;
}

uint64_t budget_wanted(const struct budget *budget)
{
    return atomic_load_explicit(&budget->wanted_bytes, memory_order_relaxed);
}

uint64_t budget_limit(const struct budget *budget)
{
    return atomic_load_explicit(&budget->limit_bytes, memory_order_relaxed);
}

uint64_t budget_total(const struct budget *budget)
{
    return atomic_load_explicit(&budget->total_bytes, memory_order_relaxed);
}

uint64_t budget_held(const struct budget *budget, enum budget_use use)
{
    return atomic_load_explicit(&budget->held_bytes[use], memory_order_relaxed);
}

const char *budget_use_name(enum budget_use use)
{
    static const char *const names[] = {
#define X(use, name, text) name,
        BUDGET_USES(X)
#undef X
    };
    fp_assert((unsigned)use < FP_COUNT_OF(names));
    return names[use];
}

void budget_recharge(struct budget *budget, enum budget_use use, uint64_t *charged, uint64_t now)
{
    if (now > *charged) budget_charge_anyway(budget, use, now - *charged);
    else budget_return(budget, use, *charged - now);
    *charged = now;
}
