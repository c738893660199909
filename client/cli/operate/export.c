/* SPDX-License-Identifier: BSD-3-Clause */
#include <stdio.h>
#include <string.h>

#include "client/cli/cli.h"
#include "client/cli/say/json.h"

enum { LINE_BYTES = 128 };

static void ignore_line(void *context, const char *line)
{
    (void)context, (void)line;
}

static void print_answer(const struct cli *cli, const char *name)
{
    struct json json;
    if (!cli->json) {
        printf("export '%s' is there again, and empty\n", name);
        return;
    }
    json_init(&json, stdout);
    json_object(&json, NULL);
    json_text(&json, "recreated", name);
    json_object_end(&json);
    putchar('\n');
}

int cli_export(const struct cli *cli)
{
    char line[LINE_BYTES];
    struct farpage *client;
    int code = CLI_GOOD;
    const char *name = cli->operands[1];
    int size = snprintf(line, sizeof line, "export recreate %s", name);
    bool good = size > 0 && size < LINE_BYTES && strpbrk(name, " \r\n") == NULL;
    if (strcmp(cli->operands[0], "recreate") != 0 || !good)
        return cli_usage("export", "'export' needs recreate NAME");
    if (!cli_connect(cli, &client, &code)) return code;
    if (farpage_command(client, line, ignore_line, NULL) == FARPAGE_OK)
        print_answer(cli, name);
    else
        code = cli_fail(cli, CLI_FAILED, "%s", farpage_error(client));
    farpage_disconnect(&client);
    return code;
}
