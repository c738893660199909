/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Four threads on one store, short of memory, while the compressor changes all the time, a fifth
 * thread compacts and a sixth recompresses, with a stronger compressor for cold things or without.
 *
 * Pages are stored and loaded plain or packed, as a client would that packs them itself.
 *
 * Each thread has slots of its own, where it knows what must come back, and all share slots and
 * keys, where every page and value says itself what it is: its first word is the number the rest
 * is made from. At the end all is invalidated, and nothing may be left.
 *
 *   stress_store [SEED [SECONDS]]
 */
#include <inttypes.h>
#include <pthread.h>
#include <time.h>

#include "base/clock.h"
#include "codec/codec_solo.h"
#include "storage/store/item/store_meta.h"
#include "storage/store/page/store_packed.h"
#include "tests/model/movers.h"
#include "tests/model/numbered.h"

enum { TOOL_LZ4, TOOL_ZSTD, TOOLS };
enum { THREADS = 4, OWN_SLOTS = 700, SHARED_SLOTS = 64, KEYS = 24, TENANTS = 3 };

struct worker {
    pthread_t thread;
    struct bench bench;
    struct rng rng;
    uint64_t number, until_ns;
    uint64_t pages[OWN_SLOTS]; /* 0: none, else what the page is made from */
    struct codec_solo tools[TOOLS];
    uint64_t stores, refused, loads, packed, puts, gets, swaps;
};

/* Plain, or packed by one algorithm or another, whatever the store's own is now. */
static enum fp_status store(struct worker *worker, uint64_t slot, const uint8_t *page)
{
    uint8_t room[KIT_PAGE_BYTES - 1];
    unsigned which = (unsigned)rng_below(&worker->rng, TOOLS + 1);
    struct page_place place = {worker->bench.area, slot};
    struct page_packed packed = {
        .kind = {.format = which == TOOL_ZSTD ? PACKED_ZSTD : PACKED_LZ4},
        .crc = crc32c(page, KIT_PAGE_BYTES)};
    struct plain plain = {page, KIT_PAGE_BYTES};
    struct space space = {room, sizeof room};
    enum fp_status status = FP_TOO_BIG;
    if (which < TOOLS)
        status = codec_solo_pack(&worker->tools[which], plain, space, &packed.bytes);
    if (status != FP_OK) return bench_store(&worker->bench, slot, page);
    status =
        store_page_store_packed(worker->bench.store, worker->bench.scratch, place, &packed);
    worker->packed += status == FP_OK;
    return status;
}

static enum fp_status load(struct worker *worker, uint64_t slot, uint8_t *out)
{
    uint8_t bytes[2 * KIT_PAGE_BYTES];
    struct page_place place = {worker->bench.area, slot};
    struct page_wish wish = {.formats = (uint32_t)rng_below(&worker->rng, 1 << PACKED_FORMATS),
                             .out = bytes,
                             .packed_at = 16};
    struct page_packed page;
    if (rng_below(&worker->rng, 2) == 0) return bench_load(&worker->bench, slot, out);
    enum fp_status status =
        store_page_load_packed(worker->bench.store, worker->bench.scratch, place, &wish, &page);
    if (status != FP_OK) return status;
    if (page.kind.format == PACKED_PLAIN) {
        memcpy(out, page.bytes.bytes, KIT_PAGE_BYTES);
    } else {
        fp_assert(page.kind.format != PACKED_WORD); /* there are none here */
        struct codec_solo *tool =
            &worker->tools[page.kind.format == PACKED_ZSTD ? TOOL_ZSTD : TOOL_LZ4];
        struct space space = {out, KIT_PAGE_BYTES};
        fp_assert(codec_solo_unpack(tool, page.bytes, space) == FP_OK);
    }
    fp_assert(((crc32c(out, KIT_PAGE_BYTES) ^ page.crc) & ~3u) == 0);
    return FP_OK;
}

static void own_page(struct worker *worker)
{
    uint8_t page[KIT_PAGE_BYTES], expected[KIT_PAGE_BYTES];
    uint64_t at = rng_below(&worker->rng, OWN_SLOTS);
    uint64_t slot = SHARED_SLOTS + worker->number * OWN_SLOTS + at;
    if (rng_below(&worker->rng, 3) > 0) {
        uint64_t number = rng_next(&worker->rng) | 1;
        numbered_make(number, page, sizeof page);
        enum fp_status status = store(worker, slot, page);
        fp_assert(status == FP_OK || status == FP_NO_MEMORY);
        if (status == FP_OK) worker->pages[at] = number;
        worker->stores += status == FP_OK;
        worker->refused += status != FP_OK;
    }
    enum fp_status status = load(worker, slot, page);
    fp_assert(status == (worker->pages[at] ? FP_OK : FP_ABSENT));
    if (status == FP_OK) {
        numbered_make(worker->pages[at], expected, sizeof expected);
        fp_assert(memcmp(page, expected, sizeof page) == 0);
    }
    worker->loads++;
}

static void shared_page(struct worker *worker)
{
    uint8_t page[KIT_PAGE_BYTES];
    uint64_t slot = rng_below(&worker->rng, SHARED_SLOTS);
    if (rng_below(&worker->rng, 2) == 0) {
        numbered_make(rng_next(&worker->rng), page, sizeof page);
        (void)!store(worker, slot, page);
    }
    enum fp_status status = load(worker, slot, page);
    fp_assert(status == FP_OK || status == FP_ABSENT);
    if (status == FP_OK) (void)numbered_verify(page, sizeof page);
}

static void invalidate(struct worker *worker)
{
    uint64_t at = rng_below(&worker->rng, OWN_SLOTS), end = at + 100;
    uint64_t first = SHARED_SLOTS + worker->number * OWN_SLOTS;
    if (end > OWN_SLOTS) end = OWN_SLOTS;
    bench_invalidate(&worker->bench, first + at, first + end);
    memset(worker->pages + at, 0, (end - at) * sizeof *worker->pages);
    at = rng_below(&worker->rng, SHARED_SLOTS);
    bench_invalidate(&worker->bench, at, at + 1);
}

static void put_item(struct worker *worker, struct slice key)
{
    uint8_t value[NUMBERED_BYTES_MAX];
    size_t size = 8 + rng_below(&worker->rng, sizeof value - 8);
    numbered_make(rng_next(&worker->rng), value, size);
    struct item_put put = {.mode = (enum item_mode)rng_below(&worker->rng, ITEM_REPLACE + 1),
                           .key = key,
                           .value = slice_of(value, size),
                           .exptime = (int64_t)rng_below(&worker->rng, 3)};
    enum fp_status status = bench_put(&worker->bench, put);
    fp_assert(status == FP_OK || status == FP_NO_MEMORY || status == FP_NOT_STORED);
    worker->puts++;
}

static void get_item(struct worker *worker, struct slice key)
{
    uint8_t value[NUMBERED_BYTES_MAX];
    int64_t touch = (int64_t)rng_below(&worker->rng, 3);
    struct item *item = store_item_acquire(worker->bench.store, worker->bench.scratch, key,
                                           rng_below(&worker->rng, 3) ? NULL : &touch);
    if (item == NULL) return;
    fp_assert(store_item_read(worker->bench.store, worker->bench.scratch, item, value) == FP_OK);
    if (item->value_bytes > 0) (void)numbered_verify(value, item->value_bytes);
    store_item_release(worker->bench.store, worker->bench.scratch, &item);
    worker->gets++;
}

static void meta_item(struct worker *worker, struct slice key)
{
    uint8_t value[NUMBERED_BYTES_MAX];
    struct store *store = worker->bench.store;
    int64_t soon = 1 + (int64_t)rng_below(&worker->rng, 2);
    struct item_look look = {.key = key,
                             .creates = rng_below(&worker->rng, 2) == 0,
                             .unseen = rng_below(&worker->rng, 2) == 0,
                             .times.create = &soon,
                             .recache = &soon};
    struct item_end end = {.key = key,
                           .invalidates = rng_below(&worker->rng, 4) > 0,
                           .empties = rng_below(&worker->rng, 4) == 0};
    struct item_details details;
    struct item_seen seen;
    switch (rng_below(&worker->rng, 4)) {
    case 0:
        (void)!store_meta_end(store, worker->bench.scratch, &end);
        return;
    case 1:
        (void)!store_meta_describe(store, worker->bench.scratch, key, &details);
        return;
    default:
        break;
    }
    struct item *item = store_meta_get(store, worker->bench.scratch, &look, &seen);
    if (item == NULL) return;
    fp_assert(!(seen.taken && seen.won));
    fp_assert(store_item_read(store, worker->bench.scratch, item, value) == FP_OK);
    if (item->value_bytes > 0) (void)numbered_verify(value, item->value_bytes);
    store_item_release(store, worker->bench.scratch, &item);
}

static void count_item(struct worker *worker)
{
    struct item_delta up = {.key = slice_text("n"), .delta = 3};
    struct item_put put = {.key = up.key, .value = slice_text("100")};
    struct item_counted counted = {0};
    if (store_item_delta(worker->bench.store, worker->bench.scratch, &up, &counted) == FP_ABSENT)
        (void)!bench_put(&worker->bench, put);
    put.mode = ITEM_APPEND;
    put.value = slice_text("0");
    if (counted.number == 0) return;
    if (counted.number < 1000000) (void)!bench_put(&worker->bench, put);
    else (void)!store_item_delete(worker->bench.store, worker->bench.scratch, up.key);
}

static void item(struct worker *worker)
{
    char key[16];
    (void)snprintf(key, sizeof key, "key%u", (unsigned)rng_below(&worker->rng, KEYS));
    switch (rng_below(&worker->rng, 10)) {
    case 0:
        (void)!store_item_delete(worker->bench.store, worker->bench.scratch, slice_text(key));
        return;
    case 1:
        count_item(worker);
        return;
    case 2:
        store_reap_step(worker->bench.store, worker->bench.scratch);
        if (rng_below(&worker->rng, 50) == 0)
            store_flush(worker->bench.store, worker->bench.scratch,
                        (int64_t)rng_below(&worker->rng, 2));
        return;
    case 8:
    case 9:
        meta_item(worker, slice_text(key));
        return;
    case 3:
    case 4:
        put_item(worker, slice_text(key));
        return;
    default:
        get_item(worker, slice_text(key));
    }
}

static void swap(struct worker *worker)
{
    static const struct compressor_config configs[] = {
        {"lz4", 1}, {"zstd", 1}, {"none", 0}, {"lz4", 6}, {"zstd", -7}};
    const struct compressor_config *next =
        &configs[rng_below(&worker->rng, sizeof configs / sizeof *configs)];
    struct compressor_pool *pool = store_compressors(worker->bench.store);
    enum fp_status status = compressor_pool_swap(pool, next);
    fp_assert(status == FP_OK || status == FP_EXISTS);
    for (unsigned id = 0; id < 8; id++) { /* as `stats` would, while all runs */
        struct compressor_row row;
        compressor_row(pool, (uint8_t)id, &row);
    }
    (void)zpool_fill(store_zpool(worker->bench.store));
    worker->swaps += status == FP_OK;
}

static void *work(void *argument)
{
    struct worker *worker = argument;
    uint64_t now_ns;
    while ((now_ns = clock_monotonic_ns()) < worker->until_ns) {
        worker->bench.scratch->now_ms = now_ns / 1000000 + 10000;
        for (int i = 0; i < 16; i++) {
            uint64_t choice = rng_below(&worker->rng, 100);
            worker->bench.scratch->tenant = (uint8_t)(choice % TENANTS);
            if (choice == 0) swap(worker);
            else if (choice < 3) invalidate(worker);
            else if (choice < 40) own_page(worker);
            else if (choice < 60) shared_page(worker);
            else item(worker);
        }
    }
    return NULL;
}

static void run(struct bench *bench, struct worker *workers, uint64_t seed, uint64_t seconds)
{
    uint64_t until_ns = clock_monotonic_ns() + seconds * 1000000000;
    struct movers movers;
    movers_start(&movers, bench->store);
    for (unsigned i = 0; i < THREADS; i++) {
        workers[i].bench = *bench;
        workers[i].rng.state = seed + i;
        workers[i].number = i;
        workers[i].until_ns = until_ns;
        fp_assert(store_scratch_create(workers[i].bench.store, &workers[i].bench.scratch) == FP_OK);
        workers[i].bench.scratch->unix_s = BENCH_START_UNIX_S;
        struct compressor_config lz4 = {"lz4", 3, NULL}, zstd = {"zstd", 2, NULL};
        fp_assert(codec_solo_init(&workers[i].tools[TOOL_LZ4], &lz4) == FP_OK);
        fp_assert(codec_solo_init(&workers[i].tools[TOOL_ZSTD], &zstd) == FP_OK);
        fp_assert(pthread_create(&workers[i].thread, NULL, work, &workers[i]) == 0);
    }
    for (unsigned i = 0; i < THREADS; i++) {
        fp_assert(pthread_join(workers[i].thread, NULL) == 0);
        store_scratch_destroy(&workers[i].bench.scratch);
        for (int t = 0; t < TOOLS; t++) codec_solo_fini(&workers[i].tools[t]);
        printf("thread %u: stores %" PRIu64 " packed %" PRIu64 " refused %" PRIu64
               " loads %" PRIu64 " puts %" PRIu64 " gets %" PRIu64 " swaps %" PRIu64 "\n",
               i, workers[i].stores, workers[i].packed, workers[i].refused, workers[i].loads,
               workers[i].puts, workers[i].gets, workers[i].swaps);
    }
    movers_stop(&movers);
}

/* After all that, every page that was acknowledged is there, and then nothing is. */
static void settle(struct bench *bench, const struct worker *workers)
{
    uint8_t page[KIT_PAGE_BYTES], expected[KIT_PAGE_BYTES];
    store_check(bench->store);
    for (uint64_t i = 0; i < THREADS * OWN_SLOTS; i++) {
        uint64_t number = workers[i / OWN_SLOTS].pages[i % OWN_SLOTS];
        enum fp_status status = bench_load(bench, SHARED_SLOTS + i, page);
        fp_assert(status == (number ? FP_OK : FP_ABSENT));
        if (number == 0) continue;
        numbered_make(number, expected, sizeof expected);
        fp_assert(memcmp(page, expected, sizeof page) == 0);
    }
    bench_invalidate(bench, 0, bench->area->slot_count);
    while (store_evict_one(bench->store, bench->scratch)) {}
    store_check(bench->store);
    struct budget *budget = store_budget(bench->store);
    fp_assert(budget_held(budget, BUDGET_PAYLOAD) == 0 && budget_held(budget, BUDGET_ITEMS) == 0);
    fp_assert(atomic_load(&store_counters(bench->store)->corrupt) == 0);
    for (int i = 0; i < 3; i++) compressor_pool_upkeep(store_compressors(bench->store));
    for (unsigned id = 0; id < COMPRESSOR_SEATS; id++) {
        struct compressor_row row;
        compressor_row(store_compressors(bench->store), (uint8_t)id, &row);
        fp_assert(row.users == 0 && row.objects == 0 && row.state != COMPRESSOR_DRAINING);
    }
}

static void define_tenants(struct store *store)
{
    static const struct tenant_limits limits[TENANTS] = {{0}, {.quota_bytes = 100000}, {0}};
    static const char *const names[TENANTS] = {"default", "limited", "free"};
    uint8_t number;
    for (unsigned i = 0; i < TENANTS; i++)
        fp_assert(tenants_define(store_tenants(store), slice_text(names[i]), &limits[i],
                                 &number) == FP_OK && number == i);
}

int main(int argc, char **argv)
{
    static struct worker workers[THREADS];
    struct bench bench;
    uint64_t seed = kit_number(argc, argv, 1, "FARPAGE_SEED", (uint64_t)time(NULL));
    uint64_t seconds = kit_number(argc, argv, 2, "FARPAGE_SECONDS", 3);
    printf("stress_store %" PRIu64 " %" PRIu64 "\n", seed, seconds);
    (void)fflush(stdout);
    bench_setup(&bench, (struct store_options){.memory_limit_bytes = 2 * BENCH_MIB},
                SHARED_SLOTS + THREADS * OWN_SLOTS);
    define_tenants(bench.store);
    run(&bench, workers, seed, seconds);
    settle(&bench, workers);
    bench_teardown(&bench);
    return 0;
}
