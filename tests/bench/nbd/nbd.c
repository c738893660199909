/* SPDX-License-Identifier: BSD-3-Clause
 * nbd - what a block device costs: farpaged's beside those of nbdkit's memory plugin, over a unix
 * socket and TCP, with real pages. Each server in turn is filled, read and written at random with 1
 * and 16 requests on the way, read in order, and (over the unix socket) written at random for
 * --seconds while its RAM is looked at. Every page that is read is compared with what was written.
 *
 * Ratios are of one round, whose servers ran one right after the other. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "tests/bench/child.h"
#include "tests/bench/meter.h"
#include "tests/bench/nbd/device.h"
#include "tests/bench/nbd/traffic.h"
#include "tests/bench/options.h"
#include "tests/bench/series.h"

#define MS 1000000ull

static const struct phase {
    const char *name;
    struct traffic_plan plan;
} phases[] = {
    {"fill 128k", {TRAFFIC_WRITE, true, 32, 16, 0}},
    {"read q16", {TRAFFIC_READ, false, 1, 16, MS}},
    {"write q16", {TRAFFIC_WRITE, false, 1, 16, MS}},
    {"read q1", {TRAFFIC_READ, false, 1, 1, MS}},
    {"write q1", {TRAFFIC_WRITE, false, 1, 1, MS}},
    {"read 128k", {TRAFFIC_READ, true, 32, 16, MS}},
    {"write 128k", {TRAFFIC_WRITE, true, 32, 16, MS}},
};
enum { PHASES = sizeof phases / sizeof *phases, FILL = 0, READ_16 = 1, WRITE_16 = 2, READ_1 = 3,
       WRITE_1 = 4, LINKS = 2 };

struct figures { /* of one device over one link */
    struct series per_second[PHASES], p50_us[PHASES], cpu_us[PHASES];
    struct series full_mib, churned_mib; /* resident, the program itself included */
    struct series more_mib;               /* than when it was empty, after the churn */
    struct series packed_mib;
};

struct bench {
    struct options options;
    struct pageset pages;
    uint64_t slots;
    struct figures figures[LINKS][DEVICE_KINDS];
};

static bool run_phase(const struct bench *bench, const struct device *device,
                      struct traffic *traffic, unsigned phase, struct figures *figures)
{
    struct traffic_plan plan = phases[phase].plan;
    struct traffic_result result;
    struct meter meter;
    struct meter_reading reading;
    if (plan.duration_ns != 0) plan.duration_ns = bench->options.milliseconds * MS;
    if (!meter_start(&meter, device->pid) || !traffic_run(traffic, &plan, &result) ||
        !meter_read(&meter, &reading))
        return false;
    double requests = (double)result.requests;
    series_add(&figures->per_second[phase], requests * 1e9 / (double)result.duration_ns);
    series_add(&figures->p50_us[phase], result.p50_us);
    series_add(&figures->cpu_us[phase], reading.server_s * 1e6 / requests);
    return true;
}

static double resident_mib(const struct device *device)
{
    return (double)child_resident_bytes(device->pid) / (1 << 20);
}

static bool churn(const struct bench *bench, const struct device *device, struct traffic *traffic,
                  struct figures *figures)
{
    struct traffic_plan plan = {TRAFFIC_WRITE, false, 1, 16, bench->options.seconds * 1000 * MS};
    struct traffic_result result;
    if (!traffic_run(traffic, &plan, &result)) return false;
    series_add(&figures->churned_mib, resident_mib(device));
    series_add(&figures->more_mib, resident_mib(device) - (double)device->empty_bytes / (1 << 20));
    series_add(&figures->packed_mib, device_packed_bytes(device) / (1 << 20));
    return true;
}

static bool measure(struct bench *bench, enum device_kind kind, bool over_unix, uint64_t round)
{
    struct device device;
    struct figures *figures = &bench->figures[over_unix ? 0 : 1][kind];
    uint64_t bytes = bench->slots * PAGESET_PAGE_BYTES;
    if (!device_start(&bench->options, kind, over_unix, bytes, &device)) return false;
    struct traffic_options wanted = {device.uri, &bench->pages, bench->slots,
                                     bench->options.seed + round};
    struct traffic *traffic = traffic_create(&wanted);
    bool good = traffic != NULL;
    for (unsigned phase = 0; phase < PHASES && good; phase++) {
        good = run_phase(bench, &device, traffic, phase, figures);
        if (phase == FILL) series_add(&figures->full_mib, resident_mib(&device));
    }
    if (good && over_unix) good = churn(bench, &device, traffic, figures);
    traffic_destroy(&traffic);
    device_stop(&device);
    return good;
}

/* --- the report ------------------------------------------------------------------------------- */

static void print_rows(const struct bench *bench, unsigned link)
{
    static const char *const links[LINKS] = {"unix", "tcp"};
    char text[SERIES_TEXT_BYTES];
    printf("\n### %s\n\n| server |", links[link]);
    for (unsigned phase = 0; phase < PHASES; phase++) printf(" %s |", phases[phase].name);
    printf(" RAM full | rewritten |\n|---|");
    for (unsigned phase = 0; phase < PHASES + 2; phase++) printf("---:|");
    printf("\n");
    for (unsigned kind = 0; kind < DEVICE_KINDS; kind++) {
        const struct figures *figures = &bench->figures[link][kind];
        printf("| %s |", device_name((enum device_kind)kind));
        for (unsigned phase = 0; phase < PHASES; phase++)
            printf(" %.0f/s, %.0f us, %.1f us cpu |", series_median(&figures->per_second[phase]),
                   series_median(&figures->p50_us[phase]), series_median(&figures->cpu_us[phase]));
        printf(" %s MiB |", series_text(&figures->full_mib, 0, text));
        printf(" %s MiB |\n", series_text(&figures->churned_mib, 0, text));
    }
}

struct goal {
    const char *text;
    unsigned phase;
    enum device_kind peer;
    bool latency;
    double wanted; /* at least; of a latency at most */
};
static const struct goal goals[] = {
    {"reads, 16 on the way, of nbdkit malloc's", READ_16, DEVICE_NBDKIT_MALLOC, false, 0.8},
    {"writes, 16 on the way, of nbdkit malloc's", WRITE_16, DEVICE_NBDKIT_MALLOC, false, 0.8},
    {"reads, 16 on the way, of nbdkit zstd's", READ_16, DEVICE_NBDKIT_ZSTD, false, 3},
    {"writes, 16 on the way, of nbdkit zstd's", WRITE_16, DEVICE_NBDKIT_ZSTD, false, 8},
    {"latency of a read alone, of nbdkit malloc's", READ_1, DEVICE_NBDKIT_MALLOC, true, 1.3},
    {"latency of a write alone, of nbdkit malloc's", WRITE_1, DEVICE_NBDKIT_MALLOC, true, 1.3},
};

static void print_goals(const struct bench *bench)
{
    const struct figures(*all)[DEVICE_KINDS] = bench->figures;
    char text[SERIES_TEXT_BYTES];
    printf("\n### wanted\n\n| what | wanted | unix | tcp |\n|---|---:|---:|---:|\n");
    for (size_t i = 0; i < sizeof goals / sizeof *goals; i++) {
        const struct goal *goal = &goals[i];
        printf("| %s | %s %.1f |", goal->text, goal->latency ? "<=" : ">=", goal->wanted);
        for (unsigned link = 0; link < LINKS; link++) {
            const struct figures *ours = &all[link][DEVICE_FARPAGED];
            const struct figures *peer = &all[link][goal->peer];
            struct series ratio =
                goal->latency ? series_ratio(&ours->p50_us[goal->phase], &peer->p50_us[goal->phase])
                              : series_ratio(&ours->per_second[goal->phase],
                                             &peer->per_second[goal->phase]);
            printf(" %s |", series_text(&ratio, 2, text));
        }
        printf("\n");
    }
    const struct figures *ours = &all[0][DEVICE_FARPAGED];
    struct series ratio = series_ratio(&ours->more_mib, &ours->packed_mib);
    printf("| RAM after %" PRIu64 " s of rewriting, of what the pages are packed to | <= 1.15 | %s "
           "| |\n", bench->options.seconds, series_text(&ratio, 3, text));
}

int main(int argc, char **argv)
{
    struct bench *bench = calloc(1, sizeof *bench);
    bool good = bench != NULL;
    if (!good) return 1;
    options_read(argc, argv, BENCH_NBD, &bench->options);
    const struct options *options = &bench->options;
    child_guard();
    if (!pageset_read(options->files, options->file_count, &bench->pages)) return 1;
    bench->slots = options->keys != 0 ? options->keys : bench->pages.count;
    bench->slots -= bench->slots % TRAFFIC_RUN_PAGES;
    for (uint64_t round = 0; round < options->rounds && good; round++)
        for (unsigned link = 0; link < LINKS && good; link++)
            for (unsigned kind = 0; kind < DEVICE_KINDS && good; kind++)
                good = measure(bench, (enum device_kind)kind, link == 0, round);
    if (good) {
        printf("%" PRIu64 " pages of 4 KiB (%" PRIu64 " MiB), %" PRIu64 " rounds, load average "
               "%.1f\n", bench->slots, bench->slots * PAGESET_PAGE_BYTES >> 20, options->rounds,
               meter_load_average());
        for (unsigned link = 0; link < LINKS; link++) print_rows(bench, link);
        print_goals(bench);
    }
    pageset_free(&bench->pages);
    free(bench);
    return good ? 0 : 1;
}
