/* SPDX-License-Identifier: BSD-3-Clause
 *
 * What a container's or a script's probe runs: quick, one line, and an exit code of its own. */
#include <stdio.h>
#include <string.h>

#include "client/cli/cli.h"
#include "client/cli/say/json.h"

enum { ANSWER_BYTES = 256, SERVES = 0, REFUSES = 1, NO_ANSWER = 2 };

#define PATIENCE_NS ((uint64_t)2 * 1000000000)

static void keep_line(void *context, const char *line)
{
    char *answer = context;
    if (answer[0] == '\0') snprintf(answer, ANSWER_BYTES, "%s", line);
}

static int say(const struct cli *cli, int code, const char *text)
{
    static const char *const words[] = {"ready", "not ready", "no answer"};
    if (!cli->json) {
        printf("%s\n", text);
        return code;
    }
    struct json json;
    json_init(&json, stdout);
    json_object(&json, NULL);
    json_text(&json, "health", words[code]);
    json_text(&json, "text", text);
    json_object_end(&json);
    putchar('\n');
    return code;
}

/* Who refuses is there. */
static int code_of(enum farpage_status status)
{
    bool silent = status == FARPAGE_UNREACHABLE || status == FARPAGE_TIMEOUT ||
                  status == FARPAGE_DISCONNECTED;
    return silent ? NO_ANSWER : REFUSES;
}

int cli_health(const struct cli *cli)
{
    char answer[ANSWER_BYTES] = "", text[ANSWER_BYTES + 64];
    struct cli hasty = *cli;
    struct farpage *client;
    if (!cli->has_timeout) hasty.timeout_ns = PATIENCE_NS;
    struct farpage_options options = cli_options(&hasty, cli->server);
    enum farpage_status status = farpage_connect(&options, &client);
    if (status == FARPAGE_OK) status = farpage_command(client, "health", keep_line, answer);
    const char *blank = strchr(answer, ' ');
    bool ready = status == FARPAGE_OK && strncmp(answer, "HEALTH ready", 12) == 0;
    if (status == FARPAGE_OK)
        snprintf(text, sizeof text, "%s", blank != NULL ? blank + 1 : answer);
    else
        snprintf(text, sizeof text, "%s: %.200s",
                 code_of(status) == NO_ANSWER ? "no answer" : "not ready", farpage_error(client));
    farpage_disconnect(&client);
    if (status == FARPAGE_INVALID) return cli_usage("health", "%s", text);
    return say(cli, ready ? SERVES : status == FARPAGE_OK ? REFUSES : code_of(status), text);
}
