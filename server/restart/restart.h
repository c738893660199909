/* SPDX-License-Identifier: BSD-3-Clause
 * restart - what a server keeps, from one run to the next: a file that is written when it stops and
 * taken up when it starts, or a snapshot that an operator has the server begin with.
 *
 * The file of a stop says the same identities again (boot id, generations), so that clients go on.
 * That is right once, and only if nothing was changed after it was written. So it must be
 *   - of a stop, and the very file that was written (its inode; a copy may be an old one), and
 *   - gone before the first client is served (restart_consume): after a crash there is none, and
 *     what was stored is lost, as it is without one.
 * What an operator names with --restore is only read, and has identities of its own.
 *
 * Either is taken as a whole or refused as a whole, with a reason that names file, byte and cure.
 *
 * Threads: the main one. Blocks: on the disk.
 */
#ifndef FARPAGE_SERVER_RESTART_H
#define FARPAGE_SERVER_RESTART_H
#include <stdbool.h>

#include "snapshot/format.h"
#include "storage/store/snapshot/store_restore.h"
#include "storage/store/store.h"

enum { RESTART_REASON_BYTES = 640, RESTART_TEMPORARY_BYTES = 4 };
#define RESTART_TEMPORARY ".tmp" /* behind the file's name, while it is written */

struct restart_exports { /* names of those that templates had made */
    uint32_t count;
    char (*names)[SNAPSHOT_NAME_BYTES_MAX + 1];
};

struct restart { /* what was taken up; zeros: nothing */
    bool taken, same; /* same: its identities hold, boot_id among them */
    uint8_t boot_id[SNAPSHOT_BOOT_ID_BYTES];
    uint64_t last_generation; /* areas up to this one are of the file */
    uint64_t unix_ns;         /* when it was begun */
    struct restart_exports exports;
    struct store_restored restored;
};

struct restart_reading {
    const char *path;
    bool same;
    struct store *store; /* empty */
    struct store_scratch *scratch;
    /* Asked every few milliseconds. False: it is given up (FP_BUSY). */
    bool (*go_on)(void *context, uint64_t done_bytes, uint64_t all_bytes);
    void *context;
};

/* FP_ABSENT: there is no such file. FP_BUSY: go_on said so. Else, unless FP_OK: *reason; the store
 * is of no use then. */
enum fp_status restart_read(const struct restart_reading *reading, struct restart *restart,
                            char reason[RESTART_REASON_BYTES]) FP_MUST_CHECK FP_NONNULL(1, 2, 3);
void restart_fini(struct restart *restart) FP_NONNULL(1);

/* Takes the file away, for good: where its directory cannot be brought to the disk, what is in it
 * goes first. FP_IO: *reason; nobody may be served then. */
enum fp_status restart_consume(const char *path, char reason[RESTART_REASON_BYTES])
    FP_MUST_CHECK FP_NONNULL(1, 2);
/* Whether a file could be written there later. FP_IO: *reason. */
enum fp_status restart_check(const char *path, char reason[RESTART_REASON_BYTES])
    FP_MUST_CHECK FP_NONNULL(1, 2);

struct restart_writing {
    const char *path;
    const uint8_t *boot_id;
    const char *release;
    struct store *store;
    struct store_scratch *scratch;
    struct restart_exports exports;
    bool (*go_on)(void *context, uint64_t done, uint64_t all); /* as above; pages and items */
    void *context;
};
struct restart_written {
    uint64_t pages, items, bytes;
    bool unsynced; /* it is in place, but its directory's entry may not outlive a loss of power */
};
/* Writes it beside, to the disk, and puts it in place when it is whole. FP_BUSY: go_on said so.
 * FP_IO, FP_NO_MEMORY: *reason. Unless FP_OK nothing is left of it, as far as the disk lets go. */
enum fp_status restart_write(const struct restart_writing *writing, struct restart_written *written,
                             char reason[RESTART_REASON_BYTES]) FP_MUST_CHECK FP_NONNULL(1, 2, 3);

#endif
