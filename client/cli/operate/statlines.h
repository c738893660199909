/* SPDX-License-Identifier: BSD-3-Clause
 * statlines - a section of the server's statistics, kept in its order to be looked at. */
#ifndef FARPAGE_CLIENT_CLI_STATLINES_H
#define FARPAGE_CLIENT_CLI_STATLINES_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attrs.h"
#include "client/include/farpage.h"

struct statline {
    char *name, *value; /* owned */
};

struct statlines {
    struct statline *lines; /* owned */
    size_t count, room;
    bool no_memory;
};

/* Asks for `section`. statlines_fini is due either way. On failure farpage_error says why, but for
 * FARPAGE_NO_MEMORY. */
enum farpage_status statlines_fetch(struct statlines *statlines, struct farpage *client,
                                    const char *section) FP_MUST_CHECK;
void statlines_fini(struct statlines *statlines);

/* The value of the line PREFIX:SUFFIX, or of PREFIX where suffix is NULL, where it is there and a
 * number. */
bool statlines_number(const struct statlines *statlines, const char *prefix, const char *suffix,
                      uint64_t *number) FP_MUST_CHECK;

#endif
