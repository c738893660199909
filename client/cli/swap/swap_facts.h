/* SPDX-License-Identifier: BSD-3-Clause
 * swap_facts - what the kernel's and the tools' texts say about swap, read off. Pure. */
#ifndef FARPAGE_CLIENT_CLI_SWAP_FACTS_H
#define FARPAGE_CLIENT_CLI_SWAP_FACTS_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attrs.h"

enum { SWAP_DEVICE_BYTES = 64, SWAP_LABEL_BYTES = 16 + 1, SWAP_LINE_BYTES = 240 };

/* A row of /proc/swaps. */
struct swap_row {
    char device[SWAP_DEVICE_BYTES]; /* "/dev/nbd0" */
    uint64_t size_kib, used_kib;
    int32_t priority;
};

/* The first row at or behind *at, which moves behind it; false where there is none. Begin at 0.
 * Rows of files whose names do not fit are passed by. */
bool swap_facts_next(const char *proc_swaps, size_t *at, struct swap_row *row) FP_MUST_CHECK;

/* The row of a device, "/dev/nbd0". */
bool swap_facts_find(const char *proc_swaps, const char *device, struct swap_row *row)
    FP_MUST_CHECK;

/* "NAME:   1234 kB", of /proc/meminfo; 0 where it is not there. */
uint64_t swap_facts_meminfo_kib(const char *meminfo, const char *name);

/* A file of /sys or /proc/sys that holds one number. */
bool swap_facts_number(const char *text, uint64_t *number) FP_MUST_CHECK;

/* What the beginning of a device holds. */
enum swap_content {
    SWAP_CONTENT_ZEROS,
    SWAP_CONTENT_SWAP, /* a swap area, of 4, 16 or 64 KiB pages */
    SWAP_CONTENT_ARRAY, /* a member of an md array, of metadata 1.2 */
    SWAP_CONTENT_OTHER,
};

/* `label` is that of a swap area, or an array's name without its host; "" of anything else. Any
 * number of bytes; what lies behind them is not known. */
enum swap_content swap_facts_content(const uint8_t *bytes, size_t size_bytes,
                                     char label[SWAP_LABEL_BYTES]);

/* The line in which a program says why it failed: the last that begins with "Error:", without it,
 * or else the last that is not empty; of one that quotes its server, what that said. What is no
 * printable ASCII becomes '?'. */
void swap_facts_reason(const char *said, char reason[SWAP_LINE_BYTES]);

/* The identity of an export in a list that nbd-client printed, "EXPORT@BOOT.GENERATION": a name
 * under which the server gives this very disk or none (docs/nbd.md). False where there is none, or
 * it does not fit. */
bool swap_facts_identity(const char *list, const char *export, char *identity,
                         size_t identity_bytes) FP_MUST_CHECK;

#endif
