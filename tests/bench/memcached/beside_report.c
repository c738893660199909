/* SPDX-License-Identifier: BSD-3-Clause */
#include <inttypes.h>
#include <stdio.h>

#include "tests/bench/memcached/beside.h"

static const char *const mix_names[MIXES] = {"gets", "mix"};
static const char *const metric_names[METRICS] = {
    "ops_per_server_cpu_second", "server_cpu_us_per_op", "ops_per_second", "p50_us", "p99_us",
    "p999_us", "server_busy_percent"};
static const char *const memory_names[MEMORIES] = {"rss_empty", "rss_filled", "rss_mixed",
                                                   "rss_packed_once_more"};

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

void beside_print(const struct bench *bench)
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
