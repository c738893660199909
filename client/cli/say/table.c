/* SPDX-License-Identifier: BSD-3-Clause */
#include "client/cli/say/table.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/number.h"
#include "client/cli/say/human.h"

/* Splits at the last colon: an area's name and an address have some of their own. */
static bool split(const struct statline *line, struct slice *name, struct slice *column)
{
    const char *colon = strrchr(line->name, ':');
    if (colon == NULL) return false;
    *name = slice_of(line->name, (size_t)(colon - line->name));
    *column = slice_text(colon + 1);
    return name->size_bytes < TABLE_CELL_BYTES && column->size_bytes < TABLE_CELL_BYTES;
}

bool table_takes(const struct statline *line)
{
    struct slice name, column;
    return split(line, &name, &column);
}

static size_t column_of(struct table *table, struct slice column)
{
    size_t i = 0;
    while (i < table->column_count && !slice_equal(table->columns[i], column)) i++;
    if (i < table->column_count || i == TABLE_COLUMNS_MAX) return i;
    table->columns[table->column_count++] = column;
    return i;
}

/* The row of that name, most likely the last one; NULL where memory ran out. */
static struct table_row *row_of(struct table *table, struct slice name)
{
    for (size_t i = table->row_count; i > 0; i--) {
        if (slice_equal(table->rows[i - 1].name, name)) return &table->rows[i - 1];
    }
    if (table->row_count == table->room) {
        size_t room = table->room == 0 ? 16 : 2 * table->room;
        struct table_row *rows = realloc(table->rows, room * sizeof *rows);
        if (rows == NULL) return NULL;
        table->rows = rows;
        table->room = room;
    }
    struct table_row *row = &table->rows[table->row_count++];
    *row = (struct table_row){.name = name};
    return row;
}

bool table_init(struct table *table, const struct statlines *statlines)
{
    *table = (struct table){0};
    for (size_t i = 0; i < statlines->count; i++) {
        struct slice name, column;
        if (!split(&statlines->lines[i], &name, &column)) continue;
        struct table_row *row = row_of(table, name);
        if (row == NULL) return false;
        size_t at = column_of(table, column);
        if (at < TABLE_COLUMNS_MAX) row->cells[at] = statlines->lines[i].value;
    }
    return true;
}

void table_fini(struct table *table)
{
    free(table->rows);
    *table = (struct table){0};
}

bool table_number(const struct table *table, size_t row, const char *column, uint64_t *number)
{
    for (size_t i = 0; i < table->column_count; i++) {
        if (!slice_equal(table->columns[i], slice_text(column))) continue;
        const char *cell = table->rows[row].cells[i];
        return cell != NULL && number_u64(slice_text(cell), number);
    }
    return false;
}

/* --- shown ---------------------------------------------------------------------------------- */

void table_cell(struct slice text, size_t width, bool right)
{
    char copy[TABLE_CELL_BYTES];
    size_t bytes = text.size_bytes < sizeof copy ? text.size_bytes : sizeof copy - 1;
    int pad = width > bytes ? (int)(width - bytes) : 0;
    memcpy(copy, text.bytes, bytes);
    copy[bytes] = '\0';
    if (right) printf("%*s", pad, "");
    human_print(stdout, copy);
    if (!right) printf("%*s", pad, "");
}

static const char *cell_text(const struct table_row *row, size_t column)
{
    return row->cells[column] != NULL ? row->cells[column] : "-";
}

struct layout {
    size_t name_width, widths[TABLE_COLUMNS_MAX];
    bool right[TABLE_COLUMNS_MAX]; /* every cell begins with a digit, or there is none */
};

static void lay_out(const struct table *table, const char *corner, struct layout *layout)
{
    layout->name_width = strlen(corner);
    for (size_t c = 0; c < table->column_count; c++) {
        layout->widths[c] = table->columns[c].size_bytes;
        layout->right[c] = true;
    }
    for (size_t r = 0; r < table->row_count; r++) {
        const struct table_row *row = &table->rows[r];
        if (row->name.size_bytes > layout->name_width) layout->name_width = row->name.size_bytes;
        for (size_t c = 0; c < table->column_count; c++) {
            const char *text = cell_text(row, c);
            size_t width = strlen(text);
            if (width >= TABLE_CELL_BYTES) width = TABLE_CELL_BYTES - 1;
            if (width > layout->widths[c]) layout->widths[c] = width;
            /* An address or a list begins with a digit, too. */
            bool number = strspn(text, "0123456789.") == strlen(text);
            if (row->cells[c] != NULL && !number) layout->right[c] = false;
        }
    }
}

/* A cell in its column; nothing is padded behind the last one. */
static void print_in(const struct layout *layout, size_t column, bool last, const char *text,
                     size_t bytes)
{
    bool right = layout->right[column];
    fputs("  ", stdout);
    table_cell(slice_of(text, bytes), last && !right ? 0 : layout->widths[column], right);
}

void table_print(const struct table *table, const char *corner)
{
    struct layout layout;
    if (table->row_count == 0) return;
    lay_out(table, corner, &layout);
    table_cell(slice_text(corner), layout.name_width, false);
    for (size_t c = 0; c < table->column_count; c++) {
        struct slice column = table->columns[c];
        print_in(&layout, c, c + 1 == table->column_count, (const char *)column.bytes,
                 column.size_bytes);
    }
    putchar('\n');
    for (size_t r = 0; r < table->row_count; r++) {
        const struct table_row *row = &table->rows[r];
        table_cell(row->name, layout.name_width, false);
        for (size_t c = 0; c < table->column_count; c++) {
            const char *text = cell_text(row, c);
            print_in(&layout, c, c + 1 == table->column_count, text, strlen(text));
        }
        putchar('\n');
    }
}

static const char *ended(struct slice text, char copy[TABLE_CELL_BYTES])
{
    memcpy(copy, text.bytes, text.size_bytes); /* split() has seen that it fits */
    copy[text.size_bytes] = '\0';
    return copy;
}

void table_json(const struct table *table, struct json *json)
{
    char text[TABLE_CELL_BYTES];
    for (size_t r = 0; r < table->row_count; r++) {
        const struct table_row *row = &table->rows[r];
        json_object(json, NULL);
        json_text(json, "name", ended(row->name, text));
        for (size_t c = 0; c < table->column_count; c++) {
            if (row->cells[c] == NULL) continue;
            json_value(json, ended(table->columns[c], text), row->cells[c]);
        }
        json_object_end(json);
    }
}
