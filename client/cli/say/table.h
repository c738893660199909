/* SPDX-License-Identifier: BSD-3-Clause
 * table - statistics named GROUP:COLUMN, a row for each group and a column for each last word.
 *
 * Rows and columns come in the order in which the server first named them: it decides what there is
 * to see. Lines without a colon belong to no row. */
#ifndef FARPAGE_CLIENT_CLI_TABLE_H
#define FARPAGE_CLIENT_CLI_TABLE_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attrs.h"
#include "base/slice.h"
#include "client/cli/operate/statlines.h"
#include "client/cli/say/json.h"

enum { TABLE_COLUMNS_MAX = 32, TABLE_CELL_BYTES = 128 };

struct table_row {
    struct slice name;                    /* borrowed from the statlines, as all below */
    const char *cells[TABLE_COLUMNS_MAX]; /* NULL: the server named none */
};

struct table {
    struct table_row *rows; /* owned */
    size_t row_count, room;
    struct slice columns[TABLE_COLUMNS_MAX];
    size_t column_count;
};

/* False where memory ran out. table_fini is due either way; statlines must live as long. */
bool table_init(struct table *table, const struct statlines *statlines) FP_MUST_CHECK;
void table_fini(struct table *table);

/* True where the line stands in a table, false where it has no colon or is too long. */
bool table_takes(const struct statline *line);

/* To stdout, `corner` above the names; numbers stand right. Nothing where there are no rows. */
void table_print(const struct table *table, const char *corner);

/* A number of a row; false where it is not there or none. */
bool table_number(const struct table *table, size_t row, const char *column, uint64_t *number)
    FP_MUST_CHECK;

/* Each row as an object with "name" and its cells, into the array that is open. */
void table_json(const struct table *table, struct json *json);

/* Prints the text, printable, and blanks up to `width`; where `right`, the blanks come first. */
void table_cell(struct slice text, size_t width, bool right);

#endif
