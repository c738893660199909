/* SPDX-License-Identifier: BSD-3-Clause
 * spill_file - a private file or block device cut into extents, for what is colder than memory.
 *
 * Life of an extent:  free -(take)-> filling -(write, live..., done)-> live -(its last use ends)->
 *                     free.  Where it could not be written: filling -(done)-> free.
 * A use is a record that somebody's handle names, or a reader who holds it: so that an extent is
 * written again only when nobody looks for anything in it, and what is read is never half new.
 *
 * A place is where a record begins, in units of SPILL_UNIT_BYTES from the beginning of the file;
 * SPILL_PLACE_BITS are enough for any. 0 is none.
 *
 * The file is unlinked as soon as it is made: it goes with the process, however that ends. A block
 * device is taken alone, and only if it begins with zeros or was this server's before.
 *
 * Memory: SPILL_EXTENT_COST_BYTES for each extent ever used, in whole pages, as BUDGET_SPILL; and
 *         what a reader has of it.
 * Threads: any. Locks: RANK_SPILL, never across I/O.
 * Blocks:  open, write and read wait for the disk; enter those holding no lock.
 */
#ifndef FARPAGE_STORAGE_SPILL_FILE_H
#define FARPAGE_STORAGE_SPILL_FILE_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attrs.h"
#include "base/budget.h"
#include "base/status.h"
#include "storage/spill/spill_record.h"

enum {
    SPILL_EXTENT_BYTES = 1 << 20,
    SPILL_ALIGN_BYTES = 4096, /* of what is written and read, in memory and in the file */
    SPILL_PLACE_BITS = 35,
    SPILL_EXTENT_COST_BYTES = 24,
    SPILL_HEAD_BYTES = 4096,
    SPILL_EXTENTS_MIN = 2, /* one to write, one to read from */
    SPILL_KEPT_PART = 4,   /* so many parts of what is in use may be free and take of the disk, */
    SPILL_KEPT_MIN = 16,   /* and so many extents besides */
    SPILL_WHY_BYTES = 200,
};
#define SPILL_SIZE_BYTES_MAX (1ull << 40)
_Static_assert(SPILL_SIZE_BYTES_MAX / SPILL_UNIT_BYTES < 1ull << SPILL_PLACE_BITS, "a place fits");

struct spill_file;

struct spill_file_options {
    const char *path;      /* a file to be made, a directory for one without a name, a device */
    uint64_t size_bytes;   /* of all extents; 0: a device's own size */
    uint32_t extent_bytes; /* 0: SPILL_EXTENT_BYTES; else a multiple of SPILL_ALIGN_BYTES */
    struct budget *budget; /* outlives the file */
};

/* What everything adds up to; relaxed. */
struct spill_file_fill {
    uint64_t size_bytes;   /* of all extents it may have */
    uint64_t used_bytes;   /* of extents that are not free */
    uint64_t live_bytes;   /* of records in use, within them */
    uint64_t disk_bytes;   /* of the disk, at most: of extents in use, or free and kept */
    uint64_t given_back_bytes; /* to the file system, ever */
    uint64_t record_count;
    uint64_t written_bytes, read_bytes;   /* ever, as the disk saw them */
    uint64_t write_errors, read_errors;   /* calls that the system refused */
    uint64_t corrupt;                     /* records that are not what was written */
    uint64_t table_bytes;
    bool direct; /* past the page cache */
    bool device;
};

/* Makes and unlinks it, or takes the device. FP_IO, FP_INVALID: `why` says it in a sentence.
 * FP_NO_MEMORY. */
enum fp_status spill_file_open(const struct spill_file_options *options, struct spill_file **file,
                               char why[SPILL_WHY_BYTES]) FP_MUST_CHECK FP_NONNULL(1, 2, 3);
/* Whether open would take the path, as far as that can be said without making or changing
 * anything. False: `why` says why not. */
bool spill_file_check(const char *path, uint64_t size_bytes, char why[SPILL_WHY_BYTES])
    FP_MUST_CHECK FP_NONNULL(1, 3);
/* Every use has ended. */
void spill_file_close(struct spill_file **file) FP_NONNULL(1);

struct spill_file_fill spill_file_fill(struct spill_file *file) FP_NONNULL(1);
uint32_t spill_file_extent_bytes(const struct spill_file *file) FP_NONNULL(1);

/* --- writing ---------------------------------------------------------------------------------- */

struct spill_extent {
    uint32_t number;
    uint64_t sequence; /* for its records */
};

/* The last free extent is kept for who empties others into it. */
enum spill_which { SPILL_NOT_LAST, SPILL_LAST_TOO };
/* A free extent, to be filled. FP_TOO_BIG: the file is full. */
enum fp_status spill_extent_take(struct spill_file *file, enum spill_which which,
                                 struct spill_extent *extent) FP_MUST_CHECK FP_NONNULL(1, 3);
/* Whether SPILL_NOT_LAST would find one. */
bool spill_file_has_free(struct spill_file *file) FP_NONNULL(1);
/* Writes `bytes` (a multiple of SPILL_ALIGN_BYTES, aligned to it) at its beginning; once it answers
 * FP_OK they are the disk's business. FP_TOO_BIG: the disk has no room. FP_IO. */
enum fp_status spill_extent_write(struct spill_file *file, const struct spill_extent *extent,
                                  const uint8_t *bytes, size_t size_bytes)
    FP_MUST_CHECK FP_NONNULL(1, 2, 3);
/* The place of a record that begins at `offset` of the extent. */
uint64_t spill_extent_place(const struct spill_file *file, const struct spill_extent *extent,
                            uint32_t offset) FP_NONNULL(1, 2);
/* Some handle names the record at this place from here on. The extent is being filled. */
void spill_record_born(struct spill_file *file, uint64_t place, uint32_t size_bytes) FP_NONNULL(1);
void spill_record_died(struct spill_file *file, uint64_t place, uint32_t size_bytes) FP_NONNULL(1);
/* The extent is filled: it is free again with its last use, or at once. */
void spill_extent_done(struct spill_file *file, const struct spill_extent *extent)
    FP_NONNULL(1, 2);

/* --- reading ---------------------------------------------------------------------------------- */

/* A record on its way back. All zeros but for place and size_bytes before hold. */
struct spill_read {
    uint64_t place;
    uint32_t size_bytes; /* of the object */
    uint64_t sequence;   /* of its extent, once it is held */
    struct spill_record record;
    const uint8_t *bytes; /* the object's, in `room`; NULL before it was read */
    uint8_t *room;
    uint32_t room_bytes; /* charged */
};

/* Keeps the record's extent as it is until spill_read_end. The record is in use. */
void spill_read_hold(struct spill_file *file, struct spill_read *read) FP_NONNULL(1, 2);
/* Reads it, with room of its own, and checks that it is what was written. FP_IO: the system
 * refused, FP_CORRUPT: other bytes came, or less; both are counted. FP_NO_MEMORY. */
enum fp_status spill_read_run(struct spill_file *file, struct spill_read *read)
    FP_MUST_CHECK FP_NONNULL(1, 2);
/* Lets go of the extent and gives the room back. */
void spill_read_end(struct spill_file *file, struct spill_read *read) FP_NONNULL(1, 2);

/* --- closing gaps ----------------------------------------------------------------------------- */

/* The next extent from *hand on, in a circle, with live bytes but no more than live_bytes_max; it
 * is held, and *hand behind it. False: there is none. */
bool spill_extent_sparse(struct spill_file *file, uint32_t *hand, uint32_t live_bytes_max,
                         struct spill_extent *extent) FP_MUST_CHECK FP_NONNULL(1, 2, 4);
/* Reads it whole into `bytes` (extent_bytes, aligned). FP_IO. */
enum fp_status spill_extent_read(struct spill_file *file, const struct spill_extent *extent,
                                 uint8_t *bytes) FP_MUST_CHECK FP_NONNULL(1, 2, 3);
void spill_extent_let_go(struct spill_file *file, const struct spill_extent *extent)
    FP_NONNULL(1, 2);

/* Free extents beyond that become holes of the file, extents_max of them at most; how many did. A
 * device keeps them, and so does a file system that has no holes. By the thread that takes extents.
 * Blocks. */
uint32_t spill_file_give_back(struct spill_file *file, uint32_t extents_max) FP_NONNULL(1);

void spill_file_assert(struct spill_file *file) FP_NONNULL(1); /* every invariant; slow */

#endif
