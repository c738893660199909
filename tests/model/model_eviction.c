/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The order of eviction against S3-FIFO as plain as it can be written: two queues of all pushes
 * that there were, a count of marks for each key, and ghosts by place. One shard, random
 * operations; whatever gives way must be the same key on both sides.
 *
 * The queues are those of fifo.h, which has a test of its own, because what is swept out of them
 * when must be the same too: a ticket repeats, and an old word may stand for a key again.
 *
 *   model_eviction [SEED [STEPS]]
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "storage/keydir/keydir.h"
#include "tests/unit/storage/kit.h"

enum { KEYS = 900, TICKETS = 64, PUSHES_MAX = 1 << 24, GHOSTS_MAX = KEYDIR_TABLE_MIN << 6 };
enum where { NOWHERE, SMALL, MAIN, MAPPED };

struct key {
    char name[8];
    uint64_t hash; /* the lowest bits are its own, and many have a home in common */
    struct item *item;
    enum where where;
    unsigned marks, maps;
    uint32_t pushed; /* number of the push that put it where it is */
    uint64_t bytes;
};

static struct {
    struct budget budget, own_budget;
    struct keydir keydir;
    struct keydir_shard *shard;
    struct key keys[KEYS];
    struct fifo lines[MAIN + 1]; /* of numbers of pushes */
    struct fifo_spares spares;
    uint64_t items[MAIN + 1], bytes[MAIN + 1], now_ms;
    uint32_t pushes;
    uint16_t pushed_keys[PUSHES_MAX]; /* by number of the push */
    uint16_t ghosts[GHOSTS_MAX];
    uint64_t capacity;
    struct rng rng;
    uint64_t victims, ghosts_met, swept;
} model;

/* --- the plain one ---------------------------------------------------------------------------- */

static void push(enum where where, unsigned k)
{
    struct key *key = &model.keys[k];
    fp_assert(model.pushes < PUSHES_MAX);
    key->where = where;
    key->pushed = model.pushes++;
    model.pushed_keys[key->pushed] = (uint16_t)k;
    fp_assert(fifo_spares_fit(&model.spares, 1, &model.own_budget));
    fifo_push(&model.lines[where], &model.spares, key->pushed);
    model.items[where]++;
    model.bytes[where] += key->bytes;
}

static void leave(struct key *key)
{
    if (key->where == SMALL || key->where == MAIN) {
        model.items[key->where]--;
        model.bytes[key->where] -= key->bytes;
    }
    key->where = NOWHERE;
}

/* Whether the push is the one that the key waits by, or looks like it. */
static bool stands(enum where where, uint32_t pushed)
{
    const struct key *key = &model.keys[model.pushed_keys[pushed]];
    return key->where == where && (key->pushed - pushed) % TICKETS == 0;
}

static bool keeps(void *opaque, uint32_t pushed)
{
    return stands(*(enum where *)opaque, pushed);
}

/* As the directory does before it takes one more. */
static void sweep(void)
{
    uint64_t small_gone = model.lines[SMALL].words - model.items[SMALL];
    uint64_t main_gone = model.lines[MAIN].words - model.items[MAIN];
    if (small_gone + main_gone <= model.shard->item_count + 2 * FIFO_CHUNK_WORDS) return;
    enum where where = small_gone > main_gone ? SMALL : MAIN;
    fifo_sweep(&model.lines[where], &model.spares, keeps, &where);
    model.swept++;
}

static uint16_t ghost_of(const struct key *key)
{
    return (uint16_t)(key->hash >> 40 | 1);
}

static uint16_t *ghost_place(const struct key *key)
{
    return &model.ghosts[key->hash % (model.capacity / 2)];
}

/* Ghosts double with the table, and are forgotten when it shrinks. */
static void follow_capacity(void)
{
    uint64_t before = model.capacity, now = model.shard->capacity;
    model.capacity = now;
    if (now == 2 * before)
        memcpy(model.ghosts + before / 2, model.ghosts, before / 2 * sizeof model.ghosts[0]);
    else if (now != before)
        memset(model.ghosts, 0, sizeof model.ghosts);
}

static unsigned plain_victim(void)
{
    for (;;) {
        enum where turn = model.bytes[SMALL] > (model.bytes[SMALL] + model.bytes[MAIN]) / 10
                              ? SMALL : MAIN;
        uint32_t pushed;
        fp_assert(fifo_pop(&model.lines[turn], &model.spares, &pushed));
        if (!stands(turn, pushed)) continue;
        unsigned k = model.pushed_keys[pushed];
        struct key *key = &model.keys[k];
        leave(key);
        if (key->marks == 0) {
            if (turn == SMALL) *ghost_place(key) = ghost_of(key);
            return k;
        }
        key->marks = turn == MAIN ? key->marks - 1 : 0;
        push(MAIN, k);
    }
}

/* --- both ------------------------------------------------------------------------------------- */

static struct item *make(struct key *key)
{
    struct item *item = item_create(slice_text(key->name), key->hash, 0);
    fp_assert(item != NULL);
    item->packed_bytes = (uint32_t)rng_below(&model.rng, 3000);
    return item;
}

static void end_item(struct item *item)
{
    fp_assert(item_release(item));
    free(item);
}

static void insert(unsigned k)
{
    struct key *key = &model.keys[k];
    struct item *item = make(key);
    sweep();
    fp_assert(keydir_reserve_locked(model.shard, TENANT_DEFAULT) == FP_OK);
    follow_capacity();
    keydir_insert_locked(model.shard, item);
    key->item = item;
    key->bytes = item_memory_bytes(item);
    key->marks = 0;
    bool ghost = *ghost_place(key) == ghost_of(key);
    if (ghost) *ghost_place(key) = 0;
    model.ghosts_met += ghost;
    push(ghost ? MAIN : SMALL, k);
}

static void use(struct key *key)
{
    keydir_use_locked(model.shard, key->item, model.now_ms);
    if (key->marks < 3) key->marks++;
}

static void drop(struct key *key)
{
    struct item *item = key->item;
    keydir_remove_locked(model.shard, item);
    for (; key->maps > 0; key->maps--)
        keydir_unmap_locked(model.shard, item, false, model.now_ms);
    end_item(item);
    leave(key);
    key->item = NULL;
}

static void replace(struct key *key, bool anew)
{
    struct item *next = make(key);
    if (anew) keydir_overwrite_locked(model.shard, key->item, next, model.now_ms);
    else keydir_replace_locked(model.shard, key->item, next);
    end_item(key->item);
    model.bytes[key->where] += item_memory_bytes(next) - key->bytes;
    key->item = next;
    key->bytes = item_memory_bytes(next);
    if (anew && key->marks < 3) key->marks++;
}

static void map(struct key *key)
{
    if (key->maps == 0) sweep();
    fp_assert(keydir_map_locked(model.shard, key->item, false) == FP_OK);
    if (key->maps++ == 0) leave(key);
    key->where = MAPPED;
}

static void unmap(unsigned k)
{
    struct key *key = &model.keys[k];
    keydir_unmap_locked(model.shard, key->item, false, model.now_ms);
    if (--key->maps == 0) push(MAIN, k);
}

static void evict(void)
{
    struct keydir_turn turn;
    struct item *item;
    if (model.bytes[SMALL] + model.bytes[MAIN] == 0) {
        fp_assert(!keydir_turn(&model.keydir, TENANT_DEFAULT, &turn));
        return;
    }
    do {
        fp_assert(keydir_turn(&model.keydir, TENANT_DEFAULT, &turn) && turn.shard == model.shard);
        item = keydir_victim_locked(&turn, false);
    } while (item == NULL);
    struct key *key = &model.keys[plain_victim()];
    fp_assert(key->item == item);
    keydir_remove_locked(model.shard, item);
    end_item(item);
    key->item = NULL;
    model.victims++;
}

static void check(void)
{
    uint64_t counts[MAPPED + 1] = {0};
    for (int i = 0; i < KEYS; i++) {
        const struct key *key = &model.keys[i];
        counts[key->where]++;
        fp_assert((key->item != NULL) == (key->where != NOWHERE));
        if (key->item == NULL) continue;
        fp_assert(keydir_find_locked(model.shard, key->hash, slice_text(key->name)) == key->item);
        fp_assert(key->item->marks == key->marks);
    }
    const struct keydir_queue *queues = model.shard->queues;
    fp_assert(atomic_load(&queues[ITEM_QUEUE_SMALL].items) == counts[SMALL]);
    fp_assert(atomic_load(&queues[ITEM_QUEUE_MAIN].items) == counts[MAIN]);
    fp_assert(model.shard->mapped_count == counts[MAPPED]);
    for (int i = 0; i < ITEM_QUEUE_SPILLED; i++) /* nothing is spilled */
        fp_assert(atomic_load(&model.keydir.queue_bytes[0][i]) == model.bytes[i + SMALL]);
    lock_drop(&model.shard->lock);
    keydir_check(&model.keydir);
    lock_take(&model.shard->lock);
    fp_assert(queues[ITEM_QUEUE_SMALL].fifo.words == model.lines[SMALL].words);
    fp_assert(queues[ITEM_QUEUE_MAIN].fifo.words == model.lines[MAIN].words);
}

/* Popular keys are used and come back more often. Times of much deleting, of filling up and of
 * emptying take turns, so that words of the gone are swept, tables grow and shrink. */
static void step(uint64_t number)
{
    unsigned age = (unsigned)(number / 4000 % 4);
    uint64_t span = rng_below(&model.rng, 3) == 0 ? KEYS : KEYS / 8;
    unsigned k = (unsigned)rng_below(&model.rng, span), what = (unsigned)rng_below(&model.rng, 100);
    struct key *key = &model.keys[k];
    model.now_ms += rng_below(&model.rng, 50);
    if (key->item == NULL) {
        if (age != 3 || what < 20) insert(k);
    } else if (what < (age == 1 ? 60 : 5)) {
        if (key->maps == 0 || what == 0) drop(key);
    } else if (what < 75) {
        use(key);
    } else if (what < 85) {
        if (key->maps == 0) replace(key, what < 80);
    } else if (what < 92) {
        map(key);
    } else if (key->maps > 0) {
        unmap(k);
    }
    if (age == 0 ? rng_below(&model.rng, 3) == 0 : age == 3) evict();
    if (number % 500 == 0) keydir_fit_locked(model.shard);
    follow_capacity();
    if (number % 200 == 0) check();
}

int main(int argc, char **argv)
{
    uint64_t seed = kit_number(argc, argv, 1, "FARPAGE_SEED", (uint64_t)time(NULL));
    uint64_t count = kit_number(argc, argv, 2, "FARPAGE_STEPS", 200000);
    printf("model_eviction %" PRIu64 " %" PRIu64 "\n", seed, count);
    (void)fflush(stdout);
    model.rng.state = seed;
    budget_init(&model.budget, UINT64_MAX);
    budget_init(&model.own_budget, UINT64_MAX);
    keydir_init(&model.keydir, &model.budget, seed);
    model.shard = &model.keydir.shards[0];
    for (unsigned i = 0; i < KEYS; i++) {
        struct key *key = &model.keys[i];
        (void)snprintf(key->name, sizeof key->name, "k%u", i);
        key->hash = (rng_next(&model.rng) >> 6 << 13 | (i * 7 % 8192)) & (UINT64_MAX >> 6);
    }
    lock_take(&model.shard->lock);
    for (uint64_t i = 0; i < count; i++) step(i);
    check();
    printf("gave way %" PRIu64 ", ghosts met %" PRIu64 "\n", model.victims, model.ghosts_met);
    fp_assert(count < 100000 || (model.victims > 1000 && model.ghosts_met > 50 && model.swept > 0));
    for (unsigned i = 0; i < KEYS; i++)
        if (model.keys[i].item != NULL) drop(&model.keys[i]);
    lock_drop(&model.shard->lock);
    for (int i = SMALL; i <= MAIN; i++) fifo_clear(&model.lines[i], &model.spares);
    fifo_spares_fini(&model.spares, &model.own_budget);
    keydir_fini(&model.keydir);
    fp_assert(budget_total(&model.budget) == 0);
    return 0;
}
