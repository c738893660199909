/* SPDX-License-Identifier: BSD-3-Clause
 * words - the words of a program's command line, as they are made, run and shown. Pure. */
#ifndef FARPAGE_CLIENT_CLI_WORDS_H
#define FARPAGE_CLIENT_CLI_WORDS_H
#include <stdbool.h>
#include <stddef.h>

#include "base/attrs.h"

enum { WORDS_MAX = 24, WORDS_BYTES = 1024, WORDS_LINE_BYTES = 2 * WORDS_BYTES };

struct words {
    char *word[WORDS_MAX + 1]; /* into room; NULL behind the last: as execvp wants them */
    unsigned count;
    char room[WORDS_BYTES];
    size_t used;
    bool overflow; /* something did not fit: not to be run */
};

void words_init(struct words *words, const char *program);
void words_add(struct words *words, const char *format, ...) FP_PRINTF(2, 3);

/* As a person would type them, quoted where a shell needs that. */
void words_line(const struct words *words, char line[WORDS_LINE_BYTES]);

#endif
