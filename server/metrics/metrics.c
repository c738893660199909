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
    &metrics_of_seats,       &metrics_of_areas,   &metrics_of_exports,
};

struct sample {
    const struct metric *metric;
    const struct metric_group *group;
    const struct metric_labels *labels;
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
};

static void value_text(const struct metric *metric, const void *item,
                       char text[METRIC_VALUE_BYTES])
{
    uint64_t value = *(const uint64_t *)(const void *)((const char *)item + metric->offset);
    if (metric->unit == METRIC_PLAIN)
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
        struct sample sample = {metric, group, (const void *)item, ""};
        value_text(metric, item, sample.value);
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

/* "{area=\"swap\"}"; "" where the group has no labels. Labels' texts need no escapes. */
static void labels_text(const struct sample *sample, char *text, size_t room)
{
    size_t used = 0;
    text[0] = '\0';
    for (unsigned i = 0; i < METRIC_LABELS_MAX && sample->group->labels[i] != NULL; i++)
        used += (size_t)snprintf(text + used, room - used, "%c%s=\"%s\"", i == 0 ? '{' : ',',
                                 sample->group->labels[i], sample->labels->texts[i]);
    if (used > 0) snprintf(text + used, room - used, "}");
}

enum { LABELS_BYTES = METRIC_LABELS_MAX * (METRIC_LABEL_BYTES + 24) };

static void begin_prometheus(struct walk *walk, const struct metric *metric,
                             const struct metric_group *group)
{
    static const char *const kinds[] = {"counter", "gauge"};
    char head[512];
    (void)group;
    snprintf(head, sizeof head, "# HELP %s %s\n# TYPE %s %s\n", metric->name, metric->help,
             metric->name, kinds[metric->kind]);
    output_text(walk->output, head);
}

static void sample_prometheus(struct walk *walk, const struct sample *sample)
{
    char labels[LABELS_BYTES], line[LABELS_BYTES + 128];
    labels_text(sample, labels, sizeof labels);
    snprintf(line, sizeof line, "%s%s %s\n", sample->metric->name, labels, sample->value);
    output_text(walk->output, line);
}

/* --- JSON ------------------------------------------------------------------------------------- */

static void begin_json(struct walk *walk, const struct metric *metric,
                       const struct metric_group *group)
{
    char head[128];
    snprintf(head, sizeof head, "%s\"%s\": %s", walk->written > 0 ? ",\n" : "", metric->name,
             group->labels[0] != NULL ? "[" : "");
    output_text(walk->output, head);
}

static void sample_json(struct walk *walk, const struct sample *sample)
{
    char text[LABELS_BYTES];
    bool bare = sample->group->labels[0] == NULL;
    if (!bare) output_text(walk->output, walk->samples > 0 ? ", {" : "{");
    for (unsigned i = 0; i < METRIC_LABELS_MAX && sample->group->labels[i] != NULL; i++) {
        snprintf(text, sizeof text, "\"%s\": \"%s\", ", sample->group->labels[i],
                 sample->labels->texts[i]);
        output_text(walk->output, text);
    }
    if (!bare) output_text(walk->output, "\"value\": ");
    output_text(walk->output, sample->value);
    if (!bare) output_text(walk->output, "}");
}

static void end_json(struct walk *walk, const struct metric_group *group)
{
    if (group->labels[0] != NULL) output_text(walk->output, "]");
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

static void sample_each(struct walk *walk, const struct sample *sample)
{
    char labels[LABELS_BYTES], name[LABELS_BYTES + 96];
    labels_text(sample, labels, sizeof labels);
    snprintf(name, sizeof name, "%s%s", sample->metric->name, labels);
    walk->each(walk->context, name, sample->value);
}

enum fp_status metrics_each(struct shared *shared,
                            void (*each)(void *context, const char *name, const char *value),
                            void *context)
{
    struct walk walk = {.sample = sample_each, .each = each, .context = context};
    return walk_all(shared, &walk);
}
