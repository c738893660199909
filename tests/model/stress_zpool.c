/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Threads that alloc, map, verify and free while another one compacts all the time.
 *
 * Each thread has objects of its own, whose first word is the number their bytes are made from.
 * Some stay mapped for long: their address and bytes must not change under compaction. The sizes
 * and the budget are small, so that zspages come and go, and every so often most objects are freed,
 * so that there is much to compact.
 *
 *   stress_zpool [SEED [SECONDS]]
 */
#include <inttypes.h>
#include <pthread.h>
#include <time.h>

#include "base/clock.h"
#include "storage/alloc/zpool.h"
#include "tests/unit/storage/kit.h"

enum { THREADS = 3, OBJECTS = 400, MAPS = 8, SIZE_MAX_BYTES = 9000, LIMIT_PAGES = 500 };

struct object {
    struct zhandle handle; /* 0: none */
    uint64_t number;
    uint32_t size_bytes;
    unsigned maps;
};
struct worker {
    pthread_t thread;
    struct zpool *pool;
    struct rng rng;
    uint64_t until_ns;
    struct object objects[OBJECTS];
    struct {
        struct zmap map;
        struct object *object;
    } maps[MAPS];
    unsigned map_count;
    uint64_t allocs, refused, frees, verified;
};

static void make(uint64_t number, uint8_t *bytes, size_t size)
{
    struct rng rng = {.state = number};
    rng_fill(&rng, bytes, size);
}

static void verify(struct worker *worker, const struct object *object, const uint8_t *bytes)
{
    uint8_t expected[SIZE_MAX_BYTES];
    make(object->number, expected, object->size_bytes);
    fp_assert(memcmp(bytes, expected, object->size_bytes) == 0);
    worker->verified++;
}

static void alloc(struct worker *worker, struct object *object)
{
    struct zmap map;
    uint64_t kind = rng_below(&worker->rng, 16);
    object->size_bytes = (uint32_t)(kind == 0   ? PAGES_BYTES * (1 + rng_below(&worker->rng, 2))
                                    : kind == 1 ? 1 + rng_below(&worker->rng, SIZE_MAX_BYTES)
                                                : 1 + rng_below(&worker->rng, 1500));
    object->number = rng_next(&worker->rng);
    if (zpool_alloc(worker->pool, object->size_bytes, 0, &object->handle) != FP_OK) {
        worker->refused++;
        return;
    }
    fp_assert(zpool_map(worker->pool, object->handle, ZACCESS_WRITE, &map) == FP_OK);
    make(object->number, map.bytes, object->size_bytes);
    zpool_unmap(worker->pool, &map);
    worker->allocs++;
}

static void drop(struct worker *worker, struct object *object)
{
    if (object->handle.number == 0 || object->maps > 0) return;
    zpool_free(worker->pool, &object->handle);
    worker->frees++;
}

static void look(struct worker *worker, const struct object *object)
{
    struct zmap map;
    if (object->handle.number == 0) return;
    fp_assert(zpool_map(worker->pool, object->handle, ZACCESS_READ, &map) == FP_OK);
    verify(worker, object, map.bytes);
    zpool_unmap(worker->pool, &map);
}

/* Ends one of the long maps, after a look at what it lent, and begins another. */
static void map_for_long(struct worker *worker, struct object *object)
{
    if (worker->map_count == MAPS) {
        unsigned at = (unsigned)rng_below(&worker->rng, MAPS);
        verify(worker, worker->maps[at].object, worker->maps[at].map.bytes);
        zpool_unmap(worker->pool, &worker->maps[at].map);
        worker->maps[at].object->maps--;
        worker->maps[at] = worker->maps[--worker->map_count];
    }
    if (object->handle.number == 0) return;
    fp_assert(zpool_map(worker->pool, object->handle, ZACCESS_READ,
                        &worker->maps[worker->map_count].map) == FP_OK);
    worker->maps[worker->map_count++].object = object;
    object->maps++;
}

static void *work(void *argument)
{
    struct worker *worker = argument;
    while (clock_monotonic_ns() < worker->until_ns) {
        for (int i = 0; i < 64; i++) {
            struct object *object = &worker->objects[rng_below(&worker->rng, OBJECTS)];
            switch (rng_below(&worker->rng, 8)) {
            case 0:
                map_for_long(worker, object);
                break;
            case 1:
            case 2:
            case 3:
                look(worker, object);
                break;
            default:
                if (object->handle.number == 0) alloc(worker, object);
                else drop(worker, object);
            }
        }
        if (rng_below(&worker->rng, 16) == 0)
            for (size_t i = 0; i < OBJECTS; i++)
                if (i % 5 != 0) drop(worker, &worker->objects[i]);
    }
    while (worker->map_count > 0) {
        worker->map_count--;
        verify(worker, worker->maps[worker->map_count].object,
               worker->maps[worker->map_count].map.bytes);
        zpool_unmap(worker->pool, &worker->maps[worker->map_count].map);
    }
    for (size_t i = 0; i < OBJECTS; i++) look(worker, &worker->objects[i]);
    return NULL;
}

struct mover {
    pthread_t thread;
    struct zpool *pool;
    atomic_bool stop;
    uint64_t moved, skipped, freed_pages;
};

static void *compact(void *argument)
{
    struct mover *mover = argument;
    while (!atomic_load(&mover->stop)) {
        struct zpool_step step = zpool_compact(mover->pool, 64);
        mover->moved += step.moved_count;
        mover->skipped += step.skipped_pinned_count;
        mover->freed_pages += step.freed_pages;
        (void)zpool_freeable_pages(mover->pool); /* as `stats` would, while all runs */
        (void)zpool_fill(mover->pool);
    }
    return NULL;
}

static void run(struct zpool *pool, struct worker *workers, uint64_t seed, uint64_t seconds)
{
    static struct mover mover;
    mover.pool = pool;
    fp_assert(pthread_create(&mover.thread, NULL, compact, &mover) == 0);
    for (unsigned i = 0; i < THREADS; i++) {
        workers[i].pool = pool;
        workers[i].rng.state = seed + i;
        workers[i].until_ns = clock_monotonic_ns() + seconds * 1000000000;
        fp_assert(pthread_create(&workers[i].thread, NULL, work, &workers[i]) == 0);
    }
    for (unsigned i = 0; i < THREADS; i++) {
        fp_assert(pthread_join(workers[i].thread, NULL) == 0);
        printf("thread %u: allocs %" PRIu64 " refused %" PRIu64 " frees %" PRIu64
               " verified %" PRIu64 "\n",
               i, workers[i].allocs, workers[i].refused, workers[i].frees, workers[i].verified);
    }
    atomic_store(&mover.stop, true);
    fp_assert(pthread_join(mover.thread, NULL) == 0);
    printf("compaction: moved %" PRIu64 " pinned %" PRIu64 " freed pages %" PRIu64 "\n",
           mover.moved, mover.skipped, mover.freed_pages);
    if (zpool_properties(pool)->movable) fp_assert(mover.moved > 0 && mover.freed_pages > 0);
}

int main(int argc, char **argv)
{
    static struct worker workers[THREADS];
    struct budget budget;
    struct arena *arena;
    struct zpool *pool;
    uint64_t seed = kit_number(argc, argv, 1, "FARPAGE_SEED", (uint64_t)time(NULL));
    uint64_t seconds = kit_number(argc, argv, 2, "FARPAGE_SECONDS", 3);
    printf("stress_zpool %s %" PRIu64 " %" PRIu64 "\n", kit_allocator(), seed, seconds);
    (void)fflush(stdout);
    budget_init(&budget, LIMIT_PAGES * PAGES_BYTES);
    fp_assert(arena_create(&budget, 1 << 14, &arena) == FP_OK);
    struct zpool_options options = {.arena = arena, .budget = &budget};
    fp_assert(zpool_create(kit_allocator(), &options, &pool) == FP_OK);
    run(pool, workers, seed, seconds);
    zpool_check(pool);
    for (unsigned i = 0; i < THREADS; i++)
        for (size_t k = 0; k < OBJECTS; k++)
            if (workers[i].objects[k].handle.number != 0)
                zpool_free(pool, &workers[i].objects[k].handle);
    fp_assert(arena_held_pages(arena) == 0 && zpool_fill(pool).pinned_count == 0);
    zpool_destroy(&pool);
    arena_destroy(&arena);
    fp_assert(budget_total(&budget) == 0);
    return 0;
}
