/* SPDX-License-Identifier: BSD-3-Clause
 * beside - memcached and farpaged (with each compressor) as caches of real values, side by side:
 * gets alone, and gets and sets mixed, for each number of connections and of requests on the way;
 * and the RAM that the same values take.
 *
 * All servers of a round are there at once, each with the same settings, pinned to one processor;
 * those not asked sleep. Each way of asking is measured on one after the other, a fraction of a
 * second each, so that a ratio is of neighbours in time. The client is pinned to the other one. */
#include "tests/bench/memcached/beside.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "tests/bench/load.h"
#include "tests/bench/meter.h"
#include "tests/bench/pin.h"

enum { KEYS_MIN = 1024, SETTLE_MS = 300, RECOMPRESS_SECONDS_MAX = 120, PRELOAD_DEPTH = 8 };

struct side { /* one server of a round */
    struct target target;
    struct load *load;
};

struct round {
    struct bench *bench;
    unsigned number;
    struct side sides[TARGETS_MAX];
};

static double quantile_us(const struct load_result *result, double quantile)
{
    return (double)histogram_quantile(&result->latency_ns, quantile) / 1e3;
}

static void note(struct series row[METRICS], const struct load_result *result,
                 const struct meter_reading *cost)
{
    double ops = (double)result->ops, seconds = (double)result->elapsed_ns / 1e9;
    series_add(&row[METRIC_PER_SERVER_S], ops / cost->server_s);
    series_add(&row[METRIC_SERVER_US], cost->server_s * 1e6 / ops);
    series_add(&row[METRIC_RATE], ops / seconds);
    series_add(&row[METRIC_P50], quantile_us(result, 0.5));
    series_add(&row[METRIC_P99], quantile_us(result, 0.99));
    series_add(&row[METRIC_P999], quantile_us(result, 0.999));
    series_add(&row[METRIC_SERVER_BUSY], 100 * cost->server_s / seconds);
}

/* Runs it, and adds what cost it to `row` where there is one. */
static bool measure(struct bench *bench, struct side *side, const struct load_phase *phase,
                    struct series row[METRICS])
{
    struct meter meter;
    struct meter_reading cost;
    struct load_result result;
    if (!meter_start(&meter, side->target.pid) || !load_run(side->load, phase, &result) ||
        !meter_read(&meter, &cost)) {
        fprintf(stderr, "bench: %s: failed\n", side->target.choice->name);
        return false;
    }
    bench->wrong += (double)result.wrong;
    bench->refused += (double)result.refused;
    bench->misses += (double)result.misses;
    if (row != NULL) note(row, &result, &cost);
    return true;
}

static void wait_ms(long milliseconds)
{
    struct timespec pause = {milliseconds / 1000, milliseconds % 1000 * 1000000};
    nanosleep(&pause, NULL);
}

/* What ends with the requests has ended by then. */
static void note_resident(struct round *round, unsigned index, enum memory memory)
{
    const struct target *target = &round->sides[index].target;
    wait_ms(SETTLE_MS);
    series_add(&round->bench->records[index].memory[memory],
               (double)child_resident_bytes(target->pid));
}

/* --- packed once more ------------------------------------------------------------------------- */

static bool say(const struct target *target, const char *line)
{
    char answer[256] = "";
    int fd = target_connect(target->address);
    size_t size = strlen(line);
    bool good = fd >= 0 && send(fd, line, size, MSG_NOSIGNAL) == (ssize_t)size &&
                recv(fd, answer, sizeof answer - 1, 0) > 0 && strstr(answer, "ERROR") == NULL;
    if (!good) fprintf(stderr, "bench: %s: %.*s: %s\n", target->choice->name, (int)size - 2, line,
                       answer);
    if (fd >= 0) close(fd);
    return good;
}

/* The server packs what it holds with BESIDE_DENSE; over when nothing is packed otherwise. */
static bool make_dense(const struct target *target)
{
    uint64_t until_ns = clock_monotonic_ns() + (uint64_t)RECOMPRESS_SECONDS_MAX * 1000000000;
    double looked = target_stat(target, "recompress", "looked"), before;
    if (!say(target, "compressor set " BESIDE_DENSE "\r\n")) return false;
    if (!say(target, "recompress start\r\n")) return false;
    do {
        before = looked;
        wait_ms(1000); /* gaps are closed behind it, too */
        looked = target_stat(target, "recompress", "looked");
    } while ((looked != before || target_stat(target, "recompress", "draining_objects") != 0) &&
             clock_monotonic_ns() < until_ns);
    return true;
}

/* --- all ways, of all servers ----------------------------------------------------------------- */

/* Each way begins with another server, so that none is always the one after the same. */
static bool measure_way(struct round *round, unsigned shape_index, enum mix mix)
{
    struct bench *bench = round->bench;
    struct shape shape = bench->shapes[shape_index];
    struct load_phase phase = {
        .get_percent = mix == MIX_GETS ? 100 : (unsigned)bench->options.get_percent,
        .ops = UINT32_MAX,
        .duration_ns = bench->options.milliseconds * 1000000,
    };
    struct load_phase warm_up = phase;
    warm_up.duration_ns /= 10;
    for (unsigned turn = 0; turn < bench->targets; turn++) {
        unsigned index = (round->number + shape_index + turn) % bench->targets;
        struct side *side = &round->sides[index];
        /* Young connections: TCP's congestion control may hold an old one back for 0.2 s to measure
         * its way (BBR does after 10 s), whoever serves it. */
        if (!load_reconnect(side->load, shape.connections, shape.depth) ||
            !measure(bench, side, &warm_up, NULL) ||
            !measure(bench, side, &phase, bench->records[index].figures[shape_index][mix]))
            return false;
    }
    return true;
}

static bool measure_round(struct round *round)
{
    struct bench *bench = round->bench;
    for (unsigned shape = 0; shape < bench->shape_count; shape++)
        for (int mix = 0; mix < MIXES; mix++)
            if (!measure_way(round, shape, (enum mix)mix)) return false;
    for (unsigned i = 0; i < bench->targets; i++) {
        note_resident(round, i, MEMORY_MIXED);
        if (round->number > 0) continue; /* it takes long, and is the same each time */
        if (i > 0 && !make_dense(&round->sides[i].target)) return false;
        note_resident(round, i, MEMORY_DENSE);
    }
    return true;
}

/* --- servers ---------------------------------------------------------------------------------- */

static bool open_side(struct round *round, unsigned index)
{
    struct bench *bench = round->bench;
    struct side *side = &round->sides[index];
    struct load_phase fill = {
        .each_key_once = true, .ops = bench->keys, .duration_ns = UINT64_C(60) * 1000000000};
    if (!pin_self(bench->server_processor)) return false; /* the server inherits it */
    if (!target_start(&bench->options, &bench->choices[index], false, &side->target)) return false;
    if (!pin_self(bench->client_processor)) return false;
    note_resident(round, index, MEMORY_EMPTY);
    struct load_options plan = {
        .pages = &bench->pages,
        .address = side->target.address,
        .keys = bench->keys,
        .connections = 1,
        .depth = PRELOAD_DEPTH,
        .zipf = bench->options.keys_by[0] == 'z',
        .seed = bench->options.seed + round->number,
    };
    if (!load_open(&plan, &side->load) || !measure(bench, side, &fill, NULL)) return false;
    note_resident(round, index, MEMORY_FILLED);
    return true;
}

static bool close_sides(struct round *round)
{
    bool good = true;
    for (unsigned i = 0; i < round->bench->targets; i++) {
        struct side *side = &round->sides[i];
        load_close(&side->load);
        if (side->target.pid > 0) good = target_stop(&side->target) && good;
    }
    return good;
}

static bool measure_all(struct bench *bench)
{
    bench->load_before = meter_load_average();
    for (unsigned number = 0; number < bench->options.rounds; number++) {
        struct round round = {.bench = bench, .number = number};
        bool good = true;
        fprintf(stderr, "round %u of %" PRIu64 "\n", number + 1, bench->options.rounds);
        for (unsigned i = 0; good && i < bench->targets; i++) good = open_side(&round, i);
        good = good && measure_round(&round);
        if (!close_sides(&round) || !good) return false;
    }
    bench->load_after = meter_load_average();
    return true;
}

/* "1x8,64x1": connections and requests on the way on each. */
static bool read_shapes(struct bench *bench)
{
    for (const char *at = bench->options.shapes; *at != '\0';) {
        char *end;
        unsigned long connections = strtoul(at, &end, 10);
        unsigned long depth = *end == 'x' ? strtoul(end + 1, &end, 10) : 0;
        bool whole = *end == ',' || *end == '\0';
        if (!whole || connections == 0 || connections > 1000 || depth == 0 || depth > 1000 ||
            bench->shape_count == SHAPES_MAX) {
            fprintf(stderr, "bench: --shapes=%s: up to %d of CONNECTIONSxDEPTH, please\n",
                    bench->options.shapes, SHAPES_MAX);
            return false;
        }
        bench->shapes[bench->shape_count++] =
            (struct shape){(uint32_t)connections, (uint32_t)depth};
        at = end + (*end == ',');
    }
    return bench->shape_count > 0;
}

int main(int argc, char **argv)
{
    static struct bench bench;
    options_read(argc, argv, BENCH_BESIDE, &bench.options);
    child_guard();
    if (!read_shapes(&bench)) return 2;
    if (!pageset_read(bench.options.files, bench.options.file_count, &bench.pages) ||
        !pageset_cut(&bench.pages, (uint32_t)bench.options.value_bytes) ||
        !pin_choose(&bench.client_processor, &bench.server_processor))
        return 1;
    uint32_t least = bench.pages.count > KEYS_MIN ? bench.pages.count : KEYS_MIN;
    bench.keys = bench.options.keys != 0 ? (uint32_t)bench.options.keys : least;
    bench.options.threads = 1;
    bench.targets = target_choices(&bench.options, bench.choices);
    bool good = measure_all(&bench);
    if (good) beside_print(&bench);
    pageset_free(&bench.pages);
    return good && bench.wrong == 0 && bench.refused == 0 ? 0 : 1;
}
