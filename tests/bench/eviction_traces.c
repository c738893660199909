/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Keys are numbers; the popular ones of a Zipf law are scattered over sizes, since a key's size
 * comes from a hash of its number: of ten values seven have 64 B to 1 KiB, two up to 16 KiB and one
 * up to 64 KiB, each evenly by its logarithm. */
#include "tests/bench/eviction_traces.h"

#include <math.h>
#include <stdlib.h>

#include "tests/bench/draw.h"

enum { HOT_KEYS = 200000 };

/* --- Zipf's law with any exponent: rejection-inversion (Hormann, Derflinger 1996) ------------- */

struct zipf {
    double skew, first, last, cut;
    uint32_t count;
};

static double zipf_area(double skew, double x) /* under x^-skew, from 1 */
{
    double log_x = log(x);
    if (fabs(1 - skew) < 1e-9) return log_x;
    return expm1((1 - skew) * log_x) / (1 - skew);
}

static double zipf_area_back(double skew, double area)
{
    if (fabs(1 - skew) < 1e-9) return exp(area);
    return exp(log1p(area * (1 - skew)) / (1 - skew));
}

static void zipf_init(struct zipf *zipf, uint32_t count, double skew)
{
    zipf->skew = skew;
    zipf->count = count;
    zipf->first = zipf_area(skew, 1.5) - 1;
    zipf->last = zipf_area(skew, count + 0.5);
    zipf->cut = 2 - zipf_area_back(skew, zipf_area(skew, 2.5) - pow(2, -skew));
}

static double fraction(struct draw *draw) /* 0 to 1 */
{
    return (double)(draw_bits(draw) >> 11) / (double)(1ull << 53);
}

static uint32_t zipf_draw(const struct zipf *zipf, struct draw *draw) /* 0 is the most frequent */
{
    for (;;) {
        double area = zipf->last + fraction(draw) * (zipf->first - zipf->last);
        double x = zipf_area_back(zipf->skew, area);
        double k = floor(x + 0.5);
        if (k < 1) k = 1;
        if (k > zipf->count) k = zipf->count;
        if (k - x <= zipf->cut || area >= zipf_area(zipf->skew, k + 0.5) - pow(k, -zipf->skew))
            return (uint32_t)k - 1;
    }
}

/* --- the traces ------------------------------------------------------------------------------- */

struct maker {
    struct trace *trace;
    struct draw draw;
    struct zipf zipf;
    double skew;
    double share; /* of what the trace is about; its own meaning */
};

static void make_zipf(struct maker *maker)
{
    for (uint64_t i = 0; i < maker->trace->length; i++)
        maker->trace->keys[i] = zipf_draw(&maker->zipf, &maker->draw);
}

/* Now and then a run over keys that are asked for once and never again. */
static void make_scans(struct maker *maker)
{
    enum { EVERY = 100000 };
    uint32_t fresh = HOT_KEYS;
    uint64_t scan = (uint64_t)(maker->share * EVERY);
    for (uint64_t i = 0; i < maker->trace->length; i++) {
        bool scans = i % EVERY >= EVERY - scan && fresh < maker->trace->key_count;
        maker->trace->keys[i] = scans ? fresh++ : zipf_draw(&maker->zipf, &maker->draw);
    }
}

/* The same run over and over: a nightly job over a table of its own. */
static void make_table_scans(struct maker *maker)
{
    enum { EVERY = 200000, TABLE = 60000 };
    for (uint64_t i = 0; i < maker->trace->length; i++) {
        uint64_t at = i % EVERY;
        maker->trace->keys[i] = at >= EVERY - TABLE ? (uint32_t)(HOT_KEYS + at - (EVERY - TABLE))
                                                    : zipf_draw(&maker->zipf, &maker->draw);
    }
}

/* Half of the requests, or so, for something that nobody has asked for before or will again. */
static void make_once(struct maker *maker)
{
    uint32_t fresh = HOT_KEYS;
    for (uint64_t i = 0; i < maker->trace->length; i++) {
        bool once = fraction(&maker->draw) < maker->share && fresh < maker->trace->key_count;
        maker->trace->keys[i] = once ? fresh++ : zipf_draw(&maker->zipf, &maker->draw);
    }
}

/* What is popular moves on, all the time: the keys' window slides by one each `1 / share`. */
static void make_drift(struct maker *maker)
{
    for (uint64_t i = 0; i < maker->trace->length; i++) {
        uint64_t base = (uint64_t)((double)i * maker->share);
        maker->trace->keys[i] =
            (uint32_t)((base + HOT_KEYS - zipf_draw(&maker->zipf, &maker->draw)) %
                       maker->trace->key_count);
    }
}

/* What is popular is something else every so often, all at once. */
static void make_shifts(struct maker *maker)
{
    uint64_t every = maker->trace->length / 8;
    for (uint64_t i = 0; i < maker->trace->length; i++)
        maker->trace->keys[i] = (uint32_t)((i / every * 77777 +
                                            zipf_draw(&maker->zipf, &maker->draw)) %
                                           maker->trace->key_count);
}

/* Round and round: the share of all keys, in order. */
static void make_loop(struct maker *maker)
{
    uint32_t keys = (uint32_t)(maker->share * HOT_KEYS);
    for (uint64_t i = 0; i < maker->trace->length; i++)
        maker->trace->keys[i] = (uint32_t)(i % keys);
}

static const struct kind {
    const char *name;
    void (*make)(struct maker *maker);
    double skew, share;
    uint32_t key_count;
} kinds[TRACES] = {
    {"zipf 0.6", make_zipf, 0.6, 0, HOT_KEYS},
    {"zipf 0.8", make_zipf, 0.8, 0, HOT_KEYS},
    {"zipf 1.0", make_zipf, 1.0, 0, HOT_KEYS},
    {"zipf 1.2", make_zipf, 1.2, 0, HOT_KEYS},
    {"zipf 0.9, a tenth in scans", make_scans, 0.9, 0.1, 10 * HOT_KEYS},
    {"zipf 0.9, half in scans", make_scans, 0.9, 0.5, 10 * HOT_KEYS},
    {"zipf 0.9, scans of a table", make_table_scans, 0.9, 0, 2 * HOT_KEYS},
    {"zipf 0.9, a fifth asked once", make_once, 0.9, 0.2, 10 * HOT_KEYS},
    {"zipf 0.9, half asked once", make_once, 0.9, 0.5, 10 * HOT_KEYS},
    {"zipf 1.0, drifting slowly", make_drift, 1.0, 0.02, 4 * HOT_KEYS},
    {"zipf 1.0, drifting fast", make_drift, 1.0, 0.2, 4 * HOT_KEYS},
    {"zipf 1.0, shifting at once", make_shifts, 1.0, 0, 4 * HOT_KEYS},
    {"uniform", make_zipf, 0.0, 0, HOT_KEYS},
    {"a loop", make_loop, 0.0, 0.5, HOT_KEYS},
};

static uint32_t size_of(uint32_t key)
{
    struct draw draw;
    draw_init(&draw, key * 2654435761u + 1u, 1, false);
    double kind = fraction(&draw), at = fraction(&draw);
    double least = kind < 0.7 ? 64 : kind < 0.9 ? 1024 : 16384;
    double times = kind < 0.7 ? 16 : kind < 0.9 ? 16 : 4;
    return (uint32_t)(least * pow(times, at));
}

static bool weigh(struct trace *trace)
{
    uint8_t *seen = calloc(trace->key_count, 1);
    if (seen == NULL) return false;
    for (uint64_t i = 0; i < trace->length; i++) {
        uint32_t key = trace->keys[i];
        if (!seen[key]) trace->key_bytes += trace->sizes[key];
        seen[key] = 1;
    }
    free(seen);
    return true;
}

bool trace_make(unsigned index, uint64_t seed, uint64_t length, struct trace *trace)
{
    const struct kind *kind = &kinds[index];
    *trace = (struct trace){.name = kind->name, .key_count = kind->key_count, .length = length};
    trace->sizes = malloc(trace->key_count * sizeof *trace->sizes);
    trace->keys = malloc(length * sizeof *trace->keys);
    if (trace->sizes == NULL || trace->keys == NULL) {
        trace_free(trace);
        return false;
    }
    for (uint32_t key = 0; key < trace->key_count; key++) trace->sizes[key] = size_of(key);
    struct maker maker = {.trace = trace, .skew = kind->skew, .share = kind->share};
    draw_init(&maker.draw, seed, 1, false);
    zipf_init(&maker.zipf, HOT_KEYS, kind->skew);
    kind->make(&maker);
    if (weigh(trace)) return true;
    trace_free(trace);
    return false;
}

void trace_free(struct trace *trace)
{
    free(trace->sizes);
    free(trace->keys);
    *trace = (struct trace){0};
}
