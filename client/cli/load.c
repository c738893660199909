/* SPDX-License-Identifier: BSD-3-Clause */
#include <stdio.h>

#include "client/cli/cli.h"
#include "client/cli/human.h"
#include "client/cli/pagefile.h"
#include "client/cli/report.h"

static bool write_piece(void *context, const struct piece *piece, struct complaint *complaint)
{
    return pagefile_write(context, piece, complaint);
}

static void print_result(const struct cli *cli, const struct transfer_result *result,
                         uint32_t page_bytes)
{
    if (cli->json) {
        struct json json;
        report_json_begin(&json, cli, result, page_bytes);
        report_json_end(&json);
        return;
    }
    /* Standard output may be where the pages went. */
    report_line(stderr, "loaded", result, page_bytes);
    if (result->absent == 0) return;
    fprintf(stderr, "%s of them hold nothing and read as zeros\n",
            human_count(result->absent).text);
}

static int load_area(const struct cli *cli, struct pagefile *file, uint32_t page_bytes,
                     uint64_t pages)
{
    struct transfer transfer = {
        .kind = FARPAGE_OP_LOAD,
        .verb = "loading",
        .area = cli->operands[0],
        .pages = pages,
        .page_bytes = page_bytes,
        .depth = (uint32_t)cli->depth,
        .connections = file->is_stream ? 1 : (uint32_t)cli->connections,
        .absent_is_fine = cli->sparse,
        .move = write_piece,
        .context = file,
    };
    struct transfer_result result;
    if (!transfer_run(cli, &transfer, &result)) {
        return cli_fail(cli, CLI_FAILED, "%s", result.complaint.text);
    }
    struct complaint complaint;
    if (!pagefile_extend(file, pages * page_bytes, &complaint)) {
        return cli_fail(cli, CLI_FAILED, "%s", complaint.text);
    }
    print_result(cli, &result, page_bytes);
    return CLI_GOOD;
}

int cli_load(const struct cli *cli)
{
    const char *path = cli->operands[1];
    if (cli->json && path[0] == '-' && path[1] == '\0') {
        return cli_usage("load", "--json and the pages cannot both go to standard output");
    }
    struct farpage *client;
    int code = CLI_GOOD;
    if (!cli_connect(cli, &client, &code)) return code;
    struct farpage_area *area;
    if (farpage_area_open(client, cli->operands[0], NULL, &area) != FARPAGE_OK) {
        code = cli_fail(cli, CLI_FAILED, "%s", farpage_error(client));
        farpage_disconnect(&client);
        return code;
    }
    uint32_t page_bytes = farpage_server(client)->page_bytes;
    uint64_t pages = farpage_area_slots(area);
    farpage_disconnect(&client);
    struct pagefile file;
    struct complaint complaint;
    if (!pagefile_create(&file, path, &complaint)) {
        return cli_fail(cli, CLI_FAILED, "%s", complaint.text);
    }
    code = load_area(cli, &file, page_bytes, pages);
    if (!pagefile_close(&file, &complaint) && code == CLI_GOOD) {
        code = cli_fail(cli, CLI_FAILED, "%s", complaint.text);
    }
    return code;
}
