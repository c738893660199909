/* SPDX-License-Identifier: BSD-3-Clause
 *
 * What was wanted of the wire, and by how many of the ways that it is about it was reached. */
#include <stdio.h>

#include "tests/bench/wire.h"

struct goal {
    const char *text;
    const char *ways; /* those it is about, in words of wire_way_has() */
    double limit;
    bool is_most; /* the limit is the most that is wanted; otherwise the least */
    double (*figure)(const struct bench *bench, unsigned index); /* 0: it was not measured */
};

static double ratio(const struct cell *ours, const struct cell *theirs, enum target_kind kind,
                    enum metric metric)
{
    struct series ratios =
        series_ratio(&ours->figures[TARGET_FARPAGED][metric], &theirs->figures[kind][metric]);
    return series_median(&ratios);
}

static double beside_floor(const struct bench *bench, unsigned index)
{
    const struct cell *cell = &bench->cells[index];
    return ratio(cell, cell, TARGET_ECHO, METRIC_P50);
}

static double per_server_second(const struct bench *bench, unsigned index)
{
    return series_median(&bench->cells[index].figures[TARGET_FARPAGED][METRIC_PER_SERVER_S]);
}

static double beside_memcached(const struct bench *bench, unsigned index)
{
    return ratio(&bench->cells[index], &bench->cells[wire_plain_way(index)], TARGET_MEMCACHED,
                 METRIC_PER_SERVER_S);
}

static const struct goal goals[] = {
    {"at depth 1, p50 at most 1.3 times the floor's", "depth 1,plain", 1.3, true, beside_floor},
    {"the same, packed by the client", "depth 1,packed", 1.3, true, beside_floor},
    {"at depth 32, packed by the client, 500,000 loads a server second", "depth 32,packed,load",
     500000, false, per_server_second},
    {"packed by the client, 1.5 times memcached's gets of plain pages a server second",
     "packed,load", 1.5, false, beside_memcached},
    {"the same of stores and sets", "packed,store", 1.5, false, beside_memcached},
};

struct tally {
    unsigned ways, reached;
    double lowest, highest;
};

static void add(struct tally *tally, const struct goal *goal, double figure)
{
    tally->reached += goal->is_most ? figure <= goal->limit : figure >= goal->limit;
    if (tally->ways == 0 || figure < tally->lowest) tally->lowest = figure;
    if (tally->ways == 0 || figure > tally->highest) tally->highest = figure;
    tally->ways++;
}

static void print_goal(const struct bench *bench, const struct goal *goal, enum transport over,
                       enum place place)
{
    struct tally tally = {0};
    for (unsigned index = 0; index < WAYS; index++) {
        struct way way = wire_way(index);
        if (way.over != over || way.place != place || !wire_way_has(&way, goal->ways)) continue;
        double figure = goal->figure(bench, index);
        if (figure > 0) add(&tally, goal, figure);
    }
    if (tally.ways == 0) return;
    int digits = goal->limit >= 1000 ? 0 : 2;
    printf("| %s | %s, %s | %u of %u | %.*f | %.*f |\n", goal->text, wire_transport_name(over),
           wire_place_name(place), tally.reached, tally.ways, digits, tally.lowest, digits,
           tally.highest);
}

void wire_print_goals(const struct bench *bench)
{
    printf("\n### What was wanted\n\n"
           "| wanted | over, processors | reached by | lowest | highest |\n"
           "|---|---|--:|--:|--:|\n");
    for (unsigned i = 0; i < FP_COUNT_OF(goals); i++)
        for (int over = 0; over < TRANSPORTS; over++)
            for (int place = 0; place < PLACES; place++)
                print_goal(bench, &goals[i], (enum transport)over, (enum place)place);
}
