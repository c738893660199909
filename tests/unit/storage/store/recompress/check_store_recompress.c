/* SPDX-License-Identifier: BSD-3-Clause */
#include "storage/store/recompress/store_recompress.h"

#include "tests/unit/base/suite.h"
#include "tests/unit/storage/bench.h"

enum { SLOTS = 3000, PAGES = 400, STRIDE = 7, LARGE_BYTES = 50000 };

static const struct compressor_config lz4 = {"lz4", 1, NULL}, zstd = {"zstd", 1, NULL},
                                      strong = {"zstd", 9, NULL};

/* What happens between the copy of an object and its publishing. */
enum meanwhile { STORED, STORED_SHORTER, INVALIDATED, STORED_THE_SAME, COMPACTED, MEANWHILES };

struct scene {
    struct bench bench;
    struct recompress *walk;
    struct recompress_counts counts;
    uint8_t *sample;
};

static void setup_with(struct scene *scene, struct store_options options)
{
    *scene = (struct scene){.sample = kit_sample()};
    if (options.compressor.algorithm == NULL) options.compressor = lz4;
    options.allocator = "blocks"; /* what is cheaper differs by allocator */
    bench_setup(&scene->bench, options, SLOTS);
    ck_assert_int_eq(recompress_create(scene->bench.store, &scene->walk), FP_OK);
}

static void setup(struct scene *scene)
{
    setup_with(scene, (struct store_options){.page_bytes = 0});
}

static void teardown(struct scene *scene)
{
    ck_assert(atomic_load(&store_counters(scene->bench.store)->corrupt) == 0);
    recompress_destroy(&scene->walk);
    ck_assert_ptr_null(scene->walk);
    bench_teardown(&scene->bench);
    free(scene->sample);
}

static const uint8_t *page_of(const struct scene *scene, unsigned i)
{
    return scene->sample + (size_t)(i % KIT_SAMPLE_PAGES) * KIT_PAGE_BYTES;
}

static void store_pages(struct scene *scene, unsigned first)
{
    for (unsigned i = 0; i < PAGES; i++)
        ck_assert_int_eq(bench_store(&scene->bench, i * STRIDE, page_of(scene, first + i)), FP_OK);
}

static void check_pages(struct scene *scene, unsigned first)
{
    uint8_t out[KIT_PAGE_BYTES];
    for (unsigned i = 0; i < PAGES; i++) {
        ck_assert_int_eq(bench_load(&scene->bench, i * STRIDE, out), FP_OK);
        ck_assert(memcmp(out, page_of(scene, first + i), sizeof out) == 0);
    }
    store_check(scene->bench.store);
}

static void swap(struct scene *scene, const struct compressor_config *next)
{
    ck_assert_int_eq(compressor_pool_swap(store_compressors(scene->bench.store), next), FP_OK);
}

/* Objects in the seats of this algorithm and level. */
static uint64_t objects_in(const struct scene *scene, const struct compressor_config *config)
{
    uint64_t objects = 0;
    for (unsigned id = 0; id < COMPRESSOR_SEATS; id++) {
        struct compressor_row row;
        compressor_row(store_compressors(scene->bench.store), (uint8_t)id, &row);
        if (row.state != COMPRESSOR_EMPTY && strcmp(row.algorithm, config->algorithm) == 0 &&
            row.level == config->level)
            objects += row.objects;
    }
    return objects;
}

static void walk(struct scene *scene, struct recompress_plan plan)
{
    struct recompress_limits limits = {.looks = 100, .tries = 9};
    scene->counts = (struct recompress_counts){0};
    (void)recompress_begin(scene->walk, &plan);
    while (!recompress_step(scene->walk, scene->bench.scratch, limits, &scene->counts)) {}
}

/* A turn of the clock with `strong` as the stronger compressor. */
static void turn(struct scene *scene)
{
    struct recompress_plan plan = {.cool = true, .idle_ms = 60000};
    ck_assert_int_eq(compressor_acquire_config(store_compressors(scene->bench.store), &strong,
                                               scene->bench.scratch->codec, &plan.cold),
                     FP_OK);
    walk(scene, plan);
    compressor_release(&plan.cold, scene->bench.scratch->codec);
}

static uint64_t packed_bytes(const struct scene *scene)
{
    return atomic_load(&scene->bench.area->counters.packed_bytes);
}

START_TEST(a_draining_seat_empties_and_every_page_and_item_stays)
{
    struct scene scene;
    uint8_t large[LARGE_BYTES];
    struct rng rng = {.state = 3};
    setup(&scene);
    rng_fill_text(&rng, large, sizeof large);
    struct item_put put = {.key = slice_text("k"), .value = slice_of(large, sizeof large),
                           .flags = 77, .exptime = 1000};
    store_pages(&scene, 0);
    ck_assert_int_eq(bench_put(&scene.bench, put), FP_OK);
    uint64_t before = packed_bytes(&scene);
    uint64_t sets = atomic_load(&store_counters(scene.bench.store)->items_total);
    swap(&scene, &zstd);
    ck_assert(objects_in(&scene, &lz4) > 300 && objects_in(&scene, &zstd) == 0);
    walk(&scene, (struct recompress_plan){.drain = true});
    ck_assert(objects_in(&scene, &lz4) == 0);
    ck_assert(scene.counts.looked == PAGES + 1 && scene.counts.rewritten > 300);
    ck_assert(scene.counts.skipped_changed + scene.counts.skipped_no_memory == 0);
    ck_assert(packed_bytes(&scene) < before - before / 5);
    ck_assert(scene.counts.saved_bytes > before / 5);
    check_pages(&scene, 0);
    ck_assert(bench_has(&scene.bench, "k", put.value));
    ck_assert(atomic_load(&store_counters(scene.bench.store)->items_total) == sets);
    walk(&scene, (struct recompress_plan){.drain = true});
    ck_assert(scene.counts.looked == PAGES + 1 && scene.counts.rewritten == 0);
    teardown(&scene);
}
END_TEST

/* From zstd to lz4 nearly all become dearer; unless they leave, the seat stays for ever. */
START_TEST(what_becomes_dearer_leaves_a_draining_seat_as_long_as_there_is_room)
{
    struct scene scene;
    setup_with(&scene, (struct store_options){.compressor = strong});
    store_pages(&scene, 0);
    uint64_t before = packed_bytes(&scene), there = objects_in(&scene, &strong);
    swap(&scene, &lz4);
    struct budget *budget = store_budget(scene.bench.store);
    uint64_t limit = budget_limit(budget);
    budget_set_limit(budget, budget_total(budget) + budget_total(budget) / 10);
    walk(&scene, (struct recompress_plan){.drain = true, .asked = true});
    ck_assert(objects_in(&scene, &strong) > there / 2 && scene.counts.skipped_no_memory > 0);
    check_pages(&scene, 0);
    budget_set_limit(budget, limit);
    walk(&scene, (struct recompress_plan){.drain = true});
    ck_assert(objects_in(&scene, &strong) == 0 && packed_bytes(&scene) > before);
    ck_assert(scene.counts.added_bytes > 0);
    check_pages(&scene, 0);
    teardown(&scene);
}
END_TEST

START_TEST(only_what_nobody_touched_for_a_whole_turn_becomes_cold)
{
    struct scene scene;
    uint8_t out[KIT_PAGE_BYTES];
    setup(&scene);
    store_pages(&scene, 0);
    turn(&scene); /* all were touched by their store */
    ck_assert(objects_in(&scene, &strong) == 0 && scene.counts.looked == PAGES);
    uint64_t there = objects_in(&scene, &lz4), before = packed_bytes(&scene);
    for (unsigned i = 0; i < PAGES; i += 2)
        ck_assert_int_eq(bench_load(&scene.bench, i * STRIDE, out), FP_OK);
    turn(&scene);
    uint64_t strongly = objects_in(&scene, &strong);
    ck_assert(strongly > there / 3 && strongly <= PAGES / 2);
    ck_assert(packed_bytes(&scene) < before);
    turn(&scene); /* and the others, that nobody touched since */
    ck_assert(objects_in(&scene, &strong) > there - there / 10);
    uint64_t rewritten = scene.counts.rewritten;
    turn(&scene); /* what is done is done, and what did not shrink stays */
    ck_assert(rewritten > 0 && scene.counts.rewritten == 0);
    check_pages(&scene, 0);
    teardown(&scene);
}
END_TEST

START_TEST(an_item_is_cold_after_its_idle_time_and_keeps_all_that_is_known_of_it)
{
    struct scene scene;
    uint8_t value[LARGE_BYTES];
    struct rng rng = {.state = 9};
    setup(&scene);
    rng_fill_text(&rng, value, sizeof value);
    struct item_put put = {.key = slice_text("a"), .value = slice_of(value, sizeof value),
                           .flags = 5, .exptime = 500};
    ck_assert_int_eq(bench_put(&scene.bench, put), FP_OK);
    bench_advance_s(&scene.bench, 1);
    ck_assert_int_eq(bench_set(&scene.bench, "b", slice_of(value, 20000)), FP_OK);
    struct item *a = store_item_acquire(scene.bench.store, scene.bench.scratch, put.key, NULL);
    uint32_t old_expires_s = a->expires_s, old_packed_bytes = a->packed_bytes;
    uint64_t old_cas = item_cas(a);
    turn(&scene);
    ck_assert(scene.counts.rewritten == 0);
    bench_advance_s(&scene.bench, 61);
    turn(&scene);
    ck_assert(scene.counts.skipped_in_use == 1 && scene.counts.rewritten == 1);
    store_item_release(scene.bench.store, scene.bench.scratch, &a);
    turn(&scene);
    ck_assert(scene.counts.rewritten == 1 && objects_in(&scene, &lz4) == 0);
    store_check(scene.bench.store);
    /* "b" was used before "a" was last read: it goes first, as it would have. */
    ck_assert(store_evict_one(scene.bench.store, scene.bench.scratch));
    a = store_item_acquire(scene.bench.store, scene.bench.scratch, put.key, NULL);
    ck_assert_ptr_nonnull(a);
    ck_assert(item_cas(a) == old_cas && a->flags == 5 && a->fetched);
    ck_assert(a->expires_s == old_expires_s);
    ck_assert(a->packed_bytes < old_packed_bytes);
    ck_assert(atomic_load(&store_counters(scene.bench.store)->item_packed_bytes) ==
              a->packed_bytes);
    store_item_release(scene.bench.store, scene.bench.scratch, &a);
    ck_assert(bench_has(&scene.bench, "a", put.value));
    bench_advance_s(&scene.bench, 500);
    ck_assert(bench_lacks(&scene.bench, "a"));
    teardown(&scene);
}
END_TEST

START_TEST(noise_is_told_by_its_bytes_and_text_kept_plain_is_packed)
{
    struct scene scene;
    uint8_t noise[KIT_PAGE_BYTES], text[KIT_PAGE_BYTES], out[KIT_PAGE_BYTES];
    struct rng rng = {.state = 1};
    static const struct compressor_config none = {"none", 0, NULL};
    setup_with(&scene, (struct store_options){.compressor = none});
    rng_fill(&rng, noise, sizeof noise);
    rng_fill_text(&rng, text, sizeof text);
    ck_assert_int_eq(bench_store(&scene.bench, 0, noise), FP_OK);
    ck_assert_int_eq(bench_store(&scene.bench, 1, text), FP_OK);
    swap(&scene, &zstd);
    walk(&scene, (struct recompress_plan){.drain = true});
    ck_assert(scene.counts.rewritten == 0);
    walk(&scene, (struct recompress_plan){.drain = true, .plain = true});
    ck_assert(scene.counts.rewritten == 1 && scene.counts.not_smaller == 1);
    struct compressor_row row;
    compressor_row(store_compressors(scene.bench.store), 1, &row);
    ck_assert(row.packs == 1); /* not the noise */
    ck_assert_int_eq(bench_load(&scene.bench, 0, out), FP_OK);
    ck_assert(memcmp(out, noise, sizeof out) == 0);
    ck_assert_int_eq(bench_load(&scene.bench, 1, out), FP_OK);
    ck_assert(memcmp(out, text, sizeof out) == 0);
    teardown(&scene);
}
END_TEST

START_TEST(a_walk_left_in_the_middle_leaves_all_readable)
{
    struct scene scene;
    setup(&scene);
    store_pages(&scene, 0);
    swap(&scene, &zstd);
    struct recompress_plan plan = {.drain = true};
    struct recompress_limits limits = {.looks = 50, .tries = 3};
    ck_assert(recompress_begin(scene.walk, &plan) == PAGES);
    for (int i = 0; i < 40; i++)
        ck_assert(!recompress_step(scene.walk, scene.bench.scratch, limits, &scene.counts));
    ck_assert(objects_in(&scene, &lz4) > 100 && objects_in(&scene, &zstd) > 50);
    check_pages(&scene, 0);
    store_pages(&scene, 1);
    check_pages(&scene, 1);
    ck_assert(objects_in(&scene, &lz4) == 0);
    teardown(&scene);
}
END_TEST

static bool goes_on(void *context)
{
    int *left = context;
    return (*left)-- > 0;
}

/* A long one takes long: who stops or is told to cancel need not wait for its end. */
START_TEST(an_item_may_be_given_up_between_its_pieces)
{
    struct scene scene;
    static uint8_t large[40 * ITEM_PIECE_BYTES];
    struct rng rng = {.state = 8};
    int left = 3;
    struct recompress_limits limits = {
        .looks = 1000, .tries = 100, .go_on = goes_on, .context = &left};
    setup(&scene);
    rng_fill_text(&rng, large, sizeof large);
    struct slice value = slice_of(large, sizeof large);
    ck_assert_int_eq(bench_set(&scene.bench, "k", value), FP_OK);
    swap(&scene, &zstd);
    uint64_t objects = zpool_fill(store_zpool(scene.bench.store)).object_count;
    (void)recompress_begin(scene.walk, &(struct recompress_plan){.drain = true});
    while (!recompress_step(scene.walk, scene.bench.scratch, limits, &scene.counts)) {}
    ck_assert(left == -1 && scene.counts.looked == 1 && scene.counts.rewritten == 0);
    ck_assert_uint_eq(zpool_fill(store_zpool(scene.bench.store)).object_count, objects);
    ck_assert(objects_in(&scene, &zstd) == 0 && bench_has(&scene.bench, "k", value));
    walk(&scene, (struct recompress_plan){.drain = true});
    ck_assert(objects_in(&scene, &lz4) == 0 && bench_has(&scene.bench, "k", value));
    recompress_destroy(&scene.walk);
    bench_teardown(&scene.bench);
    free(scene.sample);
}
END_TEST

#if FARPAGE_DEBUG_HOOKS
/* --- somebody stores while it packs ----------------------------------------------------------- */

static struct meddler {
    struct scene *scene;
    struct store_scratch *scratch; /* of the thread that meddles */
    enum meanwhile what;
    const uint8_t *page;
    unsigned calls;
} meddler;

static void meddle(void *context)
{
    struct meddler *who = context;
    struct bench bench = who->scene->bench;
    bench.scratch = who->scratch;
    if (who->calls++ > 0) return;
    if (who->what == INVALIDATED) bench_invalidate(&bench, 0, 1);
    else if (who->what == COMPACTED) (void)zpool_compact(store_zpool(bench.store), 1000);
    else ck_assert_int_eq(bench_store(&bench, 0, who->page), FP_OK);
}

START_TEST(who_stores_meanwhile_wins)
{
    struct scene scene;
    uint8_t page[KIT_PAGE_BYTES], next[KIT_PAGE_BYTES] = "short", out[KIT_PAGE_BYTES];
    struct rng rng = {.state = 4};
    setup(&scene);
    rng_fill_text(&rng, page, sizeof page);
    if (_i == STORED) rng_fill_text(&rng, next, sizeof next);
    if (_i == STORED_THE_SAME || _i == COMPACTED) memcpy(next, page, sizeof next);
    ck_assert_int_eq(bench_store(&scene.bench, 0, page), FP_OK);
    swap(&scene, &zstd);
    meddler = (struct meddler){.scene = &scene, .what = (enum meanwhile)_i, .page = next};
    ck_assert_int_eq(store_scratch_create(scene.bench.store, &meddler.scratch), FP_OK);
    meddler.scratch->now_ms = BENCH_START_MS;
    recompress_hook(scene.walk, meddle, &meddler);
    walk(&scene, (struct recompress_plan){.drain = true});
    ck_assert(meddler.calls == 1);
    ck_assert(scene.counts.skipped_changed == (_i != COMPACTED));
    enum fp_status status = bench_load(&scene.bench, 0, out);
    ck_assert_int_eq(status, _i == INVALIDATED ? FP_ABSENT : FP_OK);
    if (status == FP_OK) ck_assert(memcmp(out, next, sizeof out) == 0);
    ck_assert(objects_in(&scene, &lz4) == 0);
    ck_assert(objects_in(&scene, &zstd) == (_i != INVALIDATED));
    store_scratch_destroy(&meddler.scratch);
    teardown(&scene);
}
END_TEST

static void set_item(void *context)
{
    struct scene *scene = context;
    struct item_put put = {.key = slice_text("k"), .value = slice_text("new")};
    struct store_scratch *scratch;
    ck_assert_int_eq(store_scratch_create(scene->bench.store, &scratch), FP_OK);
    scratch->now_ms = BENCH_START_MS;
    scratch->unix_s = BENCH_START_UNIX_S;
    ck_assert_int_eq(store_item_put(scene->bench.store, scratch, &put, BENCH_MIB), FP_OK);
    store_scratch_destroy(&scratch);
}

START_TEST(who_sets_an_item_meanwhile_wins)
{
    struct scene scene;
    uint8_t value[LARGE_BYTES];
    struct rng rng = {.state = 4};
    setup(&scene);
    rng_fill_text(&rng, value, sizeof value);
    ck_assert_int_eq(bench_set(&scene.bench, "k", slice_of(value, sizeof value)), FP_OK);
    swap(&scene, &zstd);
    recompress_hook(scene.walk, set_item, &scene);
    walk(&scene, (struct recompress_plan){.drain = true});
    ck_assert(scene.counts.skipped_changed == 1 && scene.counts.rewritten == 0);
    ck_assert(bench_is(&scene.bench, "k", "new") && store_item_count(scene.bench.store) == 1);
    ck_assert(objects_in(&scene, &lz4) == 0 && objects_in(&scene, &zstd) == 0);
    teardown(&scene);
}
END_TEST

START_TEST(a_damaged_page_stays_for_its_reader_to_be_told)
{
    struct scene scene;
    uint8_t out[KIT_PAGE_BYTES];
    setup(&scene);
    ck_assert_int_eq(bench_store(&scene.bench, 0, page_of(&scene, 0)), FP_OK);
    ck_assert_int_eq(store_damage_page(scene.bench.store, scene.bench.area, 0), FP_OK);
    swap(&scene, &zstd);
    walk(&scene, (struct recompress_plan){.drain = true, .asked = true});
    ck_assert(scene.counts.corrupt == 1 && scene.counts.rewritten == 0);
    ck_assert(objects_in(&scene, &lz4) == 1);
    ck_assert_int_eq(bench_load(&scene.bench, 0, out), FP_CORRUPT);
    recompress_destroy(&scene.walk);
    bench_teardown(&scene.bench);
    free(scene.sample);
}
END_TEST

#define HOOKED                                                                                     \
    , who_stores_meanwhile_wins, who_sets_an_item_meanwhile_wins,                                  \
        a_damaged_page_stays_for_its_reader_to_be_told
#else
#define HOOKED
#endif

START_TEST(pages_that_are_kept_as_they_are_stay_so)
{
    struct scene scene;
    setup(&scene);
    struct area_options plain = {.name = slice_text("plain"), .slot_count = SLOTS,
                                 .page_bytes = KIT_PAGE_BYTES, .as_they_are = true};
    struct area *packed = scene.bench.area;
    ck_assert_int_eq(store_area_create(scene.bench.store, &plain, &scene.bench.area), FP_OK);
    store_pages(&scene, 0);
    uint64_t before = atomic_load(&scene.bench.area->counters.packed_bytes);
    scene.bench.scratch->now_ms += 600000;
    walk(&scene, (struct recompress_plan){.plain = true, .cool = true, .idle_ms = 1000});
    ck_assert_uint_eq(atomic_load(&scene.bench.area->counters.packed_bytes), before);
    ck_assert_uint_eq(scene.counts.rewritten, 0);
    area_release(&scene.bench.area);
    scene.bench.area = packed;
    teardown(&scene);
}
END_TEST

int main(void)
{
    return suite_run_each(
        "store_recompress", MEANWHILES,
        a_draining_seat_empties_and_every_page_and_item_stays,
        what_becomes_dearer_leaves_a_draining_seat_as_long_as_there_is_room,
        only_what_nobody_touched_for_a_whole_turn_becomes_cold,
        an_item_is_cold_after_its_idle_time_and_keeps_all_that_is_known_of_it,
        noise_is_told_by_its_bytes_and_text_kept_plain_is_packed,
        pages_that_are_kept_as_they_are_stay_so,
        an_item_may_be_given_up_between_its_pieces,
        a_walk_left_in_the_middle_leaves_all_readable HOOKED);
}
