/* SPDX-License-Identifier: BSD-3-Clause */
#include "storage/keydir/keydir.h"

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
    ck_assert_int_eq(keydir_reserve_locked(shard, TENANT_DEFAULT), FP_OK);
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
        ck_assert_uint_eq(item_piece_count(item), pieces[i]);
        ck_assert(slice_is(item_key(item), "some key") && item->hash == 77);
        for (uint32_t p = 0; p < item_piece_count(item); p++) {
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
        ck_assert(budget_held(&budget, BUDGET_KEYDIR) ==
                  shard->capacity * KEYDIR_PLACE_BYTES + keydir_order_bytes(shard));
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
    setup(KEYDIR_TABLE_MIN * KEYDIR_PLACE_BYTES + (FIFO_SPARES + 2) * FIFO_CHUNK_BYTES);
    struct keydir_shard *shard = keydir_shard(&keydir, 0);
    unsigned count = 0;
    lock_take(&shard->lock);
    while (keydir_reserve_locked(shard, TENANT_DEFAULT) == FP_OK) {
        items[count] = item_of("k", count);
        keydir_insert_locked(shard, items[count++]);
    }
    lock_drop(&shard->lock);
    ck_assert_uint_eq(count, KEYDIR_TABLE_MIN * 3 / 4);
    ck_assert(shard->capacity == KEYDIR_TABLE_MIN);
    for (unsigned i = 0; i < count; i++) ck_assert_ptr_eq(find(shard, i, "k"), items[i]);
    drop(shard, items[0]);
    lock_take(&shard->lock);
    ck_assert_int_eq(keydir_reserve_locked(shard, TENANT_DEFAULT), FP_OK);
    lock_drop(&shard->lock);
    for (unsigned i = 1; i < count; i++) drop(shard, items[i]);
    teardown();
}
END_TEST

/* The item that gives way next, taken out; its key's number. */
static unsigned evict(struct keydir_shard *only, bool force)
{
    struct keydir_turn turn;
    for (;;) {
        ck_assert(keydir_turn(&keydir, TENANT_DEFAULT, &turn));
        if (only != NULL) ck_assert_ptr_eq(turn.shard, only);
        lock_take(&turn.shard->lock);
        struct item *item = keydir_victim_locked(&turn, force);
        if (item != NULL) keydir_remove_locked(turn.shard, item);
        lock_drop(&turn.shard->lock);
        if (item == NULL) continue;
        unsigned number = (unsigned)item->hash & 0xffff;
        ck_assert(item_release(item));
        free(item);
        return number;
    }
}

static bool nothing_gives_way(void)
{
    struct keydir_turn turn;
    return !keydir_turn(&keydir, TENANT_DEFAULT, &turn);
}

START_TEST(what_was_never_used_goes_in_the_order_it_came)
{
    setup(UINT64_MAX);
    ck_assert(nothing_gives_way());
    for (unsigned i = 0; i < 500; i++) insert(&keydir.shards[0], item_of("k", i));
    keydir_check(&keydir);
    for (unsigned i = 0; i < 500; i++) {
        ck_assert_uint_eq(evict(&keydir.shards[0], false), i);
        if (i % 50 == 0) keydir_check(&keydir);
    }
    ck_assert(nothing_gives_way());
    teardown();
}
END_TEST

START_TEST(what_was_used_outlives_what_was_not)
{
    setup(UINT64_MAX);
    struct keydir_shard *shard = &keydir.shards[0];
    struct item *items[100];
    for (unsigned i = 0; i < 100; i++) insert(shard, items[i] = item_of("k", i));
    for (unsigned i = 0; i < 100; i += 4) use(shard, items[i], 20);
    for (unsigned i = 0; i < 98; i++)
        if (i % 4 != 0) ck_assert_uint_eq(evict(shard, false), i);
    keydir_check(&keydir);
    use(shard, items[0], 30); /* of those, what is used again stays longer */
    use(shard, items[8], 30);
    for (unsigned left = 25 + 2; left > 2; left--) { /* the small queue is a tenth at most now */
        unsigned number = evict(shard, false);
        ck_assert(number != 0 && number != 8);
    }
    ck_assert_uint_eq(evict(shard, false), 0);
    ck_assert_uint_eq(evict(shard, false), 8);
    teardown();
}
END_TEST

START_TEST(what_comes_back_soon_is_kept_with_what_is_wanted)
{
    setup(UINT64_MAX);
    struct keydir_shard *shard = &keydir.shards[0];
    for (unsigned i = 0; i < 40; i++) insert(shard, item_of("k", i));
    ck_assert_uint_eq(evict(shard, false), 0);
    ck_assert(atomic_load(&shard->queues[ITEM_QUEUE_MAIN].items) == 0);
    insert(shard, item_of("k", 0)); /* its ghost is met */
    ck_assert(atomic_load(&shard->queues[ITEM_QUEUE_MAIN].items) == 1);
    insert(shard, item_of("k", 100));
    ck_assert(atomic_load(&shard->queues[ITEM_QUEUE_MAIN].items) == 1);
    for (unsigned i = 1; i < 40; i++) ck_assert_uint_eq(evict(shard, false), i);
    ck_assert_uint_eq(evict(shard, false), 100);
    ck_assert_uint_eq(evict(shard, false), 0);
    teardown();
}
END_TEST

START_TEST(a_victim_is_found_however_much_is_used)
{
    setup(UINT64_MAX);
    struct keydir_shard *shard = &keydir.shards[0];
    struct item *items[300];
    for (unsigned i = 0; i < 300; i++) insert(shard, items[i] = item_of("k", i));
    for (unsigned round = 0; round < 4; round++)
        for (unsigned i = 0; i < 300; i++) use(shard, items[i], 20 + round);
    ck_assert_uint_eq(evict(shard, true), 0);
    ck_assert_uint_eq(evict(shard, true), 1);
    for (unsigned i = 2; i < 300; i++) (void)evict(shard, false);
    ck_assert(nothing_gives_way());
    teardown();
}
END_TEST

START_TEST(the_shards_give_up_as_many_as_they_have)
{
    unsigned counts[KEYDIR_SHARDS] = {0};
    setup(UINT64_MAX);
    for (unsigned i = 0; i < KEYDIR_SHARDS; i++)
        for (unsigned k = 0; k < 20; k++)
            insert(&keydir.shards[i], item_of("k", (uint64_t)i << 58 | k));
    for (unsigned i = 0; i < 10 * KEYDIR_SHARDS; i++) (void)evict(NULL, false);
    keydir_check(&keydir);
    for (unsigned i = 0; i < KEYDIR_SHARDS; i++) {
        counts[i] = (unsigned)keydir.shards[i].item_count;
        ck_assert_msg(counts[i] >= 6 && counts[i] <= 14, "%u of 20 left in shard %u", counts[i], i);
    }
    for (unsigned i = 0; i < 10 * KEYDIR_SHARDS; i++) (void)evict(NULL, false);
    ck_assert(nothing_gives_way());
    teardown();
}
END_TEST

/* An item that is deleted leaves a word behind; many of them must not add up. */
START_TEST(keys_that_come_and_go_leave_nothing_behind)
{
    setup(UINT64_MAX);
    struct keydir_shard *shard = &keydir.shards[0];
    struct item *items[64];
    for (unsigned i = 0; i < 64; i++) insert(shard, items[i] = item_of("k", i));
    uint64_t most = 0;
    for (unsigned round = 0; round < 20000; round++) {
        unsigned i = round * 7 % 61; /* three stay all the time */
        drop(shard, items[i]);
        insert(shard, items[i] = item_of("k", i));
        if (round % 1000 == 0) keydir_check(&keydir);
        if (budget_total(&budget) > most) most = budget_total(&budget);
    }
    ck_assert(most < 8 << 10);
    unsigned left[] = {61, 62, 63};
    for (unsigned i = 0; i < 3; i++) ck_assert_uint_eq(evict(shard, false), left[i]);
    for (unsigned i = 0; i < 61; i++) (void)evict(shard, false);
    teardown();
}
END_TEST

START_TEST(a_table_that_has_become_empty_is_given_back)
{
    enum { ITEMS = 5000 };
    static struct item *items[ITEMS];
    setup(UINT64_MAX);
    struct keydir_shard *shard = &keydir.shards[0];
    for (unsigned i = 0; i < ITEMS; i++) insert(shard, items[i] = item_of("k", i));
    uint64_t full = budget_total(&budget);
    for (unsigned i = 100; i < ITEMS; i++) drop(shard, items[i]);
    lock_take(&shard->lock);
    keydir_fit_locked(shard);
    lock_drop(&shard->lock);
    keydir_check(&keydir);
    ck_assert(shard->capacity == 256 && budget_total(&budget) < full / 2);
    for (unsigned i = 0; i < 100; i++) ck_assert_ptr_eq(find(shard, i, "k"), items[i]);
    for (unsigned i = 0; i < 100; i++) ck_assert_uint_eq(evict(shard, false), i);
    lock_take(&shard->lock);
    keydir_fit_locked(shard);
    lock_drop(&shard->lock);
    ck_assert(budget_total(&budget) == 0);
    insert(shard, item_of("k", 7));
    ck_assert_uint_eq(evict(shard, false), 7);
    teardown();
}
END_TEST

START_TEST(what_is_replaced_keeps_its_turn)
{
    setup(UINT64_MAX);
    struct keydir_shard *shard = &keydir.shards[0];
    struct item *items[4], *next = item_of("k", 1), *anew = item_of("k", 2);
    for (unsigned i = 0; i < 4; i++) insert(shard, items[i] = item_of("k", i));
    next->packed_bytes = 1000;
    lock_take(&shard->lock);
    keydir_replace_locked(shard, items[1], next);
    keydir_overwrite_locked(shard, items[2], anew, 50); /* a use */
    lock_drop(&shard->lock);
    for (unsigned i = 1; i < 3; i++) {
        ck_assert(item_release(items[i]));
        free(items[i]);
    }
    keydir_check(&keydir);
    ck_assert(item_idle_ms(anew, 50) < ITEM_ACCESSED_MS);
    static const unsigned order[] = {0, 1, 3, 2};
    for (unsigned i = 0; i < 4; i++) ck_assert_uint_eq(evict(shard, false), order[i]);
    ck_assert(atomic_load(&keydir.queue_bytes[TENANT_DEFAULT][0]) == 0);
    ck_assert(atomic_load(&keydir.queue_bytes[TENANT_DEFAULT][1]) == 0);
    teardown();
}
END_TEST

START_TEST(what_is_mapped_is_out_of_the_order_until_its_last_map_ends)
{
    setup(UINT64_MAX);
    struct item *items[3];
    struct keydir_shard *shard = &keydir.shards[0];
    static const char *const keys[] = {"a", "b", "c"};
    for (unsigned i = 0; i < 3; i++) insert(shard, items[i] = item_of(keys[i], i));
    lock_take(&shard->lock);
    ck_assert_int_eq(keydir_map_locked(shard, items[0], false), FP_OK);
    ck_assert_int_eq(keydir_map_locked(shard, items[0], true), FP_OK);
    ck_assert_int_eq(keydir_map_locked(shard, items[0], true), FP_BUSY);
    keydir_unmap_locked(shard, items[0], true, 500);
    ck_assert(items[0]->mapped);
    keydir_use_locked(shard, items[0], 600); /* read meanwhile */
    ck_assert(item_idle_ms(items[0], 1000000) == 0);
    ck_assert_int_eq(keydir_map_locked(shard, items[1], true), FP_OK);
    ck_assert_int_eq(keydir_map_locked(shard, items[2], false), FP_OK);
    lock_drop(&shard->lock);
    ck_assert(nothing_gives_way());
    keydir_check(&keydir);
    lock_take(&shard->lock);
    keydir_remove_locked(shard, items[2]);
    keydir_unmap_locked(shard, items[2], false, 700); /* not in the directory any more */
    keydir_unmap_locked(shard, items[0], false, 800);
    ck_assert(item_idle_ms(items[0], 800) < ITEM_ACCESSED_MS);
    keydir_unmap_locked(shard, items[1], true, 900);
    lock_drop(&shard->lock);
    keydir_check(&keydir);
    ck_assert(item_release(items[2]));
    free(items[2]);
    insert(shard, item_of("d", 3));
    ck_assert_uint_eq(evict(shard, false), 3); /* what was mapped is wanted */
    (void)evict(shard, false);
    (void)evict(shard, false);
    teardown();
}
END_TEST

START_TEST(a_map_that_could_not_come_back_is_refused)
{
    setup(3 * KEYDIR_TABLE_MIN * KEYDIR_PLACE_BYTES + (FIFO_SPARES + 3) * FIFO_CHUNK_BYTES);
    struct keydir_shard *shard = &keydir.shards[0];
    struct item *items[90];
    for (unsigned i = 0; i < 90; i++) insert(shard, items[i] = item_of("k", i));
    uint64_t rest = budget_limit(&budget) - budget_total(&budget);
    ck_assert(budget_charge(&budget, BUDGET_FIXED, rest));
    lock_take(&shard->lock);
    enum fp_status status = FP_OK;
    unsigned mapped = 0;
    while (mapped < 90 && (status = keydir_map_locked(shard, items[mapped], false)) == FP_OK)
        mapped++;
    ck_assert_int_eq(status, FP_NO_MEMORY);
    ck_assert_uint_eq(mapped, FIFO_CHUNK_WORDS - 1);
    for (unsigned i = 0; i < mapped; i++) keydir_unmap_locked(shard, items[i], false, 5);
    lock_drop(&shard->lock);
    budget_return(&budget, BUDGET_FIXED, rest);
    keydir_check(&keydir);
    for (unsigned i = 0; i < 90; i++) (void)evict(shard, false);
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
                     what_was_never_used_goes_in_the_order_it_came,
                     what_was_used_outlives_what_was_not,
                     what_comes_back_soon_is_kept_with_what_is_wanted,
                     a_victim_is_found_however_much_is_used,
                     the_shards_give_up_as_many_as_they_have,
                     keys_that_come_and_go_leave_nothing_behind,
                     a_table_that_has_become_empty_is_given_back, what_is_replaced_keeps_its_turn,
                     what_is_mapped_is_out_of_the_order_until_its_last_map_ends,
                     a_map_that_could_not_come_back_is_refused);
}
