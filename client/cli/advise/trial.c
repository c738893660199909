/* SPDX-License-Identifier: BSD-3-Clause */
#include "client/cli/advise/trial.h"

#include <stdio.h>

#include "client/cli/operate/statlines.h"
#include "client/cli/say/human.h"
#include "client/cli/say/json.h"

static void measure_area(const struct trial *trial, struct figures *figures)
{
    struct statlines lines;
    if (statlines_fetch(&lines, trial->client, "areas") == FARPAGE_OK) {
#define X(field, name) \
    figures->has_##field = statlines_number(&lines, trial->area, name, &figures->field);
        TRIAL_FIGURES(X)
#undef X
    }
    statlines_fini(&lines);
}

static void measure_server(const struct trial *trial, struct figures *figures)
{
    struct statlines lines;
    if (statlines_fetch(&lines, trial->client, "") == FARPAGE_OK) {
        figures->has_resident =
            statlines_number(&lines, "farpage_resident_bytes", NULL, &figures->resident_bytes);
        figures->has_held =
            statlines_number(&lines, "farpage_memory_held_bytes", NULL, &figures->held_bytes);
    }
    statlines_fini(&lines);
}

void trial_measure(const struct trial *trial, struct figures *figures)
{
    *figures = (struct figures){0};
    measure_area(trial, figures);
    measure_server(trial, figures);
}

/* What the pages added to the server, per page; false where it was not told or did not grow. */
static bool per_page(uint64_t before, uint64_t after, const struct trial *trial, double *bytes)
{
    if (after < before || trial->pages == 0) return false;
    *bytes = (double)(after - before) / (double)trial->pages;
    return true;
}

static bool held_per_page(const struct trial *trial, double *bytes)
{
    return trial->before.has_held && trial->after.has_held &&
           per_page(trial->before.held_bytes, trial->after.held_bytes, trial, bytes);
}

static bool resident_per_page(const struct trial *trial, double *bytes)
{
    return trial->before.has_resident && trial->after.has_resident &&
           per_page(trial->before.resident_bytes, trial->after.resident_bytes, trial, bytes);
}

static double ratio(const struct trial *trial)
{
    return (double)trial->pages * trial->page_bytes / (double)trial->after.packed_bytes;
}

/* --- for people ----------------------------------------------------------------------------- */

static void print_pages_row(const char *name, uint64_t pages, const struct trial *trial,
                            const char *remark)
{
    printf("  %-16s %12s  %7s  %s\n", name, human_count(pages).text,
           human_share(pages, trial->pages).text, remark);
}

static void print_storage(const struct trial *trial)
{
    const struct figures *after = &trial->after;
    double bytes;
    printf("  %-16s %12s  %s in pages of %u KiB\n", "pages", human_count(trial->pages).text,
           human_size(trial->pages * trial->page_bytes).text, trial->page_bytes / 1024);
    if (after->has_same_filled) {
        print_pages_row("same-filled", after->same_filled, trial, "kept as one word");
    }
    if (after->has_incompressible) {
        print_pages_row("incompressible", after->incompressible, trial, "kept as they are");
    }
    if (after->has_packed_bytes && after->packed_bytes > 0) {
        printf("  %-16s %12s  ratio %.2f\n", "packed", human_size(after->packed_bytes).text,
               ratio(trial));
    }
    if (held_per_page(trial, &bytes)) {
        printf("  %-16s %10.0f B  a page, all that the server keeps for it\n", "server RAM", bytes);
    }
    if (resident_per_page(trial, &bytes)) {
        printf("  %-16s %10.0f B  a page, as its resident size grew\n", "server process", bytes);
    }
}

static void print_speed(const char *name, const struct transfer_result *result,
                        const struct trial *trial)
{
    printf("  %-16s %12s %10s %10s %10s\n", name,
           human_rate(transfer_pages_per_second(result)).text,
           human_rate(transfer_mib_per_second(result, trial->page_bytes)).text,
           human_time(histogram_quantile(&result->latency, 0.50)).text,
           human_time(histogram_quantile(&result->latency, 0.99)).text);
}

static void print_verdict(const struct cli *cli, const struct trial *trial)
{
    uint64_t different = atomic_load(&trial->different);
    bool colour = cli_colour(cli);
    const char *on = !colour ? "" : different == 0 ? "\x1b[1;32m" : "\x1b[1;31m";
    const char *off = colour ? "\x1b[0m" : "";
    if (different == 0) {
        printf("%s%s pages went out and came back byte for byte.%s\n", on,
               human_count(trial->pages).text, off);
    } else {
        uint64_t slot = atomic_load(&trial->different_slot);
        printf("%s%s pages came back different%s, one of them from slot %llu, address 0x%llx.\n",
               on, human_count(different).text, off, (unsigned long long)slot,
               (unsigned long long)memory_address(&trial->memory, slot * trial->page_bytes));
    }
    if (cli->keep) printf("They are still in area '%s'.\n", trial->area);
}

static void print_table(const struct cli *cli, const struct trial *trial)
{
    printf("Anonymous memory of %s, process %ld, to %s and back, area '%s'\n\n",
           cli->has_pid ? "a running program" : cli->operands[0], (long)trial->pid, cli->server,
           trial->area);
    print_storage(trial);
    printf("\n  %-16s %12s %10s %10s %10s\n", "", "pages/s", "MiB/s", "p50", "p99");
    print_speed("store", &trial->stored, trial);
    print_speed("load", &trial->loaded, trial);
    print_speed("load, one by one", &trial->alone, trial);
    bool one = cli->connections == 1;
    printf("  (store and load: %llu on the way at once on %s%llu connection%s)\n\n",
           (unsigned long long)cli->depth, one ? "" : "each of ",
           (unsigned long long)cli->connections, one ? "" : "s");
    print_verdict(cli, trial);
}

/* --- for machines --------------------------------------------------------------------------- */

static void speed_json(struct json *json, const char *key, const struct transfer_result *result,
                       const struct trial *trial)
{
    json_object(json, key);
    transfer_json(json, result, trial->page_bytes);
    json_object_end(json);
}

static void print_json(const struct cli *cli, const struct trial *trial)
{
    const struct figures *after = &trial->after;
    struct json json;
    double bytes;
    json_init(&json, stdout);
    json_object(&json, NULL);
    json_text(&json, "server", cli->server);
    json_text(&json, "area", trial->area);
    json_number(&json, "pid", (uint64_t)trial->pid);
    json_number(&json, "pages", trial->pages);
    json_number(&json, "page_bytes", trial->page_bytes);
#define X(field, name) \
    if (after->has_##field) json_number(&json, name, after->field);
    TRIAL_FIGURES(X)
#undef X
    if (after->has_packed_bytes) json_real(&json, "ratio", ratio(trial));
    if (held_per_page(trial, &bytes)) json_real(&json, "server_held_bytes_per_page", bytes);
    if (resident_per_page(trial, &bytes)) json_real(&json, "server_resident_bytes_per_page", bytes);
    json_number(&json, "depth", cli->depth);
    json_number(&json, "connections", cli->connections);
    speed_json(&json, "store", &trial->stored, trial);
    speed_json(&json, "load", &trial->loaded, trial);
    speed_json(&json, "load_one_by_one", &trial->alone, trial);
    json_bool(&json, "identical", atomic_load(&trial->different) == 0);
    json_number(&json, "different_pages", atomic_load(&trial->different));
    json_object_end(&json);
    putchar('\n');
}

void trial_print(const struct cli *cli, const struct trial *trial)
{
    if (cli->json)
        print_json(cli, trial);
    else
        print_table(cli, trial);
}
