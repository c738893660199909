/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Pages go to the file below memory and come back, are stored over, moved together, promoted and
 * scrubbed, with each allocation failing in turn, and each call to the disk: refused, told that it
 * is full, only half done.
 *
 * Proven each time: what was acknowledged is there, byte for byte, as soon as the disk reads again;
 * what cannot be read says so and is never something else; what is half done is gone on with; the
 * scrub takes a disk that refuses for no damage; and nothing is left behind. */
#include <inttypes.h>
#include <unistd.h>

#include "storage/area/area_stand.h"
#include "storage/store/spill/store_spill.h"
#include "storage/store/store_scrub.h"
#include "tests/fault/fault.h"
#include "tests/unit/storage/bench.h"

enum { SLOTS = 24, EXTENT_BYTES = 16 << 10, EXTENTS = 6, STEPS_MAX = 40 };

static struct bench bench;
static uint64_t numbers[SLOTS]; /* of the page that a slot has; 0: none */
static bool unread;             /* the disk may have refused a read */
static bool halves;             /* nothing is to fail */

static bool done(enum fp_status status)
{
    fp_assert(status == FP_OK || (status == FP_NO_MEMORY && !halves));
    return status == FP_OK;
}

static void make_page(uint64_t number, uint8_t *page)
{
    struct rng rng = {.state = number};
    if (number % 4 == 0) rng_fill(&rng, page, KIT_PAGE_BYTES);
    else rng_fill_text(&rng, page, KIT_PAGE_BYTES);
}

static void is_page(uint64_t slot, const uint8_t *page)
{
    uint8_t expected[KIT_PAGE_BYTES];
    make_page(numbers[slot], expected);
    fp_assert(memcmp(page, expected, sizeof expected) == 0);
}

static void check_page(uint64_t slot)
{
    uint8_t out[KIT_PAGE_BYTES];
    struct page_wish wish = {.out = out};
    struct page_packed page;
    struct page_place place = {bench.area, slot};
    enum fp_status status =
        store_page_load_waiting(bench.store, bench.scratch, place, &wish, &page);
    if (numbers[slot] == 0) fp_assert(status == FP_ABSENT);
    else if (status == FP_OK) is_page(slot, out);
    else fp_assert(status == FP_NO_MEMORY || (status == FP_CORRUPT && unread));
    fp_assert(status == FP_OK || status == FP_ABSENT || !halves);
}

static void check_all(void)
{
    for (uint64_t slot = 0; slot < SLOTS; slot++) check_page(slot);
}

static void store_pages(uint64_t first, uint64_t step, uint64_t number)
{
    uint8_t page[KIT_PAGE_BYTES];
    for (uint64_t slot = first; slot < SLOTS; slot += step) {
        make_page(number + slot, page);
        if (done(bench_store(&bench, slot, page))) numbers[slot] = number + slot;
    }
}

/* Until nothing more goes, or it stands still. */
static void spill(void)
{
    struct spill_limits limits = {.bytes = EXTENT_BYTES, .looks = 2 * SLOTS};
    struct spill_step step;
    enum fp_status status = FP_OK;
    for (int i = 0; i < STEPS_MAX && status == FP_OK; i++)
        status = store_spill_step(bench.store, bench.scratch, limits, &step);
    fp_assert(status != FP_IO || !halves);
    spill_file_assert(store_spill_file(bench.store));
}

static void close_gaps(void)
{
    struct spill_step step;
    enum fp_status status = FP_OK;
    for (int i = 0; i < STEPS_MAX && status == FP_OK; i++)
        status = store_spill_gaps(bench.store, bench.scratch, &step);
    spill_file_assert(store_spill_file(bench.store));
}

static void promote(uint64_t slot)
{
    struct store_read read;
    struct page_place place = {bench.area, slot};
    if (store_read_begin(bench.store, NULL, place, &read) != FP_OK) return;
    store_read_run(bench.store, &read);
    enum fp_status status =
        store_read_promote(bench.store, bench.scratch, &read, PROMOTE_ALWAYS);
    fp_assert(status == FP_OK || status == FP_NO_MEMORY || (status == FP_CORRUPT && unread));
    store_read_end(bench.store, bench.scratch, &read);
    check_page(slot);
}

static bool go_on(void *context)
{
    (void)context;
    return true;
}

static void found(void *context, const struct scrub_found *what)
{
    (void)context, (void)what;
    fp_assert(false); /* nothing is damaged */
}

static void scrub(void)
{
    struct scrub_caller caller = {.go_on = go_on, .found = found};
    struct scrub_counts counts = {0};
    struct store_scrub *walk;
    if (!done(store_scrub_create(bench.store, &caller, &walk))) return;
    (void)store_scrub_begin(walk);
    while (!store_scrub_step(walk, bench.scratch, 10, &counts)) {}
    fp_assert(counts.damaged_pages == 0 && (counts.unread_pages == 0 || !halves));
    store_scrub_destroy(&walk);
}

static void live(void)
{
    memset(numbers, 0, sizeof numbers);
    store_pages(0, 1, 1000);
    spill();
    check_all();
    store_pages(0, 3, 2000);
    spill();
    bench_invalidate(&bench, 5, 9);
    for (uint64_t slot = 5; slot < 9; slot++) numbers[slot] = 0;
    close_gaps();
    scrub();
    promote(10);
    promote(12);
    check_all();
    unread = false;
    (void)fault_disarm();
    check_all(); /* in good weather nothing is missing */
    spill();
    check_all();
    bench_invalidate(&bench, 0, SLOTS);
    fp_assert(store_spill_file(bench.store) == NULL ||
              spill_file_fill(store_spill_file(bench.store)).live_bytes == 0);
    store_check(bench.store);
}

static const char *directory(void)
{
    return access("/dev/shm", W_OK) == 0 ? "/dev/shm" : ".";
}

/* What is free is given back, or stays where the disk refuses that; either way it is used again. */
static void play_holes(void)
{
    enum { FREE = SPILL_KEPT_MIN + 4 };
    static _Alignas(SPILL_ALIGN_BYTES) uint8_t bytes[SPILL_ALIGN_BYTES];
    char why[SPILL_WHY_BYTES];
    struct budget budget;
    struct spill_extent extents[FREE];
    struct spill_file *file;
    struct spill_file_options options = {.path = directory(), .budget = &budget,
                                         .size_bytes = FREE * sizeof bytes,
                                         .extent_bytes = sizeof bytes};
    budget_init(&budget, BENCH_MIB);
    if (spill_file_open(&options, &file, why) != FP_OK) return;
    for (int round = 0; round < 2; round++) {
        for (unsigned i = 0; i < FREE; i++) {
            fp_assert(spill_extent_take(file, SPILL_LAST_TOO, &extents[i]) == FP_OK);
            (void)!spill_extent_write(file, &extents[i], bytes, sizeof bytes);
        }
        for (unsigned i = 0; i < FREE; i++) spill_extent_done(file, &extents[i]);
        uint32_t given = spill_file_give_back(file, FREE);
        fp_assert(given == FREE - SPILL_KEPT_MIN || !halves);
        spill_file_assert(file);
    }
    spill_file_close(&file);
}

/* False: there is no file. */
static bool open_file(void)
{
    char why[SPILL_WHY_BYTES] = "";
    struct spill_file_options file = {
        .path = directory(), .size_bytes = EXTENTS * EXTENT_BYTES, .extent_bytes = EXTENT_BYTES};
    enum fp_status status = store_spill_open(bench.store, &file, why);
    fp_assert(status == FP_OK || status == FP_NO_MEMORY || (status == FP_IO && !halves));
    fp_assert(status == FP_OK || why[0] != '\0'); /* who starts the server reads it */
    return status == FP_OK;
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
        if (open_file() && done(store_area_open(bench.store, slice_text("a"), SLOTS, &bench.area)))
            live();
        if (bench.area != NULL) area_release(&bench.area);
        store_scratch_destroy(&bench.scratch);
    }
    store_destroy(&bench.store);
}

static void play_disk(void)
{
    unread = true;
    play();
}

int main(void)
{
    play(); /* once in good weather: libraries allocate what they keep */
    printf("each of %" PRIu64 " allocations failed once\n", fault_each(play, false));
    printf("all allocations failed from each of %" PRIu64 " on\n", fault_each(play, true));
    for (int for_good = 0; for_good < 2; for_good++) {
        const char *how = for_good ? "for good" : "once";
        uint64_t calls = fault_each_of(FAULT_DISK, play_disk, for_good);
        uint64_t writes = fault_each_of(FAULT_DISK_FULL, play, for_good);
        printf("each of %" PRIu64 " calls to the disk failed %s; it was full at each of %" PRIu64
               "\n", calls, how, writes);
    }
    (void)fault_each_of(FAULT_DISK, play_holes, false);
    (void)fault_each_of(FAULT_DISK, play_holes, true);
    halves = true;
    play_holes();
    printf("each of %" PRIu64 " reads and writes did half, and then all did\n",
           fault_each_of(FAULT_DISK_SHORT, play, false) +
               fault_each_of(FAULT_DISK_SHORT, play, true));
    return 0;
}
