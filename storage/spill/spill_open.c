/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Life of the file: made, for nobody else to open -> unlinked at once -> its head written. What is
 * found under the name is removed first where it is empty or begins with our head: that is all that
 * a server which was killed between the two leaves. A symbolic link is followed to a device only.
 */
#include "storage/spill/spill_open.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/check.h"

enum { LOOKED_AT_BYTES = 128 << 10 }; /* of a device: file systems have their mark in there */

static const char head_text[] = "farpage spill, format 1\n";

void spill_open_why(char why[SPILL_WHY_BYTES], const char *path, const char *what)
{
    snprintf(why, SPILL_WHY_BYTES, "%.120s: %.70s", path, what);
}

static enum fp_status refuse(char why[SPILL_WHY_BYTES], const char *path, const char *what)
{
    spill_open_why(why, path, what);
    return FP_INVALID;
}

static enum fp_status refuse_errno(char why[SPILL_WHY_BYTES], const char *path, int number)
{
    spill_open_why(why, path, strerror(number));
    return FP_IO;
}

/* --- what is there already -------------------------------------------------------------------- */

/* Whether the first bytes are ours, or nobody's. Of a file all of it is looked at only if short. */
static bool is_ours_or_zeros(int fd, bool device)
{
    static const uint8_t zeros[SPILL_ALIGN_BYTES];
    static _Alignas(SPILL_ALIGN_BYTES) _Thread_local uint8_t room[SPILL_ALIGN_BYTES];
    for (off_t at = 0; at < LOOKED_AT_BYTES; at += SPILL_ALIGN_BYTES) {
        ssize_t got = pread(fd, room, sizeof room, at);
        if (got < 0) return false;
        if (at == 0 && got >= (ssize_t)sizeof head_text &&
            memcmp(room, head_text, sizeof head_text) == 0)
            return true;
        if (got == 0) return true;
        if (!device || memcmp(room, zeros, (size_t)got) != 0) return false;
    }
    return true;
}

static const char *refusal_of_file(int fd, const struct stat *stat)
{
    if (!S_ISREG(stat->st_mode)) return "is no file, directory or block device";
    if (stat->st_uid != geteuid()) return "exists and belongs to somebody else";
    if (!is_ours_or_zeros(fd, false)) return "exists and is no spill file: name another";
    return NULL;
}

/* --- making and taking it --------------------------------------------------------------------- */

/* How much of it was written before the disk refused. */
static size_t write_some(int fd, const uint8_t *bytes, size_t size_bytes)
{
    size_t done = 0;
    while (done < size_bytes) {
        ssize_t now = pwrite(fd, bytes + done, size_bytes - done, (off_t)done);
        if (now < 0 && errno == EINTR) continue;
        if (now == 0) errno = ENOSPC;
        if (now <= 0) break;
        done += (size_t)now;
    }
    return done;
}

/* Past the page cache where the file system can, which the head's writing tells. */
static enum fp_status write_head(const char *path, struct spill_fd *opened,
                                 char why[SPILL_WHY_BYTES])
{
    static _Alignas(SPILL_ALIGN_BYTES) _Thread_local uint8_t head[SPILL_HEAD_BYTES];
    memset(head, 0, sizeof head);
    memcpy(head, head_text, sizeof head_text);
    int flags = fcntl(opened->fd, F_GETFL);
    opened->direct = flags >= 0 && fcntl(opened->fd, F_SETFL, flags | O_DIRECT) == 0;
    size_t done = write_some(opened->fd, head, sizeof head);
    if (done < sizeof head && errno == EINVAL && opened->direct) {
        opened->direct = false;
        (void)fcntl(opened->fd, F_SETFL, flags);
        done = write_some(opened->fd, head, sizeof head);
    }
    if (done == sizeof head) return FP_OK;
    int number = errno;
    close(opened->fd);
    return refuse_errno(why, path, number);
}

static enum fp_status take_device(const char *path, struct spill_fd *opened,
                                  char why[SPILL_WHY_BYTES])
{
    char real[PATH_MAX];
    if (realpath(path, real) == NULL) return refuse_errno(why, path, errno);
    opened->fd = open(real, O_RDWR | O_EXCL | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (opened->fd < 0) return refuse_errno(why, path, errno);
    off_t end = lseek(opened->fd, 0, SEEK_END);
    opened->device = true;
    opened->size_bytes = end > 0 ? (uint64_t)end : 0;
    if (is_ours_or_zeros(opened->fd, true)) return write_head(path, opened, why);
    close(opened->fd);
    return refuse(why, path, "holds something: clear its first 128 KiB, or name another");
}

/* Removes what a server left that was killed between making and unlinking it. */
static enum fp_status remove_left(const char *path, char why[SPILL_WHY_BYTES])
{
    struct stat stat;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0 && errno == ELOOP) return refuse(why, path, "is a symbolic link, to no device");
    if (fd < 0) return refuse_errno(why, path, errno);
    const char *refusal = fstat(fd, &stat) != 0 ? strerror(errno) : refusal_of_file(fd, &stat);
    close(fd);
    if (refusal != NULL) return refuse(why, path, refusal);
    return unlink(path) == 0 ? FP_OK : refuse_errno(why, path, errno);
}

static enum fp_status make_file(const char *path, struct spill_fd *opened,
                                char why[SPILL_WHY_BYTES])
{
    struct stat left;
    if (lstat(path, &left) == 0) {
        enum fp_status status = remove_left(path, why);
        if (status != FP_OK) return status;
    }
    opened->fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, S_IRUSR | S_IWUSR);
    if (opened->fd < 0) return refuse_errno(why, path, errno);
    if (unlink(path) != 0) {
        int number = errno;
        close(opened->fd);
        return refuse_errno(why, path, number);
    }
    return write_head(path, opened, why);
}

enum fp_status spill_open(const char *path, struct spill_fd *opened, char why[SPILL_WHY_BYTES])
{
    struct stat there;
    *opened = (struct spill_fd){.fd = -1};
    bool exists = stat(path, &there) == 0;
    if (exists && S_ISBLK(there.st_mode)) return take_device(path, opened, why);
    if (!exists || !S_ISDIR(there.st_mode)) return make_file(path, opened, why);
    opened->fd = open(path, O_TMPFILE | O_RDWR | O_CLOEXEC, S_IRUSR | S_IWUSR);
    if (opened->fd < 0) return refuse_errno(why, path, errno);
    return write_head(path, opened, why);
}

/* --- looking only ----------------------------------------------------------------------------- */

static bool check_parent(const char *path, char why[SPILL_WHY_BYTES])
{
    char parent[PATH_MAX];
    snprintf(parent, sizeof parent, "%s", path);
    char *slash = strrchr(parent, '/');
    if (slash == NULL) snprintf(parent, sizeof parent, ".");
    else slash[slash == parent ? 1 : 0] = '\0';
    if (access(parent, W_OK | X_OK) == 0) return true;
    int number = errno;
    (void)refuse_errno(why, parent, number);
    return false;
}

static bool check_there(const char *path, const struct stat *there, char why[SPILL_WHY_BYTES])
{
    bool device = S_ISBLK(there->st_mode);
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | (device ? 0 : O_NOFOLLOW));
    const char *refusal = NULL;
    if (fd < 0) refusal = errno == ELOOP ? "is a symbolic link, to no device" : strerror(errno);
    else if (!device) refusal = refusal_of_file(fd, there);
    else if (!is_ours_or_zeros(fd, true))
        refusal = "holds something: clear its first 128 KiB, or name another";
    if (fd >= 0) close(fd);
    if (refusal != NULL) (void)refuse(why, path, refusal);
    return refusal == NULL;
}

bool spill_file_check(const char *path, uint64_t size_bytes, char why[SPILL_WHY_BYTES])
{
    struct stat there;
    bool exists = stat(path, &there) == 0;
    if (size_bytes == 0 && (!exists || !S_ISBLK(there.st_mode))) {
        (void)refuse(why, path, "only a block device may go without a size");
        return false;
    }
    if (exists && S_ISDIR(there.st_mode)) {
        if (access(path, W_OK | X_OK) == 0) return true;
        (void)refuse_errno(why, path, errno);
        return false;
    }
    if (exists && !check_there(path, &there, why)) return false;
    return (exists && S_ISBLK(there.st_mode)) || check_parent(path, why);
}
