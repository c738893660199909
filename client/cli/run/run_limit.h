/* SPDX-License-Identifier: BSD-3-Clause
 * run_limit - how much of a program's memory may be resident, as --local says it. Pure. */
#ifndef FARPAGE_CLIENT_CLI_RUN_LIMIT_H
#define FARPAGE_CLIENT_CLI_RUN_LIMIT_H
#include <stdbool.h>
#include <stdint.h>

#include "base/attrs.h"
#include "client/cli/say/complaint.h"

enum { RUN_LOCAL_MIB_MIN = 16 };

/* "512MiB", or a percentage: "25%" or "12.5%" of `total` bytes, which is what --total said, else
 * the machine's memory. False with the sentence. */
bool run_limit_parse(const char *text, uint64_t total, uint64_t *bytes,
                     struct complaint *complaint) FP_MUST_CHECK FP_NONNULL(1, 3, 4);

#endif
