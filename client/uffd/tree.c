/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Two ways lead in. A program that was started says hello and brings its userfaultfd. A forked
 * child was there before: where the kernel tells of forks, its space is made when the fork is read,
 * before the child can run, and its hello brings it its agent; else its hello brings the
 * userfaultfd, and its parent stays frozen until then, so that both begin with the same pages. */
#include "client/uffd/tree.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "client/uffd/space.h"
#include "client/uffd/uffd.h"

#define CHILD_NS 5000000000ull /* how long a forked child may take to say hello */

/* --- processes ------------------------------------------------------------------------------ */

static void unlink_process(struct tree_process *process)
{
    struct tree_process **at = &process->tree->processes;
    while (*at != process) at = &(*at)->next;
    *at = process->next;
    atomic_fetch_sub(&process->tree->count, 1);
}

/* The last of a process: its target is destroyed, with its space or because none was made. */
static void target_destroyed(struct target_agent *target)
{
    struct tree_process *process = (struct tree_process *)(void *)target;
    unlink_process(process);
    tree_watch_close(process);
    free(process);
}

static void unwatch(struct tree_process *process)
{
    if (process->bell.fd >= 0) pager_unwatch(process->tree->pager, &process->bell);
    if (process->socket.fd >= 0) pager_unwatch(process->tree->pager, &process->socket);
    process->bell.fd = process->socket.fd = -1;
}

static struct tree_process *new_process(struct tree *tree)
{
    struct tree_process *process = calloc(1, sizeof *process);
    if (process == NULL) return NULL;
    target_agent_init(&process->target, target_destroyed);
    process->tree = tree;
    process->id = ++tree->last_id;
    process->uffd = process->maps = process->statm = process->bell.fd = process->socket.fd = -1;
    process->thaw_by_ns = process->agent_by_ns = UINT64_MAX;
    process->next = tree->processes;
    tree->processes = process;
    atomic_fetch_add(&tree->count, 1);
    atomic_fetch_add(&tree->ever, 1);
    return process;
}

static struct tree_process *process_of(struct tree *tree, uint64_t id)
{
    struct tree_process *process = tree->processes;
    while (process != NULL && process->id != id) process = process->next;
    return process;
}

static struct tree_process *child_of(struct tree *tree, uint64_t parent, uint32_t fork)
{
    struct tree_process *process = tree->processes;
    for (; process != NULL; process = process->next) {
        if (process->parent == parent && process->fork == fork && !process->target.linked) break;
    }
    return process;
}

/* It was never adopted. */
static void discard(struct tree_process *process)
{
    process->target.target.table->destroy(&process->target.target);
}

void tree_ended(void *context, struct space *space)
{
    struct tree_process *process = space_context(space);
    (void)context;
    if (process != NULL) unwatch(process);
}

/* Destroys the target, and so the process. */
static void end(struct tree_process *process)
{
    unwatch(process);
    pager_release(process->target.target.space);
}

/* --- asks ----------------------------------------------------------------------------------- */

static void frozen(void *context)
{
    struct tree_process *process = context;
    if (process->target.linked) agent_link_answer(&process->target.link);
}

static void thaw(struct tree_process *process)
{
    process->awaits_child = false;
    process->thaw_by_ns = UINT64_MAX;
    if (process->forking == 0) return;
    process->forking = 0;
    space_thaw(process->target.target.space);
    agent_link_answer(&process->target.link);
}

static void answer(struct tree_process *process, const struct agent_wish *wish)
{
    struct tree *tree = process->tree;
    if (wish->kind == AGENT_ASK_FREEZE && process->forking == 0 && wish->fork != 0) {
        process->forking = wish->fork;
        tree_passing_forked(tree, 1);
        space_freeze(process->target.target.space, frozen, process); /* answers, now or later */
        return;
    }
    if (wish->kind == AGENT_ASK_THAW && process->forking != 0) {
        tree_passing_forked(tree, 0);
        bool follows = (tree->abilities & UFFD_FORKS) != 0;
        process->awaits_child = !follows && process->child_came != process->forking;
        if (process->awaits_child)
            process->thaw_by_ns = clock_monotonic_ns() + CHILD_NS;
        else
            thaw(process);
        return;
    }
    if (wish->kind == AGENT_ASK_MAPPED && tree->covering) tree_cover(process);
    agent_link_answer(&process->target.link);
}

static void bell_rings(struct pager_watch *watch, short revents)
{
    struct tree_process *process = watch->context;
    struct agent_wish wish;
    (void)revents;
    target_agent_ready(&process->target); /* empties the bell, so that what rang is looked for */
    if (agent_link_wish(&process->target.link, &wish)) answer(process, &wish);
}

/* The process ended, or is another program now. Nobody speaks on that socket any more. */
static void hangs_up(struct pager_watch *watch, short revents)
{
    struct tree_process *process = watch->context;
    (void)revents;
    tree_passing_left(process->tree, process->target.target.pid);
    end(process);
}

/* --- hello ---------------------------------------------------------------------------------- */

static bool link_up(struct tree_process *process, struct agent_guest *guest, int uffd)
{
    struct tree *tree = process->tree;
    struct target_agent *target = &process->target;
    int error = agent_link_open(&target->link, guest, process->id, uffd);
    if (error != 0) {
        tree_say(tree, guest->pid, "its agent cannot be spoken to: %s", strerror(error));
        return false;
    }
    process->own_from = guest->hello.own_from;
    process->own_to = guest->hello.own_to;
    process->agent_by_ns = UINT64_MAX;
    process->bell = (struct pager_watch){.fd = target->link.bell, .events = POLLIN,
                                         .ready = bell_rings, .context = process};
    process->socket = (struct pager_watch){.fd = target->link.socket, .events = POLLIN | POLLRDHUP,
                                           .ready = hangs_up, .context = process};
    pager_watch(tree->pager, &process->bell);
    pager_watch(tree->pager, &process->socket);
    if (tree->covering) {
        agent_link_announce(&target->link, TREE_ANNOUNCED_PAGES);
        tree_cover(process);
    }
    target_agent_linked(target);
    bell_rings(&process->bell, 0);
    return true;
}

/* 0 or an errno, and then the gifts are still the guest's. */
static int take_gifts(struct tree_process *process, struct agent_guest *guest, int *uffd)
{
    uint32_t abilities = process->tree->abilities;
    int trash = guest->gifts[AGENT_GIFT_TRASH];
    *uffd = guest->gifts[AGENT_GIFT_UFFD];
    int error = target_agent_find(&process->target, guest->pid);
    if (error == 0) error = tree_watch_open(process);
    if (error == 0) error = uffd_agree(*uffd, abilities);
    if (error == 0) error = uffd_agree(trash, abilities & UFFD_MOVE);
    if (error != 0) return error;
    if ((abilities & UFFD_MOVE) != 0) {
        target_agent_stage(&process->target, *uffd, trash, guest->hello.stage_from);
        guest->gifts[AGENT_GIFT_TRASH] = -1;
    }
    return 0;
}

static struct space *adopt(struct tree_process *process, struct tree_process *parent, int uffd)
{
    struct tree *tree = process->tree;
    struct target *target = &process->target.target;
    struct space *space =
        parent == NULL ? pager_adopt(tree->pager, uffd, tree->abilities, target)
                       : pager_adopt_child(parent->target.target.space, uffd, tree->abilities,
                                           target);
    if (space != NULL) space_set_context(space, process);
    return space;
}

/* A program that was started, or a child of a fork that the kernel does not tell of. */
static void take_in(struct tree *tree, struct tree_process *parent, struct agent_guest *guest)
{
    int uffd, error = guest->hello.error;
    enum agent_verdict verdict = parent != NULL ? AGENT_UNWANTED : AGENT_LEFT;
    struct tree_process *process = error == 0 ? new_process(tree) : NULL;
    if (process == NULL && error == 0) error = ENOMEM;
    if (error == 0) error = take_gifts(process, guest, &uffd);
    if (error == 0) {
        if (adopt(process, parent, uffd) == NULL) error = errno;
    }
    if (error != 0) {
        tree_say(tree, guest->pid, "%s: %s",
                 parent != NULL ? "it cannot be paged as its parent is, and ends"
                                : "it is not paged, all of its memory stays here",
                 strerror(error));
        if (process != NULL) discard(process);
        agent_guest_refuse(guest, verdict);
        return;
    }
    guest->gifts[AGENT_GIFT_UFFD] = -1;
    if (guest->hello.fork != 0) space_may_share(process->target.target.space);
    if (parent != NULL) process->parent = parent->id;
    process->fork = guest->hello.fork;
    if (link_up(process, guest, -1)) {
        agent_guest_forget(guest); /* the trash's, where nothing can be moved */
    } else {
        end(process);
        agent_guest_refuse(guest, verdict);
    }
}

static void given_child_says_hello(struct tree_process *child, struct agent_guest *guest)
{
    int error = target_agent_find(&child->target, guest->pid);
    if (error == 0) error = tree_watch_open(child);
    if (error == 0) space_set_context(child->target.target.space, child);
    if (error == 0 && link_up(child, guest, child->uffd)) {
        agent_guest_forget(guest); /* its gifts are not needed */
        return;
    }
    tree_say(child->tree, guest->pid, "it cannot be paged as its parent is, and ends: %s",
             strerror(error));
    agent_guest_refuse(guest, AGENT_UNWANTED);
}

static void child_says_hello(struct tree *tree, struct agent_guest *guest)
{
    struct tree_process *parent = process_of(tree, guest->hello.parent);
    struct tree_process *child = child_of(tree, guest->hello.parent, guest->hello.fork);
    if (child != NULL) {
        given_child_says_hello(child, guest);
    } else if ((tree->abilities & UFFD_FORKS) != 0) {
        if (parent != NULL) space_may_share(parent->target.target.space);
        take_in(tree, NULL, guest); /* nothing was registered, so nothing is missing */
    } else if (parent != NULL && tree_threads(parent) > 1) {
        tree_say(tree, guest->pid, "a fork of a program with threads takes CAP_SYS_PTRACE (root): "
                 "libc has used memory of it that is away, and it ends");
        agent_guest_refuse(guest, AGENT_UNWANTED);
        parent->child_came = parent->forking;
        if (parent->awaits_child) thaw(parent);
    } else if (parent != NULL && parent->forking == guest->hello.fork) {
        take_in(tree, parent, guest);
        parent->child_came = parent->forking;
        if (parent->awaits_child) thaw(parent);
    } else {
        tree_say(tree, guest->pid, "what it was forked from is gone, and it ends");
        agent_guest_refuse(guest, AGENT_UNWANTED);
    }
}

static void speaks(struct pager_watch *watch, short revents)
{
    struct tree_caller *caller = watch->context;
    struct tree *tree = caller->tree;
    struct agent_guest guest;
    (void)revents;
    int socket = watch->fd;
    pager_unwatch(tree->pager, watch);
    caller->used = false;
    if (!agent_door_hear(tree->door, socket, &guest)) return;
    tree_passing_came(tree, guest.pid, guest.hello.fork != 0);
    if (guest.hello.fork == 0)
        take_in(tree, NULL, &guest);
    else
        child_says_hello(tree, &guest);
}

static void knocks(struct pager_watch *watch, short revents)
{
    struct tree *tree = watch->context;
    (void)revents;
    struct tree_caller *caller = NULL;
    for (int i = 0; i < TREE_CALLERS_MAX && caller == NULL; i++) {
        if (!tree->callers[i].used) caller = &tree->callers[i];
    }
    int socket = agent_door_answer(tree->door);
    if (socket < 0) return;
    if (caller == NULL) { /* so many who know the way and say nothing: none of ours */
        close(socket);
        return;
    }
    caller->used = true;
    caller->tree = tree;
    caller->watch = (struct pager_watch){.fd = socket, .events = POLLIN, .ready = speaks,
                                         .context = caller};
    pager_watch(tree->pager, &caller->watch);
}

/* --- forks ---------------------------------------------------------------------------------- */

struct target *tree_forked(void *context, struct space *space, int uffd)
{
    struct tree *tree = context;
    const struct tree_process *parent = space_context(space);
    struct tree_process *child = parent != NULL ? new_process(tree) : NULL;
    if (child == NULL) return NULL;
    child->uffd = uffd;
    child->parent = parent->id;
    child->fork = parent->forking; /* 0: of a call that told nobody, so that no agent will come */
    child->agent_by_ns = clock_monotonic_ns() + CHILD_NS;
    child->own_from = parent->own_from;
    child->own_to = parent->own_to;
    return &child->target.target;
}

/* --- begin and end -------------------------------------------------------------------------- */

void tree_init(struct tree *tree, struct agent_door *door, struct pager_budget *budget,
               uint32_t abilities)
{
    *tree = (struct tree){.door = door, .budget = budget, .abilities = abilities};
}

void tree_start(struct tree *tree, struct pager *pager)
{
    tree->pager = pager;
    tree->knocks = (struct pager_watch){.fd = tree->door->fd, .events = POLLIN, .ready = knocks,
                                        .context = tree};
    pager_watch(pager, &tree->knocks);
    pager_alarm(pager, clock_monotonic_ns(), tree_watch, tree);
}

void tree_stop(struct tree *tree)
{
    pager_unwatch(tree->pager, &tree->knocks);
    for (int i = 0; i < TREE_CALLERS_MAX; i++) {
        if (!tree->callers[i].used) continue;
        pager_unwatch(tree->pager, &tree->callers[i].watch);
        close(tree->callers[i].watch.fd);
    }
    for (struct tree_process *process = tree->processes, *next; process != NULL; process = next) {
        next = process->next;
        end(process);
    }
}

void tree_signal(const struct tree *tree, int number)
{
    const struct tree_process *process = tree->processes;
    for (; process != NULL; process = process->next) {
        if (process->target.target.pid > 0) (void)kill(process->target.target.pid, number);
    }
}

/* --- what did not come ---------------------------------------------------------------------- */

bool tree_give_up(struct tree *tree, uint64_t now_ns)
{
    for (struct tree_process *process = tree->processes; process != NULL; process = process->next) {
        if (now_ns >= process->thaw_by_ns) thaw(process); /* the fork has failed */
        if (now_ns < process->agent_by_ns) continue;
        process->agent_by_ns = UINT64_MAX; /* its pages come back, and none is taken out any more */
        target_agent_lost(&process->target);
    }
    return tree_passing_look(tree, now_ns);
}
