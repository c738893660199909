/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Training is begun by a line to the server and then watched in its statistics; Ctrl-C ends the
 * watching only. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "client/cli/cli.h"
#include "client/cli/interrupt.h"
#include "client/cli/say/human.h"
#include "client/cli/say/json.h"
#include "client/cli/say/table.h"

enum { LINE_BYTES = 256, LOOK_NS = 50000000 };

struct outcome { /* of a training; texts are borrowed from the statistics */
    const char *state, *reason, *gain;
    uint64_t id, bytes, pages;
};

static const char *text_of(const struct statlines *lines, const char *area, const char *column)
{
    char name[LINE_BYTES];
    snprintf(name, sizeof name, "%s:%s", area, column);
    for (size_t i = 0; i < lines->count; i++)
        if (strcmp(lines->lines[i].name, name) == 0) return lines->lines[i].value;
    return "";
}

static bool number_of(const struct statlines *lines, const char *area, const char *column,
                      uint64_t *number)
{
    *number = 0;
    return statlines_number(lines, area, column, number);
}

static void read_outcome(const struct statlines *lines, const char *area, struct outcome *outcome)
{
    outcome->state = text_of(lines, area, "state");
    outcome->reason = text_of(lines, area, "reason");
    outcome->gain = text_of(lines, area, "gain_percent");
    (void)number_of(lines, area, "id", &outcome->id);
    (void)number_of(lines, area, "bytes", &outcome->bytes);
    (void)number_of(lines, area, "pages_sampled", &outcome->pages);
}

static bool is_under_way(const struct outcome *outcome)
{
    return strcmp(outcome->state, "queued") == 0 || strcmp(outcome->state, "sampling") == 0 ||
           strcmp(outcome->state, "training") == 0;
}

/* --- output ----------------------------------------------------------------------------------- */

static void print_json(const char *area, const struct outcome *outcome)
{
    struct json json;
    json_init(&json, stdout);
    json_object(&json, NULL);
    json_text(&json, "area", area);
    json_text(&json, "state", outcome->state);
    json_number(&json, "id", outcome->id);
    json_number(&json, "bytes", outcome->bytes);
    json_value(&json, "gain_percent", outcome->gain);
    json_number(&json, "pages_sampled", outcome->pages);
    json_object_end(&json);
    putchar('\n');
}

static int print_outcome(const struct cli *cli, const char *area, const struct outcome *outcome)
{
    bool kept = strcmp(outcome->state, "kept") == 0;
    if (strcmp(outcome->state, "failed") == 0)
        return cli_fail(cli, CLI_FAILED, "training for area '%.64s' failed: %.120s", area,
                        outcome->reason);
    if (cli->json)
        print_json(area, outcome);
    else if (is_under_way(outcome))
        printf("the server goes on %s; 'farpage dictionary' shows it\n", outcome->state);
    else if (kept)
        printf("kept: dictionary %llu of %s saves %s %% of area '%s', tried on %s sampled pages\n",
               (unsigned long long)outcome->id, human_size(outcome->bytes).text, outcome->gain,
               area, human_count(outcome->pages).text);
    else
        printf("not kept: a dictionary would save only %s %% of area '%s', tried on %s sampled "
               "pages\n",
               outcome->gain, area, human_count(outcome->pages).text);
    return CLI_GOOD;
}

/* --- what is asked ---------------------------------------------------------------------------- */

static int fail(const struct cli *cli, struct farpage *client)
{
    return cli_fail(cli, CLI_FAILED, "%s", farpage_error(client));
}

static int watch(const struct cli *cli, struct farpage *client, const char *area)
{
    for (;;) {
        struct statlines lines;
        struct outcome outcome;
        int code = CLI_GOOD;
        bool good = statlines_fetch(&lines, client, "dictionaries") == FARPAGE_OK;
        if (good) read_outcome(&lines, area, &outcome);
        bool over = !good || cli->no_wait || interrupt_came() || !is_under_way(&outcome);
        if (!good)
            code = fail(cli, client);
        else if (over)
            code = print_outcome(cli, area, &outcome);
        statlines_fini(&lines);
        if (over) return code;
        (void)nanosleep(&(struct timespec){.tv_nsec = LOOK_NS}, NULL);
    }
}

static int tell(const struct cli *cli, struct farpage *client, const char *line)
{
    return farpage_command(client, line, NULL, NULL) == FARPAGE_OK ? CLI_GOOD : fail(cli, client);
}

static int train(const struct cli *cli, struct farpage *client)
{
    char line[LINE_BYTES], size[32] = "";
    if (cli->has_size)
        snprintf(size, sizeof size, " %llu", (unsigned long long)cli->size_bytes);
    snprintf(line, sizeof line, "dictionary train %.128s%s", cli->operands[1], size);
    interrupt_hold();
    int code = tell(cli, client, line);
    return code == CLI_GOOD ? watch(cli, client, cli->operands[1]) : code;
}

static int drop(const struct cli *cli, struct farpage *client)
{
    char line[LINE_BYTES];
    snprintf(line, sizeof line, "dictionary drop %.128s", cli->operands[1]);
    int code = tell(cli, client, line);
    if (code != CLI_GOOD) return code;
    if (cli->json)
        print_json(cli->operands[1], &(struct outcome){.state = "dropped", .gain = "0"});
    else
        printf("dropped: area '%s' packs without; pages packed with it keep it until they go\n",
               cli->operands[1]);
    return CLI_GOOD;
}

static void print_table(const struct cli *cli, const struct table *table)
{
    if (!cli->json) {
        if (table->row_count == 0) puts("no dictionaries");
        table_print(table, "area");
        return;
    }
    struct json json;
    json_init(&json, stdout);
    json_object(&json, NULL);
    json_array(&json, "dictionaries");
    table_json(table, &json);
    json_array_end(&json);
    json_object_end(&json);
    putchar('\n');
}

static int list(const struct cli *cli, struct farpage *client)
{
    struct statlines lines;
    struct table table = {0};
    int code = CLI_GOOD;
    if (statlines_fetch(&lines, client, "dictionaries") != FARPAGE_OK)
        code = fail(cli, client);
    else if (!table_init(&table, &lines))
        code = cli_fail(cli, CLI_FAILED, "out of memory");
    else
        print_table(cli, &table);
    table_fini(&table);
    statlines_fini(&lines);
    return code;
}

int cli_dictionary(const struct cli *cli)
{
    struct farpage *client;
    int code = CLI_GOOD;
    bool asked = cli->operand_count > 0;
    bool trains = asked && strcmp(cli->operands[0], "train") == 0;
    bool drops = asked && strcmp(cli->operands[0], "drop") == 0;
    bool named = cli->operand_count == 2 && strpbrk(cli->operands[1], " \r\n") == NULL;
    if (asked && (!(trains || drops) || !named))
        return cli_usage("dictionary", "'dictionary' needs nothing, train AREA or drop AREA");
    if (!trains && (cli->has_size || cli->no_wait))
        return cli_usage("dictionary", "--size and --no-wait belong to 'dictionary train'");
    if (!cli_connect(cli, &client, &code)) return code;
    code = trains ? train(cli, client) : drops ? drop(cli, client) : list(cli, client);
    farpage_disconnect(&client);
    return code;
}
