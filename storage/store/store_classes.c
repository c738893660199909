/* SPDX-License-Identifier: BSD-3-Clause */
#include "storage/store/store_classes.h"

#include "base/arith.h"
#include "storage/store/store_internal.h"

static void add_counts(struct item_class_count *sum, const struct item_class_count *count)
{
    sum->items += count->items;
    sum->memory_bytes += count->memory_bytes;
    sum->stored += count->stored;
    sum->evicted += count->evicted;
    sum->evicted_unfetched += count->evicted_unfetched;
    sum->evicted_with_time += count->evicted_with_time;
    sum->evicted_idle_ms = max_u64(sum->evicted_idle_ms, count->evicted_idle_ms);
    sum->reclaimed += count->reclaimed;
}

/* Keys are spread by their hash, so the first places of a table are as good as any. */
static void look_at_ages(const struct keydir_shard *shard, uint64_t now_ms,
                         struct store_class rows[ITEM_CLASSES_MAX + 1])
{
    uint64_t places = min_u64(shard->capacity, STORE_CLASSES_LOOKS_MAX / KEYDIR_SHARDS);
    for (uint64_t i = 0; i < places; i++) {
        const struct item *item = shard->table[i];
        if (item == NULL) continue;
        struct store_class *row = &rows[item_class_of(item_memory_bytes(item))];
        row->idle_ms = max_u64(row->idle_ms, item_idle_ms(item, now_ms));
    }
}

void store_classes(struct store *store, uint64_t now_ms,
                   struct store_class rows[ITEM_CLASSES_MAX + 1])
{
    memset(rows, 0, (ITEM_CLASSES_MAX + 1) * sizeof *rows);
    for (unsigned i = 0; i < KEYDIR_SHARDS; i++) {
        struct keydir_shard *shard = &store->keydir.shards[i];
        lock_take(&shard->lock);
        for (unsigned n = 1; n <= ITEM_CLASSES_MAX; n++)
            add_counts(&rows[n].count, &shard->classes[n]);
        look_at_ages(shard, now_ms, rows);
        lock_drop(&shard->lock);
    }
}

void store_classes_reset(struct store *store)
{
    for (unsigned i = 0; i < KEYDIR_SHARDS; i++) {
        struct keydir_shard *shard = &store->keydir.shards[i];
        lock_take(&shard->lock);
        for (unsigned n = 1; n <= ITEM_CLASSES_MAX; n++) {
            struct item_class_count *count = &shard->classes[n];
            *count = (struct item_class_count){.items = count->items,
                                               .memory_bytes = count->memory_bytes};
        }
        lock_drop(&shard->lock);
    }
}

uint64_t store_class_items(struct store *store, unsigned number)
{
    uint64_t items = 0;
    for (unsigned i = 0; i < KEYDIR_SHARDS; i++) {
        struct keydir_shard *shard = &store->keydir.shards[i];
        lock_take(&shard->lock);
        items += shard->classes[number].items;
        lock_drop(&shard->lock);
    }
    return items;
}
