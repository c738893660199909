/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Random page and item commands against plain arrays, with the compressor changed in between and
 * recompression walking through it all, a step now and then.
 *
 * The model of a page is the number its bytes are made from; of an item, its whole value. A page
 * that was acknowledged must come back; a refused store must leave the old one. An item may be gone
 * (memory is short on purpose), but it must never have another value than its last.
 *
 *   model_store [SEED [STEPS]]
 */
#include <inttypes.h>
#include <time.h>

#include "storage/keydir/keydir.h"
#include "storage/store/page/store_area.h"
#include "storage/store/recompress/store_recompress.h"
#include "tests/unit/storage/bench.h"

enum { AREAS = 3, SLOTS = 3000, KEYS = 40, VALUE_MAX = 40000, CHECK_EVERY = 500, TENANTS = 3 };

struct item_model {
    bool known; /* false: the store must not have it */
    bool lost;  /* it was found missing: evicted */
    size_t size;
    uint32_t flags;
    uint64_t expires_s; /* 0: never */
    uint8_t bytes[VALUE_MAX];
};

struct model {
    struct rng rng;
    struct bench bench;
    struct area *areas[AREAS];
    uint64_t pages[AREAS][SLOTS]; /* 0: none, else the number the page is made from */
    struct item_model items[KEYS];
    uint8_t *sample;
    uint64_t stores, refused, loads, sets, gets, misses, swaps;
    struct recompress *walk;
    struct recompress_plan plan; /* of the walk under way */
    struct recompress_counts counts;
};

static struct model model;

/* Zero, one of 32 bits, or one that needs 64. */
static uint64_t repeated_word(uint64_t number)
{
    uint64_t word = number >> 8;
    if (number % 32 == 1) return 0;
    return number % 32 == 9 ? (uint32_t)word * 0x100000001ull : word | 1ull << 60 | 1;
}

static bool needs_word_object(uint64_t number)
{
    uint64_t word = repeated_word(number);
    return number % 8 == 1 && (uint32_t)word != word >> 32;
}

/* Real pages, noise, repeated words and real pages with one word changed, all from a number. */
static void make_page(uint64_t number, uint8_t *page)
{
    struct rng rng = {.state = number};
    uint64_t word = rng_next(&rng);
    if (number % 8 == 1) word = repeated_word(number);
    switch (number % 8) {
    case 0:
        rng_fill(&rng, page, KIT_PAGE_BYTES);
        return;
    case 1:
        for (size_t at = 0; at < KIT_PAGE_BYTES; at += sizeof word)
            memcpy(page + at, &word, sizeof word);
        return;
    default:
        memcpy(page, model.sample + word % KIT_SAMPLE_PAGES * KIT_PAGE_BYTES, KIT_PAGE_BYTES);
        memcpy(page + rng_below(&rng, KIT_PAGE_BYTES - 8), &word, sizeof word);
    }
}

static void verify_page(unsigned area, uint64_t slot)
{
    uint8_t expected[KIT_PAGE_BYTES], out[KIT_PAGE_BYTES];
    model.bench.area = model.areas[area];
    enum fp_status status = bench_load(&model.bench, slot, out);
    uint64_t number = model.pages[area][slot];
    model.loads++;
    if (number == 0) {
        fp_assert(status == FP_ABSENT);
        return;
    }
    fp_assert(status == FP_OK);
    make_page(number, expected);
    fp_assert(memcmp(out, expected, sizeof out) == 0);
}

static void step_store(unsigned area, uint64_t slot)
{
    uint8_t page[KIT_PAGE_BYTES];
    uint64_t number = rng_next(&model.rng) | 1ull << 63;
    make_page(number, page);
    model.bench.area = model.areas[area];
    enum fp_status status = bench_store(&model.bench, slot, page);
    if (status == FP_OK) {
        model.pages[area][slot] = number;
        model.stores++;
        return;
    }
    fp_assert(status == FP_NO_MEMORY);
    model.refused++;
    verify_page(area, slot);
}

static void step_invalidate(unsigned area, uint64_t slot)
{
    uint64_t end = slot + 1 + rng_below(&model.rng, rng_below(&model.rng, 4) == 0 ? 1500 : 20);
    if (end > SLOTS) end = SLOTS;
    model.bench.area = model.areas[area];
    bench_invalidate(&model.bench, slot, end);
    for (; slot < end; slot++) model.pages[area][slot] = 0;
}

static bool expired(const struct item_model *item)
{
    return item->expires_s != 0 && item->expires_s <= model.bench.scratch->now_ms / 1000;
}

/* What is not found is forgotten here too; it is only counted where it should have been there. */
static bool verify_item(unsigned key)
{
    struct item_model *known = &model.items[key];
    char name[16];
    static uint8_t out[VALUE_MAX];
    (void)snprintf(name, sizeof name, "key%u", key);
    model.gets++;
    struct item *item =
        store_item_acquire(model.bench.store, model.bench.scratch, slice_text(name), NULL);
    if (item == NULL) {
        model.misses += known->known && !expired(known);
        known->known = false;
        return false;
    }
    fp_assert(known->known && !expired(known));
    fp_assert(item->value_bytes == known->size && item->flags == known->flags);
    fp_assert(store_item_read(model.bench.store, model.bench.scratch, item, out) == FP_OK);
    fp_assert(memcmp(out, known->bytes, known->size) == 0);
    store_item_release(model.bench.store, model.bench.scratch, &item);
    return true;
}

static void make_value(uint8_t *bytes, size_t size)
{
    uint64_t kind = rng_below(&model.rng, 3);
    if (kind == 0) rng_fill(&model.rng, bytes, size);
    if (kind == 1) rng_fill_text(&model.rng, bytes, size);
    if (kind == 2) memset(bytes, 'z', size);
}

static size_t random_value_bytes(void)
{
    static const size_t edges[] = {0, 1, 8, 16383, 16384, 16385, 32768};
    if (rng_below(&model.rng, 4) == 0)
        return edges[rng_below(&model.rng, sizeof edges / sizeof *edges)];
    return rng_below(&model.rng, rng_below(&model.rng, 3) == 0 ? VALUE_MAX : 600);
}

/* The model after a put that was acknowledged. */
static void apply(struct item_model *item, const struct item_put *put)
{
    size_t size = put->value.size_bytes;
    if (put->mode == ITEM_APPEND) {
        memcpy(item->bytes + item->size, put->value.bytes, size);
        item->size += size;
        return;
    }
    if (put->mode == ITEM_PREPEND) {
        memmove(item->bytes + size, item->bytes, item->size);
        memcpy(item->bytes, put->value.bytes, size);
        item->size += size;
        return;
    }
    memcpy(item->bytes, put->value.bytes, size);
    item->size = size;
    item->flags = put->flags;
    item->known = true;
    uint64_t now_s = model.bench.scratch->now_ms / 1000;
    item->expires_s = put->exptime == 0 ? 0 : put->exptime < 0 ? 1 : now_s + (uint64_t)put->exptime;
}

static void step_put(unsigned key)
{
    static uint8_t value[VALUE_MAX];
    char name[16];
    (void)snprintf(name, sizeof name, "key%u", key);
    bool there = verify_item(key);
    struct item_put put = {.mode = (enum item_mode)rng_below(&model.rng, ITEM_PREPEND + 1),
                           .key = slice_text(name),
                           .flags = (uint32_t)rng_next(&model.rng),
                           .exptime = (int64_t)rng_below(&model.rng, 40) - 2};
    if (put.exptime < -1 || put.exptime > 20) put.exptime = 0;
    put.value = slice_of(value, random_value_bytes());
    make_value(value, put.value.size_bytes);
    struct item_model *item = &model.items[key];
    bool joins = put.mode == ITEM_APPEND || put.mode == ITEM_PREPEND;
    enum fp_status status = store_item_put(model.bench.store, model.bench.scratch, &put, VALUE_MAX);
    model.sets++;
    if (status == FP_OK) {
        fp_assert(put.mode == ITEM_SET || (put.mode == ITEM_ADD) != there);
        fp_assert(!joins || item->size + put.value.size_bytes <= VALUE_MAX);
        apply(item, &put);
    } else if (status == FP_TOO_BIG) {
        fp_assert(joins && item->size + put.value.size_bytes > VALUE_MAX);
    } else if (status == FP_NOT_STORED) {
        /* An item that gave way to its own successor is gone: the put sees that, not us. */
        fp_assert(put.mode == ITEM_ADD ? there : put.mode != ITEM_SET);
    } else {
        fp_assert(status == FP_NO_MEMORY);
    }
    (void)verify_item(key);
}

static void step_item(unsigned key)
{
    char name[16];
    (void)snprintf(name, sizeof name, "key%u", key);
    switch (rng_below(&model.rng, 16)) {
    case 0:
        (void)!store_item_delete(model.bench.store, model.bench.scratch, slice_text(name));
        model.items[key].known = false;
        return;
    case 1:
        bench_advance_s(&model.bench, rng_below(&model.rng, 4));
        store_reap_step(model.bench.store, model.bench.scratch);
        return;
    case 2:
        if (rng_below(&model.rng, 50) > 0) return;
        store_flush(model.bench.store, model.bench.scratch, 0);
        for (unsigned i = 0; i < KEYS; i++) model.items[i].known = false;
        return;
    case 3:
    case 4:
    case 5:
    case 6:
    case 7:
        (void)verify_item(key);
        return;
    default:
        step_put(key);
    }
}

static void step_swap(void)
{
    static const struct compressor_config configs[] = {
        {"lz4", 1}, {"zstd", 1}, {"none", 0}, {"lz4", 6}, {"zstd", -7}, {"zstd", 4}};
    const struct compressor_config *next =
        &configs[rng_below(&model.rng, sizeof configs / sizeof *configs)];
    enum fp_status status = compressor_pool_swap(store_compressors(model.bench.store), next);
    fp_assert(status == FP_OK || status == FP_EXISTS);
    model.swaps += status == FP_OK;
}

static void begin_walk(void)
{
    static const struct compressor_config strong[] = {{"zstd", 9, NULL}, {"lz4hc", 4, NULL}};
    bool cool = rng_below(&model.rng, 2) == 0;
    if (model.plan.cold != NULL) compressor_release(&model.plan.cold, model.bench.scratch->codec);
    model.plan = (struct recompress_plan){.idle_ms = 2000,
                                          .cool = cool,
                                          .drain = rng_below(&model.rng, 4) > 0,
                                          .plain = rng_below(&model.rng, 2) == 0,
                                          .asked = rng_below(&model.rng, 2) == 0};
    if (rng_below(&model.rng, 3) > 0)
        fp_assert(compressor_acquire_config(store_compressors(model.bench.store),
                                            &strong[rng_below(&model.rng, 2)],
                                            model.bench.scratch->codec,
                                            &model.plan.cold) == FP_OK);
    (void)recompress_begin(model.walk, &model.plan);
}

/* Walks are often left in the middle. */
static void step_recompress(void)
{
    struct recompress_limits limits = {.looks = 1 + (unsigned)rng_below(&model.rng, 800),
                                       .tries = 1 + (unsigned)rng_below(&model.rng, 30)};
    bool done = recompress_step(model.walk, model.bench.scratch, limits, &model.counts);
    if (done || rng_below(&model.rng, 60) == 0) begin_walk();
}

static void step(void)
{
    unsigned area = (unsigned)rng_below(&model.rng, AREAS);
    uint64_t slot = rng_below(&model.rng, SLOTS);
    model.bench.scratch->tenant = (uint8_t)(slot % TENANTS); /* counted for in store_check */
    switch (rng_below(&model.rng, 100)) {
    case 0:
        step_swap();
        return;
    case 1:
        step_invalidate(area, slot);
        return;
    case 2:
        step_recompress();
        return;
    default:
        if (rng_below(&model.rng, 4) == 0) step_item((unsigned)rng_below(&model.rng, KEYS));
        else if (rng_below(&model.rng, 3) > 0) step_store(area, slot);
        else verify_page(area, slot);
    }
}

/* Pages that are packed in each seat, as their slots say. */
static void count_seats(uint64_t pages[COMPRESSOR_SEATS])
{
    memset(pages, 0, COMPRESSOR_SEATS * sizeof *pages);
    for (unsigned a = 0; a < AREAS; a++) {
        for (uint64_t s = 0; s < SLOTS; s++) {
            area_slot_take(model.areas[a], s);
            struct zname name = zpool_look(store_zpool(model.bench.store),
                                           area_handle_locked(model.areas[a], s));
            area_slot_drop(model.areas[a], s);
            if (name.what == ZOBJECT && entry_form(name.note) == ENTRY_PACKED)
                pages[entry_seat(name.note)]++;
        }
    }
}

static void check(void)
{
    struct store *store = model.bench.store;
    uint64_t stored = 0, objects = 0, packed = 0, words = 0;
    static uint64_t pages_in[COMPRESSOR_SEATS];
    store_check(store);
    count_seats(pages_in);
    for (unsigned a = 0; a < AREAS; a++) {
        uint64_t known = 0;
        for (uint64_t s = 0; s < SLOTS; s++) {
            known += model.pages[a][s] != 0;
            words += needs_word_object(model.pages[a][s]);
        }
        const struct area_counters *counters = &model.areas[a]->counters;
        fp_assert(atomic_load(&counters->stored) == known);
        stored += known - atomic_load(&counters->same_filled);
        packed += known - atomic_load(&counters->same_filled) -
                  atomic_load(&counters->incompressible);
    }
    for (unsigned id = 0; id < COMPRESSOR_SEATS; id++) {
        struct compressor_row row;
        compressor_row(store_compressors(store), (uint8_t)id, &row);
        bool walked = model.plan.cold != NULL && id == compressor_id(model.plan.cold);
        fp_assert(row.users == walked && row.failures == 0);
        fp_assert(row.objects == 0 || row.state != COMPRESSOR_EMPTY);
        fp_assert(store_item_count(store) == 0 ? row.objects == pages_in[id]
                                               : row.objects >= pages_in[id]);
        objects += row.objects;
    }
    stored += words;
    struct zpool_fill fill = zpool_fill(store_zpool(store));
    fp_assert(fill.pinned_count == 0 && fill.object_count >= stored && objects >= packed);
    if (store_item_count(store) == 0)
        fp_assert(fill.object_count == stored && objects == packed);
    /* A thread's first pack with an algorithm is no time to refuse: that may pass the limit. */
    const struct budget *budget = store_budget(store);
    fp_assert(budget_total(budget) <=
              budget_limit(budget) + budget_held(budget, BUDGET_COMPRESSORS));
    fp_assert(atomic_load(&store_counters(store)->corrupt) == 0);
}

/* After all that, one walk with room enough brings everything to the current seat. */
static void drain_all(void)
{
    struct recompress_plan plan = {.drain = true, .asked = true};
    struct recompress_limits limits = {.looks = 1000, .tries = 100};
    struct store *store = model.bench.store;
    if (model.plan.cold != NULL) compressor_release(&model.plan.cold, model.bench.scratch->codec);
    budget_set_limit(store_budget(store), 64 * BENCH_MIB);
    /* Expired items are left to who reaps them. */
    for (int i = 0; i < 4 * KEYDIR_SHARDS; i++) store_reap_step(store, model.bench.scratch);
    (void)recompress_begin(model.walk, &plan);
    while (!recompress_step(model.walk, model.bench.scratch, limits, &model.counts)) {}
    for (unsigned id = 0; id < COMPRESSOR_SEATS; id++) {
        struct compressor_row row;
        compressor_row(store_compressors(store), (uint8_t)id, &row);
        fp_assert(row.objects == 0 || row.state == COMPRESSOR_CURRENT);
    }
    check();
}

static void open_store(void)
{
    struct store_options options = {.memory_limit_bytes = 5 * BENCH_MIB,
                                    .hash_seed = rng_next(&model.rng)};
    bench_setup(&model.bench, options, SLOTS);
    model.areas[0] = model.bench.area;
    for (unsigned t = 1; t < TENANTS; t++) {
        static const struct tenant_limits none;
        char name[] = {'t', (char)('0' + t), '\0'};
        uint8_t number;
        fp_assert(tenants_define(store_tenants(model.bench.store), slice_text(name), &none,
                                 &number) == FP_OK && number == t);
    }
    for (unsigned a = 1; a < AREAS; a++) {
        char name[] = {'a', (char)('0' + a), '\0'};
        fp_assert(store_area_open(model.bench.store, slice_text(name), SLOTS, &model.areas[a]) ==
                  FP_OK);
    }
    fp_assert(recompress_create(model.bench.store, &model.walk) == FP_OK);
    begin_walk();
}

/* Everything is asked for once more, then ended by hand: nothing may be left behind. */
static void close_store(void)
{
    drain_all();
    for (unsigned a = 0; a < AREAS; a++) {
        for (uint64_t s = 0; s < SLOTS; s++) verify_page(a, s);
        bench_invalidate(&model.bench, 0, SLOTS);
        memset(model.pages[a], 0, sizeof model.pages[a]);
    }
    while (store_evict_one(model.bench.store, model.bench.scratch)) {}
    check();
    fp_assert(budget_held(store_budget(model.bench.store), BUDGET_PAYLOAD) == 0);
    fp_assert(budget_held(store_budget(model.bench.store), BUDGET_ITEMS) == 0);
    fp_assert(bench_slots_bytes(model.bench.store) == 0);
    recompress_destroy(&model.walk);
    bench_teardown(&model.bench);
}

int main(int argc, char **argv)
{
    uint64_t seed = kit_number(argc, argv, 1, "FARPAGE_SEED", (uint64_t)time(NULL));
    uint64_t steps = kit_number(argc, argv, 2, "FARPAGE_STEPS", 100000);
    printf("model_store %" PRIu64 " %" PRIu64 "\n", seed, steps);
    (void)fflush(stdout);
    model.rng.state = seed;
    model.sample = kit_sample();
    open_store();
    for (uint64_t i = 0; i < steps; i++) {
        step();
        if (i % CHECK_EVERY == 0) check();
    }
    uint64_t evictions = atomic_load(&store_counters(model.bench.store)->item_evictions);
    close_store();
    free(model.sample);
    printf("stores %" PRIu64 " refused %" PRIu64 " loads %" PRIu64 " sets %" PRIu64
           " gets %" PRIu64 " misses %" PRIu64 " evictions %" PRIu64 " swaps %" PRIu64 "\n",
           model.stores, model.refused, model.loads, model.sets, model.gets, model.misses,
           evictions, model.swaps);
    printf("recompression: looked %" PRIu64 " rewritten %" PRIu64 " not smaller %" PRIu64
           " no memory %" PRIu64 "\n",
           model.counts.looked, model.counts.rewritten, model.counts.not_smaller,
           model.counts.skipped_no_memory);
    fp_assert(steps < 60000 || model.counts.rewritten > 0);
    fp_assert(steps < 60000 || (model.refused > 0 && evictions > 0 && model.swaps > 0));
    return 0;
}
