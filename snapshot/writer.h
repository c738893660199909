/* SPDX-License-Identifier: BSD-3-Clause
 * writer - composes the records of a snapshot in memory of the caller's.
 *
 * Life: init (writes the preamble) -> records, as room allows -> the caller takes `bytes` away and
 * says so (taken) -> more records -> end. Whoever writes a record asks for room first; one that is
 * begun must be finished before its bytes are taken.
 *
 * It counts what it writes, for END. Pure; one thread.
 */
#ifndef FARPAGE_SNAPSHOT_WRITER_H
#define FARPAGE_SNAPSHOT_WRITER_H
#include "base/attrs.h"
#include "snapshot/format.h"

struct snapshot_writer {
    uint8_t *bytes; /* the caller's, `capacity` bytes */
    size_t size, capacity;
    /* private */
    uint64_t written_before; /* bytes taken */
    uint32_t crc;
    size_t record; /* where the one under way begins */
    bool open;
    uint32_t count;      /* of entries in it */
    uint32_t value_left; /* pieces of the item that are still to come */
    uint32_t page_bytes[SNAPSHOT_AREAS_MAX];
    uint32_t open_area, tenants;
    struct snapshot_totals totals;
};

/* capacity: SNAPSHOT_RECORD_BYTES_MAX + SNAPSHOT_PREAMBLE_BYTES at least. */
void snapshot_writer_init(struct snapshot_writer *writer, uint8_t *bytes, size_t capacity)
    FP_NONNULL(1, 2);
/* The caller has what was in `bytes`; no record is open. */
void snapshot_writer_taken(struct snapshot_writer *writer) FP_NONNULL(1);
/* Whether a record whose body has so many bytes fits. */
bool snapshot_writer_room(const struct snapshot_writer *writer, size_t body_bytes)
    FP_MUST_CHECK FP_NONNULL(1);
uint64_t snapshot_writer_bytes(const struct snapshot_writer *writer) FP_NONNULL(1); /* ever */

void snapshot_write_head(struct snapshot_writer *writer, const struct snapshot_head *head)
    FP_NONNULL(1, 2);
void snapshot_write_dictionary(struct snapshot_writer *writer,
                               const struct snapshot_dictionary *dictionary) FP_NONNULL(1, 2);
void snapshot_write_area(struct snapshot_writer *writer, const struct snapshot_area *area)
    FP_NONNULL(1, 2);
void snapshot_write_seat(struct snapshot_writer *writer, const struct snapshot_seat *seat)
    FP_NONNULL(1, 2);
/* The next of them; returns its number, + 1. */
uint32_t snapshot_write_tenant(struct snapshot_writer *writer, struct slice name) FP_NONNULL(1);
void snapshot_write_export(struct snapshot_writer *writer, struct slice name) FP_NONNULL(1);

/* A record of entries: begun, then entry by entry as they fit, then finished. `count` and `pieces`
 * of what is given here are not looked at. */
void snapshot_begin_pages(struct snapshot_writer *writer, const struct snapshot_pages *pages)
    FP_NONNULL(1, 2);
void snapshot_begin_item(struct snapshot_writer *writer, const struct snapshot_item *item)
    FP_NONNULL(1, 2);
void snapshot_begin_pieces(struct snapshot_writer *writer) FP_NONNULL(1);
/* Whether an entry of so many bytes fits into the record that is open. */
bool snapshot_entry_fits(const struct snapshot_writer *writer, size_t bytes)
    FP_MUST_CHECK FP_NONNULL(1);
void snapshot_write_entry(struct snapshot_writer *writer, const struct snapshot_entry *entry)
    FP_NONNULL(1, 2);
void snapshot_finish(struct snapshot_writer *writer) FP_NONNULL(1);
/* Pieces of the last item that no record has yet. */
static inline uint32_t snapshot_pieces_left(const struct snapshot_writer *writer)
{
    return writer->value_left;
}

void snapshot_write_end(struct snapshot_writer *writer, uint64_t unix_ns, uint64_t last_cas)
    FP_NONNULL(1);

#endif
