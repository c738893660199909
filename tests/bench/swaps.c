/* SPDX-License-Identifier: BSD-3-Clause
 * swaps - what it costs clients that the compressor is changed under them: pages a second on one
 * connection before, while it is changed ten times a second, and after; in turns of a second, so
 * that a machine that grows slower does so for all three.
 *
 * The two compressors are lz4:1 and lz4:2, which cost the same: what differs is the swapping. Every
 * page that is loaded is compared. */
#include <farpage.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/clock.h"
#include "base/crc32c.h"
#include "tests/bench/child.h"
#include "tests/bench/draw.h"
#include "tests/bench/meter.h"
#include "tests/bench/pageset.h"
#include "tests/bench/series.h"
#include "tests/bench/target.h"

enum { BATCH = 256, DEPTH = 32, SWAPS_PER_SECOND = 10 };
enum phase { BEFORE, DURING, AFTER, PHASES };
enum work { STORES, LOADS, WORKS };

static const char *const work_names[WORKS] = {"store", "load"};
static const char *const phase_names[PHASES] = {"before", "during", "after"};

struct bench {
    struct options options;
    struct pageset pages;
    struct target target;
    struct farpage *client;
    struct farpage_area *area;
    struct draw draw;
    uint32_t slots;
    struct farpage_op ops[BATCH];
    uint8_t *landing; /* where BATCH loads go to */
    struct series rates[WORKS][PHASES];
    struct series costs[WORKS][PHASES]; /* us of the server's processor time a page */
};

/* --- swapping --------------------------------------------------------------------------------- */

struct swapper {
    pthread_t thread;
    const char *address;
    _Atomic bool stop;
    bool good;
    uint64_t swaps, slowest_ns;
};

static void *swap(void *argument)
{
    struct swapper *swapper = argument;
    const struct timespec pause = {.tv_nsec = 1000000000 / SWAPS_PER_SECOND};
    struct farpage_options options = {.server = swapper->address};
    struct farpage *client;
    swapper->good = farpage_connect(&options, &client) == FARPAGE_OK;
    while (swapper->good && !atomic_load(&swapper->stop)) {
        const char *line = swapper->swaps % 2 ? "compressor set lz4:1" : "compressor set lz4:2";
        uint64_t start_ns = clock_monotonic_ns();
        swapper->good = farpage_command(client, line, NULL, NULL) == FARPAGE_OK;
        uint64_t took_ns = clock_monotonic_ns() - start_ns;
        if (took_ns > swapper->slowest_ns) swapper->slowest_ns = took_ns;
        swapper->swaps++;
        nanosleep(&pause, NULL);
    }
    if (!swapper->good) fprintf(stderr, "bench: swapping: %s\n", farpage_error(client));
    farpage_disconnect(&client);
    return NULL;
}

/* --- pages ------------------------------------------------------------------------------------ */

static void compose(struct bench *bench, enum work work, uint32_t first)
{
    for (uint32_t i = 0; i < BATCH; i++) { /* neighbours: no slot twice in a batch */
        struct farpage_op *op = &bench->ops[i];
        uint32_t slot = (first + i) % bench->slots;
        uint8_t *page = bench->pages.bytes + (size_t)(slot % bench->pages.count) *
                                                 PAGESET_PAGE_BYTES;
        *op = (struct farpage_op){.slot = slot, .count = 1, .kind = FARPAGE_OP_STORE, .page = page};
        if (work == STORES) continue;
        op->kind = FARPAGE_OP_LOAD;
        op->page = bench->landing + (size_t)i * PAGESET_PAGE_BYTES;
    }
}

static bool check(const struct bench *bench, enum work work)
{
    for (uint32_t i = 0; i < BATCH; i++) {
        const struct farpage_op *op = &bench->ops[i];
        uint32_t index = (uint32_t)(op->slot % bench->pages.count);
        bool good = op->status == FARPAGE_OK &&
                    (work == STORES ||
                     crc32c(op->page, PAGESET_PAGE_BYTES) == bench->pages.crcs[index]);
        if (good) continue;
        fprintf(stderr, "bench: slot %" PRIu64 ": %s\n", op->slot,
                op->status == FARPAGE_OK ? "other bytes" : farpage_status_text(op->status));
        return false;
    }
    return true;
}

/* Pages a second, of the batches alone, and how many. 0 after a line on stderr. */
static double rate(struct bench *bench, enum work work, uint64_t nanoseconds, uint64_t *pages)
{
    uint64_t until_ns = clock_monotonic_ns() + nanoseconds, taken_ns = 0, done = 0;
    while (clock_monotonic_ns() < until_ns) {
        compose(bench, work, (uint32_t)draw_key(&bench->draw));
        uint64_t start_ns = clock_monotonic_ns();
        if (farpage_batch(bench->area, bench->ops, BATCH, DEPTH) != FARPAGE_OK) {
            fprintf(stderr, "bench: %s\n", farpage_area_error(bench->area));
            return 0;
        }
        taken_ns += clock_monotonic_ns() - start_ns;
        done += BATCH;
        if (!check(bench, work)) return 0;
    }
    *pages = done;
    return (double)done * 1e9 / (double)taken_ns;
}

static bool fill(struct bench *bench)
{
    for (uint32_t slot = 0; slot < bench->slots; slot += BATCH) {
        compose(bench, STORES, slot);
        if (farpage_batch(bench->area, bench->ops, BATCH, DEPTH) != FARPAGE_OK ||
            !check(bench, STORES))
            return false;
    }
    return true;
}

static bool round_of(struct bench *bench, enum work work, struct swapper *swapper)
{
    for (int phase = 0; phase < PHASES; phase++) {
        atomic_store(&swapper->stop, false);
        bool swaps = phase == DURING;
        if (swaps && pthread_create(&swapper->thread, NULL, swap, swapper) != 0) return false;
        struct meter meter;
        struct meter_reading cost;
        uint64_t pages;
        bool good = meter_start(&meter, bench->target.pid);
        double per_second = good ? rate(bench, work, 1000000000, &pages) : 0;
        good = per_second != 0 && meter_read(&meter, &cost);
        atomic_store(&swapper->stop, true);
        if (swaps) pthread_join(swapper->thread, NULL);
        if (!good || !swapper->good) return false;
        series_add(&bench->rates[work][phase], per_second);
        series_add(&bench->costs[work][phase], cost.server_s * 1e6 / (double)pages);
    }
    return true;
}

static bool measure(struct bench *bench, struct swapper *swapper)
{
    struct farpage_options options = {.server = bench->target.address};
    struct farpage_area_options area = {.slots = bench->slots,
                                        .page_bytes = PAGESET_PAGE_BYTES,
                                        .pack = FARPAGE_PACK_OFF};
    *swapper = (struct swapper){.address = bench->target.address, .good = true};
    bool good = farpage_connect(&options, &bench->client) == FARPAGE_OK &&
                farpage_area_open(bench->client, "bench", &area, &bench->area) == FARPAGE_OK;
    if (!good) fprintf(stderr, "bench: %s\n", farpage_error(bench->client));
    good = good && fill(bench);
    for (uint64_t round = 0; good && round < bench->options.rounds; round++)
        for (int work = 0; good && work < WORKS; work++)
            good = round_of(bench, (enum work)work, swapper);
    farpage_disconnect(&bench->client);
    return good;
}

/* --- telling ---------------------------------------------------------------------------------- */

static void print_row(const char *work, const char *what, int digits,
                      const struct series row[PHASES])
{
    struct series during = series_ratio(&row[DURING], &row[BEFORE]);
    struct series after = series_ratio(&row[AFTER], &row[BEFORE]);
    char text[3][SERIES_TEXT_BYTES];
    printf("| %s, %s | %s | %s | %s |\n", work, what, series_text(&row[BEFORE], digits, text[0]),
           series_text(&during, 3, text[1]), series_text(&after, 3, text[2]));
}

static void print_table(const struct bench *bench, const struct swapper *swapper)
{
    printf("## The compressor changed under load\n\n"
           "%" PRIu32 " slots, one connection over a unix socket, %d on the way, %" PRIu64
           " rounds of a second for each figure. %" PRIu64 " swaps, %d a second; the slowest was "
           "answered after %.2f ms.\n\n"
           "| work  | before | during / before | after / before |\n|---|--:|--:|--:|\n",
           bench->slots, DEPTH, bench->options.rounds, swapper->swaps, SWAPS_PER_SECOND,
           (double)swapper->slowest_ns / 1e6);
    for (int work = 0; work < WORKS; work++) {
        print_row(work_names[work], "pages/s", 0, bench->rates[work]);
        print_row(work_names[work], "server us/page", 2, bench->costs[work]);
    }
}

static void print_json(const struct bench *bench, const struct swapper *swapper)
{
    printf("{\"bench\": \"swaps\", \"swaps\": %" PRIu64 ", \"slowest_ms\": %.3f", swapper->swaps,
           (double)swapper->slowest_ns / 1e6);
    for (int work = 0; work < WORKS; work++)
        for (int phase = 0; phase < PHASES; phase++) {
            char name[32];
            snprintf(name, sizeof name, "%s_%s", work_names[work], phase_names[phase]);
            printf(", ");
            series_json(stdout, name, &bench->rates[work][phase]);
            snprintf(name, sizeof name, "%s_%s_server_us", work_names[work], phase_names[phase]);
            printf(", ");
            series_json(stdout, name, &bench->costs[work][phase]);
        }
    printf("}\n");
}

int main(int argc, char **argv)
{
    static struct bench bench;
    static struct swapper swapper;
    static const struct target_choice choice = {
        .kind = TARGET_FARPAGED, .name = "farpage lz4", .algorithm = "lz4"};
    options_read(argc, argv, BENCH_SWAPS, &bench.options);
    child_guard();
    if (!pageset_read(bench.options.files, bench.options.file_count, &bench.pages)) return 1;
    bench.slots = bench.options.keys != 0 ? (uint32_t)bench.options.keys : 16384;
    draw_init(&bench.draw, bench.options.seed, bench.slots, false);
    bench.landing = malloc((size_t)BATCH * PAGESET_PAGE_BYTES);
    bool started = bench.landing != NULL &&
                   target_start(&bench.options, &choice, true, &bench.target);
    bool good = started && measure(&bench, &swapper);
    if (started) good = target_stop(&bench.target) && good;
    if (good && bench.options.json) print_json(&bench, &swapper);
    if (good && !bench.options.json) print_table(&bench, &swapper);
    free(bench.landing);
    pageset_free(&bench.pages);
    return good ? 0 : 1;
}
