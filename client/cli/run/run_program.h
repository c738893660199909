/* SPDX-License-Identifier: BSD-3-Clause
 * run_program - finds the program that is to be run, as a shell does, and tells before it is
 * started whether a library can be loaded into it. Looks at files only. */
#ifndef FARPAGE_CLIENT_CLI_RUN_PROGRAM_H
#define FARPAGE_CLIENT_CLI_RUN_PROGRAM_H
#include <stdbool.h>

#include "base/attrs.h"
#include "client/cli/say/complaint.h"

enum { RUN_PATH_BYTES = 4096 };

/* As env, nice and timeout have them. */
enum run_exit { RUN_FAILED = 125, RUN_NOT_EXECUTABLE = 126, RUN_NOT_FOUND = 127 };

/* 0 with its path, or an exit code with the sentence. `search` is what PATH says, NULL for the
 * system's own. A script is as good as what runs it. */
int run_program_find(const char *name, const char *search, char path[RUN_PATH_BYTES],
                     struct complaint *complaint) FP_MUST_CHECK FP_NONNULL(1, 3, 4);

#endif
