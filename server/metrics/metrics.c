/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The tables are walked once, and a form says how what is found there is written. */
#include "server/metrics/metrics.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "server/metrics/metrics_group.h"

static const struct metric_group *const groups[] = {
    &metrics_of_build,       &metrics_of_process, &metrics_of_server, &metrics_of_requests,
    &metrics_of_connections, &metrics_of_http,    &metrics_of_memory, &metrics_of_pool,
    &metrics_of_operations,  &metrics_of_sizes,   &metrics_of_seats,  &metrics_of_areas,
    &metrics_of_exports,     &metrics_of_tiers,   &metrics_of_tenants, &metrics_of_jobs,
};

struct sample {
    const struct metric *metric;
    const struct metric_group *group;
    const struct metric_labels *labels;
    const struct metric_histogram *histogram; /* NULL: it is of another kind, and `value` counts */
    char value[METRIC_VALUE_BYTES];
};

struct walk {
    void (*begin)(struct walk *walk, const struct metric *metric,
                  const struct metric_group *group); /* NULL: of no interest, as `end` */
    void (*sample)(struct walk *walk, const struct sample *sample);
    void (*end)(struct walk *walk, const struct metric_group *group);
    struct output *output;
    void (*each)(void *context, const char *name, const char *value);
    void *context;
    uint64_t written; /* metrics before this one; samples of it */
    uint64_t samples;
    bool bare; /* of JSON: it is a number */
};

static void value_text(enum metric_unit unit, uint64_t value, char text[METRIC_VALUE_BYTES])
{
    if (unit == METRIC_PLAIN)
        snprintf(text, METRIC_VALUE_BYTES, "%" PRIu64, value);
    else
        snprintf(text, METRIC_VALUE_BYTES, "%" PRIu64 ".%09" PRIu64, value / 1000000000,
                 value % 1000000000);
}

static void walk_metric(struct walk *walk, const struct metric_group *group, size_t which,
                        const char *items, size_t count)
{
    const struct metric *metric = &group->metrics[which];
    walk->samples = 0;
    if (walk->begin != NULL) walk->begin(walk, metric, group);
    for (size_t i = 0; i < count; i++) {
        const char *item = items + i * group->item_bytes;
        const void *at = item + metric->offset;
        struct sample sample = {.metric = metric, .group = group, .labels = (const void *)item};
        if (metric->kind == METRIC_HISTOGRAM) sample.histogram = at;
        else value_text(metric->unit, *(const uint64_t *)at, sample.value);
        walk->sample(walk, &sample);
        walk->samples++;
    }
    if (walk->end != NULL) walk->end(walk, group);
    walk->written++;
}

static enum fp_status walk_all(struct shared *shared, struct walk *walk)
{
    for (size_t g = 0; g < FP_COUNT_OF(groups); g++) {
        const struct metric_group *group = groups[g];
        char *items = calloc(group->items_max, group->item_bytes);
        if (items == NULL) return FP_NO_MEMORY;
        size_t count = group->fill(shared, items);
        for (size_t i = 0; i < group->metric_count; i++)
            walk_metric(walk, group, i, items, count);
        free(items);
    }
    return FP_OK;
}

/* --- Prometheus ------------------------------------------------------------------------------- */

enum { LABELS_BYTES = (METRIC_LABELS_MAX + 1) * (METRIC_LABEL_BYTES + 24) };

/* "{area=\"swap\"}", with `le` as one more where it is not NULL; "" where there are none. Labels'
 * texts need no escapes. */
static void labels_text(const struct sample *sample, const char *le, char text[LABELS_BYTES])
{
    size_t used = 0;
    text[0] = '\0';
    for (unsigned i = 0; i < METRIC_LABELS_MAX && sample->group->labels[i] != NULL; i++)
        used += (size_t)snprintf(text + used, LABELS_BYTES - used, "%c%s=\"%s\"",
                                 i == 0 ? '{' : ',', sample->group->labels[i],
                                 sample->labels->texts[i]);
    if (le != NULL)
        used += (size_t)snprintf(text + used, LABELS_BYTES - used, "%cle=\"%s\"",
                                 used == 0 ? '{' : ',', le);
    if (used > 0) snprintf(text + used, LABELS_BYTES - used, "}");
}

/* Gives `line` the lines of a sample: one, or those of a histogram. */
static void each_line(struct walk *walk, const struct sample *sample,
                      void (*line)(struct walk *walk, const char *name, const char *value))
{
    char labels[LABELS_BYTES], name[LABELS_BYTES + 96], value[METRIC_VALUE_BYTES];
    const struct metric_histogram *histogram = sample->histogram;
    const char *metric = sample->metric->name;
    labels_text(sample, NULL, labels);
    if (histogram == NULL) {
        snprintf(name, sizeof name, "%s%s", metric, labels);
        line(walk, name, sample->value);
        return;
    }
    for (unsigned i = 0; i <= histogram->bound_count; i++) {
        bool last = i == histogram->bound_count;
        char le[METRIC_VALUE_BYTES] = "+Inf";
        if (!last) value_text(sample->metric->unit, histogram->bounds[i], le);
        char with_le[LABELS_BYTES];
        labels_text(sample, le, with_le);
        snprintf(name, sizeof name, "%s_bucket%s", metric, with_le);
        value_text(METRIC_PLAIN, last ? histogram->count : histogram->counts[i], value);
        line(walk, name, value);
    }
    snprintf(name, sizeof name, "%s_sum%s", metric, labels);
    value_text(sample->metric->unit, histogram->sum, value);
    line(walk, name, value);
    snprintf(name, sizeof name, "%s_count%s", metric, labels);
    value_text(METRIC_PLAIN, histogram->count, value);
    line(walk, name, value);
}

static void begin_prometheus(struct walk *walk, const struct metric *metric,
                             const struct metric_group *group)
{
    static const char *const kinds[] = {"counter", "gauge", "histogram"};
    char head[512];
    (void)group;
    snprintf(head, sizeof head, "# HELP %s %s\n# TYPE %s %s\n", metric->name, metric->help,
             metric->name, kinds[metric->kind]);
    output_text(walk->output, head);
}

static void line_prometheus(struct walk *walk, const char *name, const char *value)
{
    char line[LABELS_BYTES + 160];
    snprintf(line, sizeof line, "%s %s\n", name, value);
    output_text(walk->output, line);
}

static void sample_prometheus(struct walk *walk, const struct sample *sample)
{
    each_line(walk, sample, line_prometheus);
}

/* --- JSON ------------------------------------------------------------------------------------- */

/* What has labels, or is a histogram, is an array of objects. */
static bool is_bare(const struct metric *metric, const struct metric_group *group)
{
    return group->labels[0] == NULL && metric->kind != METRIC_HISTOGRAM;
}

static void begin_json(struct walk *walk, const struct metric *metric,
                       const struct metric_group *group)
{
    char head[128];
    snprintf(head, sizeof head, "%s\"%s\": %s", walk->written > 0 ? ",\n" : "", metric->name,
             is_bare(metric, group) ? "" : "[");
    output_text(walk->output, head);
    walk->bare = is_bare(metric, group);
}

/* "buckets": [[0.001, 5], [0.002, 7]], each with all below it; the rest is beyond the last. */
static void histogram_json(struct walk *walk, const struct sample *sample)
{
    const struct metric_histogram *histogram = sample->histogram;
    char text[2 * METRIC_VALUE_BYTES + 32], number[METRIC_VALUE_BYTES];
    output_text(walk->output, "\"buckets\": [");
    for (unsigned i = 0; i < histogram->bound_count; i++) {
        value_text(sample->metric->unit, histogram->bounds[i], number);
        snprintf(text, sizeof text, "%s[%s, %" PRIu64 "]", i > 0 ? ", " : "", number,
                 histogram->counts[i]);
        output_text(walk->output, text);
    }
    value_text(sample->metric->unit, histogram->sum, number);
    snprintf(text, sizeof text, "], \"sum\": %s, \"count\": %" PRIu64, number, histogram->count);
    output_text(walk->output, text);
}

static void sample_json(struct walk *walk, const struct sample *sample)
{
    char text[LABELS_BYTES];
    if (walk->bare) {
        output_text(walk->output, sample->value);
        return;
    }
    output_text(walk->output, walk->samples > 0 ? ", {" : "{");
    for (unsigned i = 0; i < METRIC_LABELS_MAX && sample->group->labels[i] != NULL; i++) {
        snprintf(text, sizeof text, "\"%s\": \"%s\", ", sample->group->labels[i],
                 sample->labels->texts[i]);
        output_text(walk->output, text);
    }
    if (sample->histogram == NULL) {
        output_text(walk->output, "\"value\": ");
        output_text(walk->output, sample->value);
    } else {
        histogram_json(walk, sample);
    }
    output_text(walk->output, "}");
}

static void end_json(struct walk *walk, const struct metric_group *group)
{
    (void)group;
    if (!walk->bare) output_text(walk->output, "]");
}

enum fp_status metrics_write(struct shared *shared, enum metrics_form form, struct output *output)
{
    struct walk walk = {.output = output};
    if (form == METRICS_PROMETHEUS) {
        walk.begin = begin_prometheus;
        walk.sample = sample_prometheus;
        return walk_all(shared, &walk);
    }
    walk.begin = begin_json;
    walk.sample = sample_json;
    walk.end = end_json;
    output_text(output, "{");
    enum fp_status status = walk_all(shared, &walk);
    output_text(output, "}\n");
    return status;
}

/* --- names and values ------------------------------------------------------------------------- */

static void line_each(struct walk *walk, const char *name, const char *value)
{
    walk->each(walk->context, name, value);
}

static void sample_each(struct walk *walk, const struct sample *sample)
{
    each_line(walk, sample, line_each);
}

enum fp_status metrics_each(struct shared *shared,
                            void (*each)(void *context, const char *name, const char *value),
                            void *context)
{
    struct walk walk = {.sample = sample_each, .each = each, .context = context};
    return walk_all(shared, &walk);
}
