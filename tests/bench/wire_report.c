/* SPDX-License-Identifier: BSD-3-Clause */
#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

#include "tests/bench/wire.h"

static const char *const transport_names[TRANSPORTS] = {"unix", "tcp"};
static const char *const place_names[PLACES] = {"apart", "together"};
static const char *const work_names[WORKS] = {"store", "load"};
static const char *const kind_names[TARGET_KINDS] = {"memcached", "farpage", "floor"};

/* --- for people ------------------------------------------------------------------------------- */

static double median(const struct cell *cell, enum target_kind kind, enum metric metric)
{
    return series_median(&cell->figures[kind][metric]);
}

static void print_ratio(const struct cell *cell, enum target_kind other, enum metric metric)
{
    char text[SERIES_TEXT_BYTES];
    struct series ratio = series_ratio(&cell->figures[TARGET_FARPAGED][metric],
                                       &cell->figures[other][metric]);
    printf(" %s |", series_text(&ratio, 2, text));
}

static void print_row(const struct cell *cell, const struct shape *shape, enum work work)
{
    if (cell->figures[TARGET_FARPAGED][METRIC_RATE].count == 0) return;
    printf("| %u | %s | %u | %.0f | %.1f | %.1f | %.2f | %.2f | %.0f | %.0f | %.0f |",
           shape->depth, work_names[work], shape->batch,
           median(cell, TARGET_FARPAGED, METRIC_RATE), median(cell, TARGET_FARPAGED, METRIC_P50),
           median(cell, TARGET_FARPAGED, METRIC_P99),
           median(cell, TARGET_FARPAGED, METRIC_SERVER_US),
           median(cell, TARGET_FARPAGED, METRIC_CLIENT_US),
           median(cell, TARGET_FARPAGED, METRIC_SERVER_BUSY),
           median(cell, TARGET_FARPAGED, METRIC_CLIENT_BUSY),
           median(cell, TARGET_FARPAGED, METRIC_PER_SERVER_S));
    printf(" %.1f | %.2f |", median(cell, TARGET_ECHO, METRIC_P50),
           median(cell, TARGET_ECHO, METRIC_SERVER_US));
    print_ratio(cell, TARGET_ECHO, METRIC_P50);
    print_ratio(cell, TARGET_ECHO, METRIC_SERVER_US);
    printf(" %.1f | %.2f |", median(cell, TARGET_MEMCACHED, METRIC_P50),
           median(cell, TARGET_MEMCACHED, METRIC_SERVER_US));
    print_ratio(cell, TARGET_MEMCACHED, METRIC_PER_SERVER_S);
    putchar('\n');
}

static void print_section(const struct bench *bench, enum transport over, enum place place)
{
    printf("\n### Over %s, client and server on %s\n\n"
           "| depth | work | batch | pages/s | p50 us | p99 us | server us/page | client us/page "
           "| server busy %% | client busy %% | pages/server s | floor p50 us | floor us/page "
           "| x floor p50 | x floor us | memcached p50 us | memcached us/page "
           "| x memcached pages/server s |\n"
           "|--:|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|\n",
           over == OVER_TCP ? "TCP on loopback" : "a unix socket",
           place == APART ? "a processor each" : "one processor");
    for (unsigned shape = 0; shape < SHAPES; shape++)
        for (int work = 0; work < WORKS; work++)
            print_row(&bench->cells[over][place][shape][work], &wire_shapes[shape],
                      (enum work)work);
}

void wire_print_table(const struct bench *bench)
{
    printf("## Wire: pages over a socket, beside a server that does nothing, and memcached\n\n");
    printf("%" PRIu32 " slots hold %.1f MiB: %" PRIu32 " real pages, repeated as needed. One "
           "connection, random slots, %" PRIu64 " ms for each figure. Servers with one worker "
           "thread, all on processor %u; the client on processor %u, or (one processor) with "
           "them.\n", bench->slots, (double)bench->slots * PAGESET_PAGE_BYTES / 0x1p20,
           bench->pages.count, bench->options.milliseconds, bench->server_processor,
           bench->client_processor);
    printf("Median of %" PRIu64 " rounds. %ld processors, load average %.2f before, %.2f after.\n",
           bench->options.rounds, sysconf(_SC_NPROCESSORS_ONLN), bench->load_before,
           bench->load_after);
    for (int over = 0; over < TRANSPORTS; over++)
        for (int place = 0; place < PLACES; place++)
            print_section(bench, (enum transport)over, (enum place)place);
}

/* --- for programs ----------------------------------------------------------------------------- */

struct way {
    enum transport over;
    enum place place;
    unsigned shape;
    enum work work;
};

static void print_json_way(const struct bench *bench, const struct way *way, const char **comma)
{
    static const char *const names[METRICS] = {
#define X(name, text) text,
        WIRE_METRICS(X)
#undef X
    };
    const struct cell *cell = &bench->cells[way->over][way->place][way->shape][way->work];
    for (int kind = 0; kind < TARGET_KINDS; kind++) {
        if (cell->figures[kind][METRIC_RATE].count == 0) continue;
        printf("%s\n {\"server\": \"%s\", \"over\": \"%s\", \"processors\": \"%s\", "
               "\"depth\": %u, \"batch\": %u, \"work\": \"%s\"", *comma, kind_names[kind],
               transport_names[way->over], place_names[way->place], wire_shapes[way->shape].depth,
               wire_shapes[way->shape].batch, work_names[way->work]);
        for (int metric = 0; metric < METRICS; metric++) {
            printf(", ");
            series_json(stdout, names[metric], &cell->figures[kind][metric]);
        }
        putchar('}');
        *comma = ",";
    }
}

void wire_print_json(const struct bench *bench)
{
    const char *comma = "";
    printf("{\"bench\": \"wire\", \"slots\": %" PRIu32 ", \"pages\": %" PRIu32
           ", \"load_before\": %.2f, \"load_after\": %.2f, \"rows\": [", bench->slots,
           bench->pages.count, bench->load_before, bench->load_after);
    for (int over = 0; over < TRANSPORTS; over++)
        for (int place = 0; place < PLACES; place++)
            for (unsigned shape = 0; shape < SHAPES; shape++)
                for (int work = 0; work < WORKS; work++) {
                    struct way way = {(enum transport)over, (enum place)place, shape,
                                      (enum work)work};
                    print_json_way(bench, &way, &comma);
                }
    printf("\n]}\n");
}
