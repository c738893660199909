/* SPDX-License-Identifier: BSD-3-Clause */
#include "tests/model/movers.h"

#include <inttypes.h>

#include "base/clock.h"
#include "storage/store_recompress.h"

static void *compact(void *argument)
{
    struct movers *movers = argument;
    uint64_t moved = 0, freed = 0;
    while (!atomic_load(&movers->stop)) {
        struct zpool_step step = zpool_compact(store_zpool(movers->store), 32);
        moved += step.moved_count;
        freed += step.freed_pages;
    }
    printf("compaction: moved %" PRIu64 " freed pages %" PRIu64 "\n", moved, freed);
    return NULL;
}

/* One walk after the other; each third is a turn of the clock, each fifth is left early. */
static void *recompress(void *argument)
{
    static const struct compressor_config strong = {"zstd", 5, NULL};
    struct movers *movers = argument;
    struct recompress_counts counts = {0};
    struct recompress *walk;
    struct store_scratch *scratch;
    fp_assert(recompress_create(movers->store, &walk) == FP_OK);
    fp_assert(store_scratch_create(movers->store, &scratch) == FP_OK);
    scratch->unix_s = BENCH_START_UNIX_S;
    for (uint64_t turn = 0; !atomic_load(&movers->stop); turn++) {
        struct recompress_plan plan = {
            .drain = turn % 3 != 0, .cool = turn % 3 == 0, .idle_ms = 1, .plain = turn % 2 == 0};
        struct recompress_limits limits = {.looks = 200, .tries = 8};
        if (turn % 2 == 0)
            fp_assert(compressor_acquire_config(store_compressors(movers->store), &strong,
                                                scratch->codec, &plan.cold) == FP_OK);
        (void)recompress_begin(walk, &plan);
        do scratch->now_ms = clock_monotonic_ns() / 1000000 + 10000;
        while (!recompress_step(walk, scratch, limits, &counts) && turn % 5 != 4);
        if (plan.cold != NULL) compressor_release(&plan.cold, scratch->codec);
    }
    printf("recompression: looked %" PRIu64 " rewritten %" PRIu64 " changed %" PRIu64
           " in use %" PRIu64 " no memory %" PRIu64 "\n",
           counts.looked, counts.rewritten, counts.skipped_changed, counts.skipped_in_use,
           counts.skipped_no_memory);
    fp_assert(counts.rewritten > 0 && counts.corrupt == 0);
    recompress_destroy(&walk);
    store_scratch_destroy(&scratch);
    return NULL;
}

void movers_start(struct movers *movers, struct store *store)
{
    movers->store = store;
    atomic_init(&movers->stop, false);
    fp_assert(pthread_create(&movers->compactor, NULL, compact, movers) == 0);
    fp_assert(pthread_create(&movers->recompressor, NULL, recompress, movers) == 0);
}

void movers_stop(struct movers *movers)
{
    atomic_store(&movers->stop, true);
    fp_assert(pthread_join(movers->compactor, NULL) == 0);
    fp_assert(pthread_join(movers->recompressor, NULL) == 0);
}
