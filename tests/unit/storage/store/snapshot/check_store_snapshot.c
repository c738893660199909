/* SPDX-License-Identifier: BSD-3-Clause */
#include "storage/store/snapshot/store_snapshot.h"

#include "storage/area/area_pin.h"
#include "storage/area/area_stand.h"
#include "storage/store/snapshot/store_restore.h"
#include "storage/store/store_dictionary.h"
#include "storage/store/store_internal.h"
#include "tests/unit/base/suite.h"
#include "tests/unit/storage/bench.h"
#include "tests/unit/storage/kit_dictionary.h"

enum { SLOTS = 3100, LONG_BYTES = 700000 };

struct image { /* a snapshot in memory */
    uint8_t *bytes;
    size_t size;
    enum fp_status status;
    struct snapshot_totals totals;
};

struct again_store { /* made of one */
    struct bench bench; /* its area is the first */
    struct store_restored restored;
    enum fp_status status;
    const char *problem;
};

typedef void meanwhile(void *context);

static uint8_t *sample;

static const uint8_t *page_of(uint64_t i)
{
    return sample + i % KIT_SAMPLE_PAGES * KIT_PAGE_BYTES;
}

static void take_steps(struct image *image, struct bench *bench, struct store_snapshot *snapshot,
                       meanwhile *between, void *context)
{
    struct slice bytes;
    do {
        image->status = store_snapshot_step(snapshot, bench->scratch, 5, &bytes);
        if (image->status != FP_OK || bytes.size_bytes == 0) return;
        ck_assert(bytes.size_bytes <= STORE_SNAPSHOT_STEP_BYTES_MAX);
        image->bytes = realloc(image->bytes, image->size + bytes.size_bytes);
        ck_assert(image->bytes != NULL);
        memcpy(image->bytes + image->size, bytes.bytes, bytes.size_bytes);
        image->size += bytes.size_bytes;
        if (between != NULL) between(context);
    } while (true);
}

static struct image image_of(struct bench *bench, meanwhile *between, void *context)
{
    static const uint8_t boot_id[SNAPSHOT_BOOT_ID_BYTES] = {1};
    static const struct slice exports[] = {{(const uint8_t *)"web", 3}};
    struct store_snapshot_options options = {.kind = SNAPSHOT_OF_STOP, .boot_id = boot_id,
                                             .unix_ns = 4, .release = "test",
                                             .exports = exports, .export_count = 1};
    struct store_snapshot *snapshot = NULL, *second = NULL;
    struct image image = {.bytes = NULL};
    uint64_t before = budget_held(store_budget(bench->store), BUDGET_SNAPSHOT);
    enum fp_status status =
        store_snapshot_begin(bench->store, bench->scratch, &options, &snapshot);
    ck_assert_int_eq(status, FP_OK);
    status = store_snapshot_begin(bench->store, bench->scratch, &options, &second);
    ck_assert_int_eq(status, FP_BUSY);
    if (between != NULL) between(context);
    take_steps(&image, bench, snapshot, between, context);
    struct store_snapshot_progress progress = store_snapshot_progress(snapshot);
    if (image.status == FP_OK) ck_assert_uint_eq(progress.kept_bytes, 0);
    store_snapshot_end(&snapshot, bench->scratch);
    ck_assert_ptr_null(snapshot);
    ck_assert_uint_eq(budget_held(store_budget(bench->store), BUDGET_SNAPSHOT), before);
    store_check(bench->store);
    return image;
}

static void take_all(struct again_store *again, struct image *image)
{
    static struct snapshot_reader reader;
    struct store_restore *restore = NULL;
    struct slice rest = slice_of(image->bytes, image->size);
    snapshot_reader_init(&reader);
    ck_assert_int_eq(store_restore_begin(again->bench.store, &restore), FP_OK);
    for (;;) {
        struct snapshot_record record;
        size_t used;
        enum snapshot_read read = snapshot_read_next(&reader, rest, true, &record, &used);
        again->problem = reader.problem;
        if (read != SNAPSHOT_READ_RECORD) break;
        again->status =
            store_restore_take(restore, again->bench.scratch, &record, &again->problem);
        if (again->status != FP_OK) break;
        rest = slice_of(rest.bytes + used, rest.size_bytes - used);
    }
    image->totals = reader.totals;
    again->restored = store_restored(restore);
    store_restore_end(&restore, again->bench.scratch);
}

static struct again_store restore_with(struct image *image, struct store_options options)
{
    struct again_store again = {.status = FP_OK};
    if (options.memory_limit_bytes == 0) options.memory_limit_bytes = 1024ull * BENCH_MIB;
    options.page_bytes = KIT_PAGE_BYTES;
    options.allocator = kit_allocator();
    if (options.compressor.algorithm == NULL) options.compressor.algorithm = "lz4";
    ck_assert_int_eq(store_create(&options, &again.bench.store), FP_OK);
    ck_assert_int_eq(store_scratch_create(again.bench.store, &again.bench.scratch), FP_OK);
    again.bench.scratch->now_ms = 2000; /* started anew, ten seconds later */
    again.bench.scratch->unix_s = BENCH_START_UNIX_S + 10;
    take_all(&again, image);
    struct area *area = store_area_next(again.bench.store, NULL);
    again.bench.area = area;
    if (area != NULL) area_release(&area);
    return again;
}

static struct again_store restored(struct image *image)
{
    struct again_store again =
        restore_with(image, (struct store_options){.memory_limit_bytes = 0});
    ck_assert_msg(again.status == FP_OK && again.restored.complete, "%s", again.problem);
    return again;
}

static void setup(struct bench *bench)
{
    if (sample == NULL) sample = kit_sample();
    bench_setup(bench, (struct store_options){.page_bytes = 0}, SLOTS);
}

static void teardown(struct bench *bench)
{
    if (bench->area != NULL) bench->area = NULL;
    struct area *area = NULL;
    while ((area = store_area_next(bench->store, area)) != NULL)
        while (atomic_load(&area->uses) > 2) {
            struct area *use = area;
            area_release(&use);
        }
    bench_teardown(bench);
}

static void has(struct bench *bench, uint64_t slot, const uint8_t *page)
{
    uint8_t out[KIT_PAGE_BYTES];
    ck_assert_int_eq(bench_load(bench, slot, out), page != NULL ? FP_OK : FP_ABSENT);
    if (page != NULL) ck_assert_mem_eq(out, page, sizeof out);
}

static void store_first(struct bench *bench, unsigned pages)
{
    for (unsigned i = 0; i < pages; i++)
        ck_assert_int_eq(bench_store(bench, i, page_of(i)), FP_OK);
}

/* --- what comes back -------------------------------------------------------------------------- */

static void fill_with(uint8_t page[KIT_PAGE_BYTES], uint64_t word)
{
    for (size_t at = 0; at < KIT_PAGE_BYTES; at += 8) memcpy(page + at, &word, 8);
}

START_TEST(pages_of_every_form_come_back)
{
    struct bench bench;
    uint8_t zeros[KIT_PAGE_BYTES] = {0}, words[KIT_PAGE_BYTES], noise[KIT_PAGE_BYTES];
    struct rng rng = {1};
    const struct compressor_config zstd = {"zstd", 3, NULL};
    setup(&bench);
    rng_fill(&rng, noise, sizeof noise);
    fill_with(words, 0x1122334455667788);
    for (unsigned i = 0; i < 1500; i++)
        ck_assert_int_eq(bench_store(&bench, i, page_of(i)), FP_OK);
    ck_assert_int_eq(compressor_pool_swap(store_compressors(bench.store), &zstd), FP_OK);
    for (unsigned i = 2000; i < 2500; i++)
        ck_assert_int_eq(bench_store(&bench, i, page_of(i)), FP_OK);
    ck_assert_int_eq(bench_store(&bench, SLOTS - 1, noise), FP_OK);
    ck_assert_int_eq(bench_store(&bench, SLOTS - 2, zeros), FP_OK);
    ck_assert_int_eq(bench_store(&bench, SLOTS - 3, words), FP_OK);
    struct image image = image_of(&bench, NULL, NULL);
    struct again_store again = restored(&image);
    ck_assert_uint_eq(image.totals.pages, 2003);
    ck_assert_uint_eq(again.bench.area->generation, bench.area->generation);
    ck_assert_str_eq(again.bench.area->name, "swap");
    for (unsigned i = 0; i < 1500; i++) has(&again.bench, i, page_of(i));
    for (unsigned i = 2000; i < 2500; i++) has(&again.bench, i, page_of(i));
    has(&again.bench, SLOTS - 1, noise);
    has(&again.bench, SLOTS - 2, zeros);
    has(&again.bench, SLOTS - 3, words);
    has(&again.bench, 1700, NULL);
    ck_assert_uint_eq(atomic_load(&again.bench.area->counters.stored), 2003);
    ck_assert_uint_eq(atomic_load(&again.bench.area->counters.packed_bytes),
                      atomic_load(&bench.area->counters.packed_bytes));
    teardown(&again.bench);
    teardown(&bench);
    free(image.bytes);
}
END_TEST

START_TEST(areas_are_what_they_were)
{
    struct bench bench;
    struct area *area;
    setup(&bench);
    struct area_options large = {.name = slice_text("large"), .slot_count = 100,
                                 .page_bytes = 64 << 10, .quota_pages = 50, .quota_bytes = 1 << 20,
                                 .lifetime = AREA_TRANSIENT, .as_they_are = true};
    ck_assert_int_eq(store_area_create(bench.store, &large, &area), FP_OK);
    uint8_t *page = malloc(64 << 10);
    ck_assert(page != NULL);
    memset(page, 'x', 64 << 10);
    struct page_place place = {.area = area, .slot = 99};
    ck_assert_int_eq(store_page_store(bench.store, bench.scratch, place, page,
                                      crc32c(page, 64 << 10)), FP_OK);
    area_release(&area);
    ck_assert_int_eq(store_area_open(bench.store, slice_text("away"), 9, &area), FP_OK);
    ck_assert(area_freeze(area) && store_area_move(bench.store, area, slice_text("there")));
    area_release(&area);
    struct image image = image_of(&bench, NULL, NULL);
    struct again_store again = restored(&image);
    ck_assert_int_eq(store_area_acquire(again.bench.store, slice_text("large"), &area), FP_OK);
    ck_assert(area->quota_pages == 50 && area->quota_bytes == 1 << 20 && area->as_they_are);
    ck_assert(area->lifetime == AREA_TRANSIENT && area->slot_count == 100);
    uint8_t *out = malloc(64 << 10);
    uint32_t crc;
    place.area = area;
    ck_assert_int_eq(store_page_load(again.bench.store, again.bench.scratch, place, out, &crc),
                     FP_OK);
    ck_assert_mem_eq(out, page, 64 << 10);
    area_release(&area);
    ck_assert_int_eq(store_area_acquire(again.bench.store, slice_text("away"), &area), FP_OK);
    ck_assert(area_stand(area) == AREA_MOVED && area->forward.size_bytes == 5);
    area_release(&area);
    ck_assert_int_eq(store_area_open(again.bench.store, slice_text("new"), 9, &area), FP_OK);
    ck_assert_uint_eq(area->generation, 4); /* never one that was given before */
    area_release(&area);
    teardown(&again.bench);
    teardown(&bench);
    free(page);
    free(out);
    free(image.bytes);
}
END_TEST

START_TEST(pages_packed_with_a_dictionary_come_back_with_it)
{
    struct bench bench;
    struct store_dictionary before, after;
    struct compressor_config zstd = {"zstd", 3, NULL};
    setup(&bench);
    ck_assert_int_eq(compressor_pool_swap(store_compressors(bench.store), &zstd), FP_OK);
    struct dictionary *dictionary = kit_dictionary(2);
    ck_assert_int_eq(store_dictionary_keep(bench.store, bench.area, dictionary), FP_OK);
    for (unsigned i = 0; i < 500; i++)
        ck_assert_int_eq(bench_store(&bench, i, page_of(i)), FP_OK);
    struct image image = image_of(&bench, NULL, NULL);
    struct again_store again =
        restore_with(&image, (struct store_options){.compressor = {"lz4", 0, NULL}});
    ck_assert(again.restored.complete);
    for (unsigned i = 0; i < 500; i++) has(&again.bench, i, page_of(i));
    store_dictionary_look(bench.store, bench.area, &before);
    store_dictionary_look(again.bench.store, again.bench.area, &after);
    ck_assert(before.id == after.id && before.bytes == after.bytes);
    struct dictionary *found =
        store_page_dictionary(again.bench.store, again.bench.area, before.id);
    ck_assert(found != NULL);
    dictionary_release(&found);
    teardown(&again.bench);
    teardown(&bench);
    dictionary_release(&dictionary);
    free(image.bytes);
}
END_TEST

START_TEST(items_come_back_with_all_that_is_theirs)
{
    struct bench bench;
    struct item_stored stored;
    setup(&bench);
    uint8_t *value = malloc(LONG_BYTES);
    struct rng rng = {3};
    rng_fill_text(&rng, value, LONG_BYTES);
    struct slice long_one = slice_of(value, LONG_BYTES);
    struct item_put apple = {.key = slice_text("a"), .value = slice_text("apple"), .flags = 42,
                             .exptime = 100, .stored = &stored};
    struct item_put soon = {.key = slice_text("soon"), .value = slice_text("gone"), .exptime = 5};
    ck_assert_int_eq(bench_put(&bench, apple), FP_OK);
    ck_assert_int_eq(bench_put(&bench, soon), FP_OK);
    ck_assert_int_eq(bench_set(&bench, "empty", slice_text("")), FP_OK);
    ck_assert_int_eq(bench_set(&bench, "long", long_one), FP_OK);
    for (unsigned i = 0; i < 300; i++) {
        char key[16];
        (void)snprintf(key, sizeof key, "key%u", i);
        ck_assert_int_eq(bench_set(&bench, key, slice_of(page_of(i), 1000)), FP_OK);
    }
    struct image image = image_of(&bench, NULL, NULL);
    struct again_store again = restored(&image);
    ck_assert_uint_eq(again.restored.items, 303);
    ck_assert_uint_eq(again.restored.expired, 1);
    ck_assert(bench_lacks(&again.bench, "soon") && bench_is(&again.bench, "empty", ""));
    ck_assert(bench_has(&again.bench, "long", long_one));
    for (unsigned i = 0; i < 300; i++) {
        char key[16];
        (void)snprintf(key, sizeof key, "key%u", i);
        ck_assert(bench_has(&again.bench, key, slice_of(page_of(i), 1000)));
    }
    struct item *item =
        store_item_acquire(again.bench.store, again.bench.scratch, slice_text("a"), NULL);
    ck_assert(item != NULL && item->flags == 42 && item_cas(item) == stored.cas);
    ck_assert_uint_eq(item->expires_s, 2 + 90); /* ten seconds have passed */
    store_item_release(again.bench.store, again.bench.scratch, &item);
    ck_assert_int_eq(bench_put(&again.bench, (struct item_put){.key = slice_text("b"),
                                                               .stored = &stored}), FP_OK);
    ck_assert_uint_eq(stored.cas, 305); /* 304 were given */
    bench_advance_s(&again.bench, 91);
    ck_assert(bench_lacks(&again.bench, "a"));
    teardown(&again.bench);
    teardown(&bench);
    free(value);
    free(image.bytes);
}
END_TEST

START_TEST(what_is_damaged_stays_so_and_is_never_absent)
{
#if FARPAGE_DEBUG_HOOKS
    struct bench bench;
    uint8_t out[KIT_PAGE_BYTES];
    setup(&bench);
    store_first(&bench, 10);
    ck_assert_int_eq(bench_set(&bench, "key", slice_of(page_of(1), 2000)), FP_OK);
    ck_assert_int_eq(store_damage_page(bench.store, bench.area, 4), FP_OK);
    ck_assert_int_eq(store_damage_item(bench.store, bench.scratch, slice_text("key")), FP_OK);
    struct image image = image_of(&bench, NULL, NULL);
    struct again_store again = restored(&image);
    ck_assert_int_eq(bench_load(&again.bench, 4, out), FP_CORRUPT);
    has(&again.bench, 5, page_of(5));
    struct item *item =
        store_item_acquire(again.bench.store, again.bench.scratch, slice_text("key"), NULL);
    enum fp_status status = store_item_read(again.bench.store, again.bench.scratch, item, out);
    ck_assert_int_eq(status, FP_CORRUPT);
    store_item_release(again.bench.store, again.bench.scratch, &item);
    teardown(&again.bench);
    teardown(&bench);
    free(image.bytes);
#endif
}
END_TEST

/* --- while it is written ---------------------------------------------------------------------- */

struct others { /* who go on meanwhile */
    struct bench *bench;
    struct rng rng;
    unsigned changes_per_step;
};

static void change(void *context)
{
    struct others *others = context;
    for (unsigned i = 0; i < others->changes_per_step; i++) {
        uint64_t slot = rng_below(&others->rng, SLOTS);
        uint64_t end = slot + 5 < SLOTS ? slot + 5 : SLOTS;
        const uint8_t *page = page_of(rng_next(&others->rng));
        if (rng_below(&others->rng, 3) == 0) bench_invalidate(others->bench, slot, end);
        else ck_assert_int_eq(bench_store(others->bench, slot, page), FP_OK);
    }
}

/* The pages of the moment it was begun, whatever is stored and forgotten meanwhile. */
START_TEST(pages_are_those_of_one_moment)
{
    struct bench bench;
    uint64_t seed = kit_number(0, NULL, 0, "FARPAGE_SEED", 20);
    for (uint64_t round = 0; round < 3; round++) {
        struct others others = {.bench = &bench, .rng = {seed + round},
                                .changes_per_step = 1u << 4 * round};
        static uint32_t then[SLOTS]; /* which page, + 1; 0: none */
        setup(&bench);
        for (uint64_t slot = 0; slot < SLOTS; slot++) {
            then[slot] = (uint32_t)rng_below(&others.rng, KIT_SAMPLE_PAGES + 200);
            if (then[slot] > KIT_SAMPLE_PAGES) then[slot] = 0;
            if (then[slot] == 0) continue;
            ck_assert_int_eq(bench_store(&bench, slot, page_of(then[slot] - 1)), FP_OK);
        }
        struct image image = image_of(&bench, change, &others);
        ck_assert_msg(image.status == FP_OK, "seed %llu", (unsigned long long)seed);
        struct again_store again = restored(&image);
        for (uint64_t slot = 0; slot < SLOTS; slot++)
            has(&again.bench, slot, then[slot] == 0 ? NULL : page_of(then[slot] - 1));
        teardown(&again.bench);
        teardown(&bench);
        free(image.bytes);
    }
}
END_TEST

static void overwrite_mapped(void *context)
{
    struct bench *bench = context;
    for (unsigned i = 0; i < 3000; i += 10)
        ck_assert_int_eq(bench_store(bench, i, page_of(i + 7)), FP_OK);
}

START_TEST(a_mapped_page_that_is_stored_over_is_in_it)
{
    struct bench bench;
    struct area_pin *pins[300];
    setup(&bench);
    store_first(&bench, 3000);
    for (unsigned i = 0; i < 300; i++)
        ck_assert_int_eq(area_pin_acquire(bench.area, i * 10, AREA_PIN_READS, &pins[i]), FP_OK);
    struct image image = image_of(&bench, overwrite_mapped, &bench);
    for (unsigned i = 0; i < 300; i++)
        store_name_ended(bench.store, bench.scratch,
                         area_pin_release(bench.area, &pins[i], AREA_PIN_READS));
    struct again_store again = restored(&image);
    for (unsigned i = 0; i < 3000; i++) has(&again.bench, i, page_of(i));
    teardown(&again.bench);
    teardown(&bench);
    free(image.bytes);
}
END_TEST

static void delete_it(void *context)
{
    struct bench *bench = context;
    uint64_t ended;
    if (bench->area != NULL) {
        ck_assert(store_area_delete(bench->store, bench->area));
        area_release(&bench->area);
    }
    while (store_area_reap_step(bench->store, bench->scratch, &ended) && ended > 0) {}
}

START_TEST(an_area_that_is_deleted_meanwhile_is_in_it)
{
    struct bench bench;
    uint64_t ended;
    setup(&bench);
    store_first(&bench, 3000);
    struct image image = image_of(&bench, delete_it, &bench);
    ck_assert_uint_eq(store_areas_dying(bench.store), 1);
    while (store_area_reap_step(bench.store, bench.scratch, &ended)) {}
    ck_assert_uint_eq(store_areas_dying(bench.store), 0);
    struct again_store again = restored(&image);
    for (unsigned i = 0; i < 3000; i++) has(&again.bench, i, page_of(i));
    teardown(&again.bench);
    teardown(&bench);
    free(image.bytes);
}
END_TEST

/* Nobody who stores is refused for a snapshot. */
START_TEST(where_memory_is_short_it_is_the_snapshot_that_breaks)
{
    struct bench bench;
    struct others others = {.bench = &bench, .rng = {9}, .changes_per_step = 3000};
    if (sample == NULL) sample = kit_sample();
    bench_setup(&bench, (struct store_options){.memory_limit_bytes = 20 * BENCH_MIB}, SLOTS);
    store_first(&bench, SLOTS);
    struct image image = image_of(&bench, change, &others);
    ck_assert_int_eq(image.status, FP_NO_MEMORY);
    teardown(&bench);
    free(image.bytes);
}
END_TEST

/* --- what is refused -------------------------------------------------------------------------- */

START_TEST(memory_that_is_too_little_refuses_it_and_items_give_way)
{
    struct bench bench;
    setup(&bench);
    store_first(&bench, SLOTS);
    struct image image = image_of(&bench, NULL, NULL);
    struct again_store again =
        restore_with(&image, (struct store_options){.memory_limit_bytes = 3 * BENCH_MIB});
    ck_assert(again.status == FP_NO_MEMORY && !again.restored.complete);
    struct snapshot_end end;
    struct slice tail =
        slice_of(image.bytes + image.size - SNAPSHOT_TAIL_BYTES, SNAPSHOT_TAIL_BYTES);
    ck_assert(snapshot_peek_end(tail, &end));
    ck_assert_uint_gt(store_restore_needs(&end.totals), 3 * BENCH_MIB);
    teardown(&again.bench);
    bench_invalidate(&bench, 0, SLOTS);
    free(image.bytes);
    for (unsigned i = 0; i < 3000; i++) {
        char key[16];
        (void)snprintf(key, sizeof key, "key%u", i);
        ck_assert_int_eq(bench_set(&bench, key, slice_of(page_of(i), KIT_PAGE_BYTES)), FP_OK);
    }
    image = image_of(&bench, NULL, NULL);
    again = restore_with(&image, (struct store_options){.memory_limit_bytes = 3 * BENCH_MIB});
    ck_assert(again.status == FP_OK && again.restored.complete);
    ck_assert_uint_lt(store_item_count(again.bench.store), 3000);
    ck_assert_uint_gt(store_item_count(again.bench.store), 500);
    teardown(&again.bench);
    teardown(&bench);
    free(image.bytes);
}
END_TEST

START_TEST(half_of_one_is_not_complete)
{
    struct bench bench;
    setup(&bench);
    store_first(&bench, 100);
    struct image image = image_of(&bench, NULL, NULL);
    for (size_t size = 0; size < image.size; size += 4001) {
        struct image part = {.bytes = image.bytes, .size = size};
        struct again_store again =
            restore_with(&part, (struct store_options){.memory_limit_bytes = 0});
        ck_assert(!again.restored.complete && again.problem != NULL);
        teardown(&again.bench);
    }
    teardown(&bench);
    free(image.bytes);
}
END_TEST

int main(void)
{
    int failed = suite_run(
        "store_snapshot", pages_of_every_form_come_back, areas_are_what_they_were,
        pages_packed_with_a_dictionary_come_back_with_it, items_come_back_with_all_that_is_theirs,
        what_is_damaged_stays_so_and_is_never_absent,
        pages_are_those_of_one_moment, a_mapped_page_that_is_stored_over_is_in_it,
        an_area_that_is_deleted_meanwhile_is_in_it,
        where_memory_is_short_it_is_the_snapshot_that_breaks,
        memory_that_is_too_little_refuses_it_and_items_give_way, half_of_one_is_not_complete);
    free(sample);
    return failed;
}
