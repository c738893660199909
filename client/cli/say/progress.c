/* SPDX-License-Identifier: BSD-3-Clause */
#include "client/cli/say/progress.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/clock.h"
#include "client/cli/say/human.h"

enum {
    BAR_CELLS_MIN = 10,
    BAR_CELLS_MAX = 24,
    BAR_FRAME = 3, /* [, ] and a blank */
    VERB_CELLS = 9,
    PARTS = 4,
    TEXT_BYTES = 4 * 96,
};

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

unsigned progress_columns(unsigned otherwise)
{
    struct winsize size;
    if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_col == 0) return otherwise;
    return size.ws_col - 1u; /* a full last column begins a new line on some terminals */
}

/* What is told behind the bar, as many of the parts as fit beside the rest; how long it became. */
static size_t write_parts(const struct progress *progress, uint64_t done, size_t room,
                          char text[TEXT_BYTES])
{
    double seconds = (double)(clock_monotonic_ns() - progress->begun_ns) / 1e9;
    double share = (double)done / (double)progress->pages;
    double mib = (double)done * (double)progress->page_bytes / (1 << 20);
    char parts[PARTS][TEXT_BYTES / PARTS];
    snprintf(parts[0], sizeof parts[0], "%3.0f %%", 100 * share);
    snprintf(parts[1], sizeof parts[1], "  %.0f s left", done > 0 ? seconds / share - seconds : 0);
    snprintf(parts[2], sizeof parts[2], "  %.0f MiB/s", seconds > 0 ? mib / seconds : 0);
    snprintf(parts[3], sizeof parts[3], "  %s/%s pages", human_count(done).text,
             human_count(progress->pages).text);
    size_t used = 0;
    text[0] = '\0';
    for (unsigned i = 0; i < PARTS; i++) {
        size_t bytes = strlen(parts[i]);
        if (used + bytes > room) break;
        memcpy(text + used, parts[i], bytes + 1);
        used += bytes;
    }
    return used;
}

void progress_show(struct progress *progress, uint64_t done)
{
    if (!progress->shown) return;
    char text[TEXT_BYTES];
    size_t columns = progress_columns(80 - 1), verb = strlen(progress->verb);
    if (verb < VERB_CELLS) verb = VERB_CELLS;
    verb = verb + 1 < columns ? verb + 1 : 0;
    size_t room = columns - verb, bar_room = BAR_CELLS_MIN + BAR_FRAME;
    if (room >= 2 * bar_room) room -= bar_room; /* the bar goes before the parts */
    size_t used = verb + write_parts(progress, done, room, text);
    size_t cells = columns > used + BAR_FRAME ? columns - used - BAR_FRAME : 0;
    if (cells > BAR_CELLS_MAX) cells = BAR_CELLS_MAX;
    fputc('\r', stderr);
    if (verb > 0) fprintf(stderr, "%-*s", (int)verb, progress->verb);
    if (cells >= BAR_CELLS_MIN) {
        char bar[BAR_CELLS_MAX + 1];
        size_t full = (size_t)((double)done / (double)progress->pages * (double)cells);
        for (size_t i = 0; i < cells; i++) bar[i] = i < full ? '#' : '.';
        bar[cells] = '\0';
        fprintf(stderr, "[%s%s%s] ", progress->colour ? "\x1b[32m" : "", bar,
                progress->colour ? "\x1b[0m" : "");
    }
    fprintf(stderr, "%s\x1b[K", text);
    fflush(stderr);
}

void progress_fini(struct progress *progress)
{
    if (!progress->shown) return;
    fputs("\r\x1b[K", stderr);
    fflush(stderr);
}
