/* SPDX-License-Identifier: BSD-3-Clause
 * Items in the file below memory. */
#include "storage/keydir/keydir.h"
#include "storage/store/spill/store_spill.h"

#include "storage/store/item/store_meta.h"
#include "storage/store/map/store_map.h"
#include "storage/store/recompress/store_recompress.h"
#include "tests/unit/base/suite.h"
#include "tests/unit/storage/bench.h"

enum { EXTENT_BYTES = 64 << 10, FILE_BYTES = 8 << 20, ITEMS = 300, KEY_BYTES = 16 };

struct scene {
    struct bench bench;
    uint8_t noise[100 << 10];
};

static struct scene scene;
static const struct spill_limits limits = {.bytes = EXTENT_BYTES, .looks = 4000};

static void setup(uint64_t file_bytes)
{
    char why[SPILL_WHY_BYTES];
    struct spill_file_options file = {
        .path = ".", .size_bytes = file_bytes, .extent_bytes = EXTENT_BYTES};
    bench_setup(&scene.bench, (struct store_options){.page_bytes = 0}, 64);
    ck_assert_msg(store_spill_open(scene.bench.store, &file, why) == FP_OK, "%s", why);
    store_spill_set_items(scene.bench.store, 100);
    uint64_t state = 88172645463325252u;
    for (size_t i = 0; i < sizeof scene.noise; i++) {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        scene.noise[i] = (uint8_t)state;
    }
}

static void teardown(void)
{
    spill_file_assert(store_spill_file(scene.bench.store));
    bench_teardown(&scene.bench);
}

static const char *key_of(unsigned n)
{
    static char key[KEY_BYTES];
    snprintf(key, sizeof key, "k%u", n);
    return key;
}

/* A piece, a few, or many; no two alike. */
static struct slice value_of(unsigned n)
{
    size_t size = n % 50 == 7 ? 30000 : n % 10 == 3 ? 17000 : 300 + n * 5;
    return slice_of(scene.noise + n * 13, size);
}

static void fill(void)
{
    for (unsigned n = 0; n < ITEMS; n++)
        ck_assert_int_eq(bench_set(&scene.bench, key_of(n), value_of(n)), FP_OK);
}

static enum fp_status step(struct spill_step *done)
{
    return store_spill_step(scene.bench.store, scene.bench.scratch, limits, done);
}

static void spill_all(void)
{
    struct spill_step done;
    enum fp_status status;
    do status = step(&done);
    while (status == FP_OK);
    ck_assert_int_eq(status, FP_ABSENT);
    store_check(scene.bench.store);
}

static uint64_t counted(const _Atomic uint64_t *counter)
{
    return atomic_load(counter);
}

static const struct spill_counters *counters(void)
{
    return store_spill_counters(scene.bench.store);
}

static uint64_t spilled(void)
{
    return store_spill_items(scene.bench.store).items;
}

struct reads { /* of one item */
    struct store_read of[8];
    unsigned count;
};

static struct reads begin(const char *key)
{
    struct reads reads = {.count = 0};
    struct store *store = scene.bench.store;
    struct item *item = store_item_hold(store, scene.bench.scratch, slice_text(key));
    ck_assert_ptr_nonnull(item);
    for (uint32_t i = 0; i < item_piece_count(item); i++)
        if (store_item_read_begin(store, scene.bench.scratch, item, i,
                                  &reads.of[reads.count]) == FP_OK)
            reads.count++;
    store_item_release(store, scene.bench.scratch, &item);
    return reads;
}

static void arrive(struct reads *reads)
{
    scene.bench.scratch->arrived = NULL;
    for (unsigned i = 0; i < reads->count; i++) {
        store_read_run(scene.bench.store, &reads->of[i]);
        reads->of[i].next = (struct store_read *)(uintptr_t)scene.bench.scratch->arrived;
        scene.bench.scratch->arrived = &reads->of[i];
    }
}

static void end(struct reads *reads)
{
    scene.bench.scratch->arrived = NULL;
    for (unsigned i = 0; i < reads->count; i++)
        store_read_end(scene.bench.store, scene.bench.scratch, &reads->of[i]);
}

/* As a server would; whether it has this value. */
static bool has(unsigned n, enum store_promote how)
{
    struct reads reads = begin(key_of(n));
    arrive(&reads);
    if (reads.count > 0)
        ck_assert_int_eq(store_item_promote(scene.bench.store, scene.bench.scratch, &reads.of[0],
                                            how), FP_OK);
    bool good = bench_has(&scene.bench, key_of(n), value_of(n));
    end(&reads);
    return good;
}

/* No room: what was used once only stays in the file. */
static void no_room(void)
{
    watermarks_set(store_watermarks(scene.bench.store),
                   (struct watermark_levels){.high = 100, .low = 0, .accept = 100});
}

START_TEST(items_leave_memory_but_for_their_records_and_come_back)
{
    setup(FILE_BYTES);
    fill();
    uint64_t packed = counted(&store_counters(scene.bench.store)->item_packed_bytes);
    const struct tenant *tenant = &store_tenants(scene.bench.store)->of[TENANT_DEFAULT];
    uint64_t held = atomic_load(&tenant->item_bytes);
    spill_all();
    ck_assert_uint_eq(spilled(), ITEMS);
    ck_assert_uint_eq(counted(&store_counters(scene.bench.store)->item_packed_bytes), 0);
    ck_assert_uint_eq(atomic_load(&tenant->item_bytes), held - packed);
    ck_assert_uint_eq(atomic_load(&tenant->items), ITEMS);
    no_room();
    struct item *item = store_item_acquire(scene.bench.store, scene.bench.scratch,
                                           slice_text("k1"), NULL);
    uint8_t out[1000];
    ck_assert_int_eq(store_item_read(scene.bench.store, scene.bench.scratch, item, out),
                     FP_SPILLED);
    ck_assert(store_item_is_due(scene.bench.store, scene.bench.scratch, item));
    store_item_release(scene.bench.store, scene.bench.scratch, &item);
    for (unsigned n = 0; n < ITEMS; n++) ck_assert(has(n, PROMOTE_BY_POLICY));
    ck_assert_uint_eq(spilled(), ITEMS); /* each was used once */
    for (unsigned n = 0; n < ITEMS; n++) ck_assert(has(n, PROMOTE_BY_POLICY));
    ck_assert_uint_eq(spilled(), 0); /* twice: they came back */
    ck_assert_uint_eq(counted(&counters()->item_promotions), ITEMS);
    ck_assert_uint_eq(counted(&store_counters(scene.bench.store)->item_packed_bytes), packed);
    ck_assert_uint_eq(atomic_load(&tenant->item_bytes), held);
    ck_assert_uint_eq(spill_file_fill(store_spill_file(scene.bench.store)).live_bytes, 0);
    teardown();
}
END_TEST

START_TEST(what_comes_back_is_what_it_was)
{
    setup(FILE_BYTES);
    static const uint64_t cas = 4711;
    struct item_seen before, after;
    ck_assert_int_eq(bench_put(&scene.bench, (struct item_put){.key = slice_text("k"),
                                                               .value = value_of(103),
                                                               .flags = 99,
                                                               .exptime = 500,
                                                               .key_binary = true,
                                                               .new_cas = &cas}), FP_OK);
    struct item_look look = {.key = slice_text("k"), .unseen = true};
    struct item_end stale = {.key = slice_text("k"), .invalidates = true, .new_cas = &cas};
    ck_assert_int_eq(store_meta_end(scene.bench.store, scene.bench.scratch, &stale), FP_OK);
    struct item *item = store_meta_get(scene.bench.store, scene.bench.scratch, &look, &before);
    store_item_release(scene.bench.store, scene.bench.scratch, &item);
    spill_all();
    bench_advance_s(&scene.bench, 100);
    look.value = true;
    item = store_meta_get(scene.bench.store, scene.bench.scratch, &look, &after);
    ck_assert(after.spilled);
    store_item_release(scene.bench.store, scene.bench.scratch, &item);
    struct reads reads = begin("k");
    arrive(&reads);
    ck_assert_int_eq(store_item_promote(scene.bench.store, scene.bench.scratch, &reads.of[0],
                                        PROMOTE_ALWAYS), FP_OK);
    end(&reads);
    ck_assert_uint_eq(spilled(), 0);
    item = store_meta_get(scene.bench.store, scene.bench.scratch, &look, &after);
    ck_assert(!after.spilled && after.stale && after.taken && before.won && !after.fetched);
    ck_assert_uint_eq(after.cas, cas);
    ck_assert_int_eq(after.ttls.before, 400);
    ck_assert_uint_eq(after.idle_s, 100);
    ck_assert_uint_eq(item->flags, 99);
    ck_assert(item->key_binary);
    store_item_release(scene.bench.store, scene.bench.scratch, &item);
    bench_advance_s(&scene.bench, 401);
    ck_assert(bench_lacks(&scene.bench, "k"));
    teardown();
}
END_TEST

START_TEST(what_is_held_mapped_or_used_meanwhile_stays)
{
    struct spill_step done;
    setup(FILE_BYTES);
    struct store *store = scene.bench.store;
    struct store_scratch *scratch = scene.bench.scratch;
    ck_assert_int_eq(bench_set(&scene.bench, "k1", value_of(1)), FP_OK);
    struct item *held = store_item_hold(store, scratch, slice_text("k1"));
    ck_assert_int_eq(step(&done), FP_ABSENT);
    ck_assert(has(1, PROMOTE_BY_POLICY));
    store_item_release(store, scratch, &held);
    struct store_map *map;
    struct map_wish wish = {.mode = MAP_READ, .bytes_max = 1 << 20};
    ck_assert_int_eq(store_map_item(store, scratch, slice_text("k1"), &wish, &map), FP_OK);
    ck_assert_int_eq(step(&done), FP_ABSENT);
    store_map_end(&map, scratch);
    spill_all();
    ck_assert_uint_eq(spilled(), 1);
    ck_assert_int_eq(store_map_item(store, scratch, slice_text("k1"), &wish, &map), FP_SPILLED);
    /* Small ones give way as ever. */
    ck_assert_int_eq(bench_set(&scene.bench, "tiny", slice_text("tiny")), FP_OK);
    ck_assert_int_eq(step(&done), FP_OK);
    ck_assert(bench_lacks(&scene.bench, "tiny"));
    ck_assert_uint_eq(counted(&store_counters(store)->item_evictions), 1);
    teardown();
}
END_TEST

START_TEST(what_ends_or_is_replaced_frees_its_part_of_the_file)
{
    setup(FILE_BYTES);
    fill();
    spill_all();
    struct spill_file *file = store_spill_file(scene.bench.store);
    for (unsigned n = 0; n < ITEMS; n++) {
        struct slice key = slice_text(key_of(n));
        if (n % 3 == 0) ck_assert_int_eq(store_item_delete(scene.bench.store,
                                                           scene.bench.scratch, key), FP_OK);
        if (n % 3 == 1) ck_assert_int_eq(bench_set(&scene.bench, key_of(n), value_of(n)), FP_OK);
    }
    store_check(scene.bench.store);
    ck_assert_uint_eq(spilled(), ITEMS / 3);
    for (unsigned n = 1; n < ITEMS; n += 3)
        ck_assert(bench_has(&scene.bench, key_of(n), value_of(n)));
    store_flush(scene.bench.store, scene.bench.scratch, 0);
    for (int i = 0; i < 2 * KEYDIR_SHARDS; i++)
        store_reap_step(scene.bench.store, scene.bench.scratch);
    ck_assert_uint_eq(spilled(), 0);
    ck_assert_uint_eq(spill_file_fill(file).used_bytes, 0);
    teardown();
}
END_TEST

START_TEST(who_reads_has_what_was_there_whatever_happens_meanwhile)
{
    setup(FILE_BYTES);
    fill();
    spill_all();
    struct reads deleted = begin("k3"), set = begin("k13"), kept = begin("k23");
    struct slice key = slice_text("k3");
    ck_assert_int_eq(store_item_delete(scene.bench.store, scene.bench.scratch, key), FP_OK);
    ck_assert_int_eq(bench_set(&scene.bench, "k13", slice_text("new")), FP_OK);
    struct reads *all[] = {&deleted, &set, &kept};
    for (unsigned i = 0; i < 3; i++) {
        arrive(all[i]);
        ck_assert_uint_eq(all[i]->count, 2);
        ck_assert_int_eq(all[i]->of[1].status, FP_OK);
        ck_assert_int_eq(store_item_promote(scene.bench.store, scene.bench.scratch,
                                            &all[i]->of[0], PROMOTE_ALWAYS), FP_OK);
        end(all[i]);
    }
    ck_assert(bench_lacks(&scene.bench, "k3") && bench_is(&scene.bench, "k13", "new"));
    ck_assert(bench_has(&scene.bench, "k23", value_of(23)));
    ck_assert_uint_eq(counted(&counters()->item_promotions), 1);
    teardown();
}
END_TEST

START_TEST(a_full_file_ends_the_coldest_and_sparse_extents_are_emptied)
{
    setup(FILE_BYTES / 16);
    fill();
    for (unsigned i = 0; i < 200; i++) {
        struct spill_step done, gaps;
        enum fp_status status = step(&done);
        if (status == FP_TOO_BIG)
            (void)!store_spill_gaps(scene.bench.store, scene.bench.scratch, &gaps);
        if (status == FP_ABSENT) break;
        ck_assert(status == FP_OK || status == FP_TOO_BIG);
    }
    store_check(scene.bench.store);
    ck_assert_uint_gt(counted(&counters()->items_ended), ITEMS / 4);
    unsigned there = 0, late = 0;
    for (unsigned n = 0; n < ITEMS; n++) {
        struct item *item = store_item_hold(scene.bench.store, scene.bench.scratch,
                                            slice_text(key_of(n)));
        if (item == NULL) continue;
        store_item_release(scene.bench.store, scene.bench.scratch, &item);
        there++;
        late += n >= ITEMS / 2;
        ck_assert(has(n, PROMOTE_BY_POLICY));
    }
    ck_assert(late > there / 2 && there > ITEMS / 8);
    teardown();
}
END_TEST

START_TEST(pieces_are_moved_out_of_sparse_extents)
{
    struct spill_step done;
    setup(20 * EXTENT_BYTES);
    fill();
    spill_all();
    ck_assert_uint_eq(counted(&counters()->items_ended), 0);
    for (unsigned n = 0; n < ITEMS; n += 2)
        ck_assert_int_eq(store_item_delete(scene.bench.store, scene.bench.scratch,
                                           slice_text(key_of(n))), FP_OK);
    while (store_spill_gaps(scene.bench.store, scene.bench.scratch, &done) == FP_OK)
        store_check(scene.bench.store);
    ck_assert_uint_gt(counted(&counters()->moved_pieces), 20);
    for (unsigned n = 1; n < ITEMS; n += 2) ck_assert(has(n, PROMOTE_BY_POLICY));
    teardown();
}
END_TEST

static struct compressor_row seat_row(unsigned seat)
{
    struct compressor_row row;
    compressor_row(store_compressors(scene.bench.store), (uint8_t)seat, &row);
    return row;
}

/* Objects in seats that drain. */
static uint64_t draining(void)
{
    uint64_t count = 0;
    for (unsigned seat = 0; seat < COMPRESSOR_SEATS; seat++)
        if (seat_row(seat).state == COMPRESSOR_DRAINING) count += seat_row(seat).objects;
    return count;
}

static void text_of(unsigned n, uint8_t page[KIT_PAGE_BYTES])
{
    struct rng rng = {.state = n + 1};
    rng_fill_text(&rng, page, KIT_PAGE_BYTES);
}

START_TEST(a_seat_that_drains_is_left_by_what_is_spilled)
{
    static const struct compressor_config zstd = {"zstd", 1, NULL};
    struct recompress_plan plan = {.drain = true};
    struct recompress_limits some = {.looks = 100, .tries = 10};
    struct recompress_counts counts = {0};
    struct recompress *walk;
    uint8_t page[KIT_PAGE_BYTES], out[KIT_PAGE_BYTES];
    setup(FILE_BYTES);
    for (unsigned n = 0; n < 40; n++) {
        text_of(n, page);
        ck_assert_int_eq(bench_store(&scene.bench, n, page), FP_OK);
        ck_assert_int_eq(bench_set(&scene.bench, key_of(n), slice_of(page, sizeof page)), FP_OK);
    }
    spill_all();
    ck_assert_uint_eq(spilled(), 40);
    ck_assert_uint_eq(atomic_load(&scene.bench.area->counters.spilled), 40);
    ck_assert_int_eq(compressor_pool_swap(store_compressors(scene.bench.store), &zstd), FP_OK);
    ck_assert_uint_eq(draining(), 80);
    ck_assert_int_eq(recompress_create(scene.bench.store, &walk), FP_OK);
    (void)recompress_begin(walk, &plan);
    while (!recompress_step(walk, scene.bench.scratch, some, &counts)) {}
    recompress_destroy(&walk);
    ck_assert_uint_eq(counts.rewritten, 80);
    ck_assert_uint_eq(draining(), 0);
    ck_assert_uint_eq(spill_file_fill(store_spill_file(scene.bench.store)).live_bytes, 0);
    store_check(scene.bench.store);
    for (unsigned n = 0; n < 40; n++) {
        text_of(n, page);
        ck_assert_int_eq(bench_load(&scene.bench, n, out), FP_OK);
        ck_assert_mem_eq(out, page, sizeof page);
        ck_assert(bench_has(&scene.bench, key_of(n), slice_of(page, sizeof page)));
    }
    spill_all(); /* and they go there again */
    ck_assert_uint_eq(spilled(), 40);
    teardown();
}
END_TEST

int main(void)
{
    return suite_run("store_spill_item", items_leave_memory_but_for_their_records_and_come_back,
                     what_comes_back_is_what_it_was, what_is_held_mapped_or_used_meanwhile_stays,
                     what_ends_or_is_replaced_frees_its_part_of_the_file,
                     who_reads_has_what_was_there_whatever_happens_meanwhile,
                     a_full_file_ends_the_coldest_and_sparse_extents_are_emptied,
                     pieces_are_moved_out_of_sparse_extents,
                     a_seat_that_drains_is_left_by_what_is_spilled);
}
