/* SPDX-License-Identifier: BSD-3-Clause */
#include <stdio.h>
#include <string.h>

#include "client/cli/cli.h"
#include "client/cli/say/json.h"

enum { LINE_BYTES = 64, ANSWER_BYTES = 256 };

static const char *const words[] = {"start", "pause", "resume", "cancel"};

static void keep_line(void *context, const char *line)
{
    char *answer = context;
    if (answer[0] == '\0') snprintf(answer, ANSWER_BYTES, "%s", line);
}

/* "RECOMPRESS running 45%" without its first word, which is for programs; "OK" as it is. */
static void print_answer(const struct cli *cli, const char *answer)
{
    const char *blank = strchr(answer, ' ');
    const char *said = blank != NULL ? blank + 1 : answer;
    if (!cli->json) {
        printf("%s\n", said);
        return;
    }
    struct json json;
    json_init(&json, stdout);
    json_object(&json, NULL);
    json_text(&json, "recompress", said);
    json_object_end(&json);
    putchar('\n');
}

int cli_recompress(const struct cli *cli)
{
    char line[LINE_BYTES] = "recompress", answer[ANSWER_BYTES] = "";
    struct farpage *client;
    int code = CLI_GOOD;
    bool known = cli->operand_count == 0;
    for (size_t i = 0; i < sizeof words / sizeof *words && !known; i++) {
        known = strcmp(cli->operands[0], words[i]) == 0;
        if (known) snprintf(line, sizeof line, "recompress %s", words[i]);
    }
    if (!known)
        return cli_usage("recompress",
                         "'recompress' needs nothing, or start, pause, resume or cancel");
    if (!cli_connect(cli, &client, &code)) return code;
    if (farpage_command(client, line, keep_line, answer) == FARPAGE_OK)
        print_answer(cli, answer);
    else
        code = cli_fail(cli, CLI_FAILED, "%s", farpage_error(client));
    farpage_disconnect(&client);
    return code;
}
