/* SPDX-License-Identifier: BSD-3-Clause
 * report - how store, load and verify tell what they did. */
#ifndef FARPAGE_CLIENT_CLI_REPORT_H
#define FARPAGE_CLIENT_CLI_REPORT_H
#include "client/cli/cli.h"
#include "client/cli/pages/transfer.h"
#include "client/cli/say/json.h"

/* Opens the JSON object and puts area, file and the transfer's figures into it; the caller may add
 * and must end it with report_json_end. */
void report_json_begin(struct json *json, const struct cli *cli,
                       const struct transfer_result *result, uint32_t page_bytes);
void report_json_end(struct json *json);

/* "16,384 pages in 0.42 s, 39,010 pages/s, 152 MiB/s, p50 ..., p99 ..." to `out`. */
void report_line(FILE *out, const char *what, const struct transfer_result *result,
                 uint32_t page_bytes);

#endif
