/* SPDX-License-Identifier: BSD-3-Clause
 *
 * What a mapper may rely on, whatever others do to the slot or key meanwhile. */
#include "storage/store/map/store_map.h"

#include "storage/area/area_pin.h"
#include "storage/store/recompress/store_recompress.h"
#include "tests/unit/base/suite.h"
#include "tests/unit/storage/bench.h"

enum { SLOTS = 3000, LARGE_BYTES = 50000, ROOM = 1 << 20 };

/* Every way a page can be kept. */
enum kind { TEXT, NOISE, WORD, WIDE_WORD, KINDS };

static void make(enum kind kind, uint64_t seed, uint8_t *bytes, size_t size)
{
    struct rng rng = {.state = seed};
    uint64_t word = rng_next(&rng);
    if (kind == TEXT) rng_fill_text(&rng, bytes, size);
    if (kind == NOISE) rng_fill(&rng, bytes, size);
    if (kind == WORD) memset(bytes, (int)seed | 1, size);
    for (size_t at = 0; kind == WIDE_WORD && at + 8 <= size; at += 8) memcpy(bytes + at, &word, 8);
}

static void setup(struct bench *bench)
{
    bench_setup(bench, (struct store_options){.page_bytes = 0}, SLOTS);
}

static uint64_t pins_of(struct bench *bench)
{
    return zpool_fill(store_zpool(bench->store)).pinned_count;
}

/* Nothing may be left of any map. */
static void teardown(struct bench *bench)
{
    ck_assert(pins_of(bench) == 0);
    ck_assert(budget_held(store_budget(bench->store), BUDGET_MAPS) == 0);
    bench_teardown(bench);
}

static enum fp_status map_page(struct bench *bench, uint64_t slot, enum map_mode mode,
                               struct store_map **map)
{
    struct map_wish wish = {.mode = mode, .bytes_max = UINT64_MAX};
    struct page_place place = {.area = bench->area, .slot = slot};
    return store_map_page(bench->store, bench->scratch, place, &wish, map);
}

static enum fp_status map_item(struct bench *bench, const char *key, enum map_mode mode,
                               struct store_map **map)
{
    struct map_wish wish = {.mode = mode, .bytes_max = UINT64_MAX};
    return store_map_item(bench->store, bench->scratch, slice_text(key), &wish, map);
}

static void end(struct bench *bench, struct store_map **map)
{
    store_map_end(map, bench->scratch);
    ck_assert_ptr_null(*map);
}

static void keep(struct bench *bench, uint64_t slot, const uint8_t *page)
{
    ck_assert_int_eq(bench_store(bench, slot, page), FP_OK);
}

/* True: the map has just these bytes from `offset` on. */
static bool has(struct bench *bench, struct store_map *map, uint64_t offset, struct slice bytes)
{
    while (bytes.size_bytes > 0) {
        struct lent lent;
        if (store_map_read(map, bench->scratch, offset, bytes.size_bytes, &lent) != FP_OK)
            return false;
        ck_assert(lent.bytes.size_bytes > 0 && lent.bytes.size_bytes <= bytes.size_bytes);
        if (memcmp(lent.bytes.bytes, bytes.bytes, lent.bytes.size_bytes) != 0) return false;
        offset += lent.bytes.size_bytes;
        bytes = slice_of(bytes.bytes + lent.bytes.size_bytes,
                         bytes.size_bytes - lent.bytes.size_bytes);
    }
    return true;
}

static bool holds(struct bench *bench, uint64_t slot, const uint8_t *page)
{
    uint8_t out[KIT_PAGE_BYTES];
    return bench_load(bench, slot, out) == FP_OK && memcmp(out, page, sizeof out) == 0;
}

/* Everything that others may do to a slot while it is mapped. */
enum meanwhile { NOTHING, STORED, INVALIDATED, STORED_TWICE, COMPACTED, RECOMPRESSED, MEANWHILES };

static void recompress(struct bench *bench)
{
    struct recompress *walk;
    struct recompress_counts counts = {0};
    static const struct compressor_config zstd = {"zstd", 1, NULL};
    struct recompress_plan plan = {.drain = true, .plain = true, .asked = true};
    struct recompress_limits limits = {.looks = 1000, .tries = 1000};
    enum fp_status swapped = compressor_pool_swap(store_compressors(bench->store), &zstd);
    ck_assert(swapped == FP_OK || swapped == FP_EXISTS);
    ck_assert_int_eq(recompress_create(bench->store, &walk), FP_OK);
    (void)recompress_begin(walk, &plan);
    while (!recompress_step(walk, bench->scratch, limits, &counts)) {}
    recompress_destroy(&walk);
}

static void happen(struct bench *bench, enum meanwhile what, uint64_t slot)
{
    uint8_t other[KIT_PAGE_BYTES];
    make(TEXT, 4711, other, sizeof other);
    if (what == STORED || what == STORED_TWICE) keep(bench, slot, other);
    if (what == INVALIDATED || what == STORED_TWICE) bench_invalidate(bench, slot, slot + 1);
    if (what == STORED_TWICE) keep(bench, slot, other);
    if (what == COMPACTED)
        while (!zpool_compact(store_zpool(bench->store), 64).done) {}
    if (what == RECOMPRESSED) recompress(bench);
}

static bool changes(enum meanwhile what)
{
    return what == STORED || what == INVALIDATED || what == STORED_TWICE;
}

START_TEST(a_reader_keeps_its_page_whatever_happens_to_the_slot)
{
    uint8_t page[KIT_PAGE_BYTES], filler[KIT_PAGE_BYTES];
    for (int what = 0; what < MEANWHILES; what++) {
        struct bench bench;
        struct store_map *map, *late;
        setup(&bench);
        for (uint64_t slot = 0; slot < 200; slot++) {
            make(TEXT, slot, filler, sizeof filler);
            keep(&bench, slot, filler);
        }
        make((enum kind)_i, 99, page, sizeof page);
        keep(&bench, 77, page);
        ck_assert_int_eq(map_page(&bench, 77, MAP_READ, &map), FP_OK);
        ck_assert_int_eq(map_page(&bench, 77, MAP_READ, &late), FP_OK);
        bench_invalidate(&bench, 100, 190); /* so that there is something to compact */
        ck_assert(pins_of(&bench) == (_i != WORD)); /* a pin for both */
        ck_assert(has(&bench, map, 0, slice_of(page, sizeof page)));
        happen(&bench, (enum meanwhile)what, 77);
        store_check(bench.store);
        ck_assert(has(&bench, map, 100, slice_of(page + 100, 50)));
        ck_assert(has(&bench, late, 0, slice_of(page, sizeof page))); /* unpacked only now */
        ck_assert(holds(&bench, 77, page) == !changes((enum meanwhile)what));
        ck_assert_int_eq(store_map_publish(map, bench.scratch), FP_OK); /* it has nothing to */
        end(&bench, &map);
        ck_assert(has(&bench, late, 0, slice_of(page, sizeof page)));
        end(&bench, &late);
        store_check(bench.store);
        teardown(&bench);
    }
}
END_TEST

START_TEST(a_writer_is_seen_when_it_publishes_and_only_over_what_it_mapped)
{
    uint8_t page[KIT_PAGE_BYTES], wanted[KIT_PAGE_BYTES];
    for (int what = 0; what < MEANWHILES; what++) {
        struct bench bench;
        struct store_map *map, *reader;
        setup(&bench);
        make((enum kind)_i, 5, page, sizeof page);
        memcpy(wanted, page, sizeof page);
        memcpy(wanted + 4000, "written", 7);
        keep(&bench, 9, page);
        ck_assert_int_eq(map_page(&bench, 9, MAP_READ, &reader), FP_OK);
        ck_assert_int_eq(map_page(&bench, 9, MAP_READ_WRITE, &map), FP_OK);
        ck_assert_int_eq(store_map_write(map, bench.scratch, 4000, slice_of("written", 7)), FP_OK);
        ck_assert(has(&bench, map, 0, slice_of(wanted, sizeof wanted)));
        ck_assert(holds(&bench, 9, page)); /* nobody sees it yet */
        happen(&bench, (enum meanwhile)what, 9);
        enum fp_status status = store_map_publish(map, bench.scratch);
        ck_assert_int_eq(status, changes((enum meanwhile)what) ? FP_EXISTS : FP_OK);
        ck_assert(holds(&bench, 9, wanted) == !changes((enum meanwhile)what));
        end(&bench, &map);
        ck_assert(has(&bench, reader, 0, slice_of(page, sizeof page)));
        end(&bench, &reader);
        teardown(&bench);
    }
}
END_TEST

START_TEST(a_writer_that_wrote_nothing_still_learns_of_a_change)
{
    struct bench bench;
    struct store_map *map;
    uint8_t page[KIT_PAGE_BYTES];
    setup(&bench);
    make(TEXT, 1, page, sizeof page);
    keep(&bench, 0, page);
    ck_assert_int_eq(map_page(&bench, 0, MAP_READ_WRITE, &map), FP_OK);
    ck_assert_int_eq(store_map_publish(map, bench.scratch), FP_OK);
    ck_assert(holds(&bench, 0, page));
    happen(&bench, STORED, 0);
    ck_assert_int_eq(store_map_publish(map, bench.scratch), FP_EXISTS);
    end(&bench, &map);
    ck_assert_int_eq(bench_set(&bench, "k", slice_text("one")), FP_OK);
    ck_assert_int_eq(map_item(&bench, "k", MAP_OVERWRITE, &map), FP_OK);
    ck_assert_int_eq(store_map_publish(map, bench.scratch), FP_OK);
    ck_assert(bench_is(&bench, "k", "one"));
    ck_assert_int_eq(bench_set(&bench, "k", slice_text("one")), FP_OK); /* equal, and not it */
    ck_assert_int_eq(store_map_publish(map, bench.scratch), FP_EXISTS);
    end(&bench, &map);
    teardown(&bench);
}
END_TEST

START_TEST(an_overwriter_begins_with_zeros_also_where_nothing_was)
{
    struct bench bench;
    struct store_map *map, *other;
    struct lent lent;
    uint8_t page[KIT_PAGE_BYTES], wanted[KIT_PAGE_BYTES] = {0};
    setup(&bench);
    memcpy(wanted + 10, "few", 3);
    make(NOISE, 1, page, sizeof page);
    keep(&bench, 1, page);
    ck_assert_int_eq(map_page(&bench, 0, MAP_READ, &map), FP_ABSENT);
    ck_assert_int_eq(map_page(&bench, 0, MAP_READ_WRITE, &map), FP_ABSENT);
    for (uint64_t slot = 0; slot < 2; slot++) {
        ck_assert_int_eq(map_page(&bench, slot, MAP_OVERWRITE, &map), FP_OK);
        ck_assert_int_eq(store_map_read(map, bench.scratch, 0, 1, &lent), FP_INVALID);
        ck_assert_int_eq(store_map_write(map, bench.scratch, 10, slice_of("few", 3)), FP_OK);
        if (slot == 0) ck_assert_int_eq(map_page(&bench, 0, MAP_READ, &other), FP_ABSENT);
        ck_assert_int_eq(store_map_publish(map, bench.scratch), FP_OK);
        end(&bench, &map);
        ck_assert(holds(&bench, slot, wanted));
    }
    ck_assert_int_eq(map_page(&bench, 2, MAP_OVERWRITE, &map), FP_OK);
    ck_assert_int_eq(store_map_write(map, bench.scratch, 0, slice_of("lost", 4)), FP_OK);
    keep(&bench, 2, page); /* somebody was quicker */
    ck_assert_int_eq(store_map_publish(map, bench.scratch), FP_EXISTS);
    end(&bench, &map);
    ck_assert(holds(&bench, 2, page));
    ck_assert_int_eq(map_page(&bench, 3, MAP_OVERWRITE, &map), FP_OK);
    ck_assert_int_eq(store_map_publish(map, bench.scratch), FP_OK); /* nothing written: absent */
    end(&bench, &map);
    ck_assert_int_eq(bench_load(&bench, 3, page), FP_ABSENT);
    ck_assert_int_eq(map_page(&bench, SLOTS, MAP_OVERWRITE, &map), FP_RANGE);
    teardown(&bench);
}
END_TEST

START_TEST(one_writes_and_any_number_reads)
{
    struct bench bench;
    struct store_map *writer, *second, *readers[20];
    uint8_t page[KIT_PAGE_BYTES];
    setup(&bench);
    make(TEXT, 1, page, sizeof page);
    keep(&bench, 5, page);
    ck_assert_int_eq(bench_set(&bench, "k", slice_text("one")), FP_OK);
    for (int item = 0; item < 2; item++) {
        for (int i = 0; i < 20; i++)
            ck_assert_int_eq(item ? map_item(&bench, "k", MAP_READ, &readers[i])
                                  : map_page(&bench, 5, MAP_READ, &readers[i]), FP_OK);
        ck_assert_int_eq(item ? map_item(&bench, "k", MAP_READ_WRITE, &writer)
                              : map_page(&bench, 5, MAP_READ_WRITE, &writer), FP_OK);
        for (int mode = MAP_READ_WRITE; mode <= MAP_OVERWRITE; mode++)
            ck_assert_int_eq(item ? map_item(&bench, "k", (enum map_mode)mode, &second)
                                  : map_page(&bench, 5, (enum map_mode)mode, &second), FP_BUSY);
        struct slice byte = slice_of("x", 1);
        ck_assert_int_eq(store_map_write(readers[0], bench.scratch, 0, byte), FP_INVALID);
        end(&bench, &writer);
        ck_assert_int_eq(item ? map_item(&bench, "k", MAP_OVERWRITE, &second)
                              : map_page(&bench, 5, MAP_OVERWRITE, &second), FP_OK);
        end(&bench, &second);
        /* What somebody stores is another thing, and its writer another. */
        ck_assert_int_eq(item ? map_item(&bench, "k", MAP_READ_WRITE, &writer)
                              : map_page(&bench, 5, MAP_READ_WRITE, &writer), FP_OK);
        keep(&bench, 5, page);
        ck_assert_int_eq(bench_set(&bench, "k", slice_text("two")), FP_OK);
        ck_assert_int_eq(item ? map_item(&bench, "k", MAP_READ_WRITE, &second)
                              : map_page(&bench, 5, MAP_READ_WRITE, &second), FP_OK);
        end(&bench, &writer);
        end(&bench, &second);
        for (int i = 0; i < 20; i++) end(&bench, &readers[i]);
    }
    teardown(&bench);
}
END_TEST

START_TEST(reads_and_writes_stay_within)
{
    static const uint64_t beyond[][2] = {{0, 4097}, {4096, 1}, {4097, 0}, {1, 4096},
                                         {UINT64_MAX, 1}, {1, UINT64_MAX}, {1ull << 32, 1}};
    struct bench bench;
    struct store_map *map;
    struct lent lent;
    uint8_t page[KIT_PAGE_BYTES];
    setup(&bench);
    make(TEXT, 1, page, sizeof page);
    keep(&bench, 5, page);
    ck_assert_int_eq(map_page(&bench, 5, MAP_READ_WRITE, &map), FP_OK);
    for (size_t i = 0; i < FP_COUNT_OF(beyond); i++) {
        ck_assert_int_eq(store_map_read(map, bench.scratch, beyond[i][0], beyond[i][1], &lent),
                         FP_RANGE);
        ck_assert_int_eq(store_map_write(map, bench.scratch, beyond[i][0],
                                         slice_of(page, beyond[i][1])), FP_RANGE);
    }
    ck_assert_int_eq(store_map_read(map, bench.scratch, 4096, 0, &lent), FP_OK);
    ck_assert(lent.bytes.size_bytes == 0);
    ck_assert_int_eq(store_map_write(map, bench.scratch, 4096, slice_of(page, 0)), FP_OK);
    ck_assert_int_eq(store_map_write(map, bench.scratch, 4095, slice_of("z", 1)), FP_OK);
    end(&bench, &map);
    ck_assert(holds(&bench, 5, page));
    teardown(&bench);
}
END_TEST

START_TEST(a_page_that_is_not_packed_is_lent_where_it_lies_and_never_copied)
{
    struct bench bench;
    struct store_map *map;
    struct lent first, again;
    uint8_t page[KIT_PAGE_BYTES];
    setup(&bench);
    make(NOISE, 1, page, sizeof page);
    keep(&bench, 5, page);
    ck_assert_int_eq(map_page(&bench, 5, MAP_READ, &map), FP_OK);
    ck_assert(map->charged_bytes < 1000);
    ck_assert_int_eq(store_map_read(map, bench.scratch, 0, 4096, &first), FP_OK);
    ck_assert(first.bytes.size_bytes == 4096 && first.steady);
    bench_invalidate(&bench, 5, 6);
    ck_assert_int_eq(store_map_read(map, bench.scratch, 0, 4096, &again), FP_OK);
    ck_assert_ptr_eq(first.bytes.bytes, again.bytes.bytes);
    ck_assert(memcmp(again.bytes.bytes, page, sizeof page) == 0);
    uint8_t *base = arena_address(zpool_arena(store_zpool(bench.store)), (struct page_run){0});
    uint64_t at = (uint64_t)(again.bytes.bytes - base);
    ck_assert(at < arena_size_pages(zpool_arena(store_zpool(bench.store))) * PAGES_BYTES);
    end(&bench, &map);
    make(TEXT, 1, page, sizeof page);
    keep(&bench, 5, page);
    ck_assert_int_eq(map_page(&bench, 5, MAP_READ_WRITE, &map), FP_OK);
    ck_assert_int_eq(store_map_read(map, bench.scratch, 0, 4096, &first), FP_OK);
    ck_assert(!first.steady && map->charged_bytes > 4096); /* it may be written while it is sent */
    end(&bench, &map);
    teardown(&bench);
}
END_TEST

/* --- items ------------------------------------------------------------------------------------ */

/* Pieces of all kinds in one value, the last of them short. */
static void make_value(uint64_t seed, uint8_t *value)
{
    for (size_t at = 0; at < LARGE_BYTES; at += ITEM_PIECE_BYTES) {
        size_t size = LARGE_BYTES - at < ITEM_PIECE_BYTES ? LARGE_BYTES - at : ITEM_PIECE_BYTES;
        make((enum kind)(at / ITEM_PIECE_BYTES + seed) % KINDS, seed + at, value + at, size);
    }
}

START_TEST(a_reader_keeps_its_item_whatever_happens_to_the_key)
{
    enum { SET, DELETED, FLUSHED, EXPIRED, PACKED, ENDS };
    static uint8_t value[LARGE_BYTES];
    for (int what = 0; what < ENDS; what++) {
        struct bench bench;
        struct store_map *map, *writer;
        setup(&bench);
        make_value((uint64_t)_i, value);
        struct item_put put = {.key = slice_text("k"), .value = slice_of(value, sizeof value),
                               .exptime = 100, .flags = 7};
        ck_assert_int_eq(bench_put(&bench, put), FP_OK);
        ck_assert_int_eq(map_item(&bench, "k", MAP_READ, &map), FP_OK);
        ck_assert_int_eq(map_item(&bench, "k", MAP_READ_WRITE, &writer), FP_OK);
        ck_assert(map->item->flags == 7 && map->size_bytes == LARGE_BYTES);
        ck_assert(pins_of(&bench) > 0);
        ck_assert(has(&bench, map, 20000, slice_of(value + 20000, 20000)));
        if (what == SET) ck_assert_int_eq(bench_set(&bench, "k", slice_text("new")), FP_OK);
        if (what == DELETED)
            ck_assert_int_eq(store_item_delete(bench.store, bench.scratch, put.key), FP_OK);
        if (what == FLUSHED) store_flush(bench.store, bench.scratch, 0);
        if (what == EXPIRED) bench_advance_s(&bench, 200);
        if (what == PACKED) recompress(&bench);
        for (int i = 0; i < 2000; i++) store_reap_step(bench.store, bench.scratch);
        store_check(bench.store);
        ck_assert(has(&bench, map, 0, slice_of(value, sizeof value)));
        ck_assert_int_eq(store_map_write(writer, bench.scratch, 3, slice_of("xyz", 3)), FP_OK);
        ck_assert_int_eq(store_map_publish(writer, bench.scratch),
                         what == PACKED ? FP_OK : FP_EXISTS);
        end(&bench, &writer);
        ck_assert(has(&bench, map, 0, slice_of(value, sizeof value)));
        end(&bench, &map);
        if (what == SET) ck_assert(bench_is(&bench, "k", "new"));
        else if (what != PACKED) ck_assert(bench_lacks(&bench, "k"));
        store_check(bench.store);
        teardown(&bench);
    }
}
END_TEST

START_TEST(what_is_published_keeps_flags_and_expiry_and_is_a_set)
{
    static uint8_t value[LARGE_BYTES];
    struct bench bench;
    struct store_map *map;
    setup(&bench);
    make_value(1, value);
    struct item_put put = {.key = slice_text("k"), .value = slice_of(value, sizeof value),
                           .exptime = 100, .flags = 7};
    ck_assert_int_eq(bench_put(&bench, put), FP_OK);
    ck_assert_int_eq(map_item(&bench, "k", MAP_READ_WRITE, &map), FP_OK);
    uint64_t cas = item_cas(map->item);
    ck_assert_int_eq(store_map_write(map, bench.scratch, 16380, slice_of("over the edge", 13)),
                     FP_OK);
    ck_assert(bench_has(&bench, "k", slice_of(value, sizeof value)));
    ck_assert_int_eq(store_map_publish(map, bench.scratch), FP_OK);
    end(&bench, &map);
    memcpy(value + 16380, "over the edge", 13);
    ck_assert(bench_has(&bench, "k", slice_of(value, sizeof value)));
    struct item *item = store_item_acquire(bench.store, bench.scratch, put.key, NULL);
    ck_assert(item->flags == 7 && item_cas(item) != cas && !item->mapped);
    store_item_release(bench.store, bench.scratch, &item);
    bench_advance_s(&bench, 200);
    ck_assert(bench_lacks(&bench, "k"));
    teardown(&bench);
}
END_TEST

START_TEST(eviction_walks_past_what_is_mapped)
{
    static uint8_t noise[16000];
    struct bench bench;
    struct store_map *map, *again;
    struct rng rng = {.state = 3};
    bench_setup(&bench, (struct store_options){.memory_limit_bytes = 16 * BENCH_MIB}, SLOTS);
    rng_fill(&rng, noise, sizeof noise);
    ck_assert_int_eq(bench_set(&bench, "first", slice_of(noise, sizeof noise)), FP_OK);
    ck_assert_int_eq(map_item(&bench, "first", MAP_READ, &map), FP_OK);
    ck_assert_int_eq(map_item(&bench, "first", MAP_READ, &again), FP_OK);
    end(&bench, &again); /* one map is enough to keep it */
    for (int i = 0; i < 3000; i++) {
        char key[16];
        (void)snprintf(key, sizeof key, "k%d", i);
        ck_assert_int_eq(bench_set(&bench, key, slice_of(noise, sizeof noise)), FP_OK);
    }
    ck_assert(atomic_load(&store_counters(bench.store)->item_evictions) > 1000);
    ck_assert(bench_has(&bench, "first", slice_of(noise, sizeof noise)));
    store_check(bench.store);
    bench_advance_s(&bench, 1);
    end(&bench, &map);
    /* It is the newest now, and goes in its turn. */
    for (int i = 0; i < 5; i++) ck_assert(store_evict_one(bench.store, bench.scratch));
    ck_assert(!bench_lacks(&bench, "first"));
    while (store_evict_one(bench.store, bench.scratch)) {}
    ck_assert(bench_lacks(&bench, "first"));
    teardown(&bench);
}
END_TEST

START_TEST(an_empty_value_can_be_mapped)
{
    struct bench bench;
    struct store_map *map;
    struct lent lent;
    setup(&bench);
    ck_assert_int_eq(bench_set(&bench, "k", slice_text("")), FP_OK);
    for (int mode = MAP_READ; mode <= MAP_OVERWRITE; mode++) {
        ck_assert_int_eq(map_item(&bench, "k", (enum map_mode)mode, &map), FP_OK);
        if (mode != MAP_OVERWRITE)
            ck_assert_int_eq(store_map_read(map, bench.scratch, 0, 0, &lent), FP_OK);
        ck_assert_int_eq(store_map_publish(map, bench.scratch), FP_OK);
        end(&bench, &map);
    }
    ck_assert_int_eq(map_item(&bench, "none", MAP_READ, &map), FP_ABSENT);
    teardown(&bench);
}
END_TEST

/* --- limits ----------------------------------------------------------------------------------- */

START_TEST(what_is_too_large_is_refused_before_anything_gives_way)
{
    struct bench bench;
    struct store_map *map = NULL;
    static uint8_t value[LARGE_BYTES];
    setup(&bench);
    make_value(0, value);
    keep(&bench, 0, value);
    ck_assert_int_eq(bench_set(&bench, "k", slice_of(value, sizeof value)), FP_OK);
    struct map_wish wish = {.mode = MAP_READ_WRITE, .bytes_max = LARGE_BYTES - 1};
    ck_assert_int_eq(store_map_item(bench.store, bench.scratch, slice_text("k"), &wish, &map),
                     FP_TOO_BIG);
    wish.bytes_max = 4095;
    struct page_place place = {.area = bench.area, .slot = 0};
    ck_assert_int_eq(store_map_page(bench.store, bench.scratch, place, &wish, &map), FP_TOO_BIG);
    ck_assert_ptr_null(map);
    teardown(&bench);
}
END_TEST

START_TEST(when_memory_is_out_a_map_can_be_published_later_or_not_at_all)
{
    struct bench bench;
    struct store_map *map;
    uint8_t page[KIT_PAGE_BYTES], noise[KIT_PAGE_BYTES];
    bench_setup(&bench, (struct store_options){.memory_limit_bytes = 16 * BENCH_MIB}, 100000);
    make(WORD, 1, page, sizeof page);
    make(NOISE, 1, noise, sizeof noise);
    keep(&bench, 0, page);
    ck_assert_int_eq(map_page(&bench, 0, MAP_READ_WRITE, &map), FP_OK);
    ck_assert_int_eq(store_map_write(map, bench.scratch, 0, slice_of(noise, sizeof noise)), FP_OK);
    uint64_t slot = 1;
    struct rng rng = {.state = 8};
    uint8_t full[KIT_PAGE_BYTES];
    do rng_fill(&rng, full, sizeof full);
    while (bench_store(&bench, slot++, full) == FP_OK);
    ck_assert_int_eq(store_map_publish(map, bench.scratch), FP_NO_MEMORY);
    ck_assert(holds(&bench, 0, page));
    bench_invalidate(&bench, 1, 200);
    ck_assert_int_eq(store_map_publish(map, bench.scratch), FP_OK);
    end(&bench, &map);
    ck_assert(holds(&bench, 0, noise));
    teardown(&bench);
}
END_TEST

#if FARPAGE_DEBUG_HOOKS
START_TEST(what_is_damaged_is_never_shown)
{
    struct bench bench;
    struct store_map *map;
    struct lent lent;
    uint8_t page[KIT_PAGE_BYTES];
    setup(&bench);
    make((enum kind)_i, 3, page, sizeof page);
    keep(&bench, 0, page);
    ck_assert_int_eq(store_damage_page(bench.store, bench.area, 0), FP_OK);
    ck_assert_int_eq(map_page(&bench, 0, MAP_READ, &map), FP_OK);
    for (int i = 0; i < 2; i++)
        ck_assert_int_eq(store_map_read(map, bench.scratch, 0, 9, &lent), FP_CORRUPT);
    end(&bench, &map);
    ck_assert_int_eq(map_page(&bench, 0, MAP_READ_WRITE, &map), FP_OK);
    ck_assert_int_eq(store_map_write(map, bench.scratch, 0, slice_of(page, 9)), FP_CORRUPT);
    end(&bench, &map);
    ck_assert_int_eq(map_page(&bench, 0, MAP_OVERWRITE, &map), FP_OK); /* mends it */
    ck_assert_int_eq(store_map_write(map, bench.scratch, 0, slice_of(page, 4096)), FP_OK);
    ck_assert_int_eq(store_map_publish(map, bench.scratch), FP_OK);
    end(&bench, &map);
    ck_assert(holds(&bench, 0, page));
    teardown(&bench);
}
END_TEST
#endif

int main(void)
{
    Suite *suite = suite_create("store_map");
    TCase *pages = tcase_create("pages"), *items = tcase_create("items");
    tcase_set_timeout(pages, 60);
    tcase_set_timeout(items, 60);
    tcase_add_loop_test(pages, a_reader_keeps_its_page_whatever_happens_to_the_slot, 0, KINDS);
    tcase_add_loop_test(pages, a_writer_is_seen_when_it_publishes_and_only_over_what_it_mapped, 0,
                        KINDS);
#if FARPAGE_DEBUG_HOOKS
    tcase_add_loop_test(pages, what_is_damaged_is_never_shown, 0, KINDS);
#endif
    tcase_add_test(pages, a_writer_that_wrote_nothing_still_learns_of_a_change);
    tcase_add_test(pages, an_overwriter_begins_with_zeros_also_where_nothing_was);
    tcase_add_test(pages, one_writes_and_any_number_reads);
    tcase_add_test(pages, reads_and_writes_stay_within);
    tcase_add_test(pages, a_page_that_is_not_packed_is_lent_where_it_lies_and_never_copied);
    tcase_add_test(pages, when_memory_is_out_a_map_can_be_published_later_or_not_at_all);
    tcase_add_loop_test(items, a_reader_keeps_its_item_whatever_happens_to_the_key, 0, KINDS);
    tcase_add_test(items, what_is_published_keeps_flags_and_expiry_and_is_a_set);
    tcase_add_test(items, eviction_walks_past_what_is_mapped);
    tcase_add_test(items, an_empty_value_can_be_mapped);
    tcase_add_test(items, what_is_too_large_is_refused_before_anything_gives_way);
    suite_add_tcase(suite, pages);
    suite_add_tcase(suite, items);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
