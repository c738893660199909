/* SPDX-License-Identifier: BSD-3-Clause */
#include "server/restart/restart_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { PATH_BYTES = 4096 };

enum fp_status restart_fail(char reason[RESTART_REASON_BYTES], const char *path,
                            const char *format, ...)
{
    va_list arguments;
    int used = snprintf(reason, RESTART_REASON_BYTES, "%.256s: ", path);
    if (used < 0) used = 0;
    va_start(arguments, format);
    (void)vsnprintf(reason + used, RESTART_REASON_BYTES - (size_t)used, format, arguments);
    va_end(arguments);
    return FP_IO;
}

const char *restart_base_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash != NULL ? slash + 1 : path;
}

int restart_open_directory(const char *path)
{
    char directory[PATH_BYTES] = ".";
    size_t size = (size_t)(restart_base_name(path) - path);
    if (size >= sizeof directory) {
        errno = ENAMETOOLONG;
        return -1;
    }
    if (size > 0) {
        memcpy(directory, path, size);
        directory[size > 1 ? size - 1 : 1] = '\0';
    }
    return open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

static bool sync_and_close(int fd)
{
    bool good = fsync(fd) == 0;
    int error = errno;
    close(fd);
    errno = error;
    return good;
}

bool restart_sync_directory(const char *path)
{
    int fd = restart_open_directory(path);
    return fd >= 0 && sync_and_close(fd);
}

/* Both are opened before anything is taken: whoever fails then has lost nothing. */
static bool take_away(const char *path)
{
    int directory = restart_open_directory(path);
    int fd = directory >= 0 ? open(path, O_WRONLY | O_CLOEXEC | O_NOFOLLOW) : -1;
    bool gone = fd >= 0 && unlink(path) == 0;
    if (gone && fsync(directory) != 0) gone = ftruncate(fd, 0) == 0 && fsync(fd) == 0;
    int error = errno;
    if (fd >= 0) close(fd);
    if (directory >= 0) close(directory);
    errno = error;
    return gone;
}

enum fp_status restart_consume(const char *path, char reason[RESTART_REASON_BYTES])
{
    if (take_away(path)) return FP_OK;
    return restart_fail(reason, path, "it is taken up and cannot be taken away (%s): a later start "
                        "would take old pages for present ones; let the server write to its "
                        "directory", strerror(errno));
}

enum fp_status restart_check(const char *path, char reason[RESTART_REASON_BYTES])
{
    int fd = restart_open_directory(path);
    if (fd < 0)
        return restart_fail(reason, path, "its directory: %s; make it, or choose another",
                            strerror(errno));
    bool good = faccessat(fd, ".", W_OK | X_OK, AT_EACCESS) == 0;
    int error = errno;
    close(fd);
    if (good) return FP_OK;
    return restart_fail(reason, path, "nothing can be written to its directory (%s), so all would "
                        "be lost when the server stops", strerror(error));
}
