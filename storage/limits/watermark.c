/* SPDX-License-Identifier: BSD-3-Clause */
#include "storage/limits/watermark.h"

#include "base/check.h"

static uint32_t level(const _Atomic uint32_t *percent)
{
    return atomic_load_explicit(percent, memory_order_relaxed);
}

void watermarks_set(struct watermarks *watermarks, struct watermark_levels levels)
{
    fp_assert(levels.low <= levels.high && levels.high <= 100 && levels.accept <= 100);
    atomic_store(&watermarks->high, levels.high);
    atomic_store(&watermarks->low, levels.low);
    atomic_store(&watermarks->accept, levels.accept);
}

struct watermark_levels watermarks_levels(const struct watermarks *watermarks)
{
    return (struct watermark_levels){level(&watermarks->high), level(&watermarks->low),
                                     level(&watermarks->accept)};
}

uint64_t watermarks_excess(struct watermarks *watermarks, uint64_t total_bytes,
                           uint64_t limit_bytes)
{
    uint64_t low = watermark_bytes(limit_bytes, level(&watermarks->low));
    uint64_t high = watermark_bytes(limit_bytes, level(&watermarks->high));
    bool reclaiming = atomic_load_explicit(&watermarks->reclaiming, memory_order_relaxed);
    bool now = total_bytes > (reclaiming ? low : high);
    if (now != reclaiming)
        atomic_store_explicit(&watermarks->reclaiming, now, memory_order_relaxed);
    return now ? total_bytes - low : 0;
}

bool watermarks_hit(struct watermarks *watermarks)
{
    return !atomic_exchange(&watermarks->full, true);
}

bool watermarks_accept(struct watermarks *watermarks, uint64_t total_bytes, uint64_t limit_bytes)
{
    if (!atomic_load_explicit(&watermarks->full, memory_order_relaxed)) return true;
    if (total_bytes > watermark_bytes(limit_bytes, level(&watermarks->accept))) return false;
    atomic_store(&watermarks->full, false);
    return true;
}

void watermarks_forget(struct watermarks *watermarks)
{
    atomic_store(&watermarks->full, false);
}
