/* SPDX-License-Identifier: BSD-3-Clause
 * tree - the processes of a program that is paged, from the first to the last: they come in at the
 * door with their agents, fork, become other programs, and end.
 *
 *     tree_init -> pager_create, with tree_forked and tree_ended -> tree_start -> pager_run
 *                                                                -> tree_stop -> pager_destroy
 *
 * It decides what is covered. As long as little is resident nothing is: what nobody will take
 * away need not be watched, and costs what it always does. When three quarters of the budget are
 * used, everything that is mapped is covered, the agents announce what is large and new, and growth
 * that was not announced is looked for as often as the room that is left demands.
 *
 * Threads: the pager's, but for what says "any thread".
 */
#ifndef FARPAGE_CLIENT_UFFD_TREE_H
#define FARPAGE_CLIENT_UFFD_TREE_H
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/attrs.h"
#include "client/agent/agent_door.h"
#include "client/uffd/pager.h"
#include "client/uffd/target_agent.h"

enum {
    TREE_CALLERS_MAX = 64,
    TREE_PASSING_MAX = 64,
    TREE_ANNOUNCED_PAGES = 256, /* what is smaller than 1 MiB is left to be found */
};

struct tree;

/* One process; from its hello, or a fork that the kernel told of, to its end. */
struct tree_process {
    struct target_agent target; /* first */
    struct tree *tree;
    int uffd;             /* the space's; of a child that has no agent yet */
    uint64_t id;          /* what its agent was told */
    uint64_t parent;      /* and its parent's */
    uint32_t fork;        /* which of its parent's forks it is; 0: none */
    uint32_t forking;     /* the fork of its own that is under way; 0: none */
    uint32_t child_came;  /* the last of its forks whose child has said hello */
    bool awaits_child;    /* it is thawed when the child has come, or at `thaw_by_ns` */
    uint64_t thaw_by_ns, agent_by_ns; /* UINT64_MAX: never */
    uint64_t own_from, own_to;
    int maps, statm;      /* of /proc; -1: not yet */
    uint64_t resident, unknown; /* pages: anonymous ones when last looked; not the pager's then */
    struct pager_watch bell, socket;
    struct tree_process *next;
};

/* Who has knocked and not spoken. */
struct tree_caller {
    struct pager_watch watch;
    struct tree *tree;
    bool used;
};

/* Whose agent has hung up and who lives on: it is ending, or becoming another program. */
struct tree_passing {
    int pid; /* 0: nobody */
    uint64_t by_ns;
};

struct tree {
    struct pager *pager;
    struct agent_door *door;
    struct pager_budget *budget;
    uint32_t abilities; /* of uffd.h: what every userfaultfd agrees on */
    struct pager_watch knocks;
    struct tree_caller callers[TREE_CALLERS_MAX];
    struct tree_process *processes;
    uint64_t last_id;
    bool covering;
    uint64_t shared_pages; /* resident in several at once, and not the pager's */
    uint64_t shared_by_ns; /* when to look again */
    struct tree_passing passing[TREE_PASSING_MAX];
    uint32_t unborn;      /* children of forks that are over, which have not said hello yet */
    uint64_t born_by_ns;
    _Atomic uint32_t expected; /* passing and unborn ones together. Any thread */
    _Atomic uint64_t resident_pages, resident_pages_peak; /* anonymous, of all. Any thread */
    _Atomic uint64_t away_pages_peak;                     /* of all. Any thread */
    _Atomic uint32_t count, ever;                         /* of processes. Any thread */
    /* Something a person should know, without a line end. */
    void (*say)(void *context, const char *line);
    void *context;
};

void tree_init(struct tree *tree, struct agent_door *door, struct pager_budget *budget,
               uint32_t abilities) FP_NONNULL(1, 2, 3);
void tree_start(struct tree *tree, struct pager *pager) FP_NONNULL(1, 2);
void tree_stop(struct tree *tree) FP_NONNULL(1); /* while the pager does not run */

/* Any process is left, or may be on its way. Any thread. */
static inline bool tree_lives(const struct tree *tree)
{
    return atomic_load(&tree->count) > 0 || atomic_load(&tree->expected) > 0;
}

/* Sends every process a signal. */
void tree_signal(const struct tree *tree, int number) FP_NONNULL(1);

/* For struct pager_options, whose context is the tree. */
struct target *tree_forked(void *tree, struct space *parent, int uffd);
void tree_ended(void *tree, struct space *space);

/* Who was expected and did not come by now is expected no more. True: somebody still is. */
bool tree_give_up(struct tree *tree, uint64_t now_ns) FP_NONNULL(1);

/* --- tree_passing.c --------------------------------------------------------------------------- */

/* Between two programs, or between a fork and its hello, a process is nobody's. Whoever waits for
 * the last one waits for these too, a little. */
void tree_passing_left(struct tree *tree, int pid) FP_NONNULL(1);
void tree_passing_forked(struct tree *tree, uint32_t children) FP_NONNULL(1);
void tree_passing_came(struct tree *tree, int pid, bool forked) FP_NONNULL(1);
bool tree_passing_look(struct tree *tree, uint64_t now_ns) FP_NONNULL(1); /* true: one is left */

/* --- tree_watch.c --------------------------------------------------------------------------- */

/* Opens what is looked at in /proc; 0 or an errno. */
int tree_watch_open(struct tree_process *process) FP_MUST_CHECK FP_NONNULL(1);
void tree_watch_close(struct tree_process *process) FP_NONNULL(1);

/* Looks how much is resident, covers what has to be; when to look again. For pager_alarm. */
uint64_t tree_watch(void *tree, uint64_t now_ns);

/* Of the program's own threads; 0: it is ending. */
unsigned tree_threads(const struct tree_process *process) FP_NONNULL(1);

/* Covers what is mapped there now. */
void tree_cover(struct tree_process *process) FP_NONNULL(1);

/* A line to who listens, "process PID (NAME): ..." */
void tree_say(struct tree *tree, int pid, const char *format, ...) FP_PRINTF(3, 4)
    FP_NONNULL(1, 3);

#endif
