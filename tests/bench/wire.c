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
                                  const struct way *way)
{
    return (struct stream_plan){
        .speech = speech_of(kind),
        .talk = {.packs = &round->bench->packs,
                 .form = way->form,
                 .work = way->work,
                 .area = round->sides[kind].area},
        .depth = way->shape.depth,
        .batch = way->shape.batch,
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

/* Every slot is there before any is loaded. */
static bool fill(struct round *round, enum target_kind kind, enum form form)
{
    static struct stream_result result;
    static const struct shape shape = {32, 1};
    struct way way = {.shape = shape, .form = form, .work = WORK_STORE};
    struct draw unused = {0};
    struct stream_plan plan = plan_of(round, kind, &way);
    plan.each_slot_once = true;
    return stream_run(round->sides[kind].stream, &plan, &unused, &result);
}

/* Each way begins with another server, so that none is always the one after the same. */
static bool measure_way(struct round *round, unsigned index, const struct way *way)
{
    struct bench *bench = round->bench;
    for (unsigned turn = 0; turn < TARGET_KINDS; turn++) {
        enum target_kind kind = (enum target_kind)((round->number + index + turn) % TARGET_KINDS);
        /* What packing costs the client is the same whomever it sends to. */
        bool needless = kind != TARGET_FARPAGED && way->form == FORM_PACKED_NOW;
        if (bench->is_missing[kind] || needless) continue;
        struct stream_plan plan = plan_of(round, kind, way);
        if (!measure(round, kind, &plan, bench->cells[index].figures[kind])) return false;
    }
    return true;
}

static bool measure_ways(struct round *round)
{
    const struct bench *bench = round->bench;
    enum form filled = FORM_PLAIN;
    for (unsigned index = 0; index < WAYS; index++) {
        struct way way = wire_way(index);
        if (way.over != round->over || !wire_way_has(&way, bench->options.ways)) continue;
        if (!pin_self(way.place == APART ? bench->client_processor : bench->server_processor))
            return false;
        /* memcached keeps what it is given, and packed values are other ones. */
        bool other = way.form != filled && way.form != FORM_PACKED_NOW;
        if (other && !bench->is_missing[TARGET_MEMCACHED] &&
            !fill(round, TARGET_MEMCACHED, way.form))
            return false;
        if (other) filled = way.form;
        if (!measure_way(round, index, &way)) return false;
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

static bool open_sides(struct round *round)
{
    const struct bench *bench = round->bench;
    if (!pin_self(bench->server_processor)) return false; /* they inherit it */
    for (int kind = 0; kind < TARGET_KINDS; kind++)
        if (!bench->is_missing[kind] && !open_side(round, (enum target_kind)kind)) return false;
    if (!pin_self(bench->client_processor)) return false;
    for (int kind = 0; kind < TARGET_KINDS; kind++)
        if (!bench->is_missing[kind] && !fill(round, (enum target_kind)kind, FORM_PLAIN))
            return false;
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

static bool is_wanted(const struct bench *bench, enum transport over)
{
    for (unsigned index = 0; index < WAYS; index++) {
        struct way way = wire_way(index);
        if (way.over == over && wire_way_has(&way, bench->options.ways)) return true;
    }
    return false;
}

static bool measure_all(struct bench *bench)
{
    bench->load_before = meter_load_average();
    for (unsigned number = 0; number < bench->options.rounds; number++)
        for (int over = 0; over < TRANSPORTS; over++) {
            if (!is_wanted(bench, (enum transport)over)) continue;
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
    if (bench->slots <= STREAM_DEPTH_MAX) {
        fprintf(stderr, "bench: more than %d slots, please\n", STREAM_DEPTH_MAX);
        return false;
    }
    return pin_choose(&bench->client_processor, &bench->server_processor) &&
           packs_make(&bench->pages, &bench->packs);
}

int main(int argc, char **argv)
{
    static struct bench bench;
    options_read(argc, argv, BENCH_WIRE, &bench.options);
    child_guard();
    if (!pageset_read(bench.options.files, bench.options.file_count, &bench.pages)) return 1;
    if (!prepare(&bench)) return 1;
    bool good = measure_all(&bench);
    if (good && bench.options.json) wire_print_json(&bench);
    if (good && !bench.options.json) wire_print_table(&bench);
    if (good && !bench.options.json) wire_print_goals(&bench);
    packs_free(&bench.packs);
    pageset_free(&bench.pages);
    return good ? 0 : 1;
}
