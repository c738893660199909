/* SPDX-License-Identifier: BSD-3-Clause
 * failing_disk - preloaded, makes the file below memory fail as the file $FARPAGE_DISK says:
 * "read" (EIO), "flip" (reads bring other bytes), "write" (EIO) or "stop" (reads wait while it says
 * so); anything else: not at all.
 * Only what lies behind its first MiB, where the extents are. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static int says(const char *what)
{
    char text[16] = "";
    const char *path = getenv("FARPAGE_DISK");
    int fd = path != NULL ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    if (fd < 0) return 0;
    ssize_t got = read(fd, text, sizeof text - 1);
    close(fd);
    return got > 0 && strncmp(text, what, strlen(what)) == 0;
}

static int is_extent(off_t offset)
{
    return offset >= 1 << 20;
}

ssize_t pread(int fd, void *bytes, size_t size, off_t offset)
{
    struct timespec pause = {0, 2000000};
    while (is_extent(offset) && says("stop")) nanosleep(&pause, NULL);
    if (is_extent(offset) && says("read")) {
        errno = EIO;
        return -1;
    }
    ssize_t got = syscall(SYS_pread64, fd, bytes, size, offset);
    if (is_extent(offset) && says("flip"))
        for (ssize_t i = 0; i < got; i += 64) ((unsigned char *)bytes)[i] ^= 1;
    return got;
}

ssize_t pwrite(int fd, const void *bytes, size_t size, off_t offset)
{
    if (is_extent(offset) && says("write")) {
        errno = EIO;
        return -1;
    }
    return syscall(SYS_pwrite64, fd, bytes, size, offset);
}
