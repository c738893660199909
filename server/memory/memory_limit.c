/* SPDX-License-Identifier: BSD-3-Clause */
#include "server/memory/memory_limit.h"

#include "base/arith.h"
#include "storage/store/spill/store_spill.h"

void memory_watermarks_set(struct store *store, const struct config *config)
{
    watermarks_set(store_watermarks(store),
                   (struct watermark_levels){.high = config->storage.watermark_high,
                                             .low = config->storage.watermark_low,
                                             .accept = config->storage.watermark_accept});
}

void memory_spill_set(struct store *store, const struct config *config)
{
    bool on = config->storage.spill_items == CONFIG_SWITCH_ON;
    store_spill_set_items(store, on ? (uint32_t)config->storage.spill_item_bytes : 0);
}

const char *memory_limit_refusal(struct shared *shared, uint64_t bytes, uint64_t item_bytes_max)
{
    struct store *store = shared->store;
    uint64_t fixed = budget_held(store_budget(store), BUDGET_FIXED);
    if (bytes < fixed + MEMORY_ROOM_BYTES)
        return "storage.memory_limit: the program itself needs more";
    if (bytes / 2 < item_bytes_max)
        return "storage.memory_limit: storage.item_size_max is more than half of it";
    if (bytes / PAGES_BYTES > arena_size_pages(zpool_arena(store_zpool(store))))
        return "storage.memory_limit: so much more needs a restart";
    return NULL;
}

void memory_limit_apply(struct shared *shared)
{
    struct budget *budget = store_budget(shared->store);
    uint64_t bytes = min_u64(atomic_load(&shared->limit_bytes),
                             atomic_load(&shared->pressure.limit_bytes));
    if (bytes != budget_wanted(budget)) budget_approach_limit(budget, bytes);
}

void memory_limit_compare(const struct shared *shared, uint64_t bytes)
{
    if (!memory_limit_exceeds(shared->options, bytes)) return;
    log_event(shared->log, LOG_WARN,
              "storage.memory_limit is more than this container may have: the kernel would end the "
              "server before it is full",
              log_number("memory_limit_bytes", bytes),
              log_number("container_bytes", shared->options->container_bytes),
              log_text("cure", "leave it out, and it is 80 % of that"));
}

void memory_limit_set(struct shared *shared, uint64_t bytes, const char *by)
{
    struct budget *budget = store_budget(shared->store);
    uint64_t before = atomic_exchange(&shared->limit_bytes, bytes);
    memory_limit_apply(shared);
    lock_take(&shared->config_lock);
    uint64_t mapped = shared->config->session.mapped_total_max_bytes;
    lock_drop(&shared->config_lock);
    atomic_store(&shared->settings.session_mapped_total_max_bytes,
                 mapped != 0 ? min_u64(mapped, bytes / 2) : bytes / 4);
    if (before == bytes) return;
    log_event(shared->log, LOG_INFO, "memory limit changes", log_number("from_bytes", before),
              log_number("to_bytes", bytes), log_text("by", by),
              log_number("held_bytes", budget_total(budget)));
    memory_limit_compare(shared, bytes);
    compaction_wake(&shared->compaction);
}
