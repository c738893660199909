/* SPDX-License-Identifier: BSD-3-Clause */
#include "client/cli/say/listing.h"

#include <stdio.h>
#include <string.h>

#include "client/cli/operate/statlines.h"
#include "client/cli/say/human.h"
#include "client/cli/say/json.h"

struct slice listing_cell(const struct table *table, size_t row, const char *column)
{
    for (size_t c = 0; c < table->column_count; c++)
        if (slice_is(table->columns[c], column) && table->rows[row].cells[c] != NULL)
            return slice_text(table->rows[row].cells[c]);
    return slice_text("-");
}

static struct human show(const struct table *table, size_t row,
                         const struct listing_column *column)
{
    uint64_t number;
    struct human text = {"-"};
    if (table_number(table, row, column->name, &number)) {
        if (column->shown == SHOWN_MS) return human_time(number * 1000000);
        if (column->shown == SHOWN_SECONDS) return human_time(number * 1000000000);
        if (column->shown == SHOWN_SIZE) return human_size(number);
        if (column->shown == SHOWN_COUNT) return human_count(number);
    }
    struct slice cell = listing_cell(table, row, column->name);
    if (cell.size_bytes < sizeof text.text) {
        memcpy(text.text, cell.bytes, cell.size_bytes);
        text.text[cell.size_bytes] = '\0';
    }
    return text;
}

static void print_cell(const struct table *table, size_t row, const struct listing_column *column)
{
    struct human text = show(table, row, column);
    fputs("  ", stdout);
    table_cell(slice_text(text.text), column->width, true);
}

static void print_rows(const struct listing *listing, const struct table *table)
{
    char room[LISTING_WHAT_BYTES];
    size_t width = strlen(listing->what_title);
    for (size_t row = 0; row < table->row_count; row++) {
        size_t bytes = listing->what(table, row, room).size_bytes;
        if (bytes > width) width = bytes;
    }
    table_cell(slice_text(listing->what_title), width, false);
    for (size_t c = 0; c < listing->column_count; c++)
        printf("  %*s", (int)listing->columns[c].width, listing->columns[c].title);
    putchar('\n');
    for (size_t row = 0; row < table->row_count; row++) {
        table_cell(listing->what(table, row, room), width, false);
        for (size_t c = 0; c < listing->column_count; c++)
            print_cell(table, row, &listing->columns[c]);
        putchar('\n');
    }
}

static void print_json(const struct listing *listing, const struct table *table)
{
    struct json json;
    json_init(&json, stdout);
    json_object(&json, NULL);
    json_array(&json, listing->section);
    table_json(table, &json);
    json_array_end(&json);
    json_object_end(&json);
    putchar('\n');
}

int listing_run(const struct cli *cli, const struct listing *listing)
{
    struct farpage *client;
    int code = CLI_GOOD;
    if (!cli_connect(cli, &client, &code)) return code;
    struct statlines statlines;
    struct table table = {0};
    enum farpage_status status = statlines_fetch(&statlines, client, listing->section);
    bool made = status == FARPAGE_OK && table_init(&table, &statlines);
    if (!made)
        code = cli_fail(cli, CLI_FAILED, "%s",
                        status == FARPAGE_OK ? "out of memory" : farpage_error(client));
    else if (cli->json)
        print_json(listing, &table);
    else if (table.row_count == 0)
        puts(listing->none);
    else
        print_rows(listing, &table);
    table_fini(&table);
    statlines_fini(&statlines);
    farpage_disconnect(&client);
    return code;
}
