/* SPDX-License-Identifier: BSD-3-Clause
 * compaction - what compaction costs those who load meanwhile: one connection over TCP on loopback
 * loads single random pages at full speed, while nothing is compacted and while something is.
 *
 * A cycle: every slot is stored and the pool made dense; half of the slots, chosen at random, are
 * forgotten; the others are loaded. Two ways, each with a server of its own:
 *  - asked:     compaction is manual; loads before the request, from it to its end, and after.
 *  - automatic: loads before half is forgotten, from then until no more pages come back, and after.
 * Loads count as "during" only up to the last look at the server that found it compacting, so none
 * of the quiet thins them out. The quiet ones are looked at as often. */
#include <farpage.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/crc32c.h"
#include "base/histogram.h"
#include "tests/bench/draw.h"
#include "tests/bench/meter.h"
#include "tests/bench/pageset.h"
#include "tests/bench/series.h"
#include "tests/bench/target.h"

enum {
    CYCLES = 10,        /* of a round */
    QUIET_MS = 60,      /* on either side of a compaction */
    SETTLED_MS = 250,   /* automatic compaction that won nothing for so long is over */
    LOOK_EVERY_US = 1000,
    TIMED_MAX = 1 << 19, /* loads during one compaction */
    FILL_DEPTH = 32,
    BATCH = 1024,
};
enum way { WAY_ASKED, WAY_AUTOMATIC, WAYS };
enum when { WHEN_QUIET, WHEN_DURING, WHENS };
static const char *const way_names[WAYS] = {"asked for", "automatic"};

#define METRICS(X)                                                                                 \
    X(P50, "p50_us", 0.5)                                                                          \
    X(P90, "p90_us", 0.9)                                                                          \
    X(P99, "p99_us", 0.99)                                                                         \
    X(P999, "p999_us", 0.999)                                                                      \
    X(MAX, "max_us", 1.0)
enum metric {
#define X(name, text, quantile) METRIC_##name,
    METRICS(X)
#undef X
    METRICS_COUNT
};
static const char *const metric_names[] = {
#define X(name, text, quantile) text,
    METRICS(X)
#undef X
};
static const double quantiles[] = {
#define X(name, text, quantile) quantile,
    METRICS(X)
#undef X
};

struct record { /* of one way */
    struct series times[WHENS][METRICS_COUNT];
    struct series loads[WHENS]; /* how many */
    struct series lasted_ms;    /* a compaction */
    struct series moved, freed; /* by one compaction, on the average */
};

struct timed {
    uint64_t end_ns;
    uint32_t took_ns;
};

struct look { /* what the server says of its compaction */
    bool running;
    uint64_t moved, freed;
};

struct bench {
    struct options options;
    struct pageset pages;
    struct record records[WAYS];
    uint32_t slots;
    double load_before, load_after;
    /* of the server that runs */
    struct farpage *client;
    struct farpage_area *area;
    struct draw draw;
    uint8_t *stored;   /* per slot: whether it holds a page */
    uint32_t *kept;    /* the slots that stay, kept_count of them */
    uint32_t kept_count;
    struct timed *timed; /* TIMED_MAX */
    uint32_t timed_count;
    struct histogram taken[WHENS];
    double lasted_ms, moved, freed;
};

/* --- one server ------------------------------------------------------------------------------- */

static bool complain(const char *sentence)
{
    fprintf(stderr, "bench: %s\n", sentence);
    return false;
}

static void take_line(void *context, const char *name, const char *value)
{
    struct look *look = context;
    if (strcmp(name, "state") == 0) look->running = strcmp(value, "running") == 0;
    if (strcmp(name, "moved_objects") == 0) look->moved = strtoull(value, NULL, 10);
    if (strcmp(name, "freed_pages") == 0) look->freed = strtoull(value, NULL, 10);
}

static bool look_at(struct bench *bench, bool start, struct look *look)
{
    *look = (struct look){0};
    enum farpage_status status = farpage_compact(bench->client, start, take_line, look);
    return status == FARPAGE_OK ? true : complain(farpage_error(bench->client));
}

static bool run_batch(struct bench *bench, struct farpage_op *ops, size_t count)
{
    if (farpage_batch(bench->area, ops, count, FILL_DEPTH) != FARPAGE_OK)
        return complain(farpage_area_error(bench->area));
    for (size_t i = 0; i < count; i++)
        if (ops[i].status != FARPAGE_OK) {
            fprintf(stderr, "bench: slot %" PRIu64 ": %s\n", ops[i].slot,
                    farpage_status_text(ops[i].status));
            return false;
        }
    return true;
}

/* Stores every slot that is empty, or forgets every one that is not to be kept. */
static bool change_slots(struct bench *bench, bool store)
{
    static struct farpage_op ops[BATCH];
    size_t count = 0;
    for (uint32_t slot = 0; slot < bench->slots; slot++) {
        if (store ? bench->stored[slot] : bench->stored[slot] != 2) continue;
        bench->stored[slot] = store;
        ops[count] = (struct farpage_op){.slot = slot, .count = 1, .kind = FARPAGE_OP_INVALIDATE};
        if (store) {
            uint32_t index = pageset_index(&bench->pages, slot, 0);
            ops[count].kind = FARPAGE_OP_STORE;
            ops[count].page = bench->pages.bytes + (size_t)index * PAGESET_PAGE_BYTES;
        }
        if (++count < BATCH) continue;
        if (!run_batch(bench, ops, count)) return false;
        count = 0;
    }
    return run_batch(bench, ops, count);
}

static void choose_half(struct bench *bench)
{
    bench->kept_count = 0;
    for (uint32_t slot = 0; slot < bench->slots; slot++)
        if (draw_bits(&bench->draw) % 2 == 0)
            bench->stored[slot] = 2; /* to be forgotten */
        else
            bench->kept[bench->kept_count++] = slot;
}

/* Until a compaction that was asked for is over, or automatic compaction finds nothing more. */
static bool wait_until_dense(struct bench *bench, enum way way)
{
    struct look look;
    uint64_t freed = 0, since_ns = clock_monotonic_ns();
    if (!look_at(bench, way == WAY_ASKED, &look)) return false;
    for (;;) {
        uint64_t now_ns = clock_monotonic_ns();
        if (look.freed != freed) since_ns = now_ns;
        freed = look.freed;
        if (way == WAY_ASKED ? !look.running : now_ns - since_ns > SETTLED_MS * 1000000ull)
            return true;
        nanosleep(&(struct timespec){.tv_nsec = 2000000}, NULL);
        if (!look_at(bench, false, &look)) return false;
    }
}

/* --- loading ---------------------------------------------------------------------------------- */

/* Loads one of the slots that stay; how long that took, 0 after a line on stderr. */
static uint32_t load_one(struct bench *bench)
{
    static uint8_t page[PAGESET_PAGE_BYTES];
    uint32_t slot = bench->kept[draw_below(&bench->draw, bench->kept_count)];
    uint64_t start_ns = clock_monotonic_ns();
    enum farpage_status status = farpage_load(bench->area, slot, page);
    uint64_t took_ns = clock_monotonic_ns() - start_ns;
    uint32_t index = pageset_index(&bench->pages, slot, 0);
    if (status == FARPAGE_OK && crc32c(page, sizeof page) == bench->pages.crcs[index])
        return took_ns < UINT32_MAX ? (uint32_t)took_ns : UINT32_MAX;
    fprintf(stderr, "bench: slot %" PRIu32 ": %s\n", slot,
            status == FARPAGE_OK ? "other bytes than were stored"
                                 : farpage_area_error(bench->area));
    return 0;
}

/* Loads for a while, and keeps the times aside: which of them count is known later. */
static bool load_for(struct bench *bench, uint64_t nanoseconds)
{
    uint64_t until_ns = clock_monotonic_ns() + nanoseconds, now_ns = 0;
    while (now_ns < until_ns) {
        uint32_t took_ns = load_one(bench);
        if (took_ns == 0) return false;
        now_ns = clock_monotonic_ns();
        if (bench->timed_count < TIMED_MAX)
            bench->timed[bench->timed_count++] = (struct timed){now_ns, took_ns};
    }
    return true;
}

static void keep(struct bench *bench, enum when when, uint64_t until_ns)
{
    for (uint32_t i = 0; i < bench->timed_count && bench->timed[i].end_ns <= until_ns; i++)
        histogram_add(&bench->taken[when], bench->timed[i].took_ns);
    bench->timed_count = 0;
}

static bool load_quietly(struct bench *bench)
{
    struct look look;
    for (int i = 0; i < QUIET_MS * 1000 / LOOK_EVERY_US; i++)
        if (!load_for(bench, LOOK_EVERY_US * 1000ull) || !look_at(bench, false, &look))
            return false;
    keep(bench, WHEN_QUIET, UINT64_MAX);
    return true;
}

/* Loads until the compaction that begins now is over. */
static bool load_meanwhile(struct bench *bench, enum way way)
{
    struct look first, look;
    uint64_t begun_ns = clock_monotonic_ns(), last_ns = begun_ns;
    if (!look_at(bench, way == WAY_ASKED, &first)) return false;
    look = first;
    uint64_t freed = first.freed;
    for (;;) {
        uint64_t now_ns = clock_monotonic_ns();
        if (look.freed != freed || look.running) last_ns = now_ns;
        freed = look.freed;
        if (way == WAY_ASKED && !look.running) break;
        if (now_ns - last_ns > SETTLED_MS * 1000000ull) break;
        if (!load_for(bench, LOOK_EVERY_US * 1000ull) || !look_at(bench, false, &look))
            return false;
    }
    keep(bench, WHEN_DURING, last_ns);
    bench->lasted_ms += (double)(last_ns - begun_ns) / 1e6;
    bench->moved += (double)(look.moved - first.moved);
    bench->freed += (double)(look.freed - first.freed);
    return true;
}

static bool run_cycle(struct bench *bench, enum way way)
{
    if (!change_slots(bench, true) || !wait_until_dense(bench, way)) return false;
    choose_half(bench);
    if (way == WAY_AUTOMATIC && !load_quietly(bench)) return false;
    if (!change_slots(bench, false)) return false;
    if (way == WAY_ASKED && !load_quietly(bench)) return false;
    return load_meanwhile(bench, way) && load_quietly(bench);
}

/* --- measuring -------------------------------------------------------------------------------- */

static void note(struct bench *bench, enum way way)
{
    struct record *record = &bench->records[way];
    for (int when = 0; when < WHENS; when++) {
        const struct histogram *taken = &bench->taken[when];
        series_add(&record->loads[when], (double)taken->count);
        for (int m = 0; m < METRICS_COUNT; m++)
            series_add(&record->times[when][m],
                       (double)(m == METRIC_MAX ? taken->highest
                                                : histogram_quantile(taken, quantiles[m])) / 1e3);
    }
    series_add(&record->lasted_ms, bench->lasted_ms / CYCLES);
    series_add(&record->moved, bench->moved / CYCLES);
    series_add(&record->freed, bench->freed / CYCLES);
}

static bool open_area(struct bench *bench, const struct target *target)
{
    struct farpage_options options = {.server = target->address};
    struct farpage_area_options area = {.slots = bench->slots,
                                        .page_bytes = PAGESET_PAGE_BYTES,
                                        .pack = FARPAGE_PACK_OFF};
    memset(bench->stored, 0, bench->slots);
    if (farpage_connect(&options, &bench->client) == FARPAGE_OK &&
        farpage_area_open(bench->client, "bench", &area, &bench->area) == FARPAGE_OK)
        return true;
    return complain(farpage_error(bench->client));
}

static bool measure(struct bench *bench, enum way way)
{
    struct target target;
    char names[ALGORITHMS_MAX][ALGORITHM_BYTES];
    struct target_choice choice = {
        .kind = TARGET_FARPAGED,
        .name = "farpage",
        .set = way == WAY_ASKED ? "storage.compaction=manual" : "storage.compaction=auto",
    };
    options_algorithms(&bench->options, names);
    memcpy(choice.algorithm, names[0], ALGORITHM_BYTES);
    if (!target_start(&bench->options, &choice, false, &target)) return false;
    for (int when = 0; when < WHENS; when++) histogram_init(&bench->taken[when]);
    bench->lasted_ms = bench->moved = bench->freed = 0;
    bool good = open_area(bench, &target);
    for (int cycle = 0; good && cycle < CYCLES; cycle++) good = run_cycle(bench, way);
    farpage_disconnect(&bench->client);
    if (good) note(bench, way);
    return target_stop(&target) && good;
}

static bool measure_all(struct bench *bench)
{
    bench->load_before = meter_load_average();
    for (unsigned round = 0; round < bench->options.rounds; round++)
        for (unsigned turn = 0; turn < WAYS; turn++) {
            enum way way = (enum way)((round + turn) % WAYS);
            fprintf(stderr, "round %u of %" PRIu64 ": %s\n", round + 1, bench->options.rounds,
                    way_names[way]);
            draw_init(&bench->draw, bench->options.seed + round, bench->slots, false);
            if (!measure(bench, way)) return false;
        }
    bench->load_after = meter_load_average();
    return true;
}

/* --- telling ---------------------------------------------------------------------------------- */

static void print_way(const struct bench *bench, enum way way)
{
    const struct record *record = &bench->records[way];
    char text[SERIES_TEXT_BYTES];
    printf("\n### %s\n\n%.0f objects moved and %.0f pages freed in %s ms; %.0f loads meanwhile and "
           "%.0f in the quiet, a round.\n\n| | quiet, us | during, us | during / quiet |\n"
           "|---|--:|--:|--:|\n", way_names[way], series_median(&record->moved),
           series_median(&record->freed), series_text(&record->lasted_ms, 1, text),
           series_median(&record->loads[WHEN_DURING]), series_median(&record->loads[WHEN_QUIET]));
    for (int m = 0; m < METRICS_COUNT; m++) {
        struct series ratio =
            series_ratio(&record->times[WHEN_DURING][m], &record->times[WHEN_QUIET][m]);
        printf("| %s | %.1f | %.1f | %s |\n", metric_names[m],
               series_median(&record->times[WHEN_QUIET][m]),
               series_median(&record->times[WHEN_DURING][m]), series_text(&ratio, 2, text));
    }
}

static void print_table(const struct bench *bench)
{
    printf("## Compaction: loads meanwhile\n\n"
           "%" PRIu32 " slots hold %.1f MiB: %" PRIu32 " real pages, repeated as needed; half of "
           "them, at random, are forgotten before each compaction. One connection over TCP loads "
           "one page after the other. %d compactions a round; median of %" PRIu64 " rounds. %ld "
           "processors, load average %.2f before, %.2f after.\n", bench->slots,
           (double)bench->slots * PAGESET_PAGE_BYTES / 0x1p20, bench->pages.count, CYCLES,
           bench->options.rounds, sysconf(_SC_NPROCESSORS_ONLN), bench->load_before,
           bench->load_after);
    for (int way = 0; way < WAYS; way++) print_way(bench, (enum way)way);
}

static void print_json(const struct bench *bench)
{
    static const char *const when_names[WHENS] = {"quiet", "during"};
    printf("{\"bench\": \"compaction\", \"slots\": %" PRIu32 ", \"pages\": %" PRIu32
           ", \"load_before\": %.2f, \"load_after\": %.2f, \"ways\": [", bench->slots,
           bench->pages.count, bench->load_before, bench->load_after);
    for (int way = 0; way < WAYS; way++) {
        const struct record *record = &bench->records[way];
        printf("%s\n {\"way\": \"%s\", ", way == 0 ? "" : ",", way_names[way]);
        series_json(stdout, "lasted_ms", &record->lasted_ms);
        for (int when = 0; when < WHENS; when++) {
            printf(",\n  \"%s\": {", when_names[when]);
            series_json(stdout, "loads", &record->loads[when]);
            for (int m = 0; m < METRICS_COUNT; m++) {
                printf(", ");
                series_json(stdout, metric_names[m], &record->times[when][m]);
            }
            putchar('}');
        }
        putchar('}');
    }
    printf("\n]}\n");
}

int main(int argc, char **argv)
{
    static struct bench bench;
    options_read(argc, argv, BENCH_COMPACTION, &bench.options);
    child_guard();
    if (!pageset_read(bench.options.files, bench.options.file_count, &bench.pages)) return 1;
    bench.slots = bench.options.keys != 0 ? (uint32_t)bench.options.keys : bench.pages.count;
    bench.stored = malloc(bench.slots);
    bench.kept = malloc(bench.slots * sizeof *bench.kept);
    bench.timed = malloc(TIMED_MAX * sizeof *bench.timed);
    bool good = bench.stored != NULL && bench.kept != NULL && bench.timed != NULL &&
                measure_all(&bench);
    if (good && bench.options.json) print_json(&bench);
    if (good && !bench.options.json) print_table(&bench);
    free(bench.stored);
    free(bench.kept);
    free(bench.timed);
    pageset_free(&bench.pages);
    return good ? 0 : 1;
}
