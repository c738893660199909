/* SPDX-License-Identifier: BSD-3-Clause */
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "client/cli/arguments.h"
#include "client/cli/cli.h"
#include "client/cli/operate/statlines.h"
#include "client/cli/say/human.h"
#include "client/cli/say/json.h"
#include "client/cli/say/table.h"

/* The lines that stand in no table. */
static void print_aligned(const struct statlines *statlines)
{
    size_t widest = 0;
    for (size_t i = 0; i < statlines->count; i++) {
        size_t bytes = strlen(statlines->lines[i].name);
        if (bytes > widest && !table_takes(&statlines->lines[i])) widest = bytes;
    }
    for (size_t i = 0; i < statlines->count; i++) {
        const struct statline *line = &statlines->lines[i];
        if (table_takes(line)) continue;
        human_print(stdout, line->name);
        printf("%*s", (int)(widest - strlen(line->name)) + 2, "");
        human_print(stdout, line->value);
        putchar('\n');
    }
}

/* An array would keep doubled names; an object is what jq and monitors want. */
static void print_json(const struct statlines *statlines)
{
    struct json json;
    json_init(&json, stdout);
    json_object(&json, NULL);
    for (size_t i = 0; i < statlines->count; i++) {
        json_value(&json, statlines->lines[i].name, statlines->lines[i].value);
    }
    json_object_end(&json);
    putchar('\n');
}

/* What stands above the names of a section's rows. */
static const char *corner_of(const char *section)
{
    static const char *const rows[][2] = {
        {"areas", "area"},       {"classes", "class"}, {"slabs", "class"},
        {"compressors", "seat"}, {"dictionaries", "area"}, {"conns", "fd"},
        {"sessions", "fd"},      {"maps", "map"},   {"tenants", "tenant"}, {"latency", "operation"},
    };
    for (size_t i = 0; section != NULL && i < FP_COUNT_OF(rows); i++) {
        if (strcmp(rows[i][0], section) == 0) return rows[i][1];
    }
    return "name";
}

static bool print_text(const struct cli *cli, const struct statlines *statlines)
{
    struct table table;
    bool good = table_init(&table, statlines);
    if (good) {
        table_print(&table, corner_of(cli->operands[0]));
        print_aligned(statlines);
    }
    table_fini(&table);
    return good;
}

static int refuse(const struct cli *cli, struct farpage *client, enum farpage_status status,
                  bool no_memory)
{
    const char *section = cli->operands[0];
    const char *near = section != NULL ? arguments_nearest_section(section) : NULL;
    if (no_memory) return cli_fail(cli, CLI_FAILED, "out of memory");
    if (status != FARPAGE_REFUSED || section == NULL)
        return cli_fail(cli, CLI_FAILED, "%s", farpage_error(client));
    if (near == NULL)
        return cli_fail(cli, CLI_FAILED, "no statistics '%.40s'; 'farpage help stats' lists them",
                        section);
    return cli_fail(cli, CLI_FAILED, "no statistics '%.40s'; did you mean '%s'?", section, near);
}

int cli_stats(const struct cli *cli)
{
    struct farpage *client;
    int code = CLI_GOOD;
    if (!cli_connect(cli, &client, &code)) return code;
    struct statlines statlines;
    enum farpage_status status = statlines_fetch(&statlines, client, cli->operands[0]);
    if (status != FARPAGE_OK) {
        code = refuse(cli, client, status, statlines.no_memory);
    } else if (cli->json) {
        print_json(&statlines);
    } else if (!print_text(cli, &statlines)) {
        code = cli_fail(cli, CLI_FAILED, "out of memory");
    }
    statlines_fini(&statlines);
    farpage_disconnect(&client);
    return code;
}
