/* SPDX-License-Identifier: BSD-3-Clause */
#include "base/crc32c.h"
#include "snapshot/little_endian.h"
#include "snapshot/reader.h"
#include "snapshot/writer.h"
#include "tests/unit/base/suite.h"

#include <stdlib.h>

enum { CAPACITY = 2 * SNAPSHOT_RECORD_BYTES_MAX, LONG_PIECES = 70 };

static struct snapshot_writer writer;
static struct snapshot_reader reader;
static uint8_t buffer[CAPACITY], made[4 << 20];
static size_t made_bytes;
static uint8_t letters[SNAPSHOT_OBJECT_BYTES_MAX];

static const struct snapshot_head head = {.kind = SNAPSHOT_OF_STOP,
                                          .boot_id = {7, [15] = 9},
                                          .page_bytes = 4096,
                                          .areas = 2,
                                          .unix_ns = 1234567890123456789,
                                          .last_generation = 12,
                                          .flush_unix_s = 2000000000,
                                          .inode = 4711,
                                          .release = {(const uint8_t *)"1.2", 3}};

static void take(void)
{
    ck_assert(made_bytes + writer.size <= sizeof made);
    memcpy(made + made_bytes, writer.bytes, writer.size);
    made_bytes += writer.size;
    snapshot_writer_taken(&writer);
}

static void begin(const struct snapshot_head *first)
{
    memset(letters, 'x', sizeof letters);
    made_bytes = 0;
    snapshot_writer_init(&writer, buffer, sizeof buffer);
    snapshot_write_head(&writer, first);
}

static struct snapshot_area area_of(uint32_t number)
{
    static const char *const names[] = {"swap", "guests/web1"};
    return (struct snapshot_area){.number = number,
                                  .page_bytes = number == 0 ? 4096 : 65536,
                                  .slots = 3000,
                                  .generation = 11 + number,
                                  .quota_pages = 5,
                                  .quota_bytes = 6,
                                  .dictionary = number,
                                  .lifetime = SNAPSHOT_CONFIGURED,
                                  .tenant = number,
                                  .as_they_are = number == 0,
                                  .name = slice_text(names[number])};
}

static void add_areas(void)
{
    struct snapshot_dictionary dictionary = {
        .number = 0, .owner = 12, .bytes = slice_text("shared")};
    struct snapshot_area areas[] = {area_of(0), area_of(1)};
    snapshot_write_dictionary(&writer, &dictionary);
    ck_assert_uint_eq(snapshot_write_tenant(&writer, slice_text("alice")), 1);
    for (int i = 0; i < 2; i++) snapshot_write_area(&writer, &areas[i]);
}

static void add_pages(void)
{
    struct snapshot_seat seat = {
        .number = 0, .level = -5, .dictionary = 1, .algorithm = slice_text("zstd")};
    struct snapshot_pages pages = {.area = 1, .first = 2048};
    struct snapshot_entry entries[] = {
        {.place = 3, .form = SNAPSHOT_PACKED, .check = 0xabcdef00, .bytes = {letters, 1000}},
        {.place = 4, .form = SNAPSHOT_PLAIN, .check = 0xabcdec00, .bytes = {letters, 65536}},
        {.place = 0, .form = SNAPSHOT_WORD, .check = 4, .bytes = {letters, 8}},
        {.place = 951, .form = SNAPSHOT_CORRUPT}};
    snapshot_write_seat(&writer, &seat);
    snapshot_begin_pages(&writer, &pages);
    for (int i = 0; i < 4; i++) snapshot_write_entry(&writer, &entries[i]);
    snapshot_finish(&writer);
    snapshot_write_export(&writer, slice_text("guests/web1"));
}

static void add_item(const struct snapshot_item *item, uint32_t bytes)
{
    uint32_t pieces = snapshot_pieces_of(item->value_bytes);
    snapshot_begin_item(&writer, item);
    for (uint32_t i = 0; i < pieces; i++) {
        if (!snapshot_entry_fits(&writer, bytes)) {
            snapshot_finish(&writer);
            take();
            snapshot_begin_pieces(&writer);
        }
        struct snapshot_entry entry = {
            .place = i, .form = SNAPSHOT_PACKED, .bytes = {letters, bytes}};
        snapshot_write_entry(&writer, &entry);
    }
    snapshot_finish(&writer);
    ck_assert(snapshot_pieces_left(&writer) == 0);
}

static void make(void)
{
    struct snapshot_item item = {.flags = 1, .value_bytes = 20000, .cas = 5,
                                 .expires_unix_s = 1999999999, .idle_s = 3, .stale = true,
                                 .key = slice_text("a key")};
    struct snapshot_item nothing = {.cas = 6, .key = slice_text("no value"), .key_binary = true,
                                    .fetched = true, .won = true, .wanted = true};
    begin(&head);
    add_areas();
    add_pages();
    add_item(&item, 7);
    add_item(&nothing, 0);
    snapshot_write_end(&writer, 5, 77);
    take();
}

/* Reads `bytes` given at once; how it ends. */
static enum snapshot_read read_all(struct slice bytes, unsigned *records)
{
    struct snapshot_record record;
    enum snapshot_read read;
    *records = 0;
    snapshot_reader_init(&reader);
    for (;;) {
        size_t used;
        read = snapshot_read_next(&reader, bytes, true, &record, &used);
        if (read != SNAPSHOT_READ_RECORD) return read;
        ++*records;
        bytes = slice_of(bytes.bytes + used, bytes.size_bytes - used);
    }
}

/* What was changed on purpose gets the right checksums, as who means harm would give it. */
static void sign(void)
{
    uint32_t crc = crc32c(made, SNAPSHOT_PREAMBLE_BYTES);
    for (size_t at = SNAPSHOT_PREAMBLE_BYTES; at < made_bytes;) {
        size_t body = (size_t)le_get(made + at + 4, 4);
        crc = crc32c_extend(crc, made + at, SNAPSHOT_HEADER_BYTES - 4);
        crc = crc32c_extend(crc, made + at + SNAPSHOT_HEADER_BYTES, body);
        le_put(made + at + 12, 4, crc);
        at += SNAPSHOT_HEADER_BYTES + body;
    }
}

/* The body of the n-th record of a type. */
static uint8_t *body_of(enum snapshot_type type, unsigned n)
{
    for (size_t at = SNAPSHOT_PREAMBLE_BYTES; at < made_bytes;) {
        if (le_get(made + at, 4) == type && n-- == 0) return made + at + SNAPSHOT_HEADER_BYTES;
        at += SNAPSHOT_HEADER_BYTES + (size_t)le_get(made + at + 4, 4);
    }
    ck_abort_msg("no such record");
    return NULL;
}

static void refused(const char *why)
{
    unsigned records;
    sign();
    ck_assert_int_eq(read_all(slice_of(made, made_bytes), &records), SNAPSHOT_READ_BAD);
    ck_assert_msg(strstr(reader.problem, why) != NULL, "%s, not: %s", reader.problem, why);
}

START_TEST(what_is_written_is_read_again)
{
    unsigned records;
    struct snapshot_record record;
    struct snapshot_entry entry;
    size_t used, at = 0;
    make();
    ck_assert_int_eq(read_all(slice_of(made, made_bytes), &records), SNAPSHOT_READ_END);
    ck_assert_uint_eq(records, 11);
    ck_assert_uint_eq(reader.offset, made_bytes);
    snapshot_reader_init(&reader);
    for (int i = 0; i < 11; i++, at += used) {
        ck_assert_int_eq(snapshot_read_next(&reader, slice_of(made + at, made_bytes - at), true,
                                            &record, &used),
                         SNAPSHOT_READ_RECORD);
        if (record.type == SNAPSHOT_HEAD) {
            ck_assert(slice_is(record.as.head.release, "1.2"));
            ck_assert(record.as.head.inode == 4711 && record.as.head.flush_unix_s == 2000000000);
        }
        if (record.type == SNAPSHOT_SEAT) ck_assert_int_eq(record.as.seat.level, -5);
        if (record.type == SNAPSHOT_PAGES) {
            ck_assert(snapshot_entry_next(&record.as.pages.entries, &entry));
            ck_assert(entry.place == 3 && entry.check == 0xabcdef00);
            ck_assert(slice_equal(entry.bytes, slice_of(letters, 1000)));
            for (int more = 0; more < 3; more++)
                ck_assert(snapshot_entry_next(&record.as.pages.entries, &entry));
            ck_assert(!snapshot_entry_next(&record.as.pages.entries, &entry));
        }
        if (record.type == SNAPSHOT_END) {
            ck_assert_uint_eq(record.as.end.totals.pages, 4);
            ck_assert_uint_eq(record.as.end.totals.same_filled, 1);
            ck_assert_uint_eq(record.as.end.totals.value_bytes, 20000);
        }
    }
}
END_TEST

START_TEST(it_may_come_in_pieces_of_any_size)
{
    make();
    for (size_t step = 1; step < 100; step += 7) {
        struct snapshot_record record;
        size_t start = 0, end = 0, used;
        enum snapshot_read read;
        snapshot_reader_init(&reader);
        do {
            read = snapshot_read_next(&reader, slice_of(made + start, end - start),
                                      end == made_bytes, &record, &used);
            if (read == SNAPSHOT_READ_MORE) ck_assert_uint_gt(used, end - start);
            if (read == SNAPSHOT_READ_MORE) end = end + step < made_bytes ? end + step : made_bytes;
            if (read == SNAPSHOT_READ_RECORD) start += used;
        } while (read == SNAPSHOT_READ_MORE || read == SNAPSHOT_READ_RECORD);
        ck_assert_int_eq(read, SNAPSHOT_READ_END);
        ck_assert_uint_eq(start, made_bytes);
    }
}
END_TEST

START_TEST(one_that_was_cut_short_at_any_byte_is_refused)
{
    unsigned records;
    make();
    for (size_t size = 0; size < made_bytes; size += size < 1500 || size > 67500 ? 1 : 61) {
        uint8_t *tight = malloc(size + 1);
        ck_assert(tight != NULL);
        memcpy(tight, made, size);
        ck_assert_int_eq(read_all(slice_of(tight, size), &records), SNAPSHOT_READ_BAD);
        ck_assert_uint_lt(records, 11);
        free(tight);
    }
    made[made_bytes] = 0;
    ck_assert_int_eq(read_all(slice_of(made, made_bytes + 1), &records), SNAPSHOT_READ_BAD);
}
END_TEST

START_TEST(no_bit_can_be_another_one)
{
    unsigned records;
    make();
    for (size_t bit = 0; bit < 8 * made_bytes; bit += bit < 4000 ? 1 : 997) {
        made[bit / 8] ^= (uint8_t)(1u << bit % 8);
        ck_assert_int_eq(read_all(slice_of(made, made_bytes), &records), SNAPSHOT_READ_BAD);
        made[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
}
END_TEST

START_TEST(records_cannot_be_left_out_or_change_places)
{
    unsigned records;
    make();
    uint8_t *first = body_of(SNAPSHOT_AREA, 0) - SNAPSHOT_HEADER_BYTES;
    uint8_t *second = body_of(SNAPSHOT_AREA, 1) - SNAPSHOT_HEADER_BYTES;
    size_t size = (size_t)(second - first);
    memmove(first, second, (size_t)(made + made_bytes - second));
    made_bytes -= size;
    ck_assert_int_eq(read_all(slice_of(made, made_bytes), &records), SNAPSHOT_READ_BAD);
    ck_assert_uint_eq(records, 3);
    sign();
    ck_assert_int_eq(read_all(slice_of(made, made_bytes), &records), SNAPSHOT_READ_BAD);
}
END_TEST

START_TEST(a_long_value_comes_in_several_records)
{
    unsigned records;
    struct snapshot_item item = {
        .value_bytes = LONG_PIECES * SNAPSHOT_PIECE_BYTES, .cas = 1, .key = slice_text("long")};
    struct snapshot_head none = head;
    none.areas = 0;
    struct snapshot_seat seat = {.number = 0, .algorithm = slice_text("lz4")};
    begin(&none);
    snapshot_write_seat(&writer, &seat);
    add_item(&item, 16000);
    snapshot_write_end(&writer, 1, 1);
    take();
    ck_assert_int_eq(read_all(slice_of(made, made_bytes), &records), SNAPSHOT_READ_END);
    ck_assert_uint_eq(records, 6);
    le_put(body_of(SNAPSHOT_PIECES, 0) + 4, 4, 99);
    refused("in order");
}
END_TEST

START_TEST(what_is_signed_and_wrong_is_refused_all_the_same)
{
    make(), made[8] = 2, refused("another version");
    make(), made[0] = 'R', refused("does not begin");
    make(), le_put(body_of(SNAPSHOT_HEAD, 0), 4, 3), refused("a kind");
    make(), le_put(body_of(SNAPSHOT_HEAD, 0) + 56, 4, 1025), refused("more areas");
    make(), le_put(body_of(SNAPSHOT_HEAD, 0) + 56, 4, 1), refused("number that is due");
    make(), le_put(body_of(SNAPSHOT_HEAD, 0) + 56, 4, 3), refused("an area is due");
    make(), le_put(body_of(SNAPSHOT_HEAD, 0) + 60, 4, 4), refused("length");
    make(), le_put(body_of(SNAPSHOT_DICTIONARY, 0), 4, 1), refused("number that is due");
    make(), le_put(body_of(SNAPSHOT_AREA, 1) + 4, 4, 8192), refused("size that is not possible");
    make(), le_put(body_of(SNAPSHOT_AREA, 1) + 8, 8, 0), refused("slots");
    make(), le_put(body_of(SNAPSHOT_AREA, 1) + 8, 8, UINT64_MAX), refused("slots");
    make(), le_put(body_of(SNAPSHOT_AREA, 1) + 16, 8, 13), refused("generation");
    make(), le_put(body_of(SNAPSHOT_AREA, 1) + 16, 8, 11), refused("same generation");
    make(), le_put(body_of(SNAPSHOT_AREA, 1) + 40, 4, 2), refused("dictionary did not come");
    make(), le_put(body_of(SNAPSHOT_AREA, 1) + 52, 4, 2), refused("owner did not come");
    make(), le_put(body_of(SNAPSHOT_ITEM, 0) + 28, 4, 2), refused("owner did not come");
    make(), le_put(body_of(SNAPSHOT_TENANT, 0), 4, 1), refused("number that is due");
    make(), body_of(SNAPSHOT_TENANT, 0)[6] = 0, refused("tenant's name");
    make(), body_of(SNAPSHOT_AREA, 1)[44] = 3, refused("lifetime");
    make(), body_of(SNAPSHOT_AREA, 1)[45] = 4, refused("marks");
    make(), body_of(SNAPSHOT_AREA, 1)[45] = 2, refused("where to");
    make(), body_of(SNAPSHOT_AREA, 1)[56] = '\n', refused("name");
    make(), le_put(body_of(SNAPSHOT_SEAT, 0), 4, 1), refused("number that is due");
    make(), le_put(body_of(SNAPSHOT_SEAT, 0) + 8, 4, 2), refused("dictionary did not come");
    make(), le_put(body_of(SNAPSHOT_PAGES, 0), 4, 2), refused("did not come before");
    make(), le_put(body_of(SNAPSHOT_PAGES, 0) + 4, 4, 3), refused("length");
    make(), le_put(body_of(SNAPSHOT_PAGES, 0) + 4, 4, 5), refused("length");
    make(), le_put(body_of(SNAPSHOT_PAGES, 0) + 8, 8, 2049), refused("row");
    make(), le_put(body_of(SNAPSHOT_PAGES, 0) + 8, 8, 3072), refused("row");
    make(), le_put(body_of(SNAPSHOT_PAGES, 0) + 16, 4, 952), refused("slot");
    make(), body_of(SNAPSHOT_PAGES, 0)[20] = 4, refused("form");
    make(), body_of(SNAPSHOT_PAGES, 0)[20] = 1, refused("length");
    make(), body_of(SNAPSHOT_PAGES, 0)[21] = 1, refused("packed with");
    make(), body_of(SNAPSHOT_PAGES, 0)[24] = 1, refused("checksum has more bits");
    make(), le_put(body_of(SNAPSHOT_PAGES, 0) + 28, 4, UINT32_MAX), refused("length");
    make(), body_of(SNAPSHOT_EXPORT, 0)[0] = '/', refused("export's name");
    make(), le_put(body_of(SNAPSHOT_ITEM, 0) + 4, 4, 40000), refused("pieces are due");
    make(), le_put(body_of(SNAPSHOT_ITEM, 0) + 4, 4, 10), refused("more pieces");
    make(), le_put(body_of(SNAPSHOT_ITEM, 0) + 36, 2, 251), refused("length");
    make(), le_put(body_of(SNAPSHOT_ITEM, 0) + 38, 2, 32), refused("marks");
    make(), le_put(body_of(SNAPSHOT_END, 0) + 16, 8, 5), refused("end record says");
    make(), le_put(body_of(SNAPSHOT_END, 0) + SNAPSHOT_END_BYTES - 8, 8, 5), refused("end record");
}
END_TEST

START_TEST(the_end_is_known_beforehand)
{
    struct snapshot_end end;
    make();
    struct slice tail = slice_of(made + made_bytes - SNAPSHOT_TAIL_BYTES, SNAPSHOT_TAIL_BYTES);
    ck_assert(snapshot_peek_end(tail, &end));
    ck_assert(end.totals.pages == 4 && end.file_bytes == made_bytes && end.unix_ns == 5 &&
              end.last_cas == 77);
    ck_assert(!snapshot_peek_end(slice_of(made, SNAPSHOT_TAIL_BYTES), &end));
}
END_TEST

int main(void)
{
    return suite_run("snapshot", what_is_written_is_read_again, it_may_come_in_pieces_of_any_size,
                     one_that_was_cut_short_at_any_byte_is_refused, no_bit_can_be_another_one,
                     records_cannot_be_left_out_or_change_places,
                     a_long_value_comes_in_several_records,
                     what_is_signed_and_wrong_is_refused_all_the_same,
                     the_end_is_known_beforehand);
}
