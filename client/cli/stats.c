/* SPDX-License-Identifier: BSD-3-Clause */
#include <stdio.h>
#include <string.h>

#include "client/cli/cli.h"
#include "client/cli/human.h"
#include "client/cli/json.h"
#include "client/cli/statlines.h"

static void print_aligned(const struct statlines *statlines)
{
    size_t widest = 0;
    for (size_t i = 0; i < statlines->count; i++) {
        size_t bytes = strlen(statlines->lines[i].name);
        if (bytes > widest) widest = bytes;
    }
    for (size_t i = 0; i < statlines->count; i++) {
        const struct statline *line = &statlines->lines[i];
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

int cli_stats(const struct cli *cli)
{
    struct farpage *client;
    int code = CLI_GOOD;
    if (!cli_connect(cli, &client, &code)) return code;
    struct statlines statlines;
    enum farpage_status status = statlines_fetch(&statlines, client, cli->operands[0]);
    if (status != FARPAGE_OK) {
        bool here = statlines.no_memory;
        code = cli_fail(cli, CLI_FAILED, "%s", here ? "out of memory" : farpage_error(client));
    } else if (cli->json) {
        print_json(&statlines);
    } else {
        print_aligned(&statlines);
    }
    statlines_fini(&statlines);
    farpage_disconnect(&client);
    return code;
}
