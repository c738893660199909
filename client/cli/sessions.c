/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Who is connected: since when, from where, what went in and out, and what he has open. The
 * server's own words for it are in `farpage stats sessions`. */
#include <stdio.h>
#include <string.h>

#include "client/cli/cli.h"
#include "client/cli/human.h"
#include "client/cli/json.h"
#include "client/cli/statlines.h"
#include "client/cli/table.h"

enum shown { SHOWN_TIME, SHOWN_SIZE, SHOWN_COUNT };

static const struct column {
    const char *title, *name; /* name: in the statistics */
    enum shown shown;
    unsigned width;
} columns[] = {
    {"age", "age_ms", SHOWN_TIME, 8},        {"idle", "idle_ms", SHOWN_TIME, 8},
    {"in", "bytes_in", SHOWN_SIZE, 8},       {"out", "bytes_out", SHOWN_SIZE, 8},
    {"areas", "areas", SHOWN_COUNT, 5},      {"maps", "maps", SHOWN_COUNT, 5},
    {"mapped", "mapped_bytes", SHOWN_SIZE, 8}, {"oldest", "oldest_map_ms", SHOWN_TIME, 8},
};

static struct human show(const struct table *table, size_t row, const struct column *column)
{
    uint64_t number;
    if (!table_number(table, row, column->name, &number)) return (struct human){"-"};
    if (column->shown == SHOWN_TIME) return human_time(number * 1000000);
    return column->shown == SHOWN_SIZE ? human_size(number) : human_count(number);
}

static struct slice peer_of(const struct table *table, size_t row)
{
    for (size_t c = 0; c < table->column_count; c++)
        if (slice_is(table->columns[c], "peer") && table->rows[row].cells[c] != NULL)
            return slice_text(table->rows[row].cells[c]);
    return slice_text("-");
}

static void print_sessions(const struct table *table)
{
    size_t width = strlen("peer");
    for (size_t row = 0; row < table->row_count; row++) {
        size_t bytes = peer_of(table, row).size_bytes;
        if (bytes > width) width = bytes;
    }
    table_cell(slice_text("peer"), width, false);
    for (size_t c = 0; c < FP_COUNT_OF(columns); c++)
        printf("  %*s", (int)columns[c].width, columns[c].title);
    putchar('\n');
    for (size_t row = 0; row < table->row_count; row++) {
        table_cell(peer_of(table, row), width, false);
        for (size_t c = 0; c < FP_COUNT_OF(columns); c++)
            printf("  %*s", (int)columns[c].width, show(table, row, &columns[c]).text);
        putchar('\n');
    }
}

static void print_json(const struct table *table)
{
    struct json json;
    json_init(&json, stdout);
    json_object(&json, NULL);
    json_array(&json, "sessions");
    table_json(table, &json);
    json_array_end(&json);
    json_object_end(&json);
    putchar('\n');
}

int cli_sessions(const struct cli *cli)
{
    struct farpage *client;
    int code = CLI_GOOD;
    if (!cli_connect(cli, &client, &code)) return code;
    struct statlines statlines;
    struct table table = {0};
    enum farpage_status status = statlines_fetch(&statlines, client, "sessions");
    bool made = status == FARPAGE_OK && table_init(&table, &statlines);
    if (!made)
        code = cli_fail(cli, CLI_FAILED, "%s",
                        status == FARPAGE_OK ? "out of memory" : farpage_error(client));
    else if (cli->json)
        print_json(&table);
    else
        print_sessions(&table);
    table_fini(&table);
    statlines_fini(&statlines);
    farpage_disconnect(&client);
    return code;
}
