/* SPDX-License-Identifier: BSD-3-Clause */
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/cli/cli.h"
#include "client/cli/pages/pagefile.h"
#include "client/cli/say/human.h"
#include "client/cli/say/report.h"

/* What the threads found. first_byte is counted from the file's beginning. */
struct comparison {
    struct pagefile file;
    _Atomic uint64_t different, first_byte; /* UINT64_MAX: none */
};

static void note_difference(struct comparison *comparison, uint64_t byte)
{
    atomic_fetch_add(&comparison->different, 1);
    uint64_t first = atomic_load(&comparison->first_byte);
    while (byte < first && !atomic_compare_exchange_weak(&comparison->first_byte, &first, byte))
        continue;
}

static bool compare_piece(void *context, const struct piece *piece, struct complaint *complaint)
{
    struct comparison *comparison = context;
    size_t bytes = (size_t)piece->count * piece->page_bytes;
    struct piece expected = *piece;
    expected.pages = malloc(bytes);
    if (expected.pages == NULL) {
        complain(complaint, "out of memory");
        return false;
    }
    bool good = pagefile_read(&comparison->file, &expected, complaint);
    for (uint32_t i = 0; good && i < piece->count; i++) {
        size_t at = (size_t)i * piece->page_bytes;
        if (memcmp(expected.pages + at, piece->pages + at, piece->page_bytes) == 0) continue;
        size_t byte = at;
        while (expected.pages[byte] == piece->pages[byte]) byte++;
        note_difference(comparison, piece->first * piece->page_bytes + byte);
    }
    free(expected.pages);
    return good;
}

static void print_json(const struct cli *cli, const struct comparison *comparison,
                       const struct transfer_result *result, uint32_t page_bytes)
{
    struct json json;
    uint64_t byte = atomic_load(&comparison->first_byte);
    uint64_t different = atomic_load(&comparison->different);
    report_json_begin(&json, cli, result, page_bytes);
    json_bool(&json, "identical", different == 0);
    json_number(&json, "different_pages", different);
    if (different > 0) {
        json_number(&json, "first_different_slot", byte / page_bytes);
        json_number(&json, "first_different_byte", byte);
    }
    report_json_end(&json);
}

static int judge(const struct cli *cli, const struct comparison *comparison,
                 const struct transfer_result *result, uint32_t page_bytes)
{
    uint64_t different = atomic_load(&comparison->different);
    uint64_t byte = atomic_load(&comparison->first_byte);
    if (cli->json) {
        print_json(cli, comparison, result, page_bytes);
    } else if (different == 0) {
        report_line(stdout, "identical:", result, page_bytes);
    } else {
        printf("different: %s of %s pages; the first difference is byte %llu of the file, byte "
               "%llu of slot %llu\n",
               human_count(different).text, human_count(result->pages).text,
               (unsigned long long)byte, (unsigned long long)(byte % page_bytes),
               (unsigned long long)(byte / page_bytes));
    }
    return different == 0 ? CLI_GOOD : CLI_FAILED;
}

static int verify_area(const struct cli *cli, struct comparison *comparison, uint32_t page_bytes,
                       uint64_t pages)
{
    struct transfer transfer = {
        .kind = FARPAGE_OP_LOAD,
        .verb = "verifying",
        .area = cli->operands[0],
        .pages = pages,
        .page_bytes = page_bytes,
        .depth = (uint32_t)cli->depth,
        .connections = (uint32_t)cli->connections,
        .move = compare_piece,
        .context = comparison,
    };
    struct transfer_result result;
    if (transfer_run(cli, &transfer, &result)) return judge(cli, comparison, &result, page_bytes);
    return cli_fail(cli, CLI_FAILED, "%s", result.complaint.text);
}

int cli_verify(const struct cli *cli)
{
    struct comparison comparison;
    struct complaint complaint;
    atomic_init(&comparison.different, 0);
    atomic_init(&comparison.first_byte, UINT64_MAX);
    if (!pagefile_open(&comparison.file, cli->operands[1], &complaint)) {
        return cli_fail(cli, CLI_FAILED, "%s", complaint.text);
    }
    struct farpage *client;
    int code = CLI_GOOD;
    if (cli_connect(cli, &client, &code)) {
        struct farpage_area *area;
        uint32_t page_bytes = 0;
        uint64_t pages = 0;
        if (cli_area_open(client, cli->operands[0], 0, &area) != FARPAGE_OK) {
            code = cli_fail(cli, CLI_FAILED, "%s", farpage_error(client));
        } else {
            page_bytes = farpage_area_page_bytes(area);
            pages = pagefile_pages(&comparison.file, page_bytes, cli->pad, &complaint);
            if (pages == 0) code = cli_fail(cli, CLI_FAILED, "%s", complaint.text);
        }
        farpage_disconnect(&client);
        if (pages != 0) code = verify_area(cli, &comparison, page_bytes, pages);
    }
    if (!pagefile_close(&comparison.file, &complaint) && code == CLI_GOOD) code = CLI_FAILED;
    return code;
}
