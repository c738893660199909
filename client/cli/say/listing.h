/* SPDX-License-Identifier: BSD-3-Clause
 * listing - a section of the statistics as a person reads it: a line for each row, what it is first
 * and then chosen columns; or all that the server said, as JSON. */
#ifndef FARPAGE_CLIENT_CLI_LISTING_H
#define FARPAGE_CLIENT_CLI_LISTING_H
#include "client/cli/cli.h"
#include "client/cli/say/table.h"

enum listing_shown { SHOWN_MS, SHOWN_SECONDS, SHOWN_SIZE, SHOWN_COUNT, SHOWN_TEXT };

struct listing_column {
    const char *title, *name; /* name: in the statistics */
    enum listing_shown shown; /* what is no number there is shown as "-", or as it is */
    unsigned width;
};

enum { LISTING_WHAT_BYTES = 2 * TABLE_CELL_BYTES + 2 };
struct listing {
    const char *section;    /* and the name of the array */
    const char *none;       /* what is said where there is no row */
    const char *what_title;
    /* What a row is: text that is borrowed or written to `room`. */
    struct slice (*what)(const struct table *table, size_t row, char room[LISTING_WHAT_BYTES]);
    const struct listing_column *columns;
    size_t column_count;
};

/* Asks the server and prints; the exit code. */
int listing_run(const struct cli *cli, const struct listing *listing);

/* A cell's text, "-" where the server named none. */
struct slice listing_cell(const struct table *table, size_t row, const char *column);

#endif
