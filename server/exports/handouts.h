/* SPDX-License-Identifier: BSD-3-Clause
 * handouts - which exports were handed out by their plain names, in a file that outlives the
 * server: so that one which was started anew knows whom it would fool.
 *
 *   "+ 7 swap 6505736975b988f8"   note 7: the server of that boot id let a client have `swap`
 *   "- 7"                         nothing is left of that which anybody could miss
 *
 * Lines are only added, and order does not matter. What a crash cut short was not acknowledged, and
 * is left out. Opening the file finds what earlier servers noted, lost from here on. It is written
 * anew without what is over when it is opened, and when it has become long.
 *
 * Threads: any; open and fini: the main one. Locks: RANK_HANDOUTS. Blocks: note, forget
 * and trim, for the disk, with nothing held.
 */
#ifndef FARPAGE_SERVER_HANDOUTS_H
#define FARPAGE_SERVER_HANDOUTS_H
#include <stdbool.h>
#include <stdint.h>

#include "base/budget.h"
#include "base/lock.h"
#include "base/slice.h"
#include "base/status.h"
#include "protocol/limits.h"

enum {
    HANDOUTS_MAX = 4096,
    HANDOUTS_LINES_MAX = 512, /* of the file, besides twice what it must hold */
    HANDOUTS_REASON_BYTES = 256,
    HANDOUT_BOOT_BYTES = 17, /* the boot id's first half in text, with its final zero */
};

struct handout;

struct handouts {
    struct lock lock; /* guards the list and the numbers */
    struct handout *first;
    uint32_t count;
    uint64_t last_number;
    uint32_t lines;   /* of the file */
    uint32_t writers; /* that are adding one */
    bool trimming;    /* nobody may */
    struct budget *budget;
    int fd, directory_fd; /* -1: nothing is kept */
    char boot[HANDOUT_BOOT_BYTES];
};

void handouts_init(struct handouts *handouts) FP_NONNULL(1);
void handouts_fini(struct handouts *handouts) FP_NONNULL(1);

/* The file `exports` in a directory, which is made where it is missing and is not everybody's to
 * write in. FP_IO: *reason says what is
 * wrong and what to do. */
enum fp_status handouts_open(struct handouts *handouts, struct budget *budget,
                             const char *directory, const char *boot,
                             char reason[HANDOUTS_REASON_BYTES])
    FP_MUST_CHECK FP_NONNULL(1, 2, 3, 4, 5);

/* Whether an earlier server had handed it out; *was (may be NULL) is that one's boot id. */
bool handouts_lost(struct handouts *handouts, struct slice name, char was[HANDOUT_BOOT_BYTES])
    FP_NONNULL(1);

/* This server is the one that handed it out, and has it still: it is not lost. */
void handouts_found(struct handouts *handouts, struct slice name) FP_NONNULL(1);

/* It is on the disk when this returns FP_OK. FP_IO, FP_TOO_BIG, FP_BUSY (it is trimmed; ask again):
 * *reason. FP_NO_MEMORY. Where nothing is kept: FP_OK. */
enum fp_status handouts_note(struct handouts *handouts, struct slice name,
                             char reason[HANDOUTS_REASON_BYTES]) FP_MUST_CHECK FP_NONNULL(1, 3);

/* Two halves, so that a lock of the caller's may be held during the first: takes it off the list
 * (0: it was not there), and writes that down. Else it will be lost after the next start. */
uint64_t handouts_drop(struct handouts *handouts, struct slice name) FP_MUST_CHECK FP_NONNULL(1);
enum fp_status handouts_forget(struct handouts *handouts, uint64_t number) FP_NONNULL(1);

/* Writes the file anew where it has become long and nobody is adding to it. */
void handouts_trim(struct handouts *handouts) FP_NONNULL(1);

#endif
