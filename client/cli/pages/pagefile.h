/* SPDX-License-Identifier: BSD-3-Clause
 * pagefile - a file as a run of pages, read or written by several threads at once.
 *
 * Threads: any, once opened. */
#ifndef FARPAGE_CLIENT_CLI_PAGEFILE_H
#define FARPAGE_CLIENT_CLI_PAGEFILE_H
#include <stdbool.h>
#include <stdint.h>

#include "base/attrs.h"
#include "client/cli/pages/transfer.h"
#include "client/cli/say/complaint.h"

struct pagefile {
    const char *path;
    char *target, *temporary; /* owned; what pagefile_commit renames to what; NULL: in place */
    int fd;
    bool is_stream;      /* written in order: standard output, a pipe */
    uint64_t size_bytes; /* of what can be read */
};

bool pagefile_open(struct pagefile *file, const char *path, struct complaint *complaint)
    FP_MUST_CHECK;

/* "-" is standard output. A file is written anew beside the one of that name, which stays as it is
 * until pagefile_commit; what is no regular file is written in place. Ends with pagefile_commit or
 * pagefile_abandon. */
bool pagefile_create(struct pagefile *file, const char *path, struct complaint *complaint)
    FP_MUST_CHECK;

/* Puts what was written into the place of the old file, if any. False, with the reason, where it
 * may not have arrived; then the old file is as it was. */
bool pagefile_commit(struct pagefile *file, struct complaint *complaint) FP_MUST_CHECK;

/* Forgets what was written; the old file is as it was. */
void pagefile_abandon(struct pagefile *file);

/* Only takes the unfinished file away, while others may still write to it. */
void pagefile_unlink(struct pagefile *file);

/* Of one that was opened. False, with the reason, where it could not be read well. */
bool pagefile_close(struct pagefile *file, struct complaint *complaint) FP_MUST_CHECK;

/* How many pages the file has; 0, with the reason, where it has none or the last is not whole and
 * `pad` does not say to fill it with zeros. */
uint64_t pagefile_pages(const struct pagefile *file, uint32_t page_bytes, bool pad,
                        struct complaint *complaint);

/* Fills the piece's pages from the file, with zeros behind its end. */
bool pagefile_read(const struct pagefile *file, const struct piece *piece,
                   struct complaint *complaint) FP_MUST_CHECK;

/* Writes the piece; absent pages become holes where the file can have them. */
bool pagefile_write(const struct pagefile *file, const struct piece *piece,
                    struct complaint *complaint) FP_MUST_CHECK;

/* Returns once what was written is on the disk. */
bool pagefile_sync(const struct pagefile *file, struct complaint *complaint) FP_MUST_CHECK;

/* Gives the file its full length, so that holes at its end count. */
bool pagefile_extend(const struct pagefile *file, uint64_t size_bytes, struct complaint *complaint)
    FP_MUST_CHECK;

#endif
