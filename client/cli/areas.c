/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The areas as a person asks about them: how large, how full, how well packed. Every number that
 * the server has is in `farpage stats areas`, and here with --json. */
#include <stdio.h>
#include <string.h>

#include "client/cli/cli.h"
#include "client/cli/human.h"
#include "client/cli/json.h"
#include "client/cli/statlines.h"
#include "client/cli/table.h"

/* A number that the server did not tell is shown as "-". */
struct shown {
    struct human size, stored, packed, ratio, same_filled;
};

static const struct human unknown = {"-"};

static struct shown show_row(const struct table *table, size_t row)
{
    struct shown shown = {unknown, unknown, unknown, unknown, unknown};
    uint64_t page_bytes, slots, stored, packed, same;
    if (!table_number(table, row, "page_bytes", &page_bytes)) return shown;
    if (table_number(table, row, "slots", &slots)) shown.size = human_size(slots * page_bytes);
    bool has_packed = table_number(table, row, "packed_bytes", &packed);
    if (has_packed) shown.packed = human_size(packed);
    if (!table_number(table, row, "stored", &stored)) return shown;
    shown.stored = human_size(stored * page_bytes);
    if (has_packed && packed > 0 && stored > 0) {
        double ratio = (double)stored * (double)page_bytes / (double)packed;
        snprintf(shown.ratio.text, sizeof shown.ratio.text, ratio < 1000 ? "%.2f" : "%.0f", ratio);
    }
    if (stored > 0 && table_number(table, row, "same_filled", &same)) {
        shown.same_filled = human_share(same, stored);
    }
    return shown;
}

static void print_areas(const struct table *table)
{
    if (table->row_count == 0) {
        puts("no areas");
        return;
    }
    size_t width = strlen("area");
    for (size_t i = 0; i < table->row_count; i++) {
        if (table->rows[i].name.size_bytes > width) width = table->rows[i].name.size_bytes;
    }
    table_cell(slice_text("area"), width, false);
    printf("  %8s  %8s  %8s  %7s  %11s\n", "size", "stored", "packed", "ratio", "same-filled");
    for (size_t i = 0; i < table->row_count; i++) {
        struct shown shown = show_row(table, i);
        table_cell(table->rows[i].name, width, false);
        printf("  %8s  %8s  %8s  %7s  %11s\n", shown.size.text, shown.stored.text,
               shown.packed.text, shown.ratio.text, shown.same_filled.text);
    }
}

static void print_json(const struct table *table)
{
    struct json json;
    json_init(&json, stdout);
    json_object(&json, NULL);
    json_array(&json, "areas");
    table_json(table, &json);
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
    struct table table = {0};
    enum farpage_status status = statlines_fetch(&statlines, client, "areas");
    bool made = status == FARPAGE_OK && table_init(&table, &statlines);
    if (!made) {
        bool here = statlines.no_memory || status == FARPAGE_OK;
        code = cli_fail(cli, CLI_FAILED, "%s", here ? "out of memory" : farpage_error(client));
    } else if (cli->json) {
        print_json(&table);
    } else {
        print_areas(&table);
    }
    table_fini(&table);
    statlines_fini(&statlines);
    farpage_disconnect(&client);
    return code;
}
