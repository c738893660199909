/* SPDX-License-Identifier: BSD-3-Clause */
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "client/uffd/tree.h"

#define EXEC_NS 2000000000ull /* for the loader of a program on a busy machine */
#define BIRTH_NS 1000000000ull

static void count(struct tree *tree)
{
    uint32_t expected = tree->unborn;
    for (int i = 0; i < TREE_PASSING_MAX; i++) expected += tree->passing[i].pid != 0;
    atomic_store(&tree->expected, expected);
}

/* Also where nobody has waited for it yet. */
static bool has_ended(int pid)
{
    char text[256];
    int fd = target_agent_open(pid, "stat");
    if (fd < 0) return true;
    ssize_t got = read(fd, text, sizeof text - 1);
    close(fd);
    text[got > 0 ? (size_t)got : 0] = '\0';
    const char *name_end = strrchr(text, ')'); /* a name may hold anything */
    return name_end == NULL || name_end[1] == '\0' || name_end[2] == 'Z' || name_end[2] == 'X';
}

void tree_passing_left(struct tree *tree, int pid)
{
    for (int i = 0; i < TREE_PASSING_MAX; i++) {
        if (tree->passing[i].pid != 0) continue;
        tree->passing[i] = (struct tree_passing){pid, clock_monotonic_ns() + EXEC_NS};
        break;
    }
    count(tree);
}

/* Told before the fork, and with 0 after it: from then on it may not take long. */
void tree_passing_forked(struct tree *tree, uint32_t children)
{
    tree->unborn += children;
    tree->born_by_ns = clock_monotonic_ns() + BIRTH_NS;
    count(tree);
}

void tree_passing_came(struct tree *tree, int pid, bool forked)
{
    if (forked && tree->unborn > 0) tree->unborn--;
    for (int i = 0; i < TREE_PASSING_MAX; i++) {
        if (tree->passing[i].pid == pid) tree->passing[i].pid = 0;
    }
    count(tree);
}

bool tree_passing_look(struct tree *tree, uint64_t now_ns)
{
    if (atomic_load(&tree->expected) == 0) return false;
    if (now_ns >= tree->born_by_ns) tree->unborn = 0; /* the fork failed */
    for (int i = 0; i < TREE_PASSING_MAX; i++) {
        struct tree_passing *passing = &tree->passing[i];
        if (passing->pid == 0) continue;
        if (has_ended(passing->pid)) {
            passing->pid = 0;
        } else if (now_ns >= passing->by_ns) {
            tree_say(tree, passing->pid, "no agent can be loaded into this program: it is not "
                     "paged, all of its memory stays here");
            passing->pid = 0;
        }
    }
    count(tree);
    return atomic_load(&tree->expected) > 0;
}
