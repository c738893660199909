/* SPDX-License-Identifier: BSD-3-Clause */
#include "snapshot/reader.h"

#include "base/check.h"
#include "base/crc32c.h"
#include "snapshot/little_endian.h"

void snapshot_reader_init(struct snapshot_reader *reader)
{
    memset(reader, 0, sizeof *reader);
}

const char *snapshot_type_text(enum snapshot_type type)
{
    static const char *const texts[SNAPSHOT_TYPES] = {
#define X(number, name, text, meaning) [number] = text,
        SNAPSHOT_RECORDS(X)
#undef X
    };
    return type < SNAPSHOT_TYPES ? texts[type] : NULL;
}

static enum snapshot_read bad(struct snapshot_reader *reader, const char *problem)
{
    reader->problem = problem;
    reader->problem_offset = reader->offset;
    return SNAPSHOT_READ_BAD;
}

/* So many bytes are wanted. */
static enum snapshot_read more(struct snapshot_reader *reader, size_t wanted, bool last,
                               size_t *used)
{
    *used = wanted;
    return last ? bad(reader, "it ends before its end record: it was cut short")
                : SNAPSHOT_READ_MORE;
}

/* NULL, or what is wrong. */
static const char *take_preamble(struct snapshot_reader *reader, const uint8_t *bytes)
{
    if (memcmp(bytes, SNAPSHOT_MAGIC, SNAPSHOT_MAGIC_BYTES) != 0)
        return "it does not begin as a snapshot does";
    if (le_get(bytes + SNAPSHOT_MAGIC_BYTES, 4) != SNAPSHOT_VERSION)
        return "it is of another version of the format, which this program does not know";
    if (le_get(bytes + SNAPSHOT_MAGIC_BYTES + 4, 4) != 0)
        return "the reserved bytes of its preamble are not 0";
    reader->crc = crc32c(bytes, SNAPSHOT_PREAMBLE_BYTES);
    return NULL;
}

struct header {
    uint64_t type, body_bytes, number, crc;
};

static struct header header_of(const uint8_t *bytes)
{
    return (struct header){.type = le_get(bytes, 4),
                           .body_bytes = le_get(bytes + 4, 4),
                           .number = le_get(bytes + 8, 4),
                           .crc = le_get(bytes + 12, 4)};
}

/* The length is used before the checksum can be looked at: so it is bounded. */
static const char *header_problem(const struct snapshot_reader *reader,
                                  const struct header *header)
{
    if (header->type == 0 || header->type >= SNAPSHOT_TYPES)
        return "there is no such type of record";
    if (header->body_bytes > SNAPSHOT_BODY_BYTES_MAX) return "a record cannot be that long";
    if (header->number != (uint32_t)reader->totals.records)
        return "it is not the record that is due: some are missing, or in another order";
    return NULL;
}

static enum snapshot_read read_record(struct snapshot_reader *reader, struct slice bytes,
                                      bool last, struct snapshot_record *record, size_t *used)
{
    if (bytes.size_bytes < SNAPSHOT_HEADER_BYTES)
        return more(reader, SNAPSHOT_HEADER_BYTES, last, used);
    struct header header = header_of(bytes.bytes);
    const char *problem = header_problem(reader, &header);
    if (problem != NULL) return bad(reader, problem);
    size_t size = SNAPSHOT_HEADER_BYTES + (size_t)header.body_bytes;
    if (bytes.size_bytes < size) return more(reader, size, last, used);
    struct slice body = slice_of(bytes.bytes + SNAPSHOT_HEADER_BYTES, size - SNAPSHOT_HEADER_BYTES);
    uint32_t crc = crc32c_extend(reader->crc, bytes.bytes, SNAPSHOT_HEADER_BYTES - 4);
    crc = crc32c_extend(crc, body.bytes, body.size_bytes);
    if (crc != header.crc) return bad(reader, "the record does not match its checksum");
    record->type = (enum snapshot_type)header.type;
    problem = snapshot_record_take(reader, body, record);
    if (problem != NULL) return bad(reader, problem);
    reader->crc = crc;
    reader->last = record->type;
    reader->totals.records += record->type != SNAPSHOT_END;
    reader->offset += size;
    *used += size;
    return SNAPSHOT_READ_RECORD;
}

enum snapshot_read snapshot_read_next(struct snapshot_reader *reader, struct slice bytes,
                                      bool last, struct snapshot_record *record, size_t *used)
{
    *used = 0;
    if (reader->problem != NULL) return SNAPSHOT_READ_BAD;
    if (reader->last == SNAPSHOT_END) {
        if (bytes.size_bytes > 0) return bad(reader, "something follows its end record");
        return last ? SNAPSHOT_READ_END : more(reader, 1, last, used);
    }
    if (reader->offset > 0) return read_record(reader, bytes, last, record, used);
    if (bytes.size_bytes < SNAPSHOT_PREAMBLE_BYTES) {
        size_t size = bytes.size_bytes < SNAPSHOT_MAGIC_BYTES ? bytes.size_bytes
                                                              : SNAPSHOT_MAGIC_BYTES;
        if (size > 0 && memcmp(bytes.bytes, SNAPSHOT_MAGIC, size) != 0)
            return bad(reader, "it does not begin as a snapshot does");
        return more(reader, SNAPSHOT_PREAMBLE_BYTES, last, used);
    }
    const char *problem = take_preamble(reader, bytes.bytes);
    if (problem != NULL) return bad(reader, problem);
    bytes = slice_of(bytes.bytes + SNAPSHOT_PREAMBLE_BYTES,
                     bytes.size_bytes - SNAPSHOT_PREAMBLE_BYTES);
    reader->offset = SNAPSHOT_PREAMBLE_BYTES;
    enum snapshot_read read = read_record(reader, bytes, last, record, used);
    if (read == SNAPSHOT_READ_MORE) reader->offset = 0; /* it is all given again */
    *used += SNAPSHOT_PREAMBLE_BYTES;
    return read;
}

bool snapshot_entry_next(struct slice *rest, struct snapshot_entry *entry)
{
    if (rest->size_bytes == 0) return false;
    fp_assert(rest->size_bytes >= SNAPSHOT_ENTRY_BYTES);
    const uint8_t *at = rest->bytes;
    entry->place = (uint32_t)le_take(&at, 4);
    entry->form = (enum snapshot_form)le_take(&at, 1);
    entry->seat = (uint8_t)le_take(&at, 1);
    at += 2;
    entry->check = (uint32_t)le_take(&at, 4);
    size_t size = (size_t)le_take(&at, 4), whole = SNAPSHOT_ENTRY_BYTES + size;
    fp_assert(rest->size_bytes >= whole);
    entry->bytes = slice_of(at, size);
    *rest = slice_of(rest->bytes + whole, rest->size_bytes - whole);
    return true;
}

bool snapshot_peek_end(struct slice tail, struct snapshot_end *end)
{
    if (tail.size_bytes != SNAPSHOT_TAIL_BYTES) return false;
    struct header header = header_of(tail.bytes);
    if (header.type != SNAPSHOT_END || header.body_bytes != SNAPSHOT_END_BYTES) return false;
    const uint8_t *at = tail.bytes + SNAPSHOT_HEADER_BYTES;
    uint64_t totals[SNAPSHOT_TOTALS];
    for (unsigned i = 0; i < SNAPSHOT_TOTALS; i++) totals[i] = le_take(&at, 8);
    memcpy(&end->totals, totals, sizeof totals);
    end->unix_ns = le_take(&at, 8);
    end->last_cas = le_take(&at, 8);
    end->file_bytes = le_take(&at, 8);
    return true;
}
