/* SPDX-License-Identifier: BSD-3-Clause */
#include "tests/model/movers.h"

#include <inttypes.h>

#include "base/clock.h"
#include "snapshot/reader.h"
#include "storage/store/recompress/store_recompress.h"
#include "storage/store/snapshot/store_snapshot.h"
#include "storage/store/store_scrub.h"

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

/* One snapshot; each fifth is given up early. True: it was complete, and it is a good one. */
static bool copy_once(struct movers *movers, struct store_scratch *scratch, uint64_t turn)
{
    static const uint8_t boot_id[SNAPSHOT_BOOT_ID_BYTES] = {1};
    struct store_snapshot_options options = {
        .kind = SNAPSHOT_OF_SERVING, .boot_id = boot_id, .release = "stress"};
    static struct snapshot_reader reader;
    struct store_snapshot *snapshot;
    struct slice bytes;
    enum fp_status status = store_snapshot_begin(movers->store, scratch, &options, &snapshot);
    fp_assert(status == FP_OK || status == FP_NO_MEMORY);
    if (status != FP_OK) return false;
    snapshot_reader_init(&reader);
    for (;;) {
        struct snapshot_record record;
        size_t used;
        scratch->now_ms = clock_monotonic_ns() / 1000000 + 10000;
        status = store_snapshot_step(snapshot, scratch, 1, &bytes);
        if (status != FP_OK || bytes.size_bytes == 0 || turn % 5 == 4) break;
        while (snapshot_read_next(&reader, bytes, false, &record, &used) == SNAPSHOT_READ_RECORD)
            bytes = slice_of(bytes.bytes + used, bytes.size_bytes - used);
        fp_assert(reader.problem == NULL && bytes.size_bytes == 0);
    }
    store_snapshot_end(&snapshot, scratch);
    fp_assert(status == FP_OK || status == FP_NO_MEMORY);
    return status == FP_OK && turn % 5 != 4;
}

static bool always(void *context)
{
    (void)context;
    return true;
}

static void never(void *context, const struct scrub_found *found)
{
    (void)context;
    fp_assert(found == NULL); /* nothing is damaged here */
}

static void *copy(void *argument)
{
    struct movers *movers = argument;
    struct scrub_caller caller = {.go_on = always, .found = never};
    struct scrub_counts counts = {0};
    struct store_scrub *scrub;
    struct store_scratch *scratch;
    uint64_t complete = 0, turn = 0;
    fp_assert(store_scratch_create(movers->store, &scratch) == FP_OK);
    fp_assert(store_scrub_create(movers->store, &caller, &scrub) == FP_OK);
    scratch->unix_s = BENCH_START_UNIX_S;
    for (; !atomic_load(&movers->stop); turn++) {
        complete += copy_once(movers, scratch, turn);
        (void)store_scrub_begin(scrub);
        while (!atomic_load(&movers->stop) && !store_scrub_step(scrub, scratch, 64, &counts)) {}
    }
    printf("snapshots: %" PRIu64 " of %" PRIu64 " complete; scrubbed %" PRIu64 " pages, %" PRIu64
           " items\n", complete, turn, counts.pages, counts.items);
    store_scrub_destroy(&scrub);
    store_scratch_destroy(&scratch);
    return NULL;
}

void movers_start(struct movers *movers, struct store *store)
{
    movers->store = store;
    atomic_init(&movers->stop, false);
    fp_assert(pthread_create(&movers->compactor, NULL, compact, movers) == 0);
    fp_assert(pthread_create(&movers->recompressor, NULL, recompress, movers) == 0);
    fp_assert(pthread_create(&movers->copier, NULL, copy, movers) == 0);
}

void movers_stop(struct movers *movers)
{
    atomic_store(&movers->stop, true);
    fp_assert(pthread_join(movers->compactor, NULL) == 0);
    fp_assert(pthread_join(movers->recompressor, NULL) == 0);
    fp_assert(pthread_join(movers->copier, NULL) == 0);
}
