/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Pages and items are mapped, written, stored to meanwhile and published, with each allocation
 * failing once, in turn, and then with all failing from each on.
 *
 * Proven each time: what could not be mapped is mapped by nobody and pinned nowhere; what is mapped
 * can be read and written to the end, however little memory there is; what could not be published
 * can be discarded, and the old content is there.
 */
#include <inttypes.h>

#include "storage/store/map/store_map.h"
#include "tests/fault/fault.h"
#include "tests/unit/storage/bench.h"

enum { SLOTS = 4, VALUE_BYTES = 40000 };

static struct bench bench;
static uint8_t value[VALUE_BYTES], other[VALUE_BYTES];
static bool there[SLOTS], has_item;

static bool done(enum fp_status status)
{
    fp_assert(status == FP_OK || status == FP_NO_MEMORY);
    return status == FP_OK;
}

/* Text, noise, a repeated byte: packed, lent where it lies, and no object at all. */
static void make_page(uint64_t slot, uint8_t *page)
{
    struct rng rng = {.state = slot};
    if (slot % 3 == 0) rng_fill_text(&rng, page, KIT_PAGE_BYTES);
    if (slot % 3 == 1) rng_fill(&rng, page, KIT_PAGE_BYTES);
    if (slot % 3 == 2) memset(page, (int)slot, KIT_PAGE_BYTES);
}

static bool map_page(uint64_t slot, enum map_mode mode, struct store_map **map)
{
    struct map_wish wish = {.mode = mode, .bytes_max = UINT64_MAX};
    struct page_place place = {.area = bench.area, .slot = slot};
    return done(store_map_page(bench.store, bench.scratch, place, &wish, map));
}

static bool map_item(enum map_mode mode, struct store_map **map)
{
    struct map_wish wish = {.mode = mode, .bytes_max = UINT64_MAX};
    enum fp_status status =
        store_map_item(bench.store, bench.scratch, slice_text("k"), &wish, map);
    return status != FP_ABSENT && done(status); /* absent: it gave way */
}

/* Once mapped there is memory for it. */
static void expect(struct store_map *map, const uint8_t *bytes, size_t size)
{
    struct lent lent;
    for (size_t at = 0; at < size; at += lent.bytes.size_bytes) {
        fp_assert(store_map_read(map, bench.scratch, at, size - at, &lent) == FP_OK);
        fp_assert(memcmp(lent.bytes.bytes, bytes + at, lent.bytes.size_bytes) == 0);
    }
}

static void expect_stored(uint64_t slot, const uint8_t *page)
{
    uint8_t out[KIT_PAGE_BYTES];
    fp_assert(bench_load(&bench, slot, out) == FP_OK);
    fp_assert(memcmp(out, page, sizeof out) == 0);
}

static void play_page(uint64_t slot)
{
    uint8_t old[KIT_PAGE_BYTES], next[KIT_PAGE_BYTES];
    struct store_map *reader = NULL, *writer = NULL;
    make_page(slot, old);
    make_page(slot + 7, next);
    bool reads = map_page(slot, MAP_READ, &reader);
    if (map_page(slot, MAP_READ_WRITE, &writer)) {
        fp_assert(store_map_write(writer, bench.scratch, 0, slice_of(next, 100)) == FP_OK);
        memcpy(next + 100, old + 100, sizeof next - 100);
        expect(writer, next, sizeof next);
        bool published = done(store_map_publish(writer, bench.scratch));
        expect_stored(slot, published ? next : old);
        store_map_end(&writer, bench.scratch);
    }
    if (reads) expect(reader, old, sizeof old);
    bool stored = done(bench_store(&bench, slot, old));
    if (map_page(slot, MAP_OVERWRITE, &writer)) {
        bool again = done(bench_store(&bench, slot, old));
        fp_assert(store_map_write(writer, bench.scratch, 0, slice_of(old, 10)) == FP_OK);
        enum fp_status status = store_map_publish(writer, bench.scratch);
        if (again) fp_assert(status == FP_EXISTS);
        else (void)done(status);
        store_map_end(&writer, bench.scratch);
    }
    if (reads) expect(reader, old, sizeof old);
    store_map_end(&reader, bench.scratch);
    (void)stored;
}

/* It is mapped, so it cannot give way. */
static void expect_item(const uint8_t *bytes)
{
    static uint8_t out[VALUE_BYTES];
    struct item *item = store_item_acquire(bench.store, bench.scratch, slice_text("k"), NULL);
    fp_assert(item != NULL && item->value_bytes == VALUE_BYTES);
    fp_assert(store_item_read(bench.store, bench.scratch, item, out) == FP_OK);
    fp_assert(memcmp(out, bytes, VALUE_BYTES) == 0);
    store_item_release(bench.store, bench.scratch, &item);
}

static void play_item(void)
{
    static uint8_t changed[VALUE_BYTES];
    struct store_map *reader = NULL, *writer = NULL;
    bool reads = map_item(MAP_READ, &reader);
    if (map_item(MAP_READ_WRITE, &writer)) {
        struct slice part = slice_of(other + 16000, 1000);
        fp_assert(store_map_write(writer, bench.scratch, 16000, part) == FP_OK);
        bool published = done(store_map_publish(writer, bench.scratch));
        memcpy(changed, value, sizeof changed);
        memcpy(changed + 16000, part.bytes, part.size_bytes);
        expect_item(published ? changed : value);
        store_map_end(&writer, bench.scratch);
    }
    (void)done(bench_set(&bench, "k", slice_of(other, sizeof other)));
    if (reads) expect(reader, value, sizeof value);
    store_map_end(&reader, bench.scratch);
}

static void live(void)
{
    uint8_t page[KIT_PAGE_BYTES];
    for (uint64_t slot = 0; slot < SLOTS; slot++) {
        make_page(slot, page);
        there[slot] = done(bench_store(&bench, slot, page));
    }
    has_item = done(bench_set(&bench, "k", slice_of(value, sizeof value)));
    for (uint64_t slot = 0; slot < SLOTS; slot++)
        if (there[slot]) play_page(slot);
    if (has_item) play_item();
    fp_assert(zpool_fill(store_zpool(bench.store)).pinned_count == 0);
    fp_assert(budget_held(store_budget(bench.store), BUDGET_MAPS) == 0);
    fp_assert(atomic_load(&store_counters(bench.store)->corrupt) == 0);
    store_check(bench.store);
    bench_invalidate(&bench, 0, SLOTS);
}

static void play(void)
{
    struct store_options options = {.memory_limit_bytes = 16 * BENCH_MIB,
                                    .page_bytes = KIT_PAGE_BYTES,
                                    .allocator = kit_allocator(),
                                    .compressor = {"lz4", 0}};
    bench = (struct bench){0};
    if (!done(store_create(&options, &bench.store))) return;
    if (done(store_scratch_create(bench.store, &bench.scratch))) {
        bench.scratch->now_ms = BENCH_START_MS;
        bench.scratch->unix_s = BENCH_START_UNIX_S;
        if (done(store_area_open(bench.store, slice_text("a"), SLOTS, &bench.area))) {
            live();
            area_release(&bench.area);
        }
        store_scratch_destroy(&bench.scratch);
    }
    store_destroy(&bench.store);
}

int main(void)
{
    struct rng rng = {.state = 1};
    rng_fill_text(&rng, value, VALUE_BYTES / 2);
    rng_fill(&rng, value + VALUE_BYTES / 2, VALUE_BYTES / 2);
    rng_fill_text(&rng, other, VALUE_BYTES);
    play(); /* once in good weather: libraries allocate what they keep */
    printf("each of %" PRIu64 " allocations failed once\n", fault_each(play, false));
    printf("all allocations failed from each of %" PRIu64 " on\n", fault_each(play, true));
    return 0;
}
