/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Life of the file: PATH.tmp, made anew -> written, to the disk -> renamed to PATH -> the directory
 * to the disk. Whatever goes wrong before the renaming takes PATH.tmp away. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "server/restart/restart_file.h"
#include "storage/store/snapshot/store_snapshot.h"

enum { PATH_BYTES = 4096 };

struct saving {
    const struct restart_writing *writing;
    struct restart_written *written;
    char *reason;
    char temporary[PATH_BYTES];
    int fd;
};

static enum fp_status fail(struct saving *saving)
{
    return restart_fail(saving->reason, saving->temporary, "%s", strerror(errno));
}

/* What lies under that name is a crashed server's, or somebody's trap, and is not written to. */
static enum fp_status make_file(struct saving *saving)
{
    int size = snprintf(saving->temporary, sizeof saving->temporary, "%s" RESTART_TEMPORARY,
                        saving->writing->path);
    errno = ENAMETOOLONG;
    if (size < 0 || (size_t)size >= sizeof saving->temporary) return fail(saving);
    (void)unlink(saving->temporary);
    int flags = O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC;
    saving->fd = open(saving->temporary, flags, 0600);
    return saving->fd >= 0 ? FP_OK : fail(saving);
}

static enum fp_status write_all(struct saving *saving, struct slice bytes)
{
    while (bytes.size_bytes > 0) {
        ssize_t put = write(saving->fd, bytes.bytes, bytes.size_bytes);
        if (put < 0 && errno == EINTR) continue;
        if (put <= 0) return fail(saving);
        bytes = slice_of(bytes.bytes + put, bytes.size_bytes - (size_t)put);
        saving->written->bytes += (uint64_t)put;
    }
    return FP_OK;
}

static enum fp_status write_steps(struct saving *saving, struct store_snapshot *snapshot)
{
    const struct restart_writing *writing = saving->writing;
    for (;;) {
        struct slice bytes;
        enum fp_status status =
            store_snapshot_step(snapshot, writing->scratch, clock_unix_ns(), &bytes);
        if (status != FP_OK || bytes.size_bytes == 0) return status;
        status = write_all(saving, bytes);
        if (status != FP_OK) return status;
        struct store_snapshot_progress progress = store_snapshot_progress(snapshot);
        if (writing->go_on != NULL &&
            !writing->go_on(writing->context, progress.done, progress.todo))
            return FP_BUSY;
    }
}

static enum fp_status write_snapshot(struct saving *saving)
{
    const struct restart_writing *writing = saving->writing;
    struct stat about;
    struct store_snapshot *snapshot = NULL;
    if (fstat(saving->fd, &about) != 0) return fail(saving);
    struct slice *names = calloc(writing->exports.count + 1, sizeof *names);
    if (names == NULL) return FP_NO_MEMORY;
    for (uint32_t i = 0; i < writing->exports.count; i++)
        names[i] = slice_text(writing->exports.names[i]);
    struct store_snapshot_options options = {.kind = SNAPSHOT_OF_STOP,
                                             .boot_id = writing->boot_id,
                                             .unix_ns = clock_unix_ns(),
                                             .inode = (uint64_t)about.st_ino,
                                             .release = writing->release,
                                             .exports = names,
                                             .export_count = writing->exports.count};
    enum fp_status status =
        store_snapshot_begin(writing->store, writing->scratch, &options, &snapshot);
    if (status == FP_OK) status = write_steps(saving, snapshot);
    if (status == FP_OK) {
        struct store_snapshot_progress progress = store_snapshot_progress(snapshot);
        saving->written->pages = progress.pages;
        saving->written->items = progress.done - progress.pages;
    }
    store_snapshot_end(&snapshot, writing->scratch);
    free(names);
    return status;
}

static enum fp_status put_in_place(struct saving *saving)
{
    if (fsync(saving->fd) != 0) return fail(saving);
    if (rename(saving->temporary, saving->writing->path) != 0) return fail(saving);
    saving->written->unsynced = !restart_sync_directory(saving->writing->path);
    return FP_OK;
}

enum fp_status restart_write(const struct restart_writing *writing, struct restart_written *written,
                             char reason[RESTART_REASON_BYTES])
{
    struct saving saving = {.writing = writing, .written = written, .reason = reason, .fd = -1};
    *written = (struct restart_written){0};
    (void)restart_fail(reason, writing->path, "the system has no memory");
    enum fp_status status = make_file(&saving);
    if (status != FP_OK) return status;
    status = write_snapshot(&saving);
    if (status == FP_OK) status = put_in_place(&saving);
    if (status != FP_OK) (void)unlink(saving.temporary);
    close(saving.fd);
    return status;
}
