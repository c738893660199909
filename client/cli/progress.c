/* SPDX-License-Identifier: BSD-3-Clause */
#include "client/cli/progress.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "client/cli/human.h"

enum { BAR_CELLS = 24 };

void progress_init(struct progress *progress, const char *verb, uint64_t pages, uint64_t page_bytes)
{
    const char *terminal = getenv("TERM");
    const char *no_colour = getenv("NO_COLOR");
    bool able = terminal != NULL && strcmp(terminal, "dumb") != 0;
    *progress = (struct progress){.verb = verb, .pages = pages, .page_bytes = page_bytes};
    progress->begun_ns = clock_monotonic_ns();
    progress->shown = isatty(STDERR_FILENO) && able && pages > 0;
    progress->colour = no_colour == NULL || no_colour[0] == '\0';
}

void progress_show(struct progress *progress, uint64_t done)
{
    if (!progress->shown) return;
    double seconds = (double)(clock_monotonic_ns() - progress->begun_ns) / 1e9;
    double share = (double)done / (double)progress->pages;
    double mib = (double)done * (double)progress->page_bytes / (1 << 20);
    char bar[BAR_CELLS + 1];
    int full = (int)(share * BAR_CELLS);
    for (int i = 0; i < BAR_CELLS; i++) bar[i] = i < full ? '#' : '.';
    bar[BAR_CELLS] = '\0';
    double left = done > 0 ? seconds * (1 - share) / share : 0;
    fprintf(stderr, "\r%-9s [%s%s%s] %3.0f %%  %s/%s pages  %.0f MiB/s  %.0f s left\x1b[K",
            progress->verb, progress->colour ? "\x1b[32m" : "", bar,
            progress->colour ? "\x1b[0m" : "", 100 * share, human_count(done).text,
            human_count(progress->pages).text, seconds > 0 ? mib / seconds : 0, left);
    fflush(stderr);
}

void progress_fini(struct progress *progress)
{
    if (!progress->shown) return;
    fputs("\r\x1b[K", stderr);
    fflush(stderr);
}
