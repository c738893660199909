/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Life of a drain: the area is opened to drain it -> its pages go to another server or a file, or
 * whoever has it open is asked to take them -> the server needs it no more. Whatever stops it
 * before, a lost connection too, leaves the area as it was. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "client/cli/cli.h"
#include "client/cli/drain/drain_to.h"
#include "client/cli/interrupt.h"
#include "client/cli/operate/statlines.h"
#include "client/cli/say/human.h"
#include "client/cli/say/json.h"
#include "client/cli/say/progress.h"
#include "client/cli/say/table.h"

enum { LOOK_EVERY_NS = 200000000, WAIT_SECONDS = 60, PATH_BYTES = 4096 };

struct drain {
    const struct cli *cli;
    struct farpage *client;
    struct json json;
    uint64_t areas; /* drained so far */
};

/* --- whoever has it open is asked ------------------------------------------------------------- */

static bool nobody_takes(const struct farpage_asked *asked, const char *name,
                         struct complaint *complaint)
{
    if (asked->sessions == 0)
        complain(complaint,
                 "nobody who has area '%.64s' open takes pages back; --to moves them elsewhere",
                 name);
    else if (asked->refused == asked->sessions)
        complain(complaint, "who has area '%.64s' open does not take its pages back", name);
    else
        return false;
    return true;
}

/* True: all pages went. */
static bool await_owner(struct farpage_area *area, const char *name, uint64_t wait_ns,
                        struct complaint *complaint)
{
    struct farpage_area_info info;
    struct farpage_asked asked;
    struct progress progress;
    uint64_t begun_ns = clock_monotonic_ns();
    farpage_area_info(area, &info);
    enum farpage_status status =
        farpage_area_ask(area, (uint32_t)(wait_ns / 1000000000), &asked);
    bool stuck = false, late = false;
    progress_init(&progress, "given back", info.stored_pages, info.page_bytes);
    while (status == FARPAGE_OK && asked.stored_pages > 0 && !stuck && !late) {
        stuck = nobody_takes(&asked, name, complaint);
        late = clock_monotonic_ns() - begun_ns > wait_ns || !interrupt_sleep(LOOK_EVERY_NS);
        uint64_t gone = info.stored_pages > asked.stored_pages
                            ? info.stored_pages - asked.stored_pages : 0;
        progress_show(&progress, gone);
        if (!stuck && !late) status = farpage_area_asked(area, &asked);
    }
    progress_fini(&progress);
    if (status != FARPAGE_OK) complain(complaint, "%s", farpage_area_error(area));
    else if (late && !stuck)
        complain(complaint, "area '%.64s' still has %s pages; --wait allows more time, --to moves "
                 "them elsewhere", name, human_count(asked.stored_pages).text);
    return status == FARPAGE_OK && !stuck && !late;
}

static bool drain_to_owner(const struct cli *cli, struct farpage_area *area, const char *name,
                           struct drained *drained, struct complaint *complaint)
{
    struct farpage_area_info info;
    uint64_t wait_ns = cli->has_wait ? cli->wait_ns : WAIT_SECONDS * 1000000000ull;
    uint64_t begun_ns = clock_monotonic_ns();
    farpage_area_info(area, &info);
    if (!await_owner(area, name, wait_ns, complaint)) return false;
    *drained = (struct drained){.pages = info.stored_pages,
                                .seconds = (double)(clock_monotonic_ns() - begun_ns) / 1e9};
    return true;
}

/* --- one area --------------------------------------------------------------------------------- */

/* Of --all: a file in the folder, named as the area; its slashes cannot be a file's. */
static void path_of(const struct cli *cli, const char *name, char path[PATH_BYTES])
{
    size_t at = (size_t)snprintf(path, PATH_BYTES, "%.3000s", cli->to);
    if (!cli->all) return;
    path[at++] = '/';
    for (; *name != '\0'; name++)
        at += (size_t)snprintf(path + at, PATH_BYTES - at, *name == '/' ? "%%2F" : "%c", *name);
    snprintf(path + at, PATH_BYTES - at, ".pages");
}

static void report(struct drain *drain, const char *name, const char *to,
                   const struct drained *drained)
{
    if (drain->cli->json) {
        struct json *json = &drain->json;
        json_object(json, NULL);
        json_text(json, "name", name);
        json_text(json, "to", to);
        json_number(json, "pages", drained->pages);
        json_number(json, "copied_pages", drained->copied_pages);
        json_number(json, "rounds", drained->rounds);
        json_real(json, "seconds", drained->seconds);
        json_real(json, "frozen_seconds", drained->frozen_seconds);
        json_object_end(json);
        return;
    }
    printf("drained '%s' to %s: %s pages in %s", name, to, human_count(drained->pages).text,
           human_time((uint64_t)(drained->seconds * 1e9)).text);
    if (drained->rounds > 0)
        printf(", %u round%s, stores waited %s", drained->rounds, drained->rounds == 1 ? "" : "s",
               human_time((uint64_t)(drained->frozen_seconds * 1e9)).text);
    putchar('\n');
    fflush(stdout); /* of many areas each is told when it is done */
}

/* The server's quotas are no part of what a client opens; an older server has none. */
static bool look_up_quotas(struct drain *drain, struct drain_source *source,
                           struct complaint *complaint)
{
    struct statlines statlines;
    enum farpage_status status = statlines_fetch(&statlines, drain->client, "areas");
    if (status != FARPAGE_OK)
        complain(complaint, "%s",
                 statlines.no_memory ? "out of memory" : farpage_error(drain->client));
    (void)!statlines_number(&statlines, source->name, "quota_pages", &source->quota_pages);
    (void)!statlines_number(&statlines, source->name, "quota_bytes", &source->quota_bytes);
    statlines_fini(&statlines);
    return status == FARPAGE_OK;
}

static bool move_area(struct drain *drain, struct drain_source *source, const char *path,
                      struct drained *drained, struct complaint *complaint)
{
    if (!drain_to_a_server(drain->cli->to))
        return drain_to_file(source, path, drained, complaint);
    return look_up_quotas(drain, source, complaint) &&
           drain_to_server(drain->cli, source, drained, complaint);
}

static bool drain_area(struct drain *drain, const char *name, struct complaint *complaint)
{
    const struct cli *cli = drain->cli;
    struct farpage_area_options options = {.flags = FARPAGE_AREA_DRAIN};
    struct drain_source source = {.name = name};
    struct drained drained = {0};
    char path[PATH_BYTES];
    if (farpage_area_open(drain->client, name, &options, &source.area) != FARPAGE_OK) {
        complain(complaint, "%s", farpage_error(drain->client));
        return false;
    }
    if (farpage_area_thaw(source.area) != FARPAGE_OK) { /* it is elsewhere already */
        complain(complaint, "%s", farpage_area_error(source.area));
        farpage_area_close(&source.area);
        return false;
    }
    bool moves = cli->to != NULL, to_file = moves && !drain_to_a_server(cli->to);
    if (to_file) path_of(cli, name, path);
    bool good = moves ? move_area(drain, &source, path, &drained, complaint)
                      : drain_to_owner(cli, source.area, name, &drained, complaint);
    farpage_area_close(&source.area);
    if (good) report(drain, name, to_file ? path : moves ? cli->to : "its owner", &drained);
    drain->areas += good;
    return good;
}

/* --- all of them ------------------------------------------------------------------------------ */

static bool is_moved(const struct table *table, size_t row)
{
    for (size_t i = 0; i < table->column_count; i++) {
        const char *cell = table->rows[row].cells[i];
        if (slice_is(table->columns[i], "state")) return cell != NULL && strcmp(cell, "moved") == 0;
    }
    return false;
}

/* True also where there is none. */
static bool drain_all(struct drain *drain, struct complaint *complaint)
{
    struct statlines statlines;
    struct table table = {0};
    enum farpage_status status = statlines_fetch(&statlines, drain->client, "areas");
    bool good = status == FARPAGE_OK && table_init(&table, &statlines);
    if (!good) {
        bool here = statlines.no_memory || status == FARPAGE_OK;
        complain(complaint, "%s", here ? "out of memory" : farpage_error(drain->client));
    }
    for (size_t i = 0; i < table.row_count && good; i++) {
        char name[256];
        struct slice text = table.rows[i].name;
        if (is_moved(&table, i)) continue;
        snprintf(name, sizeof name, "%.*s", (int)text.size_bytes, (const char *)text.bytes);
        good = drain_area(drain, name, complaint);
    }
    table_fini(&table);
    statlines_fini(&statlines);
    return good;
}

static int check_words(const struct cli *cli)
{
    if (cli->all && cli->operand_count > 0)
        return cli_usage("drain", "--all and '%.60s': which of them?", cli->operands[0]);
    if (!cli->all && cli->operand_count == 0)
        return cli_usage("drain", "'drain' needs AREA, or --all");
    bool server = cli->to != NULL && drain_to_a_server(cli->to);
    if (cli->to != NULL && !server && !drain_to_a_file(cli->to))
        return cli_usage("drain", "--to %.60s: a server is HOST:PORT or unix:/path, a file in this "
                         "folder is ./%.60s", cli->to, cli->to);
    if (cli->advertise != NULL && !server)
        return cli_usage("drain", "--advertise goes with --to SERVER");
    if (cli->has_wait && cli->to != NULL)
        return cli_usage("drain", "--wait goes without --to");
    return CLI_GOOD;
}

int cli_drain(const struct cli *cli)
{
    struct drain drain = {.cli = cli};
    struct complaint complaint;
    int code = check_words(cli);
    if (code != CLI_GOOD || !cli_connect(cli, &drain.client, &code)) return code;
    interrupt_hold(); /* Ctrl-C gives up between two pieces, and the area stays where it is */
    FILE *document = NULL;
    char *text = NULL;
    size_t text_bytes = 0;
    if (cli->json) { /* printed only where all went well */
        document = open_memstream(&text, &text_bytes);
        if (document == NULL) return cli_fail(cli, CLI_FAILED, "out of memory");
        json_init(&drain.json, document);
        json_object(&drain.json, NULL);
        json_array(&drain.json, "areas");
    }
    bool good = cli->all ? drain_all(&drain, &complaint)
                         : drain_area(&drain, cli->operands[0], &complaint);
    if (document != NULL) {
        json_array_end(&drain.json);
        json_object_end(&drain.json);
        fclose(document);
        if (good) puts(text);
        free(text);
    } else if (good && drain.areas == 0) {
        puts("no areas");
    }
    if (!good) code = cli_fail(cli, CLI_FAILED, "%s", complaint.text);
    farpage_disconnect(&drain.client);
    return code;
}
