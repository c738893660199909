/* SPDX-License-Identifier: BSD-3-Clause
 * inprocess - stores and loads of real pages at random slots, in one thread of this process, beside
 * the kernel's zram on the same pages: 4096-byte writes and reads of a device of our own with
 * O_DIRECT, which is what its users pay. Once for each of our allocators.
 *
 * Each round measures all of them, beginning with another one; ratios are formed within a round.
 * Whole loops are timed, not single operations. In the end every page is compared. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/crc32c.h"
#include "storage/store/page/store_area.h"
#include "storage/store/store.h"
#include "tests/bench/draw.h"
#include "tests/bench/meter.h"
#include "tests/bench/options.h"
#include "tests/bench/pageset.h"
#include "tests/bench/series.h"
#include "tests/bench/zram.h"

enum { PEERS = 4, KERNEL = 0 }; /* the kernel, then our allocators */
enum work { WORK_FILL, WORK_STORE, WORK_LOAD, WORKS };
static const char *const peer_names[PEERS] = {"kernel", "blocks", "zsmalloc", "zbud"};
static const char *const work_names[WORKS] = {"fill", "store", "load"};

struct bench {
    struct options options;
    struct pageset pages;
    uint8_t *aligned; /* the same pages, as O_DIRECT wants them */
    uint8_t *landing; /* where a page is loaded to, aligned too */
    uint32_t *versions;
    uint32_t slots;
    const char *kernel_missing; /* why; NULL: it is measured */
    const char *algorithm;
    struct series rates[PEERS][WORKS];
};

struct run { /* one peer, one round */
    struct bench *bench;
    unsigned peer;
    struct draw draw;
    int device; /* the kernel's */
    struct store *store;
    struct store_scratch *scratch;
    struct area *area;
};

/* --- one operation ---------------------------------------------------------------------------- */

static enum fp_status store_one(struct run *run, uint32_t slot, uint32_t index)
{
    const struct bench *bench = run->bench;
    const uint8_t *page = bench->aligned + (size_t)index * PAGESET_PAGE_BYTES;
    if (run->peer == KERNEL)
        return pwrite(run->device, page, PAGESET_PAGE_BYTES, (off_t)slot * PAGESET_PAGE_BYTES) ==
                       PAGESET_PAGE_BYTES ? FP_OK : FP_NO_MEMORY;
    struct page_place place = {.area = run->area, .slot = slot};
    return store_page_store(run->store, run->scratch, place, page, bench->pages.crcs[index]);
}

static enum fp_status load_one(struct run *run, uint32_t slot)
{
    uint8_t *page = run->bench->landing;
    uint32_t crc;
    if (run->peer == KERNEL)
        return pread(run->device, page, PAGESET_PAGE_BYTES, (off_t)slot * PAGESET_PAGE_BYTES) ==
                       PAGESET_PAGE_BYTES ? FP_OK : FP_CORRUPT;
    struct page_place place = {.area = run->area, .slot = slot};
    return store_page_load(run->store, run->scratch, place, page, &crc);
}

/* --- many of them ----------------------------------------------------------------------------- */

static bool work(struct run *run, enum work kind)
{
    struct bench *bench = run->bench;
    uint64_t ops = kind == WORK_FILL ? bench->slots : bench->options.ops;
    uint64_t start_ns = clock_monotonic_ns();
    for (uint64_t i = 0; i < ops; i++) {
        uint32_t slot = (uint32_t)(kind == WORK_FILL ? i : draw_key(&run->draw));
        enum fp_status status =
            kind == WORK_LOAD
                ? load_one(run, slot)
                : store_one(run, slot, pageset_index(&bench->pages, slot, ++bench->versions[slot]));
        if (status == FP_OK) continue;
        fprintf(stderr, "bench: %s: %s of slot %" PRIu32 ": %s\n", peer_names[run->peer],
                work_names[kind], slot, fp_status_text(status));
        return false;
    }
    double seconds = (double)(clock_monotonic_ns() - start_ns) / 1e9;
    series_add(&bench->rates[run->peer][kind], (double)ops / seconds);
    return true;
}

static bool verify(struct run *run)
{
    const struct bench *bench = run->bench;
    for (uint32_t slot = 0; slot < bench->slots; slot++) {
        uint32_t index = pageset_index(&bench->pages, slot, bench->versions[slot]);
        if (load_one(run, slot) == FP_OK &&
            crc32c(bench->landing, PAGESET_PAGE_BYTES) == bench->pages.crcs[index])
            continue;
        fprintf(stderr, "bench: %s: slot %" PRIu32 ": other bytes than were stored\n",
                peer_names[run->peer], slot);
        return false;
    }
    return true;
}

/* --- peers ------------------------------------------------------------------------------------ */

static bool open_store(struct run *run, uint64_t seed)
{
    const struct bench *bench = run->bench;
    struct store_options options = {
        .memory_limit_bytes = bench->options.memory,
        .page_bytes = PAGESET_PAGE_BYTES,
        .allocator = peer_names[run->peer],
        .compressor = {.algorithm = bench->algorithm},
        .hash_seed = seed,
    };
    enum fp_status status = store_create(&options, &run->store);
    if (status == FP_OK) status = store_scratch_create(run->store, &run->scratch);
    if (status == FP_OK)
        status = store_area_open(run->store, slice_text("bench"), bench->slots, &run->area);
    if (status == FP_OK) run->scratch->now_ms = 2000;
    if (status != FP_OK) fprintf(stderr, "bench: %s\n", fp_status_text(status));
    return status == FP_OK;
}

static bool measure(struct bench *bench, unsigned peer, uint64_t seed)
{
    struct run run = {.bench = bench, .peer = peer, .device = -1};
    draw_init(&run.draw, seed, bench->slots, false);
    for (uint32_t i = 0; i < bench->slots; i++) bench->versions[i] = 0;
    if (peer == KERNEL)
        run.device = zram_open(bench->algorithm, (uint64_t)bench->slots * PAGESET_PAGE_BYTES);
    bool good = peer == KERNEL ? run.device >= 0 : open_store(&run, seed);
    for (int kind = 0; good && kind < WORKS; kind++) good = work(&run, (enum work)kind);
    good = good && verify(&run);
    if (run.device >= 0) zram_close(run.device);
    if (run.scratch != NULL) store_scratch_destroy(&run.scratch);
    if (run.store != NULL) store_destroy(&run.store);
    return good;
}

static bool measure_all(struct bench *bench)
{
    for (unsigned round = 0; round < bench->options.rounds; round++)
        for (unsigned turn = 0; turn < PEERS; turn++) {
            unsigned peer = (round + turn) % PEERS;
            if (peer == KERNEL && bench->kernel_missing != NULL) continue;
            if (!measure(bench, peer, bench->options.seed + round)) return false;
        }
    return true;
}

/* --- telling ---------------------------------------------------------------------------------- */

static void print_table(const struct bench *bench)
{
    printf("## In process: one thread, beside the kernel's zram\n\n"
           "%" PRIu32 " slots hold %.1f MiB: %" PRIu32 " real pages, repeated as needed. Random "
           "slots, %" PRIu64 " operations, %s. Median of %" PRIu64 " rounds; load average %.2f.\n",
           bench->slots, (double)bench->slots * PAGESET_PAGE_BYTES / 0x1p20, bench->pages.count,
           bench->options.ops, bench->algorithm, bench->options.rounds, meter_load_average());
    if (bench->kernel_missing != NULL)
        printf("The kernel is not measured: %s.\n", bench->kernel_missing);
    printf("\n| | stores/s | us | x kernel | loads/s | us | x kernel |\n"
           "|---|--:|--:|--:|--:|--:|--:|\n");
    for (unsigned peer = 0; peer < PEERS; peer++) {
        if (bench->rates[peer][WORK_STORE].count == 0) continue;
        printf("| %s |", peer_names[peer]);
        for (int kind = WORK_STORE; kind <= WORK_LOAD; kind++) {
            char rate[SERIES_TEXT_BYTES], ratio[SERIES_TEXT_BYTES];
            const struct series *rates = &bench->rates[peer][kind];
            struct series beside = series_ratio(rates, &bench->rates[KERNEL][kind]);
            printf(" %s | %.2f | %s |", series_text(rates, 0, rate), 1e6 / series_median(rates),
                   series_text(&beside, 2, ratio));
        }
        putchar('\n');
    }
}

static void print_json(const struct bench *bench)
{
    const char *comma = "";
    printf("{\"bench\": \"inprocess\", \"slots\": %" PRIu32 ", \"pages\": %" PRIu32
           ", \"algorithm\": \"%s\", \"peers\": [", bench->slots, bench->pages.count,
           bench->algorithm);
    for (unsigned peer = 0; peer < PEERS; peer++) {
        if (bench->rates[peer][WORK_STORE].count == 0) continue;
        printf("%s\n {\"name\": \"%s\"", comma, peer_names[peer]);
        for (int kind = 0; kind < WORKS; kind++) {
            printf(", ");
            series_json(stdout, work_names[kind], &bench->rates[peer][kind]);
        }
        putchar('}');
        comma = ",";
    }
    printf("\n]}\n");
}

static bool prepare(struct bench *bench)
{
    size_t bytes = (size_t)bench->pages.count * PAGESET_PAGE_BYTES;
    bench->versions = malloc(bench->slots * sizeof *bench->versions);
    bench->aligned = aligned_alloc(PAGESET_PAGE_BYTES, bytes);
    bench->landing = aligned_alloc(PAGESET_PAGE_BYTES, PAGESET_PAGE_BYTES);
    if (bench->versions == NULL || bench->aligned == NULL || bench->landing == NULL) return false;
    memcpy(bench->aligned, bench->pages.bytes, bytes);
    return true;
}

int main(int argc, char **argv)
{
    static struct bench bench;
    static char names[ALGORITHMS_MAX][ALGORITHM_BYTES];
    options_read(argc, argv, BENCH_INPROCESS, &bench.options);
    options_algorithms(&bench.options, names);
    bench.algorithm = names[0];
    bench.kernel_missing = zram_missing();
    if (strcmp(bench.algorithm, "none") == 0) bench.kernel_missing = "it always packs";
    if (!pageset_read(bench.options.files, bench.options.file_count, &bench.pages)) return 1;
    bench.slots = bench.options.keys != 0 ? (uint32_t)bench.options.keys : bench.pages.count;
    bool good = prepare(&bench) && measure_all(&bench);
    if (good && bench.options.json) print_json(&bench);
    if (good && !bench.options.json) print_table(&bench);
    free(bench.versions);
    free(bench.aligned);
    free(bench.landing);
    pageset_free(&bench.pages);
    return good ? 0 : 1;
}
