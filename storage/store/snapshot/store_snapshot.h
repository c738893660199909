/* SPDX-License-Identifier: BSD-3-Clause
 * store_snapshot - all that the store keeps, as one stream of bytes (snapshot/format.h), while
 * everybody goes on.
 *
 *   pages  as they were at the moment of begin, in all areas alike: who stores after it stores
 *          beside them (area_copy.h)
 *   items  each whole, as it was at some moment between begin and the end of the stream
 *
 * Objects are copied as they are packed; nothing is unpacked, so what is damaged stays so. Nothing
 * waits for it, and nothing is refused for it: where pages that are stored over cannot be kept for
 * want of memory, the snapshot breaks.
 *
 * Life: begin -> step, until it gives nothing -> end. One at a time.
 * Threads: begin, step and end: one. All other calls of the store go together with it.
 * Blocks: as loads do. Locks: enter holding none.
 */
#ifndef FARPAGE_STORAGE_STORE_SNAPSHOT_H
#define FARPAGE_STORAGE_STORE_SNAPSHOT_H
#include "snapshot/format.h"
#include "storage/store/store.h"

enum { STORE_SNAPSHOT_STEP_BYTES_MAX = 1 << 20 };

struct store_snapshot;

struct store_snapshot_options {
    enum snapshot_kind kind;
    const uint8_t *boot_id; /* SNAPSHOT_BOOT_ID_BYTES */
    uint64_t unix_ns;       /* now */
    uint64_t inode;
    const char *release;
    /* Names of exports that templates made; borrowed until end. */
    const struct slice *exports;
    uint32_t export_count;
};

/* FP_BUSY: there is one already. FP_NO_MEMORY. FP_LATER: not yet, only with scratch->may_wait. */
enum fp_status store_snapshot_begin(struct store *store, struct store_scratch *scratch,
                                    const struct store_snapshot_options *options,
                                    struct store_snapshot **snapshot)
    FP_MUST_CHECK FP_NONNULL(1, 2, 3, 4);
/* The next bytes, at most STORE_SNAPSHOT_STEP_BYTES_MAX, good until the next call; none: it is
 * complete. unix_ns: now. FP_NO_MEMORY: it is broken, see above, and cannot be completed. */
enum fp_status store_snapshot_step(struct store_snapshot *snapshot, struct store_scratch *scratch,
                                   uint64_t unix_ns, struct slice *bytes)
    FP_MUST_CHECK FP_NONNULL(1, 2, 4);
/* Complete or not. NULL: nothing happens. */
void store_snapshot_end(struct store_snapshot **snapshot, struct store_scratch *scratch)
    FP_NONNULL(1, 2);

struct store_snapshot_progress {
    uint64_t todo, done; /* pages and items; todo as it was at begin */
    uint64_t pages, bytes; /* done so far */
    uint64_t kept_bytes; /* of pages that were stored over and wait to be written */
};
struct store_snapshot_progress store_snapshot_progress(const struct store_snapshot *snapshot)
    FP_NONNULL(1);

#endif
