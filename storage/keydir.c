/* SPDX-License-Identifier: BSD-3-Clause */
#define XXH_INLINE_ALL /* the shared library's XXH3 is several times slower */
#include "storage/keydir.h"

#include <stdlib.h>
#include <xxhash.h>

#include "base/check.h"

void keydir_init(struct keydir *keydir, struct budget *budget, uint64_t seed)
{
    keydir->budget = budget;
    keydir->seed = seed;
    for (unsigned i = 0; i < KEYDIR_SHARDS; i++) {
        struct keydir_shard *shard = &keydir->shards[i];
        *shard = (struct keydir_shard){0};
        lock_init(&shard->lock, RANK_KEYDIR_SHARD);
        atomic_init(&shard->oldest_ms, UINT64_MAX);
    }
}

void keydir_fini(struct keydir *keydir)
{
    for (unsigned i = 0; i < KEYDIR_SHARDS; i++) {
        struct keydir_shard *shard = &keydir->shards[i];
        fp_assert(shard->item_count == 0);
        budget_return(keydir->budget, BUDGET_KEYDIR, shard->capacity * sizeof *shard->table);
        free(shard->table);
        lock_fini(&shard->lock);
    }
}

uint64_t keydir_hash(const struct keydir *keydir, struct slice key)
{
    return XXH3_64bits_withSeed(key.bytes, key.size_bytes, keydir->seed);
}

/* The top bits choose the shard, the low ones the place in its table. */
struct keydir_shard *keydir_shard(struct keydir *keydir, uint64_t hash)
{
    return &keydir->shards[hash >> 58];
}
_Static_assert(KEYDIR_SHARDS == 64, "six bits of the hash choose the shard");

static uint64_t next_place(const struct keydir_shard *shard, uint64_t place)
{
    return (place + 1) & (shard->capacity - 1);
}

struct item *keydir_find_locked(struct keydir_shard *shard, uint64_t hash, struct slice key)
{
    lock_assert_held(&shard->lock);
    if (shard->item_count == 0) return NULL;
    for (uint64_t p = hash & (shard->capacity - 1); shard->table[p]; p = next_place(shard, p)) {
        struct item *item = shard->table[p];
        if (item->hash == hash && slice_equal(item_key(item), key)) return item;
    }
    return NULL;
}

static void table_put(struct keydir_shard *shard, struct item *item)
{
    uint64_t place = item->hash & (shard->capacity - 1);
    while (shard->table[place] != NULL) place = next_place(shard, place);
    shard->table[place] = item;
}

enum fp_status keydir_reserve_locked(struct keydir *keydir, struct keydir_shard *shard)
{
    lock_assert_held(&shard->lock);
    if ((shard->item_count + 1) * 4 <= shard->capacity * 3) return FP_OK;
    uint64_t old_capacity = shard->capacity;
    uint64_t capacity = old_capacity ? old_capacity * 2 : KEYDIR_TABLE_MIN;
    if (!budget_charge(keydir->budget, BUDGET_KEYDIR, capacity * sizeof *shard->table))
        return FP_NO_MEMORY;
    struct item **table = calloc(capacity, sizeof *table);
    if (table == NULL) {
        budget_return(keydir->budget, BUDGET_KEYDIR, capacity * sizeof *table);
        return FP_NO_MEMORY;
    }
    struct item **old = shard->table;
    shard->table = table;
    shard->capacity = capacity;
    for (uint64_t i = 0; i < old_capacity; i++)
        if (old[i] != NULL) table_put(shard, old[i]);
    free(old);
    budget_return(keydir->budget, BUDGET_KEYDIR, old_capacity * sizeof *table);
    return FP_OK;
}

static void set_oldest_locked(struct keydir_shard *shard)
{
    uint64_t ms = shard->oldest == NULL ? UINT64_MAX : shard->oldest->accessed_ms;
    atomic_store_explicit(&shard->oldest_ms, ms, memory_order_relaxed);
}

static void order_push(struct keydir_shard *shard, struct item *item)
{
    item->newer = NULL;
    item->older = shard->newest;
    if (shard->newest != NULL) shard->newest->newer = item;
    shard->newest = item;
    if (shard->oldest == NULL) shard->oldest = item;
}

static void order_unlink(struct keydir_shard *shard, struct item *item)
{
    if (item->newer != NULL) item->newer->older = item->older;
    else shard->newest = item->older;
    if (item->older != NULL) item->older->newer = item->newer;
    else shard->oldest = item->newer;
}

static struct item_class_count *class_of(struct keydir_shard *shard, const struct item *item)
{
    return &shard->classes[item_class_of(item_memory_bytes(item))];
}

static void count_in(struct keydir_shard *shard, const struct item *item)
{
    struct item_class_count *count = class_of(shard, item);
    count->items++;
    count->memory_bytes += item_memory_bytes(item);
}

static void count_out(struct keydir_shard *shard, const struct item *item)
{
    struct item_class_count *count = class_of(shard, item);
    count->items--;
    count->memory_bytes -= item_memory_bytes(item);
}

void keydir_count_evicted_locked(struct keydir_shard *shard, const struct item *item,
                                 uint64_t now_ms)
{
    lock_assert_held(&shard->lock);
    struct item_class_count *count = class_of(shard, item);
    count->evicted++;
    count->evicted_unfetched += !item->fetched;
    count->evicted_with_time += item->expires_s != 0;
    count->evicted_idle_ms = now_ms > item->accessed_ms ? now_ms - item->accessed_ms : 0;
}

void keydir_count_dead_locked(struct keydir_shard *shard, const struct item *item)
{
    lock_assert_held(&shard->lock);
    class_of(shard, item)->reclaimed++;
}

void keydir_insert_locked(struct keydir_shard *shard, struct item *item)
{
    lock_assert_held(&shard->lock);
    fp_assert((shard->item_count + 1) * 4 <= shard->capacity * 3);
    table_put(shard, item);
    shard->item_count++;
    count_in(shard, item);
    class_of(shard, item)->stored++;
    order_push(shard, item);
    set_oldest_locked(shard);
}

/* Closes the gap at `hole`: whatever would no longer be found behind it moves into it. */
static void close_gap(struct keydir_shard *shard, uint64_t hole)
{
    uint64_t mask = shard->capacity - 1;
    shard->table[hole] = NULL;
    for (uint64_t p = next_place(shard, hole); shard->table[p] != NULL; p = next_place(shard, p)) {
        uint64_t home = shard->table[p]->hash & mask;
        if (((p - home) & mask) < ((p - hole) & mask)) continue; /* its home is behind the hole */
        shard->table[hole] = shard->table[p];
        shard->table[p] = NULL;
        hole = p;
    }
}

static uint64_t place_of(const struct keydir_shard *shard, const struct item *item)
{
    uint64_t place = item->hash & (shard->capacity - 1);
    while (shard->table[place] != item) {
        fp_assert(shard->table[place] != NULL);
        place = next_place(shard, place);
    }
    return place;
}

void keydir_replace_locked(struct keydir_shard *shard, struct item *old, struct item *next)
{
    lock_assert_held(&shard->lock);
    fp_assert(next->hash == old->hash && !old->mapped);
    shard->table[place_of(shard, old)] = next;
    count_out(shard, old);
    count_in(shard, next);
    next->newer = old->newer;
    next->older = old->older;
    if (old->newer != NULL) old->newer->older = next;
    else shard->newest = next;
    if (old->older != NULL) old->older->newer = next;
    else shard->oldest = next;
    set_oldest_locked(shard);
}

void keydir_remove_locked(struct keydir_shard *shard, struct item *item)
{
    lock_assert_held(&shard->lock);
    close_gap(shard, place_of(shard, item));
    shard->item_count--;
    count_out(shard, item);
    if (!item->mapped) order_unlink(shard, item);
    set_oldest_locked(shard);
}

void keydir_use_locked(struct keydir_shard *shard, struct item *item, uint64_t now_ms)
{
    lock_assert_held(&shard->lock);
    item->accessed_ms = now_ms;
    if (!item->mapped && shard->newest != item) {
        order_unlink(shard, item);
        order_push(shard, item);
    }
    set_oldest_locked(shard);
}

enum fp_status keydir_map_locked(struct keydir_shard *shard, struct item *item, bool writes)
{
    lock_assert_held(&shard->lock);
    if (!item->mapped) {
        order_unlink(shard, item);
        set_oldest_locked(shard);
        item->mapped = true;
        item->maps = 0;
        item->map_writes = false;
    }
    if (writes && item->map_writes) return FP_BUSY;
    fp_assert(item->maps < INT32_MAX);
    item->maps++;
    item->map_writes |= writes;
    return FP_OK;
}

void keydir_unmap_locked(struct keydir_shard *shard, struct item *item, bool writes,
                         uint64_t now_ms)
{
    lock_assert_held(&shard->lock);
    fp_assert(item->mapped && item->maps > 0 && (!writes || item->map_writes));
    if (writes) item->map_writes = false;
    if (--item->maps > 0) return;
    item->mapped = false;
    if (keydir_find_locked(shard, item->hash, item_key(item)) != item) return;
    item->accessed_ms = now_ms;
    order_push(shard, item);
    set_oldest_locked(shard);
}

struct keydir_shard *keydir_oldest_shard(struct keydir *keydir)
{
    struct keydir_shard *found = NULL;
    uint64_t lowest = UINT64_MAX;
    for (unsigned i = 0; i < KEYDIR_SHARDS; i++) {
        struct keydir_shard *shard = &keydir->shards[i];
        uint64_t ms = atomic_load_explicit(&shard->oldest_ms, memory_order_relaxed);
        if (ms >= lowest) continue;
        lowest = ms;
        found = shard;
    }
    return found;
}

uint64_t keydir_item_count(struct keydir *keydir)
{
    uint64_t count = 0;
    for (unsigned i = 0; i < KEYDIR_SHARDS; i++) {
        lock_take(&keydir->shards[i].lock);
        count += keydir->shards[i].item_count;
        lock_drop(&keydir->shards[i].lock);
    }
    return count;
}

void keydir_check(struct keydir *keydir)
{
    uint64_t table_bytes = 0;
    for (unsigned i = 0; i < KEYDIR_SHARDS; i++) {
        struct keydir_shard *shard = &keydir->shards[i];
        lock_take(&shard->lock);
        uint64_t in_table = 0, in_order = 0, mapped = 0, counted = 0;
        for (uint64_t p = 0; p < shard->capacity; p++) {
            struct item *item = shard->table[p];
            if (item == NULL) continue;
            in_table++;
            mapped += item->mapped;
            fp_assert(keydir_find_locked(shard, item->hash, item_key(item)) == item);
        }
        for (struct item *item = shard->newest; item != NULL; item = item->older) {
            in_order++;
            fp_assert(!item->mapped);
            fp_assert(item->older != NULL ? item->older->newer == item : shard->oldest == item);
        }
        fp_assert(in_table == shard->item_count && in_order + mapped == shard->item_count);
        for (unsigned n = 1; n <= ITEM_CLASSES_MAX; n++) counted += shard->classes[n].items;
        fp_assert(counted == shard->item_count);
        table_bytes += shard->capacity * sizeof *shard->table;
        lock_drop(&shard->lock);
    }
    fp_assert(table_bytes == budget_held(keydir->budget, BUDGET_KEYDIR));
}
