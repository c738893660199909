/* SPDX-License-Identifier: BSD-3-Clause */
#include <stdio.h>

#include "base/number.h"
#include "client/cli/cli.h"
#include "client/cli/pages/pagefile.h"
#include "client/cli/say/human.h"
#include "client/cli/say/report.h"

static bool read_piece(void *context, const struct piece *piece, struct complaint *complaint)
{
    return pagefile_read(context, piece, complaint);
}

static int too_small(const struct cli *cli, uint64_t slots, uint64_t pages, uint32_t page_bytes)
{
    return cli_fail(cli, CLI_FAILED, "area '%s' has %s slots (%s), '%s' needs %s (%s)",
                    cli->operands[0], human_count(slots).text, human_size(slots * page_bytes).text,
                    cli->operands[1], human_count(pages).text,
                    human_size(pages * page_bytes).text);
}

/* The size of its pages, of an area that is there or to be made; 0 after a line. */
static uint32_t find_page_bytes(const struct cli *cli, struct farpage *client)
{
    struct farpage_area *area;
    enum farpage_status status = cli_area_open(client, cli->operands[0], 0, &area);
    if (status == FARPAGE_NO_AREA) return farpage_server(client)->page_bytes;
    uint32_t page_bytes = status == FARPAGE_OK ? farpage_area_page_bytes(area) : 0;
    if (status != FARPAGE_OK) cli_fail(cli, CLI_FAILED, "%s", farpage_error(client));
    farpage_area_close(&area);
    return page_bytes;
}

/* Opens the area, or creates it where it does not exist; 0 or an exit code. Asks before it creates:
 * an area of the wrong size could not be taken back. */
static int make_area(const struct cli *cli, struct farpage *client, uint32_t page_bytes,
                     uint64_t pages)
{
    const char *name = cli->operands[0];
    uint64_t wanted = cli->has_size ? cli->size_bytes / page_bytes : pages;
    struct farpage_area *area;
    enum farpage_status status = cli_area_open(client, name, 0, &area);
    if (status == FARPAGE_NO_AREA) status = cli_area_open(client, name, wanted, &area);
    if (status != FARPAGE_OK) return cli_fail(cli, CLI_FAILED, "%s", farpage_error(client));
    uint64_t slots = farpage_area_slots(area);
    if (cli->has_size && slots != wanted) {
        return cli_fail(cli, CLI_FAILED,
                        "area '%s' exists with %s slots (%s), --size wants %s (%s)", name,
                        human_count(slots).text, human_size(slots * page_bytes).text,
                        human_count(wanted).text, human_size(cli->size_bytes).text);
    }
    return slots >= pages ? CLI_GOOD : too_small(cli, slots, pages, page_bytes);
}

static int check_size(const struct cli *cli, uint32_t page_bytes, uint64_t pages)
{
    if (!cli->has_size) return CLI_GOOD;
    if (cli->size_bytes % page_bytes != 0) {
        char page[NUMBER_TEXT_BYTES];
        number_size_text(page_bytes, page);
        return cli_fail(cli, CLI_USAGE, "--size must be a whole number of %s pages", page);
    }
    if (cli->size_bytes / page_bytes >= pages) return CLI_GOOD;
    char size[NUMBER_TEXT_BYTES];
    number_size_text(cli->size_bytes, size);
    return cli_fail(cli, CLI_FAILED, "--size %s is %s pages, '%s' needs %s (%s)", size,
                    human_count(cli->size_bytes / page_bytes).text, cli->operands[1],
                    human_count(pages).text, human_size(pages * page_bytes).text);
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
        uint32_t page_bytes = find_page_bytes(cli, client);
        if (page_bytes == 0) code = CLI_FAILED;
        uint64_t pages = 0;
        if (code == CLI_GOOD) pages = pagefile_pages(&file, page_bytes, cli->pad, &complaint);
        if (code == CLI_GOOD && pages == 0) code = cli_fail(cli, CLI_FAILED, "%s", complaint.text);
        if (code == CLI_GOOD) code = check_size(cli, page_bytes, pages);
        if (code == CLI_GOOD) code = make_area(cli, client, page_bytes, pages);
        farpage_disconnect(&client);
        if (code == CLI_GOOD) code = store_file(cli, &file, page_bytes, pages);
    }
    if (!pagefile_close(&file, &complaint) && code == CLI_GOOD) {
        code = cli_fail(cli, CLI_FAILED, "%s", complaint.text);
    }
    return code;
}
