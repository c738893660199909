/* SPDX-License-Identifier: BSD-3-Clause */
#include "tests/bench/series.h"

#include <stdlib.h>

#include "base/check.h"

void series_add(struct series *series, double value)
{
    fp_assert(series->count < SERIES_ROUNDS_MAX);
    series->values[series->count++] = value;
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double ranked(const struct series *series, unsigned rank)
{
    struct series sorted = *series;
    if (sorted.count == 0) return 0;
    qsort(sorted.values, sorted.count, sizeof *sorted.values, compare);
    return sorted.values[rank];
}

double series_median(const struct series *series)
{
    unsigned half = series->count / 2;
    if (series->count % 2 == 1 || series->count == 0) return ranked(series, half);
    return (ranked(series, half - 1) + ranked(series, half)) / 2;
}

double series_lowest(const struct series *series)
{
    return ranked(series, 0);
}

double series_highest(const struct series *series)
{
    return ranked(series, series->count == 0 ? 0 : series->count - 1);
}

struct series series_ratio(const struct series *a, const struct series *b)
{
    struct series ratio = {.count = 0};
    for (unsigned i = 0; i < a->count && i < b->count; i++)
        if (b->values[i] != 0) series_add(&ratio, a->values[i] / b->values[i]);
    return ratio;
}

const char *series_text(const struct series *series, int digits, char text[SERIES_TEXT_BYTES])
{
    if (series->count == 0)
        snprintf(text, SERIES_TEXT_BYTES, "-");
    else if (series->count == 1)
        snprintf(text, SERIES_TEXT_BYTES, "%.*f", digits, series_median(series));
    else
        snprintf(text, SERIES_TEXT_BYTES, "%.*f (%.*f-%.*f)", digits, series_median(series),
                 digits, series_lowest(series), digits, series_highest(series));
    return text;
}

void series_json(FILE *out, const char *name, const struct series *series)
{
    fprintf(out, "\"%s\": {\"median\": %.6g, \"rounds\": [", name, series_median(series));
    for (unsigned i = 0; i < series->count; i++)
        fprintf(out, "%s%.6g", i == 0 ? "" : ", ", series->values[i]);
    fprintf(out, "]}");
}
