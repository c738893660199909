/* SPDX-License-Identifier: BSD-3-Clause */
#include "storage/store/store_dictionary.h"

#include <pthread.h>

#include "storage/store/page/store_area.h"
#include "tests/unit/base/suite.h"
#include "tests/unit/storage/bench.h"
#include "tests/unit/storage/kit_dictionary.h"

enum { PAGES = KIT_SAMPLE_PAGES };

static struct {
    struct dictionary *dictionary, *other;
    uint8_t *sample;
} fixture;

static const uint8_t *page_at(size_t i)
{
    return fixture.sample + i % PAGES * KIT_PAGE_BYTES;
}

static void store_all(struct bench *bench)
{
    for (size_t i = 0; i < PAGES; i++)
        ck_assert_int_eq(bench_store(bench, i, page_at(i)), FP_OK);
}

static void expect_all(struct bench *bench)
{
    uint8_t out[KIT_PAGE_BYTES];
    for (size_t i = 0; i < PAGES; i++) {
        ck_assert_int_eq(bench_load(bench, i, out), FP_OK);
        ck_assert_int_eq(memcmp(out, page_at(i), sizeof out), 0);
    }
}

/* Seats that are not empty, and their objects; of those with a dictionary only, where `with`. */
static unsigned seats(struct bench *bench, bool with, uint64_t *objects)
{
    unsigned count = 0;
    *objects = 0;
    for (int i = 0; i < 3; i++) compressor_pool_upkeep(store_compressors(bench->store));
    for (int id = 0; id < COMPRESSOR_SEATS; id++) {
        struct compressor_row row;
        compressor_row(store_compressors(bench->store), (uint8_t)id, &row);
        if (row.state == COMPRESSOR_EMPTY || (with && row.dictionary_id == 0)) continue;
        count++;
        *objects += row.objects;
    }
    return count;
}

static void expect_seats(struct bench *bench, bool with, unsigned count, uint64_t objects)
{
    uint64_t got;
    ck_assert_uint_eq(seats(bench, with, &got), count);
    ck_assert_uint_eq(got, objects);
}

/* A seat that is no longer needed is empty after three of them. */
static void upkeep(struct bench *bench)
{
    for (int i = 0; i < 3; i++) compressor_pool_upkeep(store_compressors(bench->store));
}

static void keep(struct bench *bench, struct dictionary *dictionary)
{
    ck_assert_int_eq(store_dictionary_keep(bench->store, bench->area, dictionary), FP_OK);
}

static void swap(struct bench *bench, const char *algorithm)
{
    struct compressor_config next = {.algorithm = algorithm};
    ck_assert_int_eq(compressor_pool_swap(store_compressors(bench->store), &next), FP_OK);
}

static uint64_t packed_bytes(struct bench *bench)
{
    return atomic_load(&bench->area->counters.packed_bytes);
}

START_TEST(pages_stored_from_then_on_are_smaller_and_all_come_back)
{
    struct bench bench;
    bench_setup(&bench, (struct store_options){.compressor = {"zstd", 3}}, PAGES);
    store_all(&bench);
    uint64_t before = packed_bytes(&bench), objects;
    keep(&bench, fixture.dictionary);
    expect_all(&bench); /* of the seat without */
    expect_seats(&bench, true, 1, 0);
    store_all(&bench);
    ck_assert_uint_lt(packed_bytes(&bench), before - before / 50);
    ck_assert_uint_eq(seats(&bench, true, &objects), 1);
    ck_assert_uint_eq(objects, PAGES - atomic_load(&bench.area->counters.incompressible));
    expect_all(&bench);
    bench_teardown(&bench);
}
END_TEST

START_TEST(a_dictionary_dropped_lives_until_its_last_page_is_gone)
{
    struct bench bench;
    uint64_t objects;
    struct store_dictionary look;
    bench_setup(&bench, (struct store_options){.compressor = {"lz4", 0}}, PAGES);
    ck_assert(!store_dictionary_drop(bench.store, bench.area));
    keep(&bench, fixture.dictionary);
    store_dictionary_look(bench.store, bench.area, &look);
    ck_assert_uint_eq(look.id, dictionary_id(fixture.dictionary));
    ck_assert(look.packs);
    store_all(&bench);
    ck_assert_uint_eq(seats(&bench, true, &objects), 1);
    ck_assert(store_dictionary_drop(bench.store, bench.area));
    store_dictionary_look(bench.store, bench.area, &look);
    ck_assert_uint_eq(look.id, 0);
    expect_seats(&bench, true, 1, objects);
    expect_all(&bench);
    bench_invalidate(&bench, 1, PAGES);
    expect_seats(&bench, true, 1, 1);
    ck_assert_int_eq(bench_store(&bench, 0, page_at(1)), FP_OK); /* without */
    expect_seats(&bench, true, 0, 0);
    expect_seats(&bench, false, 1, 1);
    bench_teardown(&bench);
}
END_TEST

START_TEST(one_dropped_at_once_leaves_no_seat)
{
    struct bench bench;
    bench_setup(&bench, (struct store_options){.compressor = {"zstd", 0}}, PAGES);
    keep(&bench, fixture.dictionary);
    expect_seats(&bench, true, 1, 0);
    keep(&bench, fixture.other);
    expect_seats(&bench, true, 1, 0);
    ck_assert(store_dictionary_drop(bench.store, bench.area));
    expect_seats(&bench, false, 1, 0);
    bench_teardown(&bench);
}
END_TEST

START_TEST(the_dictionary_goes_along_when_the_compressor_is_swapped)
{
    struct bench bench;
    struct store_dictionary look;
    struct compressor_row row;
    bench_setup(&bench, (struct store_options){.compressor = {"lz4", 0}}, PAGES);
    keep(&bench, fixture.dictionary);
    store_all(&bench);
    swap(&bench, "zstd");
    struct compressor *seat = store_compressor_acquire(bench.store, bench.scratch, bench.area);
    compressor_row(store_compressors(bench.store), compressor_id(seat), &row);
    ck_assert_str_eq(row.algorithm, "zstd"); /* at once, though without */
    ck_assert_uint_eq(row.dictionary_id, 0);
    compressor_release(&seat, bench.scratch->codec);
    upkeep(&bench);
    seat = store_compressor_acquire(bench.store, bench.scratch, bench.area);
    compressor_row(store_compressors(bench.store), compressor_id(seat), &row);
    ck_assert_str_eq(row.algorithm, "zstd");
    ck_assert_uint_eq(row.dictionary_id, dictionary_id(fixture.dictionary));
    compressor_release(&seat, bench.scratch->codec);
    expect_all(&bench);
    store_all(&bench);
    expect_seats(&bench, true, 1, row.objects + PAGES -
                                      atomic_load(&bench.area->counters.incompressible));
    swap(&bench, "none");
    upkeep(&bench);
    store_dictionary_look(bench.store, bench.area, &look);
    ck_assert(look.id != 0 && !look.packs);
    store_all(&bench);
    expect_seats(&bench, false, 1, 0);
    swap(&bench, "lz4hc");
    upkeep(&bench);
    store_dictionary_look(bench.store, bench.area, &look);
    ck_assert(look.packs);
    store_all(&bench);
    expect_all(&bench);
    bench_teardown(&bench);
}
END_TEST

START_TEST(a_dictionary_is_of_one_area_only)
{
    struct bench bench;
    struct area *other;
    bench_setup(&bench, (struct store_options){.compressor = {"lz4", 0}}, PAGES);
    ck_assert_int_eq(store_area_open(bench.store, slice_text("other"), PAGES, &other), FP_OK);
    keep(&bench, fixture.dictionary);
    struct compressor *own = store_compressor_acquire(bench.store, bench.scratch, bench.area);
    struct compressor *theirs = store_compressor_acquire(bench.store, bench.scratch, other);
    struct compressor *items = store_compressor_acquire(bench.store, bench.scratch, NULL);
    ck_assert_ptr_ne(own, theirs);
    ck_assert_ptr_eq(items, theirs);
    compressor_release(&own, bench.scratch->codec);
    compressor_release(&theirs, bench.scratch->codec);
    compressor_release(&items, bench.scratch->codec);
    bench_teardown(&bench);
}
END_TEST

/* --- sampling --------------------------------------------------------------------------------- */

static size_t sample(struct bench *bench, size_t wanted, uint8_t *pages)
{
    struct store_sampler sampler = {.area = bench->area, .pages = pages, .wanted = wanted};
    while (!store_sampler_step(bench->store, bench->scratch, &sampler)) {}
    return sampler.count;
}

START_TEST(samples_come_from_all_over_and_count_as_no_load)
{
    enum { SLOTS = 64 * AREA_ROW_SLOTS, WANTED = 512 };
    struct bench bench;
    uint8_t page[KIT_PAGE_BYTES] = {0}, *pages = malloc((size_t)WANTED * KIT_PAGE_BYTES);
    uint64_t slot;
    bench_setup(&bench, (struct store_options){.compressor = {"lz4", 0}}, SLOTS);
    for (slot = 0; slot < SLOTS; slot += 4) { /* every second one of them same-filled */
        memset(page, 0, sizeof page);
        memcpy(page, &slot, slot % 8 == 0 ? sizeof slot : 0);
        page[100] = slot % 8 == 0;
        ck_assert_int_eq(bench_store(&bench, slot, page), FP_OK);
    }
    size_t count = sample(&bench, WANTED, pages);
    ck_assert_uint_ge(count, WANTED - 16);
    unsigned quarters[4] = {0};
    for (size_t i = 0; i < count; i++) {
        memcpy(&slot, pages + i * KIT_PAGE_BYTES, sizeof slot);
        ck_assert_uint_eq(slot % 8, 0);
        ck_assert_uint_eq(pages[i * KIT_PAGE_BYTES + 100], 1);
        quarters[slot / (SLOTS / 4)]++;
    }
    for (int i = 0; i < 4; i++) ck_assert_uint_ge(quarters[i], WANTED / 5);
    ck_assert_uint_eq(atomic_load(&bench.area->counters.loads), 0);
    ck_assert_uint_eq(atomic_load(&bench.area->counters.absent), 0);
    free(pages);
    bench_teardown(&bench);
}
END_TEST

START_TEST(a_small_area_is_sampled_whole_and_once)
{
    struct bench bench;
    uint8_t *pages = malloc((size_t)2 * PAGES * KIT_PAGE_BYTES);
    bench_setup(&bench, (struct store_options){.compressor = {"lz4", 0}}, 1 << 24);
    ck_assert_uint_eq(sample(&bench, 10, pages), 0);
    store_all(&bench);
    ck_assert_uint_eq(sample(&bench, 2 * PAGES, pages), PAGES);
    ck_assert_uint_eq(sample(&bench, 100, pages), 100);
    free(pages);
    bench_teardown(&bench);
}
END_TEST

/* --- all at once ------------------------------------------------------------------------------ */

struct crowd {
    struct bench *bench;
    unsigned number;
    atomic_bool *stop;
};

static void *store_and_load(void *opaque)
{
    struct crowd *crowd = opaque;
    struct store_scratch *scratch;
    uint8_t out[KIT_PAGE_BYTES];
    uint32_t crc;
    fp_assert(store_scratch_create(crowd->bench->store, &scratch) == FP_OK);
    for (uint64_t i = 0; !atomic_load(crowd->stop); i++) {
        struct page_place place = {crowd->bench->area, crowd->number * 64 + i % 64};
        const uint8_t *page = page_at(i);
        fp_assert(store_page_store(crowd->bench->store, scratch, place, page,
                                   crc32c(page, KIT_PAGE_BYTES)) == FP_OK);
        fp_assert(store_page_load(crowd->bench->store, scratch, place, out, &crc) == FP_OK);
        fp_assert(memcmp(out, page, sizeof out) == 0);
    }
    store_scratch_destroy(&scratch);
    return NULL;
}

START_TEST(dictionaries_come_and_go_while_pages_are_stored)
{
    static const char *const algorithms[] = {"lz4", "zstd", "none", "lz4hc"};
    struct bench bench;
    atomic_bool stop = false;
    pthread_t threads[3];
    struct crowd crowd[3];
    bench_setup(&bench, (struct store_options){.compressor = {"lz4hc", 0}}, PAGES);
    for (unsigned i = 0; i < 3; i++) {
        crowd[i] = (struct crowd){&bench, i, &stop};
        fp_assert(pthread_create(&threads[i], NULL, store_and_load, &crowd[i]) == 0);
    }
    for (unsigned i = 0; i < 120; i++) {
        keep(&bench, i % 2 == 0 ? fixture.dictionary : fixture.other);
        if (i % 3 == 0) swap(&bench, algorithms[i / 3 % FP_COUNT_OF(algorithms)]);
        if (i % 4 != 0) upkeep(&bench);
        if (i % 5 == 0) (void)store_dictionary_drop(bench.store, bench.area);
    }
    atomic_store(&stop, true);
    for (unsigned i = 0; i < 3; i++) fp_assert(pthread_join(threads[i], NULL) == 0);
    (void)store_dictionary_drop(bench.store, bench.area);
    bench_invalidate(&bench, 0, PAGES);
    expect_seats(&bench, false, 1, 0);
    bench_teardown(&bench);
}
END_TEST

int main(void)
{
    fixture.sample = kit_sample();
    fixture.dictionary = kit_dictionary(1);
    fixture.other = kit_dictionary(2);
    int code = suite_run("store_dictionary",
                         pages_stored_from_then_on_are_smaller_and_all_come_back,
                         a_dictionary_dropped_lives_until_its_last_page_is_gone,
                         one_dropped_at_once_leaves_no_seat,
                         the_dictionary_goes_along_when_the_compressor_is_swapped,
                         a_dictionary_is_of_one_area_only,
                         samples_come_from_all_over_and_count_as_no_load,
                         a_small_area_is_sampled_whole_and_once,
                         dictionaries_come_and_go_while_pages_are_stored);
    dictionary_release(&fixture.dictionary);
    dictionary_release(&fixture.other);
    free(fixture.sample);
    return code;
}
