/* SPDX-License-Identifier: BSD-3-Clause */
#include <pthread.h>

#include "storage/alloc/zpool_backend.h"
#include "tests/unit/base/suite.h"
#include "tests/unit/storage/bench.h"
#include "tests/unit/storage/child.h"

enum { PAGE_BYTES_MAX = 64 << 10, SLOTS = 600 };

/* Every page size with every algorithm. */
static const struct store_options all_options[] = {
    {.page_bytes = 4 << 10, .compressor = {"lz4", 0}},
    {.page_bytes = 4 << 10, .compressor = {"zstd", 0}},
    {.page_bytes = 4 << 10, .compressor = {"none", 0}},
    {.page_bytes = 16 << 10, .compressor = {"lz4", 0}},
    {.page_bytes = 16 << 10, .compressor = {"zstd", 3}},
    {.page_bytes = 16 << 10, .compressor = {"none", 0}},
    {.page_bytes = 64 << 10, .compressor = {"lz4", 9}},
    {.page_bytes = 64 << 10, .compressor = {"zstd", 0}},
    {.page_bytes = 64 << 10, .compressor = {"none", 0}},
};

static uint64_t counted(_Atomic uint64_t *counter)
{
    return atomic_load(counter);
}

static uint64_t objects_of(struct bench *bench)
{
    return zpool_fill(store_zpool(bench->store)).object_count;
}

/* What a test stores: text packs, noise does not; a repeated word of 32 bits needs no object, one
 * of 64 bits a small one. */
enum kind { TEXT, NOISE, WORD32, WORD64, KINDS };

static void page_fill(struct rng *rng, enum kind kind, uint8_t *page, size_t size)
{
    uint64_t word = rng_next(rng) | 1;
    if (kind == TEXT) rng_fill_text(rng, page, size);
    if (kind == NOISE) rng_fill(rng, page, size);
    if (kind == WORD32) word = (uint32_t)word | word << 32;
    if (kind == WORD64) word = (uint32_t)word | ~word << 32;
    for (size_t at = 0; kind >= WORD32 && at < size; at += sizeof word)
        memcpy(page + at, &word, sizeof word);
}

START_TEST(every_kind_of_page_comes_back_and_each_may_follow_each)
{
    struct bench bench;
    struct rng rng = {.state = 21};
    static uint8_t page[PAGE_BYTES_MAX], out[PAGE_BYTES_MAX];
    bench_setup(&bench, all_options[_i], 8);
    size_t size = all_options[_i].page_bytes;
    bool packs = strcmp(all_options[_i].compressor.algorithm, "none") != 0;
    for (int i = 0; i < 90; i++) {
        enum kind kind = (enum kind)rng_below(&rng, KINDS);
        page_fill(&rng, kind, page, size);
        ck_assert_int_eq(bench_store(&bench, 3, page), FP_OK);
        memset(out, 0, size);
        ck_assert_int_eq(bench_load(&bench, 3, out), FP_OK);
        ck_assert_mem_eq(out, page, size);
        struct area_counters *counters = &bench.area->counters;
        bool plain = kind == NOISE || (kind == TEXT && !packs);
        ck_assert(counted(&counters->stored) == 1);
        ck_assert(counted(&counters->same_filled) == (kind >= WORD32));
        ck_assert(counted(&counters->incompressible) == plain);
        ck_assert(objects_of(&bench) == (kind != WORD32));
        store_check(bench.store);
    }
    bench_teardown(&bench);
}
END_TEST

START_TEST(real_pages_come_back_at_every_page_size)
{
    struct bench bench;
    static uint8_t out[PAGE_BYTES_MAX];
    uint8_t *sample = kit_sample();
    bench_setup(&bench, all_options[_i], SLOTS);
    size_t size = all_options[_i].page_bytes;
    uint64_t count = (uint64_t)KIT_SAMPLE_PAGES * KIT_PAGE_BYTES / size;
    for (uint64_t i = 0; i < count; i++)
        ck_assert_int_eq(bench_store(&bench, i, sample + i * size), FP_OK);
    store_check(bench.store);
    for (uint64_t i = 0; i < count; i++) {
        ck_assert_int_eq(bench_load(&bench, i, out), FP_OK);
        ck_assert_mem_eq(out, sample + i * size, size);
    }
    ck_assert(counted(&bench.area->counters.stored) == count);
    ck_assert(objects_of(&bench) == count - counted(&bench.area->counters.same_filled));
    uint64_t packed = counted(&bench.area->counters.packed_bytes);
    uint64_t payload = budget_held(store_budget(bench.store), BUDGET_PAYLOAD);
    ck_assert(payload >= packed && packed <= count * size);
    /* Nothing is said of the payload: so few objects leave most zspages half empty. */
    if (strcmp(all_options[_i].compressor.algorithm, "none") != 0)
        ck_assert(packed < count * size / 2);
    bench_invalidate(&bench, 0, SLOTS);
    ck_assert(objects_of(&bench) == 0);
    ck_assert(budget_held(store_budget(bench.store), BUDGET_PAYLOAD) == 0);
    ck_assert(bench_slots_bytes(bench.store) == 0);
    ck_assert(counted(&bench.area->counters.invalidations) == count);
    bench_teardown(&bench);
    free(sample);
}
END_TEST

START_TEST(absent_slots_and_slots_beyond_the_end_say_so)
{
    struct bench bench;
    uint8_t page[KIT_PAGE_BYTES] = {0};
    bench_setup(&bench, (struct store_options){0}, 100);
    ck_assert_int_eq(bench_load(&bench, 99, page), FP_ABSENT);
    ck_assert_int_eq(bench_load(&bench, 100, page), FP_RANGE);
    ck_assert_int_eq(bench_load(&bench, UINT64_MAX, page), FP_RANGE);
    ck_assert_int_eq(bench_store(&bench, 100, page), FP_RANGE);
    ck_assert_int_eq(bench_store(&bench, 99, page), FP_OK);
    ck_assert_int_eq(bench_load(&bench, 99, page), FP_OK);
    bench_invalidate(&bench, 99, 100);
    ck_assert_int_eq(bench_load(&bench, 99, page), FP_ABSENT);
    ck_assert(counted(&bench.area->counters.absent) == 2);
    ck_assert(counted(&bench.area->counters.loads) == 3);
    ck_assert(counted(&bench.area->counters.stores) == 1);
    bench_teardown(&bench);
}
END_TEST

START_TEST(an_option_that_makes_no_sense_is_refused)
{
    static const struct store_options wrong[] = {
        {.allocator = "buddy", .compressor = {"lz4", 0}},
        {.allocator = "zsmalloc", .compressor = {"snappy", 0}},
        {.allocator = "zsmalloc", .compressor = {"zstd", 77}},
    };
    for (size_t i = 0; i < FP_COUNT_OF(wrong); i++) {
        struct store *store = NULL;
        struct store_options options = wrong[i];
        options.page_bytes = 4096;
        options.memory_limit_bytes = BENCH_MIB;
        ck_assert_int_eq(store_create(&options, &store), FP_INVALID);
        ck_assert_ptr_null(store);
    }
}
END_TEST

/* Stores noise from slot 0 on until memory is full; how many slots that were. */
static uint64_t fill_up(struct bench *bench, uint8_t *page)
{
    struct rng rng = {.state = 99};
    uint64_t count = 0;
    enum fp_status status;
    do {
        rng_fill(&rng, page, bench->area->page_bytes);
        status = bench_store(bench, count, page);
        count += status == FP_OK;
    } while (status == FP_OK);
    ck_assert_int_eq(status, FP_NO_MEMORY);
    return count;
}

START_TEST(when_memory_is_full_a_store_is_refused_and_the_old_page_stays)
{
    struct bench bench;
    struct rng rng = {.state = 99}, other = {.state = 5};
    uint8_t page[KIT_PAGE_BYTES], out[KIT_PAGE_BYTES], next[KIT_PAGE_BYTES];
    bench_setup(&bench, (struct store_options){.memory_limit_bytes = BENCH_MIB}, 4096);
    uint64_t count = fill_up(&bench, page);
    ck_assert(count > 230 && count < 256);
    ck_assert(budget_total(store_budget(bench.store)) <= BENCH_MIB);
    for (uint64_t slot = 0; slot < count; slot++) {
        rng_fill(&other, next, sizeof next);
        ck_assert_int_eq(bench_store(&bench, slot, next), FP_NO_MEMORY);
        rng_fill(&rng, page, sizeof page);
        ck_assert_int_eq(bench_load(&bench, slot, out), FP_OK);
        ck_assert_mem_eq(out, page, sizeof page);
    }
    ck_assert(counted(&bench.area->counters.refused) == count + 1);
    ck_assert(atomic_load(&store_counters(bench.store)->no_memory) == count + 1);
    ck_assert(atomic_load(&store_counters(bench.store)->pool_limit_hit) == count + 1);
    ck_assert(atomic_load(&store_counters(bench.store)->reject_reclaim_fail) == count + 1);
    ck_assert(atomic_load(&store_counters(bench.store)->reject_alloc_fail) == 0);
    ck_assert(counted(&bench.area->counters.duplicates) == 0);
    store_check(bench.store);
    memset(page, 7, sizeof page);
    ck_assert_int_eq(bench_store(&bench, 0, page), FP_OK); /* same-filled: needs no memory */
    ck_assert_int_eq(bench_store(&bench, 1, next), FP_OK); /* takes what that gave back */
    ck_assert(counted(&bench.area->counters.duplicates) == 2);
    bench_teardown(&bench);
}
END_TEST

START_TEST(a_refusal_by_the_slot_table_is_counted_and_loses_nothing)
{
    struct bench bench;
    uint8_t page[KIT_PAGE_BYTES];
    uint64_t own = sizeof(struct area) + AREA_TABLE_BYTES;
    struct store_options options = {.memory_limit_bytes = own + 5 * 8192 + 1024,
                                    .compressor = {"none"}}; /* which has no packer to be charged */
    bench_setup(&bench, options, 8192);
    memset(page, 1, sizeof page);
    uint64_t stored = 0, refused = 0;
    for (uint64_t slot = 0; slot < 8192; slot += 1024) {
        enum fp_status status = bench_store(&bench, slot, page);
        stored += status == FP_OK;
        refused += status == FP_NO_MEMORY;
    }
    ck_assert(stored == 5 && refused == 3);
    ck_assert(atomic_load(&store_counters(bench.store)->no_memory) == 3);
    ck_assert_int_eq(bench_load(&bench, 0, page), FP_OK);
    ck_assert_int_eq(bench_load(&bench, 7168, page), FP_ABSENT);
    /* Room for an object, none for a row of the table: the object must not stay. */
    struct rng rng = {.state = 2};
    bench_invalidate(&bench, 1024, 2048);
    bench_invalidate(&bench, 2048, 4096);
    for (uint64_t slot = 0; slot < 4; slot++) {
        page_fill(&rng, NOISE, page, sizeof page);
        ck_assert_int_eq(bench_store(&bench, slot, page), FP_OK);
    }
    ck_assert_int_eq(bench_store(&bench, 6144, page), FP_NO_MEMORY);
    ck_assert(objects_of(&bench) == 4);
    ck_assert(budget_held(store_budget(bench.store), BUDGET_PAYLOAD) == 4 * KIT_PAGE_BYTES);
    bench_teardown(&bench);
}
END_TEST

START_TEST(items_give_way_to_pages_and_pages_never_to_items)
{
    struct bench bench;
    struct rng rng = {.state = 1};
    uint8_t page[KIT_PAGE_BYTES], value[3000];
    char key[16];
    bench_setup(&bench, (struct store_options){.memory_limit_bytes = 2 * BENCH_MIB}, 4096);
    for (int i = 0; i < 1000; i++) { /* far more than there is room for */
        rng_fill(&rng, value, sizeof value);
        (void)snprintf(key, sizeof key, "key%d", i);
        bench_advance_s(&bench, 1);
        ck_assert_int_eq(bench_set(&bench, key, slice_of(value, sizeof value)), FP_OK);
    }
    ck_assert(store_item_count(bench.store) > 300 && bench_lacks(&bench, "key0"));
    ck_assert(!bench_lacks(&bench, "key999"));
    ck_assert(atomic_load(&store_counters(bench.store)->item_evictions) > 300);
    uint64_t count = fill_up(&bench, page);
    ck_assert(count > 400 && store_item_count(bench.store) == 0);
    ck_assert_int_eq(bench_set(&bench, "late", slice_of(value, sizeof value)), FP_NO_MEMORY);
    for (uint64_t slot = 0; slot < count; slot++)
        ck_assert_int_eq(bench_load(&bench, slot, page), FP_OK);
    ck_assert(atomic_load(&store_counters(bench.store)->item_value_bytes) == 0);
    ck_assert(atomic_load(&store_counters(bench.store)->item_packed_bytes) == 0);
    ck_assert(budget_held(store_budget(bench.store), BUDGET_ITEMS) == 0);
    bench_teardown(&bench);
}
END_TEST

/* Tiny items hold little each: a large page needs thousands of them to go. */
START_TEST(any_number_of_small_items_gives_way_to_a_large_page)
{
    struct bench bench;
    struct rng rng = {.state = 1};
    static uint8_t page[PAGE_BYTES_MAX];
    char key[16];
    struct store_options options = {.memory_limit_bytes = 4 * BENCH_MIB,
                                    .page_bytes = PAGE_BYTES_MAX};
    bench_setup(&bench, options, 64);
    for (int i = 0; i < 40000; i++) {
        (void)snprintf(key, sizeof key, "k%d", i);
        ck_assert_int_eq(bench_set(&bench, key, slice_text("12341234")), FP_OK);
    }
    ck_assert(store_item_count(bench.store) > 30000);
    for (uint64_t slot = 0; slot < 40; slot++) {
        page_fill(&rng, slot % 2 ? TEXT : NOISE, page, sizeof page);
        ck_assert_int_eq(bench_store(&bench, slot, page), FP_OK);
    }
    ck_assert(store_item_count(bench.store) > 1000); /* and no more than had to */
    bench_teardown(&bench);
}
END_TEST

#if FARPAGE_DEBUG_HOOKS
START_TEST(a_damaged_page_is_corrupt_whatever_its_kind)
{
    struct bench bench;
    struct rng rng = {.state = 8};
    static uint8_t page[PAGE_BYTES_MAX], out[PAGE_BYTES_MAX];
    bench_setup(&bench, all_options[_i], 16);
    size_t size = all_options[_i].page_bytes;
    ck_assert_int_eq(store_damage_page(bench.store, bench.area, 0), FP_ABSENT);
    ck_assert_int_eq(store_damage_page(bench.store, bench.area, 16), FP_RANGE);
    for (uint64_t i = 1; i <= 30; i++) {
        page_fill(&rng, (enum kind)(i % KINDS), page, size);
        ck_assert_int_eq(bench_store(&bench, 5, page), FP_OK);
        ck_assert_int_eq(store_damage_page(bench.store, bench.area, 5), FP_OK);
        ck_assert_int_eq(bench_load(&bench, 5, out), FP_CORRUPT);
        ck_assert(counted(&bench.area->counters.corrupt) == i);
        ck_assert(atomic_load(&store_counters(bench.store)->corrupt) == i);
        ck_assert_int_eq(bench_store(&bench, 5, page), FP_OK);
        ck_assert_int_eq(bench_load(&bench, 5, out), FP_OK);
        ck_assert_mem_eq(out, page, size);
    }
    bench_teardown(&bench);
}
END_TEST
#endif

static _Atomic uint64_t *cell_of(struct bench *bench, struct zhandle handle)
{
    return cells_at(&store_zpool(bench->store)->cells, handle.number);
}

static struct zhandle handle_of(struct bench *bench, uint64_t slot)
{
    area_slot_take(bench->area, slot);
    struct zhandle handle = area_handle_locked(bench->area, slot);
    area_slot_drop(bench->area, slot);
    return handle;
}

/* The slot table itself may be what is damaged: any bits there are an error or the page. */
START_TEST(a_damaged_cell_never_gives_other_bytes)
{
    struct bench bench;
    struct rng rng = {.state = 31};
    uint8_t pages[16][KIT_PAGE_BYTES], out[KIT_PAGE_BYTES];
    bench_setup(&bench, (struct store_options){0}, 16);
    for (uint64_t i = 0; i < 16; i++) {
        page_fill(&rng, (enum kind)(i % KINDS), pages[i], KIT_PAGE_BYTES);
        ck_assert_int_eq(bench_store(&bench, i, pages[i]), FP_OK);
    }
    for (uint64_t i = 0; i < 16; i++) {
        _Atomic uint64_t *cell = cell_of(&bench, handle_of(&bench, i));
        uint64_t good = atomic_load(cell);
        for (unsigned bit = 0; bit < 64; bit++) {
            atomic_store(cell, good ^ 1ull << bit);
            enum fp_status status = bench_load(&bench, i, out);
            ck_assert(status != FP_OK || memcmp(out, pages[i], KIT_PAGE_BYTES) == 0);
        }
        atomic_store(cell, good);
        ck_assert_int_eq(bench_load(&bench, i, out), FP_OK);
    }
    ck_assert(zpool_fill(store_zpool(bench.store)).pinned_count == 0);
    bench_teardown(&bench);
}
END_TEST

/* A damaged cell may name a larger object of somebody else's: nothing may pass the page's end. */
START_TEST(a_damaged_cell_never_writes_past_the_page)
{
    struct bench bench;
    struct rng rng = {.state = 31};
    uint8_t value[ITEM_PIECE_BYTES], *out = malloc(KIT_PAGE_BYTES + 64);
    static const enum entry_form forms[] = {ENTRY_PACKED, ENTRY_PLAIN, ENTRY_WORD, ENTRY_WHOLE};
    bench_setup(&bench, (struct store_options){0}, 16);
    rng_fill(&rng, value, sizeof value);
    ck_assert_int_eq(bench_set(&bench, "k", slice_of(value, sizeof value)), FP_OK);
    struct item *item = store_item_acquire(bench.store, bench.scratch, slice_text("k"), NULL);
    uint64_t piece = atomic_load(cell_of(&bench, item->pieces[0]));
    ck_assert_int_eq(bench_store(&bench, 1, value), FP_OK);
    _Atomic uint64_t *cell = cell_of(&bench, handle_of(&bench, 1));
    uint64_t good = atomic_load(cell);
    for (size_t i = 0; i < FP_COUNT_OF(forms); i++) {
        for (unsigned seat = 0; seat <= 200; seat += 200) { /* there is no seat 200 */
            uint32_t note = entry_note(forms[i], (uint8_t)seat, 0);
            memset(out, 0xee, KIT_PAGE_BYTES + 64);
            atomic_store(cell, cell_object(note, cell_place(piece)));
            ck_assert_int_eq(bench_load(&bench, 1, out), FP_CORRUPT);
            for (int b = 0; b < 64; b++) ck_assert_int_eq(out[KIT_PAGE_BYTES + b], 0xee);
        }
    }
    atomic_store(cell, good);
    store_item_release(bench.store, bench.scratch, &item);
    bench_teardown(&bench);
    free(out);
}
END_TEST

START_TEST(a_page_is_kept_packed_only_where_that_is_cheaper)
{
    struct bench bench;
    struct rng rng = {.state = 12};
    uint8_t page[KIT_PAGE_BYTES];
    uint64_t packed = 0, plain = 0;
    bench_setup(&bench, (struct store_options){0}, 4);
    for (size_t zeros = 0; zeros < 800; zeros += 8) {
        rng_fill(&rng, page, sizeof page);
        memset(page + 1000, 0, zeros);
        ck_assert_int_eq(bench_store(&bench, 0, page), FP_OK);
        uint64_t size = counted(&bench.area->counters.packed_bytes);
        if (counted(&bench.area->counters.incompressible) == 1) {
            ck_assert(size == KIT_PAGE_BYTES);
            plain++;
        } else {
            ck_assert(zpool_cost_bytes(store_zpool(bench.store), size) < KIT_PAGE_BYTES);
            packed++;
        }
    }
    ck_assert(packed > 10 && plain > 2);
    bench_teardown(&bench);
}
END_TEST

START_TEST(a_wrong_checksum_at_the_store_is_found_at_the_load)
{
    struct bench bench;
    uint8_t page[KIT_PAGE_BYTES];
    uint32_t crc;
    struct rng rng = {.state = 1};
    bench_setup(&bench, (struct store_options){0}, 4);
    struct page_place place = {.area = bench.area, .slot = 1};
    for (int kind = TEXT; kind < KINDS; kind++) {
        page_fill(&rng, (enum kind)kind, page, sizeof page);
        crc = crc32c(page, sizeof page) ^ 1u << 10; /* the lowest that every form keeps */
        ck_assert_int_eq(store_page_store(bench.store, bench.scratch, place, page, crc), FP_OK);
        enum fp_status status = store_page_load(bench.store, bench.scratch, place, page, &crc);
        ck_assert_int_eq(status, FP_CORRUPT);
    }
    bench_teardown(&bench);
}
END_TEST

START_TEST(pages_survive_a_change_of_the_compressor_and_the_old_one_drains)
{
    struct bench bench;
    uint8_t out[KIT_PAGE_BYTES];
    uint8_t *sample = kit_sample();
    struct compressor_row row;
    static const struct compressor_config zstd = {"zstd", 1};
    bench_setup(&bench, (struct store_options){0}, KIT_SAMPLE_PAGES);
    for (uint64_t i = 0; i < KIT_SAMPLE_PAGES; i++)
        ck_assert_int_eq(bench_store(&bench, i, sample + i * KIT_PAGE_BYTES), FP_OK);
    ck_assert_int_eq(compressor_pool_swap(store_compressors(bench.store), &zstd), FP_OK);
    for (uint64_t i = 0; i < KIT_SAMPLE_PAGES; i++) {
        for (int n = 0; n < 3; n++) compressor_pool_upkeep(store_compressors(bench.store));
        compressor_row(store_compressors(bench.store), 0, &row);
        ck_assert_int_eq(row.state, row.objects ? COMPRESSOR_DRAINING : COMPRESSOR_EMPTY);
        ck_assert_int_eq(bench_load(&bench, i, out), FP_OK);
        ck_assert_mem_eq(out, sample + i * KIT_PAGE_BYTES, KIT_PAGE_BYTES);
        ck_assert_int_eq(bench_store(&bench, i, out), FP_OK);
    }
    for (int n = 0; n < 3; n++) compressor_pool_upkeep(store_compressors(bench.store));
    compressor_row(store_compressors(bench.store), 0, &row);
    ck_assert(row.objects == 0 && row.state == COMPRESSOR_EMPTY);
    for (uint64_t i = 0; i < KIT_SAMPLE_PAGES; i++) {
        ck_assert_int_eq(bench_load(&bench, i, out), FP_OK);
        ck_assert_mem_eq(out, sample + i * KIT_PAGE_BYTES, KIT_PAGE_BYTES);
    }
    bench_teardown(&bench);
    free(sample);
}
END_TEST

static void invalidate(struct bench *bench, uint64_t *slot, uint64_t end)
{
    ck_assert_int_eq(
        store_page_invalidate_some(bench->store, bench->scratch, bench->area, slot, end), FP_OK);
}

START_TEST(invalidating_takes_the_range_and_nothing_else)
{
    struct bench bench;
    uint8_t page[KIT_PAGE_BYTES];
    struct rng rng = {.state = 6};
    bench_setup(&bench, (struct store_options){0}, 5000);
    for (uint64_t slot = 0; slot < 5000; slot += 2) {
        rng_fill_text(&rng, page, sizeof page);
        ck_assert_int_eq(bench_store(&bench, slot, page), FP_OK);
    }
    uint64_t slot = 1001, steps = 0;
    for (; slot < 3001; steps++) invalidate(&bench, &slot, 3001);
    ck_assert(slot == 3001 && steps <= 4);
    for (slot = 0; slot < 5000; slot++) {
        bool there = slot % 2 == 0 && (slot < 1001 || slot >= 3001);
        ck_assert_int_eq(bench_load(&bench, slot, page), there ? FP_OK : FP_ABSENT);
    }
    ck_assert(counted(&bench.area->counters.invalidations) == 1000);
    ck_assert(objects_of(&bench) == 1500);
    bench_teardown(&bench); /* forgets the rest by itself */
}
END_TEST

struct loader {
    pthread_t thread;
    struct bench bench;
    _Atomic bool *stop;
    uint64_t seed, loads;
};

/* A page says in its first word which version it is, and is that version all through. */
static void version_fill(uint64_t version, uint8_t *page)
{
    struct rng rng = {.state = version};
    rng_fill_text(&rng, page, KIT_PAGE_BYTES);
    memcpy(page, &version, sizeof version);
}

static void *load_versions(void *argument)
{
    struct loader *loader = argument;
    struct rng rng = {.state = loader->seed};
    uint8_t page[KIT_PAGE_BYTES], whole[KIT_PAGE_BYTES];
    uint64_t version;
    while (!atomic_load(loader->stop)) {
        enum fp_status status = bench_load(&loader->bench, rng_below(&rng, 4), page);
        if (status == FP_ABSENT) continue;
        if (status != FP_OK) return NULL;
        memcpy(&version, page, sizeof version);
        version_fill(version, whole);
        if (memcmp(page, whole, sizeof page) != 0) return NULL;
        loader->loads++;
    }
    return loader;
}

START_TEST(a_loader_sees_the_old_page_or_the_new_one_never_a_mixture)
{
    enum { LOADERS = 3, VERSIONS = 6000 };
    struct bench bench;
    struct loader loaders[LOADERS];
    _Atomic bool stop = false;
    uint8_t page[KIT_PAGE_BYTES];
    static const struct compressor_config turns[] = {{"zstd", 1}, {"lz4", 4}, {"none", 0}};
    bench_setup(&bench, (struct store_options){0}, 4);
    for (unsigned i = 0; i < LOADERS; i++) {
        loaders[i] = (struct loader){.bench = bench, .stop = &stop, .seed = i};
        ck_assert_int_eq(store_scratch_create(loaders[i].bench.store,
                                              &loaders[i].bench.scratch), FP_OK);
        ck_assert_int_eq(pthread_create(&loaders[i].thread, NULL, load_versions, &loaders[i]), 0);
    }
    for (uint64_t version = 1; version <= VERSIONS; version++) {
        version_fill(version, page);
        ck_assert_int_eq(bench_store(&bench, version % 4, page), FP_OK);
        if (version % 7 == 0) bench_invalidate(&bench, 1, 3);
        compressor_pool_upkeep(store_compressors(bench.store));
        if (version % 50 != 0) continue;
        const struct compressor_config *next = &turns[version / 50 % 3];
        ck_assert_int_eq(compressor_pool_swap(store_compressors(bench.store), next), FP_OK);
    }
    atomic_store(&stop, true);
    for (unsigned i = 0; i < LOADERS; i++) {
        void *result;
        ck_assert_int_eq(pthread_join(loaders[i].thread, &result), 0);
        ck_assert_ptr_eq(result, &loaders[i]);
        store_scratch_destroy(&loaders[i].bench.scratch);
    }
    bench_teardown(&bench);
}
END_TEST

/* Also one that would be kept as a word, and whatever is done to it. */
START_TEST(an_area_may_keep_its_pages_as_they_are)
{
    struct bench bench;
    struct rng rng = {.state = 5};
    uint8_t page[KIT_PAGE_BYTES], out[KIT_PAGE_BYTES];
    struct area_options plain = {.name = slice_text("plain"), .slot_count = 8, .as_they_are = true,
                                 .page_bytes = KIT_PAGE_BYTES};
    bench_setup(&bench, (struct store_options){.page_bytes = 0}, 8);
    struct area *packed = bench.area;
    ck_assert_int_eq(store_area_create(bench.store, &plain, &bench.area), FP_OK);
    for (int i = 0; i < 40; i++) {
        page_fill(&rng, (enum kind)(i % KINDS), page, sizeof page);
        ck_assert_int_eq(bench_store(&bench, (uint64_t)i % 8, page), FP_OK);
        ck_assert_int_eq(bench_load(&bench, (uint64_t)i % 8, out), FP_OK);
        ck_assert_mem_eq(out, page, sizeof page);
    }
    struct area_counters *counters = &bench.area->counters;
    ck_assert_uint_eq(counted(&counters->stored), 8);
    ck_assert_uint_eq(counted(&counters->incompressible), 8);
    ck_assert_uint_eq(counted(&counters->same_filled), 0);
    ck_assert_uint_ge(counted(&counters->packed_bytes), 8 * KIT_PAGE_BYTES);
    area_release(&bench.area);
    bench.area = packed;
    bench_teardown(&bench);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("store_page");
    TCase *kinds = tcase_create("kinds"), *rules = tcase_create("rules");
    int options = FP_COUNT_OF(all_options);
    tcase_set_timeout(kinds, 110);
    tcase_add_loop_test(kinds, every_kind_of_page_comes_back_and_each_may_follow_each, 0, options);
    tcase_add_loop_test(kinds, real_pages_come_back_at_every_page_size, 0, options);
#if FARPAGE_DEBUG_HOOKS
    tcase_add_loop_test(kinds, a_damaged_page_is_corrupt_whatever_its_kind, 0, options);
#endif
    tcase_set_timeout(rules, 60);
    tcase_add_test(rules, absent_slots_and_slots_beyond_the_end_say_so);
    tcase_add_test(rules, an_option_that_makes_no_sense_is_refused);
    tcase_add_test(rules, when_memory_is_full_a_store_is_refused_and_the_old_page_stays);
    tcase_add_test(rules, a_refusal_by_the_slot_table_is_counted_and_loses_nothing);
    tcase_add_test(rules, items_give_way_to_pages_and_pages_never_to_items);
    tcase_add_test(rules, any_number_of_small_items_gives_way_to_a_large_page);
    tcase_add_test(rules, an_area_may_keep_its_pages_as_they_are);
    tcase_add_test(rules, a_damaged_cell_never_gives_other_bytes);
    tcase_add_test(rules, a_damaged_cell_never_writes_past_the_page);
    tcase_add_test(rules, a_page_is_kept_packed_only_where_that_is_cheaper);
    tcase_add_test(rules, a_wrong_checksum_at_the_store_is_found_at_the_load);
    tcase_add_test(rules, pages_survive_a_change_of_the_compressor_and_the_old_one_drains);
    tcase_add_test(rules, invalidating_takes_the_range_and_nothing_else);
    tcase_add_test(rules, a_loader_sees_the_old_page_or_the_new_one_never_a_mixture);
    suite_add_tcase(suite, kinds);
    suite_add_tcase(suite, rules);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
