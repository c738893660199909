/* SPDX-License-Identifier: BSD-3-Clause
 *
 * A limit of any group above binds too. Within a container its own group may be all there is to be
 * seen, mounted as the root, while /proc names it by the path that it has outside: so a path that
 * is not there is cut from its end until one is. */
#include "server/memory/container.h"

#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/arith.h"
#include "base/number.h"

enum { TEXT_BYTES = 4096, MIB = 1 << 20 };

/* Version 1 has no word for "no limit" but the largest number of whole pages. */
#define NO_LIMIT_BYTES ((uint64_t)1 << 60)

static bool read_text(const char *path, char text[TEXT_BYTES])
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return false;
    ssize_t got = read(fd, text, TEXT_BYTES - 1);
    close(fd);
    if (got < 0) return false;
    text[got] = '\0';
    return true;
}

/* The number in a file; 0 where there is none, or it means no limit. */
static uint64_t limit_in(const char *path)
{
    char text[TEXT_BYTES];
    uint64_t bytes;
    if (!read_text(path, text)) return 0;
    text[strcspn(text, "\n")] = '\0';
    if (!number_u64(slice_text(text), &bytes) || bytes >= NO_LIMIT_BYTES) return 0;
    return bytes;
}

static void take_less(uint64_t *least, uint64_t bytes)
{
    if (bytes != 0 && (*least == 0 || bytes < *least)) *least = bytes;
}

/* The least limit of `group` and all above it, in a hierarchy mounted at `mount`. */
static uint64_t limit_of(const char *mount, const char *group, const char *file)
{
    char path[PATH_MAX], at[PATH_MAX];
    uint64_t least = 0;
    snprintf(at, sizeof at, "%s", group);
    for (;;) {
        int size = snprintf(path, sizeof path, "%s%s/%s", mount, at, file);
        if (size > 0 && (size_t)size < sizeof path) take_less(&least, limit_in(path));
        char *slash = strrchr(at, '/');
        if (slash == NULL) return least;
        *slash = '\0';
    }
}

/* "4:memory,hugetlb:/path": is it version 1's of memory? */
static bool has_memory(const char *controllers, size_t size)
{
    static const char name[] = "memory";
    for (size_t at = 0; at < size;) {
        size_t word = 0;
        while (at + word < size && controllers[at + word] != ',') word++;
        if (word == sizeof name - 1 && memcmp(controllers + at, name, word) == 0) return true;
        at += word + 1;
    }
    return false;
}

static uint64_t limit_of_line(const char *root, const char *line)
{
    char mount[PATH_MAX];
    const char *first = strchr(line, ':');
    const char *second = first != NULL ? strchr(first + 1, ':') : NULL;
    uint64_t least = 0;
    if (second == NULL) return 0;
    const char *group = strcmp(second + 1, "/") == 0 ? "" : second + 1;
    if (second == first + 1) { /* version 2, alone or beside version 1 */
        snprintf(mount, sizeof mount, "%s/sys/fs/cgroup", root);
        take_less(&least, limit_of(mount, group, "memory.max"));
        snprintf(mount, sizeof mount, "%s/sys/fs/cgroup/unified", root);
        take_less(&least, limit_of(mount, group, "memory.max"));
    } else if (has_memory(first + 1, (size_t)(second - first) - 1)) {
        snprintf(mount, sizeof mount, "%s/sys/fs/cgroup/memory", root);
        take_less(&least, limit_of(mount, group, "memory.limit_in_bytes"));
    }
    return least;
}

uint64_t container_memory_bytes(const char *root)
{
    char path[PATH_MAX], text[TEXT_BYTES];
    uint64_t least = 0;
    snprintf(path, sizeof path, "%s/proc/self/cgroup", root);
    if (!read_text(path, text)) return 0;
    for (char *line = text, *next; *line != '\0'; line = next) {
        size_t size = strcspn(line, "\n");
        next = line[size] == '\n' ? line + size + 1 : line + size;
        line[size] = '\0';
        take_less(&least, limit_of_line(root, line));
    }
    return least;
}

uint64_t container_usual_memory_bytes(uint64_t container_bytes, uint64_t machine_bytes,
                                      uint64_t usual_bytes)
{
    uint64_t bytes = container_bytes != 0 ? container_bytes / 5 * 4 : usual_bytes;
    if (machine_bytes != 0) bytes = min_u64(bytes, machine_bytes / 5 * 4);
    return bytes / MIB * MIB;
}

uint64_t container_machine_bytes(void)
{
    long pages = sysconf(_SC_PHYS_PAGES), page_bytes = sysconf(_SC_PAGESIZE);
    return pages > 0 && page_bytes > 0 ? (uint64_t)pages * (uint64_t)page_bytes : 0;
}
