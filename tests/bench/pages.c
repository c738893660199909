/* SPDX-License-Identifier: BSD-3-Clause
 * pages - the page door, through libfarpage: stores and loads of real 4 KiB pages on one
 * connection, over TCP on loopback and over a unix socket, with 1, 8 and 32 requests on the way;
 * the first algorithm also with pages packed by the library, as it does where nobody says other;
 * and, for context and in the same turns, memcached's sets and gets of the same pages at the same
 * depth. */
#include <farpage.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/crc32c.h"
#include "tests/bench/draw.h"
#include "tests/bench/load.h"
#include "tests/bench/meter.h"
#include "tests/bench/series.h"
#include "tests/bench/target.h"

enum { BATCH = 1024, FILL_DEPTH = 32, CHOICES_MAX = TARGETS_MAX + 1 };
enum transport { OVER_TCP, OVER_UNIX, TRANSPORTS };
enum work { WORK_STORE, WORK_LOAD, WORKS };

static const uint32_t depths[] = {1, 8, 32};
enum { DEPTHS = FP_COUNT_OF(depths) };
static const char *const transport_names[TRANSPORTS] = {"tcp", "unix"};
static const char *const work_names[WORKS] = {"store", "load"};

#define METRICS(X)                                                                                 \
    X(RATE, "pages_per_second")                                                                    \
    X(P50, "p50_us")                                                                               \
    X(P99, "p99_us")                                                                               \
    X(SERVER_US, "server_cpu_us_per_page")                                                         \
    X(CLIENT_US, "client_cpu_us_per_page")
enum metric {
#define X(name, text) METRIC_##name,
    METRICS(X)
#undef X
    METRICS_COUNT
};

struct bench {
    struct options options;
    struct pageset pages;
    struct target_choice choices[CHOICES_MAX]; /* the last: packed by the library */
    unsigned targets;
    struct series results[CHOICES_MAX][TRANSPORTS][WORKS][DEPTHS][METRICS_COUNT];
    uint32_t slots;
    double load_before, load_after;
    /* of the target that runs, if it is farpaged */
    struct farpage *client;
    struct farpage_area *area;
    struct draw draw;
    uint32_t *versions; /* per slot: how often it was written */
    uint32_t *marks;    /* per slot: the batch that had it last */
    uint32_t batch;
    struct farpage_op ops[BATCH];
    uint8_t *landing; /* where BATCH loads go to */
};

struct job { /* one kind of work at one depth */
    enum work work;
    uint32_t depth;
    bool each_slot_once; /* slots 0, 1, 2 ...: the fill */
    uint64_t ops;
};

struct outcome {
    uint64_t pages, elapsed_ns;
    struct histogram latency_ns;
};

/* --- farpage's frames ------------------------------------------------------------------------- */

/* Two operations of a batch may overtake each other, so no slot may be twice in one. */
static uint32_t unused_slot(struct bench *bench)
{
    uint32_t slot = (uint32_t)draw_key(&bench->draw);
    while (bench->marks[slot] == bench->batch) slot = slot + 1 == bench->slots ? 0 : slot + 1;
    bench->marks[slot] = bench->batch;
    return slot;
}

static void compose(struct bench *bench, const struct job *job, uint64_t first, size_t count)
{
    bench->batch++;
    for (size_t i = 0; i < count; i++) {
        uint32_t slot = job->each_slot_once ? (uint32_t)(first + i) : unused_slot(bench);
        struct farpage_op *op = &bench->ops[i];
        *op = (struct farpage_op){.slot = slot, .count = 1};
        op->kind = job->work == WORK_STORE ? FARPAGE_OP_STORE : FARPAGE_OP_LOAD;
        op->page = bench->landing + i * PAGESET_PAGE_BYTES;
        if (job->work == WORK_STORE) {
            uint32_t version = ++bench->versions[slot];
            uint32_t index = pageset_index(&bench->pages, slot, version);
            op->page = bench->pages.bytes + (size_t)index * PAGESET_PAGE_BYTES;
        }
    }
}

static bool compare(const struct bench *bench, const struct job *job, size_t count)
{
    const struct pageset *pages = &bench->pages;
    for (size_t i = 0; i < count; i++) {
        const struct farpage_op *op = &bench->ops[i];
        uint32_t index = pageset_index(pages, op->slot, bench->versions[op->slot]);
        if (op->status != FARPAGE_OK) {
            fprintf(stderr, "bench: slot %" PRIu64 ": %s\n", op->slot,
                    farpage_status_text(op->status));
            return false;
        }
        if (job->work == WORK_LOAD && crc32c(op->page, PAGESET_PAGE_BYTES) != pages->crcs[index]) {
            fprintf(stderr, "bench: slot %" PRIu64 ": other bytes than were stored\n", op->slot);
            return false;
        }
    }
    return true;
}

/* Only the batches are timed, not their making and checking. */
static bool run_frames(struct bench *bench, const struct job *job, struct outcome *outcome)
{
    uint64_t until_ns = clock_monotonic_ns() + bench->options.seconds * 1000000000;
    *outcome = (struct outcome){0};
    histogram_init(&outcome->latency_ns);
    while (outcome->pages < job->ops && (job->each_slot_once || clock_monotonic_ns() < until_ns)) {
        uint64_t left = job->ops - outcome->pages;
        size_t count = left < BATCH ? (size_t)left : BATCH;
        if (count > bench->slots) count = bench->slots;
        compose(bench, job, outcome->pages, count);
        uint64_t start_ns = clock_monotonic_ns();
        enum farpage_status status = farpage_batch(bench->area, bench->ops, count, job->depth);
        outcome->elapsed_ns += clock_monotonic_ns() - start_ns;
        if (status != FARPAGE_OK) {
            fprintf(stderr, "bench: %s\n", farpage_area_error(bench->area));
            return false;
        }
        if (!compare(bench, job, count)) return false;
        for (size_t i = 0; i < count; i++)
            histogram_add(&outcome->latency_ns, bench->ops[i].latency_ns);
        outcome->pages += count;
    }
    return true;
}

/* The first of farpaged's choices once more, with pages that the library packs. */
static void add_packed(struct bench *bench)
{
    struct target_choice *choice = &bench->choices[bench->targets++];
    *choice = bench->choices[1];
    snprintf(choice->name, sizeof choice->name, "%.15s by client", bench->choices[1].name);
}

static bool open_area(struct bench *bench, const struct target *target)
{
    struct farpage_options options = {.server = target->address};
    struct farpage_area_options area = {.slots = bench->slots,
                                        .page_bytes = PAGESET_PAGE_BYTES,
                                        .pack = FARPAGE_PACK_OFF};
    if (target->choice == &bench->choices[bench->targets - 1]) area.pack = FARPAGE_PACK_AUTO;
    for (uint32_t i = 0; i < bench->slots; i++) bench->versions[i] = bench->marks[i] = 0;
    bench->batch = 0;
    if (farpage_connect(&options, &bench->client) == FARPAGE_OK &&
        farpage_area_open(bench->client, "bench", &area, &bench->area) == FARPAGE_OK)
        return true;
    fprintf(stderr, "bench: %s\n", farpage_error(bench->client));
    return false;
}

/* --- measuring -------------------------------------------------------------------------------- */

static void note(struct series row[METRICS_COUNT], const struct outcome *outcome,
                 const struct meter_reading *cost)
{
    double pages = (double)outcome->pages;
    series_add(&row[METRIC_RATE], pages * 1e9 / (double)outcome->elapsed_ns);
    series_add(&row[METRIC_P50], (double)histogram_quantile(&outcome->latency_ns, 0.5) / 1e3);
    series_add(&row[METRIC_P99], (double)histogram_quantile(&outcome->latency_ns, 0.99) / 1e3);
    series_add(&row[METRIC_SERVER_US], cost->server_s * 1e6 / pages);
    series_add(&row[METRIC_CLIENT_US], cost->client_s * 1e6 / pages);
}

static bool run_text(struct load *load, const struct job *job, uint64_t seconds,
                     struct outcome *outcome)
{
    static struct load_result result;
    struct load_phase phase = {
        .each_key_once = job->each_slot_once,
        .get_percent = job->work == WORK_LOAD ? 100 : 0,
        .ops = job->ops,
        .duration_ns = seconds * 1000000000,
    };
    if (!load_run(load, &phase, &result)) return false;
    outcome->pages = result.ops;
    outcome->elapsed_ns = result.elapsed_ns;
    outcome->latency_ns = result.latency_ns;
    if (result.wrong + result.misses + result.refused == 0) return true;
    fprintf(stderr, "bench: memcached: %" PRIu64 " wrong, %" PRIu64 " missing, %" PRIu64
            " refused\n", result.wrong, result.misses, result.refused);
    return false;
}

/* All kinds of work at one depth; with frames where `load` is NULL. */
static bool measure_depth(struct bench *bench, const struct target *target, enum transport over,
                          unsigned depth, struct load *load)
{
    static struct outcome outcome;
    for (int work = 0; work < WORKS; work++) {
        struct job job = {.work = (enum work)work, .depth = depths[depth],
                          .ops = bench->options.ops};
        struct meter meter;
        struct meter_reading cost;
        bool good = meter_start(&meter, target->pid) &&
                    (load == NULL ? run_frames(bench, &job, &outcome)
                                  : run_text(load, &job, bench->options.seconds, &outcome)) &&
                    meter_read(&meter, &cost);
        if (!good) return false;
        unsigned which = (unsigned)(target->choice - bench->choices);
        note(bench->results[which][over][work][depth], &outcome, &cost);
    }
    return true;
}

static bool measure_farpaged(struct bench *bench, const struct target *target, enum transport over)
{
    static struct outcome outcome;
    struct job fill = {.work = WORK_STORE, .depth = FILL_DEPTH, .each_slot_once = true,
                       .ops = bench->slots};
    bool good = open_area(bench, target) && run_frames(bench, &fill, &outcome);
    for (unsigned depth = 0; good && depth < DEPTHS; depth++)
        good = measure_depth(bench, target, over, depth, NULL);
    farpage_disconnect(&bench->client);
    return good;
}

/* A load keeps one depth, so each depth opens its own and fills again. */
static bool measure_memcached(struct bench *bench, const struct target *target,
                              enum transport over)
{
    static struct outcome outcome;
    bool good = true;
    for (unsigned depth = 0; good && depth < DEPTHS; depth++) {
        struct load *load = NULL;
        struct load_options options = {
            .pages = &bench->pages,
            .address = target->address,
            .keys = bench->slots,
            .connections = 1,
            .depth = depths[depth],
            .seed = bench->options.seed,
        };
        struct job fill = {.work = WORK_STORE, .each_slot_once = true, .ops = bench->slots};
        good = load_open(&options, &load) && run_text(load, &fill, 3600, &outcome) &&
               measure_depth(bench, target, over, depth, load);
        load_close(&load);
    }
    return good;
}

static bool measure(struct bench *bench, const struct target_choice *choice, enum transport over)
{
    struct target target;
    if (!target_start(&bench->options, choice, over == OVER_UNIX, &target)) return false;
    bool is_memcached = choice->kind == TARGET_MEMCACHED;
    bool good = is_memcached ? measure_memcached(bench, &target, over)
                             : measure_farpaged(bench, &target, over);
    return target_stop(&target) && good;
}

static bool measure_all(struct bench *bench)
{
    bench->load_before = meter_load_average();
    for (unsigned round = 0; round < bench->options.rounds; round++)
        for (unsigned turn = 0; turn < bench->targets * TRANSPORTS; turn++) {
            const struct target_choice *choice =
                &bench->choices[(round + turn / TRANSPORTS) % bench->targets];
            enum transport over = (enum transport)(turn % TRANSPORTS);
            fprintf(stderr, "round %u of %" PRIu64 ": %s over %s\n", round + 1,
                    bench->options.rounds, choice->name, transport_names[over]);
            draw_init(&bench->draw, bench->options.seed + round, bench->slots, false);
            if (!measure(bench, choice, over)) return false;
        }
    bench->load_after = meter_load_average();
    return true;
}

/* --- telling ---------------------------------------------------------------------------------- */

static void print_row(const struct bench *bench, unsigned target, enum transport over,
                      enum work work, unsigned depth)
{
    char rate[SERIES_TEXT_BYTES], ratio[SERIES_TEXT_BYTES] = "1";
    const struct series *row = bench->results[target][over][work][depth];
    struct series beside = series_ratio(&row[METRIC_SERVER_US],
                                        &bench->results[0][over][work][depth][METRIC_SERVER_US]);
    if (target != 0) series_text(&beside, 2, ratio);
    printf("| %-24s | %5u | %-5s | %22s | %6.1f | %6.1f | %13.2f | %13.2f | %17s |\n",
           bench->choices[target].name, depths[depth], work_names[work],
           series_text(&row[METRIC_RATE], 0, rate), series_median(&row[METRIC_P50]),
           series_median(&row[METRIC_P99]), series_median(&row[METRIC_SERVER_US]),
           series_median(&row[METRIC_CLIENT_US]), ratio);
}

static void print_table(const struct bench *bench)
{
    printf("## Pages: farpage's frames through libfarpage, one connection\n\n");
    printf("%" PRIu32 " slots hold %.1f MiB: %" PRIu32 " real pages, repeated as needed. Each "
           "server: %" PRIu64 " threads. Random slots, %" PRIu64 " operations or %" PRIu64
           " s for each row. memcached: sets and gets of the same pages.\n", bench->slots,
           (double)bench->slots * PAGESET_PAGE_BYTES / 0x1p20, bench->pages.count,
           bench->options.threads, bench->options.ops, bench->options.seconds);
    printf("Median of %" PRIu64 " rounds. %ld processors, load average %.2f before, %.2f after.\n",
           bench->options.rounds, sysconf(_SC_NPROCESSORS_ONLN), bench->load_before,
           bench->load_after);
    for (int over = 0; over < TRANSPORTS; over++) {
        printf("\n### over %s\n\n"
               "| server                   | depth | work  | pages/s                | p50 us "
               "| p99 us "
               "| server us/page | client us/page | x server us       |\n"
               "|---|--:|---|--:|--:|--:|--:|--:|--:|\n",
               over == OVER_TCP ? "TCP on loopback" : "a unix socket");
        for (unsigned depth = 0; depth < DEPTHS; depth++)
            for (int work = 0; work < WORKS; work++)
                for (unsigned t = 0; t < bench->targets; t++)
                    print_row(bench, t, (enum transport)over, (enum work)work, depth);
    }
}

static void print_json_row(const struct series row[METRICS_COUNT])
{
    static const char *const names[] = {
#define X(name, text) text,
        METRICS(X)
#undef X
    };
    for (int m = 0; m < METRICS_COUNT; m++) {
        printf("%s", m == 0 ? "" : ", ");
        series_json(stdout, names[m], &row[m]);
    }
}

static void print_json(const struct bench *bench)
{
    const char *comma = "";
    printf("{\"bench\": \"pages\", \"slots\": %" PRIu32 ", \"pages\": %" PRIu32
           ", \"threads\": %" PRIu64 ", \"load_before\": %.2f, \"load_after\": %.2f, \"rows\": [",
           bench->slots, bench->pages.count, bench->options.threads, bench->load_before,
           bench->load_after);
    for (unsigned t = 0; t < bench->targets; t++)
        for (int over = 0; over < TRANSPORTS; over++)
            for (int work = 0; work < WORKS; work++)
                for (unsigned depth = 0; depth < DEPTHS; depth++) {
                    printf("%s\n {\"server\": \"%s\", \"over\": \"%s\", \"work\": \"%s\", "
                           "\"depth\": %" PRIu32 ", ", comma, bench->choices[t].name,
                           transport_names[over], work_names[work], depths[depth]);
                    print_json_row(bench->results[t][over][work][depth]);
                    putchar('}');
                    comma = ",";
                }
    printf("\n]}\n");
}

int main(int argc, char **argv)
{
    static struct bench bench;
    options_read(argc, argv, BENCH_PAGES, &bench.options);
    child_guard();
    if (!pageset_read(bench.options.files, bench.options.file_count, &bench.pages)) return 1;
    bench.slots = bench.options.keys != 0 ? (uint32_t)bench.options.keys : bench.pages.count;
    bench.targets = target_choices(&bench.options, bench.choices);
    add_packed(&bench);
    bench.versions = calloc(bench.slots, sizeof *bench.versions);
    bench.marks = calloc(bench.slots, sizeof *bench.marks);
    bench.landing = malloc((size_t)BATCH * PAGESET_PAGE_BYTES);
    bool good = bench.versions != NULL && bench.marks != NULL && bench.landing != NULL &&
                measure_all(&bench);
    if (good && bench.options.json) print_json(&bench);
    if (good && !bench.options.json) print_table(&bench);
    free(bench.versions);
    free(bench.marks);
    free(bench.landing);
    pageset_free(&bench.pages);
    return good ? 0 : 1;
}
