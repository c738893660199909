/* SPDX-License-Identifier: BSD-3-Clause */
#include "client/cli/pagefile.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/arith.h"
#include "base/number.h"

bool pagefile_open(struct pagefile *file, const char *path, struct complaint *complaint)
{
    *file = (struct pagefile){.path = path};
    file->fd = open(path, O_RDONLY | O_CLOEXEC);
    if (file->fd < 0) {
        complain_errno(complaint, errno, "cannot open '%.100s'", path);
        return false;
    }
    struct stat about;
    off_t end = lseek(file->fd, 0, SEEK_END); /* a block device has no size in its stat */
    bool is_file = fstat(file->fd, &about) == 0 &&
                   (S_ISREG(about.st_mode) || S_ISBLK(about.st_mode)) && end >= 0;
    if (is_file) {
        file->size_bytes = (uint64_t)end;
        return true;
    }
    complain(complaint, "'%.100s' is not a file with a size", path);
    close(file->fd);
    return false;
}

bool pagefile_create(struct pagefile *file, const char *path, struct complaint *complaint)
{
    *file = (struct pagefile){.path = path};
    bool standard = strcmp(path, "-") == 0;
    file->fd =
        standard ? dup(STDOUT_FILENO) : open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (file->fd < 0) {
        complain_errno(complaint, errno, "cannot write '%.100s'", path);
        return false;
    }
    /* Standard output may be a file that others have written to: it is written in order too. */
    file->is_stream = standard || lseek(file->fd, 0, SEEK_CUR) < 0;
    return true;
}

bool pagefile_close(struct pagefile *file, struct complaint *complaint)
{
    int fd = file->fd;
    file->fd = -1;
    if (close(fd) == 0 || errno == EINTR) return true;
    complain_errno(complaint, errno, "writing '%.100s'", file->path);
    return false;
}

uint64_t pagefile_pages(const struct pagefile *file, uint32_t page_bytes, bool pad,
                        struct complaint *complaint)
{
    char page[NUMBER_TEXT_BYTES];
    number_size_text(page_bytes, page);
    if (file->size_bytes == 0) {
        complain(complaint, "'%.100s' is empty", file->path);
        return 0;
    }
    uint64_t over = file->size_bytes % page_bytes;
    if (over != 0 && !pad) {
        complain(complaint,
                 "'%.100s' has %llu bytes, no whole number of %s pages (%llu are over); --pad "
                 "fills the last page with zeros",
                 file->path, (unsigned long long)file->size_bytes, page, (unsigned long long)over);
        return 0;
    }
    return div_up_u64(file->size_bytes, page_bytes);
}

bool pagefile_read(const struct pagefile *file, const struct piece *piece,
                   struct complaint *complaint)
{
    size_t bytes = (size_t)piece->count * piece->page_bytes;
    uint64_t at = piece->first * piece->page_bytes;
    uint64_t left = at < file->size_bytes ? file->size_bytes - at : 0;
    size_t wanted = (size_t)min_u64(bytes, left);
    size_t have = 0;
    while (have < wanted) {
        ssize_t got = pread(file->fd, piece->pages + have, wanted - have, (off_t)(at + have));
        if (got < 0 && errno == EINTR) continue;
        if (got > 0) {
            have += (size_t)got;
            continue;
        }
        if (got < 0)
            complain_errno(complaint, errno, "reading '%.100s'", file->path);
        else
            complain(complaint, "'%.100s' became shorter while it was read", file->path);
        return false;
    }
    memset(piece->pages + have, 0, bytes - have);
    return true;
}

static bool write_all(const struct pagefile *file, const uint8_t *bytes, size_t count, uint64_t at,
                      struct complaint *complaint)
{
    while (count > 0) {
        ssize_t put = file->is_stream ? write(file->fd, bytes, count)
                                      : pwrite(file->fd, bytes, count, (off_t)at);
        if (put < 0 && errno == EINTR) continue;
        if (put < 0) {
            complain_errno(complaint, errno, "writing '%.100s'", file->path);
            return false;
        }
        bytes += put;
        at += (uint64_t)put;
        count -= (size_t)put;
    }
    return true;
}

bool pagefile_write(const struct pagefile *file, const struct piece *piece,
                    struct complaint *complaint)
{
    uint32_t begun = 0;
    while (begun < piece->count) {
        bool hole = piece->absent[begun] && !file->is_stream;
        uint32_t end = begun + 1;
        while (end < piece->count && (piece->absent[end] && !file->is_stream) == hole) end++;
        size_t offset = (size_t)begun * piece->page_bytes;
        size_t bytes = (size_t)(end - begun) * piece->page_bytes;
        uint64_t at = piece->first * piece->page_bytes + offset;
        if (!hole && !write_all(file, piece->pages + offset, bytes, at, complaint)) return false;
        begun = end;
    }
    return true;
}

bool pagefile_extend(const struct pagefile *file, uint64_t size_bytes, struct complaint *complaint)
{
    struct stat about;
    if (file->is_stream) return true;
    if (fstat(file->fd, &about) == 0 && !S_ISREG(about.st_mode)) return true;
    if (ftruncate(file->fd, (off_t)size_bytes) == 0) return true;
    complain_errno(complaint, errno, "writing '%.100s'", file->path);
    return false;
}
