/* SPDX-License-Identifier: BSD-3-Clause
 *
 * What a program touches outside of what is covered, nobody tells: new pages of the heap, small
 * mappings, everything before anything is covered. It is seen as anonymous memory beyond what the
 * pager knows. How long one may wait with looking goes by the room that is left, at the pace at
 * which a kernel hands out memory at best. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/arith.h"
#include "client/uffd/maps.h"
#include "client/uffd/space.h"
#include "client/uffd/tree.h"
#include "client/uffd/uffd.h"

enum {
    PACE_PAGES_PER_MS = 1000, /* 4 GB/s */
    LOOK_NS_MIN = 1000000,
    LOOK_NS_MAX = 50000000,
    EXPECTING_NS = 2000000,
    CLOSE_LOOK_NS = 100000000,
    GROWTH_PAGES = 64, /* below which what is new is not looked for */
};

int tree_watch_open(struct tree_process *process)
{
    int pid = process->target.target.pid;
    process->maps = target_agent_open(pid, "maps");
    if (process->maps < 0) return errno;
    process->statm = target_agent_open(pid, "statm");
    return process->statm < 0 ? errno : 0;
}

void tree_watch_close(struct tree_process *process)
{
    if (process->maps >= 0) close(process->maps);
    if (process->statm >= 0) close(process->statm);
    process->maps = process->statm = -1;
}

void tree_say(struct tree *tree, int pid, const char *format, ...)
{
    char line[320], name[32] = "";
    if (tree->say == NULL) return;
    int fd = target_agent_open(pid, "comm");
    ssize_t got = fd >= 0 ? read(fd, name, sizeof name - 1) : 0;
    if (fd >= 0) close(fd);
    name[got > 0 ? (size_t)got : 0] = '\0';
    name[strcspn(name, "\n")] = '\0';
    for (char *c = name; *c != '\0'; c++) { /* a program's own word is not to steer a terminal */
        if (*c < ' ' || *c > '~') *c = '?';
    }
    int at = snprintf(line, sizeof line, "process %d (%s): ", pid, name);
    va_list values;
    va_start(values, format);
    vsnprintf(line + at, sizeof line - (size_t)at, format, values);
    va_end(values);
    tree->say(tree->context, line);
}

unsigned tree_threads(const struct tree_process *process)
{
    char text[2048];
    int fd = target_agent_open(process->target.target.pid, "status");
    ssize_t got = fd >= 0 ? read(fd, text, sizeof text - 1) : 0;
    if (fd >= 0) close(fd);
    text[got > 0 ? (size_t)got : 0] = '\0';
    const char *line = strstr(text, "\nThreads:");
    unsigned long threads = line != NULL ? strtoul(line + 9, NULL, 10) : 0;
    return threads > 1 ? (unsigned)threads - 1 : 0; /* the agent's */
}

/* --- covering ------------------------------------------------------------------------------- */

static bool is_ours(const struct tree_process *process, const struct maps_entry *entry)
{
    uint64_t stage = process->target.trash_uffd >= 0 ? process->target.stage_from : 0;
    uint64_t end = stage + AGENT_STAGE_BYTES + AGENT_TRASH_BYTES;
    bool own = entry->from < process->own_to && entry->to > process->own_from;
    return own || (stage != 0 && entry->from < end && entry->to > stage);
}

static bool cover_one(void *context, const struct maps_entry *entry)
{
    struct tree_process *process = context;
    struct space *space = process->target.target.space;
    bool wanted = entry->kind == MAPS_ANONYMOUS && entry->readable && entry->writable &&
                  !is_ours(process, entry);
    if (!wanted) return true;
    if (space_covers(space, entry->from) && space_covers(space, entry->to - UFFD_PAGE_BYTES))
        return true;
    /* What cannot be, because it went meanwhile or belongs to another userfaultfd of the program,
     * stays what it is: memory that counts and does not give way. */
    (void)!space_cover(space, entry->from, entry->to);
    return true;
}

void tree_cover(struct tree_process *process)
{
    if (process->maps >= 0) (void)!maps_scan(process->maps, cover_one, process);
}

static void begin_to_cover(struct tree *tree)
{
    tree->covering = true;
    for (struct tree_process *process = tree->processes; process != NULL; process = process->next) {
        if (process->target.linked)
            agent_link_announce(&process->target.link, TREE_ANNOUNCED_PAGES);
    }
}

/* --- looking -------------------------------------------------------------------------------- */

/* Resident pages that are of no file and not shared; 0 where the process is ending. */
static uint64_t look(const struct tree_process *process)
{
    char text[128];
    ssize_t got = process->statm >= 0 ? pread(process->statm, text, sizeof text - 1, 0) : 0;
    if (got <= 0) return 0;
    text[got] = '\0';
    char *at = text;
    (void)strtoull(at, &at, 10); /* its size */
    uint64_t resident = strtoull(at, &at, 10), shared = strtoull(at, &at, 10);
    return resident > shared ? resident - shared : 0;
}

static uint64_t less(uint64_t value, uint64_t by)
{
    return value > by ? value - by : 0;
}

/* Both are numbers of a moment, and not of the same: less than nothing is nothing. */
static uint64_t unknown_to_pager(const struct tree_process *process)
{
    struct space_pages known = space_pages(process->target.target.space);
    return less(process->resident, known.resident + known.leaving);
}

static void raise_to(_Atomic uint64_t *peak, uint64_t value)
{
    if (value > atomic_load(peak)) atomic_store(peak, value);
}

/* Resident anonymous pages, of those that are shared with others the part that falls to this one.
 * The kernel walks all of them for it. */
static uint64_t look_closely(const struct tree_process *process)
{
    char text[2048];
    int fd = target_agent_open(process->target.target.pid, "smaps_rollup");
    ssize_t got = fd >= 0 ? read(fd, text, sizeof text - 1) : 0;
    if (fd >= 0) close(fd);
    text[got > 0 ? (size_t)got : 0] = '\0';
    const char *line = strstr(text, "\nPss_Anon:");
    return line != NULL ? strtoull(line + 10, NULL, 10) / 4 : process->resident;
}

/* What forks share of covered memory the pager knows. Of the rest, stacks and data of libraries and
 * all that was shared before anything was covered, nobody tells. */
static void look_what_is_shared(struct tree *tree, uint64_t now_ns)
{
    bool forked = false;
    for (struct tree_process *process = tree->processes; process != NULL; process = process->next)
        forked |= process->fork != 0;
    if (!forked) {
        tree->shared_pages = 0;
        tree->shared_by_ns = 0;
        return;
    }
    if (now_ns < tree->shared_by_ns) return;
    uint64_t apart = 0, together = 0;
    for (struct tree_process *process = tree->processes; process != NULL; process = process->next) {
        process->resident = look(process);
        apart += less(process->resident, space_pages(process->target.target.space).free);
        together += look_closely(process);
    }
    tree->shared_pages = less(apart, together);
    tree->shared_by_ns = now_ns + CLOSE_LOOK_NS;
}

static uint64_t look_at_all(struct tree *tree, uint64_t *unknown)
{
    uint64_t resident = 0, away = 0;
    *unknown = 0;
    for (struct tree_process *process = tree->processes; process != NULL; process = process->next) {
        struct space_pages pages = space_pages(process->target.target.space);
        process->resident = look(process);
        resident += less(process->resident, pages.free);
        *unknown += unknown_to_pager(process);
        away += pages.away;
    }
    raise_to(&tree->away_pages_peak, away);
    *unknown = less(*unknown, tree->shared_pages);
    return less(resident, tree->shared_pages);
}

static void cover_what_grew(struct tree *tree)
{
    for (struct tree_process *process = tree->processes; process != NULL; process = process->next) {
        if (unknown_to_pager(process) < process->unknown + GROWTH_PAGES) continue;
        tree_cover(process);
        process->unknown = unknown_to_pager(process); /* pages of files, its stack */
    }
}

uint64_t tree_watch(void *context, uint64_t now_ns)
{
    struct tree *tree = context;
    uint64_t limit = tree->budget->limit_pages, unknown;
    bool expecting = tree_give_up(tree, now_ns);
    look_what_is_shared(tree, now_ns);
    uint64_t resident = look_at_all(tree, &unknown);
    atomic_store(&tree->resident_pages, resident);
    raise_to(&tree->resident_pages_peak, resident);
    if (!tree->covering && resident >= limit - limit / 4) begin_to_cover(tree);
    if (tree->covering) {
        cover_what_grew(tree);
        (void)look_at_all(tree, &unknown);
        pager_unknown_pages(tree->pager, unknown);
    }
    uint64_t room = limit > resident ? limit - resident : 0;
    if (!tree->covering) room = room > limit / 4 ? room - limit / 4 : 0;
    uint64_t wait_ns = expecting ? EXPECTING_NS : room * 1000000 / PACE_PAGES_PER_MS;
    return now_ns + min_u64(max_u64(wait_ns, LOOK_NS_MIN), LOOK_NS_MAX);
}
