/* SPDX-License-Identifier: BSD-3-Clause
 * maps - the mappings of a process, as /proc/PID/maps lists them, and which of them can be paged.
 *
 * Threads: the caller's. Blocks: as reading /proc does.
 */
#ifndef FARPAGE_CLIENT_UFFD_MAPS_H
#define FARPAGE_CLIENT_UFFD_MAPS_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attrs.h"

enum maps_kind {
    MAPS_ANONYMOUS, /* private, of no file: heap, mmaps, stacks of threads, .bss. It can be paged */
    MAPS_STACK,     /* of the main thread: it grows by itself */
    MAPS_FILE,      /* private or shared, of a file: what is in it is the file's business */
    MAPS_SHARED,    /* of no file that has a name, or of none, and shared */
    MAPS_KERNEL,    /* vdso and its like */
    MAPS_KINDS
};

struct maps_entry {
    uint64_t from, to; /* multiples of 4096, from < to */
    enum maps_kind kind;
    bool readable, writable, executable;
};

/* One line, without its end. False: it is none that a kernel writes. Pure. */
bool maps_parse(const char *line, size_t bytes, struct maps_entry *entry)
    FP_MUST_CHECK FP_NONNULL(1, 3);

/* Calls `each` for every mapping, by address, until it answers false. `fd` is open on
 * /proc/PID/maps. 0, or an errno: ESRCH where the process has ended. Mappings that come and go
 * meanwhile are seen or not; none is seen twice. */
int maps_scan(int fd, bool (*each)(void *context, const struct maps_entry *entry), void *context)
    FP_MUST_CHECK FP_NONNULL(2);

#endif
