/* SPDX-License-Identifier: BSD-3-Clause
 * progress - one line on stderr that tells how far a long job is, where stderr is a terminal. */
#ifndef FARPAGE_CLIENT_CLI_PROGRESS_H
#define FARPAGE_CLIENT_CLI_PROGRESS_H
#include <stdbool.h>
#include <stdint.h>

struct progress {
    const char *verb; /* "storing" */
    uint64_t pages, page_bytes;
    uint64_t begun_ns;
    bool shown, colour;
};

void progress_init(struct progress *progress, const char *verb, uint64_t pages,
                   uint64_t page_bytes);
void progress_show(struct progress *progress, uint64_t done);
void progress_fini(struct progress *progress); /* wipes the line */

/* Columns that one line on stderr may fill now; `otherwise` where nobody knows. */
unsigned progress_columns(unsigned otherwise);

#endif
