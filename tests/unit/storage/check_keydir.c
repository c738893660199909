/* SPDX-License-Identifier: BSD-3-Clause */
#include "storage/keydir.h"

#include <stdio.h>
#include <stdlib.h>

#include "tests/unit/base/suite.h"
#include "tests/unit/storage/kit.h"

static struct budget budget;
static struct keydir keydir;

static void setup(uint64_t limit_bytes)
{
    budget_init(&budget, limit_bytes);
    keydir_init(&keydir, &budget, 42);
}

static void teardown(void)
{
    keydir_check(&keydir);
    keydir_fini(&keydir);
    ck_assert(budget_total(&budget) == 0);
}

/* An item with a hash of our choice, so that we decide who collides. */
static struct item *item_of(const char *key, uint64_t hash)
{
    struct item *item = item_create(slice_text(key), hash, 0);
    ck_assert_ptr_nonnull(item);
    return item;
}

static void insert(struct keydir_shard *shard, struct item *item)
{
    lock_take(&shard->lock);
    ck_assert_int_eq(keydir_reserve_locked(&keydir, shard), FP_OK);
    keydir_insert_locked(shard, item);
    lock_drop(&shard->lock);
}

static void drop(struct keydir_shard *shard, struct item *item)
{
    lock_take(&shard->lock);
    keydir_remove_locked(shard, item);
    lock_drop(&shard->lock);
    ck_assert(item_release(item));
    free(item);
}

static struct item *find(struct keydir_shard *shard, uint64_t hash, const char *key)
{
    lock_take(&shard->lock);
    struct item *item = keydir_find_locked(shard, hash, slice_text(key));
    lock_drop(&shard->lock);
    return item;
}

static void use(struct keydir_shard *shard, struct item *item, uint64_t now_ms)
{
    lock_take(&shard->lock);
    keydir_use_locked(shard, item, now_ms);
    lock_drop(&shard->lock);
}

START_TEST(an_item_keeps_its_key_and_knows_its_pieces)
{
    static const size_t sizes[] = {0, 1, 16383, 16384, 16385, 1 << 20};
    static const unsigned pieces[] = {0, 1, 1, 1, 2, 64};
    for (size_t i = 0; i < FP_COUNT_OF(sizes); i++) {
        struct item *item = item_create(slice_text("some key"), 77, sizes[i]);
        size_t sum = 0;
        ck_assert_uint_eq(item->piece_count, pieces[i]);
        ck_assert(slice_is(item_key(item), "some key") && item->hash == 77);
        for (unsigned p = 0; p < item->piece_count; p++) {
            ck_assert(item->pieces[p].number == 0);
            ck_assert(item_piece_bytes(item, p) <= ITEM_PIECE_BYTES);
            sum += item_piece_bytes(item, p);
        }
        ck_assert(sum == sizes[i]);
        item_acquire(item);
        ck_assert(!item_release(item));
        ck_assert(item_release(item));
        free(item);
    }
}
END_TEST

START_TEST(keys_are_told_apart_by_every_byte_and_not_only_by_their_hash)
{
    setup(UINT64_MAX);
    struct keydir_shard *shard = keydir_shard(&keydir, 5);
    struct item *a = item_of("a", 5), *b = item_of("b", 5), *ab = item_of("ab", 5);
    insert(shard, a);
    insert(shard, b);
    insert(shard, ab);
    ck_assert_ptr_eq(find(shard, 5, "a"), a);
    ck_assert_ptr_eq(find(shard, 5, "b"), b);
    ck_assert_ptr_eq(find(shard, 5, "ab"), ab);
    ck_assert_ptr_null(find(shard, 5, "aa"));
    ck_assert_ptr_null(find(shard, 6, "a"));
    ck_assert(keydir_item_count(&keydir) == 3);
    drop(shard, a);
    ck_assert_ptr_null(find(shard, 5, "a"));
    ck_assert_ptr_eq(find(shard, 5, "ab"), ab);
    drop(shard, ab);
    drop(shard, b);
    teardown();
}
END_TEST

START_TEST(the_hash_depends_on_the_seed_and_spreads_over_the_shards)
{
    static struct keydir other;
    unsigned counts[KEYDIR_SHARDS] = {0};
    setup(UINT64_MAX);
    keydir_init(&other, &budget, 43);
    for (int i = 0; i < 6400; i++) {
        char key[16];
        (void)snprintf(key, sizeof key, "key:%d", i);
        uint64_t hash = keydir_hash(&keydir, slice_text(key));
        ck_assert(hash != keydir_hash(&other, slice_text(key)));
        counts[keydir_shard(&keydir, hash) - keydir.shards]++;
    }
    for (int i = 0; i < KEYDIR_SHARDS; i++) ck_assert(counts[i] > 50 && counts[i] < 150);
    keydir_fini(&other);
    teardown();
}
END_TEST

/* The hashes lie around the table's end and on each other, so that removals must move items back,
 * over the end too; every item must be found after every step. */
START_TEST(removals_among_collisions_lose_nobody)
{
    enum { ITEMS = 48, STEPS = 20000 };
    struct item *items[ITEMS] = {NULL};
    char keys[ITEMS][8];
    struct rng rng = {.state = 9};
    setup(UINT64_MAX);
    struct keydir_shard *shard = keydir_shard(&keydir, 0);
    for (int i = 0; i < ITEMS; i++) (void)snprintf(keys[i], sizeof keys[i], "k%d", i);
    for (int step = 0; step < STEPS; step++) {
        unsigned at = (unsigned)rng_below(&rng, ITEMS);
        if (items[at] == NULL) {
            uint64_t hash = (KEYDIR_TABLE_MIN - 6 + rng_below(&rng, 12)) % KEYDIR_TABLE_MIN;
            items[at] = item_of(keys[at], hash | (rng_next(&rng) & 0xff00));
            insert(shard, items[at]);
        } else {
            drop(shard, items[at]);
            items[at] = NULL;
        }
        for (int i = 0; i < ITEMS; i++)
            if (items[i] != NULL) ck_assert_ptr_eq(find(shard, items[i]->hash, keys[i]), items[i]);
        keydir_check(&keydir);
    }
    ck_assert(shard->capacity == KEYDIR_TABLE_MIN);
    for (int i = 0; i < ITEMS; i++)
        if (items[i] != NULL) drop(shard, items[i]);
    teardown();
}
END_TEST

START_TEST(a_table_grows_with_its_items_and_is_charged_for)
{
    enum { ITEMS = 5000 };
    static struct item *items[ITEMS];
    struct rng rng = {.state = 4};
    setup(UINT64_MAX);
    struct keydir_shard *shard = keydir_shard(&keydir, 0);
    for (int i = 0; i < ITEMS; i++) {
        items[i] = item_of("same key", rng_next(&rng) >> 6);
        insert(shard, items[i]);
        ck_assert(shard->item_count * 4 <= shard->capacity * 3);
        ck_assert(budget_held(&budget, BUDGET_KEYDIR) == shard->capacity * sizeof(void *));
    }
    keydir_check(&keydir);
    ck_assert(shard->capacity == 8192);
    for (int i = 0; i < ITEMS; i++) drop(shard, items[i]);
    teardown();
}
END_TEST

START_TEST(a_table_that_may_not_grow_says_so_and_stays)
{
    struct item *items[KEYDIR_TABLE_MIN];
    setup(KEYDIR_TABLE_MIN * sizeof(void *) + 100);
    struct keydir_shard *shard = keydir_shard(&keydir, 0);
    unsigned count = 0;
    lock_take(&shard->lock);
    while (keydir_reserve_locked(&keydir, shard) == FP_OK) {
        items[count] = item_of("k", count);
        keydir_insert_locked(shard, items[count++]);
    }
    lock_drop(&shard->lock);
    ck_assert_uint_eq(count, KEYDIR_TABLE_MIN * 3 / 4);
    ck_assert(budget_total(&budget) == KEYDIR_TABLE_MIN * sizeof(void *));
    for (unsigned i = 0; i < count; i++) ck_assert_ptr_eq(find(shard, i, "k"), items[i]);
    drop(shard, items[0]);
    lock_take(&shard->lock);
    ck_assert_int_eq(keydir_reserve_locked(&keydir, shard), FP_OK);
    lock_drop(&shard->lock);
    for (unsigned i = 1; i < count; i++) drop(shard, items[i]);
    teardown();
}
END_TEST

START_TEST(the_oldest_is_what_was_not_used_for_longest)
{
    setup(UINT64_MAX);
    struct keydir_shard *shard = keydir_shard(&keydir, 0);
    struct item *items[4];
    for (unsigned i = 0; i < 4; i++) {
        items[i] = item_of("k", i);
        items[i]->accessed_ms = 10 + i;
        insert(shard, items[i]);
    }
    ck_assert_ptr_eq(shard->oldest, items[0]);
    ck_assert_ptr_eq(shard->newest, items[3]);
    ck_assert(atomic_load(&shard->oldest_ms) == 10);
    use(shard, items[0], 20); /* the oldest becomes the newest */
    ck_assert_ptr_eq(shard->oldest, items[1]);
    use(shard, items[2], 21); /* one in the middle */
    use(shard, items[2], 22); /* the newest itself */
    ck_assert_ptr_eq(shard->newest, items[2]);
    ck_assert(atomic_load(&shard->oldest_ms) == 11);
    keydir_check(&keydir);
    static const unsigned order[] = {1, 3, 0, 2};
    for (unsigned i = 0; i < 4; i++) {
        ck_assert_ptr_eq(shard->oldest, items[order[i]]);
        drop(shard, items[order[i]]);
        keydir_check(&keydir);
    }
    ck_assert(atomic_load(&shard->oldest_ms) == UINT64_MAX);
    ck_assert_ptr_null(shard->newest);
    teardown();
}
END_TEST

START_TEST(the_oldest_shard_is_that_of_the_oldest_item)
{
    setup(UINT64_MAX);
    struct item *items[KEYDIR_SHARDS];
    ck_assert_ptr_null(keydir_oldest_shard(&keydir));
    for (unsigned i = 0; i < KEYDIR_SHARDS; i++) {
        items[i] = item_of("k", (uint64_t)i << 58);
        items[i]->accessed_ms = 1000 - i;
        insert(keydir_shard(&keydir, items[i]->hash), items[i]);
        ck_assert_ptr_eq(keydir_oldest_shard(&keydir), &keydir.shards[i]);
    }
    use(&keydir.shards[63], items[63], 2000);
    ck_assert_ptr_eq(keydir_oldest_shard(&keydir), &keydir.shards[62]);
    drop(&keydir.shards[62], items[62]);
    ck_assert_ptr_eq(keydir_oldest_shard(&keydir), &keydir.shards[61]);
    for (unsigned i = 0; i < KEYDIR_SHARDS; i++)
        if (i != 62) drop(&keydir.shards[i], items[i]);
    teardown();
}
END_TEST

START_TEST(what_is_mapped_is_out_of_the_order_until_its_last_map_ends)
{
    setup(UINT64_MAX);
    struct item *items[3];
    struct keydir_shard *shard = &keydir.shards[0];
    static const char *const keys[] = {"a", "b", "c"};
    for (unsigned i = 0; i < 3; i++) {
        items[i] = item_of(keys[i], i);
        items[i]->accessed_ms = 100 + i;
        insert(shard, items[i]);
    }
    lock_take(&shard->lock);
    ck_assert_int_eq(keydir_map_locked(shard, items[0], false), FP_OK);
    ck_assert_ptr_eq(shard->oldest, items[1]);
    ck_assert_int_eq(keydir_map_locked(shard, items[0], true), FP_OK);
    ck_assert_int_eq(keydir_map_locked(shard, items[0], true), FP_BUSY);
    keydir_unmap_locked(shard, items[0], true, 500);
    ck_assert(items[0]->mapped && shard->newest == items[2]);
    keydir_use_locked(shard, items[0], 600); /* read meanwhile */
    ck_assert_ptr_eq(shard->newest, items[2]);
    ck_assert_int_eq(keydir_map_locked(shard, items[1], true), FP_OK);
    ck_assert_int_eq(keydir_map_locked(shard, items[2], false), FP_OK);
    ck_assert_ptr_null(shard->oldest);
    ck_assert_ptr_null(keydir_oldest_shard(&keydir)); /* none can give way */
    lock_drop(&shard->lock);
    keydir_check(&keydir);
    lock_take(&shard->lock);
    keydir_remove_locked(shard, items[2]);
    keydir_unmap_locked(shard, items[2], false, 700); /* not in the directory any more */
    keydir_unmap_locked(shard, items[0], false, 800);
    ck_assert(shard->oldest == items[0] && shard->newest == items[0]);
    ck_assert(items[0]->accessed_ms == 800);
    keydir_unmap_locked(shard, items[1], true, 900);
    ck_assert(shard->newest == items[1] && shard->oldest == items[0]);
    lock_drop(&shard->lock);
    keydir_check(&keydir);
    ck_assert(item_release(items[2]));
    free(items[2]);
    for (unsigned i = 0; i < 2; i++) drop(shard, items[i]);
    teardown();
}
END_TEST

int main(void)
{
    return suite_run("keydir", an_item_keeps_its_key_and_knows_its_pieces,
                     keys_are_told_apart_by_every_byte_and_not_only_by_their_hash,
                     the_hash_depends_on_the_seed_and_spreads_over_the_shards,
                     removals_among_collisions_lose_nobody,
                     a_table_grows_with_its_items_and_is_charged_for,
                     a_table_that_may_not_grow_says_so_and_stays,
                     the_oldest_is_what_was_not_used_for_longest,
                     the_oldest_shard_is_that_of_the_oldest_item,
                     what_is_mapped_is_out_of_the_order_until_its_last_map_ends);
}
