/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The server is asked how far its memory is, ten times a second, until it fits or nothing gives way
 * any more. Ctrl-C ends the watching; the server goes on. */
#include "client/cli/operate/shrink.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/number.h"
#include "client/cli/interrupt.h"
#include "client/cli/say/human.h"
#include "client/cli/say/progress.h"

enum { PAUSE_NS = 100000000 };

#define FIGURES(X)                                                                                 \
    X(limit_bytes) X(held_bytes) X(over_limit_bytes) X(resident_bytes) X(run_limit_bytes)          \
    X(run_percent) X(items_gone) X(pages_written_back) X(kept_pages_bytes) X(kept_fixed_bytes)     \
    X(bytes_per_s) X(stays_bytes)

struct look {
    bool stuck;
    char reason[160];
#define X(name) uint64_t name;
    FIGURES(X)
#undef X
};

static void take_line(void *context, const char *name, const char *value)
{
    struct look *look = context;
    if (strcmp(name, "state") == 0) look->stuck = strcmp(value, "stuck") == 0;
    if (strcmp(name, "reason") == 0) snprintf(look->reason, sizeof look->reason, "%s", value);
#define X(figure)                                                                                  \
    if (strcmp(name, #figure) == 0 && !number_u64(slice_text(value), &look->figure))               \
        look->figure = 0;
    FIGURES(X)
#undef X
}

static void show(const struct look *look)
{
    char line[400], stays[64] = "";
    if (look->stays_bytes > look->limit_bytes)
        snprintf(stays, sizeof stays, ", %s of it cannot go",
                 human_size(look->stays_bytes - look->limit_bytes).text);
    snprintf(line, sizeof line,
             "giving memory back  %u %%, %s left%s, %s/s, %s resident, %s items gone, %s pages "
             "written back",
             (unsigned)look->run_percent, human_size(look->over_limit_bytes).text, stays,
             human_size(look->bytes_per_s).text, human_size(look->resident_bytes).text,
             human_count(look->items_gone).text, human_count(look->pages_written_back).text);
    fprintf(stderr, "\r%.*s\x1b[K", (int)progress_columns(sizeof line), line);
    fflush(stderr);
}

static int tell_stuck(const struct cli *cli, const struct look *look)
{
    return cli_fail(cli, CLI_FAILED,
                    "%s too much stays (%s in pages, %s of the program): %s; nothing new is stored "
                    "until it fits",
                    human_size(look->over_limit_bytes).text,
                    human_size(look->kept_pages_bytes).text,
                    human_size(look->kept_fixed_bytes).text, look->reason);
}

static int tell_done(const struct look *look, uint64_t took_ns)
{
    printf("%s held, %s resident, after %s: %s items gone, %s pages written back\n",
           human_size(look->held_bytes).text, human_size(look->resident_bytes).text,
           human_time(took_ns).text, human_count(look->items_gone).text,
           human_count(look->pages_written_back).text);
    return CLI_GOOD;
}

int shrink_watch(const struct cli *cli)
{
    struct farpage *client;
    int code = CLI_GOOD;
    if (!cli_connect(cli, &client, &code)) return code;
    const char *kind = getenv("TERM");
    bool terminal = isatty(STDERR_FILENO) && kind != NULL && strcmp(kind, "dumb") != 0;
    uint64_t begun_ns = clock_monotonic_ns();
    struct look look;
    bool worked = false, over = false, asleep = true;
    interrupt_hold();
    while (!over && asleep) {
        look = (struct look){.reason = "-"};
        if (farpage_stats(client, "shrink", take_line, &look) != FARPAGE_OK) break;
        over = look.over_limit_bytes == 0 ||
               (look.stuck && look.run_limit_bytes == look.limit_bytes);
        worked |= look.over_limit_bytes > 0;
        if (terminal && worked) show(&look);
        if (!over) asleep = interrupt_sleep(PAUSE_NS);
    }
    if (terminal && worked) fputs("\r\x1b[K", stderr);
    if (over && look.over_limit_bytes > 0) code = tell_stuck(cli, &look);
    else if (over && worked) code = tell_done(&look, clock_monotonic_ns() - begun_ns);
    else if (!over && asleep) code = cli_fail(cli, CLI_FAILED, "%s", farpage_error(client));
    else if (!over) puts("the server goes on: 'farpage stats shrink' shows it");
    farpage_disconnect(&client);
    return code;
}
