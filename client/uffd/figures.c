/* SPDX-License-Identifier: BSD-3-Clause */
#include "client/uffd/figures.h"

#include <string.h>

#include "base/check.h"

void figures_init(struct figures *figures)
{
    memset(figures, 0, sizeof *figures);
    for (int i = 0; i < FIGURES_FAULTS_COUNT; i++) histogram_init(&figures->faults_ns[i]);
}

void figures_merge(struct figures *into, const struct figures *from)
{
    for (int i = 0; i < FIGURES_FAULTS_COUNT; i++)
        histogram_merge(&into->faults_ns[i], &from->faults_ns[i]);
#define X(name, text) into->name += from->name;
    FIGURES_COUNTS(X)
#undef X
}

const char *figures_fault_name(enum figures_fault fault)
{
    static const char *const names[] = {
#define X(fault, name, text) name,
        FIGURES_FAULTS(X)
#undef X
    };
    fp_assert(fault < FIGURES_FAULTS_COUNT);
    return names[fault];
}

double figures_prefetch_accuracy(const struct figures *figures)
{
    uint64_t judged = figures->prefetch_used + figures->prefetch_wasted;
    return judged == 0 ? 0 : (double)figures->prefetch_used / (double)judged;
}
