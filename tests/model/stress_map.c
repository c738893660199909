/* SPDX-License-Identifier: BSD-3-Clause
 *
 * A thousand sessions on four threads map pages and items, read them, write, publish, discard, and
 * die with all they have, in a store that is short of memory, while others set, delete and flush,
 * and everything is compacted, recompressed and evicted.
 *
 * Every page and value says itself what it is. A reader must see the very one that it mapped for as
 * long as it has it; what is published must be seen whole by whoever maps it next, though it was
 * written in two parts. At the end nothing is pinned, and nothing is charged.
 *
 *   stress_map [SEED [SECONDS]]
 */
#include <inttypes.h>
#include <pthread.h>
#include <time.h>

#include "base/clock.h"
#include "storage/store/map/store_map.h"
#include "tests/model/movers.h"
#include "tests/model/numbered.h"

enum { THREADS = 4, SESSIONS = 1000, MAPS_MAX = 4, SLOTS = 400, KEYS = 100, STEPS = 8 };

struct mapped {
    struct store_map *map; /* NULL: none */
    uint64_t number;       /* that was read first; 0: not read yet */
    bool written;
};

struct session {
    struct mapped maps[MAPS_MAX];
};

struct worker {
    pthread_t thread;
    struct bench bench;
    struct rng rng;
    uint64_t until_ns;
    struct session sessions[SESSIONS / THREADS];
    uint64_t maps, absent, busy, refused, reads, published, changed, deaths;
};

static bool writes(const struct mapped *mapped)
{
    return mapped->map->mode != MAP_READ;
}

static void key_of(struct worker *worker, char key[16])
{
    (void)snprintf(key, 16, "key%u", (unsigned)rng_below(&worker->rng, KEYS));
}

/* --- what others do --------------------------------------------------------------------------- */

static void put(struct worker *worker)
{
    uint8_t value[NUMBERED_BYTES_MAX];
    char key[16];
    size_t size = 8 + rng_below(&worker->rng, sizeof value - 8);
    numbered_make(rng_next(&worker->rng) | 1, value, size);
    key_of(worker, key);
    struct item_put put = {.key = slice_text(key),
                           .value = slice_of(value, size),
                           .exptime = (int64_t)rng_below(&worker->rng, 3)};
    enum fp_status status = bench_put(&worker->bench, put);
    fp_assert(status == FP_OK || status == FP_NO_MEMORY);
}

static void store_some(struct worker *worker)
{
    uint8_t page[KIT_PAGE_BYTES];
    uint64_t slot = rng_below(&worker->rng, SLOTS);
    numbered_make(rng_next(&worker->rng) | 1, page, sizeof page);
    enum fp_status status = bench_store(&worker->bench, slot, page);
    fp_assert(status == FP_OK || status == FP_NO_MEMORY);
}

static void forget_some(struct worker *worker)
{
    char key[16];
    uint64_t slot = rng_below(&worker->rng, SLOTS);
    struct store *store = worker->bench.store;
    struct store_scratch *scratch = worker->bench.scratch;
    key_of(worker, key);
    if (rng_below(&worker->rng, 2) == 0) bench_invalidate(&worker->bench, slot, slot + 1);
    else (void)!store_item_delete(store, scratch, slice_text(key));
    if (rng_below(&worker->rng, 200) == 0) store_flush(store, scratch, 0);
    store_reap_step(store, scratch);
}

/* --- what sessions do ------------------------------------------------------------------------- */

static void map_some(struct worker *worker, struct mapped *mapped)
{
    struct bench *bench = &worker->bench;
    struct map_wish wish = {.mode = (enum map_mode)(MAP_READ + rng_below(&worker->rng, 3)),
                            .bytes_max = UINT64_MAX};
    struct page_place place = {.area = bench->area, .slot = rng_below(&worker->rng, SLOTS)};
    char key[16];
    key_of(worker, key);
    enum fp_status status =
        rng_below(&worker->rng, 2) == 0
            ? store_map_page(bench->store, bench->scratch, place, &wish, &mapped->map)
            : store_map_item(bench->store, bench->scratch, slice_text(key), &wish, &mapped->map);
    mapped->number = 0;
    mapped->written = false;
    worker->maps += status == FP_OK;
    worker->absent += status == FP_ABSENT;
    worker->busy += status == FP_BUSY;
    worker->refused += status == FP_NO_MEMORY;
    fp_assert(status == FP_OK || status == FP_ABSENT || status == FP_BUSY ||
              status == FP_NO_MEMORY);
    if (status != FP_OK) mapped->map = NULL;
}

/* All of it, as it comes; whole, and the same as ever since it was mapped. */
static void read_all(struct worker *worker, struct mapped *mapped)
{
    uint8_t bytes[NUMBERED_BYTES_MAX] = {0};
    uint32_t size = mapped->map->size_bytes;
    if (mapped->map->mode == MAP_OVERWRITE) return;
    for (uint32_t at = 0; at < size;) {
        struct lent lent;
        fp_assert(store_map_read(mapped->map, worker->bench.scratch, at, size - at, &lent) ==
                  FP_OK);
        memcpy(bytes + at, lent.bytes.bytes, lent.bytes.size_bytes);
        at += (uint32_t)lent.bytes.size_bytes;
    }
    uint64_t number = numbered_verify(bytes, size);
    fp_assert(mapped->number == 0 || mapped->number == number);
    mapped->number = number;
    worker->reads++;
}

/* In two parts, so that half of it is there to be seen, if anybody could. */
static void write_all(struct worker *worker, struct mapped *mapped)
{
    uint8_t bytes[NUMBERED_BYTES_MAX];
    uint32_t size = mapped->map->size_bytes;
    uint32_t half = (uint32_t)rng_below(&worker->rng, size);
    if (!writes(mapped)) return;
    mapped->number = rng_next(&worker->rng) | 1;
    numbered_make(mapped->number, bytes, size);
    struct store_scratch *scratch = worker->bench.scratch;
    fp_assert(store_map_write(mapped->map, scratch, half,
                              slice_of(bytes + half, size - half)) == FP_OK);
    fp_assert(store_map_write(mapped->map, scratch, 0, slice_of(bytes, half)) == FP_OK);
    mapped->written = true;
}

static void unmap_one(struct worker *worker, struct mapped *mapped)
{
    enum fp_status status = store_map_publish(mapped->map, worker->bench.scratch);
    fp_assert(status == FP_OK || status == FP_EXISTS || status == FP_NO_MEMORY);
    fp_assert(writes(mapped) || status == FP_OK);
    worker->published += status == FP_OK && mapped->written;
    worker->changed += status == FP_EXISTS;
    store_map_end(&mapped->map, worker->bench.scratch);
}

static void die(struct worker *worker, struct session *session)
{
    for (int i = 0; i < MAPS_MAX; i++) store_map_end(&session->maps[i].map, worker->bench.scratch);
    worker->deaths++;
}

static void step(struct worker *worker, struct session *session)
{
    struct mapped *mapped = &session->maps[rng_below(&worker->rng, MAPS_MAX)];
    uint64_t choice = rng_below(&worker->rng, 40);
    if (choice == 0) {
        die(worker, session);
    } else if (mapped->map == NULL) {
        map_some(worker, mapped);
    } else if (choice < 15) {
        read_all(worker, mapped);
    } else if (choice < 30) {
        write_all(worker, mapped);
    } else {
        unmap_one(worker, mapped);
    }
}

/* A session does a few things in a row, as clients do, and then others come. */
static void live(struct worker *worker)
{
    struct session *session = &worker->sessions[rng_below(&worker->rng, SESSIONS / THREADS)];
    for (int i = 0; i < STEPS; i++) step(worker, session);
}

static void *work(void *argument)
{
    struct worker *worker = argument;
    uint64_t now_ns;
    while ((now_ns = clock_monotonic_ns()) < worker->until_ns) {
        worker->bench.scratch->now_ms = now_ns / 1000000 + 10000;
        for (int i = 0; i < 16; i++) {
            uint64_t choice = rng_below(&worker->rng, 100);
            if (choice < 15) put(worker);
            else if (choice < 30) store_some(worker);
            else if (choice < 33) forget_some(worker);
            else live(worker);
        }
    }
    for (int i = 0; i < SESSIONS / THREADS; i++) die(worker, &worker->sessions[i]);
    return NULL;
}

static void start(struct worker *worker, const struct bench *bench, uint64_t seed,
                  uint64_t until_ns)
{
    worker->bench = *bench;
    worker->rng.state = seed;
    worker->until_ns = until_ns;
    fp_assert(store_scratch_create(bench->store, &worker->bench.scratch) == FP_OK);
    worker->bench.scratch->unix_s = BENCH_START_UNIX_S;
    fp_assert(pthread_create(&worker->thread, NULL, work, worker) == 0);
}

static void finish(struct worker *worker)
{
    fp_assert(pthread_join(worker->thread, NULL) == 0);
    store_scratch_destroy(&worker->bench.scratch);
    printf("maps %" PRIu64 " absent %" PRIu64 " busy %" PRIu64 " refused %" PRIu64
           " reads %" PRIu64 " published %" PRIu64 " changed %" PRIu64 " deaths %" PRIu64 "\n",
           worker->maps, worker->absent, worker->busy, worker->refused, worker->reads,
           worker->published, worker->changed, worker->deaths);
    fp_assert(worker->reads > 0 && worker->published > 0 && worker->changed > 0);
}

static void settle(struct bench *bench)
{
    struct budget *budget = store_budget(bench->store);
    fp_assert(zpool_fill(store_zpool(bench->store)).pinned_count == 0);
    fp_assert(budget_held(budget, BUDGET_MAPS) == 0);
    store_check(bench->store);
    bench_invalidate(bench, 0, SLOTS);
    while (store_evict_one(bench->store, bench->scratch)) {}
    fp_assert(budget_held(budget, BUDGET_PAYLOAD) == 0 && budget_held(budget, BUDGET_ITEMS) == 0);
    fp_assert(atomic_load(&store_counters(bench->store)->corrupt) == 0);
    fp_assert(atomic_load(&store_counters(bench->store)->item_evictions) > 0);
    store_check(bench->store);
}

int main(int argc, char **argv)
{
    static struct worker workers[THREADS];
    struct bench bench;
    struct movers movers;
    uint64_t seed = kit_number(argc, argv, 1, "FARPAGE_SEED", (uint64_t)time(NULL));
    uint64_t seconds = kit_number(argc, argv, 2, "FARPAGE_SECONDS", 3);
    printf("stress_map %" PRIu64 " %" PRIu64 "\n", seed, seconds);
    (void)fflush(stdout);
    bench_setup(&bench, (struct store_options){.memory_limit_bytes = 6 * BENCH_MIB}, SLOTS);
    uint64_t until_ns = clock_monotonic_ns() + seconds * 1000000000;
    movers_start(&movers, bench.store);
    for (unsigned i = 0; i < THREADS; i++) start(&workers[i], &bench, seed + i, until_ns);
    for (unsigned i = 0; i < THREADS; i++) finish(&workers[i]);
    movers_stop(&movers);
    settle(&bench);
    bench_teardown(&bench);
    return 0;
}
