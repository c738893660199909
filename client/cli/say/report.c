/* SPDX-License-Identifier: BSD-3-Clause */
#include "client/cli/say/report.h"

#include "client/cli/say/human.h"

void report_json_begin(struct json *json, const struct cli *cli,
                       const struct transfer_result *result, uint32_t page_bytes)
{
    json_init(json, stdout);
    json_object(json, NULL);
    json_text(json, "area", cli->operands[0]);
    json_text(json, "file", cli->operands[1]);
    json_number(json, "connections", cli->connections);
    json_number(json, "depth", cli->depth);
    transfer_json(json, result, page_bytes);
}

void report_json_end(struct json *json)
{
    json_object_end(json);
    putc('\n', json->out);
}

void report_line(FILE *out, const char *what, const struct transfer_result *result,
                 uint32_t page_bytes)
{
    fprintf(out, "%s %s page%s (%s) in %s: %s pages/s, %s MiB/s, p50 %s, p99 %s", what,
            human_count(result->pages).text, result->pages == 1 ? "" : "s",
            human_size(result->pages * page_bytes).text,
            human_time((uint64_t)(result->seconds * 1e9)).text,
            human_rate(transfer_pages_per_second(result)).text,
            human_rate(transfer_mib_per_second(result, page_bytes)).text,
            human_time(histogram_quantile(&result->latency, 0.50)).text,
            human_time(histogram_quantile(&result->latency, 0.99)).text);
    if (result->absent > 0) {
        fprintf(out, "; %s %s nothing", human_count(result->absent).text,
                result->absent == 1 ? "slot holds" : "slots hold");
    }
    putc('\n', out);
}
