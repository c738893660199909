/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Calls that go to a disk. Where headers are fortified the checked names of some are called. */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/types.h>

#include "tests/fault/fault.h"

enum { SECTOR_BYTES = 512 };

static bool refuses(enum fault_kind kind, int error)
{
    if (!fault_now(kind)) return false;
    errno = error;
    return true;
}

static bool fails(void)
{
    return refuses(FAULT_DISK, EIO);
}

static bool fails_to_write(void)
{
    return fails() || refuses(FAULT_DISK_FULL, ENOSPC);
}

/* Half of it, in whole sectors, where it has two. */
static size_t some_of(size_t size)
{
    if (size < 2 * SECTOR_BYTES || !fault_now(FAULT_DISK_SHORT)) return size;
    return size / 2 / SECTOR_BYTES * SECTOR_BYTES;
}

/* One row a function: its result, its name, whether it fails, its parameters, and what it does. */
#define DISK(result, name, fails_now, parameters, arguments)                                       \
    result __real_##name parameters;                                                               \
    result __wrap_##name parameters;                                                               \
    result __wrap_##name parameters                                                                \
    {                                                                                              \
        return (fails_now) ? -1 : __real_##name arguments;                                         \
    }

DISK(ssize_t, pread, fails(), (int fd, void *bytes, size_t size, off_t offset),
     (fd, bytes, some_of(size), offset))
DISK(ssize_t, pwrite, fails_to_write(), (int fd, const void *bytes, size_t size, off_t offset),
     (fd, bytes, some_of(size), offset))
DISK(ssize_t, read, fails(), (int fd, void *bytes, size_t size), (fd, bytes, some_of(size)))
DISK(ssize_t, write, fails_to_write(), (int fd, const void *bytes, size_t size),
     (fd, bytes, some_of(size)))
DISK(int, fsync, fails(), (int fd), (fd))
DISK(int, fdatasync, fails_to_write(), (int fd), (fd))
DISK(int, ftruncate, fails(), (int fd, off_t size), (fd, size))
DISK(int, fallocate, fails_to_write(), (int fd, int mode, off_t offset, off_t size),
     (fd, mode, offset, size))
DISK(int, unlink, fails(), (const char *path), (path))
DISK(int, rename, fails(), (const char *from, const char *to), (from, to))

ssize_t __wrap___pread_chk(int fd, void *bytes, size_t size, off_t offset, size_t room);
ssize_t __wrap___pread_chk(int fd, void *bytes, size_t size, off_t offset, size_t room)
{
    (void)room;
    return __wrap_pread(fd, bytes, size, offset);
}

ssize_t __wrap___read_chk(int fd, void *bytes, size_t size, size_t room);
ssize_t __wrap___read_chk(int fd, void *bytes, size_t size, size_t room)
{
    (void)room;
    return __wrap_read(fd, bytes, size);
}

int __real_open(const char *path, int flags, ...);
int __wrap_open(const char *path, int flags, ...);
int __wrap_open(const char *path, int flags, ...)
{
    va_list rest;
    va_start(rest, flags);
    mode_t mode = (flags & (O_CREAT | O_TMPFILE)) != 0 ? va_arg(rest, mode_t) : 0;
    va_end(rest);
    int fd = fails() ? -1 : __real_open(path, flags, mode);
    fault_taken(fd >= 0);
    return fd;
}

int __wrap___open_2(const char *path, int flags);
int __wrap___open_2(const char *path, int flags)
{
    return __wrap_open(path, flags);
}

int __real_close(int fd);
int __wrap_close(int fd);
int __wrap_close(int fd)
{
    fault_taken(-1);
    return __real_close(fd);
}
