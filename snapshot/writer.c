/* SPDX-License-Identifier: BSD-3-Clause */
#include "snapshot/writer.h"

#include "base/check.h"
#include "base/crc32c.h"
#include "snapshot/little_endian.h"

/* Where numbers that are known only at a record's end stand in its body. */
enum { COUNT_AT_PAGES = 4, COUNT_AT_ITEM = 32, COUNT_AT_PIECES = 0 };

void snapshot_writer_init(struct snapshot_writer *writer, uint8_t *bytes, size_t capacity)
{
    fp_assert(capacity >= SNAPSHOT_RECORD_BYTES_MAX + SNAPSHOT_PREAMBLE_BYTES);
    *writer = (struct snapshot_writer){.bytes = bytes, .capacity = capacity};
    memcpy(bytes, SNAPSHOT_MAGIC, SNAPSHOT_MAGIC_BYTES);
    le_put(le_put(bytes + SNAPSHOT_MAGIC_BYTES, 4, SNAPSHOT_VERSION), 4, 0);
    writer->size = SNAPSHOT_PREAMBLE_BYTES;
    writer->crc = crc32c(bytes, writer->size);
}

void snapshot_writer_taken(struct snapshot_writer *writer)
{
    fp_assert(!writer->open);
    writer->written_before += writer->size;
    writer->size = 0;
}

bool snapshot_writer_room(const struct snapshot_writer *writer, size_t body_bytes)
{
    fp_assert(body_bytes <= SNAPSHOT_BODY_BYTES_MAX);
    return writer->capacity - writer->size >= SNAPSHOT_HEADER_BYTES + body_bytes;
}

uint64_t snapshot_writer_bytes(const struct snapshot_writer *writer)
{
    return writer->written_before + writer->size;
}

/* --- a record --------------------------------------------------------------------------------- */

static uint8_t *body_of(struct snapshot_writer *writer)
{
    return writer->bytes + writer->record + SNAPSHOT_HEADER_BYTES;
}

static void put(struct snapshot_writer *writer, unsigned bytes, uint64_t value)
{
    fp_assert(writer->capacity - writer->size >= bytes);
    le_put(writer->bytes + writer->size, bytes, value);
    writer->size += bytes;
}

static void put_bytes(struct snapshot_writer *writer, struct slice bytes)
{
    fp_assert(writer->capacity - writer->size >= bytes.size_bytes);
    if (bytes.size_bytes > 0)
        memcpy(writer->bytes + writer->size, bytes.bytes, bytes.size_bytes);
    writer->size += bytes.size_bytes;
}

static void begin(struct snapshot_writer *writer, enum snapshot_type type)
{
    fp_assert(!writer->open);
    fp_assert(writer->value_left == 0 || type == SNAPSHOT_PIECES);
    writer->open = true;
    writer->record = writer->size;
    writer->count = 0;
    put(writer, 4, type);
    put(writer, 4, 0); /* the body's length, and below the checksum: known at the end */
    put(writer, 4, (uint32_t)writer->totals.records);
    put(writer, 4, 0);
}

static void end(struct snapshot_writer *writer)
{
    fp_assert(writer->open);
    uint8_t *header = writer->bytes + writer->record;
    size_t body = writer->size - writer->record - SNAPSHOT_HEADER_BYTES;
    fp_assert(body <= SNAPSHOT_BODY_BYTES_MAX);
    le_put(header + 4, 4, body);
    writer->crc = crc32c_extend(writer->crc, header, SNAPSHOT_HEADER_BYTES - 4);
    writer->crc = crc32c_extend(writer->crc, header + SNAPSHOT_HEADER_BYTES, body);
    le_put(header + SNAPSHOT_HEADER_BYTES - 4, 4, writer->crc);
    writer->open = false;
    writer->totals.records++;
}

/* --- those that are written whole ------------------------------------------------------------- */

void snapshot_write_head(struct snapshot_writer *writer, const struct snapshot_head *head)
{
    fp_assert(head->release.size_bytes <= SNAPSHOT_RELEASE_BYTES_MAX);
    begin(writer, SNAPSHOT_HEAD);
    put(writer, 4, head->kind);
    put(writer, 4, head->page_bytes);
    put_bytes(writer, slice_of(head->boot_id, sizeof head->boot_id));
    put(writer, 8, head->unix_ns);
    put(writer, 8, head->last_generation);
    put(writer, 8, head->flush_unix_s);
    put(writer, 8, head->inode);
    put(writer, 4, head->areas);
    put(writer, 4, head->release.size_bytes);
    put_bytes(writer, head->release);
    end(writer);
}

void snapshot_write_dictionary(struct snapshot_writer *writer,
                               const struct snapshot_dictionary *dictionary)
{
    fp_assert(dictionary->bytes.size_bytes <= SNAPSHOT_DICTIONARY_BYTES_MAX);
    begin(writer, SNAPSHOT_DICTIONARY);
    put(writer, 4, dictionary->number);
    put(writer, 8, dictionary->owner);
    put_bytes(writer, dictionary->bytes);
    end(writer);
    writer->totals.dictionary_bytes += dictionary->bytes.size_bytes;
}

void snapshot_write_area(struct snapshot_writer *writer, const struct snapshot_area *area)
{
    fp_assert(area->number < SNAPSHOT_AREAS_MAX && area->number == writer->totals.areas);
    begin(writer, SNAPSHOT_AREA);
    put(writer, 4, area->number);
    put(writer, 4, area->page_bytes);
    put(writer, 8, area->slots);
    put(writer, 8, area->generation);
    put(writer, 8, area->quota_pages);
    put(writer, 8, area->quota_bytes);
    put(writer, 4, area->dictionary);
    put(writer, 1, area->lifetime);
    put(writer, 1, (unsigned)area->as_they_are | (unsigned)area->moved << 1);
    put(writer, 2, area->name.size_bytes);
    put(writer, 4, area->forward.size_bytes);
    put(writer, 4, area->tenant);
    put_bytes(writer, area->name);
    put_bytes(writer, area->forward);
    end(writer);
    writer->page_bytes[area->number] = area->page_bytes;
    writer->totals.areas++;
}

void snapshot_write_seat(struct snapshot_writer *writer, const struct snapshot_seat *seat)
{
    begin(writer, SNAPSHOT_SEAT);
    put(writer, 4, seat->number);
    put(writer, 4, (uint32_t)seat->level);
    put(writer, 4, seat->dictionary);
    put(writer, 4, seat->algorithm.size_bytes);
    put_bytes(writer, seat->algorithm);
    end(writer);
}

uint32_t snapshot_write_tenant(struct snapshot_writer *writer, struct slice name)
{
    fp_assert(writer->tenants < SNAPSHOT_TENANTS_MAX);
    begin(writer, SNAPSHOT_TENANT);
    put(writer, 4, writer->tenants);
    put_bytes(writer, name);
    end(writer);
    return ++writer->tenants;
}

void snapshot_write_export(struct snapshot_writer *writer, struct slice name)
{
    begin(writer, SNAPSHOT_EXPORT);
    put_bytes(writer, name);
    end(writer);
}

/* --- those of entries ------------------------------------------------------------------------- */

void snapshot_begin_pages(struct snapshot_writer *writer, const struct snapshot_pages *pages)
{
    fp_assert(pages->area < writer->totals.areas && pages->first % SNAPSHOT_ROW_SLOTS == 0);
    begin(writer, SNAPSHOT_PAGES);
    put(writer, 4, pages->area);
    put(writer, 4, 0);
    put(writer, 8, pages->first);
    writer->open_area = pages->area;
}

void snapshot_begin_item(struct snapshot_writer *writer, const struct snapshot_item *item)
{
    fp_assert(item->key.size_bytes <= SNAPSHOT_KEY_BYTES_MAX);
    begin(writer, SNAPSHOT_ITEM);
    put(writer, 4, item->flags);
    put(writer, 4, item->value_bytes);
    put(writer, 8, item->cas);
    put(writer, 8, item->expires_unix_s);
    put(writer, 4, item->idle_s);
    put(writer, 4, item->tenant);
    put(writer, 4, 0);
    put(writer, 2, item->key.size_bytes);
    put(writer, 2,
        (unsigned)item->key_binary | (unsigned)item->fetched << 1 | (unsigned)item->stale << 2 |
            (unsigned)item->won << 3 | (unsigned)item->wanted << 4);
    put_bytes(writer, item->key);
    writer->value_left = snapshot_pieces_of(item->value_bytes);
    writer->totals.items++;
    writer->totals.key_bytes += item->key.size_bytes;
    writer->totals.value_bytes += item->value_bytes;
}

void snapshot_begin_pieces(struct snapshot_writer *writer)
{
    fp_assert(writer->value_left > 0);
    begin(writer, SNAPSHOT_PIECES);
    put(writer, 4, 0);
}

bool snapshot_entry_fits(const struct snapshot_writer *writer, size_t bytes)
{
    size_t body = writer->size - writer->record - SNAPSHOT_HEADER_BYTES;
    size_t more = SNAPSHOT_ENTRY_BYTES + bytes;
    fp_assert(writer->open);
    return more <= SNAPSHOT_BODY_BYTES_MAX - body && more <= writer->capacity - writer->size;
}

static void count_page(struct snapshot_writer *writer, const struct snapshot_entry *entry)
{
    struct snapshot_totals *totals = &writer->totals;
    totals->pages++;
    totals->plain_bytes += writer->page_bytes[writer->open_area];
    totals->packed_bytes += entry->bytes.size_bytes;
    totals->same_filled += entry->form == SNAPSHOT_WORD;
    totals->corrupt += entry->form == SNAPSHOT_CORRUPT;
}

void snapshot_write_entry(struct snapshot_writer *writer, const struct snapshot_entry *entry)
{
    fp_assert(snapshot_entry_fits(writer, entry->bytes.size_bytes));
    put(writer, 4, entry->place);
    put(writer, 1, entry->form);
    put(writer, 1, entry->seat);
    put(writer, 2, 0);
    put(writer, 4, entry->check);
    put(writer, 4, entry->bytes.size_bytes);
    put_bytes(writer, entry->bytes);
    writer->count++;
    if (le_get(writer->bytes + writer->record, 4) == SNAPSHOT_PAGES) {
        count_page(writer, entry);
        return;
    }
    fp_assert(writer->value_left > 0);
    writer->value_left--;
    writer->totals.value_packed_bytes += entry->bytes.size_bytes;
}

void snapshot_finish(struct snapshot_writer *writer)
{
    uint64_t type = le_get(writer->bytes + writer->record, 4);
    size_t at = type == SNAPSHOT_PAGES  ? COUNT_AT_PAGES
                : type == SNAPSHOT_ITEM ? COUNT_AT_ITEM
                                        : COUNT_AT_PIECES;
    le_put(body_of(writer) + at, 4, writer->count);
    end(writer);
}

void snapshot_write_end(struct snapshot_writer *writer, uint64_t unix_ns, uint64_t last_cas)
{
    uint64_t totals[SNAPSHOT_TOTALS];
    uint64_t file_bytes = snapshot_writer_bytes(writer) + SNAPSHOT_TAIL_BYTES;
    memcpy(totals, &writer->totals, sizeof totals);
    begin(writer, SNAPSHOT_END);
    for (unsigned i = 0; i < SNAPSHOT_TOTALS; i++) put(writer, 8, totals[i]);
    put(writer, 8, unix_ns);
    put(writer, 8, last_cas);
    put(writer, 8, file_bytes);
    end(writer);
}
