/* SPDX-License-Identifier: BSD-3-Clause
 * run_report - what `farpage run --stats` tells: of a moment, or of all when the program ended. */
#ifndef FARPAGE_CLIENT_CLI_RUN_REPORT_H
#define FARPAGE_CLIENT_CLI_RUN_REPORT_H
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "base/attrs.h"
#include "client/uffd/figures.h"
#include "client/uffd/pager.h"

struct run_numbers {
    uint64_t wall_ns, program_cpu_ns, pager_cpu_ns;
    uint64_t limit_bytes;
    uint64_t resident_pages, resident_pages_peak; /* as the kernel counts them */
    uint64_t away_pages_peak;
    uint32_t processes, processes_ever;
    bool covered; /* the budget was ever nearly used */
    struct pager_state state;
    struct figures figures;
};

void run_report_text(const struct run_numbers *numbers, FILE *out) FP_NONNULL(1, 2);
void run_report_json(const struct run_numbers *numbers, FILE *out) FP_NONNULL(1, 2);

/* One line while it runs. */
void run_report_moment(const struct run_numbers *numbers, FILE *out) FP_NONNULL(1, 2);

#endif
