/* SPDX-License-Identifier: BSD-3-Clause
 * spill_record - what is in the file below memory, byte by byte (docs/spill.md). Pure.
 *
 *   | head | extent 0 | extent 1 | ...        each SPILL_EXTENT_BYTES unless a test wants less
 *   extent:  | record | record | ... |        one behind the other, SPILL_UNIT_BYTES apart
 *   record:  | 48 bytes, as below | the object's bytes |
 *
 * A record says whose it is, so that its bytes are believed only where they are looked for. Its
 * checksum is over all of it but the checksum itself. Numbers are in the machine's order: nobody
 * else reads the file, and no later server does.
 */
#ifndef FARPAGE_STORAGE_SPILL_RECORD_H
#define FARPAGE_STORAGE_SPILL_RECORD_H
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "base/crc32c.h"

enum {
    SPILL_UNIT_BYTES = 64,
    SPILL_RECORD_BYTES = 48, /* in front of the object */
    SPILL_RECORD_MAGIC = 0x4c697073,
    SPILL_OBJECT_BYTES_MAX = 64 << 10,
};

struct spill_record {
    uint32_t magic;
    uint32_t crc;
    uint64_t sequence;   /* of the extent's writing: an older one's bytes are not taken for it */
    uint64_t generation; /* of the area, */
    uint64_t slot;       /* and where in it */
    uint32_t area;       /* its index */
    uint32_t owner;      /* handle */
    uint32_t size_bytes; /* of the object */
    uint32_t note;       /* as the object's was in memory */
};
_Static_assert(sizeof(struct spill_record) == SPILL_RECORD_BYTES, "it has no holes");

/* What a record takes of its extent. */
static inline uint32_t spill_record_span(uint32_t size_bytes)
{
    uint32_t bytes = SPILL_RECORD_BYTES + size_bytes;
    return (bytes + SPILL_UNIT_BYTES - 1) / SPILL_UNIT_BYTES * SPILL_UNIT_BYTES;
}

static inline uint32_t spill_record_crc(const uint8_t *at, uint32_t size_bytes)
{
    return crc32c(at + 8, SPILL_RECORD_BYTES - 8 + (size_t)size_bytes);
}

/* Writes the record in front of the object's bytes, which are there already. */
static inline void spill_record_write(struct spill_record record, uint8_t *at)
{
    record.magic = SPILL_RECORD_MAGIC;
    memcpy(at, &record, sizeof record);
    record.crc = spill_record_crc(at, record.size_bytes);
    memcpy(at, &record, sizeof record);
}

/* False: the bytes are no record of an object of so many bytes, which are there. */
static inline bool spill_record_read(const uint8_t *at, uint32_t size_bytes,
                                     struct spill_record *record)
{
    memcpy(record, at, sizeof *record);
    return record->magic == SPILL_RECORD_MAGIC && record->size_bytes == size_bytes &&
           record->crc == spill_record_crc(at, size_bytes);
}

#endif
