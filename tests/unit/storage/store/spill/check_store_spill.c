/* SPDX-License-Identifier: BSD-3-Clause */
#include "storage/store/spill/store_spill.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

#include "storage/area/area_stand.h"
#include "storage/store/map/store_map.h"
#include "storage/store/page/store_block.h"
#include "tests/unit/base/suite.h"
#include "tests/unit/storage/bench.h"
#include "tests/unit/storage/unnamed.h"

enum { SLOTS = 3000, PAGES = 400, EXTENT_BYTES = 64 << 10, FILE_BYTES = 16 << 20 };

struct scene {
    struct bench bench;
    uint8_t *sample;
};

static const struct spill_limits limits = {.bytes = EXTENT_BYTES, .looks = 1000};

static void setup_with(struct scene *scene, struct store_options options, uint64_t file_bytes)
{
    char why[SPILL_WHY_BYTES];
    struct spill_file_options file = {
        .path = ".", .size_bytes = file_bytes, .extent_bytes = EXTENT_BYTES};
    *scene = (struct scene){.sample = kit_sample()};
    bench_setup(&scene->bench, options, SLOTS);
    ck_assert_msg(store_spill_open(scene->bench.store, &file, why) == FP_OK, "%s", why);
}

static void setup(struct scene *scene)
{
    setup_with(scene, (struct store_options){.page_bytes = 0}, FILE_BYTES);
}

static void teardown(struct scene *scene)
{
    spill_file_assert(store_spill_file(scene->bench.store));
    bench_teardown(&scene->bench);
    free(scene->sample);
}

static const uint8_t *page_of(const struct scene *scene, unsigned i)
{
    return scene->sample + (size_t)(i % KIT_SAMPLE_PAGES) * KIT_PAGE_BYTES;
}

static void store_pages(struct scene *scene)
{
    for (unsigned i = 0; i < PAGES; i++)
        ck_assert_int_eq(bench_store(&scene->bench, i, page_of(scene, i)), FP_OK);
}

/* Steps until nothing is left that could go; the last answer. */
static enum fp_status spill_all(struct scene *scene)
{
    struct spill_step done;
    enum fp_status status;
    do status = store_spill_step(scene->bench.store, scene->bench.scratch, limits, &done);
    while (status == FP_OK);
    return status;
}

static uint64_t spilled(const struct scene *scene)
{
    return atomic_load(&scene->bench.area->counters.spilled);
}

static uint64_t counted(const struct scene *scene, const _Atomic uint64_t *counter)
{
    (void)scene;
    return atomic_load(counter);
}

static const struct spill_counters *counters(const struct scene *scene)
{
    return store_spill_counters(scene->bench.store);
}

static enum fp_status load_waiting(struct scene *scene, uint64_t slot, uint8_t *out)
{
    struct page_place place = {scene->bench.area, slot};
    struct page_wish wish = {.out = out};
    struct page_packed page;
    return store_page_load_waiting(scene->bench.store, scene->bench.scratch, place, &wish, &page);
}

static void check_waiting(struct scene *scene, unsigned slot, unsigned page)
{
    uint8_t out[KIT_PAGE_BYTES];
    ck_assert_int_eq(load_waiting(scene, slot, out), FP_OK);
    ck_assert_mem_eq(out, page_of(scene, page), sizeof out);
}

static uint64_t payload(const struct scene *scene)
{
    return budget_held(store_budget(scene->bench.store), BUDGET_PAYLOAD);
}

/* --- there and back --------------------------------------------------------------------------- */

START_TEST(cold_pages_leave_memory_and_every_one_comes_back)
{
    struct scene scene;
    uint8_t out[KIT_PAGE_BYTES];
    setup(&scene);
    store_pages(&scene);
    uint64_t before = payload(&scene);
    const struct area_counters *area = &scene.bench.area->counters;
    uint64_t packed = counted(&scene, &area->packed_bytes);
    ck_assert_int_eq(spill_all(&scene), FP_ABSENT);
    while (!zpool_compact(store_zpool(scene.bench.store), 100).done) {}
    arena_trim(zpool_arena(store_zpool(scene.bench.store)));
    ck_assert_uint_eq(spilled(&scene), PAGES - counted(&scene, &area->same_filled));
    ck_assert_uint_lt(payload(&scene), before / 8);
    ck_assert_uint_eq(counted(&scene, &area->packed_bytes), packed);
    ck_assert_uint_eq(counted(&scene, &area->spilled_bytes), packed);
    unsigned asked = 0;
    for (unsigned i = 0; i < PAGES; i++) {
        asked += bench_load(&scene.bench, i, out) == FP_SPILLED;
        check_waiting(&scene, i, i);
    }
    ck_assert_uint_eq(asked, spilled(&scene));
    ck_assert_uint_eq(counted(&scene, &counters(&scene)->spilled_loads), asked);
    ck_assert_uint_eq(counted(&scene, &area->loads), PAGES + PAGES - asked);
    teardown(&scene);
}
END_TEST

START_TEST(what_was_used_stays_for_one_turn_of_the_hand)
{
    struct scene scene;
    uint8_t out[KIT_PAGE_BYTES];
    struct spill_step done;
    setup(&scene);
    store_pages(&scene);
    struct spill_limits turn = {.bytes = EXTENT_BYTES, .looks = PAGES};
    /* The first turn takes the marks of being new. */
    ck_assert_int_eq(store_spill_step(scene.bench.store, scene.bench.scratch, turn, &done), FP_OK);
    ck_assert_uint_eq(done.pages, 0);
    for (unsigned i = 0; i < PAGES; i += 2)
        ck_assert_int_eq(bench_load(&scene.bench, i, out), FP_OK);
    scene.bench.area->spill_hand = 0;
    turn.looks = 10;
    while (scene.bench.area->spill_hand < PAGES)
        ck_assert_int_eq(store_spill_step(scene.bench.store, scene.bench.scratch, turn, &done),
                         FP_OK);
    for (unsigned i = 0; i < PAGES; i += 2)
        ck_assert_int_eq(bench_load(&scene.bench, i, out), FP_OK);
    ck_assert_uint_gt(spilled(&scene), PAGES / 4);
    teardown(&scene);
}
END_TEST

START_TEST(a_page_comes_back_into_memory_when_it_is_asked_for_again)
{
    struct scene scene;
    uint8_t out[KIT_PAGE_BYTES];
    setup_with(&scene, (struct store_options){.memory_limit_bytes = 8 << 20}, FILE_BYTES);
    watermarks_set(store_watermarks(scene.bench.store),
                   (struct watermark_levels){.high = 2, .low = 1, .accept = 100});
    store_pages(&scene);
    ck_assert_int_eq(spill_all(&scene), FP_ABSENT);
    unsigned slot = 0;
    while (bench_load(&scene.bench, slot, out) != FP_SPILLED) slot++;
    for (unsigned time = 0; time < 2; time++) {
        struct store_read read;
        struct page_place place = {scene.bench.area, slot};
        ck_assert_int_eq(store_read_begin(scene.bench.store, NULL, place, &read), FP_OK);
        store_read_run(scene.bench.store, &read);
        ck_assert_int_eq(store_read_promote(scene.bench.store, scene.bench.scratch, &read,
                                            PROMOTE_BY_POLICY), FP_OK);
        ck_assert_uint_eq(counted(&scene, &counters(&scene)->promotions), time);
        scene.bench.scratch->arrived = &read;
        ck_assert_int_eq(bench_load(&scene.bench, slot, out), FP_OK);
        ck_assert_mem_eq(out, page_of(&scene, slot), sizeof out);
        scene.bench.scratch->arrived = NULL;
        store_read_end(scene.bench.store, scene.bench.scratch, &read);
    }
    ck_assert_int_eq(bench_load(&scene.bench, slot, out), FP_OK);
    teardown(&scene);
}
END_TEST

/* --- meanwhile -------------------------------------------------------------------------------- */

START_TEST(a_slot_that_changed_while_it_was_read_gives_what_it_holds_now)
{
    struct scene scene;
    uint8_t out[KIT_PAGE_BYTES];
    setup(&scene);
    store_pages(&scene);
    ck_assert_int_eq(spill_all(&scene), FP_ABSENT);
    unsigned slot = 0;
    while (bench_load(&scene.bench, slot, out) != FP_SPILLED) slot++;
    struct store_read read;
    struct page_place place = {scene.bench.area, slot};
    ck_assert_int_eq(store_read_begin(scene.bench.store, NULL, place, &read), FP_OK);
    ck_assert_int_eq(bench_store(&scene.bench, slot, page_of(&scene, slot + 7)), FP_OK);
    store_read_run(scene.bench.store, &read);
    ck_assert_int_eq(read.status, FP_OK);
    ck_assert_int_eq(store_read_promote(scene.bench.store, scene.bench.scratch, &read,
                                        PROMOTE_ALWAYS), FP_OK);
    scene.bench.scratch->arrived = &read;
    ck_assert_int_eq(bench_load(&scene.bench, slot, out), FP_OK);
    ck_assert_mem_eq(out, page_of(&scene, slot + 7), sizeof out);
    bench_invalidate(&scene.bench, slot, slot + 1);
    ck_assert_int_eq(bench_load(&scene.bench, slot, out), FP_ABSENT);
    scene.bench.scratch->arrived = NULL;
    store_read_end(scene.bench.store, scene.bench.scratch, &read);
    teardown(&scene);
}
END_TEST

START_TEST(what_was_spilled_anew_while_it_was_read_is_read_anew)
{
    struct scene scene;
    uint8_t out[KIT_PAGE_BYTES];
    struct store_read read;
    setup(&scene);
    store_pages(&scene);
    ck_assert_int_eq(spill_all(&scene), FP_ABSENT);
    struct page_place place = {scene.bench.area, 0};
    while (store_read_begin(scene.bench.store, NULL, place, &read) != FP_OK) place.slot++;
    unsigned slot = (unsigned)place.slot;
    store_read_run(scene.bench.store, &read);
    ck_assert_int_eq(bench_store(&scene.bench, slot, page_of(&scene, slot + 9)), FP_OK);
    ck_assert_int_eq(spill_all(&scene), FP_ABSENT);
    scene.bench.scratch->arrived = &read;
    ck_assert_int_eq(bench_load(&scene.bench, slot, out), FP_SPILLED);
    scene.bench.scratch->arrived = NULL;
    store_read_end(scene.bench.store, scene.bench.scratch, &read);
    check_waiting(&scene, slot, slot + 9);
    teardown(&scene);
}
END_TEST

START_TEST(what_ends_frees_its_extent)
{
    struct scene scene;
    setup(&scene);
    store_pages(&scene);
    ck_assert_int_eq(spill_all(&scene), FP_ABSENT);
    ck_assert_uint_gt(spill_file_fill(store_spill_file(scene.bench.store)).used_bytes, 0);
    for (unsigned i = 0; i < PAGES / 2; i++)
        ck_assert_int_eq(bench_store(&scene.bench, i, page_of(&scene, i + 1)), FP_OK);
    bench_invalidate(&scene.bench, PAGES / 2, PAGES);
    ck_assert_uint_eq(spill_file_fill(store_spill_file(scene.bench.store)).used_bytes, 0);
    ck_assert_uint_eq(spilled(&scene), 0);
    for (unsigned i = 0; i < PAGES / 2; i++) check_waiting(&scene, i, i + 1);
    teardown(&scene);
}
END_TEST

static enum fp_status map_page(struct scene *scene, struct page_place place, struct store_map **map)
{
    struct map_wish wish = {.mode = MAP_READ, .bytes_max = KIT_PAGE_BYTES};
    return store_map_page(scene->bench.store, scene->bench.scratch, place, &wish, map);
}

START_TEST(what_is_mapped_stays_and_what_is_spilled_is_mapped_once_it_is_back)
{
    struct scene scene;
    uint8_t out[KIT_PAGE_BYTES];
    struct store_map *map = NULL;
    setup(&scene);
    store_pages(&scene);
    unsigned slot = 1;
    struct page_place place = {scene.bench.area, slot};
    ck_assert_int_eq(map_page(&scene, place, &map), FP_OK);
    ck_assert_int_eq(spill_all(&scene), FP_ABSENT);
    ck_assert_int_eq(bench_load(&scene.bench, slot, out), FP_OK);
    store_map_end(&map, scene.bench.scratch);
    ck_assert_int_eq(spill_all(&scene), FP_ABSENT);
    ck_assert_int_eq(spill_all(&scene), FP_ABSENT);
    ck_assert_int_eq(map_page(&scene, place, &map), FP_SPILLED);
    struct store_read read;
    ck_assert_int_eq(store_read_begin(scene.bench.store, NULL, place, &read), FP_OK);
    store_read_run(scene.bench.store, &read);
    ck_assert_int_eq(store_read_promote(scene.bench.store, scene.bench.scratch, &read,
                                        PROMOTE_ALWAYS), FP_OK);
    store_read_end(scene.bench.store, scene.bench.scratch, &read);
    ck_assert_int_eq(map_page(&scene, place, &map), FP_OK);
    store_map_end(&map, scene.bench.scratch);
    teardown(&scene);
}
END_TEST

START_TEST(a_seat_has_what_is_spilled_until_that_ends)
{
    struct scene scene;
    struct compressor_config zstd = {"zstd", 1, NULL};
    uint8_t out[KIT_PAGE_BYTES];
    setup(&scene);
    store_pages(&scene);
    ck_assert_int_eq(spill_all(&scene), FP_ABSENT);
    struct compressor_pool *pool = store_compressors(scene.bench.store);
    ck_assert_int_eq(compressor_pool_swap(pool, &zstd), FP_OK);
    for (unsigned i = 0; i < PAGES; i++) check_waiting(&scene, i, i);
    bench_invalidate(&scene.bench, 0, PAGES);
    ck_assert_int_eq(bench_load(&scene.bench, 0, out), FP_ABSENT);
    for (unsigned id = 0; id < COMPRESSOR_SEATS; id++) {
        struct compressor_row row;
        compressor_row(pool, (uint8_t)id, &row);
        if (row.state != COMPRESSOR_EMPTY) ck_assert_uint_eq(row.objects, 0);
    }
    teardown(&scene);
}
END_TEST

/* --- full and broken -------------------------------------------------------------------------- */

START_TEST(sparse_extents_are_emptied_before_the_file_is_full)
{
    struct scene scene;
    struct spill_step done;
    setup_with(&scene, (struct store_options){.page_bytes = 0}, 8 * EXTENT_BYTES);
    for (unsigned i = 0; i < PAGES; i++)
        ck_assert_int_eq(bench_store(&scene.bench, i, page_of(&scene, i)), FP_OK);
    ck_assert_int_eq(spill_all(&scene), FP_TOO_BIG);
    ck_assert(!store_spill_makes_room(scene.bench.store));
    uint64_t before = spilled(&scene);
    for (unsigned i = 0; i < PAGES; i += 2) bench_invalidate(&scene.bench, i, i + 1);
    uint64_t left = spilled(&scene);
    ck_assert_uint_lt(left, before);
    enum fp_status status;
    unsigned moved = 0;
    do {
        status = store_spill_gaps(scene.bench.store, scene.bench.scratch, &done);
        moved += status == FP_OK;
    } while (status == FP_OK);
    ck_assert_int_eq(status, FP_ABSENT);
    ck_assert_uint_gt(moved, 0);
    ck_assert_uint_eq(spilled(&scene), left);
    ck_assert_uint_gt(counted(&scene, &counters(&scene)->moved_pages), 0);
    for (unsigned i = 1; i < PAGES; i += 2) check_waiting(&scene, i, i);
    (void)spill_all(&scene);
    ck_assert_uint_gt(spilled(&scene), left);
    for (unsigned i = 1; i < PAGES; i += 2) check_waiting(&scene, i, i);
    teardown(&scene);
}
END_TEST

START_TEST(what_could_not_be_written_stays_in_memory)
{
    struct scene scene;
    uint8_t out[KIT_PAGE_BYTES];
    struct rlimit none = {EXTENT_BYTES + 4096, RLIM_INFINITY}, before;
    setup(&scene);
    store_pages(&scene);
    ck_assert_int_eq(getrlimit(RLIMIT_FSIZE, &before), 0);
    signal(SIGXFSZ, SIG_IGN);
    ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &none), 0);
    ck_assert_int_eq(spill_all(&scene), FP_TOO_BIG);
    ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &before), 0);
    ck_assert_uint_eq(spilled(&scene), 0);
    ck_assert_uint_gt(spill_file_fill(store_spill_file(scene.bench.store)).write_errors, 0);
    for (unsigned i = 0; i < PAGES; i++)
        ck_assert_int_eq(bench_load(&scene.bench, i, out), FP_OK);
    ck_assert_int_eq(spill_all(&scene), FP_ABSENT);
    ck_assert_uint_gt(spilled(&scene), 0);
    teardown(&scene);
}
END_TEST

START_TEST(a_damaged_page_is_corrupt_and_no_other)
{
    struct scene scene;
    uint8_t out[KIT_PAGE_BYTES], byte;
    setup(&scene);
    store_pages(&scene);
    ck_assert_int_eq(spill_all(&scene), FP_ABSENT);
    unsigned slot = 0;
    while (bench_load(&scene.bench, slot, out) != FP_SPILLED) slot++;
    struct store_read read;
    struct page_place place = {scene.bench.area, slot};
    ck_assert_int_eq(store_read_begin(scene.bench.store, NULL, place, &read), FP_OK);
    off_t at = (off_t)(read.read.place * SPILL_UNIT_BYTES + SPILL_RECORD_BYTES + 3);
    store_read_run(scene.bench.store, &read);
    store_read_end(scene.bench.store, scene.bench.scratch, &read);
    int fd = reopen_unnamed("/#");
    ck_assert_int_eq(pread(fd, &byte, 1, at), 1);
    byte ^= 1;
    ck_assert_int_eq(pwrite(fd, &byte, 1, at), 1);
    for (unsigned i = 0; i < PAGES; i++) {
        if (i != slot) check_waiting(&scene, i, i);
        else ck_assert_int_eq(load_waiting(&scene, i, out), FP_CORRUPT);
    }
    ck_assert_uint_eq(counted(&scene, &counters(&scene)->failed_loads), 1);
    ck_assert_uint_eq(counted(&scene, &scene.bench.area->counters.corrupt), 1);
    ck_assert_int_eq(ftruncate(fd, 4096), 0);
    ck_assert_int_eq(load_waiting(&scene, slot, out), FP_CORRUPT);
    ck_assert_int_eq(bench_store(&scene.bench, slot, page_of(&scene, 3)), FP_OK);
    check_waiting(&scene, slot, 3);
    close(fd);
    teardown(&scene);
}
END_TEST

START_TEST(an_area_that_is_deleted_takes_what_it_has_spilled_with_it)
{
    struct scene scene;
    struct store_read read;
    setup(&scene);
    store_pages(&scene);
    ck_assert_int_eq(spill_all(&scene), FP_ABSENT);
    unsigned slot = 0;
    struct page_place place = {scene.bench.area, slot};
    while (store_read_begin(scene.bench.store, NULL, place, &read) != FP_OK) place.slot++;
    ck_assert(store_area_delete(scene.bench.store, scene.bench.area));
    uint64_t ended;
    area_release(&scene.bench.area);
    while (store_area_reap_step(scene.bench.store, scene.bench.scratch, &ended) &&
           spill_file_fill(store_spill_file(scene.bench.store)).record_count > 0) {}
    ck_assert_uint_eq(spill_file_fill(store_spill_file(scene.bench.store)).used_bytes,
                      EXTENT_BYTES);
    store_read_run(scene.bench.store, &read);
    store_read_end(scene.bench.store, scene.bench.scratch, &read);
    ck_assert_uint_eq(spill_file_fill(store_spill_file(scene.bench.store)).used_bytes, 0);
    teardown(&scene);
}
END_TEST

START_TEST(pages_of_64_kib_and_pages_that_are_kept_as_they_are_go_too)
{
    struct scene scene;
    struct rng rng = {.state = 5};
    uint32_t page_bytes = 64 << 10;
    uint8_t *page = malloc(page_bytes), *out = malloc(page_bytes);
    struct store_options options = {.page_bytes = page_bytes};
    struct spill_limits wide = {.bytes = 1 << 20, .looks = 1000};
    struct spill_file_options file = {.path = ".", .size_bytes = FILE_BYTES};
    char why[SPILL_WHY_BYTES];
    scene = (struct scene){.sample = kit_sample()};
    bench_setup(&scene.bench, options, 100);
    ck_assert_int_eq(store_spill_open(scene.bench.store, &file, why), FP_OK);
    for (unsigned i = 0; i < 40; i++) {
        rng = (struct rng){i};
        if (i % 2 == 0) rng_fill(&rng, page, page_bytes);
        else rng_fill_text(&rng, page, page_bytes);
        ck_assert_int_eq(bench_store(&scene.bench, i, page), FP_OK);
    }
    struct spill_step done;
    while (store_spill_step(scene.bench.store, scene.bench.scratch, wide, &done) == FP_OK) {}
    ck_assert_uint_eq(spilled(&scene), 40);
    for (unsigned i = 0; i < 40; i++) {
        rng = (struct rng){i};
        if (i % 2 == 0) rng_fill(&rng, page, page_bytes);
        else rng_fill_text(&rng, page, page_bytes);
        ck_assert_int_eq(load_waiting(&scene, i, out), FP_OK);
        ck_assert_mem_eq(out, page, page_bytes);
    }
    free(page);
    free(out);
    teardown(&scene);
}
END_TEST

int main(void)
{
    return suite_run("store_spill", cold_pages_leave_memory_and_every_one_comes_back,
                     what_was_used_stays_for_one_turn_of_the_hand,
                     a_page_comes_back_into_memory_when_it_is_asked_for_again,
                     a_slot_that_changed_while_it_was_read_gives_what_it_holds_now,
                     what_was_spilled_anew_while_it_was_read_is_read_anew,
                     what_ends_frees_its_extent,
                     what_is_mapped_stays_and_what_is_spilled_is_mapped_once_it_is_back,
                     a_seat_has_what_is_spilled_until_that_ends,
                     sparse_extents_are_emptied_before_the_file_is_full,
                     what_could_not_be_written_stays_in_memory,
                     a_damaged_page_is_corrupt_and_no_other,
                     an_area_that_is_deleted_takes_what_it_has_spilled_with_it,
                     pages_of_64_kib_and_pages_that_are_kept_as_they_are_go_too);
}
