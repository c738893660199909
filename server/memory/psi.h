/* SPDX-License-Identifier: BSD-3-Clause
 * psi - where the kernel says how long tasks waited for memory: of the process's own cgroup, where
 * that is one of version 2 and says so, else of the whole system. Version 1 has nothing like it.
 *
 * Threads: one at a time for one of them. Blocks: for files of /proc and /sys, which are memory.
 */
#ifndef FARPAGE_SERVER_PSI_H
#define FARPAGE_SERVER_PSI_H
#include <stdbool.h>
#include <stdint.h>

#include "base/attrs.h"
#include "base/slice.h"

enum { PSI_PATH_BYTES = 256 };

struct psi {
    int fd;                    /* -1: none is open */
    char path[PSI_PATH_BYTES]; /* "": the kernel has none */
};

/* Finds and opens it. False: there is none. */
bool psi_open(struct psi *psi) FP_MUST_CHECK FP_NONNULL(1);
void psi_close(struct psi *psi) FP_NONNULL(1);

/* Microseconds that some task has waited for memory since the system or the cgroup began. False: it
 * cannot be read (any more). */
bool psi_stalled_us(const struct psi *psi, uint64_t *stalled_us) FP_MUST_CHECK FP_NONNULL(1, 2);

/* Of such a file's text, the total of its line "some". */
bool psi_parse(struct slice text, uint64_t *stalled_us) FP_MUST_CHECK FP_NONNULL(2);
/* Of /proc/self/cgroup's text, the path of version 2; empty where there is none. */
struct slice psi_cgroup(struct slice text);

#endif
