/* SPDX-License-Identifier: BSD-3-Clause */
#include "tests/bench/pageset.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/crc32c.h"

static bool say(const char *path, const char *what)
{
    fprintf(stderr, "bench: %s: %s\n", path, what);
    return false;
}

static bool read_all(int fd, uint8_t *bytes, size_t size_bytes)
{
    while (size_bytes > 0) {
        ssize_t got = read(fd, bytes, size_bytes);
        if (got < 0 && errno == EINTR) continue;
        if (got <= 0) return false;
        bytes += got;
        size_bytes -= (size_t)got;
    }
    return true;
}

static bool append(struct pageset *pages, int fd, const char *path)
{
    struct stat stat;
    if (fstat(fd, &stat) != 0) return say(path, strerror(errno));
    if (!S_ISREG(stat.st_mode) || stat.st_size == 0 || stat.st_size % PAGESET_PAGE_BYTES != 0)
        return say(path, "not a file of whole 4096-byte pages");
    uint64_t more = (uint64_t)stat.st_size / PAGESET_PAGE_BYTES;
    if (more > UINT32_MAX / 2 - pages->count) return say(path, "too many pages");
    size_t held = (size_t)pages->count * PAGESET_PAGE_BYTES;
    uint8_t *bytes = realloc(pages->bytes, held + (size_t)stat.st_size);
    if (bytes == NULL) return say(path, "out of memory");
    pages->bytes = bytes;
    if (!read_all(fd, bytes + held, (size_t)stat.st_size)) return say(path, "cannot be read");
    pages->count += (uint32_t)more;
    return true;
}

static bool is_same_filled(const struct pageset *pages, uint32_t index)
{
    const uint8_t *page = pageset_page(pages, index);
    return memcmp(page, page + sizeof(uint64_t), pages->value_bytes - sizeof(uint64_t)) == 0;
}

bool pageset_read(char *const *paths, int path_count, struct pageset *pages)
{
    *pages = (struct pageset){.value_bytes = PAGESET_PAGE_BYTES};
    for (int i = 0; i < path_count; i++) {
        int fd = open(paths[i], O_RDONLY | O_CLOEXEC);
        if (fd < 0) return say(paths[i], strerror(errno));
        bool good = append(pages, fd, paths[i]);
        close(fd);
        if (!good) return false;
    }
    if (pages->count == 0) return say("pages", "no file was named");
    return pageset_cut(pages, PAGESET_PAGE_BYTES);
}

bool pageset_cut(struct pageset *pages, uint32_t value_bytes)
{
    uint64_t all_bytes = (uint64_t)pages->count * pages->value_bytes;
    if (value_bytes <= sizeof(uint64_t) || value_bytes > all_bytes)
        return say("pages", "not enough for one value");
    pages->value_bytes = value_bytes;
    pages->count = (uint32_t)(all_bytes / value_bytes);
    pages->same_filled = 0;
    free(pages->crcs);
    pages->crcs = calloc(pages->count, sizeof *pages->crcs);
    if (pages->crcs == NULL) return say("pages", "out of memory");
    for (uint32_t i = 0; i < pages->count; i++) {
        pages->crcs[i] = crc32c(pageset_page(pages, i), value_bytes);
        pages->same_filled += is_same_filled(pages, i);
    }
    return true;
}

void pageset_free(struct pageset *pages)
{
    free(pages->bytes);
    free(pages->crcs);
    *pages = (struct pageset){0};
}
