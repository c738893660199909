/* SPDX-License-Identifier: BSD-3-Clause
 *
 * What the bodies of records say. Each function answers NULL, or what is wrong in words that go
 * into one line; lengths are looked at before what they lead to. */
#include "base/arith.h"
#include "snapshot/little_endian.h"
#include "snapshot/reader.h"

enum {
    HEAD_BYTES = 64, /* before the text */
    AREA_BYTES = 56, /* before name and forward */
    DICTIONARY_BYTES = 12,
    SEAT_BYTES = 16,
    TENANT_BYTES = 4,
    PAGES_BYTES = 16,
    ITEM_BYTES = 40,
    PIECES_BYTES = 4,
    ITEM_BITS = 5,
    CHECK_BITS_NONE = (1 << 2) - 1, /* of a check: 0 */
};

static const char too_short[] = "a record is shorter than what it must say";
static const char wrong_length[] = "a record's length is not that of what it says";

/* --- what stands once, or a few times ------------------------------------------------*/

static const char *take_head(struct snapshot_reader *reader, struct slice body,
                             struct snapshot_head *head)
{
    if (body.size_bytes < HEAD_BYTES) return too_short;
    const uint8_t *at = body.bytes;
    uint64_t kind = le_take(&at, 4);
    head->page_bytes = (uint32_t)le_take(&at, 4);
    memcpy(head->boot_id, at, sizeof head->boot_id);
    at += sizeof head->boot_id;
    head->unix_ns = le_take(&at, 8);
    head->last_generation = le_take(&at, 8);
    head->flush_unix_s = le_take(&at, 8);
    head->inode = le_take(&at, 8);
    head->areas = (uint32_t)le_take(&at, 4);
    uint64_t release = le_take(&at, 4);
    if (release > SNAPSHOT_RELEASE_BYTES_MAX || body.size_bytes != HEAD_BYTES + release)
        return wrong_length;
    head->release = slice_of(at, (size_t)release);
    if (kind != SNAPSHOT_OF_STOP && kind != SNAPSHOT_OF_SERVING)
        return "it is of a kind that this program does not know";
    if (head->areas > SNAPSHOT_AREAS_MAX) return "it says that it has more areas than there can be";
    head->kind = (enum snapshot_kind)kind;
    reader->head = *head;
    reader->head.release = slice_of(NULL, 0);
    return NULL;
}

static const char *take_dictionary(struct snapshot_reader *reader, struct slice body,
                                   struct snapshot_dictionary *dictionary)
{
    if (body.size_bytes < DICTIONARY_BYTES) return too_short;
    const uint8_t *at = body.bytes;
    dictionary->number = (uint32_t)le_take(&at, 4);
    dictionary->owner = le_take(&at, 8);
    dictionary->bytes = slice_of(at, body.size_bytes - DICTIONARY_BYTES);
    if (dictionary->bytes.size_bytes > SNAPSHOT_DICTIONARY_BYTES_MAX) return wrong_length;
    if (dictionary->number != reader->dictionaries || reader->dictionaries ==
                                                          SNAPSHOT_DICTIONARIES_MAX)
        return "a dictionary has not the number that is due";
    reader->dictionaries++;
    reader->totals.dictionary_bytes += dictionary->bytes.size_bytes;
    return NULL;
}

static bool is_page_size(uint64_t bytes)
{
    return bytes == 4 << 10 || bytes == 16 << 10 || bytes == 64 << 10;
}

static const char bad_page_size[] = "an area's pages are of a size that is not possible";

static const char *area_problem(const struct snapshot_reader *reader,
                                const struct snapshot_area *area)
{
    uint64_t bytes;
    if (area->number != reader->totals.areas || area->number >= reader->head.areas)
        return "an area has not the number that is due";
    if (!is_page_size(area->page_bytes)) return bad_page_size;
    if (area->slots == 0 || !mul_u64(area->slots, area->page_bytes, &bytes))
        return "an area has a number of slots that is not possible";
    if (area->generation == 0 || area->generation > reader->head.last_generation)
        return "an area's generation is not one that was ever given";
    if (area->dictionary > reader->dictionaries)
        return "an area's dictionary did not come before it";
    if (area->tenant > reader->tenants) return "an area's owner did not come before it";
    if (area->lifetime >= SNAPSHOT_LIFETIMES) return "an area's lifetime is none of those known";
    if (area->moved == (area->forward.size_bytes == 0))
        return "an area has moved and does not say where to, or says so and has not";
    for (uint64_t i = 0; i < reader->totals.areas; i++) {
        if (slice_is(area->name, reader->areas[i].name)) return "two areas have the same name";
        if (area->generation == reader->areas[i].generation)
            return "two areas have the same generation";
    }
    return NULL;
}

static void keep_area(struct snapshot_reader *reader, const struct snapshot_area *area)
{
    struct snapshot_reader_area *kept = &reader->areas[area->number];
    *kept = (struct snapshot_reader_area){.slots = area->slots,
                                          .generation = area->generation,
                                          .page_bytes = area->page_bytes,
                                          .moved = area->moved};
    memcpy(kept->name, area->name.bytes, area->name.size_bytes);
    reader->totals.areas++;
}

/* Letters, digits and . _ - /, the first a letter or digit: as clients may name areas. */
static bool is_name(struct slice name)
{
    if (name.size_bytes == 0 || name.size_bytes > SNAPSHOT_NAME_BYTES_MAX) return false;
    for (size_t i = 0; i < name.size_bytes; i++) {
        uint8_t byte = name.bytes[i];
        bool plain = (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z') ||
                     (byte >= '0' && byte <= '9');
        bool sign = byte == '.' || byte == '_' || byte == '-' || byte == '/';
        if (!plain && (i == 0 || !sign)) return false;
    }
    return true;
}

static const char *take_area(struct snapshot_reader *reader, struct slice body,
                             struct snapshot_area *area)
{
    if (body.size_bytes < AREA_BYTES) return too_short;
    const uint8_t *at = body.bytes;
    area->number = (uint32_t)le_take(&at, 4);
    area->page_bytes = (uint32_t)le_take(&at, 4);
    area->slots = le_take(&at, 8);
    area->generation = le_take(&at, 8);
    area->quota_pages = le_take(&at, 8);
    area->quota_bytes = le_take(&at, 8);
    area->dictionary = (uint32_t)le_take(&at, 4);
    area->lifetime = (enum snapshot_lifetime)le_take(&at, 1);
    uint64_t bits = le_take(&at, 1), name = le_take(&at, 2), forward = le_take(&at, 4);
    area->tenant = (uint32_t)le_take(&at, 4);
    if (name > SNAPSHOT_NAME_BYTES_MAX || forward > SNAPSHOT_FORWARD_BYTES_MAX ||
        body.size_bytes != AREA_BYTES + name + forward)
        return wrong_length;
    area->name = slice_of(at, (size_t)name);
    area->forward = slice_of(at + name, (size_t)forward);
    area->as_they_are = (bits & 1) != 0;
    area->moved = (bits & 2) != 0;
    if (bits > 3) return "an area has marks that this program does not know";
    if (!is_name(area->name)) return "an area's name is not one that an area can have";
    const char *problem = area_problem(reader, area);
    if (problem == NULL) keep_area(reader, area);
    return problem;
}

static const char *take_seat(struct snapshot_reader *reader, struct slice body,
                             struct snapshot_seat *seat)
{
    if (body.size_bytes < SEAT_BYTES) return too_short;
    const uint8_t *at = body.bytes;
    seat->number = (uint32_t)le_take(&at, 4);
    seat->level = (int32_t)(uint32_t)le_take(&at, 4);
    seat->dictionary = (uint32_t)le_take(&at, 4);
    uint64_t size = le_take(&at, 4);
    if (size == 0 || size > SNAPSHOT_ALGORITHM_BYTES_MAX || body.size_bytes != SEAT_BYTES + size)
        return wrong_length;
    seat->algorithm = slice_of(at, (size_t)size);
    if (seat->number != reader->seats || reader->seats == SNAPSHOT_SEATS_MAX)
        return "a compressor has not the number that is due";
    if (seat->dictionary > reader->dictionaries)
        return "a compressor's dictionary did not come before it";
    reader->seats++;
    return NULL;
}

static const char *take_export(struct snapshot_reader *reader, struct slice body,
                               struct slice *name)
{
    if (!is_name(body)) return "an export's name is not one that an export can have";
    if (reader->exports == SNAPSHOT_EXPORTS_MAX) return "there are more exports than there can be";
    reader->exports++;
    *name = body;
    return NULL;
}

static const char *take_tenant(struct snapshot_reader *reader, struct slice body,
                               struct slice *name)
{
    if (body.size_bytes < TENANT_BYTES) return too_short;
    *name = slice_of(body.bytes + TENANT_BYTES, body.size_bytes - TENANT_BYTES);
    if (name->size_bytes == 0 || name->size_bytes > SNAPSHOT_NAME_BYTES_MAX ||
        memchr(name->bytes, '\0', name->size_bytes) != NULL)
        return "a tenant's name is not one that a tenant can have";
    if (le_get(body.bytes, 4) != reader->tenants || reader->tenants == SNAPSHOT_TENANTS_MAX)
        return "a tenant has not the number that is due";
    reader->tenants++;
    return NULL;
}

/* --- entries ---------------------------------------------------------------------------------- */

struct entries { /* what those of a record must be */
    const struct snapshot_reader *reader;
    uint32_t count;
    bool whole;          /* pages, plain_bytes each; else pieces of the item */
    uint32_t plain_bytes;
    uint64_t places;     /* of a row */
};

static const char *form_problem(const struct entries *entries, const struct snapshot_entry *entry,
                                uint32_t plain_bytes)
{
    size_t size = entry->bytes.size_bytes;
    switch (entry->form) {
    case SNAPSHOT_PACKED:
        if (entry->seat >= entries->reader->seats)
            return "what an object was packed with did not come before it";
        if (size == 0 || size >= plain_bytes)
            return "an object is as long as what it is packed from";
        return NULL;
    case SNAPSHOT_PLAIN:
        return size == plain_bytes ? NULL : "what is kept as it is has not its own length";
    case SNAPSHOT_WORD:
        return size == SNAPSHOT_WORD_BYTES ? NULL : "a repeated word is not 8 bytes long";
    case SNAPSHOT_CORRUPT:
        return size == 0 ? NULL : "what is damaged has bytes";
    case SNAPSHOT_FORMS:
        break;
    }
    return "an object is of a form that this program does not know";
}

static const char *entry_problem(const struct entries *entries, const struct snapshot_entry *entry,
                                 uint32_t index)
{
    const struct snapshot_reader *reader = entries->reader;
    uint32_t plain_bytes = entries->plain_bytes;
    if (entries->whole && entry->place >= entries->places)
        return "a page's slot is not one of its row";
    if (!entries->whole && entry->place != reader->piece + index)
        return "an item's pieces are not in order";
    if (!entries->whole) plain_bytes = snapshot_piece_bytes(reader->value_bytes, entry->place);
    if (entry->form != SNAPSHOT_PACKED && entry->seat != 0)
        return "what is not packed names what packed it";
    if ((entry->check & CHECK_BITS_NONE) != 0) return "a checksum has more bits than are kept";
    return form_problem(entries, entry, plain_bytes);
}

/* Whether there is one whole entry at the beginning of *rest. */
static bool entry_is_whole(struct slice rest)
{
    if (rest.size_bytes < SNAPSHOT_ENTRY_BYTES) return false;
    uint64_t size = le_get(rest.bytes + SNAPSHOT_ENTRY_BYTES - 4, 4);
    return le_get(rest.bytes + 6, 2) == 0 && size <= SNAPSHOT_OBJECT_BYTES_MAX &&
           rest.size_bytes - SNAPSHOT_ENTRY_BYTES >= size;
}

static const char *take_entries(const struct entries *entries, struct slice rest,
                                struct snapshot_totals *sum)
{
    for (uint32_t i = 0; i < entries->count; i++) {
        struct snapshot_entry entry;
        if (!entry_is_whole(rest)) return "an object's length is not possible";
        if (!snapshot_entry_next(&rest, &entry)) return too_short;
        const char *problem = entry_problem(entries, &entry, i);
        if (problem != NULL) return problem;
        sum->same_filled += entry.form == SNAPSHOT_WORD;
        sum->corrupt += entry.form == SNAPSHOT_CORRUPT;
        sum->packed_bytes += entry.bytes.size_bytes;
    }
    return rest.size_bytes == 0 ? NULL : wrong_length;
}

static const char *take_pages(struct snapshot_reader *reader, struct slice body,
                              struct snapshot_pages *pages)
{
    if (body.size_bytes < PAGES_BYTES) return too_short;
    const uint8_t *at = body.bytes;
    pages->area = (uint32_t)le_take(&at, 4);
    pages->count = (uint32_t)le_take(&at, 4);
    pages->first = le_take(&at, 8);
    pages->entries = slice_of(at, body.size_bytes - PAGES_BYTES);
    if (pages->area >= reader->totals.areas) return "pages are of an area that did not come before";
    const struct snapshot_reader_area *area = &reader->areas[pages->area];
    if (area->moved) return "an area that has moved has pages";
    if (pages->count == 0 || pages->count > SNAPSHOT_ROW_SLOTS)
        return "a record of pages has none, or more than a row";
    if (pages->first % SNAPSHOT_ROW_SLOTS != 0 || pages->first >= area->slots)
        return "pages are of a row that their area has not";
    struct entries entries = {.reader = reader,
                              .count = pages->count,
                              .whole = true,
                              .plain_bytes = area->page_bytes,
                              .places = min_u64(area->slots - pages->first, SNAPSHOT_ROW_SLOTS)};
    struct snapshot_totals sum = {0};
    const char *problem = take_entries(&entries, pages->entries, &sum);
    if (problem != NULL) return problem;
    reader->totals.pages += pages->count;
    reader->totals.plain_bytes += (uint64_t)pages->count * area->page_bytes;
    reader->totals.packed_bytes += sum.packed_bytes;
    reader->totals.same_filled += sum.same_filled;
    reader->totals.corrupt += sum.corrupt;
    return NULL;
}

/* --- items ------------------------------------------------------------------------------------ */

static const char *take_pieces_of_item(struct snapshot_reader *reader, uint32_t count,
                                       struct slice bytes)
{
    struct entries entries = {.reader = reader, .count = count};
    struct snapshot_totals sum = {0};
    if (count > snapshot_pieces_of(reader->value_bytes) - reader->piece)
        return "an item has more pieces than its value";
    const char *problem = take_entries(&entries, bytes, &sum);
    reader->piece += count;
    reader->totals.value_packed_bytes += sum.packed_bytes;
    return problem;
}

static const char *take_item(struct snapshot_reader *reader, struct slice body,
                             struct snapshot_item *item)
{
    if (body.size_bytes < ITEM_BYTES) return too_short;
    const uint8_t *at = body.bytes;
    item->flags = (uint32_t)le_take(&at, 4);
    item->value_bytes = (uint32_t)le_take(&at, 4);
    item->cas = le_take(&at, 8);
    item->expires_unix_s = le_take(&at, 8);
    item->idle_s = (uint32_t)le_take(&at, 4);
    item->tenant = (uint32_t)le_take(&at, 4);
    item->pieces = (uint32_t)le_take(&at, 4);
    uint64_t key = le_take(&at, 2), bits = le_take(&at, 2);
    if (key == 0 || key > SNAPSHOT_KEY_BYTES_MAX || body.size_bytes < ITEM_BYTES + key)
        return wrong_length;
    if (bits >> ITEM_BITS != 0) return "an item has marks that this program does not know";
    if (item->tenant > reader->tenants) return "an item's owner did not come before it";
    item->key_binary = (bits & 1) != 0;
    item->fetched = (bits & 2) != 0;
    item->stale = (bits & 4) != 0;
    item->won = (bits & 8) != 0;
    item->wanted = (bits & 16) != 0;
    item->key = slice_of(at, (size_t)key);
    item->entries = slice_of(at + key, body.size_bytes - ITEM_BYTES - (size_t)key);
    reader->value_bytes = item->value_bytes;
    reader->piece = 0;
    reader->totals.items++;
    reader->totals.key_bytes += key;
    reader->totals.value_bytes += item->value_bytes;
    return take_pieces_of_item(reader, item->pieces, item->entries);
}

static const char *take_pieces(struct snapshot_reader *reader, struct slice body,
                               struct snapshot_pieces *pieces)
{
    if (body.size_bytes < PIECES_BYTES) return too_short;
    pieces->count = (uint32_t)le_get(body.bytes, 4);
    pieces->entries = slice_of(body.bytes + PIECES_BYTES, body.size_bytes - PIECES_BYTES);
    if (pieces->count == 0) return "a record of pieces has none";
    return take_pieces_of_item(reader, pieces->count, pieces->entries);
}

/* --- the end, and the order of things --------------------------------------------------------- */

static const char *take_end(const struct snapshot_reader *reader, struct slice body,
                            struct snapshot_end *end)
{
    if (body.size_bytes != SNAPSHOT_END_BYTES) return wrong_length;
    const uint8_t *at = body.bytes;
    uint64_t totals[SNAPSHOT_TOTALS];
    for (unsigned i = 0; i < SNAPSHOT_TOTALS; i++) totals[i] = le_take(&at, 8);
    memcpy(&end->totals, totals, sizeof totals);
    end->unix_ns = le_take(&at, 8);
    end->last_cas = le_take(&at, 8);
    end->file_bytes = le_take(&at, 8);
    if (memcmp(&end->totals, &reader->totals, sizeof end->totals) != 0 ||
        end->file_bytes != reader->offset + SNAPSHOT_TAIL_BYTES)
        return "what it has is not what its end record says";
    return NULL;
}

static const char *order_problem(const struct snapshot_reader *reader, enum snapshot_type type)
{
    bool open = reader->piece < snapshot_pieces_of(reader->value_bytes);
    bool areas_due = reader->totals.areas < reader->head.areas;
    if ((reader->last == 0) != (type == SNAPSHOT_HEAD))
        return "a head is due, once, at the beginning";
    if (open != (type == SNAPSHOT_PIECES)) return "pieces are due, or are not";
    bool before_areas = type == SNAPSHOT_HEAD || type == SNAPSHOT_DICTIONARY ||
                        type == SNAPSHOT_TENANT || type == SNAPSHOT_AREA;
    if (areas_due && !before_areas) return "an area is due";
    if (type == SNAPSHOT_EXPORT && reader->totals.items > 0) return "an export is not due";
    return NULL;
}

const char *snapshot_record_take(struct snapshot_reader *reader, struct slice body,
                                 struct snapshot_record *record)
{
    const char *problem = order_problem(reader, record->type);
    if (problem != NULL) return problem;
    switch (record->type) {
    case SNAPSHOT_HEAD:
        return take_head(reader, body, &record->as.head);
    case SNAPSHOT_DICTIONARY:
        return take_dictionary(reader, body, &record->as.dictionary);
    case SNAPSHOT_AREA:
        return take_area(reader, body, &record->as.area);
    case SNAPSHOT_SEAT:
        return take_seat(reader, body, &record->as.seat);
    case SNAPSHOT_PAGES:
        return take_pages(reader, body, &record->as.pages);
    case SNAPSHOT_EXPORT:
        return take_export(reader, body, &record->as.export);
    case SNAPSHOT_TENANT:
        return take_tenant(reader, body, &record->as.tenant);
    case SNAPSHOT_ITEM:
        return take_item(reader, body, &record->as.item);
    case SNAPSHOT_PIECES:
        return take_pieces(reader, body, &record->as.pieces);
    case SNAPSHOT_END:
        return take_end(reader, body, &record->as.end);
    case SNAPSHOT_TYPES:
        break;
    }
    return "there is no such type of record";
}
