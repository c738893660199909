/* SPDX-License-Identifier: BSD-3-Clause */
#include <stdio.h>
#include <string.h>

#include "client/cli/cli.h"
#include "client/cli/interrupt.h"
#include "client/cli/pages/pagefile.h"
#include "client/cli/say/human.h"
#include "client/cli/say/report.h"

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
    report_line(stderr, "loaded", result, page_bytes); /* the pages may be on standard output */
}

static void abandon(void *context)
{
    pagefile_unlink(context);
}

/* Fills and ends the file. */
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
        .absent_advice = "--sparse leaves holes for such slots, --count N loads the first N only",
        .move = write_piece,
        .abandon = file->temporary != NULL ? abandon : NULL,
        .context = file,
    };
    struct transfer_result result;
    struct complaint complaint;
    if (!transfer_run(cli, &transfer, &result)) {
        pagefile_abandon(file);
        return cli_fail(cli, CLI_FAILED, "%s", result.complaint.text);
    }
    if (!pagefile_extend(file, pages * page_bytes, &complaint)) {
        pagefile_abandon(file);
        return cli_fail(cli, CLI_FAILED, "%s", complaint.text);
    }
    if (!pagefile_commit(file, &complaint)) {
        return cli_fail(cli, CLI_FAILED, "%s", complaint.text);
    }
    print_result(cli, &result, page_bytes);
    return CLI_GOOD;
}

/* How many slots to load, from the first on; 0 after a line, with *code set. */
static uint64_t pages_of(const struct cli *cli, uint32_t *page_bytes, int *code)
{
    struct farpage *client;
    struct farpage_area *area;
    uint64_t pages = 0;
    if (!cli_connect(cli, &client, code)) return 0;
    if (cli_area_open(client, cli->operands[0], 0, &area) != FARPAGE_OK) {
        *code = cli_fail(cli, CLI_FAILED, "%s", farpage_error(client));
    } else if (cli->has_count && cli->count > farpage_area_slots(area)) {
        *code = cli_fail(cli, CLI_FAILED, "area '%s' has %s slots, --count wants %s",
                         cli->operands[0], human_count(farpage_area_slots(area)).text,
                         human_count(cli->count).text);
    } else {
        pages = cli->has_count ? cli->count : farpage_area_slots(area);
        *page_bytes = farpage_area_page_bytes(area);
    }
    farpage_disconnect(&client);
    return pages;
}

int cli_load(const struct cli *cli)
{
    const char *path = cli->operands[1];
    bool standard = strcmp(path, "-") == 0;
    if (cli->json && standard) {
        return cli_usage("load", "--json and the pages cannot both go to standard output");
    }
    int code = CLI_GOOD;
    uint32_t page_bytes = 0;
    uint64_t pages = pages_of(cli, &page_bytes, &code);
    if (pages == 0) return code;
    struct pagefile file;
    struct complaint complaint;
    if (!standard) interrupt_hold(); /* Ctrl-C must not leave half a file behind */
    if (!pagefile_create(&file, path, &complaint)) {
        return cli_fail(cli, CLI_FAILED, "%s", complaint.text);
    }
    if (!standard && file.temporary == NULL) interrupt_release();
    return load_area(cli, &file, page_bytes, pages);
}
