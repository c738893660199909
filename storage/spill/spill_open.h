/* SPDX-License-Identifier: BSD-3-Clause
 * spill_open - the path of the file tier: made, taken or refused. Seen by spill_*.c only.
 *
 * Nothing that is somebody else's is ever written to: a file that exists must be empty or one of
 * ours, a device must begin with zeros or with our head.
 *
 * Threads: any. Blocks: on the disk.
 */
#ifndef FARPAGE_STORAGE_SPILL_OPEN_H
#define FARPAGE_STORAGE_SPILL_OPEN_H
#include "storage/spill/spill_file.h"

struct spill_fd {
    int fd; /* the caller's; its head is written */
    bool direct, device;
    uint64_t size_bytes; /* a device's */
};

/* FP_IO, FP_INVALID: `why` says it in a sentence that begins with the path. */
enum fp_status spill_open(const char *path, struct spill_fd *opened, char why[SPILL_WHY_BYTES])
    FP_MUST_CHECK FP_NONNULL(1, 2, 3);

void spill_open_why(char why[SPILL_WHY_BYTES], const char *path, const char *what)
    FP_NONNULL(1, 2, 3);

#endif
