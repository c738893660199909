/* SPDX-License-Identifier: BSD-3-Clause
 * config_error - everything wrong with a configuration, in the order of its lines.
 *
 *   farpaged.yaml:14:5: error: unknown key 'thraeds' in server; did you mean 'threads'?
 *      14 |     thraeds: 4
 *         |     ^~~~~~~
 *
 * The arguments of --set are shown as the lines of a file called "--set". What an error quotes is
 * cut and made printable: one error is one headline whatever the file holds.
 *
 * Threads: one at a time. Where memory for an error cannot be had, no_memory tells.
 */
#ifndef FARPAGE_SERVER_CONFIG_ERROR_H
#define FARPAGE_SERVER_CONFIG_ERROR_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "base/attrs.h"
#include "base/slice.h"

/* What is being read: the text of a file, or, where `arguments` is not NULL, those. Borrowed. */
struct config_source {
    const char *name;
    struct slice text;
    const char *const *arguments;
    size_t argument_count;
};

/* Lines and columns (characters, not bytes) count from 1; line 0 means the source as a whole. */
struct config_place {
    const struct config_source *source;
    uint32_t line, column, width;
};

struct config_error {
    char *headline;      /* "FILE:LINE:COLUMN: error: MESSAGE", without a line end; owned */
    const char *excerpt; /* the offending line and the caret's, or ""; in the headline's memory */
    bool is_argument;
    uint32_t line, column;
};

enum { CONFIG_ERRORS_KEPT_MAX = 256 }; /* nobody reads more, and each costs its excerpt */

struct config_errors {
    struct config_error *list; /* sorted: the file's before --set's, then by line and column */
    size_t kept, capacity;     /* kept <= CONFIG_ERRORS_KEPT_MAX */
    size_t count;              /* of all that were found */
    bool no_memory;
};

void config_errors_init(struct config_errors *errors) FP_NONNULL(1);
void config_errors_fini(struct config_errors *errors) FP_NONNULL(1);

size_t config_errors_count(const struct config_errors *errors) FP_NONNULL(1);

/* One of them, i < errors->kept: for a reload, whose errors go to the log. */
const struct config_error *config_errors_at(const struct config_errors *errors, size_t i)
    FP_NONNULL(1);

/* All of them, and last "2 errors; nothing was started (exit 78)". Nothing where there are none. */
void config_errors_print(const struct config_errors *errors, FILE *out) FP_NONNULL(1, 2);

void config_error_add(struct config_errors *errors, struct config_place place, const char *format,
                      ...) FP_PRINTF(3, 4) FP_NONNULL(1, 3);

#endif
