/* SPDX-License-Identifier: BSD-3-Clause
 * unnamed - a file of this process that has no name any more: the kernel shows it all the same. */
#ifndef FARPAGE_TESTS_UNIT_STORAGE_UNNAMED_H
#define FARPAGE_TESTS_UNIT_STORAGE_UNNAMED_H
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"

/* Opens the one whose name had `part` in it. */
static inline int reopen_unnamed(const char *part)
{
    DIR *fds = opendir("/proc/self/fd");
    struct dirent *entry;
    char link[300], target[300];
    int found = -1;
    while (found < 0 && (entry = readdir(fds)) != NULL) {
        snprintf(link, sizeof link, "/proc/self/fd/%s", entry->d_name);
        ssize_t size = readlink(link, target, sizeof target - 1);
        if (size < 0) continue;
        target[size] = '\0';
        bool is_it = strstr(target, part) != NULL && strstr(target, "(deleted)") != NULL;
        if (is_it) found = open(link, O_RDWR);
    }
    closedir(fds);
    fp_assert(found >= 0);
    return found;
}

#endif
