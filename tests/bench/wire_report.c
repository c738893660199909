/* SPDX-License-Identifier: BSD-3-Clause */
#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

#include "tests/bench/wire.h"

/* --- for people ------------------------------------------------------------------------------- */

static double median(const struct cell *cell, enum target_kind kind, enum metric metric)
{
    return series_median(&cell->figures[kind][metric]);
}

/* farpage's figure of the one cell by another server's of the other. */
static void print_ratio(const struct cell *ours, const struct cell *theirs, enum target_kind kind,
                        enum metric metric)
{
    char text[SERIES_TEXT_BYTES];
    struct series ratio =
        series_ratio(&ours->figures[TARGET_FARPAGED][metric], &theirs->figures[kind][metric]);
    printf(" %s |", series_text(&ratio, 2, text));
}

static void print_figures(const struct cell *cell, enum target_kind kind,
                          const enum metric *metrics, unsigned count)
{
    static const int digits[METRICS] = {[METRIC_P50] = 1, [METRIC_P99] = 1, [METRIC_SERVER_US] = 2,
                                        [METRIC_CLIENT_US] = 2};
    bool is_measured = cell->figures[kind][METRIC_RATE].count > 0;
    for (unsigned i = 0; i < count; i++)
        if (is_measured) printf(" %.*f |", digits[metrics[i]], median(cell, kind, metrics[i]));
        else printf(" - |");
}

static void print_row(const struct bench *bench, unsigned index)
{
    static const enum metric ours[] = {METRIC_RATE, METRIC_P50, METRIC_P99, METRIC_SERVER_US,
                                       METRIC_CLIENT_US, METRIC_SERVER_BUSY, METRIC_CLIENT_BUSY,
                                       METRIC_BYTES, METRIC_PER_SERVER_S};
    static const enum metric theirs[] = {METRIC_P50, METRIC_SERVER_US};
    struct way way = wire_way(index);
    const struct cell *cell = &bench->cells[index];
    const struct cell *plain = &bench->cells[wire_plain_way(index)];
    printf("| %s | %u | %u | %s |", wire_form_name(way.form), way.shape.depth, way.shape.batch,
           wire_work_name(way.work));
    print_figures(cell, TARGET_FARPAGED, ours, FP_COUNT_OF(ours));
    print_figures(cell, TARGET_ECHO, theirs, FP_COUNT_OF(theirs));
    print_ratio(cell, cell, TARGET_ECHO, METRIC_P50);
    print_ratio(cell, cell, TARGET_ECHO, METRIC_SERVER_US);
    print_figures(cell, TARGET_MEMCACHED, theirs, FP_COUNT_OF(theirs));
    print_ratio(cell, cell, TARGET_MEMCACHED, METRIC_PER_SERVER_S);
    print_ratio(cell, plain, TARGET_MEMCACHED, METRIC_PER_SERVER_S);
    putchar('\n');
}

static void print_heading(const struct way *way)
{
    printf("\n### Over %s, client and server on %s\n\n"
           "| pages go | depth | batch | work | pages/s | p50 us | p99 us | server us/page "
           "| client us/page | server busy %% | client busy %% | bytes/page | **pages/server s** "
           "| floor p50 us | floor us/page | **x floor p50** | x floor us/page "
           "| memcached p50 us | memcached us/page | x memcached, pages/server s "
           "| **x memcached with plain pages** |\n"
           "|---|--:|--:|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:"
           "|--:|\n",
           way->over == OVER_TCP ? "TCP on loopback" : "a unix socket",
           way->place == APART ? "a processor each" : "one processor");
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
    unsigned rows = 0;
    for (unsigned index = 0; index < WAYS; index++) {
        struct way way = wire_way(index);
        if (index % (WAYS / TRANSPORTS / PLACES) == 0) rows = 0;
        if (bench->cells[index].figures[TARGET_FARPAGED][METRIC_RATE].count == 0) continue;
        if (rows++ == 0) print_heading(&way);
        print_row(bench, index);
    }
}

/* --- for programs ----------------------------------------------------------------------------- */

static void print_json_row(const struct bench *bench, unsigned index, enum target_kind kind)
{
    static const char *const names[METRICS] = {
#define X(name, text) text,
        WIRE_METRICS(X)
#undef X
    };
    struct way way = wire_way(index);
    printf("{\"server\": \"%s\", \"over\": \"%s\", \"processors\": \"%s\", \"depth\": %u, "
           "\"batch\": %u, \"pages\": \"%s\", \"work\": \"%s\"", bench->choices[kind].name,
           wire_transport_name(way.over), wire_place_name(way.place), way.shape.depth,
           way.shape.batch, wire_form_name(way.form), wire_work_name(way.work));
    for (int metric = 0; metric < METRICS; metric++) {
        printf(", ");
        series_json(stdout, names[metric], &bench->cells[index].figures[kind][metric]);
    }
    putchar('}');
}

void wire_print_json(const struct bench *bench)
{
    const char *comma = "";
    printf("{\"bench\": \"wire\", \"slots\": %" PRIu32 ", \"pages\": %" PRIu32
           ", \"load_before\": %.2f, \"load_after\": %.2f, \"rows\": [", bench->slots,
           bench->pages.count, bench->load_before, bench->load_after);
    for (unsigned index = 0; index < WAYS; index++)
        for (int kind = 0; kind < TARGET_KINDS; kind++) {
            if (bench->cells[index].figures[kind][METRIC_RATE].count == 0) continue;
            printf("%s\n ", comma);
            print_json_row(bench, index, (enum target_kind)kind);
            comma = ",";
        }
    printf("\n]}\n");
}
