/* SPDX-License-Identifier: BSD-3-Clause */
#include "storage/store/page/store_area.h"
#include "storage/area/area_stand.h"

#include <pthread.h>

#include "storage/store/recompress/store_recompress.h"
#include "tests/unit/base/suite.h"
#include "tests/unit/storage/bench.h"

static struct area *make(struct bench *bench, const char *name, uint64_t slots)
{
    struct area *area = NULL;
    struct area_options options = {.name = slice_text(name), .slot_count = slots};
    ck_assert_int_eq(store_area_create(bench->store, &options, &area), FP_OK);
    return area;
}

static bool is_there(struct bench *bench, const char *name)
{
    struct area *area = NULL;
    enum fp_status status = store_area_acquire(bench->store, slice_text(name), &area);
    area_release(&area);
    return status == FP_OK;
}

/* How many steps there were until nothing was left to do for now. */
static unsigned reap(struct bench *bench)
{
    uint64_t ended;
    unsigned steps = 0;
    while (store_area_reap_step(bench->store, bench->scratch, &ended)) steps++;
    return steps;
}

static uint64_t held(struct bench *bench)
{
    return budget_total(store_budget(bench->store));
}

START_TEST(areas_are_found_by_name_and_size)
{
    struct bench bench;
    struct area *area = NULL, *again = NULL;
    bench_setup(&bench, (struct store_options){0}, 100);
    ck_assert_int_eq(store_area_open(bench.store, slice_text("b"), 0, &area), FP_ABSENT);
    ck_assert_ptr_null(area);
    ck_assert_int_eq(store_area_open(bench.store, slice_text("b"), 7, &area), FP_OK);
    ck_assert_int_eq(store_area_open(bench.store, slice_text("b"), 0, &again), FP_OK);
    ck_assert_ptr_eq(area, again);
    again = NULL;
    ck_assert_int_eq(store_area_open(bench.store, slice_text("b"), 8, &again), FP_EXISTS);
    ck_assert_ptr_null(again);
    ck_assert_int_eq(store_area_open(bench.store, slice_text("swap"), 100, &again), FP_OK);
    ck_assert_ptr_eq(again, bench.area);
    ck_assert(area->generation != bench.area->generation);
    bench_teardown(&bench);
}
END_TEST

START_TEST(all_areas_are_walked_and_deleted_ones_are_not_among_them)
{
    struct bench bench;
    struct area *area = NULL;
    char walked[8] = "";
    bench_setup(&bench, (struct store_options){0}, 100);
    struct area *a = make(&bench, "a", 1), *b = make(&bench, "b", 1), *c = make(&bench, "c", 1);
    ck_assert(store_area_delete(bench.store, b));
    while ((area = store_area_next(bench.store, area)) != NULL)
        walked[strlen(walked)] = area->name[0];
    ck_assert_str_eq(walked, "sac");
    ck_assert(atomic_load(&a->uses) == 2 && atomic_load(&b->uses) == 2); /* none is left behind */
    area_release(&a);
    area_release(&b);
    area_release(&c);
    bench_teardown(&bench);
}
END_TEST

START_TEST(too_many_areas_are_refused_until_one_is_gone)
{
    struct bench bench;
    struct area *area = NULL;
    bench_setup(&bench, (struct store_options){0}, 100);
    for (int i = 1; i < STORE_AREAS_MAX; i++) {
        char name[16];
        (void)snprintf(name, sizeof name, "area%d", i);
        area = make(&bench, name, 1);
        if (i + 1 < STORE_AREAS_MAX) area_release(&area);
    }
    struct area *more = NULL;
    ck_assert_int_eq(store_area_open(bench.store, slice_text("more"), 1, &more), FP_TOO_BIG);
    ck_assert(is_there(&bench, "area9"));
    ck_assert(store_area_delete(bench.store, area));
    ck_assert_int_eq(store_area_open(bench.store, slice_text("more"), 1, &more), FP_TOO_BIG);
    area_release(&area);
    ck_assert_uint_eq(reap(&bench), 1);
    ck_assert_int_eq(store_area_open(bench.store, slice_text("more"), 1, &more), FP_OK);
    ck_assert(store_area_from(bench.store, STORE_AREAS_MAX) == NULL);
    bench_teardown(&bench);
}
END_TEST

START_TEST(a_deleted_area_frees_its_name_at_once_and_its_user_is_told)
{
    struct bench bench;
    uint8_t page[KIT_PAGE_BYTES] = {1}, out[KIT_PAGE_BYTES];
    bench_setup(&bench, (struct store_options){0}, 5000);
    struct area *old = bench.area;
    ck_assert_int_eq(bench_store(&bench, 3, page), FP_OK);
    ck_assert(store_area_delete(bench.store, old) && !store_area_delete(bench.store, old));
    ck_assert(!is_there(&bench, "swap"));
    ck_assert_int_eq(bench_load(&bench, 3, out), FP_LOST);
    ck_assert_int_eq(bench_load(&bench, 4, out), FP_LOST); /* not absent */
    ck_assert_int_eq(bench_store(&bench, 4, page), FP_LOST);
    struct area *young = make(&bench, "swap", 10);
    ck_assert(young != old && young->generation > old->generation);
    ck_assert_int_eq(bench_load(&bench, 3, out), FP_LOST);
    bench.area = young;
    ck_assert_int_eq(bench_load(&bench, 3, out), FP_ABSENT);
    reap(&bench);
    ck_assert_uint_eq(store_areas_dying(bench.store), 1); /* for its user's sake */
    bench.area = old;
    ck_assert_int_eq(bench_load(&bench, 3, out), FP_LOST);
    area_release(&old);
    reap(&bench);
    ck_assert_uint_eq(store_areas_dying(bench.store), 0);
    bench.area = young;
    ck_assert_int_eq(bench_store(&bench, 4, page), FP_OK);
    bench_teardown(&bench);
}
END_TEST

START_TEST(a_deleted_area_is_emptied_in_bounded_steps_and_leaves_nothing_behind)
{
    enum { SLOTS = 300000, STEP_PAGES_MAX = 1024 };
    struct bench bench;
    uint8_t page[KIT_PAGE_BYTES];
    uint64_t ended, most = 0, sum = 0;
    unsigned steps = 0;
    struct rng rng = {.state = 4};
    bench_setup(&bench, (struct store_options){0}, 10);
    uint64_t before = held(&bench);
    struct area *area = bench.area = make(&bench, "large", 1ull << 28);
    for (uint64_t i = 0; i < 20000; i++) {
        memset(page, (int)i, sizeof page);
        if (i % 10 == 0) rng_fill(&rng, page, 64); /* an object */
        ck_assert_int_eq(bench_store(&bench, i * 800, page), FP_OK);
    }
    ck_assert(store_area_delete(bench.store, area));
    area_release(&area);
    while (store_area_reap_step(bench.store, bench.scratch, &ended)) {
        most = ended > most ? ended : most;
        sum += ended;
        steps++;
    }
    ck_assert(most > 0 && most <= STEP_PAGES_MAX && steps > 20000 / STEP_PAGES_MAX);
    ck_assert_uint_eq(sum, 20000);
    ck_assert_uint_eq(store_areas_dying(bench.store), 0);
    arena_trim(zpool_arena(store_zpool(bench.store)));
    ck_assert(held(&bench) <= before + (2 << 20)); /* the allocator's descriptors and the packer */
    ck_assert(budget_held(store_budget(bench.store), BUDGET_SLOTS) == sizeof(struct area));
    bench_teardown(&bench);
}
END_TEST

START_TEST(what_was_deleted_gives_way_to_a_store_before_items_do)
{
    struct bench bench;
    struct rng rng = {.state = 1};
    uint8_t page[KIT_PAGE_BYTES], value[3000];
    bench_setup(&bench, (struct store_options){.memory_limit_bytes = 4 * BENCH_MIB}, 4096);
    struct area *old = bench.area;
    rng_fill(&rng, value, sizeof value);
    ck_assert_int_eq(bench_set(&bench, "kept", slice_of(value, sizeof value)), FP_OK);
    for (uint64_t slot = 0; slot < 600; slot++) {
        rng_fill(&rng, page, sizeof page);
        ck_assert_int_eq(bench_store(&bench, slot, page), FP_OK);
    }
    ck_assert(store_area_delete(bench.store, old));
    area_release(&old);
    bench.area = make(&bench, "next", 4096);
    for (uint64_t slot = 0; slot < 800; slot++) {
        rng_fill(&rng, page, sizeof page);
        ck_assert_int_eq(bench_store(&bench, slot, page), FP_OK);
    }
    ck_assert(bench_has(&bench, "kept", slice_of(value, sizeof value)));
    bench_teardown(&bench);
}
END_TEST

START_TEST(areas_of_each_page_size_live_side_by_side)
{
    static const uint32_t sizes[] = {4 << 10, 16 << 10, 64 << 10};
    struct bench bench;
    struct rng rng = {.state = 2};
    uint8_t *page = malloc(64 << 10), *out = malloc(64 << 10);
    bench_setup(&bench, (struct store_options){.page_bytes = 16 << 10}, 100);
    ck_assert_uint_eq(bench.area->page_bytes, 16 << 10);
    for (size_t i = 0; i < FP_COUNT_OF(sizes); i++) {
        char name[] = {(char)('a' + i), 0};
        struct area_options options = {
            .name = slice_text(name), .slot_count = 10, .page_bytes = sizes[i]};
        ck_assert_int_eq(store_area_create(bench.store, &options, &bench.area), FP_OK);
        memset(page, (int)i, sizes[i]);
        rng_fill(&rng, page, sizes[i] / 3);
        ck_assert_int_eq(bench_store(&bench, 9, page), FP_OK);
        ck_assert_int_eq(bench_load(&bench, 9, out), FP_OK);
        ck_assert_mem_eq(out, page, sizes[i]);
    }
    bench_teardown(&bench);
    free(page);
    free(out);
}
END_TEST

START_TEST(a_quota_is_answered_counted_and_costs_no_object)
{
    struct bench bench;
    struct rng rng = {.state = 3};
    uint8_t page[KIT_PAGE_BYTES];
    bench_setup(&bench, (struct store_options){0}, 10);
    struct area_options options = {.name = slice_text("a"), .slot_count = 10, .quota_pages = 1};
    ck_assert_int_eq(store_area_create(bench.store, &options, &bench.area), FP_OK);
    rng_fill(&rng, page, sizeof page);
    ck_assert_int_eq(bench_store(&bench, 1, page), FP_OK);
    ck_assert_int_eq(bench_store(&bench, 2, page), FP_QUOTA);
    ck_assert_int_eq(bench_store(&bench, 1, page), FP_OK);
    ck_assert_uint_eq(atomic_load(&bench.area->counters.over_quota), 1);
    ck_assert_uint_eq(atomic_load(&store_counters(bench.store)->reject_quota), 1);
    ck_assert_uint_eq(atomic_load(&store_counters(bench.store)->pool_limit_hit), 0);
    ck_assert_uint_eq(atomic_load(&bench.area->counters.refused), 0);
    ck_assert_uint_eq(zpool_fill(store_zpool(bench.store)).object_count, 1);
    bench_teardown(&bench);
}
END_TEST

/* --- all at once ------------------------------------------------------------------------------ */

enum { USERS = 3, NAMES = 4, STRESS_SLOTS = 3000, ROUNDS = 400, OPS = 30 };

struct stress {
    pthread_t thread;
    struct store *store;
    struct store_scratch *scratch;
    uint64_t seed, lost;
    _Atomic bool *over;
};

/* A page that says whose it is: what a load gives must be of that very area and slot. */
static void fill(uint8_t *page, const struct area *area, uint64_t slot)
{
    struct rng rng = {.state = area->generation << 32 | slot};
    memset(page, (int)slot, KIT_PAGE_BYTES);
    rng_fill(&rng, page, 600);
}

static void use(struct stress *stress, struct area *area, struct rng *rng)
{
    uint8_t page[KIT_PAGE_BYTES], out[KIT_PAGE_BYTES];
    struct page_place place = {.area = area, .slot = rng_below(rng, STRESS_SLOTS)};
    uint32_t crc;
    fill(page, area, place.slot);
    bool was = area_deleted(area);
    enum fp_status status;
    if (rng_below(rng, 2) == 0) {
        status = store_page_store(stress->store, stress->scratch, place, page,
                                  crc32c(page, sizeof page));
        fp_assert(status == FP_OK || status == FP_LOST);
    } else {
        status = store_page_load(stress->store, stress->scratch, place, out, &crc);
        fp_assert(status == FP_OK || status == FP_LOST || status == FP_ABSENT);
        fp_assert(status != FP_OK || memcmp(page, out, sizeof page) == 0);
    }
    fp_assert(!was || status == FP_LOST);
    stress->lost += status == FP_LOST;
}

static void *use_areas(void *argument)
{
    struct stress *stress = argument;
    struct rng rng = {.state = stress->seed};
    for (unsigned round = 0; round < ROUNDS; round++) {
        char name[] = {(char)('a' + rng_below(&rng, NAMES)), 0};
        struct area *area = NULL;
        enum fp_status status =
            store_area_open(stress->store, slice_text(name), STRESS_SLOTS, &area);
        if (status == FP_ABSENT) continue; /* made, found, and deleted by others in between */
        fp_assert(status == FP_OK);
        bool ends = rng_below(&rng, 4) == 0;
        for (unsigned i = 0; i < OPS; i++) {
            use(stress, area, &rng);
            if (ends && i == OPS / 2) (void)!store_area_delete(stress->store, area);
        }
        area_release(&area);
    }
    return NULL;
}

static void *walk_and_reap(void *argument)
{
    struct stress *stress = argument;
    struct recompress *walk;
    struct recompress_counts counts = {0};
    struct recompress_plan plan = {.drain = true, .plain = true, .asked = true};
    struct recompress_limits limits = {.looks = 200, .tries = 20};
    uint64_t ended;
    fp_assert(recompress_create(stress->store, &walk) == FP_OK);
    while (!atomic_load(stress->over)) {
        int level = 1 + (int)(stress->seed++ % 8);
        struct compressor_config next = {"zstd", level, NULL};
        (void)!compressor_pool_swap(store_compressors(stress->store), &next);
        (void)recompress_begin(walk, &plan);
        while (!recompress_step(walk, stress->scratch, limits, &counts))
            (void)store_area_reap_step(stress->store, stress->scratch, &ended);
        compressor_pool_upkeep(store_compressors(stress->store));
    }
    recompress_destroy(&walk);
    fp_assert(counts.corrupt == 0);
    return NULL;
}

static void *look(void *argument)
{
    struct stress *stress = argument;
    uint64_t ended;
    while (!atomic_load(stress->over)) {
        struct area *area = NULL;
        while ((area = store_area_next(stress->store, area)) != NULL)
            fp_assert(area->generation != 0 && area->name[1] == '\0');
        (void)store_area_reap_step(stress->store, stress->scratch, &ended);
    }
    return NULL;
}

START_TEST(areas_come_and_go_under_their_users_recompression_and_statistics)
{
    static void *(*const runs[])(void *) = {use_areas, use_areas, use_areas, walk_and_reap, look};
    struct stress threads[FP_COUNT_OF(runs)];
    _Atomic bool over = false;
    uint64_t lost = 0;
    struct bench bench;
    bench_setup(&bench, (struct store_options){0}, 1);
    ck_assert(store_area_delete(bench.store, bench.area)); /* its name is longer */
    area_release(&bench.area);
    for (size_t i = 0; i < FP_COUNT_OF(runs); i++) {
        threads[i] = (struct stress){.store = bench.store, .seed = i, .over = &over};
        ck_assert_int_eq(store_scratch_create(bench.store, &threads[i].scratch), FP_OK);
        ck_assert_int_eq(pthread_create(&threads[i].thread, NULL, runs[i], &threads[i]), 0);
    }
    for (size_t i = 0; i < FP_COUNT_OF(runs); i++) {
        if (i == USERS) atomic_store(&over, true);
        ck_assert_int_eq(pthread_join(threads[i].thread, NULL), 0);
        store_scratch_destroy(&threads[i].scratch);
        lost += threads[i].lost;
    }
    reap(&bench);
    ck_assert(lost > 0);
    ck_assert_uint_eq(store_areas_dying(bench.store), 0);
    bench_teardown(&bench);
}
END_TEST

static enum fp_status forget(struct bench *bench, uint64_t slot)
{
    return store_page_invalidate_some(bench->store, bench->scratch, bench->area, &slot, slot + 1);
}

START_TEST(a_frozen_area_is_read_and_not_changed)
{
    struct bench bench;
    uint8_t page[KIT_PAGE_BYTES] = {7}, back[KIT_PAGE_BYTES];
    bench_setup(&bench, (struct store_options){0}, 3000);
    ck_assert_int_eq(bench_store(&bench, 5, page), FP_OK);
    ck_assert(!store_area_move(bench.store, bench.area, slice_text("there"))); /* not frozen */
    ck_assert(area_freeze(bench.area));
    ck_assert(!area_freeze(bench.area));
    ck_assert_int_eq(bench_store(&bench, 5, page), FP_FROZEN);
    ck_assert_int_eq(bench_store(&bench, 2999, page), FP_FROZEN);
    ck_assert_int_eq(forget(&bench, 5), FP_FROZEN);
    ck_assert_int_eq(bench_load(&bench, 5, back), FP_OK);
    ck_assert_mem_eq(back, page, sizeof page);
    ck_assert_int_eq(bench_load(&bench, 6, back), FP_ABSENT);
    area_thaw(bench.area);
    ck_assert_int_eq(bench_store(&bench, 6, page), FP_OK);
    ck_assert_int_eq(forget(&bench, 5), FP_OK);
    ck_assert_int_eq(bench_load(&bench, 5, back), FP_ABSENT);
    bench_teardown(&bench);
}
END_TEST

START_TEST(a_moved_area_is_emptied_and_says_where_it_is)
{
    struct bench bench;
    uint8_t page[KIT_PAGE_BYTES] = {7};
    bench_setup(&bench, (struct store_options){0}, 5000);
    for (uint64_t slot = 0; slot < 5000; slot++)
        ck_assert_int_eq(bench_store(&bench, slot, page), FP_OK);
    ck_assert(area_freeze(bench.area));
    ck_assert(store_area_move(bench.store, bench.area, slice_text("there")));
    ck_assert_int_eq(bench_load(&bench, 4999, page), FP_MOVED); /* never absent, at no time */
    ck_assert(reap(&bench) > 1);
    ck_assert(atomic_load(&bench.area->counters.stored) == 0);
    ck_assert_uint_eq(atomic_load(&store_counters(bench.store)->unused_pages), 5000);
    ck_assert_int_eq(bench_load(&bench, 0, page), FP_MOVED);
    ck_assert_int_eq(bench_store(&bench, 0, page), FP_MOVED);
    ck_assert_int_eq(forget(&bench, 0), FP_MOVED);
    area_thaw(bench.area); /* there is no way back */
    ck_assert_int_eq(area_stand(bench.area), AREA_MOVED);
    ck_assert(is_there(&bench, "swap"));
    ck_assert(bench.area->forward.size_bytes == 5);
    ck_assert_mem_eq(bench.area->forward.bytes, "there", 5);
    ck_assert_uint_eq(reap(&bench), 0);

    ck_assert(store_area_delete(bench.store, bench.area));
    ck_assert(!is_there(&bench, "swap"));
    ck_assert_int_eq(bench_load(&bench, 0, page), FP_LOST);
    bench_teardown(&bench);
}
END_TEST

START_TEST(an_area_deleted_while_it_leaves_is_ended_once)
{
    struct bench bench;
    uint8_t page[KIT_PAGE_BYTES] = {7};
    uint64_t ended;
    bench_setup(&bench, (struct store_options){0}, 5000);
    for (uint64_t slot = 0; slot < 5000; slot++)
        ck_assert_int_eq(bench_store(&bench, slot, page), FP_OK);
    ck_assert(area_freeze(bench.area));
    ck_assert(store_area_move(bench.store, bench.area, slice_text("there")));
    ck_assert(store_area_reap_step(bench.store, bench.scratch, &ended));
    ck_assert(atomic_load(&bench.area->counters.stored) > 0);
    ck_assert(store_area_delete(bench.store, bench.area));
    reap(&bench);
    ck_assert(atomic_load(&bench.area->counters.stored) == 0);
    ck_assert_uint_eq(store_areas_dying(bench.store), 1); /* the bench has it still */
    bench_teardown(&bench);
}
END_TEST

int main(void)
{
    return suite_run("store_area", a_frozen_area_is_read_and_not_changed,
                     a_moved_area_is_emptied_and_says_where_it_is,
                     an_area_deleted_while_it_leaves_is_ended_once,
                     areas_are_found_by_name_and_size,
                     all_areas_are_walked_and_deleted_ones_are_not_among_them,
                     too_many_areas_are_refused_until_one_is_gone,
                     a_deleted_area_frees_its_name_at_once_and_its_user_is_told,
                     a_deleted_area_is_emptied_in_bounded_steps_and_leaves_nothing_behind,
                     what_was_deleted_gives_way_to_a_store_before_items_do,
                     areas_of_each_page_size_live_side_by_side,
                     a_quota_is_answered_counted_and_costs_no_object,
                     areas_come_and_go_under_their_users_recompression_and_statistics);
}
