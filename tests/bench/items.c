/* SPDX-License-Identifier: BSD-3-Clause
 * items - memcached and farpaged side by side as caches of real 4 KiB values over TCP: what a
 * get or set costs the server, how long the client waits, and how much RAM the same values take.
 *
 * The servers take turns: each round runs every one of them from empty, beginning with another, so
 * that whatever else the machine does meets all alike. Ratios are formed within a round. */
#include <inttypes.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "tests/bench/load.h"
#include "tests/bench/meter.h"
#include "tests/bench/series.h"
#include "tests/bench/target.h"

enum phase { PHASE_PRELOAD, PHASE_GET, PHASE_MIX, PHASES };

#define METRICS(X)                                                                                 \
    X(OPS_PER_SECOND, "ops_per_second")                                                            \
    X(CPU_US, "server_cpu_us_per_op")                                                              \
    X(OPS_PER_CPU, "ops_per_server_cpu_second")                                                    \
    X(KERNEL_PERCENT, "server_cpu_in_kernel_percent")                                              \
    X(P50, "p50_us")                                                                               \
    X(P99, "p99_us")                                                                               \
    X(P999, "p999_us")                                                                             \
    X(MISS_PERCENT, "miss_percent_of_gets")                                                        \
    X(REFUSED, "refused")                                                                          \
    X(WRONG, "wrong")                                                                              \
    X(CLIENT_PERCENT, "client_busy_percent")                                                       \
    X(OPS, "ops")
enum metric {
#define X(name, text) METRIC_##name,
    METRICS(X)
#undef X
    METRICS_COUNT
};

/* Bytes. From RSS on, what the kernel says; then what farpaged says of itself (`stats memory`,
 * `stats`), after the mixed phase. */
#define MEMORIES(X)                                                                                \
    X(EMPTY, "rss_empty", NULL, NULL)                                                              \
    X(FILLED, "rss_filled", NULL, NULL)                                                            \
    X(GROWN, "rss_grown", NULL, NULL)                                                              \
    X(GROWN_MIXED, "rss_grown_after_mix", NULL, NULL)                                              \
    X(PER_BYTE, "rss_grown_per_byte_of_data", NULL, NULL)                                          \
    X(PER_BYTE_MIXED, "rss_grown_per_byte_of_data_after_mix", NULL, NULL)                          \
    X(HELD, "held_total", "memory", "total_bytes")                                                 \
    X(FIXED, "held_fixed", "memory", "fixed_bytes")                                                \
    X(PAYLOAD, "held_payload", "memory", "payload_bytes")                                          \
    X(ALLOCATOR, "held_allocator", "memory", "allocator_bytes")                                    \
    X(ITEMS, "held_items", "memory", "items_bytes")                                                \
    X(KEYDIR, "held_keydir", "memory", "keydir_bytes")                                             \
    X(CONNECTIONS, "held_connections", "memory", "connections_bytes")                              \
    X(VALUES, "value_bytes", "", "farpage_item_value_bytes")                                       \
    X(PACKED, "packed_bytes", "", "farpage_item_packed_bytes")                                     \
    X(EVICTIONS, "evictions", "", "evictions")
enum memory {
#define X(name, text, section, stat) MEMORY_##name,
    MEMORIES(X)
#undef X
    MEMORIES_COUNT
};

struct record { /* of one server */
    struct series phases[PHASES][METRICS_COUNT];
    struct series memory[MEMORIES_COUNT];
};

struct bench {
    struct options options;
    struct pageset pages;
    struct target_choice choices[TARGETS_MAX];
    struct record records[TARGETS_MAX];
    unsigned targets;
    uint32_t keys;
    double load_before, load_after;
    double wrong;
};

static const char *const phase_names[PHASES] = {"preload", "get", "mix"};

/* --- measuring -------------------------------------------------------------------------------- */

static double quantile_us(const struct load_result *result, double quantile)
{
    return (double)histogram_quantile(&result->latency_ns, quantile) / 1e3;
}

static void note_phase(struct series row[METRICS_COUNT], const struct load_result *result,
                       const struct meter_reading *cost)
{
    double ops = result->ops == 0 ? 1 : (double)result->ops;
    double elapsed_s = (double)result->elapsed_ns / 1e9;
    double gets = result->gets == 0 ? 1 : (double)result->gets;
    series_add(&row[METRIC_OPS_PER_SECOND], ops / elapsed_s);
    series_add(&row[METRIC_CPU_US], cost->server_s * 1e6 / ops);
    series_add(&row[METRIC_OPS_PER_CPU], ops / cost->server_s);
    series_add(&row[METRIC_KERNEL_PERCENT], cost->kernel_percent);
    series_add(&row[METRIC_P50], quantile_us(result, 0.5));
    series_add(&row[METRIC_P99], quantile_us(result, 0.99));
    series_add(&row[METRIC_P999], quantile_us(result, 0.999));
    series_add(&row[METRIC_MISS_PERCENT], 100 * (double)result->misses / gets);
    series_add(&row[METRIC_REFUSED], (double)result->refused);
    series_add(&row[METRIC_WRONG], (double)result->wrong);
    series_add(&row[METRIC_CLIENT_PERCENT], 100 * cost->client_s / elapsed_s);
    series_add(&row[METRIC_OPS], (double)result->ops);
}

static bool measure_phase(struct bench *bench, const struct target *target, struct load *load,
                          enum phase phase)
{
    const struct options *options = &bench->options;
    struct load_phase plan = {.ops = options->ops, .duration_ns = options->seconds * 1000000000};
    if (phase == PHASE_PRELOAD) plan.ops = bench->keys;
    if (phase == PHASE_PRELOAD) plan.each_key_once = true;
    if (phase == PHASE_GET) plan.get_percent = 100;
    if (phase == PHASE_MIX) plan.get_percent = (unsigned)options->get_percent;
    struct series *row = bench->records[target->choice - bench->choices].phases[phase];
    struct meter meter;
    struct meter_reading cost;
    struct load_result result;
    if (!meter_start(&meter, target->pid) || !load_run(load, &plan, &result) ||
        !meter_read(&meter, &cost)) {
        fprintf(stderr, "bench: %s failed in the phase %s\n", target->choice->name,
                phase_names[phase]);
        return false;
    }
    note_phase(row, &result, &cost);
    bench->wrong += (double)result.wrong;
    if (phase != PHASE_PRELOAD || result.ops == bench->keys) return true;
    fprintf(stderr, "bench: %s took only %" PRIu64 " of %" PRIu32 " pages in the given time\n",
            target->choice->name, result.ops, bench->keys);
    return false;
}

static double resident(const struct target *target)
{
    /* What ends with the requests has ended by then. */
    nanosleep(&(struct timespec){.tv_nsec = 100000000}, NULL);
    return (double)child_resident_bytes(target->pid);
}

static void note_memory(struct bench *bench, const struct target *target, double empty,
                        double filled)
{
    static const char *const sections[] = {
#define X(name, text, section, stat) section,
        MEMORIES(X)
#undef X
    };
    static const char *const stats[] = {
#define X(name, text, section, stat) stat,
        MEMORIES(X)
#undef X
    };
    struct series *memory = bench->records[target->choice - bench->choices].memory;
    double data = (double)bench->keys * PAGESET_PAGE_BYTES;
    double mixed = resident(target);
    series_add(&memory[MEMORY_EMPTY], empty);
    series_add(&memory[MEMORY_FILLED], filled);
    series_add(&memory[MEMORY_GROWN], filled - empty);
    series_add(&memory[MEMORY_GROWN_MIXED], mixed - empty);
    series_add(&memory[MEMORY_PER_BYTE], (filled - empty) / data);
    series_add(&memory[MEMORY_PER_BYTE_MIXED], (mixed - empty) / data);
    /* memcached knows the plain statistics only, and does not answer when asked for others. */
    bool is_ours = target->choice->kind == TARGET_FARPAGED;
    for (int i = 0; i < MEMORIES_COUNT; i++)
        if (stats[i] != NULL && (is_ours || sections[i][0] == '\0'))
            series_add(&memory[i], target_stat(target, sections[i], stats[i]));
}

static bool measure(struct bench *bench, const struct target_choice *choice, uint64_t seed)
{
    struct target target;
    struct load *load = NULL;
    if (!target_start(&bench->options, choice, false, &target)) return false;
    double empty = resident(&target);
    struct load_options plan = {
        .pages = &bench->pages,
        .address = target.address,
        .keys = bench->keys,
        .connections = (uint32_t)bench->options.connections,
        .depth = (uint32_t)bench->options.depth,
        .zipf = bench->options.keys_by[0] == 'z',
        .seed = seed,
    };
    bool good = load_open(&plan, &load) && measure_phase(bench, &target, load, PHASE_PRELOAD);
    double filled = resident(&target);
    good = good && measure_phase(bench, &target, load, PHASE_GET) &&
           measure_phase(bench, &target, load, PHASE_MIX);
    if (good) note_memory(bench, &target, empty, filled);
    load_close(&load);
    return target_stop(&target) && good;
}

static bool measure_all(struct bench *bench)
{
    bench->load_before = meter_load_average();
    for (unsigned round = 0; round < bench->options.rounds; round++)
        for (unsigned turn = 0; turn < bench->targets; turn++) {
            const struct target_choice *choice = &bench->choices[(round + turn) % bench->targets];
            fprintf(stderr, "round %u of %" PRIu64 ": %s\n", round + 1, bench->options.rounds,
                    choice->name);
            if (!measure(bench, choice, bench->options.seed + round)) return false;
        }
    bench->load_after = meter_load_average();
    return true;
}

/* --- telling ---------------------------------------------------------------------------------- */

static void print_head(const struct bench *bench)
{
    const struct options *options = &bench->options;
    printf("## Items: memcached's protocol, 4 KiB values\n\n");
    printf("%" PRIu32 " keys hold %.1f MiB: %" PRIu32 " real pages, %" PRIu32 " of them "
           "same-filled, repeated as needed.\n", bench->keys,
           (double)bench->keys * PAGESET_PAGE_BYTES / 0x1p20, bench->pages.count,
           bench->pages.same_filled);
    printf("Each server: %" PRIu64 " threads, %" PRIu64 " MiB. One client thread: %" PRIu64
           " connections over loopback, %" PRIu64 " requests on the way on each, keys by %s, %"
           PRIu64 " operations a phase or %" PRIu64 " s.\n", options->threads,
           options->memory >> 20, options->connections, options->depth, options->keys_by,
           options->ops, options->seconds);
    printf("Median of %" PRIu64 " rounds. %ld processors, load average %.2f before, %.2f after.\n",
           options->rounds, sysconf(_SC_NPROCESSORS_ONLN), bench->load_before, bench->load_after);
}

static double median(const struct bench *bench, unsigned target, enum phase phase, enum metric m)
{
    return series_median(&bench->records[target].phases[phase][m]);
}

static void print_ratio(const struct bench *bench, unsigned target, enum phase phase,
                        enum metric m)
{
    char text[SERIES_TEXT_BYTES];
    struct series ratio = series_ratio(&bench->records[target].phases[phase][m],
                                       &bench->records[0].phases[phase][m]);
    printf(" %17s |", target == 0 ? "1" : series_text(&ratio, 2, text));
}

/* "-" where the phase was too short for the kernel's count. */
static const char *kernel_text(double percent, char text[SERIES_TEXT_BYTES])
{
    snprintf(text, SERIES_TEXT_BYTES, percent < 0 ? "-" : "%.0f %%", percent);
    return text;
}

static void print_phase(const struct bench *bench, enum phase phase)
{
    if (phase == PHASE_MIX)
        printf("\n### mix: %" PRIu64 " %% get\n\n", bench->options.get_percent);
    else
        printf("\n### %s\n\n", phase == PHASE_GET ? "get only" : "preload: each key set once");
    printf("| server       |    op/s | op/CPU s | CPU us/op | in kernel | p50 us | p99 us "
           "| p99.9 us | misses | refused | client busy | x op/s            | x op/CPU s        |\n"
           "|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|\n");
    for (unsigned t = 0; t < bench->targets; t++) {
        char kernel[SERIES_TEXT_BYTES];
        printf("| %-12s | %7.0f | %8.0f | %9.2f | %9s | %6.0f | %6.0f | %8.0f | %4.1f %% "
               "| %7.0f | %9.0f %% |",
               bench->choices[t].name, median(bench, t, phase, METRIC_OPS_PER_SECOND),
               median(bench, t, phase, METRIC_OPS_PER_CPU), median(bench, t, phase, METRIC_CPU_US),
               kernel_text(median(bench, t, phase, METRIC_KERNEL_PERCENT), kernel),
               median(bench, t, phase, METRIC_P50), median(bench, t, phase, METRIC_P99),
               median(bench, t, phase, METRIC_P999),
               median(bench, t, phase, METRIC_MISS_PERCENT),
               median(bench, t, phase, METRIC_REFUSED),
               median(bench, t, phase, METRIC_CLIENT_PERCENT));
        print_ratio(bench, t, phase, METRIC_OPS_PER_SECOND);
        print_ratio(bench, t, phase, METRIC_OPS_PER_CPU);
        putchar('\n');
    }
}

static double mib(const struct bench *bench, unsigned target, enum memory memory)
{
    return series_median(&bench->records[target].memory[memory]) / 0x1p20;
}

static double plain(const struct bench *bench, unsigned target, enum memory memory)
{
    return series_median(&bench->records[target].memory[memory]);
}

static void print_memory(const struct bench *bench)
{
    printf("\n### RAM for the same %.1f MiB, in MiB resident\n\n",
           (double)bench->keys * PAGESET_PAGE_BYTES / 0x1p20);
    printf("| server       | empty | filled | grown | grown, after the mix | RAM per byte of data "
           "| after the mix | x memcached | evictions |\n|---|--:|--:|--:|--:|--:|--:|--:|--:|\n");
    for (unsigned t = 0; t < bench->targets; t++) {
        printf("| %-12s | %5.1f | %6.1f | %5.1f | %20.1f | %20.3f | %13.3f | %11.3f | %9.0f |\n",
               bench->choices[t].name, mib(bench, t, MEMORY_EMPTY), mib(bench, t, MEMORY_FILLED),
               mib(bench, t, MEMORY_GROWN), mib(bench, t, MEMORY_GROWN_MIXED),
               plain(bench, t, MEMORY_PER_BYTE), plain(bench, t, MEMORY_PER_BYTE_MIXED),
               mib(bench, t, MEMORY_GROWN) / mib(bench, 0, MEMORY_GROWN),
               plain(bench, t, MEMORY_EVICTIONS));
    }
    printf("\n### What farpaged says of it, after the mix, in MiB\n\n"
           "| server       | values | packed | ratio | payload | payload/packed | allocator "
           "| items | keydir | connections | fixed |  sum |\n"
           "|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|\n");
    for (unsigned t = 1; t < bench->targets; t++) {
        double packed = mib(bench, t, MEMORY_PACKED);
        printf("| %-12s | %6.1f | %6.1f | %5.2f | %7.1f | %14.3f | %9.2f | %5.2f | %6.2f | %11.2f "
               "| %5.2f | %4.1f |\n",
               bench->choices[t].name, mib(bench, t, MEMORY_VALUES), packed,
               mib(bench, t, MEMORY_VALUES) / packed, mib(bench, t, MEMORY_PAYLOAD),
               mib(bench, t, MEMORY_PAYLOAD) / packed, mib(bench, t, MEMORY_ALLOCATOR),
               mib(bench, t, MEMORY_ITEMS), mib(bench, t, MEMORY_KEYDIR),
               mib(bench, t, MEMORY_CONNECTIONS), mib(bench, t, MEMORY_FIXED),
               mib(bench, t, MEMORY_HELD));
    }
}

static void print_json(const struct bench *bench)
{
    static const char *const metrics[] = {
#define X(name, text) text,
        METRICS(X)
#undef X
    };
    static const char *const memories[] = {
#define X(name, text, section, stat) text,
        MEMORIES(X)
#undef X
    };
    const struct options *options = &bench->options;
    printf("{\"bench\": \"items\", \"keys\": %" PRIu32 ", \"pages\": %" PRIu32
           ", \"same_filled\": %" PRIu32 ", \"threads\": %" PRIu64 ", \"connections\": %" PRIu64
           ", \"depth\": %" PRIu64 ", \"get_percent\": %" PRIu64 ", \"keys_by\": \"%s\", "
           "\"load_before\": %.2f, \"load_after\": %.2f, \"servers\": [", bench->keys,
           bench->pages.count, bench->pages.same_filled, options->threads, options->connections,
           options->depth, options->get_percent, options->keys_by, bench->load_before,
           bench->load_after);
    for (unsigned t = 0; t < bench->targets; t++) {
        printf("%s\n {\"name\": \"%s\", ", t == 0 ? "" : ",", bench->choices[t].name);
        for (int p = 0; p < PHASES; p++) {
            printf("\n  \"%s\": {", phase_names[p]);
            for (int m = 0; m < METRICS_COUNT; m++) {
                series_json(stdout, metrics[m], &bench->records[t].phases[p][m]);
                printf("%s", m + 1 < METRICS_COUNT ? ",\n   " : "},");
            }
        }
        printf("\n  \"memory\": {");
        for (int m = 0; m < MEMORIES_COUNT; m++) {
            series_json(stdout, memories[m], &bench->records[t].memory[m]);
            printf("%s", m + 1 < MEMORIES_COUNT ? ",\n   " : "}}");
        }
    }
    printf("\n]}\n");
}

int main(int argc, char **argv)
{
    static struct bench bench;
    options_read(argc, argv, BENCH_ITEMS, &bench.options);
    child_guard();
    if (!pageset_read(bench.options.files, bench.options.file_count, &bench.pages)) return 1;
    bench.keys = bench.options.keys != 0 ? (uint32_t)bench.options.keys : bench.pages.count;
    bench.targets = target_choices(&bench.options, bench.choices);
    bool good = measure_all(&bench);
    if (good && bench.options.json) print_json(&bench);
    if (good && !bench.options.json) {
        print_head(&bench);
        for (int phase = 0; phase < PHASES; phase++) print_phase(&bench, (enum phase)phase);
        print_memory(&bench);
        if (bench.wrong != 0) printf("\n**%.0f values came back wrong.**\n", bench.wrong);
    }
    pageset_free(&bench.pages);
    return good && bench.wrong == 0 ? 0 : 1;
}
