/* SPDX-License-Identifier: BSD-3-Clause
 * snapshot_counts - what became of the snapshots that clients took (snapshots.h). Threads: any. */
#ifndef FARPAGE_SERVER_SNAPSHOT_COUNTS_H
#define FARPAGE_SERVER_SNAPSHOT_COUNTS_H
#include <stdatomic.h>
#include <stdint.h>

struct snapshot_counts {
    _Atomic uint32_t running; /* threads of snapshots.c */
    _Atomic uint64_t taken, given_up, bytes; /* since the start; composed, of both */
    _Atomic uint64_t taken_unix_ns;          /* when the last one was; 0: none was */
};

#endif
