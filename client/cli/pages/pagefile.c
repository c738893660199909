/* SPDX-License-Identifier: BSD-3-Clause
 *
 * A file that is written has two lives: .farpage-XXXX in the same folder until it is whole, then
 * one rename gives it its name. Whoever looks at the name sees the old bytes or all new ones. */
#include "client/cli/pages/pagefile.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
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

/* --- a file that is written ----------------------------------------------------------------- */

/* The folder's part of `path` with its last slash, and behind it a name that nobody uses. */
static char *temporary_name(const char *path)
{
    enum { NAME_BYTES = 40 };
    const char *slash = strrchr(path, '/');
    size_t folder_bytes = slash != NULL ? (size_t)(slash - path) + 1 : 0;
    uint64_t random;
    if (getrandom(&random, sizeof random, 0) != sizeof random) return NULL;
    char *name = malloc(folder_bytes + NAME_BYTES);
    if (name == NULL) return NULL;
    memcpy(name, path, folder_bytes);
    snprintf(name + folder_bytes, NAME_BYTES, ".farpage-%016" PRIx64, random);
    return name;
}

/* Opens the file beside file->target; it gets the old one's mode, where there is an old one. */
static bool open_beside(struct pagefile *file, const struct stat *old, struct complaint *complaint)
{
    file->temporary = file->target != NULL ? temporary_name(file->target) : NULL;
    if (file->temporary == NULL) {
        complain_errno(complaint, errno, "cannot write '%.100s'", file->path);
        return false;
    }
    file->fd = open(file->temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (file->fd < 0) {
        complain_errno(complaint, errno, "cannot make a file in the folder of '%.100s'",
                       file->path);
        return false;
    }
    if (old == NULL) return true;
    /* Only root can keep a foreign owner; then the file is the writer's, as with any new one. */
    int kept = fchown(file->fd, old->st_uid, old->st_gid);
    if (kept == 0 || old->st_uid == geteuid()) (void)fchmod(file->fd, old->st_mode & 07777);
    return true;
}

static bool create_named(struct pagefile *file, struct complaint *complaint)
{
    struct stat old;
    bool there = stat(file->path, &old) == 0;
    if (!there && errno == ENOENT && lstat(file->path, &old) != 0) {
        file->target = strdup(file->path);
        return open_beside(file, NULL, complaint);
    }
    if (there && S_ISREG(old.st_mode)) {
        if (access(file->path, W_OK) == 0) {
            file->target = realpath(file->path, NULL); /* a link stays one */
            return open_beside(file, &old, complaint);
        }
    } else if (there) {
        file->fd = open(file->path, O_WRONLY | O_CLOEXEC);
        if (file->fd >= 0) return true;
    }
    complain_errno(complaint, errno, "cannot write '%.100s'", file->path);
    return false;
}

static void forget_names(struct pagefile *file)
{
    free(file->target);
    free(file->temporary);
    file->target = file->temporary = NULL;
}

bool pagefile_create(struct pagefile *file, const char *path, struct complaint *complaint)
{
    *file = (struct pagefile){.path = path, .fd = -1};
    bool standard = strcmp(path, "-") == 0;
    if (standard) {
        file->fd = dup(STDOUT_FILENO);
        if (file->fd < 0) complain_errno(complaint, errno, "cannot write to standard output");
    } else if (!create_named(file, complaint)) {
        forget_names(file);
    }
    if (file->fd < 0) return false;
    /* Standard output may be a file that others have written to: it is written in order too. */
    file->is_stream = standard || lseek(file->fd, 0, SEEK_CUR) < 0;
    return true;
}

void pagefile_unlink(struct pagefile *file)
{
    if (file->temporary != NULL) (void)unlink(file->temporary);
}

void pagefile_abandon(struct pagefile *file)
{
    pagefile_unlink(file);
    (void)close(file->fd);
    file->fd = -1;
    forget_names(file);
}

bool pagefile_commit(struct pagefile *file, struct complaint *complaint)
{
    bool good = pagefile_close(file, complaint);
    if (good && file->temporary != NULL && rename(file->temporary, file->target) != 0) {
        complain_errno(complaint, errno, "writing '%.100s'", file->path);
        good = false;
    }
    if (!good) pagefile_unlink(file);
    forget_names(file);
    return good;
}

/* --- both ----------------------------------------------------------------------------------- */

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

bool pagefile_sync(const struct pagefile *file, struct complaint *complaint)
{
    /* A pipe has no disk: who reads it has the pages. */
    if (fsync(file->fd) == 0 || errno == EINVAL || errno == EROFS) return true;
    complain_errno(complaint, errno, "writing '%.100s'", file->path);
    return false;
}
