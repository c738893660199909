/* SPDX-License-Identifier: BSD-3-Clause */
#define XXH_INLINE_ALL /* the shared library's XXH3 is several times slower */
#include "storage/keydir/keydir.h"

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
        shard->keydir = keydir;
        lock_init(&shard->lock, RANK_KEYDIR_SHARD);
    }
    for (int i = 0; i < TENANTS_MAX; i++)
        for (int k = 0; k < ITEM_QUEUES; k++) atomic_init(&keydir->queue_bytes[i][k], 0);
    atomic_init(&keydir->spilled_bytes, 0);
    atomic_init(&keydir->turn, 0);
}

void keydir_fini(struct keydir *keydir)
{
    for (unsigned i = 0; i < KEYDIR_SHARDS; i++) {
        struct keydir_shard *shard = &keydir->shards[i];
        fp_assert(shard->item_count == 0);
        lock_take(&shard->lock);
        keydir_fit_locked(shard);
        keydir_order_fini(shard);
        lock_drop(&shard->lock);
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

struct item *keydir_find_by_hash_locked(struct keydir_shard *shard, uint64_t hash, keydir_is *is_it,
                                        void *context)
{
    lock_assert_held(&shard->lock);
    if (shard->item_count == 0) return NULL;
    for (uint64_t p = hash & (shard->capacity - 1); shard->table[p]; p = next_place(shard, p)) {
        struct item *item = shard->table[p];
        if (item->hash == hash && is_it(context, item)) return item;
    }
    return NULL;
}

static void table_put(struct keydir_shard *shard, struct item *item)
{
    uint64_t place = item->hash & (shard->capacity - 1);
    while (shard->table[place] != NULL) place = next_place(shard, place);
    shard->table[place] = item;
}

/* Where a table doubles, a ghost may be in either half. */
static void move_ghosts(uint16_t *to, const uint16_t *from, uint64_t count)
{
    memcpy(to, from, count * sizeof *from);
    memcpy(to + count, from, count * sizeof *from);
}

static enum fp_status resize(struct keydir_shard *shard, uint64_t capacity)
{
    struct budget *budget = shard->keydir->budget;
    uint64_t bytes = capacity * KEYDIR_PLACE_BYTES;
    if (capacity > KEYDIR_TABLE_MAX) return FP_NO_MEMORY;
    /* A smaller one must be had also where memory is full: it is what makes room. */
    if (capacity < shard->capacity) budget_charge_anyway(budget, BUDGET_KEYDIR, bytes);
    else if (!budget_charge(budget, BUDGET_KEYDIR, bytes)) return FP_NO_MEMORY;
    struct item **table = calloc(capacity, KEYDIR_PLACE_BYTES);
    if (table == NULL) {
        budget_return(budget, BUDGET_KEYDIR, bytes);
        return FP_NO_MEMORY;
    }
    struct keydir_shard old = {.table = shard->table, .ghosts = shard->ghosts,
                               .capacity = shard->capacity};
    shard->table = table;
    shard->ghosts = (uint16_t *)(table + capacity);
    shard->capacity = capacity;
    for (uint64_t i = 0; i < old.capacity; i++)
        if (old.table[i] != NULL) table_put(shard, old.table[i]);
    if (capacity == 2 * old.capacity) move_ghosts(shard->ghosts, old.ghosts, old.capacity / 2);
    free(old.table);
    budget_return(budget, BUDGET_KEYDIR, old.capacity * KEYDIR_PLACE_BYTES);
    return FP_OK;
}

static void forget_table(struct keydir_shard *shard)
{
    budget_return(shard->keydir->budget, BUDGET_KEYDIR, shard->capacity * KEYDIR_PLACE_BYTES);
    free(shard->table);
    shard->table = NULL;
    shard->ghosts = NULL;
    shard->capacity = 0;
    keydir_order_clear(shard);
    fifo_spares_fini(&shard->spares, shard->keydir->budget);
}

enum fp_status keydir_reserve_locked(struct keydir_shard *shard, uint8_t tenant)
{
    lock_assert_held(&shard->lock);
    if (!keydir_order_reserve(shard, tenant)) return FP_NO_MEMORY;
    if ((shard->item_count + 1) * 4 <= shard->capacity * 3) return FP_OK;
    return resize(shard, shard->capacity ? shard->capacity * 2 : KEYDIR_TABLE_MIN);
}

void keydir_fit_locked(struct keydir_shard *shard)
{
    lock_assert_held(&shard->lock);
    uint64_t capacity = shard->capacity;
    if (shard->item_count == 0) {
        forget_table(shard);
        return;
    }
    while (capacity > KEYDIR_TABLE_MIN && shard->item_count * 4 <= capacity) capacity /= 2;
    /* Twice as large as it need be is left alone: what comes next may need it. */
    if (capacity * 2 >= shard->capacity) return;
    enum fp_status status = resize(shard, capacity);
    (void)status; /* the next time */
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
    count->evicted_idle_ms = item_idle_ms(item, now_ms);
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
    keydir_order_enter(shard, item);
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
    keydir_order_replace(shard, old, next);
}

void keydir_overwrite_locked(struct keydir_shard *shard, struct item *old, struct item *next,
                             uint64_t now_ms)
{
    keydir_replace_locked(shard, old, next);
    class_of(shard, next)->stored++;
    keydir_use_locked(shard, next, now_ms);
}

void keydir_spilled_locked(struct keydir_shard *shard, struct item *item)
{
    lock_assert_held(&shard->lock);
    count_out(shard, item);
    item->packed_bytes = 0;
    count_in(shard, item);
    keydir_order_spilled(shard, item);
}

void keydir_remove_locked(struct keydir_shard *shard, struct item *item)
{
    lock_assert_held(&shard->lock);
    close_gap(shard, place_of(shard, item));
    shard->item_count--;
    shard->mapped_count -= item->mapped;
    keydir_order_stays(shard, item);
    count_out(shard, item);
    keydir_order_leave(shard, item);
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
        uint64_t in_table = 0, mapped = 0, leaving = 0, counted = 0;
        for (uint64_t p = 0; p < shard->capacity; p++) {
            struct item *item = shard->table[p];
            if (item == NULL) continue;
            in_table++;
            mapped += item->mapped;
            leaving += item->leaving;
            fp_assert(keydir_find_locked(shard, item->hash, item_key(item)) == item);
        }
        fp_assert(in_table == shard->item_count && mapped == shard->mapped_count);
        fp_assert(leaving == shard->leaving_count);
        keydir_order_check(shard);
        for (unsigned n = 1; n <= ITEM_CLASSES_MAX; n++) counted += shard->classes[n].items;
        fp_assert(counted == shard->item_count);
        table_bytes += shard->capacity * KEYDIR_PLACE_BYTES + keydir_order_bytes(shard);
        lock_drop(&shard->lock);
    }
    fp_assert(table_bytes == budget_held(keydir->budget, BUDGET_KEYDIR));
}
