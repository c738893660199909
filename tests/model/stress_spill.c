/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Four threads store, load, map and invalidate slots of their own, whose content each knows, while
 * a fifth writes back what is cold, empties extents and compacts. The file is too small for all of
 * it, and the memory too. stress_spill [SEED [SECONDS]] */
#include <pthread.h>
#include <stdlib.h>
#include <time.h>

#include "storage/store/map/store_map.h"
#include "storage/store/spill/store_spill.h"
#include "tests/unit/storage/bench.h"

enum { THREADS = 4, SLOTS_EACH = 700, EXTENT_BYTES = 128 << 10, MEMORY_BYTES = 6 << 20 };

static struct bench bench;
static _Atomic bool over;
static _Atomic uint64_t loads_waited, loads_all, refused;

struct player {
    pthread_t thread;
    struct rng rng;
    uint64_t first;
    struct store_scratch *scratch;
    uint32_t version[SLOTS_EACH]; /* 0: nothing */
    uint8_t page[KIT_PAGE_BYTES], expected[KIT_PAGE_BYTES], out[KIT_PAGE_BYTES];
};

static void fill(uint8_t *page, uint64_t slot, uint32_t version)
{
    struct rng rng = {slot << 32 | version};
    if (version % 16 == 3) memset(page, (int)version, KIT_PAGE_BYTES);
    else if (version % 8 == 1) rng_fill(&rng, page, KIT_PAGE_BYTES);
    else rng_fill_text(&rng, page, KIT_PAGE_BYTES);
}

static void store(struct player *player, uint64_t at)
{
    struct page_place place = {bench.area, player->first + at};
    uint32_t next = (uint32_t)rng_below(&player->rng, 1u << 30) + 1;
    fill(player->page, place.slot, next);
    enum fp_status status;
    uint32_t crc = crc32c(player->page, KIT_PAGE_BYTES);
    do {
        status = store_page_store(bench.store, player->scratch, place, player->page, crc);
    } while (status == FP_LATER && !atomic_load(&over));
    fp_assert(status == FP_OK || status == FP_NO_MEMORY || status == FP_LATER);
    if (status == FP_OK) player->version[at] = next;
    else atomic_fetch_add(&refused, 1);
}

static void check(struct player *player, uint64_t at, enum fp_status status)
{
    if (player->version[at] == 0) {
        fp_assert(status == FP_ABSENT);
        return;
    }
    fp_assert(status == FP_OK);
    fill(player->expected, player->first + at, player->version[at]);
    fp_assert(memcmp(player->out, player->expected, KIT_PAGE_BYTES) == 0);
}

/* As a worker does: ask, read, perhaps promote, ask again. */
static void load(struct player *player, uint64_t at)
{
    struct page_place place = {bench.area, player->first + at};
    uint32_t crc;
    enum fp_status status =
        store_page_load(bench.store, player->scratch, place, player->out, &crc);
    atomic_fetch_add(&loads_all, 1);
    while (status == FP_SPILLED) {
        struct store_read read;
        enum fp_status begun = store_read_begin(bench.store, NULL, place, &read);
        if (begun == FP_OK) {
            store_read_run(bench.store, &read);
            enum store_promote how =
                rng_below(&player->rng, 4) == 0 ? PROMOTE_ALWAYS : PROMOTE_BY_POLICY;
            enum fp_status up = store_read_promote(bench.store, player->scratch, &read, how);
            fp_assert(up == FP_OK || up == FP_NO_MEMORY || up == FP_LATER);
            player->scratch->arrived = &read;
            atomic_fetch_add(&loads_waited, 1);
        }
        status = store_page_load(bench.store, player->scratch, place, player->out, &crc);
        player->scratch->arrived = NULL;
        if (begun == FP_OK) store_read_end(bench.store, player->scratch, &read);
    }
    check(player, at, status);
}

static void map(struct player *player, uint64_t at)
{
    struct page_place place = {bench.area, player->first + at};
    struct map_wish wish = {.mode = MAP_READ, .bytes_max = UINT64_MAX};
    struct store_map *mapped;
    struct lent lent;
    enum fp_status status =
        store_map_page(bench.store, player->scratch, place, &wish, &mapped);
    if (status != FP_OK) {
        fp_assert(status == FP_SPILLED || status == FP_NO_MEMORY ||
                  (status == FP_ABSENT && player->version[at] == 0));
        return;
    }
    for (int i = 0; i < 20; i++) load(player, rng_below(&player->rng, SLOTS_EACH));
    fp_assert(store_map_read(mapped, player->scratch, 0, KIT_PAGE_BYTES, &lent) == FP_OK);
    memcpy(player->out, lent.bytes.bytes, KIT_PAGE_BYTES);
    check(player, at, FP_OK);
    store_map_end(&mapped, player->scratch);
}

static void *play(void *opaque)
{
    struct player *player = opaque;
    while (!atomic_load(&over)) {
        uint64_t at = rng_below(&player->rng, SLOTS_EACH), what = rng_below(&player->rng, 100);
        if (what < 30) {
            store(player, at);
        } else if (what < 90) {
            load(player, at);
        } else if (what < 95) {
            map(player, at);
        } else {
            uint64_t slot = player->first + at, end = slot + 1;
            fp_assert(store_page_invalidate_some(bench.store, player->scratch, bench.area, &slot,
                                                 end) == FP_OK);
            player->version[at] = 0;
        }
    }
    for (uint64_t at = 0; at < SLOTS_EACH; at++) load(player, at);
    return NULL;
}

static void *spill(void *opaque)
{
    struct store_scratch *scratch = opaque;
    struct spill_limits limits = {.bytes = EXTENT_BYTES, .looks = 2000};
    struct spill_step done;
    while (!atomic_load(&over)) {
        (void)!store_spill_step(bench.store, scratch, limits, &done);
        (void)!store_spill_gaps(bench.store, scratch, &done);
        (void)zpool_compact(store_zpool(bench.store), 64);
    }
    return NULL;
}

int main(int argc, char **argv)
{
    uint64_t seed = argc > 1 ? strtoull(argv[1], NULL, 10) : (uint64_t)time(NULL);
    double seconds = argc > 2 ? strtod(argv[2], NULL) : 0.3;
    static struct player players[THREADS];
    struct store_scratch *scratch;
    pthread_t spiller;
    char why[SPILL_WHY_BYTES];
    printf("seed %llu\n", (unsigned long long)seed);
    fflush(stdout);
    bench_setup(&bench, (struct store_options){.memory_limit_bytes = MEMORY_BYTES},
                THREADS * SLOTS_EACH);
    struct spill_file_options file = {
        .path = ".", .size_bytes = 5 << 20, .extent_bytes = EXTENT_BYTES};
    fp_assert(store_spill_open(bench.store, &file, why) == FP_OK);
    fp_assert(store_scratch_create(bench.store, &scratch) == FP_OK);
    for (unsigned i = 0; i < THREADS; i++) {
        players[i].rng = (struct rng){seed + i};
        players[i].first = (uint64_t)i * SLOTS_EACH;
        fp_assert(store_scratch_create(bench.store, &players[i].scratch) == FP_OK);
        players[i].scratch->now_ms = BENCH_START_MS;
        players[i].scratch->may_wait = true;
        fp_assert(pthread_create(&players[i].thread, NULL, play, &players[i]) == 0);
    }
    fp_assert(pthread_create(&spiller, NULL, spill, scratch) == 0);
    struct timespec pause = {(time_t)seconds, (long)((seconds - (double)(time_t)seconds) * 1e9)};
    nanosleep(&pause, NULL);
    atomic_store(&over, true);
    for (unsigned i = 0; i < THREADS; i++) pthread_join(players[i].thread, NULL);
    pthread_join(spiller, NULL);
    const struct spill_counters *counters = store_spill_counters(bench.store);
    printf("loads %llu, of those from the file %llu, written back %llu, moved %llu, promoted %llu, "
           "refused %llu\n",
           (unsigned long long)loads_all, (unsigned long long)loads_waited,
           (unsigned long long)counters->spilled_total, (unsigned long long)counters->moved_pages,
           (unsigned long long)counters->promotions, (unsigned long long)refused);
    fp_assert(atomic_load(&counters->spilled_total) > 0 && atomic_load(&loads_waited) > 0);
    spill_file_assert(store_spill_file(bench.store));
    for (unsigned i = 0; i < THREADS; i++) store_scratch_destroy(&players[i].scratch);
    store_scratch_destroy(&scratch);
    bench_teardown(&bench);
    return 0;
}
