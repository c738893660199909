/* SPDX-License-Identifier: BSD-3-Clause */
#include <stdio.h>

#include "base/number.h"
#include "client/cli/cli.h"
#include "client/cli/pagefile.h"
#include "client/cli/report.h"

static bool read_piece(void *context, const struct piece *piece, struct complaint *complaint)
{
    return pagefile_read(context, piece, complaint);
}

/* Opens the area, or creates it where it does not exist; 0 or an exit code. */
static int make_area(const struct cli *cli, struct farpage *client, uint64_t pages)
{
    const char *name = cli->operands[0];
    uint32_t page_bytes = farpage_server(client)->page_bytes;
    uint64_t wanted = cli->has_size ? cli->size_bytes / page_bytes : 0;
    struct farpage_area_options options = {.slots = wanted};
    struct farpage_area *area;
    enum farpage_status status = farpage_area_open(client, name, &options, &area);
    if (status == FARPAGE_NO_AREA) {
        options.slots = pages;
        status = farpage_area_open(client, name, &options, &area);
    }
    if (status == FARPAGE_BAD_AREA && cli->has_size) {
        return cli_fail(cli, CLI_FAILED, "%s (it may exist with another size than --size)",
                        farpage_error(client));
    }
    if (status != FARPAGE_OK) return cli_fail(cli, CLI_FAILED, "%s", farpage_error(client));
    if (farpage_area_slots(area) >= pages) return CLI_GOOD;
    return cli_fail(cli, CLI_FAILED, "area '%s' has %llu slots, '%s' needs %llu", name,
                    (unsigned long long)farpage_area_slots(area), cli->operands[1],
                    (unsigned long long)pages);
}

static int check_size(const struct cli *cli, uint32_t page_bytes)
{
    if (!cli->has_size || cli->size_bytes % page_bytes == 0) return CLI_GOOD;
    char page[NUMBER_TEXT_BYTES];
    number_size_text(page_bytes, page);
    return cli_fail(cli, CLI_USAGE, "--size must be a whole number of %s pages", page);
}

static int store_file(const struct cli *cli, struct pagefile *file, uint32_t page_bytes,
                      uint64_t pages)
{
    struct transfer transfer = {
        .kind = FARPAGE_OP_STORE,
        .verb = "storing",
        .area = cli->operands[0],
        .pages = pages,
        .page_bytes = page_bytes,
        .depth = (uint32_t)cli->depth,
        .connections = (uint32_t)cli->connections,
        .move = read_piece,
        .context = file,
    };
    struct transfer_result result;
    if (!transfer_run(cli, &transfer, &result)) {
        return cli_fail(cli, CLI_FAILED, "%s", result.complaint.text);
    }
    if (!cli->json) {
        report_line(stdout, "stored", &result, page_bytes);
        return CLI_GOOD;
    }
    struct json json;
    report_json_begin(&json, cli, &result, page_bytes);
    report_json_end(&json);
    return CLI_GOOD;
}

int cli_store(const struct cli *cli)
{
    struct pagefile file;
    struct complaint complaint;
    if (!pagefile_open(&file, cli->operands[1], &complaint)) {
        return cli_fail(cli, CLI_FAILED, "%s", complaint.text);
    }
    struct farpage *client = NULL;
    int code = CLI_GOOD;
    if (cli_connect(cli, &client, &code)) {
        uint32_t page_bytes = farpage_server(client)->page_bytes;
        uint64_t pages = pagefile_pages(&file, page_bytes, cli->pad, &complaint);
        if (pages == 0) code = cli_fail(cli, CLI_FAILED, "%s", complaint.text);
        if (code == CLI_GOOD) code = check_size(cli, page_bytes);
        if (code == CLI_GOOD) code = make_area(cli, client, pages);
        farpage_disconnect(&client);
        if (code == CLI_GOOD) code = store_file(cli, &file, page_bytes, pages);
    }
    if (!pagefile_close(&file, &complaint) && code == CLI_GOOD) {
        code = cli_fail(cli, CLI_FAILED, "%s", complaint.text);
    }
    return code;
}
