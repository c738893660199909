/* SPDX-License-Identifier: BSD-3-Clause
 *
 * A life of a store in about two hundred calls, played with its first allocation failing, then its
 * second, and so on until none fails; then again with all failing from the n-th on.
 *
 * Proven each time: no crash; each call succeeds or says FP_NO_MEMORY; a page whose store failed is
 * still the old one; an item has its last value or is gone; and nothing is left behind.
 */
#include <inttypes.h>

#include "storage/keydir/keydir.h"
#include "storage/store/item/store_meta.h"
#include "storage/store/page/store_area.h"
#include "storage/store/recompress/store_recompress.h"
#include "tests/fault/fault.h"
#include "tests/unit/storage/bench.h"

enum { SLOTS = 6, CROWD = 60, VALUE_BYTES = 40000, HASH_SEED = 1 };

struct script {
    struct bench bench;
    struct area *areas[2];
    uint64_t pages[2][SLOTS]; /* 0: none, else what the page is made from */
    uint8_t *value;           /* VALUE_BYTES */
    char crowd[CROWD][16];    /* keys of one shard, so that its table must grow */
};

static struct script script;

static bool done(enum fp_status status)
{
    fp_assert(status == FP_OK || status == FP_NO_MEMORY);
    return status == FP_OK;
}

/* Text, noise and repeated words in turn. */
static void make_page(uint64_t number, uint8_t *page)
{
    struct rng rng = {.state = number};
    if (number % 3 == 0) rng_fill_text(&rng, page, KIT_PAGE_BYTES);
    if (number % 3 == 1) rng_fill(&rng, page, KIT_PAGE_BYTES);
    if (number % 3 == 2) memset(page, (int)number, KIT_PAGE_BYTES);
}

static void check_page(unsigned area, uint64_t slot)
{
    uint8_t expected[KIT_PAGE_BYTES], out[KIT_PAGE_BYTES];
    script.bench.area = script.areas[area];
    enum fp_status status = bench_load(&script.bench, slot, out);
    uint64_t number = script.pages[area][slot];
    fp_assert(status == (number ? FP_OK : FP_ABSENT));
    if (number == 0) return;
    make_page(number, expected);
    fp_assert(memcmp(out, expected, sizeof out) == 0);
}

static void store_pages(uint64_t first_number)
{
    uint8_t page[KIT_PAGE_BYTES];
    for (uint64_t i = 0; i < 2 * SLOTS; i++) {
        unsigned area = i % 2;
        uint64_t slot = i / 2;
        if (script.areas[area] == NULL) continue;
        make_page(first_number + i, page);
        script.bench.area = script.areas[area];
        if (done(bench_store(&script.bench, slot, page)))
            script.pages[area][slot] = first_number + i;
        check_page(area, slot);
    }
}

static void drop_pages(uint64_t slot, uint64_t end)
{
    for (unsigned area = 0; area < 2; area++) {
        if (script.areas[area] == NULL) continue;
        script.bench.area = script.areas[area];
        bench_invalidate(&script.bench, slot, end);
        for (uint64_t s = slot; s < end; s++) script.pages[area][s] = 0;
        for (uint64_t s = 0; s < SLOTS; s++) check_page(area, s);
    }
}

/* True: the item is there, and has this value and no other. */
static bool check_item(const char *key, struct slice value)
{
    static uint8_t out[2 * VALUE_BYTES];
    struct bench *bench = &script.bench;
    struct item *item = store_item_acquire(bench->store, bench->scratch, slice_text(key), NULL);
    if (item == NULL) return false;
    fp_assert(store_item_read(bench->store, bench->scratch, item, out) == FP_OK);
    fp_assert(slice_equal(slice_of(out, item->value_bytes), value));
    store_item_release(bench->store, bench->scratch, &item);
    return true;
}

static bool put(enum item_mode mode, const char *key, struct slice value)
{
    struct item_put put = {.mode = mode, .key = slice_text(key), .value = value};
    enum fp_status status =
        store_item_put(script.bench.store, script.bench.scratch, &put, 2 * VALUE_BYTES);
    return status != FP_NOT_STORED && done(status); /* not stored: it was evicted meanwhile */
}

static void store_items(void)
{
    struct slice most = slice_of(script.value, VALUE_BYTES - 10000);
    struct slice rest = slice_of(script.value + VALUE_BYTES - 10000, 10000);
    struct slice all = slice_of(script.value, VALUE_BYTES);
    struct item_delta up = {.key = slice_text("n"), .delta = 1};
    struct item_counted counted;
    if (put(ITEM_SET, "large", most)) {
        bool joined = put(ITEM_APPEND, "large", rest);
        (void)check_item("large", joined ? all : most);
    }
    if (put(ITEM_SET, "n", slice_text("99"))) {
        enum fp_status status =
            store_item_delta(script.bench.store, script.bench.scratch, &up, &counted);
        fp_assert(status == FP_OK || status == FP_NO_MEMORY || status == FP_ABSENT);
        (void)check_item("n", slice_text(status == FP_OK ? "100" : "99"));
    }
    for (int i = 0; i < CROWD; i++) {
        struct slice value = slice_text(script.crowd[i]);
        if (put(ITEM_ADD, script.crowd[i], value)) fp_assert(check_item(script.crowd[i], value));
    }
    for (int i = 0; i < CROWD; i++)
        (void)check_item(script.crowd[i], slice_text(script.crowd[i]));
    (void)!store_item_delete(script.bench.store, script.bench.scratch, slice_text("n"));
}

/* What the meta commands make for themselves: each is there whole, or what was before. */
static void meta_items(void)
{
    struct store *store = script.bench.store;
    struct store_scratch *scratch = script.bench.scratch;
    int64_t never = 0;
    struct item_look look = {
        .key = slice_text("made"), .creates = true, .times.create = &never};
    struct item_seen seen;
    struct item *item = store_meta_get(store, scratch, &look, &seen);
    if (item != NULL) {
        fp_assert(seen.created && seen.won && item->value_bytes == 0);
        store_item_release(store, scratch, &item);
    }
    struct slice value = slice_text("a value that is emptied");
    struct item_end end = {.key = slice_text("emptied"), .empties = true, .invalidates = true};
    if (put(ITEM_SET, "emptied", value)) {
        enum fp_status status = store_meta_end(store, scratch, &end);
        fp_assert(status == FP_OK || status == FP_NO_MEMORY || status == FP_ABSENT);
        (void)check_item("emptied", status == FP_OK ? slice_text("") : value);
    }
    struct item_put join = {
        .mode = ITEM_APPEND, .key = slice_text("joined"), .value = value, .creates = true};
    enum fp_status status = store_item_put(store, scratch, &join, 2 * VALUE_BYTES);
    if (done(status)) (void)check_item("joined", value);
    struct item_delta up = {.key = slice_text("m"), .delta = 1, .creates = true, .initial = 7};
    struct item_counted counted;
    if (done(store_item_delta(store, scratch, &up, &counted)))
        (void)check_item("m", slice_text("7"));
}

static void forget_all(void)
{
    struct store *store = script.bench.store;
    drop_pages(0, SLOTS);
    store_check(store);
    while (store_evict_one(store, script.bench.scratch)) {}
    fp_assert(zpool_fill(store_zpool(store)).object_count == 0);
    fp_assert(budget_held(store_budget(store), BUDGET_PAYLOAD) == 0);
    fp_assert(budget_held(store_budget(store), BUDGET_ITEMS) == 0);
    fp_assert(bench_slots_bytes(store) == 0);
    fp_assert(atomic_load(&store_counters(store)->corrupt) == 0);
    store_check(store);
}

/* What cannot be packed anew stays as it is, and says so. */
static void recompress(const struct compressor_config *strong)
{
    struct bench *bench = &script.bench;
    struct recompress *walk;
    struct recompress_counts counts = {0};
    struct recompress_plan plan = {.drain = true, .cool = true, .plain = true};
    struct recompress_limits limits = {.looks = 7, .tries = 2};
    if (!done(recompress_create(bench->store, &walk))) return;
    struct codec_scratch *codec = bench->scratch->codec;
    if (done(compressor_acquire_config(store_compressors(bench->store), strong, codec,
                                       &plan.cold))) {
        for (int turn = 0; turn < 2; turn++) {
            (void)recompress_begin(walk, &plan);
            while (!recompress_step(walk, bench->scratch, limits, &counts)) {}
        }
        compressor_release(&plan.cold, codec);
    }
    fp_assert(counts.corrupt == 0 && counts.skipped_changed == 0);
    recompress_destroy(&walk);
    for (unsigned area = 0; area < 2; area++)
        for (uint64_t s = 0; s < SLOTS && script.areas[area] != NULL; s++) check_page(area, s);
    store_check(bench->store);
}

static void live(void)
{
    static const struct compressor_config strong = {"zstd", 9, NULL};
    static const struct compressor_config zstd = {"zstd", 1}, lz4 = {"lz4", 1};
    struct store *store = script.bench.store;
    (void)done(store_area_open(store, slice_text("a"), SLOTS, &script.areas[0]));
    (void)done(store_area_open(store, slice_text("b"), 5000000, &script.areas[1]));
    store_pages(1000);
    store_items();
    fp_assert(compressor_pool_swap(store_compressors(store), &zstd) == FP_OK);
    recompress(&strong);
    store_pages(2000); /* text where noise was, and so on */
    store_items();
    drop_pages(1, 3);
    fp_assert(compressor_pool_swap(store_compressors(store), &lz4) == FP_OK);
    meta_items();
    store_pages(3001);
    forget_all();
}

static void play(void)
{
    struct store_options options = {.memory_limit_bytes = 16 * BENCH_MIB,
                                    .page_bytes = KIT_PAGE_BYTES,
                                    .allocator = kit_allocator(),
                                    .compressor = {"lz4", 0},
                                    .hash_seed = HASH_SEED};
    script.areas[0] = script.areas[1] = NULL;
    memset(script.pages, 0, sizeof script.pages);
    if (!done(store_create(&options, &script.bench.store))) {
        fp_assert(script.bench.store == NULL);
        return;
    }
    if (done(store_scratch_create(script.bench.store, &script.bench.scratch))) {
        script.bench.scratch->now_ms = BENCH_START_MS;
        script.bench.scratch->unix_s = BENCH_START_UNIX_S;
        live();
        store_scratch_destroy(&script.bench.scratch);
    }
    fp_assert(script.bench.scratch == NULL);
    store_destroy(&script.bench.store);
    fp_assert(script.bench.store == NULL);
}

static void find_crowd(void)
{
    static struct keydir keydir = {.seed = HASH_SEED}; /* all that hashing looks at */
    unsigned found = 0;
    for (unsigned i = 0; found < CROWD; i++) {
        (void)snprintf(script.crowd[found], sizeof script.crowd[found], "crowd%u", i);
        uint64_t hash = keydir_hash(&keydir, slice_text(script.crowd[found]));
        found += keydir_shard(&keydir, hash) == &keydir.shards[0];
    }
}

int main(void)
{
    struct rng rng = {.state = 1};
    script.value = malloc(VALUE_BYTES);
    fp_assert(script.value != NULL);
    rng_fill_text(&rng, script.value, VALUE_BYTES);
    find_crowd();
    play(); /* once in good weather: libraries allocate what they keep */
    printf("each of %" PRIu64 " allocations failed once\n", fault_each(play, false));
    printf("all allocations failed from each of %" PRIu64 " on\n", fault_each(play, true));
    free(script.value);
    return 0;
}
