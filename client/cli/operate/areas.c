/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The areas as a person asks about them: how large, how full, how well packed, and below each what
 * it may hold and who has it open. Every number that the server has is in `farpage stats areas`,
 * and here with --json. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "client/cli/cli.h"
#include "client/cli/operate/statlines.h"
#include "client/cli/say/human.h"
#include "client/cli/say/json.h"
#include "client/cli/say/table.h"

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

/* --- what it may hold, and who has it open ---------------------------------------------------- */

static const char *cell(const struct table *table, size_t row, const char *column)
{
    for (size_t c = 0; c < table->column_count; c++) {
        if (!slice_is(table->columns[c], column)) continue;
        return table->rows[row].cells[c] != NULL ? table->rows[row].cells[c] : "";
    }
    return "";
}

static void print_quota(const struct table *table, size_t row)
{
    uint64_t pages = 0, bytes = 0;
    (void)!table_number(table, row, "quota_pages", &pages);
    (void)!table_number(table, row, "quota_bytes", &bytes);
    if (pages > 0) printf(", at most %s pages", human_count(pages).text);
    if (bytes > 0) printf("%s %s packed", pages > 0 ? " and" : ", at most", human_size(bytes).text);
}

/* "exclusive 1234 unix:pid=7,uid=0": how, for how many milliseconds, who. */
static void print_opener(const char *value)
{
    char how[16];
    uint64_t ms = 0;
    int who = 0;
    if (sscanf(value, "%15s %" SCNu64 " %n", how, &ms, &who) < 2 || who == 0) return;
    if (strcmp(how, "drain") == 0) printf("  being drained by ");
    else printf("  open %s by ", strcmp(how, "shared") == 0 ? "shared" : "exclusively");
    human_print(stdout, value + who);
    printf(" for %s\n", human_time(ms * 1000000).text);
}

static void print_details(const struct table *table, size_t row)
{
    uint64_t page_bytes = 0, openers = 0, shown = 0;
    (void)!table_number(table, row, "page_bytes", &page_bytes);
    (void)!table_number(table, row, "openers", &openers);
    printf("  %s pages", human_size(page_bytes).text);
    print_quota(table, row);
    const char *lifetime = cell(table, row, "lifetime");
    fputs(lifetime[0] != '\0' ? ", " : "", stdout);
    human_print(stdout, lifetime);
    fputs(openers == 0 ? ", not open" : "", stdout);
    const char *moved_to = cell(table, row, "moved_to");
    fputs(moved_to[0] != '\0' ? ", moved to " : "", stdout);
    human_print(stdout, moved_to);
    putchar('\n');
    for (unsigned i = 1; i <= openers; i++) {
        char name[24];
        snprintf(name, sizeof name, "opener_%u", i);
        const char *opener = cell(table, row, name);
        if (opener[0] == '\0') break;
        print_opener(opener);
        shown++;
    }
    if (shown < openers) printf("  and by %s more\n", human_count(openers - shown).text);
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
        print_details(table, i);
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

static int show(const struct cli *cli)
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

int cli_areas(const struct cli *cli)
{
    const char *verb = cli->operand_count > 0 ? cli->operands[0] : NULL;
    bool create = cli->operand_count == 2 && strcmp(verb, "create") == 0;
    bool delete = cli->operand_count == 2 && strcmp(verb, "delete") == 0;
    bool options = cli->has_size || cli->page_bytes + cli->quota_pages + cli->quota_bytes > 0;
    if (verb != NULL && !create && !delete)
        return cli_usage("areas", "'areas' needs nothing, create NAME or delete NAME");
    if (options && !create) return cli_usage("areas", "these options are for 'areas create'");
    if (create) return cli_areas_create(cli);
    return delete ? cli_areas_delete(cli) : show(cli);
}
