/* SPDX-License-Identifier: BSD-3-Clause
 *
 * A snapshot is taken while pages and items are stored over, and another store begins with it, with
 * each allocation failing in turn. Proven each time: the snapshot is whole or says that it broke;
 * one that is whole has every page as it was when it began; who stores meanwhile loses nothing that
 * was acknowledged; and nothing is left behind. */
#include <inttypes.h>

#include "storage/store/snapshot/store_restore.h"
#include "storage/store/snapshot/store_snapshot.h"
#include "tests/fault/fault.h"
#include "tests/unit/storage/bench.h"

enum { SLOTS = 1100, STORED = 40, EVERY = 27, ITEMS = 3, VALUE_BYTES = 20000 };

static struct bench bench, again;
static uint64_t pages[STORED], frozen[STORED];
static uint8_t image[2 << 20];
static size_t image_bytes;
static uint8_t value[VALUE_BYTES];

static bool done(enum fp_status status)
{
    fp_assert(status == FP_OK || status == FP_NO_MEMORY);
    return status == FP_OK;
}

static void make_page(uint64_t number, uint8_t *page)
{
    struct rng rng = {.state = number};
    if (number % 5 == 0) memset(page, (int)number, KIT_PAGE_BYTES);
    else if (number % 5 == 1) rng_fill(&rng, page, KIT_PAGE_BYTES);
    else rng_fill_text(&rng, page, KIT_PAGE_BYTES);
}

static void check_pages(struct bench *of, const uint64_t *numbers)
{
    uint8_t expected[KIT_PAGE_BYTES], out[KIT_PAGE_BYTES];
    for (uint64_t i = 0; i < STORED; i++) {
        enum fp_status status = bench_load(of, i * EVERY, out);
        fp_assert(status == (numbers[i] == 0 ? FP_ABSENT : FP_OK));
        if (status != FP_OK) continue;
        make_page(numbers[i], expected);
        fp_assert(memcmp(out, expected, sizeof out) == 0);
    }
}

static void store_pages(uint64_t first, uint64_t end, uint64_t number)
{
    uint8_t page[KIT_PAGE_BYTES];
    for (uint64_t i = first; i < end; i++) {
        make_page(number + i, page);
        if (done(bench_store(&bench, i * EVERY, page))) pages[i] = number + i;
    }
}

static void set_items(size_t size)
{
    for (int i = 0; i < ITEMS; i++) {
        char key[16];
        snprintf(key, sizeof key, "item%d", i);
        (void)done(bench_set(&bench, key, slice_of(value, size)));
    }
}

/* Stores over what is not written yet, and over what is. */
static void meanwhile(unsigned step)
{
    if (step >= 4) return;
    store_pages(step * 10, step * 10 + 5, 2000);
    bench_invalidate(&bench, (step * 10 + 6) * EVERY, (step * 10 + 6) * EVERY + 1);
    pages[step * 10 + 6] = 0;
    if (step == 1) set_items(300);
}

/* False: it broke. */
static bool take(struct store_snapshot *snapshot)
{
    image_bytes = 0;
    for (unsigned step = 0;; step++) {
        struct slice bytes;
        meanwhile(step);
        if (!done(store_snapshot_step(snapshot, bench.scratch, 5, &bytes))) return false;
        if (bytes.size_bytes == 0) return true;
        fp_assert(image_bytes + bytes.size_bytes <= sizeof image);
        memcpy(image + image_bytes, bytes.bytes, bytes.size_bytes);
        image_bytes += bytes.size_bytes;
    }
}

/* True: the image is a whole one. */
static bool snapshot(void)
{
    static const uint8_t boot_id[SNAPSHOT_BOOT_ID_BYTES] = {1};
    struct store_snapshot_options options = {
        .kind = SNAPSHOT_OF_SERVING, .boot_id = boot_id, .unix_ns = 4, .release = "test"};
    struct store_snapshot *taken = NULL;
    if (!done(store_snapshot_begin(bench.store, bench.scratch, &options, &taken))) return false;
    memcpy(frozen, pages, sizeof frozen);
    bool whole = take(taken);
    store_snapshot_end(&taken, bench.scratch);
    fp_assert(budget_held(store_budget(bench.store), BUDGET_SNAPSHOT) == 0);
    check_pages(&bench, pages);
    store_check(bench.store);
    return whole;
}

static enum fp_status take_records(struct store_restore *restore)
{
    static struct snapshot_reader reader;
    struct slice rest = slice_of(image, image_bytes);
    snapshot_reader_init(&reader);
    for (;;) {
        struct snapshot_record record;
        const char *problem = NULL;
        size_t used;
        enum snapshot_read read = snapshot_read_next(&reader, rest, true, &record, &used);
        if (read == SNAPSHOT_READ_END) return FP_OK;
        fp_assert(read == SNAPSHOT_READ_RECORD);
        enum fp_status status = store_restore_take(restore, again.scratch, &record, &problem);
        if (status != FP_OK) return status;
        rest = slice_of(rest.bytes + used, rest.size_bytes - used);
    }
}

static void restore(void)
{
    struct store_restore *taken = NULL;
    if (!done(store_restore_begin(again.store, &taken))) return;
    bool whole = done(take_records(taken));
    fp_assert(whole == store_restored(taken).complete);
    store_restore_end(&taken, again.scratch);
    if (!whole) return; /* the store ends with it */
    again.area = store_area_next(again.store, NULL);
    fp_assert(again.area != NULL);
    struct area *use = again.area;
    check_pages(&again, frozen);
    store_check(again.store);
    area_release(&use);
}

static bool create(struct bench *of)
{
    struct store_options options = {.memory_limit_bytes = 64 * BENCH_MIB,
                                    .page_bytes = KIT_PAGE_BYTES,
                                    .allocator = kit_allocator(),
                                    .compressor = {"lz4", 0},
                                    .hash_seed = 1};
    *of = (struct bench){0};
    if (!done(store_create(&options, &of->store))) return false;
    if (!done(store_scratch_create(of->store, &of->scratch))) {
        store_destroy(&of->store);
        return false;
    }
    of->scratch->now_ms = BENCH_START_MS;
    of->scratch->unix_s = BENCH_START_UNIX_S;
    return true;
}

static void destroy(struct bench *of)
{
    store_scratch_destroy(&of->scratch);
    store_destroy(&of->store);
}

static void play(void)
{
    memset(pages, 0, sizeof pages);
    if (!create(&bench)) return;
    if (done(store_area_open(bench.store, slice_text("swap"), SLOTS, &bench.area))) {
        store_pages(0, STORED, 1000);
        set_items(sizeof value);
        bool whole = snapshot();
        area_release(&bench.area);
        if (whole && create(&again)) {
            restore();
            destroy(&again);
        }
    }
    destroy(&bench);
}

int main(void)
{
    struct rng rng = {.state = 1};
    rng_fill_text(&rng, value, sizeof value);
    play(); /* once in good weather: libraries allocate what they keep */
    fp_assert(image_bytes > 0 && again.area != NULL);
    printf("each of %" PRIu64 " allocations failed once\n", fault_each(play, false));
    printf("all allocations failed from each of %" PRIu64 " on\n", fault_each(play, true));
    return 0;
}
