/* SPDX-License-Identifier: BSD-3-Clause
 * store - the storage room alone, one thread, in this process: what packing, keeping and bringing
 * back a real page costs without a network, and how much RAM the packed bytes take in the end.
 *
 * The same slots are looked at three times: as filled, after every slot was overwritten about once
 * at random (churn), and after a random half was discarded. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/crc32c.h"
#include "base/histogram.h"
#include "storage/store/page/store_area.h"
#include "storage/store/store.h"
#include "tests/bench/draw.h"
#include "tests/bench/meter.h"
#include "tests/bench/options.h"
#include "tests/bench/pageset.h"
#include "tests/bench/series.h"

enum work { WORK_STORE, WORK_LOAD, WORK_CHURN, WORKS };
enum state { STATE_FILLED, STATE_CHURNED, STATE_HALVED, STATES };

#define TIMES(X) X(RATE, "pages_per_second") X(MEAN, "mean_us") X(P50, "p50_us") X(P99, "p99_us")
enum time_metric {
#define X(name, text) TIME_##name,
    TIMES(X)
#undef X
    TIMES_COUNT
};

/* Bytes; the last two are ratios to the packed bytes. */
#define RAMS(X)                                                                                    \
    X(PACKED, "packed")                                                                            \
    X(PAYLOAD, "payload")                                                                          \
    X(ALLOCATOR, "allocator")                                                                      \
    X(SLOTS, "slots")                                                                              \
    X(HELD_RATIO, "held_per_packed_byte")                                                          \
    X(RSS_RATIO, "rss_per_packed_byte")
enum ram {
#define X(name, text) RAM_##name,
    RAMS(X)
#undef X
    RAMS_COUNT
};

struct record { /* of one algorithm */
    struct series times[WORKS][TIMES_COUNT];
    struct series rams[STATES][RAMS_COUNT];
    double same_filled, incompressible;
};

struct bench {
    struct options options;
    struct pageset pages;
    char algorithms[ALGORITHMS_MAX][ALGORITHM_BYTES];
    struct record records[ALGORITHMS_MAX];
    unsigned algorithm_count;
    uint32_t slots;
    uint32_t *versions; /* per slot: how often it was written */
};

struct run { /* one algorithm, one round */
    struct bench *bench;
    struct record *record;
    struct store *store;
    struct store_scratch *scratch;
    struct area *area;
    struct draw draw;
    uint64_t rss_empty;
};

static const char *const work_names[] = {"store", "load", "churn"};
static const char *const state_names[] = {"filled", "churned", "half discarded"};

/* --- measuring -------------------------------------------------------------------------------- */

/* Stores the slot's next page; how long that took, or 0 where it was refused. */
static uint64_t store_next(struct run *run, uint32_t slot)
{
    const struct pageset *pages = &run->bench->pages;
    uint32_t index = pageset_index(pages, slot, ++run->bench->versions[slot]);
    struct page_place place = {.area = run->area, .slot = slot};
    uint64_t start_ns = clock_monotonic_ns();
    enum fp_status status = store_page_store(run->store, run->scratch, place,
                                             pageset_page(pages, index), pages->crcs[index]);
    uint64_t end_ns = clock_monotonic_ns();
    if (status == FP_OK) return end_ns - start_ns + (end_ns == start_ns);
    fprintf(stderr, "bench: store: %s\n", fp_status_text(status));
    return 0;
}

static uint64_t load_and_compare(struct run *run, uint32_t slot)
{
    static uint8_t page[PAGESET_PAGE_BYTES];
    const struct pageset *pages = &run->bench->pages;
    uint32_t wanted = pages->crcs[pageset_index(pages, slot, run->bench->versions[slot])];
    struct page_place place = {.area = run->area, .slot = slot};
    uint32_t crc = 0;
    uint64_t start_ns = clock_monotonic_ns();
    enum fp_status status = store_page_load(run->store, run->scratch, place, page, &crc);
    uint64_t end_ns = clock_monotonic_ns();
    if (status == FP_OK && crc == wanted && crc32c(page, sizeof page) == wanted)
        return end_ns - start_ns + (end_ns == start_ns);
    fprintf(stderr, "bench: load: %s\n", status == FP_OK ? "other bytes" : fp_status_text(status));
    return 0;
}

/* Does one kind of work `ops` times; fills go through the slots, everything else jumps about. */
static bool work(struct run *run, enum work kind, uint64_t ops)
{
    static struct histogram histogram;
    struct series *times = run->record->times[kind];
    uint64_t until_ns = clock_monotonic_ns() + run->bench->options.seconds * 1000000000;
    histogram_init(&histogram);
    for (uint64_t i = 0; i < ops && (kind == WORK_STORE || clock_monotonic_ns() < until_ns); i++) {
        uint32_t slot = (uint32_t)(kind == WORK_STORE ? i : draw_key(&run->draw));
        uint64_t took_ns = kind == WORK_LOAD ? load_and_compare(run, slot) : store_next(run, slot);
        if (took_ns == 0) return false;
        histogram_add(&histogram, took_ns);
    }
    double mean_us = (double)histogram.sum / (double)histogram.count / 1e3;
    series_add(&times[TIME_RATE], 1e6 / mean_us);
    series_add(&times[TIME_MEAN], mean_us);
    series_add(&times[TIME_P50], (double)histogram_quantile(&histogram, 0.5) / 1e3);
    series_add(&times[TIME_P99], (double)histogram_quantile(&histogram, 0.99) / 1e3);
    return true;
}

static void weigh(struct run *run, enum state state)
{
    struct budget *budget = store_budget(run->store);
    struct series *rams = run->record->rams[state];
    double rss = (double)child_resident_bytes(0) - (double)run->rss_empty;
    double packed = (double)atomic_load(&run->area->counters.packed_bytes);
    double payload = (double)budget_held(budget, BUDGET_PAYLOAD);
    double allocator = (double)budget_held(budget, BUDGET_ALLOCATOR);
    double slots = (double)budget_held(budget, BUDGET_SLOTS);
    series_add(&rams[RAM_PACKED], packed);
    series_add(&rams[RAM_PAYLOAD], payload);
    series_add(&rams[RAM_ALLOCATOR], allocator);
    series_add(&rams[RAM_SLOTS], slots);
    if (packed == 0) return;
    series_add(&rams[RAM_HELD_RATIO], (payload + allocator + slots) / packed);
    series_add(&rams[RAM_RSS_RATIO], rss / packed);
}

static void discard_half(struct run *run)
{
    for (uint64_t slot = 0; slot < run->bench->slots;) {
        uint64_t first = slot++;
        if (draw_bits(&run->draw) % 2 == 0)
            (void)!store_page_invalidate_some(run->store, run->scratch, run->area, &first, slot);
    }
}

static bool run_all(struct run *run)
{
    const struct area_counters *counters = &run->area->counters;
    run->rss_empty = child_resident_bytes(0);
    if (!work(run, WORK_STORE, run->bench->slots)) return false;
    weigh(run, STATE_FILLED);
    run->record->same_filled = (double)atomic_load(&counters->same_filled);
    run->record->incompressible = (double)atomic_load(&counters->incompressible);
    if (!work(run, WORK_LOAD, run->bench->options.ops)) return false;
    if (!work(run, WORK_CHURN, run->bench->slots)) return false;
    weigh(run, STATE_CHURNED);
    discard_half(run);
    weigh(run, STATE_HALVED);
    return true;
}

static bool measure(struct bench *bench, unsigned algorithm, uint64_t seed)
{
    struct run run = {.bench = bench, .record = &bench->records[algorithm]};
    struct store_options options = {
        .memory_limit_bytes = bench->options.memory,
        .page_bytes = PAGESET_PAGE_BYTES,
        .allocator = "zsmalloc",
        .compressor = {.algorithm = bench->algorithms[algorithm]},
        .hash_seed = seed,
    };
    draw_init(&run.draw, seed, bench->slots, false);
    for (uint32_t i = 0; i < bench->slots; i++) bench->versions[i] = 0;
    enum fp_status status = store_create(&options, &run.store);
    if (status == FP_OK) status = store_scratch_create(run.store, &run.scratch);
    if (status == FP_OK)
        status = store_area_open(run.store, slice_text("bench"), bench->slots, &run.area);
    if (status != FP_OK)
        fprintf(stderr, "bench: %s: %s\n", options.compressor.algorithm, fp_status_text(status));
    if (run.scratch != NULL) run.scratch->now_ms = 2000;
    bool good = status == FP_OK && run_all(&run);
    if (run.scratch != NULL) store_scratch_destroy(&run.scratch);
    if (run.store != NULL) store_destroy(&run.store);
    return good;
}

/* --- telling ---------------------------------------------------------------------------------- */

static void print_times(const struct bench *bench)
{
    printf("| compressor | work  | pages/s                  | mean us | p50 us | p99 us |\n"
           "|---|---|--:|--:|--:|--:|\n");
    for (int kind = 0; kind < WORKS; kind++)
        for (unsigned a = 0; a < bench->algorithm_count; a++) {
            char rate[SERIES_TEXT_BYTES];
            const struct series *times = bench->records[a].times[kind];
            printf("| %-10s | %-5s | %24s | %7.2f | %6.2f | %6.2f |\n", bench->algorithms[a],
                   work_names[kind], series_text(&times[TIME_RATE], 0, rate),
                   series_median(&times[TIME_MEAN]), series_median(&times[TIME_P50]),
                   series_median(&times[TIME_P99]));
        }
}

static void print_rams(const struct bench *bench)
{
    printf("\n| compressor | state          | packed MiB | payload | allocator | slots "
           "| held per packed byte | resident per packed byte | pages/packed |\n"
           "|---|---|--:|--:|--:|--:|--:|--:|--:|\n");
    for (unsigned a = 0; a < bench->algorithm_count; a++)
        for (int state = 0; state < STATES; state++) {
            const struct series *rams = bench->records[a].rams[state];
            double packed = series_median(&rams[RAM_PACKED]);
            printf("| %-10s | %-14s | %10.2f | %7.2f | %9.2f | %5.2f | %20.3f | %24.3f |",
                   bench->algorithms[a], state_names[state], packed / 0x1p20,
                   series_median(&rams[RAM_PAYLOAD]) / 0x1p20,
                   series_median(&rams[RAM_ALLOCATOR]) / 0x1p20,
                   series_median(&rams[RAM_SLOTS]) / 0x1p20, series_median(&rams[RAM_HELD_RATIO]),
                   series_median(&rams[RAM_RSS_RATIO]));
            if (state == STATE_HALVED)
                printf("            - |\n");
            else
                printf(" %12.2f |\n", (double)bench->slots * PAGESET_PAGE_BYTES / packed);
        }
}

static void print_table(const struct bench *bench)
{
    printf("## Store: pages in this process, one thread, no network\n\n");
    printf("%" PRIu32 " slots hold %.1f MiB: %" PRIu32 " real pages, repeated as needed. %" PRIu64
           " random loads. Median of %" PRIu64 " rounds; load average %.2f.\n", bench->slots,
           (double)bench->slots * PAGESET_PAGE_BYTES / 0x1p20, bench->pages.count,
           bench->options.ops, bench->options.rounds, meter_load_average());
    for (unsigned a = 0; a < bench->algorithm_count; a++)
        printf("%s: %.0f slots same-filled, %.0f incompressible.\n", bench->algorithms[a],
               bench->records[a].same_filled, bench->records[a].incompressible);
    putchar('\n');
    print_times(bench);
    print_rams(bench);
}

static void print_json(const struct bench *bench)
{
    static const char *const times[] = {
#define X(name, text) text,
        TIMES(X)
#undef X
    };
    static const char *const rams[] = {
#define X(name, text) text,
        RAMS(X)
#undef X
    };
    printf("{\"bench\": \"store\", \"slots\": %" PRIu32 ", \"pages\": %" PRIu32
           ", \"compressors\": [", bench->slots, bench->pages.count);
    for (unsigned a = 0; a < bench->algorithm_count; a++) {
        const struct record *record = &bench->records[a];
        printf("%s\n {\"name\": \"%s\", \"same_filled\": %.0f, \"incompressible\": %.0f",
               a == 0 ? "" : ",", bench->algorithms[a], record->same_filled,
               record->incompressible);
        for (int kind = 0; kind < WORKS; kind++)
            for (int m = 0; m < TIMES_COUNT; m++) {
                printf("%s", m == 0 ? ",\n  \"" : ", ");
                if (m == 0) printf("%s\": {", work_names[kind]);
                series_json(stdout, times[m], &record->times[kind][m]);
                if (m + 1 == TIMES_COUNT) putchar('}');
            }
        for (int state = 0; state < STATES; state++)
            for (int m = 0; m < RAMS_COUNT; m++) {
                printf("%s", m == 0 ? ",\n  \"" : ", ");
                if (m == 0) printf("%s\": {", state_names[state]);
                series_json(stdout, rams[m], &record->rams[state][m]);
                if (m + 1 == RAMS_COUNT) putchar('}');
            }
        putchar('}');
    }
    printf("\n]}\n");
}

int main(int argc, char **argv)
{
    static struct bench bench;
    options_read(argc, argv, BENCH_STORE, &bench.options);
    if (!pageset_read(bench.options.files, bench.options.file_count, &bench.pages)) return 1;
    bench.slots = bench.options.keys != 0 ? (uint32_t)bench.options.keys : bench.pages.count;
    bench.algorithm_count = options_algorithms(&bench.options, bench.algorithms);
    bench.versions = malloc(bench.slots * sizeof *bench.versions);
    bool good = bench.versions != NULL;
    for (unsigned round = 0; good && round < bench.options.rounds; round++)
        for (unsigned turn = 0; good && turn < bench.algorithm_count; turn++)
            good = measure(&bench, (round + turn) % bench.algorithm_count,
                           bench.options.seed + round);
    if (good && bench.options.json) print_json(&bench);
    if (good && !bench.options.json) print_table(&bench);
    free(bench.versions);
    pageset_free(&bench.pages);
    return good ? 0 : 1;
}
