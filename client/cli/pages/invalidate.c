/* SPDX-License-Identifier: BSD-3-Clause */
#include <stdio.h>

#include "base/number.h"
#include "client/cli/cli.h"
#include "client/cli/say/human.h"
#include "client/cli/say/json.h"

struct range {
    uint64_t first, count;
};

static void print_result(const struct cli *cli, struct range range)
{
    if (!cli->json) {
        printf("%s slots of area '%s' hold nothing now, from slot %s on\n",
               human_count(range.count).text, cli->operands[0], human_count(range.first).text);
        return;
    }
    struct json json;
    json_init(&json, stdout);
    json_object(&json, NULL);
    json_text(&json, "area", cli->operands[0]);
    json_number(&json, "first", range.first);
    json_number(&json, "count", range.count);
    json_object_end(&json);
    putchar('\n');
}

int cli_invalidate(const struct cli *cli)
{
    struct range range = {0, 0};
    bool whole = cli->operand_count == 1;
    bool good = whole || (cli->operand_count == 3 &&
                          number_u64(slice_text(cli->operands[1]), &range.first) &&
                          number_u64(slice_text(cli->operands[2]), &range.count));
    if (!good) {
        return cli_usage("invalidate", "'invalidate' takes AREA, or AREA and two numbers: FIRST "
                                       "COUNT");
    }
    struct farpage *client;
    int code = CLI_GOOD;
    if (!cli_connect(cli, &client, &code)) return code;
    struct farpage_area *area;
    enum farpage_status status = cli_area_open(client, cli->operands[0], 0, &area);
    if (status == FARPAGE_OK && whole) range.count = farpage_area_slots(area);
    if (status == FARPAGE_OK) status = farpage_invalidate(area, range.first, range.count);
    if (status == FARPAGE_OK)
        print_result(cli, range);
    else
        code = cli_fail(cli, CLI_FAILED, "%s",
                        area != NULL ? farpage_area_error(area) : farpage_error(client));
    farpage_disconnect(&client);
    return code;
}
