/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Two tenants with quotas and guarantees store items and pages, over each other's too, with each
 * allocation failing in turn. Proven each time: what each holds is counted to the byte, no quota is
 * passed, what was acknowledged is there or, of an item, gone; and in the end nobody holds
 * anything. */
#include <inttypes.h>

#include "tests/fault/fault.h"
#include "tests/unit/storage/bench.h"

enum { ROUNDS = 3, KEYS = 6, SLOTS = 8, VALUE_BYTES = 5000, QUOTA_BYTES = 36000, QUOTA_PAGES = 6 };

static struct bench bench;
static const char *const names[] = {"web", "batch"};
static uint8_t tenants[2];
static struct area *areas[2];
static uint64_t pages[2][SLOTS];

static bool done(enum fp_status status)
{
    fp_assert(status == FP_OK || status == FP_NO_MEMORY || status == FP_QUOTA);
    return status == FP_OK;
}

static void make(uint64_t number, uint8_t *bytes, size_t size)
{
    struct rng rng = {.state = number};
    if (number % 3 == 0) rng_fill(&rng, bytes, size);
    else rng_fill_text(&rng, bytes, size);
}

static void within_quotas(void)
{
    for (unsigned i = 0; i < 2; i++) {
        const struct tenant *tenant = &store_tenants(bench.store)->of[tenants[i]];
        fp_assert(atomic_load(&tenant->bytes) <= QUOTA_BYTES);
        fp_assert(atomic_load(&tenant->pages) <= QUOTA_PAGES);
    }
    store_check(bench.store); /* which counts anew what each holds */
}

/* It has this value, or has given way. */
static void check_item(const char *key, struct slice value)
{
    uint8_t out[VALUE_BYTES];
    struct item *item = store_item_acquire(bench.store, bench.scratch, slice_text(key), NULL);
    if (item == NULL) return;
    fp_assert(item->value_bytes == value.size_bytes);
    fp_assert(store_item_read(bench.store, bench.scratch, item, out) == FP_OK);
    fp_assert(slice_equal(slice_of(out, sizeof out), value));
    store_item_release(bench.store, bench.scratch, &item);
}

static void set_items(uint64_t round)
{
    uint8_t value[VALUE_BYTES];
    for (uint64_t i = 0; i < KEYS; i++) {
        char key[16];
        snprintf(key, sizeof key, "key%d", (int)i);
        make(100 * round + i, value, sizeof value);
        bench.scratch->tenant = tenants[(i + round) % 2]; /* the one's becomes the other's */
        if (done(bench_set(&bench, key, slice_of(value, sizeof value))))
            check_item(key, slice_of(value, sizeof value));
        struct item_put more = {.mode = ITEM_APPEND, .key = slice_text(key),
                                .value = slice_text("and more")};
        bench.scratch->tenant = tenants[i % 2];
        enum fp_status status = bench_put(&bench, more);
        if (status != FP_NOT_STORED) (void)done(status);
    }
    bench.scratch->tenant = TENANT_DEFAULT;
}

static void check_page(unsigned of, uint64_t slot)
{
    uint8_t expected[KIT_PAGE_BYTES], out[KIT_PAGE_BYTES];
    enum fp_status status = bench_load(&bench, slot, out);
    fp_assert(status == (pages[of][slot] == 0 ? FP_ABSENT : FP_OK));
    if (status != FP_OK) return;
    make(pages[of][slot], expected, sizeof expected);
    fp_assert(memcmp(out, expected, sizeof out) == 0);
}

static void store_pages(unsigned of, uint64_t round)
{
    uint8_t page[KIT_PAGE_BYTES];
    bench.area = areas[of];
    for (uint64_t slot = 0; slot < SLOTS; slot++) {
        uint64_t number = 1000 * (of + 1) + 100 * round + slot;
        make(number, page, sizeof page);
        if (done(bench_store(&bench, slot, page))) pages[of][slot] = number;
        check_page(of, slot);
    }
    bench_invalidate(&bench, round, round + 2);
    pages[of][round] = pages[of][round + 1] = 0;
}

static void live(void)
{
    struct store *store = bench.store;
    memset(pages, 0, sizeof pages);
    for (unsigned i = 0; i < 2; i++) {
        struct tenant_limits limits = {.quota_bytes = QUOTA_BYTES, .quota_pages = QUOTA_PAGES,
                                       .guaranteed_bytes = QUOTA_BYTES / 2};
        fp_assert(tenants_define(store_tenants(store), slice_text(names[i]), &limits,
                                 &tenants[i]) == FP_OK); /* which needs nothing */
        struct area_options options = {
            .name = slice_text(names[i]), .slot_count = SLOTS, .tenant = tenants[i]};
        areas[i] = NULL;
        (void)done(store_area_create(store, &options, &areas[i]));
    }
    for (uint64_t round = 0; round < ROUNDS; round++) {
        set_items(round);
        for (unsigned i = 0; i < 2; i++)
            if (areas[i] != NULL) store_pages(i, round);
        within_quotas();
    }
    (void)fault_disarm();
    while (store_drop_one(store, bench.scratch)) {}
    for (unsigned i = 0; i < 2; i++) {
        if (areas[i] == NULL) continue;
        bench.area = areas[i];
        for (uint64_t slot = 0; slot < SLOTS; slot++) check_page(i, slot);
        bench_invalidate(&bench, 0, SLOTS);
        area_release(&areas[i]);
    }
    for (unsigned i = 0; i < 2; i++)
        fp_assert(atomic_load(&store_tenants(store)->of[tenants[i]].bytes) == 0);
}

static void play(void)
{
    struct store_options options = {.memory_limit_bytes = 16 * BENCH_MIB,
                                    .page_bytes = KIT_PAGE_BYTES,
                                    .allocator = kit_allocator(),
                                    .compressor = {"lz4", 0},
                                    .hash_seed = 1};
    if (!done(store_create(&options, &bench.store))) return;
    if (done(store_scratch_create(bench.store, &bench.scratch))) {
        bench.scratch->now_ms = BENCH_START_MS;
        bench.scratch->unix_s = BENCH_START_UNIX_S;
        live();
        store_check(bench.store);
        store_scratch_destroy(&bench.scratch);
    }
    store_destroy(&bench.store);
}

int main(void)
{
    play(); /* once in good weather: libraries allocate what they keep */
    printf("each of %" PRIu64 " allocations failed once\n", fault_each(play, false));
    printf("all allocations failed from each of %" PRIu64 " on\n", fault_each(play, true));
    return 0;
}
