/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Pages and parts of pages are written as a disk's, zeroed and read, with each allocation failing
 * once, in turn, and then with all failing from each on. Proven each time: what was refused left
 * every byte as it was, and what was taken is there. */
#include <inttypes.h>

#include "storage/store/page/store_block.h"
#include "tests/fault/fault.h"
#include "tests/unit/storage/bench.h"

enum { SLOTS = 4, TURNS = 24 };

static struct bench bench;
static uint8_t shadow[SLOTS][KIT_PAGE_BYTES];

static bool done(enum fp_status status)
{
    fp_assert(status == FP_OK || status == FP_NO_MEMORY);
    return status == FP_OK;
}

static void expect(uint64_t slot)
{
    uint8_t out[KIT_PAGE_BYTES];
    bool zeros;
    struct page_place place = {bench.area, slot};
    if (!done(store_block_read(bench.store, bench.scratch, place, out, &zeros))) return;
    if (zeros) memset(out, 0, sizeof out);
    fp_assert(memcmp(out, shadow[slot], sizeof out) == 0);
}

static void write_part(struct rng *rng, struct page_place place)
{
    uint8_t bytes[KIT_PAGE_BYTES], room[KIT_PAGE_BYTES];
    uint32_t offset = (uint32_t)rng_below(rng, KIT_PAGE_BYTES);
    struct block_part part = {offset, (uint32_t)rng_below(rng, KIT_PAGE_BYTES - offset) + 1, bytes};
    if (rng_below(rng, 2) == 0) rng_fill_text(rng, bytes, sizeof bytes);
    else rng_fill(rng, bytes, sizeof bytes);
    if (done(store_block_write_part(bench.store, bench.scratch, place, &part, room)))
        memcpy(shadow[place.slot] + offset, bytes, part.size_bytes);
}

static void write_whole(struct rng *rng, struct page_place place)
{
    uint8_t page[KIT_PAGE_BYTES];
    if (rng_below(rng, 2) == 0) rng_fill(rng, page, sizeof page);
    else memset(page, 0, sizeof page);
    if (done(store_block_write(bench.store, bench.scratch, place, page)))
        memcpy(shadow[place.slot], page, sizeof page);
}

static void live(void)
{
    struct rng rng = {.state = 3};
    memset(shadow, 0, sizeof shadow);
    for (int turn = 0; turn < TURNS; turn++) {
        struct page_place place = {bench.area, rng_below(&rng, SLOTS)};
        uint64_t what = rng_below(&rng, 4);
        if (what < 2) write_part(&rng, place);
        else if (what == 2) write_whole(&rng, place);
        else if (done(store_block_zero(bench.store, bench.scratch, place)))
            memset(shadow[place.slot], 0, KIT_PAGE_BYTES);
        expect(place.slot);
    }
    for (uint64_t slot = 0; slot < SLOTS; slot++) expect(slot);
    fp_assert(zpool_fill(store_zpool(bench.store)).pinned_count == 0);
    fp_assert(atomic_load(&store_counters(bench.store)->corrupt) == 0);
    store_check(bench.store);
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
            uint64_t slot = 0;
            fp_assert(store_page_invalidate_some(bench.store, bench.scratch, bench.area, &slot,
                                                 SLOTS) == FP_OK);
            area_release(&bench.area);
        }
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
