/* SPDX-License-Identifier: BSD-3-Clause */
#include <stdio.h>
#include <string.h>

#include "client/cli/cli.h"
#include "client/cli/say/json.h"

enum { LINE_BYTES = 256, ANSWER_BYTES = 256 };

struct answer {
    char text[ANSWER_BYTES]; /* the first line */
};

static void keep_line(void *context, const char *line)
{
    struct answer *answer = context;
    if (answer->text[0] == '\0') snprintf(answer->text, sizeof answer->text, "%s", line);
}

/* "compressor set zstd:3" of the operands; false where that is no line a server would take. */
static bool command_line(const struct cli *cli, char line[LINE_BYTES])
{
    size_t at = (size_t)snprintf(line, LINE_BYTES, "compressor");
    for (unsigned i = 0; i < cli->operand_count && at < LINE_BYTES; i++)
        at += (size_t)snprintf(line + at, LINE_BYTES - at, " %s", cli->operands[i]);
    return at < LINE_BYTES && strpbrk(line, "\r\n") == NULL;
}

/* Behind the answer's first word, which is for programs. */
static void print_answer(const struct cli *cli, const struct answer *answer)
{
    const char *blank = strchr(answer->text, ' ');
    const char *words = blank != NULL ? blank + 1 : answer->text;
    if (!cli->json) {
        printf("%s\n", words);
        return;
    }
    size_t name_bytes = strcspn(words, ", ");
    const char *was = strstr(words, ", was ");
    char name[ANSWER_BYTES];
    snprintf(name, sizeof name, "%.*s", (int)name_bytes, words);
    struct json json;
    json_init(&json, stdout);
    json_object(&json, NULL);
    json_text(&json, "compressor", name);
    if (was != NULL) json_text(&json, "was", was + strlen(", was "));
    json_object_end(&json);
    putchar('\n');
}

int cli_compressor(const struct cli *cli)
{
    char line[LINE_BYTES];
    struct answer answer = {{0}};
    struct farpage *client;
    int code = CLI_GOOD;
    bool set = cli->operand_count > 0 && strcmp(cli->operands[0], "set") == 0;
    if ((cli->operand_count > 0) != set || cli->operand_count == 1 || !command_line(cli, line))
        return cli_usage("compressor", "'compressor' needs nothing, or set ALGORITHM[:LEVEL]");
    if (!cli_connect(cli, &client, &code)) return code;
    if (farpage_command(client, line, keep_line, &answer) == FARPAGE_OK)
        print_answer(cli, &answer);
    else
        code = cli_fail(cli, CLI_FAILED, "%s", farpage_error(client));
    farpage_disconnect(&client);
    return code;
}
