/* SPDX-License-Identifier: BSD-3-Clause
 *
 * `stats areas` as a table: a line NAME:COLUMN VALUE each. Columns and rows come in the order in
 * which the server first named them; the server decides what there is to see. */
#include <stdio.h>
#include <string.h>

#include "base/slice.h"
#include "client/cli/cli.h"
#include "client/cli/human.h"
#include "client/cli/json.h"
#include "client/cli/statlines.h"

enum { COLUMNS_MAX = 24, CELL_BYTES = 128 };

struct table {
    const struct statlines *statlines;
    struct slice columns[COLUMNS_MAX];
    size_t widths[COLUMNS_MAX];
    size_t column_count, name_width;
};

/* Splits at the last colon; false where there is none. */
static bool split(const struct statline *line, struct slice *area, struct slice *column)
{
    const char *colon = strrchr(line->name, ':');
    if (colon == NULL) return false;
    *area = slice_of(line->name, (size_t)(colon - line->name));
    *column = slice_text(colon + 1);
    return area->size_bytes < CELL_BYTES && column->size_bytes < CELL_BYTES;
}

static size_t column_of(struct table *table, struct slice column)
{
    size_t i = 0;
    while (i < table->column_count && !slice_equal(table->columns[i], column)) i++;
    if (i < table->column_count || i == COLUMNS_MAX) return i;
    table->columns[i] = column;
    table->widths[i] = column.size_bytes;
    table->column_count++;
    return i;
}

static void lay_out(struct table *table)
{
    table->name_width = strlen("area");
    for (size_t i = 0; i < table->statlines->count; i++) {
        const struct statline *line = &table->statlines->lines[i];
        struct slice area, column;
        if (!split(line, &area, &column)) continue;
        size_t at = column_of(table, column);
        if (at == COLUMNS_MAX) continue;
        size_t width = strlen(line->value);
        if (width > table->widths[at]) table->widths[at] = width;
        if (area.size_bytes > table->name_width) table->name_width = area.size_bytes;
    }
}

/* The value of one cell, or NULL. */
static const char *cell(const struct table *table, struct slice area, struct slice column)
{
    for (size_t i = 0; i < table->statlines->count; i++) {
        struct slice its_area, its_column;
        const struct statline *line = &table->statlines->lines[i];
        if (!split(line, &its_area, &its_column)) continue;
        if (slice_equal(its_area, area) && slice_equal(its_column, column)) return line->value;
    }
    return NULL;
}

/* True where no line before `index` is about the same area. */
static bool is_first(const struct statlines *statlines, size_t index, struct slice area)
{
    struct slice its_area, its_column;
    if (index == 0) return true;
    bool split_before = split(&statlines->lines[index - 1], &its_area, &its_column);
    if (split_before && slice_equal(its_area, area)) return false;
    for (size_t i = 0; i + 1 < index; i++) {
        if (!split(&statlines->lines[i], &its_area, &its_column)) continue;
        if (slice_equal(its_area, area)) return false;
    }
    return true;
}

static void print_slice(struct slice text, int width)
{
    char copy[CELL_BYTES];
    memcpy(copy, text.bytes, text.size_bytes);
    copy[text.size_bytes] = '\0';
    int pad = width - (int)text.size_bytes;
    human_print(stdout, copy);
    if (pad > 0) printf("%*s", pad, "");
}

static void print_row(const struct table *table, struct slice area)
{
    print_slice(area, (int)table->name_width);
    for (size_t i = 0; i < table->column_count; i++) {
        const char *value = cell(table, area, table->columns[i]);
        if (value == NULL) value = "-";
        printf("%*s", (int)(table->widths[i] - strlen(value)) + 2, "");
        human_print(stdout, value);
    }
    putchar('\n');
}

static void row_json(const struct table *table, struct slice area, struct json *json)
{
    char text[CELL_BYTES];
    memcpy(text, area.bytes, area.size_bytes);
    text[area.size_bytes] = '\0';
    json_object(json, NULL);
    json_text(json, "name", text);
    for (size_t i = 0; i < table->column_count; i++) {
        const char *value = cell(table, area, table->columns[i]);
        if (value == NULL) continue;
        memcpy(text, table->columns[i].bytes, table->columns[i].size_bytes);
        text[table->columns[i].size_bytes] = '\0';
        json_value(json, text, value);
    }
    json_object_end(json);
}

static void print_header(const struct table *table)
{
    print_slice(slice_text("area"), (int)table->name_width);
    for (size_t i = 0; i < table->column_count; i++) {
        printf("%*s", (int)(table->widths[i] - table->columns[i].size_bytes) + 2, "");
        print_slice(table->columns[i], 0);
    }
    putchar('\n');
}

static void print_table(const struct cli *cli, const struct statlines *statlines)
{
    struct table table = {.statlines = statlines};
    struct json json;
    lay_out(&table);
    json_init(&json, stdout);
    if (cli->json) {
        json_object(&json, NULL);
        json_array(&json, "areas");
    } else if (table.column_count == 0) {
        puts("no areas");
    } else {
        print_header(&table);
    }
    for (size_t i = 0; i < statlines->count; i++) {
        struct slice area, column;
        if (!split(&statlines->lines[i], &area, &column)) continue;
        if (!is_first(statlines, i, area)) continue;
        if (cli->json)
            row_json(&table, area, &json);
        else
            print_row(&table, area);
    }
    if (!cli->json) return;
    json_array_end(&json);
    json_object_end(&json);
    putchar('\n');
}

int cli_areas(const struct cli *cli)
{
    struct farpage *client;
    int code = CLI_GOOD;
    if (!cli_connect(cli, &client, &code)) return code;
    struct statlines statlines;
    enum farpage_status status = statlines_fetch(&statlines, client, "areas");
    if (status == FARPAGE_OK) {
        print_table(cli, &statlines);
    } else {
        bool here = statlines.no_memory;
        code = cli_fail(cli, CLI_FAILED, "%s", here ? "out of memory" : farpage_error(client));
    }
    statlines_fini(&statlines);
    farpage_disconnect(&client);
    return code;
}
