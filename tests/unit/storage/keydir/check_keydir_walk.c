/* SPDX-License-Identifier: BSD-3-Clause */
#include "storage/keydir/keydir_walk.h"

#include <stdio.h>
#include <stdlib.h>

#include "tests/unit/base/suite.h"
#include "tests/unit/storage/kit.h"

enum { ITEMS = 3000, COMERS = 12000, ROOM = 7 };

static struct budget budget;
static struct keydir keydir;
static struct item *all[ITEMS + COMERS];
static unsigned met[ITEMS + COMERS]; /* times, by the number that is an item's flags */

static void setup(void)
{
    budget_init(&budget, 1ull << 30);
    keydir_init(&keydir, &budget, 42);
    memset(met, 0, sizeof met);
}

static void put(unsigned number, uint64_t hash)
{
    char key[32];
    int size = snprintf(key, sizeof key, "key%u", number);
    struct item *item = item_create(slice_of(key, (size_t)size), hash, 0);
    ck_assert_ptr_nonnull(item);
    item->flags = number;
    all[number] = item;
    struct keydir_shard *shard = keydir_shard(&keydir, hash);
    lock_take(&shard->lock);
    ck_assert_int_eq(keydir_reserve_locked(shard, TENANT_DEFAULT), FP_OK);
    keydir_insert_locked(shard, item);
    lock_drop(&shard->lock);
}

static void drop(unsigned number)
{
    struct keydir_shard *shard = keydir_shard(&keydir, all[number]->hash);
    lock_take(&shard->lock);
    keydir_remove_locked(shard, all[number]);
    lock_drop(&shard->lock);
    ck_assert(item_release(all[number]));
    free(all[number]);
    all[number] = NULL;
}

static void teardown(void)
{
    for (unsigned i = 0; i < ITEMS + COMERS; i++)
        if (all[i] != NULL) drop(i);
    keydir_check(&keydir);
    keydir_fini(&keydir);
}

/* One step; what it gave is counted in met[]. */
static unsigned step(uint64_t *position, unsigned room)
{
    struct item *found[KEYDIR_WALK_HOMES];
    struct keydir_shard *shard = &keydir.shards[keydir_walk_shard(*position)];
    lock_take(&shard->lock);
    unsigned count = keydir_walk_locked(shard, position, found, room);
    for (unsigned i = 0; i < count; i++) met[found[i]->flags]++;
    lock_drop(&shard->lock);
    ck_assert_uint_le(count, room);
    return count;
}

START_TEST(an_empty_directory_is_walked_through)
{
    uint64_t position = 0;
    unsigned steps = 0;
    setup();
    do {
        ck_assert_uint_eq(step(&position, ROOM), 0);
        steps++;
    } while (position != 0);
    ck_assert_uint_eq(steps, KEYDIR_SHARDS);
    teardown();
}
END_TEST

START_TEST(each_item_is_met_once_whatever_the_room)
{
    struct rng rng = {1};
    setup();
    for (unsigned i = 0; i < ITEMS; i++) put(i, rng_next(&rng));
    for (unsigned room = 1; room <= 64; room *= 4) {
        uint64_t position = 0;
        do (void)step(&position, room);
        while (position != 0);
        for (unsigned i = 0; i < ITEMS; i++) ck_assert_uint_eq(met[i], 1);
        memset(met, 0, sizeof met);
    }
    teardown();
}
END_TEST

/* The tables double several times, and others come and go, while the walk is under way. */
START_TEST(what_stays_is_met_once_while_tables_grow)
{
    struct rng rng = {2};
    unsigned comers = 0, gone = 0;
    uint64_t position = 0;
    setup();
    for (unsigned i = 0; i < ITEMS; i++) put(i, rng_next(&rng));
    do {
        (void)step(&position, ROOM);
        for (int i = 0; i < 16 && comers < COMERS; i++) put(ITEMS + comers++, rng_next(&rng));
        for (int i = 0; i < 4 && gone < comers; i++) drop(ITEMS + gone++);
    } while (position != 0);
    ck_assert_uint_eq(comers, COMERS);
    for (unsigned i = 0; i < ITEMS; i++) ck_assert_uint_eq(met[i], 1);
    for (unsigned i = ITEMS; i < ITEMS + COMERS; i++) ck_assert_uint_le(met[i], 1);
    teardown();
}
END_TEST

/* Hashes that agree in all the bits that any table looks at, and in many more. */
START_TEST(a_home_of_more_than_the_room_is_met_in_parts)
{
    uint64_t position = 0;
    unsigned count = 0;
    setup();
    for (unsigned i = 0; i < 40; i++) put(i, (uint64_t)(i + 1) << 40 | 5);
    for (unsigned i = 40; i < 60; i++) put(i, i);
    do count += step(&position, ROOM);
    while (position != 0);
    ck_assert_uint_eq(count, 60);
    for (unsigned i = 0; i < 60; i++) ck_assert_uint_eq(met[i], 1);
    teardown();
}
END_TEST

int main(void)
{
    return suite_run("keydir_walk", an_empty_directory_is_walked_through,
                     each_item_is_met_once_whatever_the_room,
                     what_stays_is_met_once_while_tables_grow,
                     a_home_of_more_than_the_room_is_met_in_parts);
}
