/* SPDX-License-Identifier: BSD-3-Clause
 * recompress - what packing stored pages once more saves, and what loads feel of it meanwhile.
 *
 * Pages are stored with one compressor, then brought to each of the others in turn by a thread that
 * works as the server's does: steps of a few pages, nice 10, a duty. Another loads pages at random
 * all the time and times each; the quiet figures are of as many loads before. All in one process.
 */
#include <getopt.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/crc32c.h"
#include "base/histogram.h"
#include "base/number.h"
#include "codec/compressor_text.h"
#include "storage/store/page/store_area.h"
#include "storage/store/recompress/store_recompress.h"
#include "tests/bench/draw.h"
#include "tests/bench/pageset.h"

enum { STEP_LOOKS = 512, STEP_TRIES = 4, WORK_NS = 4000000, QUIET_LOADS = 300000 };

struct bench {
    struct store *store;
    struct area *area;
    struct pageset pages;
    uint64_t copies, duty, slots;
    struct recompress_counts counts; /* of the job; read when it is over */
    uint64_t worked_ns;
    _Atomic bool over;
};

static void die(const char *what, const char *why)
{
    fprintf(stderr, "recompress: %s: %s\n", what, why);
    exit(1);
}

static struct store_scratch *scratch_new(struct store *store)
{
    struct store_scratch *scratch;
    if (store_scratch_create(store, &scratch) != FP_OK) die("memory", "there is none left");
    scratch->now_ms = 2000;
    return scratch;
}

static const uint8_t *page_of(const struct bench *bench, uint64_t slot, uint32_t *crc)
{
    uint32_t index = (uint32_t)(slot % bench->pages.count);
    *crc = bench->pages.crcs[index];
    return pageset_page(&bench->pages, index);
}

static void fill(struct bench *bench)
{
    struct store_scratch *scratch = scratch_new(bench->store);
    for (uint64_t slot = 0; slot < bench->slots; slot++) {
        struct page_place place = {bench->area, slot};
        uint32_t crc;
        const uint8_t *page = page_of(bench, slot, &crc);
        if (store_page_store(bench->store, scratch, place, page, crc) != FP_OK)
            die("store", "refused");
    }
    store_scratch_destroy(&scratch);
}

/* --- the job, as server/jobs/recompressor.c does it ------------------------------------------- */

static void *work(void *opaque)
{
    struct bench *bench = opaque;
    struct store_scratch *scratch = scratch_new(bench->store);
    struct recompress_plan plan = {.drain = true, .plain = true};
    struct recompress_limits limits = {.looks = STEP_LOOKS, .tries = STEP_TRIES};
    struct recompress *walk;
    bool last = false;
    (void)setpriority(PRIO_PROCESS, (id_t)syscall(SYS_gettid), 10);
    if (recompress_create(bench->store, &walk) != FP_OK) die("memory", "there is none left");
    (void)recompress_begin(walk, &plan);
    while (!last) {
        uint64_t begun_ns = clock_monotonic_ns(), cpu_ns = clock_thread_ns(), worked_ns = 0;
        while (!last && worked_ns < WORK_NS) {
            last = recompress_step(walk, scratch, limits, &bench->counts);
            worked_ns = clock_thread_ns() - cpu_ns;
        }
        uint64_t due_ns = worked_ns * 100 / bench->duty;
        uint64_t took_ns = clock_monotonic_ns() - begun_ns;
        uint64_t rest_ns = due_ns > took_ns ? due_ns - took_ns : 0;
        struct timespec rest = {(time_t)(rest_ns / 1000000000), (long)(rest_ns % 1000000000)};
        bench->worked_ns += worked_ns;
        if (rest_ns > 0) nanosleep(&rest, NULL);
    }
    recompress_destroy(&walk);
    store_scratch_destroy(&scratch);
    atomic_store(&bench->over, true);
    return NULL;
}

/* --- loads ------------------------------------------------------------------------------------ */

/* Loads until the job is over, or so many; each is compared by its checksum, which was computed
 * when the pages were read. */
static void load(struct bench *bench, uint64_t loads_max, struct histogram *times)
{
    struct store_scratch *scratch = scratch_new(bench->store);
    struct draw draw;
    uint8_t out[PAGESET_PAGE_BYTES];
    draw_init(&draw, 1, bench->slots, false);
    histogram_init(times);
    for (uint64_t i = 0; i < loads_max && !atomic_load(&bench->over); i++) {
        struct page_place place = {bench->area, draw_below(&draw, bench->slots)};
        uint32_t crc, expected;
        (void)page_of(bench, place.slot, &expected);
        uint64_t begun_ns = clock_monotonic_ns();
        enum fp_status status = store_page_load(bench->store, scratch, place, out, &crc);
        histogram_add(times, clock_monotonic_ns() - begun_ns);
        if (status != FP_OK || crc != expected) die("load", "other bytes came back");
    }
    store_scratch_destroy(&scratch);
}

static double ratio(const struct bench *bench)
{
    const struct area_counters *counters = &bench->area->counters;
    uint64_t packed = atomic_load(&counters->packed_bytes);
    uint64_t pages = atomic_load(&counters->stored) - atomic_load(&counters->same_filled);
    return (double)pages * PAGESET_PAGE_BYTES / (double)packed;
}

/* Pages with nothing left out, over all that the pool holds, free space included. */
static double held_ratio(struct bench *bench)
{
    while (!zpool_compact(store_zpool(bench->store), 1000).done) {}
    uint64_t held = budget_held(store_budget(bench->store), BUDGET_PAYLOAD);
    return (double)bench->slots * PAGESET_PAGE_BYTES / (double)held;
}

static double us(const struct histogram *times, double quantile)
{
    return (double)histogram_quantile(times, quantile) / 1000;
}

static void change(struct bench *bench, const char *name)
{
    struct compressor_config config = {.dictionary = NULL};
    struct histogram quiet, during;
    char wrong[COMPRESSOR_WRONG_BYTES];
    pthread_t job;
    if (compressor_parse(slice_text(name), &config, wrong) != FP_OK) die(name, wrong);
    if (compressor_pool_swap(store_compressors(bench->store), &config) != FP_OK)
        die(name, "it is the present one");
    double before = ratio(bench);
    atomic_store(&bench->over, false);
    load(bench, QUIET_LOADS, &quiet);
    bench->counts = (struct recompress_counts){0};
    bench->worked_ns = 0;
    uint64_t begun_ns = clock_monotonic_ns();
    if (pthread_create(&job, NULL, work, bench) != 0) die("thread", "refused");
    load(bench, UINT64_MAX, &during);
    uint64_t took_ns = clock_monotonic_ns() - begun_ns;
    if (pthread_join(job, NULL) != 0) die("thread", "lost");
    printf("| %s | %.3f | %.3f | %.3f | %" PRIu64 " | %" PRIu64 " | %.1f | %.0f | %.1f | %.1f "
           "| %.2f |\n",
           name, before, ratio(bench), held_ratio(bench), bench->counts.rewritten,
           bench->counts.not_smaller, (double)took_ns / 1e9,
           100.0 * (double)bench->worked_ns / (double)took_ns, us(&quiet, 0.99),
           us(&during, 0.99), us(&during, 0.99) / us(&quiet, 0.99));
    fflush(stdout);
}

static uint64_t number_of(const char *text, uint64_t most)
{
    uint64_t number;
    if (!number_u64(slice_text(text), &number) || number == 0 || number > most)
        die(text, "no number that makes sense");
    return number;
}

int main(int argc, char **argv)
{
    static const struct option options[] = {{"copies", required_argument, NULL, 'c'},
                                            {"duty", required_argument, NULL, 'd'},
                                            {"compressors", required_argument, NULL, 's'},
                                            {NULL, 0, NULL, 0}};
    static struct bench bench = {.copies = 8, .duty = 20};
    static char sample_path[] = FARPAGE_BENCH_SAMPLE;
    char *names = NULL;
    for (int option; (option = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        if (option == 'c') bench.copies = number_of(optarg, 1000);
        else if (option == 'd') bench.duty = number_of(optarg, 100);
        else if (option == 's') names = optarg;
        else die("usage", "recompress [--copies N] [--duty PERCENT] [--compressors LIST] PAGES...");
    }
    static char usual[] = "zstd:1,zstd:3,zstd:9,zstd:19";
    char *sample[] = {sample_path};
    bool given = optind < argc;
    if (!pageset_read(given ? argv + optind : sample, given ? argc - optind : 1, &bench.pages))
        return 1;
    bench.slots = bench.pages.count * bench.copies;
    struct store_options store = {.memory_limit_bytes = 16ull << 30,
                                  .page_bytes = PAGESET_PAGE_BYTES,
                                  .allocator = "blocks",
                                  .compressor = {"lz4", 0, NULL}};
    if (store_create(&store, &bench.store) != FP_OK ||
        store_area_open(bench.store, slice_text("bench"), bench.slots, &bench.area) != FP_OK)
        die("store", "cannot be made");
    fill(&bench);
    printf("%" PRIu64 " slots, %" PRIu32 " real pages, duty %" PRIu64 " %%\n\n"
           "| to | ratio before | after | held | rewritten | not smaller | s | of a CPU "
           "| quiet p99 us | p99 us | times |\n|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|\n",
           bench.slots, bench.pages.count, bench.duty);
    for (char *name = strtok(names != NULL ? names : usual, ","); name != NULL;
         name = strtok(NULL, ","))
        change(&bench, name);
    store_destroy(&bench.store);
    pageset_free(&bench.pages);
    return 0;
}
