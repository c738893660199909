/* SPDX-License-Identifier: BSD-3-Clause */
#include "server/memory/psi.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/number.h"

enum { TEXT_BYTES = 4096 };

/* --- what the files say ----------------------------------------------------------------------- */

static bool next_line(struct slice *text, struct slice *line)
{
    if (text->size_bytes == 0) return false;
    const uint8_t *end = memchr(text->bytes, '\n', text->size_bytes);
    size_t size = end != NULL ? (size_t)(end - text->bytes) : text->size_bytes;
    size_t used = end != NULL ? size + 1 : size;
    *line = slice_of(text->bytes, size);
    *text = slice_of(text->bytes + used, text->size_bytes - used);
    return true;
}

static bool begins(struct slice line, const char *with, struct slice *rest)
{
    size_t size = strlen(with);
    if (line.size_bytes < size || memcmp(line.bytes, with, size) != 0) return false;
    *rest = slice_of(line.bytes + size, line.size_bytes - size);
    return true;
}

bool psi_parse(struct slice text, uint64_t *stalled_us)
{
    struct slice line, rest;
    while (next_line(&text, &line)) {
        if (!begins(line, "some ", &rest)) continue;
        for (; rest.size_bytes > 0; rest = slice_of(rest.bytes + 1, rest.size_bytes - 1)) {
            struct slice number;
            if (begins(rest, " total=", &number)) return number_wire_u64(number, stalled_us);
        }
    }
    return false;
}

struct slice psi_cgroup(struct slice text)
{
    struct slice line, path;
    while (next_line(&text, &line))
        if (begins(line, "0::", &path)) return path;
    return slice_of("", 0);
}

/* --- finding it ------------------------------------------------------------------------------- */

static struct slice read_file(int fd, char text[TEXT_BYTES])
{
    ssize_t got = fd >= 0 ? pread(fd, text, TEXT_BYTES, 0) : -1;
    return slice_of(text, got > 0 ? (size_t)got : 0);
}

static bool try_path(struct psi *psi, const char *path)
{
    uint64_t ignored;
    snprintf(psi->path, sizeof psi->path, "%s", path);
    psi->fd = open(path, O_RDONLY | O_CLOEXEC);
    if (psi->fd >= 0 && psi_stalled_us(psi, &ignored)) return true;
    psi_close(psi);
    return false;
}

static bool try_cgroup(struct psi *psi, const char *mount, struct slice group)
{
    char path[PSI_PATH_BYTES];
    int size = snprintf(path, sizeof path, "%s%.*s/memory.pressure", mount,
                        (int)group.size_bytes, (const char *)group.bytes);
    return size > 0 && (size_t)size < sizeof path && try_path(psi, path);
}

bool psi_open(struct psi *psi)
{
    char text[TEXT_BYTES];
    psi->fd = -1;
    psi->path[0] = '\0';
#if FARPAGE_DEBUG_HOOKS
    const char *fake = getenv("FARPAGE_PRESSURE_FILE");
    if (fake != NULL) return try_path(psi, fake);
#endif
    int fd = open("/proc/self/cgroup", O_RDONLY | O_CLOEXEC);
    struct slice group = psi_cgroup(read_file(fd, text));
    if (fd >= 0) close(fd);
    if (group.size_bytes == 1) group.size_bytes = 0; /* "/" */
    if (try_cgroup(psi, "/sys/fs/cgroup", group)) return true;
    if (try_cgroup(psi, "/sys/fs/cgroup/unified", group)) return true;
    return try_path(psi, "/proc/pressure/memory");
}

void psi_close(struct psi *psi)
{
    if (psi->fd >= 0) close(psi->fd);
    psi->fd = -1;
    psi->path[0] = '\0';
}

bool psi_stalled_us(const struct psi *psi, uint64_t *stalled_us)
{
    char text[TEXT_BYTES];
    return psi->fd >= 0 && psi_parse(read_file(psi->fd, text), stalled_us);
}
