/* SPDX-License-Identifier: BSD-3-Clause
 * reader - takes a snapshot apart and believes nothing of it.
 *
 * Each record is given only when its checksum holds, all that its fields say is possible, and it
 * stands where such a record may: what it names came before, numbers go up by one, names differ,
 * an item's pieces are complete, and END's totals are those of what was read. What is left to
 * whoever builds something of it: that no slot comes twice, and that objects unpack to what their
 * check says.
 *
 * Life: init -> next, with the bytes from where the last record ended -> ... -> SNAPSHOT_READ_END.
 * A problem is final. Pure; one thread.
 */
#ifndef FARPAGE_SNAPSHOT_READER_H
#define FARPAGE_SNAPSHOT_READER_H
#include "base/attrs.h"
#include "snapshot/format.h"

struct snapshot_reader_area { /* what was said of one */
    uint64_t slots, generation;
    uint32_t page_bytes;
    bool moved;
    char name[SNAPSHOT_NAME_BYTES_MAX + 1];
};

struct snapshot_reader {
    uint64_t offset;          /* of the next record */
    struct snapshot_totals totals; /* of what was read, as END must say it */
    const char *problem;      /* what is wrong; NULL: nothing yet */
    uint64_t problem_offset;  /* of the record that it is in */
    struct snapshot_head head; /* once it was read, without `release` */
    /* private */
    uint32_t crc;
    enum snapshot_type last;
    uint32_t dictionaries, seats, exports, tenants;
    uint32_t value_bytes, piece; /* of the item whose pieces come, and the next of them */
    struct snapshot_reader_area areas[SNAPSHOT_AREAS_MAX];
};

struct snapshot_record {
    enum snapshot_type type;
    union {
        struct snapshot_head head;
        struct snapshot_dictionary dictionary;
        struct snapshot_area area;
        struct snapshot_seat seat;
        struct snapshot_pages pages;
        struct slice export; /* its name */
        struct slice tenant; /* the name of the next one */
        struct snapshot_item item;
        struct snapshot_pieces pieces;
        struct snapshot_end end;
    } as; /* slices borrow from the bytes given to next */
};

enum snapshot_read {
    SNAPSHOT_READ_RECORD, /* *record is one; it took *used bytes */
    SNAPSHOT_READ_MORE,   /* *used bytes from the same offset are needed to go on */
    SNAPSHOT_READ_END,    /* END was read before, and nothing follows */
    SNAPSHOT_READ_BAD,    /* reader->problem */
};

void snapshot_reader_init(struct snapshot_reader *reader) FP_NONNULL(1);
/* `bytes` are those from reader->offset on, as many as there are; `last`: no more will come.
 * SNAPSHOT_RECORD_BYTES_MAX bytes are always enough for a record. */
enum snapshot_read snapshot_read_next(struct snapshot_reader *reader, struct slice bytes,
                                      bool last, struct snapshot_record *record, size_t *used)
    FP_MUST_CHECK FP_NONNULL(1, 4, 5);

/* The next entry of a record that was given, and *rest behind it. False: there is none. */
bool snapshot_entry_next(struct slice *rest, struct snapshot_entry *entry)
    FP_MUST_CHECK FP_NONNULL(1, 2);

/* What END says, from the last SNAPSHOT_TAIL_BYTES of a file, to know beforehand; it is checked
 * when the reader comes to it. False: there is no such record. */
bool snapshot_peek_end(struct slice tail, struct snapshot_end *end) FP_MUST_CHECK FP_NONNULL(2);

const char *snapshot_type_text(enum snapshot_type type); /* "pages"; NULL: none */

/* --- between reader.c and reader_record.c ----------------------------------------------------- */

/* What a body says, and whether it may be said here; counts it. NULL, or the problem. */
const char *snapshot_record_take(struct snapshot_reader *reader, struct slice body,
                                 struct snapshot_record *record) FP_MUST_CHECK FP_NONNULL(1, 3);

#endif
