/* SPDX-License-Identifier: BSD-3-Clause
 * Processes: children that share what was remote, programs started from one that is large. */
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/pager/exercise.h"

extern char **environ;

/* Parent and child each see their own: what one writes after the fork the other never meets. */
static void forked(size_t bytes)
{
    size_t pages = bytes / PAGE_BYTES;
    uint8_t *base = map_pages(bytes);
    pages_fill(base, 0, pages, 1);
    pid_t child = fork();
    require(child >= 0);
    if (child == 0) {
        pages_verify(base, 0, pages, 1);
        pages_fill(base, 0, pages / 2, 2);
        pages_verify(base, 0, pages / 2, 2);
        pages_verify(base, pages / 2, pages, 1);
        _exit(0);
    }
    pages_fill(base, pages / 2, pages, 3);
    pages_verify(base, 0, pages / 2, 1);
    pages_verify(base, pages / 2, pages, 3);
    require_child(child);
    pages_verify(base, 0, pages / 2, 1);
    pages_verify(base, pages / 2, pages, 3);
}

static void verify_generation(uint8_t *base, size_t pages, int depth)
{
    if (depth == 0) return;
    pid_t child = fork();
    require(child >= 0);
    if (child != 0) {
        require_child(child);
        return;
    }
    pages_verify(base, 0, pages, 1);
    verify_generation(base, pages, depth - 1);
    pages_verify(base, 0, pages, 1);
    _exit(0);
}

static void generations(size_t bytes) /* children of children; each writes nothing */
{
    size_t pages = bytes / PAGE_BYTES;
    uint8_t *base = map_pages(bytes);
    pages_fill(base, 0, pages, 1);
    verify_generation(base, pages, 3);
    pages_verify(base, 0, pages, 1);
}

/* As a server that saves itself: the child reads an old picture while the parent writes on. */
static void snapshots(size_t bytes)
{
    size_t pages = bytes / PAGE_BYTES;
    uint8_t *base = map_pages(bytes);
    pages_fill(base, 0, pages, 0);
    for (uint64_t version = 1; version <= 3; version++) {
        pid_t child = fork();
        require(child >= 0);
        if (child == 0) {
            pages_verify(base, 0, pages, version - 1);
            _exit(0);
        }
        pages_fill(base, 0, pages, version);
        pages_verify(base, 0, pages, version);
        require_child(child);
    }
}

/* A child that ends by itself or is killed while it still has everything. */
static void orphans(size_t bytes)
{
    size_t pages = bytes / PAGE_BYTES;
    uint8_t *base = map_pages(bytes);
    pages_fill(base, 0, pages, 1);
    for (int i = 0; i < 4; i++) {
        pid_t child = fork();
        require(child >= 0);
        if (child == 0) {
            if (i % 2 == 0) _exit(0);
            for (;;) pages_fill(base, 0, pages, 2);
        }
        pages_verify(base, 0, pages / 2, 1);
        if (i % 2 == 1) require(kill(child, SIGKILL) == 0);
        require(waitpid(child, NULL, 0) == child);
    }
    pages_verify(base, 0, pages, 1);
}

/* vfork's child has its parent's memory, and little time. */
static void spawned(size_t bytes)
{
    size_t pages = bytes / PAGE_BYTES;
    uint8_t *base = map_pages(bytes);
    pages_fill(base, 0, pages, 1);
    char *arguments[] = {(char[]){"true"}, NULL};
    for (int i = 0; i < 3; i++) {
        pid_t child;
        require(posix_spawn(&child, "/bin/true", NULL, NULL, arguments, environ) == 0);
        require_child(child);
        pages_verify(base, pages / 4 * (size_t)i, pages / 4 * (size_t)(i + 1), 1);
        child = vfork();
        require(child >= 0);
        if (child == 0) {
            execv("/bin/true", arguments);
            _exit(1);
        }
        require_child(child);
        require(system("exit 0") == 0); /* NOLINT: a shell is what is tested */
    }
    pages_verify(base, 0, pages, 1);
}

/* Its answer goes to our stdout, where it is compared with that of a run without farpage. */
static void piped(size_t bytes)
{
    size_t pages = bytes / PAGE_BYTES;
    uint8_t *base = map_pages(bytes);
    pages_fill(base, 0, pages, 1);
    FILE *sum = popen("cksum", "w");
    require(sum != NULL);
    require(fwrite(base, 1, bytes, sum) == bytes);
    require(pclose(sum) == 0);
    pages_verify(base, 0, pages, 1);
}

/* The program starts itself anew, some times over, each with as much memory as before. */
static void executed(size_t bytes)
{
    size_t pages = bytes / PAGE_BYTES;
    const char *left_text = getenv("EXERCISE_LEFT");
    int left = left_text != NULL ? left_text[0] - '0' : 3;
    uint8_t *base = map_pages(bytes);
    pages_fill(base, 0, pages, (uint64_t)left);
    pages_verify(base, 0, pages, (uint64_t)left);
    if (left == 0) return;
    char text[] = {(char)('0' + left - 1), 0};
    require(setenv("EXERCISE_LEFT", text, 1) == 0);
    execv("/proc/self/exe", exercise_arguments);
    exercise_failed(__FILE__, __LINE__, "execv came back");
}

const struct exercise exercises_processes[] = {
    {"forked", forked},   {"generations", generations}, {"snapshots", snapshots},
    {"orphans", orphans}, {"spawned", spawned},         {"piped", piped},
    {"executed", executed}, {NULL, NULL},
};
