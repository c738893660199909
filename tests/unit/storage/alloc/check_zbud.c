/* SPDX-License-Identifier: BSD-3-Clause
 *
 * What is about buddies, and reclaim. */
#include "storage/alloc/zbud.h"

#include <pthread.h>
#include <stdatomic.h>

#include "tests/unit/base/suite.h"
#include "tests/unit/storage/child.h"
#include "tests/unit/storage/pool.h"

enum { OBJECTS = 64, LARGE = 3000, SMALL = 1000 };

/* An owner of objects: what a callback does with them is in `refuse` and the functions below. */
struct owner {
    struct bench bench;
    struct zhandle handles[OBJECTS];
    uint8_t bytes[OBJECTS][PAGES_BYTES];
    size_t sizes[OBJECTS];
    bool outside[OBJECTS]; /* it was given to us by reclaim */
    bool refuse;
    unsigned called;
};

static struct owner owner;

static void own(unsigned index, size_t size)
{
    struct rng rng = {.state = index};
    rng_fill(&rng, owner.bytes[index], size);
    owner.sizes[index] = size;
    owner.outside[index] = false;
    owner.handles[index] = keep(&owner.bench, owner.bytes[index], size);
}

/* `pages` pages of a large and a small object each, oldest first: 0 and 1, 2 and 3, ... */
static void owner_init(unsigned pages)
{
    memset(&owner, 0, sizeof owner);
    setup(&owner.bench, "zbud", UINT64_MAX);
    for (unsigned i = 0; i < 2 * pages; i++) own(i, i % 2 ? SMALL : LARGE);
    ck_assert(arena_held_pages(owner.bench.arena) == pages);
}

static void owner_fini(void)
{
    zpool_check(owner.bench.pool);
    for (unsigned i = 0; i < OBJECTS; i++) {
        if (owner.handles[i].number == 0) continue;
        ck_assert(holds(&owner.bench, owner.handles[i], owner.bytes[i], owner.sizes[i]));
        zpool_free(owner.bench.pool, &owner.handles[i]);
    }
    teardown(&owner.bench);
}

static unsigned find(struct zhandle handle)
{
    unsigned i = 0;
    while (i < OBJECTS && owner.handles[i].number != handle.number) i++;
    return i;
}

/* Evicts: takes the object from the table and ends it. */
static enum fp_status evict(void *argument, const struct zpool_offer *offer)
{
    (void)argument;
    unsigned i = find(offer->handle);
    owner.called++;
    ck_assert(i < OBJECTS);
    ck_assert(offer->size_bytes == owner.sizes[i]);
    ck_assert(zpool_says(owner.bench.pool, offer->handle) == offer->said);
    ck_assert(memcmp(offer->bytes, owner.bytes[i], owner.sizes[i]) == 0);
    if (owner.refuse) return FP_NO_MEMORY;
    zpool_free(owner.bench.pool, &owner.handles[i]);
    ck_assert(memcmp(offer->bytes, owner.bytes[i], owner.sizes[i]) == 0); /* still held */
    owner.outside[i] = true;
    return FP_OK;
}

/* Gives back: the owner ends it later. */
static enum fp_status unuse(void *argument, const struct zpool_offer *offer)
{
    (void)argument;
    unsigned i = find(offer->handle);
    ck_assert(i < OBJECTS);
    owner.called++;
    owner.outside[i] = true;
    return FP_OK;
}

/* Frees everything there is, the object it is called for included: the order of pages is empty. */
static enum fp_status free_all(void *argument, const struct zpool_offer *offer)
{
    (void)argument;
    struct zmap map;
    unsigned i = find(offer->handle);
    ck_assert(i < OBJECTS);
    owner.called++;
    for (unsigned k = 0; k < OBJECTS; k++)
        if (owner.handles[k].number != 0) zpool_free(owner.bench.pool, &owner.handles[k]);
    ck_assert(memcmp(offer->bytes, owner.bytes[i], owner.sizes[i]) == 0);
    ck_assert_int_eq(zpool_map(owner.bench.pool, offer->handle, ZACCESS_READ, &map), FP_CORRUPT);
    return FP_OK;
}

/* Allocates while it evicts, as writing elsewhere may: never into the page being emptied. */
static enum fp_status allocate(void *argument, const struct zpool_offer *offer)
{
    enum fp_status status = evict(argument, offer);
    for (unsigned i = OBJECTS / 2; i < OBJECTS; i++) {
        if (owner.handles[i].number != 0) continue;
        own(i, 500);
        break;
    }
    return status;
}

static enum fp_status reclaim(enum zpool_reclaim_way way, unsigned pages_max,
                              enum fp_status (*give)(void *, const struct zpool_offer *))
{
    struct zpool_reclaimer reclaimer = {.way = way, .pages_max = pages_max, .give = give};
    return zpool_reclaim(owner.bench.pool, &reclaimer);
}

START_TEST(two_that_fit_share_a_page_and_three_never_do)
{
    owner_init(0);
    own(0, 2048);
    own(1, 2048);
    ck_assert(arena_held_pages(owner.bench.arena) == 1);
    own(2, 1);
    ck_assert(arena_held_pages(owner.bench.arena) == 2);
    own(3, 4000); /* 63 chunks: one is left, which is taken */
    own(4, 64);
    own(5, 1);
    ck_assert(arena_held_pages(owner.bench.arena) == 3);
    own(6, 4033); /* 64 chunks: alone */
    own(7, PAGES_BYTES);
    ck_assert(arena_held_pages(owner.bench.arena) == 5);
    own(8, 65); /* the first page that empties a side takes it: 2048 are enough */
    ck_assert(arena_held_pages(owner.bench.arena) == 6);
    zpool_free(owner.bench.pool, &owner.handles[0]);
    own(9, 2000);
    ck_assert(arena_held_pages(owner.bench.arena) == 6);
    owner_fini();
}
END_TEST

START_TEST(an_object_of_more_than_a_page_has_a_run_alone)
{
    struct bench bench;
    static const size_t sizes[] = {4097, 8192, 16384, 16385, 65535, 65536};
    static const unsigned pages[] = {2, 2, 4, 5, 16, 16};
    struct zhandle handles[FP_COUNT_OF(sizes)], small;
    static uint8_t bytes[ZPOOL_OBJECT_BYTES_MAX];
    struct rng rng = {.state = 1};
    rng_fill(&rng, bytes, sizeof bytes);
    setup(&bench, "zbud", UINT64_MAX);
    uint64_t held = 0;
    for (size_t i = 0; i < FP_COUNT_OF(sizes); i++) {
        handles[i] = keep(&bench, bytes, sizes[i]);
        held += pages[i];
        ck_assert(arena_held_pages(bench.arena) == held);
    }
    small = keep(&bench, bytes, 10);
    ck_assert(arena_held_pages(bench.arena) == held + 1);
    zpool_check(bench.pool);
    for (size_t i = 0; i < FP_COUNT_OF(sizes); i++) {
        ck_assert(holds(&bench, handles[i], bytes, sizes[i]));
        zpool_free(bench.pool, &handles[i]);
    }
    zpool_free(bench.pool, &small);
    teardown(&bench);
}
END_TEST

START_TEST(only_a_backend_that_can_reclaims)
{
    static const struct zpool_reclaimer reclaimer = {.pages_max = 1, .give = evict};
    for (int i = 0; i < POOL_BACKENDS; i++) {
        struct bench bench;
        setup(&bench, pool_backends[i], UINT64_MAX);
        bool can = strcmp(pool_backends[i], "zbud") == 0;
        ck_assert(zpool_properties(bench.pool)->reclaimable == can);
        ck_assert_int_eq(zpool_reclaim(bench.pool, &reclaimer), can ? FP_ABSENT : FP_INVALID);
        teardown(&bench);
    }
}
END_TEST

START_TEST(evicting_frees_the_oldest_page_first)
{
    owner_init(4);
    for (unsigned page = 0; page < 4; page++) {
        ck_assert_int_eq(reclaim(ZPOOL_EVICT, 1, evict), FP_OK);
        ck_assert(owner.called == 2 * (page + 1));
        ck_assert(owner.outside[2 * page] && owner.outside[2 * page + 1]);
        ck_assert(arena_held_pages(owner.bench.arena) == 3 - page);
        zpool_check(owner.bench.pool);
    }
    ck_assert_int_eq(reclaim(ZPOOL_EVICT, 1, evict), FP_ABSENT);
    owner_fini();
}
END_TEST

START_TEST(freeing_a_buddy_does_not_make_a_page_young_but_placing_one_does)
{
    owner_init(3);
    zpool_free(owner.bench.pool, &owner.handles[1]);
    zpool_free(owner.bench.pool, &owner.handles[3]);
    own(10, SMALL + 50); /* goes to one of the two with room: the last that got it */
    ck_assert(arena_held_pages(owner.bench.arena) == 3);
    ck_assert_int_eq(reclaim(ZPOOL_EVICT, 1, evict), FP_OK);
    ck_assert(owner.outside[0] && owner.called == 1);
    ck_assert_int_eq(reclaim(ZPOOL_EVICT, 1, evict), FP_OK);
    ck_assert(owner.outside[4] && owner.outside[5] && !owner.outside[2]);
    owner_fini();
}
END_TEST

START_TEST(an_owner_gets_its_object_back_and_frees_it)
{
    owner_init(4);
    ck_assert_int_eq(reclaim(ZPOOL_UNUSE, 1, evict), FP_OK);
    ck_assert(owner.called == 2 && arena_held_pages(owner.bench.arena) == 3);
    ck_assert_int_eq(reclaim(ZPOOL_UNUSE, 1, unuse), FP_BUSY); /* it takes its time */
    ck_assert(owner.called == 4 && arena_held_pages(owner.bench.arena) == 3);
    for (unsigned i = 2; i < 4; i++) zpool_free(owner.bench.pool, &owner.handles[i]);
    ck_assert(arena_held_pages(owner.bench.arena) == 2);
    owner_fini();
}
END_TEST

START_TEST(what_is_refused_stays_and_becomes_young)
{
    owner_init(4);
    owner.refuse = true;
    ck_assert_int_eq(reclaim(ZPOOL_EVICT, 1, evict), FP_BUSY);
    ck_assert(owner.called == 2 && arena_held_pages(owner.bench.arena) == 4);
    zpool_check(owner.bench.pool);
    ck_assert_int_eq(reclaim(ZPOOL_EVICT, 9, evict), FP_BUSY);
    ck_assert(owner.called == 20);
    owner.refuse = false;
    ck_assert_int_eq(reclaim(ZPOOL_EVICT, 1, evict), FP_OK); /* after ten tries on four */
    ck_assert(owner.outside[4] && owner.outside[5] && !owner.outside[0]);
    own(20, 3500); /* a refused page is placed into and freed like any other */
    owner_fini();
}
END_TEST

START_TEST(one_try_more_frees_the_next_page)
{
    owner_init(2);
    struct zmap map;
    ck_assert_int_eq(zpool_map(owner.bench.pool, owner.handles[0], ZACCESS_READ, &map), FP_OK);
    ck_assert_int_eq(reclaim(ZPOOL_EVICT, 2, evict), FP_OK); /* past the mapped one */
    ck_assert(owner.outside[2] && owner.outside[3] && owner.called == 2);
    ck_assert_int_eq(reclaim(ZPOOL_EVICT, 5, evict), FP_BUSY);
    ck_assert(owner.called == 2 && memcmp(map.bytes, owner.bytes[0], LARGE) == 0);
    zpool_unmap(owner.bench.pool, &map);
    ck_assert_int_eq(reclaim(ZPOOL_EVICT, 1, evict), FP_OK);
    ck_assert_int_eq(reclaim(ZPOOL_EVICT, 1, evict), FP_ABSENT);
    owner_fini();
}
END_TEST

START_TEST(a_callback_may_free_all_there_is)
{
    owner_init(6);
    ck_assert_int_eq(reclaim(ZPOOL_UNUSE, 10, free_all), FP_OK);
    ck_assert(owner.called == 1); /* the other buddy was freed before its turn */
    ck_assert(arena_held_pages(owner.bench.arena) == 0);
    ck_assert_int_eq(reclaim(ZPOOL_UNUSE, 10, free_all), FP_ABSENT);
    own(0, 100);
    owner_fini();
}
END_TEST

START_TEST(what_a_callback_allocates_goes_elsewhere)
{
    owner_init(4);
    zpool_free(owner.bench.pool, &owner.handles[1]); /* there is room in the oldest page */
    ck_assert_int_eq(reclaim(ZPOOL_EVICT, 1, allocate), FP_OK);
    ck_assert(owner.outside[0] && owner.called == 1 && owner.handles[OBJECTS / 2].number != 0);
    ck_assert(arena_held_pages(owner.bench.arena) == 4);
    owner_fini();
}
END_TEST

static void say_evicted_and_keep(void *argument)
{
    (void)argument;
    (void)!reclaim(ZPOOL_EVICT, 1, unuse);
}

START_TEST(evicting_without_ending_stops_the_program)
{
    owner_init(2);
    ck_assert(child_aborts(say_evicted_and_keep, NULL));
    owner_fini();
}
END_TEST

/* A new object in the old one's handle is not what was offered. */
static enum fp_status replace(void *argument, const struct zpool_offer *offer)
{
    (void)argument;
    unsigned i = find(offer->handle);
    struct zhandle next = keep(&owner.bench, owner.bytes[i], owner.sizes[i]);
    owner.called++;
    struct zname old = zpool_replace(owner.bench.pool, owner.handles[i], &next);
    ck_assert(old.what == ZOBJECT && old.size_bytes == owner.sizes[i] && next.number == 0);
    ck_assert(zpool_says(owner.bench.pool, offer->handle) != offer->said);
    return FP_OK;
}

START_TEST(what_is_replaced_meanwhile_is_left_alone)
{
    owner_init(4);
    ck_assert_int_eq(reclaim(ZPOOL_EVICT, 1, replace), FP_OK);
    ck_assert(owner.called == 2 && arena_held_pages(owner.bench.arena) == 4);
    owner_fini();
}
END_TEST

/* --- threads: one reclaims what the others allocate and free ---------------------------------- */

enum { THREADS = 3, TABLE = 200, STEPS = 8000 };

struct table { /* an owner as a real one is: a lock, and the handle decides */
    struct bench *bench;
    pthread_mutex_t lock;
    struct zhandle handles[TABLE];
    uint64_t evicted;
    atomic_int users; /* threads at work */
};

static enum fp_status take_out(void *argument, const struct zpool_offer *offer)
{
    struct table *table = argument;
    struct zhandle handle = {0};
    (void)pthread_mutex_lock(&table->lock);
    /* Freed meanwhile, or not published yet, or the number is another object's by now. */
    if (zpool_says(table->bench->pool, offer->handle) == offer->said)
        for (size_t i = 0; i < TABLE && handle.number == 0; i++) {
            if (table->handles[i].number != offer->handle.number) continue;
            handle = table->handles[i];
            table->handles[i].number = 0;
            table->evicted++;
        }
    (void)pthread_mutex_unlock(&table->lock);
    if (handle.number == 0) return FP_ABSENT;
    for (size_t i = 0; i < offer->size_bytes && i < 32; i++) ck_assert(offer->bytes[i] == 0x77);
    zpool_free(table->bench->pool, &handle);
    return FP_OK;
}

static void *use_table(void *argument)
{
    struct table *table = argument;
    struct rng rng = {.state = (uint64_t)(uintptr_t)pthread_self()};
    uint8_t bytes[PAGES_BYTES];
    memset(bytes, 0x77, sizeof bytes);
    for (int i = 0; i < STEPS; i++) {
        size_t at = rng_below(&rng, TABLE);
        struct zhandle new = keep(table->bench, bytes, 32 + rng_below(&rng, 4000));
        (void)pthread_mutex_lock(&table->lock);
        struct zhandle old = table->handles[at];
        table->handles[at] = new;
        (void)pthread_mutex_unlock(&table->lock);
        if (old.number != 0) zpool_free(table->bench->pool, &old);
    }
    atomic_fetch_sub(&table->users, 1);
    return NULL;
}

START_TEST(reclaim_runs_beside_alloc_and_free)
{
    struct bench bench;
    static struct table table;
    pthread_t threads[THREADS];
    setup(&bench, "zbud", UINT64_MAX);
    table.bench = &bench;
    atomic_store(&table.users, THREADS);
    ck_assert_int_eq(pthread_mutex_init(&table.lock, NULL), 0);
    for (int i = 0; i < THREADS; i++)
        ck_assert_int_eq(pthread_create(&threads[i], NULL, use_table, &table), 0);
    struct zpool_reclaimer reclaimer = {.way = ZPOOL_EVICT, .pages_max = 4, .owner = &table,
                                        .give = take_out};
    uint64_t freed = 0;
    while (atomic_load(&table.users) > 0)
        freed += zpool_reclaim(bench.pool, &reclaimer) == FP_OK;
    for (int i = 0; i < THREADS; i++) ck_assert_int_eq(pthread_join(threads[i], NULL), 0);
    printf("evicted %ju objects, freed %ju pages\n", (uintmax_t)table.evicted, (uintmax_t)freed);
    ck_assert(table.evicted > 0 && freed > 0);
    zpool_check(bench.pool);
    for (int i = 0; i < TABLE; i++)
        if (table.handles[i].number != 0) zpool_free(bench.pool, &table.handles[i]);
    teardown(&bench);
    (void)pthread_mutex_destroy(&table.lock);
}
END_TEST

/* Makes room while it makes room: another page, by the same way. */
static enum fp_status nest(void *argument, const struct zpool_offer *offer)
{
    if (owner.called == 0) ck_assert_int_eq(reclaim(ZPOOL_EVICT, 1, evict), FP_OK);
    return evict(argument, offer);
}

START_TEST(a_callback_may_reclaim)
{
    owner_init(3);
    ck_assert_int_eq(reclaim(ZPOOL_EVICT, 1, nest), FP_OK);
    ck_assert(owner.called == 4 && arena_held_pages(owner.bench.arena) == 1);
    ck_assert(owner.outside[1] && owner.outside[2] && !owner.outside[4]);
    owner_fini();
}
END_TEST

START_TEST(a_new_object_goes_where_the_least_is_left)
{
    owner_init(0);
    own(0, 2100); /* 33 chunks: 31 left */
    own(1, 2900); /* 46 chunks: 18 left */
    own(2, 1100); /* 18 chunks: fills the second page */
    own(3, 1900); /* and so this fits the first one */
    ck_assert(arena_held_pages(owner.bench.arena) == 2);
    owner_fini();
}
END_TEST

int main(void)
{
    return suite_run("zbud", two_that_fit_share_a_page_and_three_never_do,
                     an_object_of_more_than_a_page_has_a_run_alone,
                     only_a_backend_that_can_reclaims, evicting_frees_the_oldest_page_first,
                     freeing_a_buddy_does_not_make_a_page_young_but_placing_one_does,
                     an_owner_gets_its_object_back_and_frees_it,
                     what_is_refused_stays_and_becomes_young, one_try_more_frees_the_next_page,
                     a_callback_may_free_all_there_is, what_a_callback_allocates_goes_elsewhere,
                     evicting_without_ending_stops_the_program,
                     what_is_replaced_meanwhile_is_left_alone,
                     reclaim_runs_beside_alloc_and_free,
                     a_callback_may_reclaim, a_new_object_goes_where_the_least_is_left);
}
