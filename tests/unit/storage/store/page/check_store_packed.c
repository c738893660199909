/* SPDX-License-Identifier: BSD-3-Clause */
#include "storage/store/page/store_packed.h"

#include "codec/codec_solo.h"
#include "storage/store/store_dictionary.h"
#include "tests/unit/base/suite.h"
#include "tests/unit/storage/bench.h"
#include "tests/unit/storage/kit_dictionary.h"

enum { SLOTS = 64, GAP = 24, ALL = (1 << PACKED_FORMATS) - 1 };

static uint8_t page[KIT_PAGE_BYTES], room[KIT_PAGE_BYTES], got[GAP + KIT_PAGE_BYTES];

static void fill(uint64_t seed)
{
    struct rng rng = {.state = seed};
    rng_fill_text(&rng, page, sizeof page);
}

/* The page as a client packs it; the bytes are in `room`. */
static struct page_packed pack(const char *algorithm, struct dictionary *dictionary)
{
    struct compressor_config config = {algorithm, 0, dictionary};
    struct page_packed packed = {.crc = crc32c(page, sizeof page)};
    struct codec_solo solo;
    fp_assert(codec_solo_init(&solo, &config) == FP_OK);
    packed.kind.format = strcmp(algorithm, "zstd") == 0 ? PACKED_ZSTD : PACKED_LZ4;
    packed.kind.dictionary_id = dictionary != NULL ? dictionary_id(dictionary) : 0;
    fp_assert(codec_solo_pack(&solo, (struct plain){page, sizeof page},
                              (struct space){room, sizeof room - 1}, &packed.bytes) == FP_OK);
    codec_solo_fini(&solo);
    return packed;
}

static enum fp_status put(struct bench *bench, uint64_t slot, const struct page_packed *packed)
{
    struct page_place place = {bench->area, slot};
    return store_page_store_packed(bench->store, bench->scratch, place, packed);
}

static enum fp_status take(struct bench *bench, uint64_t slot, uint32_t formats,
                           struct page_packed *packed)
{
    struct page_place place = {bench->area, slot};
    struct page_wish wish = {.formats = formats, .out = got, .packed_at = GAP};
    return store_page_load_packed(bench->store, bench->scratch, place, &wish, packed);
}

static void expect_same(const struct page_packed *a, const struct page_packed *b)
{
    ck_assert_int_eq(a->kind.format, b->kind.format);
    ck_assert_uint_eq(a->kind.dictionary_id, b->kind.dictionary_id);
    ck_assert_uint_eq(a->crc, b->crc & ~3u);
    ck_assert_uint_eq(a->bytes.size_bytes, b->bytes.size_bytes);
    ck_assert_mem_eq(a->bytes.bytes, b->bytes.bytes, b->bytes.size_bytes);
}

static void expect_plain(struct bench *bench, uint64_t slot)
{
    uint8_t out[KIT_PAGE_BYTES];
    struct page_packed packed;
    ck_assert_int_eq(bench_load(bench, slot, out), FP_OK);
    ck_assert_mem_eq(out, page, sizeof page);
    ck_assert_int_eq(take(bench, slot, 0, &packed), FP_OK); /* nothing is welcome but this */
    ck_assert_int_eq(packed.kind.format, PACKED_PLAIN);
    ck_assert_ptr_eq(packed.bytes.bytes, got);
    ck_assert_uint_eq(packed.crc, crc32c(page, sizeof page));
    ck_assert_mem_eq(got, page, sizeof page);
}

START_TEST(what_came_packed_is_given_packed_or_plain)
{
    static const char *const algorithms[] = {"lz4", "lz4hc", "zstd"};
    struct bench bench;
    struct dictionary *dictionary = kit_dictionary(1);
    bench_setup(&bench, (struct store_options){0}, SLOTS);
    ck_assert_int_eq(store_dictionary_keep(bench.store, bench.area, dictionary), FP_OK);
    for (uint64_t i = 0; i < 2 * FP_COUNT_OF(algorithms); i++) {
        struct page_packed out, in;
        fill(i);
        in = pack(algorithms[i / 2], i % 2 ? dictionary : NULL);
        ck_assert_int_eq(put(&bench, i, &in), FP_OK);
        ck_assert_int_eq(take(&bench, i, ALL, &out), FP_OK);
        expect_same(&out, &in);
        expect_plain(&bench, i);
        /* A reader of another format only is given the plain page. */
        ck_assert_int_eq(take(&bench, i, ALL & ~(1u << in.kind.format), &out), FP_OK);
        ck_assert_int_eq(out.kind.format, PACKED_PLAIN);
        ck_assert_mem_eq(got, page, sizeof page);
    }
    store_check(bench.store);
    bench_invalidate(&bench, 0, SLOTS);
    ck_assert(store_dictionary_drop(bench.store, bench.area));
    dictionary_release(&dictionary);
    bench_teardown(&bench);
}
END_TEST

START_TEST(words_are_kept_as_words)
{
    static const uint64_t words[] = {0, UINT64_C(0x4141414141414141), UINT64_C(0x0123456789abcdef)};
    struct bench bench;
    bench_setup(&bench, (struct store_options){0}, SLOTS);
    for (uint64_t i = 0; i < FP_COUNT_OF(words); i++) {
        plain_fill((struct space){page, sizeof page}, words[i]);
        struct page_packed out, in = {.kind = {.format = PACKED_WORD},
                                      .bytes = {(const uint8_t *)&words[i], sizeof words[i]},
                                      .crc = crc32c(page, sizeof page)};
        ck_assert_int_eq(put(&bench, i, &in), FP_OK);
        ck_assert_int_eq(take(&bench, i, ALL, &out), FP_OK);
        expect_same(&out, &in);
        expect_plain(&bench, i);
    }
    ck_assert_uint_eq(atomic_load(&bench.area->counters.same_filled), FP_COUNT_OF(words));
    bench_invalidate(&bench, 0, SLOTS);
    bench_teardown(&bench);
}
END_TEST

START_TEST(what_the_server_packed_is_given_as_it_is)
{
    struct bench bench;
    bench_setup(&bench, (struct store_options){.compressor = {"zstd", 1, NULL}}, SLOTS);
    struct page_packed out;
    struct rng rng = {.state = 9};
    fill(3);
    ck_assert_int_eq(bench_store(&bench, 0, page), FP_OK);
    ck_assert_int_eq(take(&bench, 0, ALL, &out), FP_OK);
    ck_assert(out.kind.format == PACKED_ZSTD && out.crc == (crc32c(page, sizeof page) & ~3u));
    struct page_packed again = {out.kind, {room, out.bytes.size_bytes}, crc32c(page, sizeof page)};
    memcpy(room, out.bytes.bytes, out.bytes.size_bytes);
    ck_assert_int_eq(put(&bench, 1, &again), FP_OK); /* and can be stored so elsewhere */
    expect_plain(&bench, 1);
    rng_fill(&rng, page, sizeof page);
    ck_assert_int_eq(bench_store(&bench, 2, page), FP_OK);
    ck_assert_int_eq(take(&bench, 2, ALL, &out), FP_OK);
    ck_assert_int_eq(out.kind.format, PACKED_PLAIN); /* it is kept so, and its checksum is whole */
    ck_assert_uint_eq(out.crc, crc32c(page, sizeof page));
    ck_assert_int_eq(take(&bench, 3, ALL, &out), FP_ABSENT);
    ck_assert_int_eq(take(&bench, SLOTS, ALL, &out), FP_RANGE);
    bench_invalidate(&bench, 0, SLOTS);
    bench_teardown(&bench);
}
END_TEST

START_TEST(lies_are_corrupt_where_they_are_read)
{
    struct bench bench;
    bench_setup(&bench, (struct store_options){0}, SLOTS);
    uint8_t out[KIT_PAGE_BYTES];
    struct page_packed packed;
    fill(1);
    struct page_packed honest = pack("lz4", NULL), lie = honest;
    lie.crc ^= 4; /* the lowest bit that is kept */
    ck_assert_int_eq(put(&bench, 0, &lie), FP_OK);
    ck_assert_int_eq(bench_load(&bench, 0, out), FP_CORRUPT);
    ck_assert_int_eq(take(&bench, 0, 0, &packed), FP_CORRUPT);
    ck_assert_int_eq(take(&bench, 0, ALL, &packed), FP_OK);
    expect_same(&packed, &lie);
    struct rng rng = {.state = 5};
    for (int i = 0; i < 2000; i++) {
        struct page_packed noise = honest;
        uint8_t bytes[KIT_PAGE_BYTES];
        size_t size = 1 + rng_below(&rng, sizeof bytes - 1);
        rng_fill(&rng, bytes, size);
        if (i % 2) memcpy(bytes, honest.bytes.bytes, size < 200 ? size : 200);
        noise.bytes = (struct packed){bytes, size};
        noise.kind.format = i % 3 ? PACKED_LZ4 : PACKED_ZSTD;
        ck_assert_int_eq(put(&bench, 1, &noise), FP_OK);
        ck_assert_int_eq(bench_load(&bench, 1, out), FP_CORRUPT);
        ck_assert_int_eq(take(&bench, 1, ALL, &packed), FP_OK);
        expect_same(&packed, &noise);
    }
    bench_invalidate(&bench, 0, SLOTS);
    bench_teardown(&bench);
}
END_TEST

START_TEST(what_is_refused_leaves_the_old_page)
{
    struct bench bench;
    bench_setup(&bench, (struct store_options){0}, SLOTS);
    fill(1);
    struct page_packed good = pack("lz4", NULL), bad;
    ck_assert_int_eq(put(&bench, 0, &good), FP_OK);
    bad = good, bad.bytes.size_bytes = 0;
    ck_assert_int_eq(put(&bench, 0, &bad), FP_TOO_BIG);
    bad = good, bad.bytes = (struct packed){page, sizeof page};
    ck_assert_int_eq(put(&bench, 0, &bad), FP_TOO_BIG);
    bad = good, bad.kind.format = PACKED_WORD;
    ck_assert_int_eq(put(&bench, 0, &bad), FP_TOO_BIG);
    bad = good, bad.kind.dictionary_id = 12345;
    ck_assert_int_eq(put(&bench, 0, &bad), FP_ABSENT);
    bad = good;
    ck_assert_int_eq(put(&bench, SLOTS, &bad), FP_RANGE);
    expect_plain(&bench, 0);
    ck_assert_uint_eq(atomic_load(&store_counters(bench.store)->reject_compress_poor), 3);
    ck_assert_uint_eq(atomic_load(&bench.area->counters.stored), 1);
    bench_invalidate(&bench, 0, SLOTS);
    bench_teardown(&bench);
}
END_TEST

START_TEST(full_memory_refuses_and_counts_no_object)
{
    enum { MANY = 65536 };
    struct bench bench;
    bench_setup(&bench, (struct store_options){.memory_limit_bytes = 24 * BENCH_MIB}, MANY);
    struct compressor_row row;
    fill(1);
    struct page_packed zstd = pack("zstd", NULL); /* a seat that drains from the start */
    uint64_t stored = 0;
    while (stored < MANY && put(&bench, stored, &zstd) == FP_OK) stored++;
    ck_assert(stored > 1000 && stored < MANY);
    ck_assert_int_eq(put(&bench, stored, &zstd), FP_NO_MEMORY);
    compressor_row(store_compressors(bench.store), 1, &row);
    ck_assert(row.objects == stored && row.state == COMPRESSOR_DRAINING);
    expect_plain(&bench, stored / 2);
    bench_invalidate(&bench, 0, MANY);
    bench_teardown(&bench);
}
END_TEST

int main(void)
{
    return suite_run("store_packed", what_came_packed_is_given_packed_or_plain,
                     words_are_kept_as_words, what_the_server_packed_is_given_as_it_is,
                     lies_are_corrupt_where_they_are_read, what_is_refused_leaves_the_old_page,
                     full_memory_refuses_and_counts_no_object);
}
