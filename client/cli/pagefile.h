/* SPDX-License-Identifier: BSD-3-Clause
 * pagefile - a file as a run of pages, read or written by several threads at once.
 *
 * Threads: any, once opened. */
#ifndef FARPAGE_CLIENT_CLI_PAGEFILE_H
#define FARPAGE_CLIENT_CLI_PAGEFILE_H
#include <stdbool.h>
#include <stdint.h>

#include "base/attrs.h"
#include "client/cli/transfer.h"
#include "client/cli/complaint.h"

struct pagefile {
    const char *path;
    int fd;
    bool is_stream;      /* written in order: standard output, a pipe */
    uint64_t size_bytes; /* of what can be read */
};

bool pagefile_open(struct pagefile *file, const char *path, struct complaint *complaint)
    FP_MUST_CHECK;

/* "-" is standard output. A file that exists is emptied. */
bool pagefile_create(struct pagefile *file, const char *path, struct complaint *complaint)
    FP_MUST_CHECK;

/* False, with the reason, where what was written may not have arrived. */
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

/* Gives the file its full length, so that holes at its end count. */
bool pagefile_extend(const struct pagefile *file, uint64_t size_bytes, struct complaint *complaint)
    FP_MUST_CHECK;

#endif
