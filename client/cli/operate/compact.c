/* SPDX-License-Identifier: BSD-3-Clause */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client/cli/cli.h"
#include "client/cli/interrupt.h"
#include "client/cli/operate/compaction.h"
#include "client/cli/say/human.h"
#include "client/cli/say/json.h"
#include "client/cli/say/progress.h"

static bool on_a_terminal(void)
{
    const char *terminal = getenv("TERM");
    return isatty(STDERR_FILENO) && terminal != NULL && strcmp(terminal, "dumb") != 0;
}

static void show(void *context, const struct compaction_watch *watch)
{
    const bool *terminal = context;
    const struct compaction *now = &watch->now, *before = &watch->before;
    if (!*terminal) return;
    char line[256];
    snprintf(line, sizeof line,
             "compacting  %s objects moved, %s pages freed, %s pinned passed by, %s pages left to "
             "gain",
             human_count(compaction_since(before->moved_objects, now->moved_objects)).text,
             human_count(compaction_since(before->freed_pages, now->freed_pages)).text,
             human_count(compaction_since(before->skipped_pinned, now->skipped_pinned)).text,
             human_count(now->freeable_pages).text);
    fprintf(stderr, "\r%.*s\x1b[K", (int)progress_columns(sizeof line), line);
    fflush(stderr);
}

static void print_json(const struct compaction_watch *watch)
{
    const struct compaction *now = &watch->now, *before = &watch->before;
    struct json json;
    json_init(&json, stdout);
    json_object(&json, NULL);
    json_text(&json, "state", now->running ? "running" : "idle");
    json_real(&json, "seconds", watch->seconds);
    json_number(&json, "moved_objects",
                compaction_since(before->moved_objects, now->moved_objects));
    json_number(&json, "freed_pages", compaction_since(before->freed_pages, now->freed_pages));
    json_number(&json, "skipped_pinned",
                compaction_since(before->skipped_pinned, now->skipped_pinned));
    json_number(&json, "freeable_pages", now->freeable_pages);
    json_object_end(&json);
    putchar('\n');
}

static void print_result(const struct cli *cli, const struct compaction_watch *watch)
{
    const struct compaction *now = &watch->now, *before = &watch->before;
    if (cli->json) {
        print_json(watch);
    } else if (now->running) {
        printf("the server goes on compacting: %s pages to gain; 'farpage stats compaction' shows "
               "it\n",
               human_count(now->freeable_pages).text);
    } else {
        printf("compacted in %s: %s objects moved, %s pages freed, %s pinned passed by, %s pages "
               "left to gain\n",
               human_time((uint64_t)(watch->seconds * 1e9)).text,
               human_count(compaction_since(before->moved_objects, now->moved_objects)).text,
               human_count(compaction_since(before->freed_pages, now->freed_pages)).text,
               human_count(compaction_since(before->skipped_pinned, now->skipped_pinned)).text,
               human_count(now->freeable_pages).text);
    }
}

int cli_compact(const struct cli *cli)
{
    struct farpage *client;
    struct complaint complaint;
    int code = CLI_GOOD;
    if (!cli_connect(cli, &client, &code)) return code;
    bool terminal = on_a_terminal();
    struct compaction_watch watch = {.client = client, .shown = show, .context = &terminal};
    interrupt_hold(); /* Ctrl-C leaves the server to it; only the watching ends */
    bool good = compaction_start(&watch, &complaint);
    if (good && !cli->no_wait) good = compaction_wait(&watch, &complaint);
    if (terminal) fputs("\r\x1b[K", stderr);
    if (good)
        print_result(cli, &watch);
    else
        code = cli_fail(cli, CLI_FAILED, "%s", complaint.text);
    farpage_disconnect(&client);
    return code;
}
