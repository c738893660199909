/* SPDX-License-Identifier: BSD-3-Clause
 *
 * `farpage areas create` and `farpage areas delete`. */
#include <stdio.h>

#include "base/number.h"
#include "client/cli/cli.h"
#include "client/cli/say/human.h"
#include "client/cli/say/json.h"

static void tell(const struct cli *cli, const char *what, const struct farpage_area_info *info)
{
    const char *name = cli->operands[1];
    if (!cli->json) {
        printf("area '%s' %s: %s slots of %s\n", name, what, human_count(info->slots).text,
               human_size(info->page_bytes).text);
        return;
    }
    struct json json;
    json_init(&json, stdout);
    json_object(&json, NULL);
    json_text(&json, "area", name);
    json_text(&json, "is", what);
    json_number(&json, "slots", info->slots);
    json_number(&json, "page_bytes", info->page_bytes);
    json_number(&json, "generation", info->generation);
    json_object_end(&json);
    putchar('\n');
}

static bool check_sizes(const struct cli *cli, uint64_t page_bytes, int *code)
{
    bool possible = page_bytes == 4 << 10 || page_bytes == 16 << 10 || page_bytes == 64 << 10;
    if (!possible)
        *code = cli_usage("areas", "--page-size: a page has 4KiB, 16KiB or 64KiB");
    else if (cli->size_bytes % page_bytes != 0)
        *code = cli_usage("areas", "--size: not a multiple of its pages, which have %s",
                          human_size(page_bytes).text);
    return possible && cli->size_bytes % page_bytes == 0;
}

static int create(const struct cli *cli, struct farpage *client)
{
    const char *name = cli->operands[1];
    uint64_t page_bytes =
        cli->page_bytes != 0 ? cli->page_bytes : farpage_server(client)->page_bytes;
    struct farpage_area_options options = {.flags = FARPAGE_AREA_SHARED};
    struct farpage_area *area;
    int code = CLI_GOOD;
    if (!check_sizes(cli, page_bytes, &code)) return code;
    enum farpage_status status = farpage_area_open(client, name, &options, &area);
    if (status == FARPAGE_OK || status == FARPAGE_BUSY)
        return cli_fail(cli, CLI_FAILED, "area '%s' exists already", name);
    options.slots = cli->size_bytes / page_bytes;
    options.page_bytes = (uint32_t)page_bytes;
    options.quota_pages = cli->quota_pages;
    options.quota_bytes = cli->quota_bytes;
    if (status == FARPAGE_NO_AREA) status = farpage_area_open(client, name, &options, &area);
    if (status != FARPAGE_OK) return cli_fail(cli, CLI_FAILED, "%s", farpage_error(client));
    struct farpage_area_info info;
    farpage_area_info(area, &info);
    tell(cli, "created", &info);
    return CLI_GOOD;
}

int cli_areas_create(const struct cli *cli)
{
    struct farpage *client;
    int code = CLI_GOOD;
    if (!cli->has_size) return cli_usage("areas", "'areas create' needs --size SIZE");
    if (!cli_connect(cli, &client, &code)) return code;
    code = create(cli, client);
    farpage_disconnect(&client);
    return code;
}

int cli_areas_delete(const struct cli *cli)
{
    struct farpage *client;
    struct farpage_area *area;
    struct farpage_area_info info;
    int code = CLI_GOOD;
    if (!cli_connect(cli, &client, &code)) return code;
    enum farpage_status status = cli_area_open(client, cli->operands[1], 0, &area);
    /* What is elsewhere is opened to drain it only; what stays behind of it may go as well. */
    struct farpage_area_options drains = {.flags = FARPAGE_AREA_DRAIN};
    if (status == FARPAGE_MOVED)
        status = farpage_area_open(client, cli->operands[1], &drains, &area);
    if (status == FARPAGE_OK) farpage_area_info(area, &info);
    if (status == FARPAGE_OK) status = farpage_area_delete(&area);
    if (status == FARPAGE_OK)
        tell(cli, "deleted", &info);
    else
        code = cli_fail(cli, CLI_FAILED, "%s",
                        area != NULL ? farpage_area_error(area) : farpage_error(client));
    farpage_disconnect(&client);
    return code;
}
