/* SPDX-License-Identifier: BSD-3-Clause
 * wire - what a page costs on its way over a socket: loads and stores of real pages at 1, 8 and 32
 * on the way, over a unix socket and TCP on loopback, of farpaged, of a server that does nothing
 * (the floor: messages of the same sizes, tests/bench/echo.c) and of memcached.
 *
 * All servers of a round are there at once, pinned to one processor, farpaged and memcached with
 * one worker thread; those not asked sleep. Each way of asking is measured on one after the other,
 * a fraction of a second each, so that a ratio is of neighbours in time. The client is pinned to
 * the other processor, or for some rows to the same one. */
#include "tests/bench/wire.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "tests/bench/child.h"
#include "tests/bench/greeting.h"
#include "tests/bench/meter.h"
#include "tests/bench/pin.h"
#include "tests/bench/stream.h"

const struct shape wire_shapes[SHAPES] = {{1, 1}, {8, 1}, {32, 1}};

struct side { /* one server, as the client sees it */
    struct target target;
    struct stream *stream;
    uint32_t area;
};

struct round {
    struct bench *bench;
    unsigned number;
    enum transport over;
    struct side sides[TARGET_KINDS];
};

static const struct speech *speech_of(enum target_kind kind)
{
    static const struct speech *const speeches[TARGET_KINDS] = {
        [TARGET_MEMCACHED] = &speech_text,
        [TARGET_FARPAGED] = &speech_frames,
        [TARGET_ECHO] = &speech_echo,
    };
    return speeches[kind];
}

/* --- one way, of one server ------------------------------------------------------------------- */

static struct stream_plan plan_of(const struct round *round, enum target_kind kind,
                                  const struct shape *shape, enum work work)
{
    return (struct stream_plan){
        .speech = speech_of(kind),
        .talk = {.pages = &round->bench->pages, .work = work, .area = round->sides[kind].area},
        .depth = shape->depth,
        .batch = shape->batch,
        .duration_ns = round->bench->options.milliseconds * 1000000,
    };
}

static void note(struct series *row, const struct stream_result *result,
                 const struct meter_reading *cost)
{
    double pages = (double)result->pages, seconds = (double)result->elapsed_ns / 1e9;
    series_add(&row[METRIC_RATE], pages / seconds);
    series_add(&row[METRIC_P50], (double)histogram_quantile(&result->latency_ns, 0.5) / 1e3);
    series_add(&row[METRIC_P99], (double)histogram_quantile(&result->latency_ns, 0.99) / 1e3);
    series_add(&row[METRIC_SERVER_US], cost->server_s * 1e6 / pages);
    series_add(&row[METRIC_CLIENT_US], cost->client_s * 1e6 / pages);
    series_add(&row[METRIC_PER_SERVER_S], pages / cost->server_s);
    series_add(&row[METRIC_SERVER_BUSY], 100 * cost->server_s / seconds);
    series_add(&row[METRIC_CLIENT_BUSY], 100 * cost->client_s / seconds);
    series_add(&row[METRIC_BYTES], (double)(result->sent_bytes + result->heard_bytes) / pages);
}

static bool measure(struct round *round, enum target_kind kind, const struct stream_plan *plan,
                    struct series *row)
{
    static struct stream_result result;
    struct side *side = &round->sides[kind];
    struct meter meter;
    struct meter_reading cost;
    struct draw draw; /* the same slots of each server */
    draw_init(&draw, round->bench->options.seed + round->number, round->bench->slots, false);
    if (meter_start(&meter, side->target.pid) &&
        stream_run(side->stream, plan, &draw, &result) && meter_read(&meter, &cost)) {
        note(row, &result, &cost);
        return true;
    }
    fprintf(stderr, "bench: %s: failed\n", side->target.choice->name);
    return false;
}

/* --- all ways, of all servers ----------------------------------------------------------------- */

/* Each way begins with another server, so that none is always the one after the same. */
static bool measure_way(struct round *round, enum place place, unsigned shape, enum work work)
{
    struct bench *bench = round->bench;
    struct cell *cell = &bench->cells[round->over][place][shape][work];
    for (unsigned turn = 0; turn < TARGET_KINDS; turn++) {
        enum target_kind kind = (enum target_kind)((round->number + shape + turn) % TARGET_KINDS);
        if (bench->is_missing[kind]) continue;
        struct stream_plan plan = plan_of(round, kind, &wire_shapes[shape], work);
        if (!measure(round, kind, &plan, cell->figures[kind])) return false;
    }
    return true;
}

static bool measure_ways(struct round *round)
{
    const struct bench *bench = round->bench;
    for (int place = 0; place < PLACES; place++) {
        if (!pin_self(place == APART ? bench->client_processor : bench->server_processor))
            return false;
        for (unsigned shape = 0; shape < SHAPES; shape++)
            for (int work = 0; work < WORKS; work++)
                if (!measure_way(round, (enum place)place, shape, (enum work)work)) return false;
    }
    return true;
}

/* --- servers ---------------------------------------------------------------------------------- */

static bool open_side(struct round *round, enum target_kind kind)
{
    struct bench *bench = round->bench;
    struct side *side = &round->sides[kind];
    bool over_unix = round->over == OVER_UNIX;
    if (!target_start(&bench->options, &bench->choices[kind], over_unix, &side->target))
        return false;
    return stream_open(side->target.address, bench->slots, &side->stream) &&
           (kind != TARGET_FARPAGED ||
            greeting_exchange(stream_socket(side->stream), bench->slots, &side->area));
}

/* Every slot is there before any is loaded. */
static bool fill_side(struct round *round, enum target_kind kind)
{
    static struct stream_result result;
    static const struct shape filling = {32, 1};
    struct stream_plan plan = plan_of(round, kind, &filling, WORK_STORE);
    struct draw unused = {0};
    plan.each_slot_once = true;
    return stream_run(round->sides[kind].stream, &plan, &unused, &result);
}

static bool open_sides(struct round *round)
{
    const struct bench *bench = round->bench;
    if (!pin_self(bench->server_processor)) return false; /* they inherit it */
    for (int kind = 0; kind < TARGET_KINDS; kind++)
        if (!bench->is_missing[kind] && !open_side(round, (enum target_kind)kind)) return false;
    if (!pin_self(bench->client_processor)) return false;
    for (int kind = 0; kind < TARGET_KINDS; kind++)
        if (!bench->is_missing[kind] && !fill_side(round, (enum target_kind)kind)) return false;
    return true;
}

static bool close_sides(struct round *round)
{
    bool good = true;
    for (int kind = 0; kind < TARGET_KINDS; kind++) {
        struct side *side = &round->sides[kind];
        stream_close(&side->stream);
        if (side->target.pid > 0) good = target_stop(&side->target) && good;
    }
    return good;
}

static bool measure_all(struct bench *bench)
{
    bench->load_before = meter_load_average();
    for (unsigned number = 0; number < bench->options.rounds; number++)
        for (int over = 0; over < TRANSPORTS; over++) {
            fprintf(stderr, "round %u of %" PRIu64 ": %s\n", number + 1, bench->options.rounds,
                    over == OVER_UNIX ? "unix" : "tcp");
            struct round round = {
                .bench = bench, .number = number, .over = (enum transport)over};
            bool good = open_sides(&round) && measure_ways(&round);
            if (!close_sides(&round) || !good) return false;
        }
    bench->load_after = meter_load_average();
    return true;
}

static bool prepare(struct bench *bench)
{
    static const struct target_choice choices[TARGET_KINDS] = {
        {.kind = TARGET_MEMCACHED, .name = "memcached"},
        {.kind = TARGET_FARPAGED, .name = "farpage lz4", .algorithm = "lz4"},
        {.kind = TARGET_ECHO, .name = "floor"},
    };
    memcpy(bench->choices, choices, sizeof choices);
    bench->options.threads = 1;
    bench->slots =
        bench->options.keys != 0 ? (uint32_t)bench->options.keys : bench->pages.count;
    bench->is_missing[TARGET_MEMCACHED] = !child_could_start(bench->options.memcached);
    if (bench->is_missing[TARGET_MEMCACHED])
        fprintf(stderr, "bench: %s is not there: not compared with it\n", bench->options.memcached);
    if (bench->slots > STREAM_DEPTH_MAX)
        return pin_choose(&bench->client_processor, &bench->server_processor);
    fprintf(stderr, "bench: more than %d slots, please\n", STREAM_DEPTH_MAX);
    return false;
}

int main(int argc, char **argv)
{
    static struct bench bench;
    options_read(argc, argv, BENCH_WIRE, &bench.options);
    child_guard();
    if (!pageset_read(bench.options.files, bench.options.file_count, &bench.pages)) return 1;
    bool good = prepare(&bench) && measure_all(&bench);
    if (good && bench.options.json) wire_print_json(&bench);
    if (good && !bench.options.json) wire_print_table(&bench);
    pageset_free(&bench.pages);
    return good ? 0 : 1;
}
