/* SPDX-License-Identifier: BSD-3-Clause */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/attrs.h"
#include "tests/bench/memcached/beside.h"

static const char *const mix_names[MIXES] = {"gets", "mix"};
static const char *const metric_names[METRICS] = {
    "ops_per_server_cpu_second", "server_cpu_us_per_op", "ops_per_second", "p50_us", "p99_us",
    "p999_us", "server_busy_percent"};
static const char *const memory_names[MEMORIES] = {"rss_empty", "rss_filled", "rss_mixed",
                                                   "rss_packed_once_more"};

static double median(const struct bench *bench, unsigned target, unsigned way, enum metric metric)
{
    return series_median(&bench->records[target].figures[way / MIXES][way % MIXES][metric]);
}

/* "0.83 (0.79-0.90)", of memcached's in the same round. */
static const char *ratio(const struct bench *bench, unsigned target, unsigned way,
                         enum metric metric, char text[SERIES_TEXT_BYTES])
{
    struct series quotients = series_ratio(
        &bench->records[target].figures[way / MIXES][way % MIXES][metric],
        &bench->records[0].figures[way / MIXES][way % MIXES][metric]);
    return series_text(&quotients, 2, text);
}

static void print_head(const struct bench *bench)
{
    const struct options *options = &bench->options;
    printf("## Values of %" PRIu32 " bytes\n\n", bench->pages.value_bytes);
    printf("%" PRIu32 " keys hold %.1f MiB: %" PRIu32 " real values, %" PRIu32 " of them "
           "same-filled%s. Each server: one thread, %" PRIu64 " MiB, otherwise its defaults. Keys "
           "by %s; `mix` is %" PRIu64 " %% gets, the rest sets of other values.\n"
           "Medians of %" PRIu64 " rounds of %" PRIu64 " ms a figure, and what they lie between. "
           "Processor %u serves, %u asks; load average %.2f before, %.2f after.\n",
           bench->keys, (double)bench->keys * bench->pages.value_bytes / 0x1p20, bench->pages.count,
           bench->pages.same_filled, bench->keys > bench->pages.count ? ", repeated" : "",
           options->memory >> 20, options->keys_by, options->get_percent, options->rounds,
           options->milliseconds, bench->server_processor, bench->client_processor,
           bench->load_before, bench->load_after);
}

static void print_way(const struct bench *bench, unsigned way)
{
    struct shape shape = bench->shapes[way / MIXES];
    for (unsigned t = 0; t < bench->targets; t++)
        printf("| %4s | %2" PRIu32 " | %" PRIu32 " | %-12s | %7.0f | %6.2f | %7.0f | %5.0f | %5.0f "
               "| %6.0f | %3.0f %% |\n",
               mix_names[way % MIXES], shape.connections, shape.depth, bench->choices[t].name,
               median(bench, t, way, METRIC_PER_SERVER_S), median(bench, t, way, METRIC_SERVER_US),
               median(bench, t, way, METRIC_RATE), median(bench, t, way, METRIC_P50),
               median(bench, t, way, METRIC_P99), median(bench, t, way, METRIC_P999),
               median(bench, t, way, METRIC_SERVER_BUSY));
}

static void print_figures(const struct bench *bench)
{
    printf("\n| what | connections | on the way | server | op/CPU s | CPU us | op/s | p50 us "
           "| p99 us | p99.9 us | busy |\n|---|--:|--:|---|--:|--:|--:|--:|--:|--:|--:|\n");
    for (unsigned way = 0; way < bench->shape_count * MIXES; way++) print_way(bench, way);
}

static void print_ratios(const struct bench *bench, enum metric metric, const char *title)
{
    printf("\n%s, farpage over memcached in the same round:\n\n"
           "| what | connections | on the way |", title);
    for (unsigned t = 1; t < bench->targets; t++) printf(" %s |", bench->choices[t].algorithm);
    printf("\n|---|--:|--:|");
    for (unsigned t = 1; t < bench->targets; t++) printf("--:|");
    printf("\n");
    for (unsigned way = 0; way < bench->shape_count * MIXES; way++) {
        char text[SERIES_TEXT_BYTES];
        struct shape shape = bench->shapes[way / MIXES];
        printf("| %s | %" PRIu32 " | %" PRIu32 " |", mix_names[way % MIXES], shape.connections,
               shape.depth);
        for (unsigned t = 1; t < bench->targets; t++)
            printf(" %s |", ratio(bench, t, way, metric, text));
        printf("\n");
    }
}

static double mib(const struct bench *bench, unsigned target, enum memory memory)
{
    return series_median(&bench->records[target].memory[memory]) / 0x1p20;
}

/* Of what memcached had at the same moment. */
static double of_memcached(const struct bench *bench, unsigned target, enum memory memory)
{
    return mib(bench, target, memory) / mib(bench, 0, memory);
}

static double grown_of_memcached(const struct bench *bench, unsigned target, enum memory memory)
{
    return (mib(bench, target, memory) - mib(bench, target, MEMORY_EMPTY)) /
           (mib(bench, 0, memory) - mib(bench, 0, MEMORY_EMPTY));
}

static void print_memory(const struct bench *bench)
{
    printf("\n| RAM, MiB resident | empty | filled | after the mix | then " BESIDE_DENSE " "
           "| filled x memcached | mix x memcached | packed once more x memcached "
           "| grown x memcached | packed once more, grown x memcached |\n"
           "|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|\n");
    for (unsigned t = 0; t < bench->targets; t++)
        printf("| %-12s | %.1f | %.1f | %.1f | %.1f | %.2f | %.2f | %.2f | %.2f | %.2f |\n",
               bench->choices[t].name, mib(bench, t, MEMORY_EMPTY), mib(bench, t, MEMORY_FILLED),
               mib(bench, t, MEMORY_MIXED), mib(bench, t, MEMORY_DENSE),
               of_memcached(bench, t, MEMORY_FILLED), of_memcached(bench, t, MEMORY_MIXED),
               of_memcached(bench, t, MEMORY_DENSE), grown_of_memcached(bench, t, MEMORY_FILLED),
               grown_of_memcached(bench, t, MEMORY_DENSE));
}

/* --- what was wanted -------------------------------------------------------------------------- */

static const struct goal {
    const char *algorithm; /* NULL: each */
    enum metric metric;
    bool gets_only, at_least;
    double wanted;
    const char *text;
} goals[] = {
    {"none", METRIC_PER_SERVER_S, true, true, 1.0, "gets a server CPU second with none, >= 1.0"},
    {"lz4", METRIC_PER_SERVER_S, true, true, 0.7, "gets a server CPU second with lz4, >= 0.7"},
    {"none", METRIC_P99, false, false, 1.3, "p99 with none, <= 1.3"},
    {"lz4", METRIC_P99, false, false, 1.3, "p99 with lz4, <= 1.3"},
};

static double median_ratio(const struct bench *bench, unsigned target, unsigned way,
                           enum metric metric)
{
    struct series quotients = series_ratio(
        &bench->records[target].figures[way / MIXES][way % MIXES][metric],
        &bench->records[0].figures[way / MIXES][way % MIXES][metric]);
    return series_median(&quotients);
}

static void print_goal(const struct bench *bench, const struct goal *goal)
{
    unsigned ways = 0, reached = 0;
    double worst = 0;
    for (unsigned t = 1; t < bench->targets; t++) {
        if (strcmp(bench->choices[t].algorithm, goal->algorithm) != 0) continue;
        for (unsigned way = 0; way < bench->shape_count * MIXES; way++) {
            if (goal->gets_only && way % MIXES != MIX_GETS) continue;
            double is = median_ratio(bench, t, way, goal->metric);
            bool worse = ways == 0 || (goal->at_least ? is < worst : is > worst);
            if (worse) worst = is;
            reached += goal->at_least ? is >= goal->wanted : is <= goal->wanted;
            ways++;
        }
    }
    if (ways > 0)
        printf("| %s | %u of %u ways | %.2f |\n", goal->text, reached, ways, worst);
}

static void print_memory_goal(const struct bench *bench, enum memory memory, double wanted)
{
    for (unsigned t = 1; t < bench->targets; t++) {
        if (strcmp(bench->choices[t].algorithm, "lz4") != 0) continue;
        double is = of_memcached(bench, t, memory);
        printf("| RAM, lz4%s, <= %.2f | %s | %.2f; grown: %.2f |\n",
               memory == MEMORY_DENSE ? " and then " BESIDE_DENSE : "", wanted,
               is <= wanted ? "yes" : "no", is, grown_of_memcached(bench, t, memory));
    }
}

static void print_goals(const struct bench *bench)
{
    printf("\n| wanted, of memcached's | reached | the worst |\n|---|--:|--:|\n");
    for (size_t i = 0; i < FP_COUNT_OF(goals); i++) print_goal(bench, &goals[i]);
    print_memory_goal(bench, MEMORY_FILLED, 0.45);
    print_memory_goal(bench, MEMORY_DENSE, 0.35);
}

/* --------------------------------------------------------------------------------------------- */

void beside_print(const struct bench *bench)
{
    print_head(bench);
    print_goals(bench);
    print_memory(bench);
    print_ratios(bench, METRIC_PER_SERVER_S, "Operations a second of the server's processor time");
    print_ratios(bench, METRIC_P50, "p50");
    print_ratios(bench, METRIC_P99, "p99");
    print_ratios(bench, METRIC_P999, "p99.9");
    print_figures(bench);
    if (bench->wrong + bench->refused + bench->misses > 0)
        printf("\n**%.0f values came back wrong, %.0f requests were refused, %.0f keys were "
               "missing.**\n", bench->wrong, bench->refused, bench->misses);
}

static void print_json_way(const struct bench *bench, unsigned target, unsigned way)
{
    struct shape shape = bench->shapes[way / MIXES];
    printf("%s\n  {\"mix\": \"%s\", \"connections\": %" PRIu32 ", \"depth\": %" PRIu32,
           way == 0 ? "" : ",", mix_names[way % MIXES], shape.connections, shape.depth);
    for (int m = 0; m < METRICS; m++) {
        printf(", ");
        series_json(stdout, metric_names[m],
                    &bench->records[target].figures[way / MIXES][way % MIXES][m]);
    }
    printf("}");
}

void beside_print_json(const struct bench *bench)
{
    printf("{\"bench\": \"beside\", \"keys\": %" PRIu32 ", \"value_bytes\": %" PRIu32
           ", \"values\": %" PRIu32 ", \"get_percent\": %" PRIu64 ", \"keys_by\": \"%s\", "
           "\"wrong\": %.0f, \"refused\": %.0f, \"misses\": %.0f, \"load_before\": %.2f, "
           "\"load_after\": %.2f, \"servers\": [",
           bench->keys, bench->pages.value_bytes, bench->pages.count, bench->options.get_percent,
           bench->options.keys_by, bench->wrong, bench->refused, bench->misses,
           bench->load_before, bench->load_after);
    for (unsigned t = 0; t < bench->targets; t++) {
        printf("%s\n {\"name\": \"%s\", \"ways\": [", t == 0 ? "" : ",", bench->choices[t].name);
        for (unsigned way = 0; way < bench->shape_count * MIXES; way++)
            print_json_way(bench, t, way);
        printf("]");
        for (int m = 0; m < MEMORIES; m++) {
            printf(",\n  ");
            series_json(stdout, memory_names[m], &bench->records[t].memory[m]);
        }
        printf("}");
    }
    printf("\n]}\n");
}
