/* SPDX-License-Identifier: BSD-3-Clause
 *
 * `scrub start` waits for the end, with a line of progress, unless --no-wait; its exit code says
 * whether anything is damaged. Ctrl-C leaves the server to it. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/cli/cli.h"
#include "client/cli/interrupt.h"
#include "client/cli/say/human.h"
#include "client/cli/say/json.h"
#include "client/cli/say/progress.h"

enum { LINE_BYTES = 64, ANSWER_BYTES = 256, WORD_BYTES = 16, LOOK_EVERY_NS = 200000000 };

struct scrub_look { /* of `stats scrub` */
    char state[WORD_BYTES], last[WORD_BYTES];
    uint64_t to_look, looked, damaged, runs;
};

static void keep_pair(void *context, const char *name, const char *value)
{
    struct scrub_look *look = context;
    const struct { const char *name; uint64_t *number; } numbers[] = {
        {"run_to_look", &look->to_look}, {"run_looked", &look->looked},
        {"run_damaged", &look->damaged}, {"runs", &look->runs}};
    if (strcmp(name, "state") == 0) snprintf(look->state, WORD_BYTES, "%.15s", value);
    if (strcmp(name, "last") == 0) snprintf(look->last, WORD_BYTES, "%.15s", value);
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        if (strcmp(name, numbers[i].name) == 0) *numbers[i].number = strtoull(value, NULL, 10);
}

static void keep_line(void *context, const char *line)
{
    char *answer = context;
    if (answer[0] == '\0') snprintf(answer, ANSWER_BYTES, "%s", line);
}

static enum farpage_status look_at(struct farpage *client, struct scrub_look *look)
{
    *look = (struct scrub_look){.state = ""};
    return farpage_stats(client, "scrub", keep_pair, look);
}

static int tell(const struct cli *cli, const struct scrub_look *look)
{
    if (cli->json) {
        struct json json;
        json_init(&json, stdout);
        json_object(&json, NULL);
        json_text(&json, "state", look->state);
        json_text(&json, "last", look->last);
        json_number(&json, "to_look", look->to_look);
        json_number(&json, "looked", look->looked);
        json_number(&json, "damaged", look->damaged);
        json_number(&json, "runs", look->runs);
        json_object_end(&json);
        putchar('\n');
    } else if (strcmp(look->state, "running") == 0) {
        printf("running, %s of %s looked at, %s damaged\n", human_count(look->looked).text,
               human_count(look->to_look).text, human_count(look->damaged).text);
    } else {
        printf("idle; the last run: %s, %s looked at, %s damaged\n", look->last,
               human_count(look->looked).text, human_count(look->damaged).text);
    }
    return look->damaged > 0 ? CLI_FAILED : CLI_GOOD;
}

/* Until it ends, or a signal comes. */
static enum farpage_status await(struct farpage *client, struct scrub_look *look)
{
    struct progress progress;
    enum farpage_status status = look_at(client, look);
    progress_init(&progress, "scrubbing", look->to_look, 4096);
    while (status == FARPAGE_OK && strcmp(look->state, "running") == 0) {
        progress_show(&progress, look->looked);
        if (!interrupt_sleep(LOOK_EVERY_NS)) break;
        status = look_at(client, look);
    }
    progress_fini(&progress);
    return status;
}

static int run(const struct cli *cli, struct farpage *client, const char *word)
{
    char line[LINE_BYTES], answer[ANSWER_BYTES] = "";
    struct scrub_look look = {.state = ""};
    enum farpage_status status = FARPAGE_OK;
    snprintf(line, sizeof line, "scrub %s", word);
    if (strcmp(word, "status") != 0) status = farpage_command(client, line, keep_line, answer);
    bool waits = strcmp(word, "start") == 0 && !cli->no_wait;
    if (status == FARPAGE_OK) status = waits ? await(client, &look) : look_at(client, &look);
    if (status != FARPAGE_OK) return cli_fail(cli, CLI_FAILED, "%s", farpage_error(client));
    return tell(cli, &look);
}

int cli_scrub(const struct cli *cli)
{
    static const char *const words[] = {"status", "start", "stop"};
    const char *word = cli->operand_count > 0 ? cli->operands[0] : words[0];
    struct farpage *client;
    int code = CLI_GOOD;
    bool known = false;
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) known |= strcmp(word, words[i]) == 0;
    if (!known) return cli_usage("scrub", "'scrub' needs nothing, or start, stop or status");
    interrupt_hold();
    if (!cli_connect(cli, &client, &code)) return code;
    code = run(cli, client, word);
    farpage_disconnect(&client);
    return cli_finish(cli, code);
}
